"""A mail and recipients for tests of mail providers."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Final

from reconsent.domain.mail import Mail, Recipient

MARK: Final = "%choose_link%"
SENDER: Final = "Personvern på Eksempel <privacy@example.no>"
MAIL: Final = Mail(
    sender=SENDER,
    subject="Ditt valg: kan vi bruke opplysningene dine på en ny måte, også etter nyttår?",
    text=f"Hei!\n\nSvar her:\n{MARK}\n\n.\nBlåbærsyltetøy = godt \n",
    html=f'<p>Bl&aring;bær</p><a href="{MARK}" style="a=b">{MARK}</a>' + "<i>ø</i>" * 500,
    locale="nb",
    link_mark=MARK,
)


def clock() -> datetime:
    """Return the real time, which the stand-ins of providers go by."""
    return datetime.now(UTC)


def person(email: str = "ann@example.com", name: str | None = None) -> Recipient:
    """Return a recipient with their own notice and link."""
    notice = str(uuid.uuid4())
    url = f"https://privacy.example.com/c/{notice}-{notice}"
    return Recipient(notice=notice, email=email, name=name, link=url)


def people(count: int) -> list[Recipient]:
    """Return `count` recipients with different addresses."""
    return [person(f"p{n}@example.com", f"Person {n}") for n in range(count)]

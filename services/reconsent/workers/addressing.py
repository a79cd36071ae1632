"""What a provider gets of an attempt: the mail that all members share, and who gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.domain.mail import CHOOSE_LINK, UNSUBSCRIBE_LINK, Mail, Recipient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.signing import Signer
    from reconsent.facts.sending.claims import Attempt
    from reconsent.facts.sending.due import Claimed


class Addressing:
    """Addresses mail, with a link of each person's own."""

    def __init__(
        self, signer: Signer, public_url: str, sender: str, information_sender: str
    ) -> None:
        """Send optional mail from an address of its own."""
        self._signer = signer
        self._public_url = public_url
        self._sender = sender
        self._information_sender = information_sender

    def of(self, attempt: Attempt) -> tuple[Mail, Sequence[Recipient]]:
        """Return the mail of an attempt, and its recipients in the order of its members."""
        return self._mail(attempt), [
            Recipient(notice=str(n.notice_id), email=n.email, name=n.name, link=self._link(n))
            for n in attempt.members
        ]

    def _link(self, notice: Claimed) -> str:
        """Return where a person answers or, for optional mail, unsubscribes."""
        if notice.asks_on is None:
            token = self._signer.token(notice.notice_id, "unsubscribe")
            return f"{self._public_url}/u/{token}"
        return f"{self._public_url}/c/{self._signer.token(notice.asks_on)}"

    def _mail(self, attempt: Attempt) -> Mail:
        first = attempt.members[0]  # all members share what the mail says
        optional = first.kind == "information"
        return Mail(
            sender=self._information_sender if optional else self._sender,
            subject=attempt.mail.subject,
            text=attempt.mail.text,
            html=attempt.mail.html,
            locale=attempt.mail.locale,
            link_mark=UNSUBSCRIBE_LINK if optional else CHOOSE_LINK,
            list_name=first.property_name if optional else None,
        )

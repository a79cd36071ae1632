"""Whether a post comes from SendGrid's Event Webhook: its signature, and how old it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from sendgrid.helpers.eventwebhook import (  # type: ignore[import-untyped]  # it has no types
    EventWebhook,
    EventWebhookHeader,
)

from reconsent.domain.errors import BadInputError

SIGNATURE: Final[str] = EventWebhookHeader.SIGNATURE
TIMESTAMP: Final[str] = EventWebhookHeader.TIMESTAMP

# SendGrid retries a post for up to 24 hours. It does not document whether retries are signed again;
# in practice the timestamp is that of the retry, so a short window is enough. It only requires a
# correct clock. A replayed post would change nothing: its events are known by their ids.
FRESH: Final = timedelta(minutes=10)

_SECONDS: Final = re.compile(r"[0-9]{1,11}", re.ASCII)
_FRAME: Final = re.compile(r"-----(BEGIN|END) PUBLIC KEY-----|\s")


class Webhook:
    """Verifies SendGrid's signature with the public key that SendGrid's settings show."""

    def __init__(self, public_key: str) -> None:
        """Take the key as SendGrid shows it, or as PEM. Raises BadInputError."""
        try:
            self._helper = EventWebhook(_FRAME.sub("", public_key))
            curve = str(self._helper.public_key.curve.name)
        except (ValueError, TypeError, AttributeError) as error:
            raise _no_key() from error
        if curve != "secp256r1":
            raise _no_key()

    def refusal(self, body: bytes, signature: str, timestamp: str, now: datetime) -> str | None:
        """Return why a post is not authentic; None if it is."""
        if not signature or not timestamp:
            return f"has no {SIGNATURE} and {TIMESTAMP}"
        if not _SECONDS.fullmatch(timestamp):
            return f"{TIMESTAMP}: is not a valid time"
        try:
            signed = self._helper.verify_signature(body.decode(), signature, timestamp)
        except ValueError:  # not UTF-8, or not base64
            signed = False
        if not signed:
            return f"{SIGNATURE}: does not match"
        at = datetime.fromtimestamp(int(timestamp), UTC)
        if abs(now - at) > FRESH:
            return f"{TIMESTAMP}: was signed at {at:%FT%TZ}, more than 10 minutes from now"
        return None


def _no_key() -> BadInputError:
    return BadInputError(
        "SENDGRID_WEBHOOK_KEY: is not a public key as SendGrid shows it for its Event Webhook"
    )

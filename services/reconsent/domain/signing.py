"""Tokens of links and return paths, page marks and address hashes, keyed with the secret.

None says who somebody is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal
from uuid import UUID

from typing_extensions import override

from reconsent.domain.address import postal_form

_MARK = 16
# Short, because the local part of an address is; nobody can try marks without mailing us each time.
_RETURN_MARK = 8

Purpose = Literal["choose", "unsubscribe"]
"""What a link is for; a token for one purpose is not valid for another."""


@dataclass(frozen=True)
class Signer:
    """Signs and verifies with one secret."""

    secret: str = field(repr=False)

    @override
    def __reduce__(self) -> tuple[type[Signer], tuple[str]]:
        # What was made of the secret cannot be sent to another process.
        return Signer, (self.secret,)

    def address_hash(self, email: str) -> bytes:
        """Return a keyed hash of an address, the same for each spelling of it."""
        return self._mark("address", postal_form(email).encode())

    def token(self, notice: UUID, purpose: Purpose = "choose") -> str:
        """Return the part of a link that names a notice."""
        marked = notice.bytes + self._mark(purpose, notice.bytes)[:_MARK]
        return base64.urlsafe_b64encode(marked).decode().rstrip("=")

    def notice(self, token: str, purpose: Purpose = "choose") -> UUID | None:
        """Return the notice that a token names; None if it is not valid for this purpose."""
        try:
            marked = base64.b64decode(
                token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
            )
        except (binascii.Error, UnicodeEncodeError):
            return None
        body, mark = marked[:16], marked[16:]
        if len(body) != 16 or not hmac.compare_digest(mark, self._mark(purpose, body)[:_MARK]):  # noqa: PLR2004 -- a UUID has 16 bytes
            return None
        found = UUID(bytes=body)
        return found if self.token(found, purpose) == token else None

    def return_token(self, notice: bytes) -> str:
        """Return the part of a return path that names a notice; in it, case does not count."""
        return (notice + self._mark("return", notice)[:_RETURN_MARK]).hex()

    def returned(self, token: str) -> UUID | None:
        """Return the notice that a return path's token names; None if it is not valid."""
        try:
            body = bytes.fromhex(token[:32])
        except ValueError:
            return None
        valid = hmac.compare_digest(token.lower().encode(), self.return_token(body).encode())
        return UUID(bytes=body) if valid and len(body) == 16 else None  # noqa: PLR2004 -- a UUID has 16 bytes

    def page_mark(self, notice: UUID, text_hash: str, said_before: int) -> str:
        """Return what a form says of its page: the hash of its words, bound to its notice.

        And how many choices its account had made before.
        """
        page = f"{text_hash}.{said_before}"
        return f"{page}.{self._page(notice, page)}"

    def shown(self, notice: UUID, page_mark: str) -> str | None:
        """Return the hash of the words that a form's page showed; None if it was another's page."""
        page, _, given = page_mark.rpartition(".")
        expected = self._page(notice, page)
        is_own = hmac.compare_digest(given.encode(), expected.encode())
        return page.rpartition(".")[0] if is_own else None

    def _page(self, notice: UUID, page: str) -> str:
        return self._mark("page", notice.bytes + page.encode()).hex()

    def _mark(self, purpose: str, body: bytes) -> bytes:
        # hmac.digest would release the interpreter's lock, and wait for it, for each of many links.
        marking = self._keyed.copy()
        marking.update(purpose.encode() + b"\0" + body)
        return marking.digest()

    @cached_property
    def _keyed(self) -> hmac.HMAC:
        return hmac.new(self.secret.encode(), digestmod=hashlib.sha256)

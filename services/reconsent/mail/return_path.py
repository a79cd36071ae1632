"""Where bounces come back to: a return path of its own for each mail (VERP), signed.

A bounce need not return the mail it is about, but it comes to that mail's return path: the mailbox
of RECONSENT_RETURN_PATH, `+`, and a token that names the notice. Nobody else can make a valid one.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parseaddr
from typing import TYPE_CHECKING, Final

from reconsent.domain.address import UnusableAddressError, ascii_address, postal_form
from reconsent.domain.errors import BadInputError

if TYPE_CHECKING:
    from uuid import UUID

    from reconsent.domain.signing import Signer

SETTING: Final = "RECONSENT_RETURN_PATH"
_SEPARATOR: Final = "+"
# A local part has at most 64 characters (RFC 5321): 48 are the token's, and one is the separator.
_LONGEST: Final = 15


@dataclass(frozen=True)
class ReturnPath:
    """The return paths below one mailbox."""

    mailbox: str
    signer: Signer

    def of(self, notice: str) -> str:
        """Return the address to which bounces of a notice's mail come back."""
        token = self.signer.return_token(bytes.fromhex(notice.replace("-", "")))
        local, _, domain = self.mailbox.rpartition("@")
        return f"{local}{_SEPARATOR}{token}@{domain}"

    def has(self, address: str) -> bool:
        """Tell whether an address is of a return path's form, whatever its token is."""
        local, _, domain = postal_form(self.mailbox).rpartition("@")
        given = postal_form(address)
        return given.startswith(local + _SEPARATOR) and given.endswith(f"@{domain}")

    def notice(self, address: str) -> UUID | None:
        """Return the notice that a return path names; None if it is not a valid one of ours."""
        if not self.has(address):
            return None
        local, _, _ = address.rpartition("@")
        own, _, _ = self.mailbox.rpartition("@")
        return self.signer.returned(local[len(own + _SEPARATOR) :])


def return_mailbox(text: str) -> str:
    """Parse the setting. Raises BadInputError, which names it."""
    name, email = parseaddr(text)
    try:
        if name or email != text.strip():
            raise BadInputError(f"{SETTING}: {text!r} is not a single address without a name")
        address = ascii_address(email)
    except UnusableAddressError as error:
        raise BadInputError(f"{SETTING}: {text!r}: {error}") from error
    local, _, _ = address.rpartition("@")
    if len(local) > _LONGEST:
        raise BadInputError(
            f"{SETTING}: {text!r} has more than {_LONGEST} characters before its @;"
            " a token of 48 is added to them"
        )
    return address

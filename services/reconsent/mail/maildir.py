"""The local mailbox as a mail provider: a Maildir that any mail program can read."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING, Final

from reconsent.domain.address import UnusableAddressError, international_address
from reconsent.domain.errors import OutsideError
from reconsent.domain.mail import Result
from reconsent.mail.mime import MimeMail

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from reconsent.domain.mail import Mail, Recipient

_SUBFOLDERS: Final = ("tmp", "new", "cur")
# By Maildir's convention, a file in tmp that is older than 36 hours was never finished.
_UNFINISHED_AFTER: Final = 36 * 3600


class Maildir:
    """Writes messages into a folder, named by their notices.

    Writing is idempotent: a notice has one message, so a sender that was killed may retry. An
    accepted message survives a crash of the process, but not a power cut.
    """

    name: str = "maildir"
    at_most: int = 1000
    together: bool = False
    repeats_safely: bool = True
    rests_until: datetime | None = None

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        """Create the folder if it is absent, for its owner only; raises OutsideError."""
        self._folder = folder
        self._now = now
        try:
            for path in (folder, *(folder / name for name in _SUBFOLDERS)):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._clear_unfinished()
        except OSError as error:
            raise self._failure(error) from error

    def send(self, mail: Mail, recipients: Sequence[Recipient]) -> Sequence[Result]:
        """Write a message for each recipient; raises OutsideError if none could be written."""
        message = MimeMail(mail, date=self._now())
        draft = str(self._folder / "tmp" / secrets.token_hex(8))
        results: list[Result] = []
        try:
            present = self._present({recipient.notice for recipient in recipients})
            for recipient in recipients:
                if recipient.notice in present:
                    results.append(Result("accepted"))
                    continue
                try:
                    content = message.addressed(recipient, international_address(recipient.email))
                except UnusableAddressError as error:
                    results.append(Result("rejected", str(error)))
                    continue
                self._write(draft, content)
                os.rename(draft, f"{self._folder}/new/{recipient.notice}")  # noqa: PTH104 -- a Path costs more than the mail itself
                results.append(Result("accepted"))
        except OSError as error:
            failure = self._failure(error)
            if not results:
                raise failure from error
            left = len(recipients) - len(results)
            results += [Result("retry", str(failure))] * left
        return results

    def _present(self, notices: set[str]) -> set[str]:
        """Return which of the notices have a message, whether it was read or not."""
        # `new` before `cur`: a message that a reader moves meanwhile is seen in one of them.
        found = {notice for notice in notices if os.path.lexists(f"{self._folder}/new/{notice}")}
        with os.scandir(self._folder / "cur") as entries:
            for entry in entries:
                notice = entry.name.partition(":")[0]
                if notice in notices:
                    found.add(notice)
        return found

    @staticmethod
    def _write(draft: str, content: bytes) -> None:
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123 -- a descriptor has no Path
                file.write(content)
        except OSError:
            # On a full disk, a partial draft would take up the little space that is left.
            if os.path.lexists(draft):
                os.unlink(draft)  # noqa: PTH108 -- see `send`
            raise

    def _clear_unfinished(self) -> None:
        """Remove unfinished drafts of writers that were killed: they are personal data."""
        too_old = time.time() - _UNFINISHED_AFTER
        for path in (self._folder / "tmp").iterdir():
            if path.stat().st_mtime < too_old:
                path.unlink(missing_ok=True)

    def _failure(self, error: OSError) -> OutsideError:
        return OutsideError(f"mailbox {self._folder}: {error.strerror or error}")

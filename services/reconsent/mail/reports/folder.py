"""A Maildir that reports are delivered to."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEEN: Final = ":2,S"
_UNSEEN: Final = ":2,"


def unread(folder: Path) -> Iterator[Path]:
    """Yield the mails that were delivered since the last time, in the order of their names.

    Anything that is not a file is left out: reading a pipe would never end. So is a mail that
    another process has taken meanwhile.
    """
    # A name begins with the time.
    yield from filter(Path.is_file, sorted((folder / "new").iterdir()))


def put_away(mail: Path, *, understood: bool) -> None:
    """Move a mail out of the way; one that was not understood stays unread for people.

    Another process that reads the same folder may have done so.
    """
    read = mail.parents[1] / "cur"
    read.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):
        mail.rename(read / f"{mail.name}{_SEEN if understood else _UNSEEN}")

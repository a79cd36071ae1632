"""Messages taken apart as far as reports need it, in time proportional to their size.

Anybody can send a report, so nothing here trusts one: nesting, fields and parts are limited, what
is not text is replaced, and nothing raises.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

_DEEPEST: Final = 4
_MOST_PARTS: Final = 100
_MOST_FIELDS: Final = 1000
_LONGEST_FIELD: Final = 2000
# mbox and pipes put such a line before a message.
_ENVELOPE: Final = re.compile(rb"\A\n*>?From [^\n]*\n")
_FIELD: Final = re.compile(r"([!-9;-~]+)[ \t]*:[ \t]*(.*)", re.DOTALL)
_TYPE: Final = re.compile(r"\s*([\w.+-]+/[\w.+-]+)", re.ASCII)
_BOUNDARY: Final = re.compile(
    r';\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE
)
_BLANK_LINES: Final = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
# It begins where no other character of an address is before it, or a long word would be read often.
_ADDRESS: Final = re.compile(r"(?<![^\s<>(),;:\"])[^\s<>(),;:\"]+@[^\s<>(),;:\"]+")

Fields = Mapping[str, Sequence[str]]
"""The fields of a header by their names in lower case, unfolded."""


class Part(NamedTuple):
    """A message or a part of one; lines end in LF."""

    fields: Fields
    content: bytes

    @property
    def type(self) -> str:
        """Its content type, in lower case."""
        found = _TYPE.match(first(self.fields, "content-type") or "text/plain")
        return found[1].lower() if found else "text/plain"

    @property
    def decoded(self) -> bytes:
        """Its content without its transfer encoding."""
        encoding = (first(self.fields, "content-transfer-encoding") or "").strip().lower()
        try:
            if encoding == "base64":
                return _lines(binascii.a2b_base64(self.content))
            if encoding == "quoted-printable":
                return _lines(binascii.a2b_qp(self.content))
        except binascii.Error:
            return b""
        return self.content

    @property
    def children(self) -> list[Part]:
        """The parts that it consists of."""
        found = _BOUNDARY.search(first(self.fields, "content-type") or "")
        if not found or not self.type.startswith("multipart/"):
            return []
        boundary = re.escape((found[1] or found[2]).rstrip().encode())
        pieces = re.split(rb"(?:\A|\n)--" + boundary + rb"(?:--)?[ \t]*(?=\n|\Z)", self.content)
        return [_part(piece.removeprefix(b"\n")) for piece in pieces[1 : _MOST_PARTS + 1]]


def message(content: bytes) -> Part:
    """Take a message apart."""
    return _part(_ENVELOPE.sub(b"", _lines(content), count=1).lstrip(b"\n"))


def multiparts(part: Part, depth: int = _DEEPEST) -> Iterator[list[Part]]:
    """Yield the parts of a message, and of those that consist of parts, from the outside in."""
    children = part.children
    if children:
        yield children
        if depth:
            for child in children:
                yield from multiparts(child, depth - 1)


def header(content: bytes) -> Fields:
    """Read the header that a text begins with."""
    return _fields(_text(content.lstrip(b"\n").partition(b"\n\n")[0]))


def groups(content: bytes) -> list[Fields]:
    """Read groups of fields with blank lines between them."""
    pieces = _BLANK_LINES.split(_text(content).strip("\n"), maxsplit=_MOST_PARTS)
    return [fields for piece in pieces[:_MOST_PARTS] if (fields := _fields(piece))]


def first(fields: Fields, name: str) -> str | None:
    """Return the first field of a name."""
    return next(iter(fields.get(name, ())), None)


def addresses(text: str) -> list[str]:
    """Return what looks like an address in a text."""
    return _ADDRESS.findall(text)


def text(part: Part) -> str:
    """Return a part's content as text, whatever its charset."""
    return _text(part.decoded)


def _part(content: bytes) -> Part:
    if content.startswith(b"\n"):
        return Part({}, content[1:])
    head, _, body = content.partition(b"\n\n")
    return Part(_fields(_text(head)), body)


def _fields(block: str) -> Fields:
    found: dict[str, list[str]] = {}
    # A line that begins with a blank continues the one before it.
    for line in islice(re.split(r"\n(?![ \t])", block), _MOST_FIELDS):
        if field := _FIELD.fullmatch(line[:_LONGEST_FIELD]):
            value = " ".join(field[2].split())
            found.setdefault(field[1].lower(), []).append(value)
    return found


def _lines(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")

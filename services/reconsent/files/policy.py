"""Policy files: reading one with its Markdown texts, and listing every mistake with its line.

`read` does not stop at the first mistake; `load` returns a version or raises an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from typing_extensions import override

from reconsent.domain.errors import BadInputError
from reconsent.domain.policy import PolicyVersion
from reconsent.files.lined_yaml import Place, parse
from reconsent.files.policy_mistakes import field_of, in_words, is_echo, unknown_key

if TYPE_CHECKING:
    from pathlib import Path

LARGEST: Final = 2_000_000
"""The most bytes of a policy file or one of its texts."""
_LONGEST_SHOWN: Final = 60


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake or warning; without a line it is about the whole file."""

    file: str
    line: int | None
    field: str
    message: str

    @override
    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.field, self.message) if part)


class PolicyFileError(BadInputError):
    """A policy file with mistakes, one per line, in the order of the file."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes


@dataclass(frozen=True, kw_only=True)
class PolicyFile:
    """A well-formed policy version, and the line of each place in its file."""

    version: PolicyVersion
    lines: Callable[[Place], int]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The result of reading a policy file: its version, where there is one, and its mistakes.

    There may be both: after an unknown key or an unreadable text the rest is still checked.
    """

    file: str
    version: PolicyVersion | None
    mistakes: tuple[Mistake, ...]
    lines: Callable[[Place], int]
    bodies: Mapping[str, str] = field(default_factory=dict)
    """The Markdown file of each locale whose text is not in the policy file itself."""

    def mistake(self, place: Place, message: str) -> Mistake:
        """Return a mistake at a place of the file."""
        return Mistake(
            file=self.file, line=self.lines(place), field=field_of(place), message=message
        )


def load(path: Path) -> PolicyFile:
    """Read a policy file. Raises PolicyFileError with all its mistakes."""
    reading = read(path)
    if reading.mistakes or reading.version is None:
        raise PolicyFileError(reading.mistakes)
    return PolicyFile(version=reading.version, lines=reading.lines)


def read(path: Path) -> Reading:
    """Read a policy file and the texts beside it, and list its mistakes in the file's order.

    Raises PolicyFileError if the file itself cannot be read.
    """
    document = parse(_policy_text(path))
    found = [
        Mistake(file=str(path), line=fault.line, field=field_of(fault.place), message=fault.message)
        for fault in document.faults
    ]

    def note(place: Place, message: str) -> None:
        line = document.line(place)
        found.append(Mistake(file=str(path), line=line, field=field_of(place), message=message))

    version, bodies = None, dict[str, str]()
    if document.root is not None:
        version = _version(_with_bodies(document.value, path.parent, note, bodies), note)
    found.sort(key=lambda mistake: mistake.line or 0)
    return Reading(
        file=str(path),
        version=version,
        mistakes=tuple(found),
        lines=document.line,
        bodies=bodies,
    )


def _policy_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _decoded(file.read(LARGEST + 1))
    except OSError as error:
        message, line = _reason(error), None
    except UnicodeDecodeError as error:
        message = f"byte {error.object[error.start]:#04x} is not valid UTF-8"
        line = error.object.count(b"\n", 0, error.start) + 1
    raise PolicyFileError((Mistake(file=str(path), line=line, field="", message=message),))


def _decoded(content: bytes) -> str:
    if len(content) > LARGEST:
        raise OSError(f"larger than {LARGEST:,} bytes")
    # So that the same text has the same hash, whatever its line ends.
    return content.decode("utf-8-sig").replace("\r\n", "\n")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _with_bodies(
    value: object, folder: Path, note: Callable[[Place, str], None], bodies: dict[str, str]
) -> object:
    """Return the content of the file, with each text's file name replaced by its Markdown.

    The path of each such file is put into `bodies`.
    """
    if not isinstance(value, dict) or not isinstance(value.get("texts"), dict):
        return value
    texts = {}
    for locale, text in value["texts"].items():
        texts[locale] = text
        if isinstance(text, dict) and isinstance(text.get("body"), str):
            try:
                texts[locale] = {**text, "body": _body(text["body"], folder)}
                if texts[locale] != text:
                    bodies[locale] = str(folder / text["body"])
            except ValueError as error:
                note(("texts", locale, "body"), str(error))
    return {**value, "texts": texts}


def _body(named: str, folder: Path) -> str:
    """Read the Markdown file that a text names; several lines are the body itself, as in events."""
    if not named.strip():
        raise ValueError("is empty")
    if "\n" in named:
        return named
    if not named.endswith(".md"):
        shown = named if len(named) <= _LONGEST_SHOWN else f"{named[: _LONGEST_SHOWN - 1]}…"
        raise ValueError(f"{shown!r} is not a Markdown file beside the policy file (NAME.md)")
    inside = folder.resolve()
    try:
        path = (inside / named).resolve()
        if not path.is_relative_to(inside):
            raise ValueError(f"{named!r} is outside the policy file's folder")
        if not path.is_file():
            raise ValueError(f"{named!r} is not a file in the policy file's folder")
        with path.open("rb") as file:
            body = _decoded(file.read(LARGEST + 1))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{named!r} is not valid UTF-8 in line {line}") from error
    except OSError as error:
        raise ValueError(f"{named!r} cannot be read: {_reason(error)}") from error
    if not body.strip():
        raise ValueError(f"{named!r} is empty")
    if "\0" in body:
        raise ValueError(f"{named!r} contains a NUL character")
    return body


def _version(value: object, note: Callable[[Place, str], None]) -> PolicyVersion | None:
    """Return a version from the content of the file, noting mistakes; unknown keys are ignored."""
    try:
        return PolicyVersion.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    for one in errors:
        if one["type"] == "extra_forbidden":
            note(one["loc"], unknown_key(one["loc"]))
            value = _without(value, one["loc"])
        elif not is_echo(one):
            note(one["loc"], in_words(one))
    try:
        return PolicyVersion.model_validate(value)
    except ValidationError:
        return None


def _without(value: Any, place: Place) -> Any:  # noqa: ANN401 (as deep as the file)
    first, *rest = place
    if isinstance(value, list):
        return [
            _without(item, tuple(rest)) if index == first else item
            for index, item in enumerate(value)
        ]
    if not rest:
        return {key: item for key, item in value.items() if key != first}
    return {**value, first: _without(value[first], tuple(rest))}

"""YAML and JSON files with the line of every value.

Scalars stay text as written, so that `version: 2017-06` and a locale `no` are text; only `null`
(also `~` and an empty value), `true` and `false` have their YAML meaning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import yaml

Place = tuple[str | int, ...]
"""A place in a file: keys and positions, from the outside in."""

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_IN_WORDS: Final = {
    "found character '\\t' that cannot start any token": "a tab, where YAML requires spaces",
    "mapping values are not allowed here": (
        "a ':' that does not belong here: text that holds ': ' needs quotes around it"
    ),
    "could not find expected ':'": "a key without a ':'",
    "found unexpected end of stream": "a quote that is never closed",
}
_WHERE_IT_BEGAN: Final = frozenset(
    {"while scanning a simple key", "while scanning a quoted scalar"}
)


class Fault(NamedTuple):
    """An error at a line (from 1) and a place of a file."""

    line: int
    place: Place
    message: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """A file's content (mappings, lists, text, booleans and None) and its faults."""

    value: object
    faults: tuple[Fault, ...]
    root: yaml.Node | None

    def line(self, place: Place) -> int:
        """Return the line (from 1) of a place, or of its parent if it does not exist."""
        node, line = self.root, _line(self.root)
        for step in place:
            if isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if pair[0].value == step), None)
                if pair is None:
                    break
                line, node = _line(pair[0]), pair[1]
            elif (
                isinstance(node, yaml.SequenceNode)
                and isinstance(step, int)
                and step < len(node.value)
            ):
                node = node.value[step]
                line = _line(node)
            else:
                break
        return line


def parse(text: str) -> Document:
    """Parse one YAML or JSON document; errors are in its faults, never raised."""
    try:
        root = yaml.compose(_without_tabs(text), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        return _unreadable(_syntax_fault(error))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return _unreadable(Fault(line, (), f"U+{error.character:04X}, which YAML forbids"))
    except RecursionError:
        return _unreadable(Fault(1, (), "is nested too deeply"))
    except ValueError as error:  # an escape such as \UFFFFFFFF
        return _unreadable(Fault(1, (), f"has an invalid escape ({error})"))
    if root is None:
        return _unreadable(Fault(1, (), "is empty"))
    reader = _Reader()
    value = reader.value(root, ())
    return Document(value=value, faults=tuple(reader.faults), root=root)


@dataclass
class _Reader:
    """Turns nodes into values; a node with aliases is read once."""

    faults: list[Fault] = field(default_factory=list)
    done: dict[yaml.Node, object] = field(default_factory=dict)
    begun: set[yaml.Node] = field(default_factory=set)

    def value(self, node: yaml.Node, place: Place) -> object:
        if node in self.done:
            return self.done[node]
        if node in self.begun:
            self._fault(node, place, "contains itself")
            return None
        self.begun.add(node)
        if isinstance(node, yaml.MappingNode):
            value: object = self._mapping(node, place)
        elif isinstance(node, yaml.SequenceNode):
            value = [self.value(item, (*place, i)) for i, item in enumerate(node.value)]
        elif isinstance(node, yaml.ScalarNode):
            value = self._scalar(node, place)
        else:  # YAML has no other nodes
            raise TypeError(node)
        self.done[node] = value
        return value

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, object]:
        mapping: dict[str, object] = {}
        lines: dict[str, int] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fault(key, place, "a key must be one word or text")
                continue
            name = self._text(key, place)
            if name in lines:
                self._fault(key, (*place, name), f"is given twice, first in line {lines[name]}")
                continue
            lines[name] = _line(key)
            mapping[name] = self.value(item, (*place, name))
        return mapping

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> object:
        if not node.tag.startswith("tag:yaml.org,2002:"):
            self._fault(node, place, f"the tag {node.tag} is not supported")
        if node.style is None and node.value in _NULLS:
            return None
        if node.style is None and node.value in _BOOLEANS:
            return _BOOLEANS[node.value]
        return self._text(node, place)

    def _text(self, node: yaml.ScalarNode, place: Place) -> str:
        text = str(node.value)
        try:  # JSON writes a character beyond U+FFFF as two escapes
            text = text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._fault(node, place, "contains a lone surrogate")
            return ""
        if "\0" in text:
            self._fault(node, place, "contains a NUL character")
            return text.replace("\0", "")
        return text

    def _fault(self, node: yaml.Node, place: Place, message: str) -> None:
        self.faults.append(Fault(_line(node), place, message))


def _line(node: yaml.Node | None) -> int:
    return int(node.start_mark.line) + 1 if node else 1


def _without_tabs(text: str) -> str:
    """Make JSON that is indented with tabs valid YAML; JSON strings have no literal tabs."""
    if "\t" not in text or not text.lstrip().startswith("{"):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text.replace("\t", " ")


def _unreadable(fault: Fault) -> Document:
    return Document(value=None, faults=(fault,), root=None)


def _syntax_fault(error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    if error.context in _WHERE_IT_BEGAN and error.context_mark:
        mark = error.context_mark
    problem = error.problem or "cannot be read"
    message = _IN_WORDS.get(problem) or ": ".join(
        part for part in ("not valid YAML", error.context, problem) if part
    )
    return Fault(mark.line + 1 if mark else 1, (), message)

"""Policy texts: Markdown as sites keep it, shown as HTML that brings nothing but text.

Front matter and HTML comments are never shown. Headings have ids, by which links within the text
find them. A link that leads nowhere is shown as text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import nh3
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

if TYPE_CHECKING:
    from markdown_it.rules_inline import StateInline

_TAGS: Final = {
    "a", "blockquote", "br", "code", "em", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p",
    "pre", "section", "strong", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES: Final = {"a": {"href", "id"}, "li": {"id"}, "ol": {"start"}} | {
    f"h{level}": {"id"} for level in range(2, 7)
}
_SIDES: Final = {"right", "center"}

_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_FRONT_MATTER: Final = re.compile(
    r"\A\s*?(?P<fence>---|\+\+\+)[ \t]*\n(?P<content>.*?)^(?P=fence)[ \t]*(?:\n|\Z)",
    re.DOTALL | re.MULTILINE,
)
_LONGEST_FRONT_MATTER: Final = 20_000
_OWN_ID: Final = re.compile(r"\s*\{#(?P<id>[^\s{}#]+)\}\s*\Z")
_NOT_IN_SLUG: Final = re.compile(r"[^\w\- ]")
_ANCHOR: Final = re.compile(r"<a\s+(?:id|name)\s*=\s*[\"']([^\"'<>\s]+)[\"']\s*(?:/>|>\s*</a>)")
_BREAK: Final = re.compile(r"<br\s*/?>")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_TAG: Final = re.compile(r"<(?![A-Z][A-Z _-]{2,99}>)[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*)?/?>")
AS_TEXT: Final = "is shown as it is written, as text"
_RAW_FOOTNOTE: Final = re.compile(r"\[\^[^\]\s]+\]")
_ID_OF_THE_PAGE: Final = re.compile(r"main|changes|text|rows|fn(ref)?\d.*")

Flaw = tuple[int, str]
"""A line of a text, from 1, and what readers would miss there."""


@lru_cache(maxsize=100)
def html(text: str) -> str:
    """Return Markdown as HTML without scripts, styles or images; no heading is an h1."""
    parsed = _Parsed.of(text)
    return nh3.clean(
        parsed.parser.renderer.render(parsed.tokens, parsed.parser.options, parsed.environment),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes={"td": _SIDES, "th": _SIDES},
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel="noopener noreferrer",
    )


def dead_ends(text: str) -> Iterator[Flaw]:
    """Yield the links and footnotes of a Markdown text that lead nowhere, and its pictures."""
    parsed = _Parsed.of(text)
    yield from parsed.flaws
    for label, number in parsed.environment.get("footnotes", {}).get("refs", {}).items():
        if number < 0:
            line = parsed.shown[: parsed.shown.find(f"[^{label[1:]}]:")].count("\n") + 1
            yield line, f"the footnote [^{label[1:]}] is not referred to, so it is not shown"


def tags(text: str) -> Iterable[str]:
    """Return the tags of HTML that open something, each once."""
    return dict.fromkeys(_TAG.findall(text))


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the words of each paragraph, heading and cell of a Markdown text."""
    line = 1
    for token in _Parsed.of(text).tokens:
        line = token.map[0] + 1 if token.map else line
        if token.type == "inline":
            yield line, _words_of(token)


def shown(text: str) -> str:
    """Return a Markdown text without front matter and comments, with the same lines."""
    matter = _FRONT_MATTER.match(text)
    if (
        matter
        and len(matter[0]) < _LONGEST_FRONT_MATTER
        and _is_data(matter["fence"], matter["content"])
    ):
        text = _blank(matter) + text[matter.end() :]
    return without_comments(text)


def without_comments(text: str) -> str:
    """Return a text without its HTML comments; an unclosed one goes on to the end of the text."""
    return _COMMENT.sub(_blank, text)


def _blank(found: re.Match[str]) -> str:
    """Return the line ends of what is removed; a space if the rest could join to a comment."""
    before = found.string[max(found.start() - 3, 0) : found.start()]
    return "\n" * found[0].count("\n") or " " * before.endswith(("<", "<!", "<!-"))


def _is_data(fence: str, content: str) -> bool:
    """Tell whether the text between fences is front matter, rather than text between rules."""
    try:
        found = tomllib.loads(content) if fence == "+++" else yaml.safe_load(content)
    except (ValueError, yaml.YAMLError, RecursionError):
        return False
    return found is None or isinstance(found, dict)


@dataclass
class _Parsed:
    """A parsed text, ready to be rendered, and what leads nowhere in it."""

    parser: MarkdownIt
    shown: str
    tokens: list[Token]
    environment: dict[str, dict[str, dict[str, int]]]
    flaws: list[Flaw]
    ids: dict[str, str]
    """The id of what each anchor names."""
    taken: dict[str, int] = field(default_factory=dict)
    """How many anchors wanted the same name."""

    @classmethod
    def of(cls, text: str) -> _Parsed:
        """Parse a text."""
        parser = MarkdownIt("commonmark", {"html": False}).enable("table").use(footnote_plugin)
        parser.add_render_rule("footnote_caption", _number)
        parser.inline.ruler.before("autolink", "simple_html", _simple_html)
        environment: dict[str, dict[str, dict[str, int]]] = {}
        source = shown(text)
        parsed = cls(parser, source, parser.parse(source, environment), environment, [], {})
        parsed._name_anchors()
        parsed._follow_links()
        parsed._lead_back()
        return parsed

    def _name_anchors(self) -> None:
        """Lower headings below the page's own, and give an id to everything that can be linked."""
        lower = any(token.tag == "h1" for token in self.tokens)
        for index, token in enumerate(self.tokens):
            if token.type in ("heading_open", "heading_close") and lower:
                token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
            if token.type == "heading_open":
                inside = self.tokens[index + 1]
                token.attrSet("id", self._name(_own_id(inside) or _slug(_words_of(inside))))
            if token.type in ("td_open", "th_open"):
                side = str(token.attrs.pop("style", "")).removeprefix("text-align:")
                if side in _SIDES:
                    token.attrSet("class", side)
            for child in token.children or ():
                if child.type == "anchor":
                    child.attrSet("id", self._name(str(child.attrs["id"])))

    def _name(self, anchor: str) -> str:
        """Return the id for an anchor, which is another one if it is taken."""
        name = anchor
        while name in self.ids:
            self.taken[anchor] = self.taken.get(anchor, 0) + 1
            name = f"{anchor}-{self.taken[anchor]}"
        self.ids[name] = f"text-{name}" if _ID_OF_THE_PAGE.fullmatch(name) else name
        return self.ids[name]

    def _follow_links(self) -> None:
        """Show links that lead nowhere as text, and pictures as what is said of them."""
        line = 1
        for token in self.tokens:
            line = token.map[0] + 1 if token.map else line
            if token.children:
                token.children = list(self._followed(token.children, line))

    def _lead_back(self) -> None:
        """Leave out the links from footnotes to places that are not shown."""
        shown_places = {
            (child.meta["id"], child.meta.get("subId", 0))
            for token in self.tokens
            for child in token.children or ()
            if child.type == "footnote_ref"
        }
        self.tokens = [
            token
            for token in self.tokens
            if token.type != "footnote_anchor"
            or (token.meta["id"], token.meta.get("subId", 0)) in shown_places
        ]

    def _followed(self, children: list[Token], line: int) -> Iterator[Token]:
        dead = False
        for child in children:
            line += child.type in ("softbreak", "hardbreak") and not child.markup.startswith("<")
            if child.type == "link_open":
                problem = self._problem(child)
                dead = problem is not None
                if problem:
                    self.flaws.append((line, problem))
            elif child.type == "image":
                self.flaws.append((line, "pictures are not shown, only their description"))
                yield _text(child.content)
                continue
            elif child.type == "text":
                for raw in _RAW_FOOTNOTE.findall(child.content):
                    self.flaws.append((line, f"the footnote {raw} has no text"))
                written = (tag for tag in tags(child.content) if tag in self.shown)
                self.flaws += [(line, f"{tag} {AS_TEXT}") for tag in written]
            if not (dead and child.type in ("link_open", "link_close")):
                yield child
            dead = dead and child.type != "link_close"

    def _problem(self, link: Token) -> str | None:
        """Return why a link leads nowhere; point one within the text to its id."""
        address = str(link.attrs.get("href", ""))
        if address.startswith("#"):
            anchor = unquote(address[1:])
            found = self.ids.get(anchor) or self.ids.get(anchor.lower())
            link.attrSet("href", f"#{found}")
            return None if found else f"the link to {address} leads nowhere: no heading has this id"
        if _SCHEME.match(address):
            return None
        return f"the relative link to {address or 'nothing'} leads nowhere: write the full address"


def _own_id(heading: Token) -> str | None:
    """Take off the id that a heading itself gives, as in `## Cookies {#cookies}`."""
    last = heading.children[-1] if heading.children else None
    found = _OWN_ID.search(last.content) if last and last.type == "text" else None
    if last is None or found is None:
        return None
    last.content = last.content[: found.start()]
    return found["id"]


def _slug(heading: str) -> str:
    """Return a heading's id, as GitHub makes it."""
    return _NOT_IN_SLUG.sub("", heading.strip().lower()).replace(" ", "-") or "section"


def _words_of(inline: Token) -> str:
    spoken = {"softbreak": " ", "hardbreak": " "}
    return "".join(
        child.content if child.type in ("text", "code_inline") else spoken.get(child.type, "")
        for child in inline.children or ()
    )


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _number(_: object, tokens: Sequence[Token], index: int, *__: object) -> str:
    """Return the number of a footnote, the same wherever it is referred to."""
    return f"[{tokens[index].meta['id'] + 1}]"


def _simple_html(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 (called by the parser)
    """Read the two HTML tags that texts need: a line break, and an empty anchor."""
    if state.src[state.pos] != "<":
        return False
    found = _ANCHOR.match(state.src, state.pos) or _BREAK.match(state.src, state.pos)
    if found is None:
        return False
    if not silent and found.re is _ANCHOR:
        state.push("anchor", "a", 1).attrs["id"] = found[1]
        state.push("anchor_close", "a", -1)
    elif not silent:
        state.push("hardbreak", "br", 0).markup = found[0]
    state.pos = found.end()
    return True

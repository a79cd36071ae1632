"""People who follow the link in their mail and answer on the page, over HTTP like a browser."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import httpx
from typing_extensions import override

from reconsent.domain.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reconsent.words.views import Site

_TIMEOUT: Final = 30.0

Fields = dict[str, str]


@dataclass(kw_only=True)
class Form:
    """The form of a page: hidden fields, and a field for each question."""

    hidden: Fields = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """A parsed page: its form, if any, and its links."""

    def __init__(self, html: str) -> None:
        """Parse the page."""
        super().__init__()
        self.form: Form | None = None
        self.links: list[str] = []
        self.feed(html)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Handle the start of an element."""
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "form":
            self.form = Form()
        elif tag == "input" and self.form:
            if given.get("type") == "hidden":
                self.form.hidden[given["name"]] = given.get("value", "")
            elif given.get("type") == "radio" and given["name"] not in self.form.questions:
                self.form.questions.append(given["name"])


def _allow_all(_: Form) -> Fields:
    return {"all": "allow"}


def _deny_all(_: Form) -> Fields:
    return {"all": "deny"}


def _by_turns(form: Form) -> Fields:
    return {name: ("allow", "deny")[turn % 2] for turn, name in enumerate(form.questions)}


def _first_only(form: Form) -> Fields:
    return dict.fromkeys(form.questions[:1], "allow")


@dataclass(frozen=True, kw_only=True)
class Manner:
    """A way to answer: at first, and after a change of mind."""

    name: str
    first: Callable[[Form], Fields]
    then: Callable[[Form], Fields] | None = None


_ALLOW = Manner(name="allow all", first=_allow_all)
_DENY = Manner(name="allow none", first=_deny_all)
_MIXED = Manner(name="answer question by question", first=_by_turns)
_PART = Manner(name="answer the first question only", first=_first_only)
_TURN = Manner(name="allow all, then change their mind", first=_allow_all, then=_deny_all)
# Used in turn, so that any ten people show every manner.
MANNERS: Final = (_ALLOW, _DENY, _MIXED, _ALLOW, _DENY, _TURN, _ALLOW, _DENY, _PART, _MIXED)


class Visitors:
    """Answers on the pages at a local URL, whatever host the links name."""

    def __init__(self, local_url: str, public: Site) -> None:
        """Visit the pages at a URL, as a proxy would that strips the path prefix of the site."""
        self._root = public.root
        self._browser = httpx.Client(
            base_url=local_url,
            headers={"Host": urlsplit(public.public_url).netloc},
            timeout=_TIMEOUT,
            trust_env=False,
        )
        self.pages = 0
        self.manners: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()

    def answer(self, link: str, manner: Manner) -> None:
        """Open a link and answer in some manner. Raises OutsideError if a page fails."""
        path = urlsplit(link).path
        page = self._get(path)
        if page.form is None:
            self.manners["find that nothing is left to ask"] += 1
            return
        receipt = self._post(path, page.form.hidden | manner.first(page.form))
        self.manners[manner.name] += 1
        if manner.then:
            back = _way_back(receipt.links, path)
            page = self._get(back)
            if page.form is None:
                raise OutsideError(f"{back}: has no form to change an answer")
            self._post(back, page.form.hidden | manner.then(page.form))

    def _get(self, path: str) -> Page:
        return self._page(self._call("GET", path))

    def _post(self, path: str, fields: Fields) -> Page:
        """Submit a form, and follow its redirect."""
        response = self._call("POST", path, fields)
        if not response.is_redirect:
            return self._page(response)
        return self._get(urlsplit(response.headers["location"]).path)

    def _call(self, method: str, path: str, fields: Fields | None = None) -> httpx.Response:
        self.pages += 1
        try:
            return self._browser.request(method, path.removeprefix(self._root), data=fields)
        except httpx.HTTPError as error:
            raise OutsideError(f"pages: {type(error).__name__}: {error}") from error

    @staticmethod
    def _page(response: httpx.Response) -> Page:
        if not response.is_success:
            request = f"{response.request.method} {response.request.url.path}"
            raise OutsideError(f"pages: {request} returned {response.status_code}")
        return Page(response.text)


def _way_back(links: Iterable[str], path: str) -> str:
    """Return the path of the link on a receipt that leads back to the questions."""
    found = next((link for link in links if urlsplit(link).path.startswith(path)), None)
    if found is None:
        raise OutsideError(f"{path}/receipt: has no link to change an answer")
    return urlsplit(found).path

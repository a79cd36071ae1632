"""Everything that the program answers about a database, as JSON."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

import httpx
import psycopg

from tests.acceptance.forms import Page
from tests.acceptance.versions import EMAIL
from tests.html import Page as Html
from tests.upgrade.cast import SHOP, VERSIONS
from tests.upgrade.place import Json, Place

_TIMES: Final = ("2098-01-01T00:00:00Z", "2099-12-31T00:00:00Z")
"""Before and after the shop's v4 takes effect."""
PRINTED: Final = ("changed", "forgotten")
KEPT: Final = ("c-1881", "ja, gjerne", "Åse Øy", "Europe/Berlin", "moved@people.test")
"""Texts that no command prints: evidence, a name, a time zone, an address."""
FORGOTTEN: Final = ("forgotten@people.test", "buried@people.test", "child-later@people.test")
_LEFT_OUT: Final = ("services",)


def read(place: Place, mails: list[Json]) -> Json:
    """Read all answers."""
    run = place.world.run
    notices = place.notices("--letters")
    told = stories(place)
    status = run("status", "--json").json
    links = [path for mail in mails for path in _paths(urlsplit(mail["link"] or "").path)]
    pages = {path: page(place.web, path) for path in (*links, *_for_everyone())}
    return {
        "notices": [_with_hashes(notice) for notice in notices],
        "stories": told,
        "commands": {name: _as_printed(place, name) for name in PRINTED},
        "permits": permits(place, told),
        "erasures": run("erasures", "--json").ndjson,
        "status": {name: value for name, value in status.items() if name not in _LEFT_OUT},
        "releases": run("release", "list", "--json").ndjson,
        "dead_letters": [
            run("dead-letters", "show", one["id"], "--json").json
            for one in run("dead-letters", "list", "--json").ndjson
        ],
        "kept": kept(place.conninfo),
        "pages": {path: shown for path, (shown, _) in pages.items()},
        "words": {path: words for path, (_, words) in pages.items()},
    }


def _as_printed(place: Place, name: str) -> Json:
    """Return what the commands print of an account of the shop; the API has it of all accounts."""
    of = (name, "--property", SHOP, "--json")
    return {
        "explain": place.world.run("explain", *of).json,
        "consents": place.world.run("consents", *of).ndjson,
    }


def permits(place: Place, told: Json) -> Json:
    """Check every use that any version declares, of everything held, by every recipient."""
    checks = [
        {
            "property": story["property"],
            "account": story["account"],
            "data_category": held["data_category"],
            "collected_under": held["collected_under"],
            "data_use": use,
            "recipient": recipient,
            "at": at,
        }
        for story in told.values()
        for held in story["holds"] or [_nothing(story["property"])]
        for use, recipient in _declared(story["property"])
        for at in _TIMES
    ]
    given = "".join(f"{json.dumps(check)}\n" for check in checks)
    answers = place.world.run("permit", "--file", "-", "--evidence", stdin=given).ndjson
    return {_name(check): answer for check, answer in zip(checks, answers, strict=True)}


def _name(check: Json) -> str:
    return " ".join(str(value) for value in check.values())


def _nothing(site: str) -> Json:
    """Return what is checked of an account that holds nothing."""
    first = next(one["version"] for one in VERSIONS if site in one["properties"])
    return {"data_category": EMAIL, "collected_under": first}


def _declared(site: str) -> list[tuple[str, str]]:
    """Return the uses and recipients of all versions of a property's policy, and one more."""
    found = {
        (use, recipient)
        for version in VERSIONS
        if site in version["properties"]
        for row in version["declares"]
        for use in row["uses"]
        for recipient in (version["controller"], *row["recipients"])
    }
    return sorted(found | {("marketing", "example")})


def stories(place: Place) -> Json:
    """Read the stories of all accounts that events have told of and the program knows."""
    names = {
        (row["property"], row["account"])
        for topic, rows in place.emitted
        if topic in {"accounts", "collections"}
        for row in rows
        if "property" in row
    }
    found = {f"{site}/{name}": place.story(site, name) for site, name in sorted(names)}
    return {name: story for name, story in found.items() if story is not None}


def kept(conninfo: str) -> dict[str, bool]:
    """Tell which texts are anywhere in the database but in the log of events."""
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename NOT LIKE 'bus%'"
        ).fetchall()
        anywhere = " OR ".join(
            f"EXISTS (SELECT FROM {table} AS one WHERE strpos(one::text, %(text)s) > 0)"
            for (table,) in rows
        )
        query = f"SELECT {anywhere}".encode()
        return {
            text: bool(connection.execute(query, {"text": text}).fetchall()[0][0])
            for text in (*KEPT, *FORGOTTEN)
        }


def _with_hashes(notice: Json) -> Json:
    """Replace the long texts of a mail by their hashes."""
    letter = notice["letter"]
    if letter is None:
        return notice
    hashed = {part: sha256(letter[part].encode()).hexdigest() for part in ("text", "html")}
    return notice | {"letter": letter | hashed}


def _paths(link: str) -> list[str]:
    if "/c/" in link:
        return [link, f"{link}/answers", f"{link}/receipt"]
    return [link] if link else []


def _for_everyone() -> list[str]:
    policies = sorted({version["policy"] for version in VERSIONS})
    sites = sorted({site for version in VERSIONS for site in version["properties"]})
    return [
        "/policies",
        *(f"/policies/{policy}" for policy in policies),
        *(f"/policies/{one['policy']}/{one['version']}" for one in VERSIONS),
        *(f"/properties/{site}/notice.json" for site in sites),
        *(f"/properties/{site}/notice.json?locale=nb" for site in sites),
    ]


def page(web: httpx.Client, path: str) -> tuple[Json, str]:
    """Open a page; return its status and what its form asks, and its words."""
    response = web.get(path)
    found: Json = {"status": response.status_code}
    if response.status_code == httpx.codes.NO_CONTENT:
        return found, ""
    if response.headers["content-type"].startswith("application/json"):
        return found | {"json": response.json()}, ""
    form = Page.of(response.text)
    asked = {"asks": sorted(map(list, form.asks)), "language": form.language}
    return found | asked, Html(response.text).one("main").text

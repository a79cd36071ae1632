"""policy check, diff, preview and publish: mistakes are reported before anything is published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.outside import Json, World
from tests.acceptance.people import account, collection
from tests.acceptance.versions import CALLS, EMAIL, OFFERS, PHONE, SERVICE, V2, V3, Row, version


def test_a_published_version_never_changes(shop: World) -> None:
    """The same file again changes nothing; another one under its name is refused with its place."""
    again = shop.run("policy", "publish", shop.policy_file(V3), "--json").json
    assert again == {"policy": "shop", "version": "v3", "new": False}
    path = shop.policy_file(V3 | {"controller": "adpartner"})
    for command in ("publish", "check", "preview"):
        told = shop.run("policy", command, path, code=2).err.splitlines()
        assert f"{path}:2: version: " in told[0]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"follows": "v1"}, "follows"),
        ({"follows": None}, "follows"),
        ({"effective_at": "2019-01-01T00:00:00Z"}, "effective_at"),
        ({"properties": ["other.example"]}, "properties"),
        ({"policy": "other", "follows": None}, "properties.0"),
        ({"zebra": 1}, "zebra"),
        ({"declares": [{"data": "a..b", "uses": [SERVICE]}]}, "declares.0.data"),
        ({"texts": {}}, "texts"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_version_that_cannot_be_is_refused(shop: World, changed: Json, told: str) -> None:
    """Check and publish name file, line and field; nothing is published."""
    path = shop.policy_file(version("v4", "v3", (EMAIL, [SERVICE], [])) | changed)
    for command in ("check", "publish"):
        ended = shop.run("policy", command, path, code=2)
        place, field, _ = ended.complaint.removeprefix("reconsent: ").split(": ", 2)
        assert field == told
        assert place.startswith(f"{path}:")
        assert place.rsplit(":", 1)[1].isdigit()


def test_check_explains_every_mistake(shop: World) -> None:
    """All mistakes come at once, a line each in the file's order, and as JSON."""
    wrong = {"effective_at": "soon", "controller": "Nobody!", "zebra": 1}
    path = shop.policy_file(version("v4", "v9", (EMAIL, [SERVICE], [])) | wrong)
    lines = shop.run("policy", "check", path, code=2).err.splitlines()
    assert len(lines) >= 3
    numbers = [int(line.removeprefix(f"{path}:").split(":")[0]) for line in lines]
    assert numbers == sorted(numbers)
    found = shop.run("policy", "check", path, "--json", code=2).json
    assert {mistake["field"] for mistake in found["mistakes"]} >= {
        "effective_at",
        "controller",
        "zebra",
    }
    unworded = version("v4", "v3", (EMAIL, ["juggling"], []), (PHONE, [SERVICE], []))
    warned = shop.run("policy", "check", shop.policy_file(unworded))
    assert "juggling" in warned.err


def test_check_warns_of_what_readers_would_stumble_over(shop: World) -> None:
    """Each flaw of a text comes with the file and the line where it stands; it can be published."""
    body = (
        "---\nlayout: legal\n---\n\n# Privacy\n\n<!-- Ask Bob. -->\n\n"
        "We, [COMPANY], keep [some](#gone)\nand [more](../more.html) for {{ period }}.\u202e\n"
    )
    texts = {"en": {"title": "Privacy", "summary": "Click %choose_link%", "body": body}}
    path = shop.policy_file(version("v4", "v3", (EMAIL, [SERVICE], []), texts=texts))
    told = shop.run("policy", "check", path).err.splitlines()
    [summary] = [line for line in told if "%choose_link%" in line]
    assert summary.startswith(f"{path}:")
    assert ": texts.en.summary: " in summary
    beside = str(path.with_suffix(".en.md"))
    found = [line.removeprefix(f"{beside}:") for line in told if line.startswith(beside)]
    assert [line.split(" ")[0] for line in found] == ["9:", "9:", "10:", "10:", "10:"]
    for flaw in ("[COMPANY]", "#gone", "../more.html", "{{ period }}", "U+202E"):
        assert sum(flaw in line for line in found) == 1
    as_json = shop.run("policy", "check", path, "--json").json
    assert {(one["file"], one["line"]) for one in as_json["warnings"]} >= {
        (beside, 9),
        (beside, 10),
    }


def test_diff_says_what_changes(shop: World) -> None:
    """Exit 1 if versions differ; a new use is material and concerns stored data."""
    old, new = shop.policy_file(V2), shop.policy_file(V3)
    assert OFFERS in shop.run("policy", "diff", old, new, code=1).out
    found = shop.run("policy", "diff", old, new, "--json", code=1).json
    [added] = [change for change in found["changes"] if change["kind"] == "new_use"]
    assert (added["data_category"], added["data_use"]) == (EMAIL, OFFERS)
    assert added["material"] is added["stored_data"] is True
    [dropped] = [change for change in found["changes"] if change["kind"].startswith("dropped")]
    assert (dropped["material"], dropped["stored_data"]) == (False, False)
    same = shop.run("policy", "diff", old, old, "--json").json
    assert (same["changes"], same["material"]) == ([], False)


def test_preview_counts_before_anything_is_published(shop: World) -> None:
    """The counts add up, the mails and pages are written as files, and nobody is asked."""
    draft = version("v4", "v3", *[(EMAIL, [SERVICE, "juggling"], [])])
    path = shop.policy_file(draft)
    folder = shop.folder / "drafts"
    found = shop.run("policy", "preview", path, "--mail", folder, "--json").json
    assert set(found) == {
        "accounts", "choice", "information", "suppressed", "untouched",
        "ending", "ending_asked", "continuing", "rollout_seconds",
    }  # fmt: skip
    told = found["choice"] + found["information"] + found["untouched"]
    assert found["accounts"] == told + sum(found["suppressed"].values())
    assert found["suppressed"]["all_comms_opt_out"] == 1
    assert found["suppressed"]["minor"] == 1
    assert found["choice"] >= 1
    written = {file.name: file.read_text("utf-8") for file in folder.iterdir()}
    assert any("juggling" in text for text in written.values())
    assert any("<fieldset" in text for text in written.values())
    assert shop.run("notices", "--policy-version", "v4").out == ""
    shop.run("policy", "preview", path, "--mail", path, code=2)


def _draft_for_people(shop: World) -> Path:
    """Load people with several locales and data; return the file of a version that asks them."""
    people = {"ada": "nb", "ben": "nb", "cleo": "en", "dan": "nb", "eva": "en", "fay": "nb"}
    silent: dict[str, Json] = {"eva": {"minor": True}, "fay": {"status": "deactivated"}}
    texts = {
        locale: {"title": f"Policy {locale}", "summary": "What changes.", "body": "Words."}
        for locale in ("en", "nb", "da")
    }
    site = {"policy": "previewed", "properties": ["previewed.example"], "texts": texts}
    first = version("a1", None, (EMAIL, [SERVICE], []), (PHONE, [SERVICE], []), **site)
    shop.run("policy", "publish", shop.policy_file(first))
    at = {"property": "previewed.example"}
    known = [
        account(name, **at, locale=locale, **silent.get(name, {}))
        for name, locale in people.items()
    ]
    shop.take("import", "accounts", known)
    held = [collection(name, **at, collected_under="a1") for name in people]
    # Only they hold a telephone number, and nobody may write to them.
    phones = {"collected_under": "a1", "data_category": PHONE}
    held += [collection(name, **at, **phones) for name in silent]
    shop.take("import", "collections", held)
    more: list[Row] = [(EMAIL, [SERVICE, OFFERS], []), (PHONE, [SERVICE, CALLS], [])]
    return shop.policy_file(version("a2", "a1", *more, **site))


def test_the_mails_that_would_go_are_written(shop: World) -> None:
    """Each question and locale, most frequent first, as they are sent; none that nobody gets."""
    path = _draft_for_people(shop)
    folder = shop.folder / "previewed"
    told = shop.run("policy", "preview", path, "--mail", folder).out
    index = json.loads((folder / "mails.json").read_text("utf-8"))
    assert [(row["kind"], row["locale"], row["accounts"], row["questions"]) for row in index] == [
        ("choice", "nb", 3, 1), ("choice", "en", 1, 1),
    ]  # fmt: skip
    assert {file.name for file in folder.iterdir()} == {
        "mails.json", "preview.css", *(name for row in index for name in row["files"]),
    }  # fmt: skip
    page = (folder / "01-choice.nb.page.html").read_text("utf-8")
    assert '<link rel="stylesheet" href="preview.css">' in page
    assert "static/" not in page
    assert "3 would get" in told
    written = (folder / "01-choice.nb.mail.txt").read_text("utf-8")

    (folder / "notes.txt").write_text("Approved.", "utf-8")
    told = shop.run("policy", "preview", path, "--mail", folder, "--at-most", "1").out
    assert "1 more mail for 1 account: not written, because of --at-most" in told
    [left] = json.loads((folder / "mails.json").read_text("utf-8"))
    assert {file.name for file in folder.iterdir()} == {
        "mails.json", "preview.css", "notes.txt", *left["files"],
    }  # fmt: skip

    shop.run("policy", "publish", path)
    shop.work()
    sent = shop.mails("ada@people.test")[-1]
    assert sent.link
    link = f"{shop.url}/c/preview"
    assert f"{sent.subject}\n\n{sent.text}".replace(sent.link, link).split() == written.split()

"""The demo from outside: it prints what the commands print."""

from __future__ import annotations

import json
import re
import shlex
import socket
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from tests.acceptance.outside import World

PEOPLE = 300
_COUNTS = re.compile(r"^(?P<label>\S.*?|  \S.*?)\s{2,}(?P<counts>[\d,]+(?:\s+[\d,]+)*)\s*$")


def _steps(told: str) -> dict[str, list[str]]:
    """Return the lines of each numbered step."""
    parts = re.split(r"^(\d)\. .*\n", told, flags=re.MULTILINE)
    return {
        number: text.splitlines() for number, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def _counts(lines: list[str]) -> dict[str, int]:
    """Read the last column of a step's tables: all policies together."""
    found = (_COUNTS.match(line) for line in lines)
    return {
        match["label"].strip(): int(match["counts"].split()[-1].replace(",", ""))
        for match in found
        if match
    }


@dataclass(frozen=True, kw_only=True)
class Told:
    """The output of two runs of the demo in one home, and the home."""

    world: World
    first: dict[str, list[str]]
    again: dict[str, list[str]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Run the demo twice in the same place."""
    world = World(tmp_path_factory.mktemp("demo"))
    first, again = (world.run("demo", "--once", "--accounts", str(PEOPLE)) for _ in range(2))
    assert (first.err, again.err) == ("", "")
    return Told(world=world, first=_steps(first.out), again=_steps(again.out))


def _became(world: World) -> Counter[str]:
    """Return the state of each account's last notice, as `reconsent notices` lists them."""
    notices = world.run("notices", "--policy-version", "2026-12", "--json").ndjson
    became: Counter[str] = Counter()
    for _, run in groupby(notices, key=lambda notice: (notice["property"], notice["account"])):
        *_, last = run
        if last["suppression"]:
            became[f"left out: {last['suppression']}"] += 1
        elif last["state"] == "superseded":
            became["answered before a mail went out"] += 1
        elif last["kind"] == "information":
            became["informed by mail"] += last["state"] == "accepted"
        else:
            became[f"asked by mail, {last['settled'] or 'still open'}"] += 1
    return became


def test_the_summary_says_what_the_notices_say(told: Told) -> None:
    """Each line of the summary is what `reconsent notices` lists, and the lines add up."""
    counts = _counts(told.first["7"])
    became = _became(told.world)
    summed = {label: counts.get(label, 0) for label in became}
    assert summed == dict(became)
    assert min(became["asked by mail, answered"], became["asked by mail, still open"]) > 0
    assert min(became["informed by mail"], became["left out: all_comms_opt_out"]) > 0
    begins = ("asked", "informed", "left out", "answered before", "not affected", "deleted")
    parts = sum(count for label, count in counts.items() if label.startswith(begins))
    assert counts["people"] == PEOPLE == parts


def test_the_mailbox_holds_one_mail_for_each_mailed_account(told: Told) -> None:
    """The mailbox has as many mails as people were asked or informed."""
    counts = _counts(told.first["7"])
    mailed = sum(n for label, n in counts.items() if label.startswith(("asked", "informed")))
    assert len(list((told.world.home / "mail" / "new").iterdir())) == mailed


def test_the_preview_is_what_is_planned(told: Told) -> None:
    """The preview of the new versions counts what the planner then plans."""
    previewed: Counter[str] = Counter()
    for line in told.first["2"]:
        if match := _COUNTS.match(line):
            previewed[match["label"]] += int(match["counts"].replace(",", ""))
    planned = _counts(told.first["3"])
    assert previewed["would be asked for a choice"] == planned["choice: due"] > 0
    assert previewed["would be sent information"] == planned["information: due"] > 0
    left_out = sum(n for label, n in previewed.items() if label.startswith("left out"))
    assert left_out == sum(n for label, n in planned.items() if "suppressed" in label) > 0


def test_answers_on_the_page_are_in_the_ledger(told: Told) -> None:
    """People said yes and no on the page and elsewhere, and the entries add up."""
    counts = _counts(told.first["7"])
    channels = {"page", "telephone", "app"}
    said = {f"{answer}, by {channel}" for answer in ("yes", "no") for channel in channels}
    assert all(counts[label] > 0 for label in said)
    assert counts["answers in the ledger"] == sum(counts[label] for label in said)


def test_again_changes_nothing(told: Told) -> None:
    """A second run in the same place records, sends and asks nothing new, and says so."""
    for lines in (told.again["1"], told.again["2"]):
        published = [line for line in lines if "published" in line]
        assert all("already" in line or "earlier run" in line for line in published)
    imported = [line for line in told.again["1"] if " read: " in line]
    assert len(imported) == 2
    assert all(": 0 new, " in line for line in imported)
    assert "0 new entries in the ledger" in told.again["6"]
    assert told.again["7"] == told.first["7"]


def test_the_permission_checks_can_be_typed(told: Told) -> None:
    """Each check that the demo shows gives the same answer when it is typed: a yes and a no."""
    answers = []
    for command, answer in zip(told.first["8"], told.first["8"][1:], strict=False):
        if not command.startswith("$ "):
            continue
        _, typed = command.split(" permit ")
        asked = told.world.run(
            "permit", *shlex.split(typed), code=0 if answer.startswith("allowed") else 1
        )
        assert asked.out.strip() == answer
        answers.append(answer.partition(",")[0])
    assert "allowed: declared" in answers
    assert "allowed: consented" in answers or "denied: not_effective_yet" in answers
    assert "denied: suppressed (all_comms_opt_out)" in answers


def test_a_taken_port_is_no_obstacle(tmp_path: Path) -> None:
    """If no address is set and port 8000 is in use, pages and mails use another port."""
    world = World(tmp_path)
    unset = {"RECONSENT_LISTEN": "", "PUBLIC_URL": ""}
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 8000))
        except OSError:
            pytest.skip("another program holds port 8000, and may let it go at any moment")
        other.listen()
        run = world.run("demo", "--once", "--accounts", "30", environment=unset)
    site = next(line.split()[-1] for line in run.out.splitlines() if line.startswith("the site"))
    url = site.removesuffix("/policies")
    assert url.startswith("http://127.0.0.1:")
    assert url != "http://127.0.0.1:8000"
    mails = [path.read_text("utf-8") for path in (world.home / "mail" / "new").iterdir()]
    assert any(f"{url}/c/" in mail for mail in mails)
    assert not any("http://127.0.0.1:8000/" in mail for mail in mails)


def test_made_up_people_never_mix_with_real_ones(tmp_path: Path) -> None:
    """The demo rejects a database with other data in one line, and does not change it."""
    world = World(tmp_path)
    somebody = {
        "property": "real.example", "account": "a", "status": "active", "contact": "all",
        "updated_at": "2026-11-01T00:00:00Z",
    }  # fmt: skip
    world.run("import", "accounts", "-", stdin=json.dumps(somebody))
    run = world.run("demo", "--once", "--accounts", "3", code=2)
    assert run.out == ""
    assert "real.example" in run.complaint
    assert not (world.home / "mail").exists()


def test_real_mail_is_never_sent(tmp_path: Path) -> None:
    """The demo refuses to run if mail would leave this machine."""
    provider = {"MAIL_URL": "sendgrid://", "SENDGRID_API_KEY": "SG.made-up"}
    run = World(tmp_path).run("demo", "--once", "--accounts", "3", code=2, environment=provider)
    assert run.complaint.startswith("reconsent: MAIL_URL: ")

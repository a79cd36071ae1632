"""Bounces and complaints that come as mails, from outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from uuid import uuid4

import pytest

from tests.acceptance.outside import Json, World
from tests.acceptance.people import account, ask
from tests.mail_reports import report
from tests.stand_ins.smtp_server import MailServer, Taken, running

_PEOPLE: Final = ("ann", "bea", "cal", "dot", "eve", "fay", "gus")


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    """A mail server."""
    with running(MailServer()) as running_:
        yield running_


@pytest.fixture(scope="module")
def mailed(world: World, server: MailServer) -> World:
    """A shop whose people were asked over SMTP."""
    world.environment |= {
        "MAIL_URL": server.url("starttls=never"),
        "MAIL_FROM": "Privacy <privacy@shop.example>",
        "RECONSENT_RETURN_PATH": "bounces@shop.example",
    }
    ask(world, [account(name) for name in _PEOPLE])
    return world


def _taken(server: MailServer, name: str) -> Taken:
    [taken] = [one for one in server.taken if one.recipients == [f"{name}@people.test"]]
    return taken


def _report(server: MailServer, form: str, name: str, *, notice: str | None = None) -> bytes:
    """Return a report about somebody's mail; it has the return path, or the given notice."""
    sender = "privacy@shop.example" if notice else _taken(server, name).sender
    email = f"{name}@people.test"
    return report(form, notice=notice or "lost", email=email, return_path=sender)


def _state(world: World, name: str) -> str:
    [notice] = world.run("notices", "--account", name, "--property", "shop.example").ndjson
    return str(notice["state"])


def _counts(**counts: int) -> Json:
    return dict.fromkeys(["read", "new", "unchanged", "refused", "not_ours"], 0) | counts


def test_a_report_from_a_pipe_counts_once(mailed: World, server: MailServer) -> None:
    """The return path names the notice; the same report again changes nothing."""
    content = _report(server, "postfix-unknown", "ann")
    first = mailed.run("mail-report", "-", "--json", stdin=content)
    assert first.json == _counts(read=1, new=1)
    assert _state(mailed, "ann") == "bounced"
    again = mailed.run("mail-report", "-", stdin=content)
    assert again.out == "1 read: 0 new, 1 unchanged, 0 refused, 0 not ours\n"


def test_the_recipient_may_be_given(mailed: World, server: MailServer) -> None:
    """Where the mail server does not write it into the mail."""
    content = report(
        "ses", notice="lost", email="bea@people.test", return_path="bounces@shop.example"
    ).replace(b"Final-Recipient", b"X-Recipient")
    refused = mailed.run("mail-report", "-", "--only-signed", stdin=content, code=2)
    assert "no return path that was signed here" in refused.complaint
    sender = _taken(server, "bea").sender
    mailed.run("mail-report", "-", "--only-signed", "--recipient", sender, stdin=content)
    assert _state(mailed, "bea") == "bounced"


def test_a_maildir_is_emptied(mailed: World, server: MailServer) -> None:
    """Its reports are recorded, and what is no report stays unread for people."""
    folder = mailed.folder / "bounces"
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir(parents=True)
    mails = {
        "1": _report(server, "yahoo-complaint", "cal"),
        "2": _report(server, "vacation", "dot"),
        "3": _report(server, "postfix-delivered", "eve"),
        "4": _report(server, "exim-unknown", "fay", notice=str(uuid4())),
        "5": _report(server, "postfix-relayed", "fay"),
    }
    for name, content in mails.items():
        (folder / "new" / name).write_bytes(content)
    done = mailed.run("mail-report", folder, "--json")
    assert done.json == _counts(read=5, new=2, refused=1, not_ours=1)
    assert done.complaint.startswith(f"{folder / 'new' / '2'}: not a report: ")
    assert sorted(path.name for path in (folder / "cur").iterdir()) == [
        "1:2,S", "2:2,", "3:2,S", "4:2,S", "5:2,S",
    ]  # fmt: skip
    assert mailed.run("mail-report", folder, "--json").json == _counts()
    states = {name: _state(mailed, name) for name in ("cal", "dot", "eve", "fay")}
    assert states == {"cal": "complained", "dot": "accepted", "eve": "delivered", "fay": "accepted"}


def test_a_report_may_name_only_the_address(mailed: World) -> None:
    """It counts for the mailbox, and for what it was sent."""
    content = report(
        "gmail", notice="lost", email="gus@people.test", return_path="privacy@shop.example"
    )
    assert mailed.run("mail-report", "-", "--json", stdin=content).json == _counts(read=1, new=1)
    assert _state(mailed, "gus") == "bounced"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a report"),
        (b"Subject: Hello\n\nWorld\n", "not a report"),
        (b"\xff\0" * 1000, "not a report"),
        (b"x" * (16 * 1024 * 1024 + 1), "larger than 16 MB"),
    ],
    ids=["nothing", "a mail", "bytes", "large"],
)
def test_what_is_not_a_report_is_refused(mailed: World, content: bytes, complaint: str) -> None:
    """In one line, with exit code 2."""
    refused = mailed.run("mail-report", "-", stdin=content, code=2)
    assert refused.complaint.startswith(f"reconsent: standard input: {complaint}")


def test_an_outage_asks_to_try_again(mailed: World, server: MailServer) -> None:
    """With exit code 3, which tells the mail server to keep the mail; a missing file is not one."""
    content = _report(server, "postfix-unknown", "ann")
    away = {
        "DATABASE_URL": "postgresql://127.0.0.1:1/away",
        "RECONSENT_SECRET": "another secret",
        "RECONSENT_RETURN_PATH": "",
    }
    content = content.replace(
        b"X-Reconsent-Notice: lost", f"X-Reconsent-Notice: {uuid4()}".encode()
    )
    assert mailed.run("mail-report", "-", stdin=content, code=3, environment=away).complaint
    mailed.run("mail-report", mailed.folder / "missing", code=2)
    mailed.run("mail-report", mailed.folder, code=2)

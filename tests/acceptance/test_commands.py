"""The commands: output, exit codes and messages about mistyped lines."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.acceptance.outside import Ended, Json, World
from tests.acceptance.people import ANN, CY, KIM, SHOP, choice, collection
from tests.acceptance.versions import EMAIL, OFFERS, V1, V2, V3

COMMANDS = [
    *("demo", "up", "run", "migrate", "import", "emit", "permit", "explain", "notices"),
    *("consents", "erasures", "status", "policy"),
    *("policy check", "policy diff", "policy preview", "policy publish"),
]
NOTICE = {
    *("notice", "property", "account", "policy", "policy_version", "sequence", "kind", "state"),
    *("suppression", "settled", "asks"),
}
CONSENT = {
    *("event_state", "data_category", "collected_under", "data_use", "recipient"),
    *("policy_version", "channel", "notice", "text_hash", "decided_at", "recorded_at"),
}


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_explains_itself(shop: World, command: str) -> None:
    """--help says what a command does, and needs neither a home nor a database."""
    nowhere = {"RECONSENT_HOME": "/dev/null/nowhere", "DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    helped = shop.run(*command.split(), "--help", environment=nowhere)
    assert helped.out.startswith(f"Usage: reconsent {command}".rstrip())
    assert len(helped.out.splitlines()) > 4
    assert helped.err == ""


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("nonsense", "nonsense"),
        ("run", "SERVICE"),
        ("run nothing", "nothing"),
        ("permit --property p --category c --use u", "ACCOUNT"),
        ("permit ann --property p --category c", "--use"),
        ("permit ann --property p --category a..b --use u", "--category"),
        ("permit ann --property p --category c --use u --at yesterday", "--at"),
        ("permit ann --file -", "--file"),
        ("import mail-events x", "mail-events"),
        ("import accounts", "FILE"),
        ("notices --state lost", "lost"),
        ("consents ann", "--property"),
        ("consents nobody --property shop.example", "nobody"),
        ("explain nobody --property shop.example", "nobody"),
        ("demo --accounts 0", "--accounts"),
    ],
)
def test_a_mistyped_command_is_reported_in_a_line(shop: World, arguments: str, named: str) -> None:
    """Whatever is wrong with what was typed: exit 2, one line that names it, nothing printed."""
    ended = shop.run(*arguments.split(), code=2)
    assert named.lower() in ended.complaint.lower()
    assert ended.out == ""


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("DATABASE_URL", "postgresql://someone@127.0.0.1:1/reconsent", 3),
        ("DATABASE_URL", "nonsense", 2),
        ("MAIL_URL", "pigeon://coop", 2),
        ("MAIL_URL", "sendgrid://", 2),
        ("MAIL_FROM", "nobody", 2),
        ("PUBLIC_URL", "privacy", 2),
        ("RECONSENT_LISTEN", "8000", 2),
        ("RECONSENT_HOME", "/dev/null/home", 3),
    ],
)
def test_a_wrong_setting_is_reported_in_a_line(
    shop: World, name: str, value: str, code: int
) -> None:
    """An invalid setting ends with 2, a failing database or folder with 3."""
    changed = {name: value, "RECONSENT_SECRET": "a-secret"}
    if name == "RECONSENT_HOME":
        changed["RECONSENT_SECRET"] = ""
    ended = shop.run("run", "dispatcher", "--until-idle", environment=changed, code=code)
    assert (name if code == 2 or name == "RECONSENT_HOME" else "127.0.0.1") in ended.complaint or (
        value == "sendgrid://" and "SENDGRID_API_KEY" in ended.complaint
    )


def test_a_database_of_ones_own_needs_a_secret_of_ones_own(shop: World) -> None:
    """With DATABASE_URL set, the secrets must be given."""
    ended = shop.run("status", environment={"DATABASE_URL": "postgresql://h/x"}, code=2)
    assert "RECONSENT_SECRET" in ended.complaint


def test_a_port_in_use_is_reported(shop: World) -> None:
    """Pages that cannot be served end with 3 and name the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = shop.run("run", "web", environment={"RECONSENT_LISTEN": address}, code=3)
    assert address in ended.complaint


def test_the_pages_say_where_they_listen(tmp_path: Path) -> None:
    """Behind a proxy that is another place than where people reach them."""
    world = World(tmp_path)
    world.environment["PUBLIC_URL"] = "https://privacy.shop.example"
    with world.serving("run", "web"):
        pass  # it answers before it has told where
    told = (tmp_path / "web.log").read_text("utf-8")
    assert f"pages at {world.url}, links begin with https://privacy.shop.example\n" in told


def test_what_would_be_ignored_is_refused(shop: World) -> None:
    """An option without the one that it belongs to, and pages that nobody would serve."""
    folder = shop.folder / "reports" / "new"
    folder.mkdir(parents=True)
    for arguments, option in (
        (["policy", "preview", shop.policy_file(V1), "--at-most", "3"], "--at-most"),
        (["mail-report", folder.parent, "--recipient", "a@b.example"], "--recipient"),
        (["run", "intake", "web", "--until-idle"], "--until-idle"),
        (["permit", "ann", "--file", "-"], "--file"),
        (["import", "accounts", "-", "--as", "bounced"], "--as"),
    ):
        assert option in shop.run(*arguments, code=2).complaint


def test_programs_that_begin_at_once_share_a_new_home(tmp_path: Path) -> None:
    """Three programs that find no home create one, and all of them work."""
    world = World(tmp_path)
    command = [sys.executable, "-m", "reconsent", "status", "--json"]
    started = [
        subprocess.Popen(command, env=world.environment, stdout=subprocess.PIPE) for _ in range(3)
    ]
    for one in started:
        out, _ = one.communicate(timeout=60)
        assert one.returncode == 0
        assert json.loads(out)["notices"] == {}


def _of(ended: Ended, fields: set[str]) -> list[Json]:
    assert all(set(row) == fields for row in ended.ndjson)
    return ended.ndjson


def test_notices_are_filtered(shop: World) -> None:
    """Each filter narrows the list; --not-told lists who should have been mailed and was not."""
    [ann] = _of(shop.run("notices", "--account", "ann", "--property", SHOP), NOTICE)
    assert (ann["kind"], ann["state"], ann["settled"]) == ("choice", "accepted", None)
    assert (ann["policy"], ann["policy_version"], ann["sequence"]) == ("shop", "v3", 1)
    assert ann["asks"] == [
        {
            "data_category": EMAIL,
            "collected_under": "v1",
            "data_use": OFFERS,
            "recipient": recipient,
        }
        for recipient in ("adpartner", "example")
    ]
    [mail] = shop.mails("ann@people.test")
    assert mail.notice == ann["notice"]
    suppressed = _of(shop.run("notices", "--state", "suppressed", "--property", SHOP), NOTICE)
    assert {one["suppression"] for one in suppressed} == {"all_comms_opt_out", "minor"}
    left_out = _of(shop.run("notices", "--not-told", "--property", SHOP), NOTICE)
    assert {one["account"] for one in left_out} == {"cy", "kim"}
    assert shop.run("notices", "--policy-version", "v2", "--property", SHOP).out == ""
    assert shop.run("notices", "--property", "nowhere.example").out == ""
    first, *rest = shop.run("notices", "--json").ndjson
    assert shop.run("notices", "--after", first["notice"], "--json").ndjson == rest
    assert "no notice" in shop.run("notices", "--after", str(uuid4()), code=2).complaint


def test_what_was_said_and_what_to_erase_are_listed(shop: World) -> None:
    """The ledger and the erasures are NDJSON with the promised fields."""
    assert shop.run("consents", "ann", "--property", SHOP).out == ""
    shop.take("import", "choices", [choice("cy", "deny")])
    [said] = _of(shop.run("consents", "cy", "--property", SHOP), CONSENT)
    assert (said["data_category"], said["collected_under"], said["recipient"]) == ("*", "*", "*")
    fields = {"property", "account", "data_category", "collected_under", "reason"}
    [erasure] = _of(shop.run("erasures"), fields)
    assert (erasure["account"], erasure["reason"]) == ("kim", "minor")


def test_a_closed_pipe_ends_a_list(shop: World) -> None:
    """A list into a pipe that closes ends quietly with 0; one that finds no space ends with 3."""
    listing = f"{sys.executable} -m reconsent notices"
    piped = f"set -o pipefail; {listing} | head -c 9; {listing} >/dev/full; echo $?"
    ended = subprocess.run(
        ["bash", "-c", piped], env=shop.environment, capture_output=True, check=False, timeout=60
    )
    assert ended.stdout.decode() == '{"notice"3\n'
    assert ended.stderr.decode() == "reconsent: No space left on device\n"


def test_the_installed_command_is_the_same_program(shop: World) -> None:
    """`reconsent` is installed beside its Python, and prints its version."""
    command = Path(sys.executable).with_name("reconsent")
    told = subprocess.run([command, "--version"], capture_output=True, check=True, timeout=60)
    assert told.stdout.decode() == shop.run("--version").out
    assert told.stdout.startswith(b"reconsent, version ")


def test_status_counts(shop: World) -> None:
    """`status` shows running services, the backlog of each topic, and notices by state."""
    found = shop.run("status", "--json").json
    assert found["services"]["web"] == 1
    assert set(found["lags"]) == {
        "policy-versions",
        "accounts",
        "collections",
        "choices",
        "mail-events",
    }
    assert found["notices"]["suppressed"] == 2


def test_an_account_is_explained_in_plain_words(shop: World) -> None:
    """`explain` shows what is held, asked and allowed, each with its rule."""
    told = shop.run("explain", "ann", "--property", SHOP).out
    assert EMAIL in told
    assert OFFERS in told
    assert "(rule 22)" in told
    assert "(rule 26)" in told
    assert "@people.test" not in told


def test_working_again_mails_nobody_twice(shop: World) -> None:
    """A replay of everything, and idle services, change nothing."""
    before = (shop.run("notices").out, len(shop.mails()))
    shop.take("emit", "policy-versions", [V1, V2, V3])
    shop.take("emit", "accounts", [ANN, CY, KIM, ANN])
    shop.take("emit", "collections", [collection(one) for one in ("kim", "cy", "ann", "ann")])
    shop.work("scheduler", "dispatcher", "planner", "intake")
    assert (shop.run("notices").out, len(shop.mails())) == before

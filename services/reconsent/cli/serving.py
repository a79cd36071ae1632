"""Commands that keep things running: up, run, migrate, status, demo."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import click

from reconsent import terminal
from reconsent.cli.passing import with_program
from reconsent.config import demo_settings
from reconsent.facts.read.counts import Status
from reconsent.facts.read.counts import status as count
from reconsent.store.postgres import Connection
from reconsent.workers.running import run, run_until_idle

if TYPE_CHECKING:
    from reconsent.program import Program

WORKERS = ("intake", "planner", "dispatcher", "scheduler", "relay")
_PATIENCE = 1.0


def _stopped_by_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set: what is in flight is finished."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@click.command("run")
@click.argument(
    "services",
    nargs=-1,
    required=True,
    metavar="SERVICE...",
    type=click.Choice([*WORKERS, "web"]),
)
@click.option("--until-idle", is_flag=True, help="End when nothing is left to do now.")
@with_program
def run_services(program: Program, services: tuple[str, ...], *, until_idle: bool) -> None:
    """Run some services: intake, planner, dispatcher, scheduler, relay, web.

    The relay publishes what changed and dead letters on Kafka; on the embedded
    bus it has nothing to do.
    """
    workers = program.services(services, patience=0 if until_idle else _PATIENCE)
    if until_idle:
        with terminal.steps("working", None) as progress:
            run_until_idle(workers, lambda _: progress.advance(1))
        return
    stop = _stopped_by_signal()
    if "web" in services:
        program.web().start()
        click.echo(f"pages at {program.settings.public_url}", err=True)
    run(workers, stop)


@click.command()
@with_program
def up(program: Program) -> None:
    """Run all services on what is configured, until stopped."""
    stop = _stopped_by_signal()
    workers = program.services((*WORKERS, "web"), patience=_PATIENCE)
    program.web().start()
    click.echo(f"reconsent is up: {program.settings.public_url} (Ctrl-C ends it)", err=True)
    run(workers, stop)


@click.command()
@with_program
def migrate(program: Program) -> None:
    """Apply the migrations that the database lacks."""
    applied = program.migrate()
    click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply")


@click.command()
@terminal.json_option
@with_program
def status(program: Program, *, as_json: bool) -> None:
    """Show who works, what waits, and the notices by state."""

    def work(connection: Connection) -> Status:
        return count(connection, program.versions.now(connection), program.lags(connection))

    found = program.database.transaction(work)
    if as_json:
        by_state: dict[str, int] = {}
        for row in found.notices:
            by_state[row.state] = by_state.get(row.state, 0) + row.notices
        terminal.document(
            {
                "services": found.services,
                "lags": found.lags,
                "dead_letters": found.dead_letters,
                "notices": by_state,
                "releases": [row._asdict() for row in found.notices],
            }
        )
        return
    terminal.table(("service", "processes"), found.services.items())
    click.echo()
    terminal.table(
        ("topic", "waiting", "dead letters"),
        ((topic, waiting, found.dead_letters[topic]) for topic, waiting in found.lags.items()),
    )
    click.echo()
    terminal.table(
        ("policy", "version", "kind", "state", "why", "notices"),
        ((*row[:-1], f"{row.notices:,}") for row in found.notices),
    )


@click.command()
@click.option("--accounts", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--once", is_flag=True, help="End with the summary instead of serving the pages.")
def demo(*, accounts: int, once: bool) -> None:
    """Show the whole story on made-up people: publish, plan, mail, answer, decide.

    It never mixes with real data: it lives in the folder demo of the usual home (in RECONSENT_HOME
    itself where that is set), refuses a database that holds anything else, and mails to a mailbox
    on this machine only. Run again, it changes nothing that is there already. Where port 8000 is
    taken and no address is set, the pages take the next free port.
    """
    program = click.get_current_context().obj(demo_settings)
    from reconsent.demo import Demo  # noqa: PLC0415 -- its extra was checked with the settings

    story = Demo(program, accounts=accounts, once=once)
    story.tell()
    if not once:
        run(story.workers, _stopped_by_signal())

"""`run` and `up`: run services until they are stopped."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import click

from reconsent import terminal
from reconsent.cli.with_program import with_program
from reconsent.domain.listening import local_url
from reconsent.workers import WORKERS
from reconsent.workers.running import run, run_until_idle

if TYPE_CHECKING:
    from reconsent.program import Program

_PATIENCE = 1.0


def stopped_by_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set; work in flight is then finished."""
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
@click.option("--until-idle", is_flag=True, help="Exit when nothing is left to do now.")
@with_program
def run_services(program: Program, services: tuple[str, ...], *, until_idle: bool) -> None:
    """Run some services: intake, planner, dispatcher, scheduler, relay, web.

    The relay publishes changes and dead letters on Kafka; on the embedded bus it
    has nothing to do.
    """
    if until_idle and "web" in services:
        raise click.UsageError("--until-idle: web is never done; leave it out")
    workers = program.services(services, patience=0 if until_idle else _PATIENCE)
    if until_idle:
        with terminal.steps("working", None) as progress:
            run_until_idle(workers, lambda _: progress.advance(1))
        return
    stop = stopped_by_signal()
    if "web" in services:
        click.echo(f"pages at {_serve(program)}", err=True)
    run(workers, stop)


@click.command()
@with_program
def up(program: Program) -> None:
    """Run all services until stopped."""
    stop = stopped_by_signal()
    workers = program.services((*WORKERS, "web"), patience=_PATIENCE)
    click.echo(f"reconsent is up: {_serve(program)} (Ctrl-C stops it)", err=True)
    run(workers, stop)


def _serve(program: Program) -> str:
    """Start the pages; say where they listen, and where people reach them if elsewhere."""
    web = program.web()
    web.start()
    here, public = local_url(program.settings.web.listen[0], web.port), program.settings.public_url
    return here if here == public else f"{here}, links begin with {public}"

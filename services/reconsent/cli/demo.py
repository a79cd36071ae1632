"""`demo`: the whole story on made-up people."""

from __future__ import annotations

import click

from reconsent.cli.run import stopped_by_signal
from reconsent.config import demo_settings
from reconsent.workers.running import run


@click.command()
@click.option("--accounts", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--once", is_flag=True, help="Exit after the summary instead of serving the pages.")
def demo(*, accounts: int, once: bool) -> None:
    """Show the whole story on made-up people: publish, plan, mail, answer, decide.

    It never mixes with real data: it uses the folder demo in the default home (or RECONSENT_HOME
    itself, if set), refuses a database that holds anything else, and mails only to a local
    mailbox. Running it again changes nothing. If port 8000 is in use and no address is set, the
    pages use the next free port.
    """
    program = click.get_current_context().obj(demo_settings)
    from reconsent.demo import Demo  # noqa: PLC0415 -- demo_settings has checked its extra

    demo_run = Demo(program, accounts=accounts, once=once)
    demo_run.play()
    if not once:
        run(demo_run.workers, stopped_by_signal())

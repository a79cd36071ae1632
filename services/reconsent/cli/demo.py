"""`demo`: the whole story on made-up people."""

from __future__ import annotations

import click

from reconsent.cli.run import stopped_by_signal
from reconsent.config import demo_settings
from reconsent.workers.running import run


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
        run(story.workers, stopped_by_signal())

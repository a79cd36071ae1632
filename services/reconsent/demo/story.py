"""The steps of the demo, in order."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from reconsent import terminal
from reconsent.demo import counting, permits
from reconsent.demo.commands import (
    do,
    do_without_hint,
    do_without_warnings,
    heading,
    program_name,
    show,
    timed,
)
from reconsent.demo.people import choices, save, write_people
from reconsent.demo.place import keep_apart, settle
from reconsent.demo.visitors import MANNERS, Visitors
from reconsent.domain.listening import local_url
from reconsent.facts.versions import Policies
from reconsent.mail.mailbox import Mailbox
from reconsent.store.named import named
from reconsent.store.postgres import Connection
from reconsent.words.views import Site
from reconsent.workers import WORKERS
from reconsent.workers.running import run_until_idle
from reconsent.workers.service import Service

if TYPE_CHECKING:
    from reconsent.program import Program

SQL = named("demo")
OLDER: Final = (
    "campaigner/2014-03.yaml",
    "campaigner/2017-06.yaml",
    "fax-norge/2013-05.yaml",
    "fax-norge/2018-05.yaml",
)
NEWEST: Final = ("campaigner/2026-12.yaml", "fax-norge/2026-12.yaml")
_MOST_VISITORS: Final = 300
_VISITORS_PERCENT: Final = 10
_LINES_OF_A_MAIL: Final = 30


class Demo:
    """The demo, printed to a terminal or a pipe."""

    def __init__(self, program: Program, *, accounts: int, once: bool) -> None:
        """Set the number of people; with `once` the pages stop after the last step."""
        self._program = program
        self._accounts = accounts
        self._once = once
        self._folder = program.settings.home / "people"
        self.workers: Sequence[Service] = ()

    def play(self) -> None:
        """Play all steps; the pages are served from the start."""
        keep_apart(self._program)
        settle(self._program).start()
        # The same workers throughout: each keeps its partitions and leases until it is closed.
        self.workers = self._program.services(WORKERS, patience=0)
        self._introduce()
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("The past: older policy versions, and the people", self._bring_people),
            ("The new versions: a preview, then they are published", self._release),
            ("The plan: who is asked, informed and left out, and why", self._plan),
            ("The mails", self._send),
            ("Some people follow the link in their mail and answer on the page", self._visit),
            (
                "Others answer by telephone or in an app: their choices arrive on the bus",
                self._stream,
            ),
            ("The result", self._sum_up),
            ("May this data be used?", self._ask_for_permission),
            ("Look for yourself", self._invite),
        )
        for number, (title, step) in enumerate(steps, start=1):
            heading(number, title)
            step()

    def _introduce(self) -> None:
        click.echo(
            f"Two invented companies change their privacy policies; {self._accounts:,} made-up "
            "people hold accounts there."
        )
        click.echo(f"Everything is in {self._program.settings.home}. To run commands yourself:")
        home = shlex.quote(str(self._program.settings.home))
        click.secho(f"$ export RECONSENT_HOME={home}", dim=True)

    def _bring_people(self) -> None:
        for version in OLDER:
            do_without_hint(self._program, "policy", "publish", _example(version))
        self._folder.mkdir(parents=True, exist_ok=True)
        with terminal.steps("inventing people", self._accounts) as progress:
            written = write_people(self._folder, self._accounts, each=lambda: progress.advance(1))
        for topic, count in written.items():
            with timed(count, f"events on {topic}"):
                file = self._folder / f"{topic}.ndjson"
                # Some data came under a version that is published later.
                do_without_warnings(self._program, "import", topic, file)

    def _release(self) -> None:
        published = self._read(lambda _, policies: set(policies.ids))
        for version in NEWEST:
            policy, _, file = version.partition("/")
            if (policy, file.removesuffix(".yaml")) in published:
                click.echo(f"{policy}: published in an earlier run, so there is nothing to preview")
            else:
                do(self._program, "policy", "preview", _example(version))
        for version in NEWEST:
            do_without_hint(self._program, "policy", "publish", _example(version))

    def _plan(self) -> None:
        self._work("planner")
        names, rows = self._read(lambda c, p: (list(p.by_name), counting.plan(c, p)))
        counting.show("notices of the newest versions", names, rows)

    def _send(self) -> None:
        due = self._due()
        if not due:
            click.echo("nothing is due: the mails were sent in an earlier run")
            return
        show("run", "dispatcher", "--until-idle")
        left = due
        with timed(due, "mails"), terminal.steps("mailing", due) as progress:

            def note(_: str) -> None:
                nonlocal left
                now_left = self._due()
                progress.advance(left - now_left)
                left = now_left

            run_until_idle(self._named("dispatcher"), note)
        self._show_a_mail()

    def _show_a_mail(self) -> None:
        found = self._read(lambda c, _: counting.mailed(c))
        if not found:
            click.echo("nobody is asked by mail")
            return
        mail = self._mailbox.open(found[0].notice)
        if mail is None:
            click.echo("the mails of an earlier run are gone")
            return
        click.echo(
            f"One of them:\n\n  To: {mail.headline.to}\n  Subject: {mail.headline.subject}\n"
        )
        lines = mail.text.strip().splitlines()
        for line in lines[:_LINES_OF_A_MAIL]:
            click.echo(f"  {line}".rstrip())
        if len(lines) > _LINES_OF_A_MAIL:
            click.echo("  …")

    def _visit(self) -> None:
        settings = self._program.settings
        public = Site(public_url=settings.public_url, contact=settings.mail_from)
        chosen = _share(self._read(lambda c, _: counting.mailed(c)))
        if not chosen:
            click.echo("nobody was asked by mail")
        new = [(at, one) for at, one in enumerate(chosen) if not one.visited]
        if len(new) < len(chosen):
            click.echo(f"{len(chosen) - len(new):,} people answered in an earlier run")
        if not new:
            return
        with (
            Visitors(local_url(*settings.web.listen), public) as visitors,
            timed(len(new), "people answered"),
            terminal.steps("answering", len(new)) as progress,
        ):
            for at, one in new:
                mail = self._mailbox.open(one.notice)
                if mail and mail.choose_url:
                    visitors.answer(urlsplit(mail.choose_url).path, MANNERS[at % len(MANNERS)])
                progress.advance(1)
        for manner, count in sorted(visitors.manners.items(), key=lambda each: -each[1]):
            click.echo(f"  {count:,} {manner}")

    def _stream(self) -> None:
        visited = {
            (one.property, one.account)
            for one in self._read(lambda c, _: counting.mailed(c))
            if one.visited
        }
        # Dated from the publication, so that every run makes the same choices.
        decided_from = self._read(lambda _, policies: max(policies.published_at.values()))
        path = self._folder / "choices.ndjson"
        others = (
            event
            for event in choices(self._accounts, decided_from=decided_from)
            if (event["property"], event["account"]) not in visited
        )
        count = save(path, others)
        do(self._program, "emit", "choices", path)
        before = self._entries()
        with timed(count, "choices recorded"):
            self._work("intake")
        click.echo(f"{self._entries() - before:,} new entries in the ledger")
        self._work("planner")
        self._work("dispatcher")

    def _sum_up(self) -> None:
        cohorts = self._program.cohorts
        names, people, answers = self._read(
            lambda c, p: (list(p.by_name), counting.audience(c, cohorts, p), counting.answers(c))
        )
        counting.show("", names, people)
        click.echo()
        counting.show("", names, answers)
        click.echo()
        click.echo("Every question still open, or not asked, is a no until the person says yes.")
        click.echo(f"{len(self._mailbox):,} mails are in {self._program.settings.mailbox}")
        click.echo("The accounts that should have been mailed and could not be:")
        show("notices", "--not-told")

    def _ask_for_permission(self) -> None:
        checks = self._read(lambda c, p: list(permits.find(c, p, self._program.now())))
        for check in checks:
            click.echo(f"{check.story}:")
            do(self._program, "permit", *check.arguments)
        if not checks:
            click.echo("No account fits the examples; try more accounts.")

    def _invite(self) -> None:
        url = self._program.settings.public_url
        silent = self._read(lambda c, _: [m for m in counting.mailed(c) if m.silent])
        click.echo(f"the site      {url}/policies")
        click.echo(f"the mailbox   {url}/mailbox")
        if silent:
            one = silent[-1]
            click.echo(f"a question    {url}/mailbox/{one.notice} (nobody has answered it yet)")
            click.echo("The story of the account that it asks:")
            show("explain", one.account, "--property", one.property)
        if self._once:
            click.echo(f"The pages stop now. `{' '.join(program_name())} demo` keeps them open.")
        else:
            click.echo("Everything keeps running until you press Ctrl-C.")

    def _work(self, name: str) -> None:
        """Run one service until it is idle."""
        show("run", name, "--until-idle")
        with terminal.steps(name, None) as progress:
            run_until_idle(self._named(name), lambda _: progress.advance(1))

    def _named(self, name: str) -> list[Service]:
        return [worker for worker in self.workers if worker.name == name]

    def _due(self) -> int:
        def count(connection: Connection, policies: Policies) -> int:
            row = connection.execute(SQL["due"], {"latest": policies.latest_ids}).fetchone()
            return int(row[0]) if row else 0

        return self._read(count)

    def _entries(self) -> int:
        return self._read(lambda c, _: counting.entries(c))

    def _read(self, work: Callable[[Connection, Policies], counting.Found]) -> counting.Found:
        """Read something from the database, given the published versions."""
        return self._program.database.transaction(
            lambda connection: work(connection, self._program.versions.now(connection)),
        )

    @property
    def _mailbox(self) -> Mailbox:
        folder = self._program.settings.mailbox
        if folder is None:
            raise AssertionError("the demo never starts without a mailbox")
        return Mailbox(folder)


def _example(name: str) -> Path:
    return Path(str(files("reconsent.examples").joinpath(name)))


def _share(mailed: Sequence[counting.Mailed]) -> Sequence[counting.Mailed]:
    """Pick the notices that are answered on the page, evenly spread, the same in every run."""
    count = min(_MOST_VISITORS, -(-len(mailed) * _VISITORS_PERCENT // 100))
    return mailed[:: len(mailed) // count][:count] if count else []

"""The program from outside: commands, pages and the mailbox.

Nothing of the program is imported here: commands are separate processes, forked from one that has
imported the program (tests/forking). A `World` is one RECONSENT_HOME with the embedded PostgreSQL.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from tests.acceptance.forms import Page
from tests.acceptance.outside_mails import Mail
from tests.forking.client import Forker, Request, running_forker

Json = dict[str, Any]

_ENVIRONMENT: Final = {
    # The settings of the test run must not reach the program.
    name: value
    for name, value in os.environ.items()  # noqa: TID251 -- the program gets PATH and the like
    if not name.startswith(("RECONSENT_", "SENDGRID_", "KAFKA_", "MAIL_", "PUBLIC_", "DATABASE_"))
}
_PATIENCE: Final = 60.0
API_TOKEN: Final = "a-token-for-the-tests"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 -- any JSON
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def ndjson(self) -> list[Json]:
        """The JSON objects on standard output, one per line."""
        return [json.loads(line) for line in self.out.split("\n") if line]

    @property
    def complaint(self) -> str:
        """The one line on standard error."""
        [line] = self.err.splitlines()
        return line


class World:
    """One RECONSENT_HOME: commands, the mailbox and the pages."""

    def __init__(self, folder: Path) -> None:
        """Use a folder for all files; create nothing yet."""
        self.folder = folder
        self.home = folder / "home"
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            **_ENVIRONMENT,
            "RECONSENT_HOME": str(self.home),
            "RECONSENT_LISTEN": f"127.0.0.1:{port}",
            "RECONSENT_API_TOKEN": API_TOKEN,
            "PUBLIC_URL": self.url,
        }
        self.web = 0
        """The process that serves the pages, inside `serving`."""
        self._written = 0
        self._commands = 0

    # ---------------------------------------------------------------- commands

    def run(
        self,
        *arguments: str | Path,
        code: int = 0,
        stdin: str | bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run `reconsent`; it must end with this exit code."""
        self._commands += 1
        streams = self.folder / "commands"
        streams.mkdir(exist_ok=True)
        given, out, err = (streams / f"{self._commands}.{name}" for name in ("in", "out", "err"))
        given.write_bytes(stdin.encode() if isinstance(stdin, str) else stdin)
        request = Request(
            arguments=[str(argument) for argument in arguments],
            environment=self.environment | dict(environment or {}),
            folder=str(self.folder),
            stdin=str(given),
            stdout=str(out),
            stderr=str(err),
        )
        forker = forking()
        ended = Ended(
            code=forker.wait(forker.start(request)),
            out=out.read_text("utf-8"),
            err=err.read_text("utf-8"),
        )
        assert ended.code == code, f"exit {ended.code}: {arguments}\n{ended.out}\n{ended.err}"
        return ended

    def work(self, *services: str) -> None:
        """Run services until they are idle: the named ones, or all."""
        names = services or ("intake", "planner", "dispatcher", "scheduler")
        self.run("run", *names, "--until-idle")

    def lines(self, rows: Iterable[Json | str]) -> Path:
        """Write a file of NDJSON; text is written as it is."""
        texts = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        return self.file("events.ndjson", "".join(f"{text}\n" for text in texts))

    def file(self, name: str, content: str | bytes) -> Path:
        """Write a file into a new folder."""
        self._written += 1
        path = self.folder / f"files{self._written}" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def policy_file(self, version: Json) -> Path:
        """Write a version as a policy file, with its texts as Markdown files next to it."""
        path = self.file(f"{version['version']}.yaml", "")
        texts = {}
        for locale, text in version["texts"].items():
            body = path.with_suffix(f".{locale}.md")
            body.write_text(text["body"], "utf-8")
            texts[locale] = text | {"body": body.name}
        path.write_text(yaml.safe_dump(version | {"texts": texts}, sort_keys=False), "utf-8")
        return path

    def take(self, verb: str, topic: str, rows: Sequence[Json | str]) -> Json:
        """Import or emit rows; return the command's JSON."""
        return dict(self.run(verb, topic, self.lines(rows), "--json").json) if rows else {}

    # ---------------------------------------------------------------- mailbox

    def mails(self, address: str | None = None) -> list[Mail]:
        """Return the mails to an address, or all of them, oldest first."""
        paths = [path for part in ("new", "cur") for path in self.home.glob(f"mail/{part}/*")]
        paths.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
        read = (message_from_bytes(path.read_bytes(), policy=policy.default) for path in paths)
        return [
            Mail(message=message)
            for message in read
            if address is None or message["To"].addresses[0].addr_spec == address
        ]

    def link(self, address: str) -> str:
        """Return the choose link of the last mail to an address."""
        link = self.mails(address)[-1].link
        assert link is not None
        return link

    # ---------------------------------------------------------------- pages

    @contextmanager
    def serving(self, *arguments: str) -> Iterator[httpx.Client]:
        """Serve pages and API during the block; yield a client that does not follow redirects.

        Another command than `run web` may do so.
        """
        log = str(self.folder / "web.log")
        request = Request(
            arguments=arguments or ("run", "web"),
            environment=self.environment,
            folder=str(self.folder),
            stdout=log,
            stderr=log,
        )
        forker = forking()
        self.web = forker.start(request)
        try:
            with httpx.Client(base_url=self.url, timeout=_PATIENCE) as client:
                _wait(client, lambda: self.web not in forker.codes)
                yield client
        finally:
            if self.web not in forker.codes:
                os.kill(self.web, signal.SIGTERM)
            ended = forker.wait(self.web)
        assert ended == 0, (self.folder / "web.log").read_text("utf-8")


@cache
def forking() -> Forker:
    """Return the forking process; it ends with this process."""
    resources = ExitStack()
    atexit.register(resources.close)
    return resources.enter_context(running_forker())


def permissions(web: httpx.Client, checks: Sequence[Json], **more: Any) -> list[Json]:  # noqa: ANN401 -- JSON
    """Check permissions through the API; return its answers."""
    response = web.post(
        "/v1/permissions",
        json={"checks": list(checks)} | more,
        headers={"Authorization": f"Bearer {API_TOKEN}"},
    )
    assert response.status_code == httpx.codes.OK, response.text
    return list(response.json()["answers"])


def opened(web: httpx.Client, url: str, **headers: str) -> Page:
    """Open a page with a form."""
    response = web.get(url, headers=headers)
    assert response.status_code == httpx.codes.OK, response.text
    return Page.of(response.text)


def post(
    web: httpx.Client, url: str, page: Page, answers: Mapping[tuple[str, str], str] | str
) -> httpx.Response:
    """Submit a page's form: answers by (use, recipient), or one answer to all questions."""
    data = page.all_alike(answers) if isinstance(answers, str) else page.filled(answers)
    return web.post(httpx.URL(url).join(page.action), data=data)


def answer(
    web: httpx.Client, url: str, answers: Mapping[tuple[str, str], str] | str
) -> httpx.Response:
    """Open a link, answer on its page, and follow the redirect to the receipt."""
    response = post(web, url, opened(web, url), answers)
    assert response.status_code == httpx.codes.SEE_OTHER, response.text
    receipt = web.get(httpx.URL(url).join(response.headers["location"]))
    assert receipt.status_code == httpx.codes.OK
    return receipt


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(client: httpx.Client, alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while alive() and time.monotonic() < deadline:
        try:
            if client.get("/readyz").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the web service did not start")

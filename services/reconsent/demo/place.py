"""Where the demo happens: never among real data, never with real mail, at an address of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from reconsent.config import LISTEN, PUBLIC_URL
from reconsent.demo.cases import PLACES
from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.mail.mailbox import Mailbox
from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconsent.config import Settings
    from reconsent.program import Program
    from reconsent.store.postgres import Connection
    from reconsent.web.serving import Web

SQL = named("demo")
_PORTS_TRIED: Final = 20
_MAILS_LOOKED_AT: Final = 10
_OF_ALL_HOSTS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- to be replaced


def keep_apart(program: Program) -> None:
    """Raise BadInputError where mail would really leave, or the database holds other data."""
    if program.settings.mailbox is None:
        raise BadInputError("MAIL_URL: the demo writes to a mailbox on this machine only; unset it")
    stranger = program.database.transaction(_stranger)
    if stranger:
        setting = "DATABASE_URL" if program.settings.database_url else "RECONSENT_HOME"
        message = f"{setting}: the database there holds {stranger}; the demo needs one of its own"
        raise BadInputError(message)


def _stranger(connection: Connection) -> str | None:
    ours = {
        "policies": sorted({place.policy.name for place in PLACES}),
        "properties": sorted({place.site for place in PLACES}),
    }
    row = connection.execute(SQL["strangers"], ours).fetchone()
    return str(row[0]) if row else None


def settle(program: Program) -> Web:
    """Take the address of the pages before any mail names it; another port if ours is taken.

    Only where nobody set the address. Raises OutsideError where none is free.
    """
    given = program.settings
    taken: OutsideError | None = None
    for port in _ports(given):
        host = given.listen[0]
        url = given.public_url
        if url == PUBLIC_URL:
            url = f"http://{_in_url(host)}:{port}"
        program.settings = replace(given, listen=(host, port), public_url=url)
        try:
            return program.web()
        except OutsideError as error:
            taken = taken or error
    raise taken or OutsideError("RECONSENT_LISTEN: no port to try")


def local_url(settings: Settings) -> str:
    """Return the URL by which this machine reaches the pages, without a slash at its end."""
    host, port = settings.listen
    return f"http://{_in_url(host)}:{port}"


def _in_url(host: str) -> str:
    host = _OF_ALL_HOSTS.get(host, host)
    return f"[{host}]" if ":" in host else host


def _ports(settings: Settings) -> Iterator[int]:
    """Name the ports to try: what the mails of an earlier run lead to, ours, those after it."""
    if settings.listen != LISTEN or settings.public_url != PUBLIC_URL:
        yield settings.listen[1]
        return
    if settings.mailbox:
        mailbox = Mailbox(settings.mailbox)
        for headline in mailbox.newest(limit=_MAILS_LOOKED_AT):
            opened = mailbox.open(headline.mail)
            if opened and opened.choose_url and (port := urlsplit(opened.choose_url).port):
                yield port
                break
    yield from range(LISTEN[1], LISTEN[1] + _PORTS_TRIED)

"""Where the demo runs: never with real data or real mail, on an address of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from reconsent.demo.cases import PLACES
from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.domain.listening import local_url
from reconsent.mail.mailbox import Mailbox
from reconsent.store.named import named
from reconsent.web.settings import LISTEN, PUBLIC_URL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconsent.config import Settings
    from reconsent.program import Program
    from reconsent.store.postgres import Connection
    from reconsent.web.serving import Web

SQL = named("demo")
_PORTS_TRIED: Final = 20
_MAILS_SEARCHED: Final = 10


def keep_apart(program: Program) -> None:
    """Raise BadInputError if real mail would be sent, or if the database holds other data."""
    if program.settings.mailbox is None:
        raise BadInputError("MAIL_URL: the demo mails only to a local mailbox; unset it")
    other = program.database.transaction(_other_data)
    if other:
        setting = "DATABASE_URL" if program.settings.database_url else "RECONSENT_HOME"
        message = f"{setting}: the database there holds {other}; the demo needs one of its own"
        raise BadInputError(message)


def _other_data(connection: Connection) -> str | None:
    ours = {
        "policies": sorted({place.policy.name for place in PLACES}),
        "properties": sorted({place.site for place in PLACES}),
    }
    row = connection.execute(SQL["other_data"], ours).fetchone()
    return str(row[0]) if row else None


def settle(program: Program) -> Web:
    """Bind the address of the pages before any mail contains it.

    If no address is set and the port is in use, another one is tried. Raises OutsideError if none
    is free.
    """
    given = program.settings
    failure: OutsideError | None = None
    for port in _ports(given):
        host = given.web.listen[0]
        url = given.public_url
        if url == PUBLIC_URL:
            url = local_url(host, port)
        web = replace(given.web, listen=(host, port), public_url=url)
        program.settings = replace(given, web=web)
        try:
            return program.web()
        except OutsideError as error:
            failure = failure or error
    raise failure or OutsideError("RECONSENT_LISTEN: no port to try")


def _ports(settings: Settings) -> Iterator[int]:
    """Yield the ports to try: that of an earlier run's mails, the default, those after it."""
    if settings.web.listen != LISTEN or settings.public_url != PUBLIC_URL:
        yield settings.web.listen[1]
        return
    if settings.mailbox:
        mailbox = Mailbox(settings.mailbox)
        for headline in mailbox.newest(limit=_MAILS_SEARCHED):
            opened = mailbox.open(headline.mail)
            if opened and opened.choose_url and (port := urlsplit(opened.choose_url).port):
                yield port
                break
    yield from range(LISTEN[1], LISTEN[1] + _PORTS_TRIED)

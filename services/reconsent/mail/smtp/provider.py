"""Any mail server as a mail provider, over SMTP (RFC 5321).

Every message goes to one recipient and ends in one of these ways. Only what was certainly not
accepted may be sent again:

    2xx to the message                               accepted
    5xx about the recipient                          rejected
    4xx; the connection broke before the end         retry
    no reply to the whole message                    unknown
    the mail itself seems to be rejected             retry, after a while
    host, TLS, credentials, sender                   OutsideError: no recipient is at fault

A 5xx about the client or the mail (RFC 3463's classes 3, 6, 7) rejects no recipient as long as the
fault may be ours: see batch.py.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Final

from reconsent.domain.errors import OutsideError
from reconsent.mail.mime import MimeMail
from reconsent.mail.smtp.backoff import Backoff
from reconsent.mail.smtp.batch import Batch
from reconsent.mail.smtp.connection import ConnectionLostError, Patience, SmtpConnection
from reconsent.mail.smtp.opening import opened, trusting
from reconsent.mail.smtp.replies import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconsent.domain.mail import Mail, Recipient, Result
    from reconsent.mail.return_path import ReturnPath
    from reconsent.mail.smtp.batch import Message
    from reconsent.mail.smtp.settings import SmtpSettings

_IDLE: Final = 30.0
"""Seconds after which an unused connection is dropped rather than reused."""
_WORTH_A_CONNECTION: Final = 25
"""How many messages justify one more connection."""


class Smtp:
    """Sends through a mail server, over a few connections that are kept between mails."""

    name: str = "smtp"
    at_most: int = 1000
    together: bool = False
    repeats_safely: bool = False
    rests_until: datetime | None = None

    def __init__(
        self,
        settings: SmtpSettings,
        now: Callable[[], datetime],
        *,
        return_path: ReturnPath | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Connect to nothing yet; raises BadInputError where ca_file has no certificates.

        Without a return path, bounces come back to the sender of the mail.
        """
        self._settings = settings
        self._patience = patience or Patience()
        self._now = now
        self._return_path = return_path
        self._context = trusting(settings)
        self._runner = asyncio.Runner()
        self._idle: list[SmtpConnection] = []
        self._backoff = Backoff()
        self._proven = False

    def send(self, mail: Mail, recipients: Sequence[Recipient]) -> Sequence[Result]:
        """Send a mail; raises OutsideError if nothing was accepted and no recipient is at fault.

        A retry says when, if the mail server rejected the message temporarily.
        """
        now = self._now()
        batch = Batch(
            mail=MimeMail(mail, date=now),
            recipients=recipients,
            backoff=self._backoff,
            now=now,
            return_path=self._return_path,
        )
        return self._runner.run(self._send(batch))

    def close(self) -> None:
        """Quit all connections."""
        self._runner.run(self._quit())
        self._runner.close()

    async def _send(self, batch: Batch) -> Sequence[Result]:
        failures: list[OutsideError] = []
        try:
            # Only one at first, so that wrong credentials are not tried several times.
            connections = self._kept() or [await self._opened()]
        except OutsideError as error:
            failures.append(error)
        else:
            wanted = -(-len(batch.recipients) // _WORTH_A_CONNECTION)
            workers = min(wanted, self._settings.connections)
            self._idle = connections[workers:]
            async with asyncio.TaskGroup() as group:
                for connection in [*connections, *[None] * workers][:workers]:
                    group.create_task(self._work(batch, connection, failures))
        why = str(failures[0]) if failures else None
        results = batch.settle(why, proven=self._proven)
        self._proven = self._proven or batch.accepted > 0
        if batch.stopped:
            why = None if batch.stopped_until else f"{self._settings.place}: {batch.stopped}"
        if why and all(result.outcome == "retry" for result in results):
            raise OutsideError(why)
        return results

    def _kept(self) -> list[SmtpConnection]:
        """Return the idle connections that can be reused."""
        fresh = asyncio.get_running_loop().time() - _IDLE
        for connection in self._idle:
            if connection.used_at < fresh:
                connection.drop()
        return [connection for connection in self._idle if not connection.lost]

    async def _opened(self) -> SmtpConnection:
        return await opened(self._settings, self._context, self._patience)

    async def _work(
        self, batch: Batch, connection: SmtpConnection | None, failures: list[OutsideError]
    ) -> None:
        """Send over one connection after another, as long as each serves some message."""
        try:
            while batch.waiting():
                connection = connection or await self._opened()
                try:
                    await _send_over(connection, batch)
                except ConnectionLostError as error:
                    if not connection.served:
                        raise OutsideError(f"{self._settings.place}: {_blamed(error)}") from error
                    connection = None
            if connection:
                connection.used_at = asyncio.get_running_loop().time()
                self._idle.append(connection)
                connection = None
        except OutsideError as error:
            failures.append(error)
        finally:
            if connection:
                connection.drop()

    async def _quit(self) -> None:
        await asyncio.gather(*(connection.quit() for connection in self._idle))
        self._idle = []


async def _send_over(connection: SmtpConnection, batch: Batch) -> None:
    """Send the waiting messages; on ConnectionLostError each one taken has been recorded."""
    served_before = connection.served
    message, announced = batch.take(connection.extensions), False
    while message:
        try:
            refusal = await _offered(connection, message, announced=announced)
        except ConnectionLostError as error:
            if connection.served == served_before > 0:
                # Closed since the previous mail, as servers do with idle connections.
                batch.untouched(message)
            else:
                batch.give_back(message, _blamed(error), worked=connection.served > 0)
            raise
        if refusal:
            batch.refused(message, refusal)
        following = batch.take(connection.extensions)
        if not refusal:
            await _settled(connection, batch, message, following)
        message, announced = following, not refusal


async def _offered(
    connection: SmtpConnection, message: Message, *, announced: bool
) -> Refusal | None:
    """Write a message up to its last dot, or return the server's refusal."""
    if not announced:
        connection.announce(message.envelope)
    refusal = await connection.admitted(message.envelope)
    if refusal is None:
        await connection.content(message.content)
    return refusal


async def _settled(
    connection: SmtpConnection, batch: Batch, message: Message, following: Message | None
) -> None:
    """End a message, announce the following one, and record the server's verdict."""
    try:
        reply = await connection.verdict(following.envelope if following else None)
    except ConnectionLostError as error:
        batch.unknown(message, _blamed(error))
        if following:
            batch.untouched(following)
        raise
    if reply.good:
        batch.accept(message)
    else:
        batch.refused(message, Refusal(".", reply))


def _blamed(error: ConnectionLostError) -> str:
    return f"the mail server {error}"

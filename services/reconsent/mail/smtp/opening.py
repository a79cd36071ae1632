"""Opening a connection to a mail server: greeting, EHLO, TLS, credentials.

A failure here happens before any mail is sent, and is reported in one line that names the host of
MAIL_URL, never the password.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from typing import TYPE_CHECKING

from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.mail.smtp.connection import ConnectionLostError, Patience, SmtpConnection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconsent.mail.smtp.replies import Reply
    from reconsent.mail.smtp.settings import SmtpSettings


def trusting(settings: SmtpSettings) -> ssl.SSLContext:
    """Return a TLS context that requires TLS 1.2 and a trusted certificate for the host."""
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (ssl.SSLError, OSError) as error:
        message = f"MAIL_URL: ca_file: {str(settings.ca_file)!r} has no certificates"
        raise BadInputError(message) from error


async def opened(
    settings: SmtpSettings, context: ssl.SSLContext, patience: Patience
) -> SmtpConnection:
    """Return a connection that is ready for mail; raises OutsideError."""
    connection: SmtpConnection | None = None
    try:
        connection = await _connected(settings, context, patience)
        await _prepared(connection, settings, context)
    except ssl.SSLCertVerificationError as error:
        message = f"{settings.place}: its certificate is not trusted: {error.verify_message}"
        raise OutsideError(message) from error
    except ssl.SSLError as error:
        raise OutsideError(f"{settings.place}: TLS failed: {error.reason or error}") from error
    except TimeoutError as error:
        message = f"{settings.place}: cannot be reached within {patience.connect:.0f} seconds"
        raise OutsideError(message) from error
    except OSError as error:
        message = f"{settings.place}: cannot be reached: {error.strerror or error}"
        raise OutsideError(message) from error
    except ConnectionLostError as error:
        raise OutsideError(f"{settings.place}: the mail server {error}") from error
    else:
        ready, connection = connection, None
        return ready
    finally:
        if connection:
            connection.drop()


async def _connected(
    settings: SmtpSettings, context: ssl.SSLContext, patience: Patience
) -> SmtpConnection:
    at_once = settings.tls == "from_start"
    async with asyncio.timeout(patience.connect):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: SmtpConnection(patience),
            settings.host,
            settings.port,
            ssl=context if at_once else None,
            server_hostname=settings.host if at_once else None,
        )
    return connection


async def _prepared(
    connection: SmtpConnection, settings: SmtpSettings, context: ssl.SSLContext
) -> None:
    greeting = await connection.reply(connection.patience.answer)
    if not greeting.good:
        raise _refused(settings, "refuses connections", greeting)
    await _greet(connection, settings)
    if settings.tls in {"required", "when_offered"} and "STARTTLS" in connection.extensions:
        agreed = await connection.command("STARTTLS")
        if agreed.good:
            await connection.encrypt(context, settings.host)
            # Extensions offered in plain text may have been injected.
            await _greet(connection, settings)
    if not connection.encrypted and (settings.tls == "required" or settings.user):
        raise OutsideError(
            f"{settings.place}: does not offer STARTTLS, and nothing is sent without TLS"
        )
    if settings.user and settings.password:
        await _log_in(connection, settings, settings.user, settings.password)


async def _greet(connection: SmtpConnection, settings: SmtpSettings) -> None:
    """Send EHLO, and store the server's extensions."""
    name = settings.name or connection.own_address
    reply = await connection.command(f"EHLO {name}")
    connection.extensions = _extensions(reply)
    if reply.permanent:
        reply = await connection.command(f"HELO {name}")
    if not reply.good:
        raise _refused(settings, "refuses EHLO and HELO", reply)


def _extensions(reply: Reply) -> Mapping[str, str]:
    """Return the extensions offered, by keyword in capitals; old servers write AUTH=LOGIN."""
    if not reply.good:
        return {}
    offered: dict[str, str] = {}
    for line in reply.text.splitlines()[1:]:
        keyword, _, values = line.replace("=", " ", 1).upper().partition(" ")
        offered[keyword] = f"{offered.get(keyword, '')} {values}".strip()
    return offered


async def _log_in(
    connection: SmtpConnection, settings: SmtpSettings, user: str, password: str
) -> None:
    offered = connection.extensions.get("AUTH", "").split()
    if "PLAIN" in offered:
        secret = _base64(f"\0{user}\0{password}")
        reply = await connection.command(f"AUTH PLAIN {secret}")
    elif "LOGIN" in offered:
        reply = await connection.command("AUTH LOGIN")
        for credential in (user, password):
            if reply.code == 334:  # noqa: PLR2004 -- RFC 4954's code to continue
                reply = await connection.command(_base64(credential))
    else:
        raise OutsideError(f"{settings.place}: offers neither AUTH PLAIN nor AUTH LOGIN")
    if not reply.good:
        raise _refused(settings, "rejects user and password", reply)


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")


def _refused(settings: SmtpSettings, what: str, reply: Reply) -> OutsideError:
    return OutsideError(f"{settings.place}: {what}: {reply.words}")

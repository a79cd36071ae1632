"""For mail providers: what became of the mails. SendGrid posts again whatever is not answered 2xx.

Whoever is not SendGrid learns nothing and changes nothing. A post is one transaction, and what it
says is known by the ids of its events: posted twice, at the same time or in another order, it
comes to the same.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from reconsent.domain.errors import BadInputError
from reconsent.facts.record.accounts import Counts
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.mail.sendgrid.events import Reports, read_events
from reconsent.mail.sendgrid.webhook import SIGNATURE, TIMESTAMP, Webhook
from reconsent.store.postgres import Connection
from reconsent.telemetry import WEBHOOK_EVENT_SKIPPED, WEBHOOK_RECORDED, WEBHOOK_REFUSED
from reconsent.web.access import Context, Given

router = APIRouter(include_in_schema=False)

# Ten times what SendGrid posts at once.
_MOST_BYTES: Final = 8_000_000
# Who sends too much can hear so only when it has been read; but not for ever.
_MOST_READ: Final = 4 * _MOST_BYTES


def _webhook(context: Given) -> Webhook:
    if context.sendgrid is None:
        raise HTTPException(404, "SENDGRID_WEBHOOK_KEY is not set: nobody's posts are believed")
    return context.sendgrid


async def _body(request: Request) -> bytes:
    """Read the body as it came, for that is what is signed; no more of it than is allowed."""
    kept = bytearray()
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > _MOST_READ:
                break
            if size <= _MOST_BYTES:
                kept += part
    except ClientDisconnect as error:
        raise HTTPException(400, "the body ended early") from error
    if size > _MOST_BYTES:
        raise HTTPException(413, f"the body is larger than {_MOST_BYTES} bytes")
    return bytes(kept)


@router.post("/hooks/sendgrid")
def sendgrid(
    request: Request,
    context: Given,
    webhook: Annotated[Webhook, Depends(_webhook)],
    body: Annotated[bytes, Depends(_body)],
) -> Response:
    """Record what SendGrid reports. It works in a thread of its own, as every page does."""
    signature = request.headers.get(SIGNATURE, "")
    timestamp = request.headers.get(TIMESTAMP, "")
    now = context.now()
    if why := webhook.refusal(body, signature, timestamp, now):
        WEBHOOK_REFUSED.log(reason=why)
        raise HTTPException(403, why)
    reports = _read(body.decode(), context)
    counts = _record(context, reports)
    _tell(reports, counts)
    told = {
        "new": counts.new,
        "unchanged": counts.unchanged,
        "ignored": reports.ignored.total() + len(counts.refused) + len(reports.unreadable),
    }
    return JSONResponse(told)


def _read(body: str, context: Context) -> Reports:
    """Read a signed post; one of which nothing can be read is refused."""
    try:
        reports = read_events(body, context.now())
    except BadInputError as error:
        WEBHOOK_REFUSED.log(reason=error)
        raise HTTPException(400, str(error)) from error
    for wrong in reports.unreadable:
        WEBHOOK_EVENT_SKIPPED.log(reason=wrong)
    if reports.unreadable and not (reports.mail or reports.ignored):
        raise HTTPException(400, reports.unreadable[0])
    return reports


def _record(context: Context, reports: Reports) -> Counts:
    """Record a post in one transaction. Raises OutsideError: SendGrid posts it again."""
    if not reports.mail:
        return Counts()

    def work(connection: Connection) -> Counts:
        return record_mail_events(connection, reports.mail)

    return context.database.transaction(work)


def _tell(reports: Reports, counts: Counts) -> None:
    ignored = reports.ignored.copy()
    ignored["about notices that were never sent"] = len(counts.refused)
    ignored["unreadable"] = len(reports.unreadable)
    skipped = ", ".join(f"{number} {why}" for why, number in ignored.items() if number)
    WEBHOOK_RECORDED.log(
        new=counts.new,
        known=counts.unchanged,
        ignored=f", ignored: {skipped}" if skipped else "",
    )

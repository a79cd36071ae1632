"""SendGrid's event webhook. SendGrid retries every request that does not get a 2xx response.

The signature is verified before a request is parsed. A request is one transaction and idempotent:
its events are deduplicated by id, so repeated, concurrent or reordered requests give the same
result.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from reconsent.domain.errors import BadInputError
from reconsent.domain.recorded import Counts
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.mail.sendgrid.events import Reports, read_events
from reconsent.mail.sendgrid.webhook import SIGNATURE, TIMESTAMP, Webhook
from reconsent.store.postgres import Connection
from reconsent.telemetry.log_events import WEBHOOK_EVENT_SKIPPED, WEBHOOK_RECORDED, WEBHOOK_REFUSED
from reconsent.web.access import Context, InjectedContext
from reconsent.web.bodies import Body, BoundedRoute

router = APIRouter(include_in_schema=False, route_class=BoundedRoute)


def _webhook(context: InjectedContext) -> Webhook:
    if context.sendgrid is None:
        raise HTTPException(404, "SENDGRID_WEBHOOK_KEY is not set: no requests are accepted")
    return context.sendgrid


@router.post("/hooks/sendgrid")
def sendgrid(
    request: Request,
    context: InjectedContext,
    webhook: Annotated[Webhook, Depends(_webhook)],
    body: Body,
) -> Response:
    """Record what SendGrid reports."""
    signature = request.headers.get(SIGNATURE, "")
    timestamp = request.headers.get(TIMESTAMP, "")
    now = context.now()
    if reason := webhook.refusal(body, signature, timestamp, now):
        WEBHOOK_REFUSED.log(reason=reason)
        raise HTTPException(403, reason)
    reports = _read(body.decode(), context)
    counts = _record(context, reports)
    _log(reports, counts)
    result = {
        "new": counts.new,
        "unchanged": counts.unchanged,
        "ignored": reports.ignored.total()
        + counts.not_ours
        + len(counts.refused)
        + len(reports.unreadable),
    }
    return JSONResponse(result)


def _read(body: str, context: Context) -> Reports:
    """Parse a signed request; refuse it if none of its events can be read."""
    try:
        reports = read_events(body, context.now())
    except BadInputError as error:
        WEBHOOK_REFUSED.log(reason=error)
        raise HTTPException(400, str(error)) from error
    for reason in reports.unreadable:
        WEBHOOK_EVENT_SKIPPED.log(reason=reason)
    if reports.unreadable and not (reports.mail or reports.ignored):
        raise HTTPException(400, reports.unreadable[0])
    return reports


def _record(context: Context, reports: Reports) -> Counts:
    """Record a request in one transaction. Raises OutsideError, on which SendGrid retries."""
    if not reports.mail:
        return Counts()

    def work(connection: Connection) -> Counts:
        return record_mail_events(connection, reports.mail, context.signer.address_hash)

    return context.database.transaction(work)


def _log(reports: Reports, counts: Counts) -> None:
    ignored = reports.ignored.copy()
    ignored["about notices that were never sent"] = len(counts.refused)
    ignored["about notices that are not ours"] = counts.not_ours
    ignored["unreadable"] = len(reports.unreadable)
    skipped = ", ".join(f"{number} {reason}" for reason, number in ignored.items() if number)
    WEBHOOK_RECORDED.log(
        new=counts.new,
        known=counts.unchanged,
        ignored=f", ignored: {skipped}" if skipped else "",
    )

"""For SendGrid: what became of the mails. It posts again whatever is not answered 2xx.

A post that is not signed by SendGrid learns nothing and changes nothing. A post is one transaction,
and its events are known by their ids: posted twice, at the same time or in another order, they come
to the same.
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
from reconsent.telemetry import WEBHOOK_EVENT_SKIPPED, WEBHOOK_RECORDED, WEBHOOK_REFUSED
from reconsent.web.access import Context, InjectedContext
from reconsent.web.bodies import Body, BoundedRoute

router = APIRouter(include_in_schema=False, route_class=BoundedRoute)


def _webhook(context: InjectedContext) -> Webhook:
    if context.sendgrid is None:
        raise HTTPException(404, "SENDGRID_WEBHOOK_KEY is not set: no posts are accepted")
    return context.sendgrid


@router.post("/hooks/sendgrid")
def sendgrid(
    request: Request,
    context: InjectedContext,
    webhook: Annotated[Webhook, Depends(_webhook)],
    body: Body,
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

"""SendGrid as a mail provider: one request for up to 1,000 recipients of the same mail.

SendGrid has no idempotency key: it cannot recognize a repeated request. A request ends in one of
these ways, and only what was certainly not accepted may be sent again:

    202                                        accepted
    400 about a recipient                      halved, until the one at fault is alone: rejected
    400 without a cause                        halved; rejected only if others are accepted
    413                                        halved
    429, or the request was not sent whole     retry
    5xx, a timeout, a broken response          unknown
    anything else (key, host, mail)            OutsideError: no recipient is at fault
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit

from python_http_client.exceptions import (  # type: ignore[import-untyped]  # it has no types
    HTTPError,
)
from sendgrid import SendGridAPIClient  # type: ignore[import-untyped]  # it has no types

from reconsent.domain.address import UnusableAddressError, ascii_address
from reconsent.domain.errors import BadInputError, OutsideError, StoppedError
from reconsent.domain.mail import Result
from reconsent.mail.sendgrid.request import Addressed, request_body
from reconsent.mail.sendgrid.responses import Response, refusal
from reconsent.mail.sendgrid.settings import HOST, Handling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconsent.domain.mail import Mail, Recipient

TIMEOUT: Final = 30.0
"""Seconds to connect, and for each wait after that: the client has only one timeout."""

_LONGEST_REST: Final = timedelta(hours=1)
_MOST_BYTES: Final = 30_000_000
_MOST_SUBSTITUTED: Final = 10_000
_PERSONAL_BYTES: Final = 2500
"""The most bytes of JSON for one recipient, without the link; most of them are the name."""
_MOST_DOUBTFUL: Final = 3
"""With this many rejected in a row for an unclear reason, the mail is at fault."""


class SendGrid:
    """Sends through SendGrid's v3 API."""

    name: str = "sendgrid"
    at_most: int = 1000
    together: bool = True
    repeats_safely: bool = False
    rests_until: datetime | None = None
    """When SendGrid's rate limit ends, by its own response."""

    def __init__(
        self,
        api_key: str,
        host: str,
        now: Callable[[], datetime],
        *,
        handling: Handling = Handling(),  # noqa: B008 -- it is frozen
        timeout: float = TIMEOUT,
    ) -> None:
        """Take a host as a URL; raises BadInputError if the host or the key is not valid."""
        if not api_key.strip():
            raise BadInputError("SENDGRID_API_KEY: is required to send through SendGrid")
        if not (api_key.strip().isascii() and api_key.strip().isprintable()):
            raise BadInputError("SENDGRID_API_KEY: has characters that are not allowed in a key")
        self._client = SendGridAPIClient(api_key.strip(), host=_checked(host)).client
        self._client.timeout = timeout
        self._handling = handling
        self._now = now
        # At its debug level the client logs the key, the addresses and the links.
        logging.getLogger("python_http_client").setLevel(logging.INFO)

    def send(self, mail: Mail, recipients: Sequence[Recipient]) -> Sequence[Result]:
        """Send a mail; raises OutsideError if nothing was accepted and no recipient is at fault.

        A retry says when SendGrid accepts requests again, if it said so.
        """
        results: dict[int, Result] = {}
        addressed = list(_usable(recipients, results))
        stopped = self._hand_over(mail, addressed, results)
        self.rests_until = self._believed(stopped.not_before) if stopped else None
        if stopped and stopped.fatal and not _any(results, "accepted", "unknown"):
            raise (StoppedError if stopped.barred else OutsideError)(str(stopped.reason))
        rest = Result("retry", stopped.reason if stopped else None, self.rests_until)
        for one in addressed:
            # Not sent, because sending stopped before.
            results.setdefault(one.place, rest)
        return [results[place] for place in range(len(recipients))]

    def _believed(self, until: datetime | None) -> datetime | None:
        """Return the end of a rate limit, capped because a very late one must be wrong."""
        return min(until, self._now() + _LONGEST_REST) if until else None

    def _hand_over(
        self, mail: Mail, addressed: list[Addressed], results: dict[int, Result]
    ) -> Response | None:
        """Send request by request, adding results; return the response that ended it early."""
        most = min(self.at_most, self._most(mail, addressed))
        waiting = list(reversed(_requests(addressed, most)))
        doubtful: dict[int, Response] = {}
        while waiting:
            request = waiting.pop()
            response = self._post(request_body(mail, request, self._handling))
            if response.halves and len(request) > 1:
                middle = len(request) // 2
                waiting += [request[middle:], request[:middle]]
            elif response.doubtful:
                doubtful[request[0].place] = response
                if len(doubtful) >= _MOST_DOUBTFUL and not _any(results, "accepted"):
                    return response
            else:
                if response.outcome != "retry":
                    result = Result(response.outcome, response.reason)
                    results.update((one.place, result) for one in request)
                if response.outcome in {"retry", "unknown"}:
                    return response
        return _settle(doubtful, results)

    def _most(self, mail: Mail, addressed: Sequence[Addressed]) -> int:
        """Return how many recipients fit into one request within SendGrid's limits.

        Raises OutsideError if not even one does.
        """
        link = max((len(one.recipient.link.encode()) for one in addressed), default=0)
        if link + len(mail.link_mark) >= _MOST_SUBSTITUTED:
            raise OutsideError(
                f"PUBLIC_URL: makes links of {link} bytes; SendGrid accepts less than"
                f" {_MOST_SUBSTITUTED}"
            )
        alike = len(json.dumps(request_body(mail, [], self._handling)))
        # A link is in the text and, in optional mail, in a header.
        most = (_MOST_BYTES - 1 - alike) // (_PERSONAL_BYTES + len(mail.link_mark) + 12 * link)
        if most < 1:
            raise OutsideError(
                f"a mail of {alike} bytes is too large for SendGrid, which accepts less than"
                f" {_MOST_BYTES}"
            )
        return most

    def _post(self, body: dict[str, Any]) -> Response:
        try:
            response = self._client.mail.send.post(request_body=body)
        except HTTPError as error:
            return refusal(error)
        except URLError as error:
            # Raised only while connecting or sending: SendGrid does not have the whole request.
            return Response("retry", f"SendGrid cannot be reached: {error.reason}")
        except (OSError, HTTPException) as error:
            return Response(
                "unknown", f"SendGrid did not respond: {str(error) or type(error).__name__}"
            )
        if response.status_code == 202:  # noqa: PLR2004 -- HTTP's name for it is Accepted
            return Response("accepted")
        status = response.status_code
        return Response(
            "retry", f"SENDGRID_HOST: responded {status}, SendGrid responds 202", fatal=True
        )


def _checked(host: str) -> str:
    parts = urlsplit(host)
    try:
        # The client encodes it so: a name that cannot be encoded fails here, not with every mail.
        known = parts.scheme in {"http", "https"} and (parts.hostname or "").encode("idna")
        _ = parts.port
    except ValueError:
        known = False
    if not known or not host.isprintable() or " " in host:
        message = f"SENDGRID_HOST: {host!r} is not a valid URL such as {HOST}"
        raise BadInputError(message)
    return host.rstrip("/")


def _usable(recipients: Iterable[Recipient], results: dict[int, Result]) -> Iterable[Addressed]:
    """Yield the recipients with a usable address, and add a rejection for each other one."""
    for place, recipient in enumerate(recipients):
        try:
            address = ascii_address(recipient.email)
        except UnusableAddressError as error:
            results[place] = Result("rejected", str(error))
        else:
            yield Addressed(place=place, recipient=recipient, address=address)


def _requests(addressed: Sequence[Addressed], at_most: int) -> list[list[Addressed]]:
    """Divide recipients so that no request has an address twice, whatever its case.

    SendGrid rejects a request with duplicate addresses. Some systems ignore dots, or what follows a
    plus; elsewhere these are other people's addresses, so they count as different here. If SendGrid
    treats two as equal after all, halving separates them.
    """
    requests: list[list[Addressed]] = []
    times: dict[str, int] = {}
    for one in addressed:
        canonical = one.address.casefold()
        turn = times.get(canonical, 0)
        while turn < len(requests) and len(requests[turn]) == at_most:
            turn += 1
        if turn == len(requests):
            requests.append([])
        requests[turn].append(one)
        times[canonical] = turn + 1
    return requests


def _settle(doubtful: Mapping[int, Response], results: dict[int, Result]) -> Response | None:
    """Reject the doubtful recipients if SendGrid accepted the same mail for others.

    Otherwise the mail is at fault, and no recipient is rejected.
    """
    if not _any(results, "accepted"):
        return next(iter(doubtful.values()), None)
    for place, response in doubtful.items():
        results[place] = Result("rejected", response.reason)
    return None


def _any(results: Mapping[int, Result], *outcomes: str) -> bool:
    return any(result.outcome in outcomes for result in results.values())

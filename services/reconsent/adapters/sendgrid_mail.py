"""SendGrid as a mail provider: one request for up to 1,000 recipients of the same letter.

SendGrid cannot be told that a request repeats an earlier one. So every request ends in one of
four ways, and only what was surely not accepted may be sent again:

    202                                        accepted
    400 about a recipient                      halved, until the one at fault stands alone: rejected
    413                                        halved
    429, or the request did not leave wholly   retry
    5xx, silence, a broken answer              unknown
    anything else (key, host, letter)          OutsideError: no recipient is at fault
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.error import URLError
from urllib.parse import urlsplit

from python_http_client.exceptions import (  # type: ignore[import-untyped]  # it has no types
    HTTPError,
)
from sendgrid import SendGridAPIClient  # type: ignore[import-untyped]  # it has no types

from reconsent.adapters.mail_address import (
    UnusableAddressError,
    display_name,
    postal_address,
    sender_parts,
)
from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.domain.mail import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconsent.domain.mail import Letter, Outcome, Recipient

HOST: Final = "https://api.sendgrid.com"
TIMEOUT: Final = 30.0
"""Seconds to connect, and for each wait after that: the client knows only one limit."""

_LONGEST_REASON: Final = 500
_ADDRESS: Final = re.compile(r"[^\s\[\]<>\"']+@[^\s\[\]<>\"']+")
# Not their headers, arguments or substitutions: these are the same for everyone, and ours.
_RECIPIENT_FIELD: Final = re.compile(r"personalizations(?:\.\d+|\[\d+\])?(?:\.to\b.*)?")


@dataclass(frozen=True, kw_only=True)
class _Addressed:
    """A recipient whose address is usable, and their place in the order asked for."""

    place: int
    recipient: Recipient
    address: str


class _Answer(NamedTuple):
    """How a request ended, for each of its recipients."""

    outcome: Outcome
    reason: str | None = None
    halves: bool = False
    """Whether a smaller request may do better."""
    fatal: bool = False
    """Whether somebody has to change something (key, host, letter) before it can do better."""


class SendGrid:
    """Send through SendGrid's v3 API."""

    name: str = "sendgrid"
    at_most: int = 1000
    repeats_safely: bool = False

    def __init__(self, api_key: str, host: str, sender: str, *, timeout: float = TIMEOUT) -> None:
        """Take a host as a URL; raises BadInputError where it is none, or the key is empty."""
        if not api_key.strip():
            raise BadInputError("SENDGRID_API_KEY: is needed to send through SendGrid")
        if not (api_key.strip().isascii() and api_key.strip().isprintable()):
            raise BadInputError("SENDGRID_API_KEY: has signs that no key has")
        self._client = SendGridAPIClient(api_key.strip(), host=_checked(host)).client
        self._client.timeout = timeout
        name, address = sender_parts(sender)
        self._from = _person(address, name)
        # At its debug level the client logs the key, the addresses and the links.
        logging.getLogger("python_http_client").setLevel(logging.INFO)

    def send(self, letter: Letter, recipients: Sequence[Recipient]) -> Sequence[Result]:
        """Hand a letter over; raises OutsideError where nothing was accepted and none is at fault.

        A retry's reason says until when SendGrid wants to be left alone, where it did say.
        """
        results: dict[int, Result] = {}
        addressed = list(_usable(recipients, results))
        stopped = self._hand_over(letter, addressed, results)
        if stopped and stopped.fatal and not _any_may_have_left(results):
            raise OutsideError(str(stopped.reason))
        for one in addressed:
            # What was not handed over any more, after SendGrid said or showed that it cannot.
            results.setdefault(one.place, Result("retry", stopped.reason if stopped else None))
        return [results[place] for place in range(len(recipients))]

    def _hand_over(
        self, letter: Letter, addressed: list[_Addressed], results: dict[int, Result]
    ) -> _Answer | None:
        """Send request by request, adding results; return the answer that ended it early."""
        waiting = list(reversed(_requests(addressed, self.at_most)))
        while waiting:
            request = waiting.pop()
            answer = self._post(self._body(letter, request))
            if answer.halves and len(request) > 1:
                middle = len(request) // 2
                waiting += [request[middle:], request[:middle]]
                continue
            if answer.outcome != "retry":
                result = Result(answer.outcome, answer.reason)
                results.update((one.place, result) for one in request)
            if answer.outcome in {"retry", "unknown"}:
                return answer
        return None

    def _post(self, body: dict[str, Any]) -> _Answer:
        try:
            response = self._client.mail.send.post(request_body=body)
        except HTTPError as error:
            return _refusal(error)
        except URLError as error:
            # Raised while connecting or sending only: the request is not whole on the other side.
            return _Answer("retry", f"SendGrid cannot be reached: {error.reason}")
        except (OSError, HTTPException) as error:
            return _Answer(
                "unknown", f"SendGrid did not answer: {str(error) or type(error).__name__}"
            )
        if response.status_code == 202:  # noqa: PLR2004 -- HTTP's name for it is Accepted
            return _Answer("accepted")
        status = response.status_code
        return _Answer(
            "retry", f"SENDGRID_HOST: answered {status}, SendGrid answers 202", fatal=True
        )

    def _body(self, letter: Letter, request: list[_Addressed]) -> dict[str, Any]:
        linked = letter.link_mark and letter.link_mark in letter.text + letter.html
        return {
            "from": self._from,
            "subject": letter.subject,
            "content": [
                {"type": "text/plain", "value": letter.text},
                {"type": "text/html", "value": letter.html},
            ],
            "tracking_settings": {
                "click_tracking": {"enable": False, "enable_text": False},
                "open_tracking": {"enable": False},
                "subscription_tracking": {"enable": False},
            },
            "personalizations": [
                {
                    "to": [_person(one.address, one.recipient.name)],
                    "custom_args": {"reconsent_notice": one.recipient.notice},
                    # All of them here: a personalization's headers stand instead of the message's.
                    "headers": {
                        "X-Reconsent-Notice": one.recipient.notice,
                        "Auto-Submitted": "auto-generated",
                        "Content-Language": letter.locale,
                    },
                }
                | (
                    {"substitutions": {letter.link_mark: one.recipient.choose_url}}
                    if linked
                    else {}
                )
                for one in request
            ],
        }


def _checked(host: str) -> str:
    parts = urlsplit(host)
    try:
        # As the client will encode it: a name that has no encoding fails here, not with every mail.
        known = parts.scheme in {"http", "https"} and (parts.hostname or "").encode("idna")
        _ = parts.port
    except ValueError:
        known = False
    if not known or not host.isprintable() or " " in host:
        message = f"SENDGRID_HOST: {host!r} is no URL such as {HOST}"
        raise BadInputError(message)
    return host.rstrip("/")


def _person(address: str, name: str | None) -> dict[str, str]:
    # SendGrid takes ; and , in a name for the end of an address.
    cleaned = display_name((name or "").replace(";", " ").replace(",", " "))
    return {"email": address, "name": cleaned} if cleaned else {"email": address}


def _usable(recipients: Iterable[Recipient], results: dict[int, Result]) -> Iterable[_Addressed]:
    """Yield the recipients with a usable address, and add a rejection for each other one."""
    for place, recipient in enumerate(recipients):
        try:
            address = postal_address(recipient.email)
        except UnusableAddressError as error:
            results[place] = Result("rejected", str(error))
        else:
            yield _Addressed(place=place, recipient=recipient, address=address)


def _requests(addressed: list[_Addressed], at_most: int) -> list[list[_Addressed]]:
    """Divide recipients so that none of the requests has an address twice, however it is cased."""
    requests: list[list[_Addressed]] = []
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


def _any_may_have_left(results: dict[int, Result]) -> bool:
    return any(result.outcome in {"accepted", "unknown"} for result in results.values())


def _refusal(error: Any) -> _Answer:  # noqa: ANN401 -- the client has no types
    status = int(error.status_code)
    fields, words = _explained(error.body)
    said = f"SendGrid answered {status}: {words or error.reason}"[:_LONGEST_REASON]
    if status == 429:  # noqa: PLR2004 -- Too Many Requests
        return _Answer("retry", said + _until(error.headers.get("X-RateLimit-Reset")))
    if status >= 500:  # noqa: PLR2004 -- a server's own error begins here
        return _Answer("unknown", said)
    if status == 413:  # noqa: PLR2004 -- Content Too Large
        return _Answer("retry", said, halves=True, fatal=True)
    if status == 400 and fields and all(map(_RECIPIENT_FIELD.fullmatch, fields)):  # noqa: PLR2004 -- Bad Request
        return _Answer("rejected", said, halves=True)
    if status in {401, 403}:
        said = f"SENDGRID_API_KEY, MAIL_FROM: {said}"
    return _Answer("retry", said, fatal=True)


def _explained(body: bytes) -> tuple[list[str], str]:
    """Return the fields that an error document blames, and its words in one line.

    The words are kept, so addresses are taken out of them.
    """
    try:
        errors = [error for error in json.loads(body)["errors"] if isinstance(error, dict)]
    except (ValueError, TypeError, KeyError):
        return [], ""
    fields = [str(error.get("field") or "") for error in errors]
    words = [
        f"{error.get('message')} ({error['field']})" if error.get("field") else error.get("message")
        for error in errors
    ]
    return fields, _ADDRESS.sub("(address)", " ".join("; ".join(map(str, words)).split()))


def _until(reset: str | None) -> str:
    """Tell when a rate limit ends, from seconds since 1970; nothing where it does not say."""
    try:
        at = datetime.fromtimestamp(int(reset or ""), UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return f"; again from {at:%Y-%m-%dT%H:%M:%SZ}"

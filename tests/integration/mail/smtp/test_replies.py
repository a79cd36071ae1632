"""How a mail server's replies, or their absence, become outcomes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from reconsent.domain.errors import OutsideError
from reconsent.domain.mail import Result
from reconsent.mail.smtp.provider import Smtp
from tests.integration.smtp_sending import NOON, Clock, outcomes, reached, sending
from tests.mails import MAIL, people, person
from tests.stand_ins.smtp_server import (
    HANG_UP,
    SILENCE,
    STOP_READING,
    TAKE_AND_HANG_UP,
    MailServer,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconsent.domain.mail import Recipient


@pytest.fixture(params=[True, False], ids=["pipelining", "one by one"])
def server(request: pytest.FixtureRequest) -> MailServer:
    """Return a mail server, with PIPELINING and without."""
    return MailServer(pipelining=request.param)


@pytest.fixture
def clock() -> Clock:
    """Return a clock that shows noon until the test changes it."""
    return Clock()


@pytest.fixture
def smtp(server: MailServer, clock: Clock) -> Iterator[Smtp]:
    """Yield the provider, with one connection to the server."""
    with sending(server, clock=clock) as provider:
        yield provider


def result_of(email: str, step: Step, answer: str, smtp: Smtp, server: MailServer) -> Result:
    """Return the result of a reply to one of a few recipients; the others are accepted."""
    server.odd_for[step, email] = answer
    everyone = [*people(2), person(email), *people(3)[2:]]
    results = smtp.send(MAIL, everyone)
    assert outcomes([*results[:2], results[3]]) == ["accepted"] * 3
    assert reached(server) == ["p0@example.com", "p1@example.com", "p2@example.com"]
    return results[2]


@pytest.mark.parametrize("step", ["RCPT", "."])
@pytest.mark.parametrize(
    "answer", ["550 5.1.1 <ann@bad.example>: no such user", "552 Full", "554 5.7.1 Policy", "501 x"]
)
def test_a_permanent_refusal_rejects_one_recipient(
    smtp: Smtp, server: MailServer, step: Step, answer: str
) -> None:
    """The reason is the server's reply without the address."""
    result = result_of("ann@bad.example", step, answer, smtp, server)
    words = answer.replace("ann@bad.example", "(address)")
    assert result[:3] == ("rejected", f"the mail server replied {words}", None)
    assert result.mailbox == ("5.1.1" in answer)


@pytest.mark.parametrize("step", ["RCPT", "."])
def test_a_temporary_refusal_is_retried_later(smtp: Smtp, server: MailServer, step: Step) -> None:
    """The result says when; others are not delayed."""
    result = result_of("ann@busy.example", step, "451 4.7.1 Try later", smtp, server)
    reason = "the mail server replied 451 4.7.1 Try later"
    assert result == Result("retry", reason, NOON + timedelta(minutes=1))


def test_a_busy_domain_is_backed_off(smtp: Smtp, server: MailServer, clock: Clock) -> None:
    """After several refusals in a row a domain is not tried until its time has come."""
    at_busy = [person(f"p{n}@busy.example") for n in range(9)]
    for recipient in at_busy:
        server.odd_for["RCPT", recipient.email] = "451 4.3.2 Too much"
    for minutes in (1, 2, 4, 8, 16, 32, 60, 60):
        until = clock.time + timedelta(minutes=minutes)
        results = smtp.send(MAIL, [*at_busy, *people(2)])
        assert outcomes(results) == ["retry"] * 9 + ["accepted"] * 2
        assert {result.not_before for result in results[:9]} == {until}
        assert results[8].reason == "busy.example temporarily rejects mail"
        clock.time = until
    server.odd_for.clear()
    assert outcomes(smtp.send(MAIL, at_busy)) == ["accepted"] * 9


def test_a_full_mailbox_delays_nobody_else(smtp: Smtp, server: MailServer) -> None:
    """A reply about one mailbox does not count against its domain."""
    full = [person(f"f{n}@example.com") for n in range(9)]
    for recipient in full:
        server.odd_for["RCPT", recipient.email] = "452 4.2.2 Mailbox full"
    results = smtp.send(MAIL, [*full, *people(1)])
    assert outcomes(results) == ["retry"] * 9 + ["accepted"]
    assert {result.not_before for result in results[:9]} == {NOON + timedelta(minutes=15)}


@pytest.mark.parametrize("answer", [HANG_UP, SILENCE, "999 what?", "and now?", "220 Hello again"])
def test_a_break_before_the_end_of_data_is_retried(
    smtp: Smtp, server: MailServer, answer: str
) -> None:
    """Nothing is sent twice or rejected: another connection or a later attempt sends it."""
    for step in ("MAIL", "RCPT", "DATA"):
        if step != "DATA" and answer.startswith("220"):
            continue
        server.odd[step].extend([None, answer])
        everyone = people(4)
        assert outcomes(smtp.send(MAIL, everyone)) == ["accepted"] * 4
        assert reached(server) == [recipient.email for recipient in everyone]
        server.taken.clear()


@pytest.mark.parametrize("answer", [TAKE_AND_HANG_UP, HANG_UP, SILENCE, "354 more", "nonsense"])
def test_no_reply_after_the_end_of_data_is_unknown(
    smtp: Smtp, server: MailServer, answer: str
) -> None:
    """The mail may have been accepted, so it is not sent again; all others are sent once."""
    server.odd["."].extend([None, answer])
    everyone = people(4)
    results = smtp.send(MAIL, everyone)
    assert outcomes(results) == ["accepted", "unknown", "accepted", "accepted"]
    assert str(results[1].reason).startswith("the mail server ")
    took = {recipient.email for recipient in everyone}
    took -= set() if answer == TAKE_AND_HANG_UP else {everyone[1].email}
    assert sorted(reached(server)) == sorted(took)


def test_a_server_that_limits_messages_per_connection_gets_them_all(
    smtp: Smtp, server: MailServer
) -> None:
    """A server that ends a connection after some messages, with 421, gets the rest over others."""
    server.odd["MAIL"].extend([None, None, "421 4.7.0 Enough for one connection"] * 5)
    assert outcomes(smtp.send(MAIL, people(10))) == ["accepted"] * 10
    assert len(set(reached(server))) == len(server.taken) == 10
    server.odd["."].append("421 4.3.2 Shutting down")
    assert outcomes(smtp.send(MAIL, people(2))) == ["retry", "accepted"]


def test_a_server_that_always_fails_is_reported(smtp: Smtp, server: MailServer) -> None:
    """If every connection fails, that is reported, and nothing is lost."""
    server.odd["RCPT"].extend([HANG_UP] * 20)
    with pytest.raises(OutsideError, match=r"localhost:\d+: the mail server (closed|broke)"):
        smtp.send(MAIL, people(10))
    assert server.connections == 1
    server.odd["RCPT"].clear()
    assert outcomes(smtp.send(MAIL, people(10))) == ["accepted"] * 10


def test_data_without_recipients_is_empty() -> None:
    """A server that replies 354 after refusing the only recipient gets an empty message."""
    server = MailServer()
    server.odd["RCPT"].extend([None, "550 5.1.1 No such user", None])
    server.odd["DATA"].extend([None, "354 Go ahead", None])
    with sending(server) as smtp:
        results = smtp.send(MAIL, people(3))
    assert outcomes(results) == ["accepted", "rejected", "accepted"]
    assert reached(server) == ["p0@example.com", "p2@example.com"]
    assert server.connections == 1


def test_a_recipient_that_breaks_connections_costs_no_other(server: MailServer) -> None:
    """A recipient at whom each connection breaks is retried later; the others get their mail."""
    server.odd_for["RCPT", "p70@example.com"] = HANG_UP
    with sending(server, "connections=3") as smtp:
        results = smtp.send(MAIL, people(200))
    assert [n for n, result in enumerate(results) if result.outcome == "retry"] == [70]
    assert len(set(reached(server))) == len(server.taken) == 199
    assert server.odd_replies["RCPT"] == 2


def test_a_connection_closed_between_mails_costs_nobody() -> None:
    """If the server closed an idle connection, the next mail uses a new one."""
    server = MailServer()
    with sending(server, "connections=2") as smtp:
        assert set(outcomes(smtp.send(MAIL, people(100)))) == {"accepted"}
        server.odd["MAIL"].extend(["421 4.4.2 Timeout", HANG_UP])
        assert set(outcomes(smtp.send(MAIL, people(100)))) == {"accepted"}
    assert server.connections == 4


def test_a_server_that_stops_reading_has_accepted_nothing() -> None:
    """A message sent in part has no end of data that the server could have accepted."""
    server = MailServer()
    with sending(server) as smtp:
        server.odd["DATA"].append(STOP_READING)
        long = replace(MAIL, text="x" * 20_000_000)
        with pytest.raises(OutsideError, match="did not read within 2 seconds"):
            smtp.send(long, people(2))
    assert not server.taken


# ---------------------------------------------------------------------- refusals of everyone


@pytest.mark.parametrize("answer", ["550 5.7.1 Sender refused", "530 5.7.0 Log in first", "451 No"])
def test_a_refused_sender_rejects_nobody(smtp: Smtp, server: MailServer, answer: str) -> None:
    """It is reported in one line, and nobody is rejected."""
    server.odd["MAIL"].extend([answer] * 3)
    with pytest.raises(OutsideError, match=rf"MAIL_URL: localhost:\d+: .*{answer}"):
        smtp.send(MAIL, people(30))
    server.odd["MAIL"].clear()
    server.odd["MAIL"].extend([None, answer])
    results = smtp.send(MAIL, people(3))
    assert outcomes(results) == ["accepted", "retry", "retry"]


def relaying_denied(server: MailServer, step: Step, everyone: Sequence[Recipient]) -> None:
    """Make a server refuse everyone for the same reason."""
    for recipient in everyone:
        server.odd_for[step, recipient.email] = "554 5.7.1 Access denied"


def test_a_server_that_relays_nothing_rejects_nobody(
    smtp: Smtp, server: MailServer, clock: Clock
) -> None:
    """Until a server has accepted a mail, a refusal may be about the sender; all are retried."""
    relaying_denied(server, "RCPT", people(100))
    results = smtp.send(MAIL, people(3))
    assert outcomes(results) == ["retry"] * 3
    assert {result.not_before for result in results} == {NOON + timedelta(minutes=1)}
    clock.time += timedelta(hours=1)
    results = smtp.send(MAIL, [*people(2), person("bo@good.example")])
    assert outcomes(results) == ["rejected", "rejected", "accepted"]


def test_a_mail_that_nobody_may_get_rejects_nobody(smtp: Smtp, server: MailServer) -> None:
    """A server that refuses a mail as spam refuses it for everyone; it is not sent to all."""
    assert outcomes(smtp.send(MAIL, people(1))) == ["accepted"]
    everyone = [person(f"s{n}@d{n}.example") for n in range(100)]
    relaying_denied(server, ".", everyone)
    results = smtp.send(MAIL, everyone)
    assert outcomes(results) == ["retry"] * 100
    assert {result.reason for result in results} == {
        "the mail server replied 554 5.7.1 Access denied"
    }
    assert None not in {result.not_before for result in results}
    assert sum(server.odd_replies.values()) < 30
    assert outcomes(smtp.send(MAIL, everyone[50:51])) == ["rejected"]


def test_a_mail_too_large_for_the_server_delays_no_other(smtp: Smtp, server: MailServer) -> None:
    """It is retried later, and nobody is rejected."""
    server.odd["MAIL"].append("552 5.3.4 Too large")
    results = smtp.send(MAIL, people(3))
    assert outcomes(results) == ["retry"] * 3
    assert {result.not_before for result in results} == {NOON + timedelta(minutes=15)}
    assert outcomes(smtp.send(MAIL, people(3))) == ["accepted"] * 3

"""What a mail server's answers come to, and its silence: who is to be mailed again, and who not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from reconsent.domain.errors import OutsideError
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

    from reconsent.domain.mail import Recipient, Result


@pytest.fixture(params=[True, False], ids=["pipelining", "one by one"])
def server(request: pytest.FixtureRequest) -> MailServer:
    """A mail server, with PIPELINING and without."""
    return MailServer(pipelining=request.param)


@pytest.fixture
def clock() -> Clock:
    """Noon, until the test says otherwise."""
    return Clock()


@pytest.fixture
def smtp(server: MailServer, clock: Clock) -> Iterator[Smtp]:
    """The provider, with one connection to the server."""
    with sending(server, clock=clock) as provider:
        yield provider


def told(email: str, step: Step, answer: str, smtp: Smtp, server: MailServer) -> Result:
    """Return what an answer comes to for one of a few; the others have to be accepted."""
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
def test_a_refusal_for_good_costs_one_recipient(
    smtp: Smtp, server: MailServer, step: Step, answer: str
) -> None:
    """Who is refused is rejected in the server's words, without the address."""
    result = told("ann@bad.example", step, answer, smtp, server)
    words = answer.replace("ann@bad.example", "(address)")
    assert result == ("rejected", f"the mail server replied {words}", None)


@pytest.mark.parametrize("step", ["RCPT", "."])
def test_a_refusal_for_now_is_tried_again_later(smtp: Smtp, server: MailServer, step: Step) -> None:
    """The result says when, and the others are not held up."""
    result = told("ann@busy.example", step, "451 4.7.1 Try later", smtp, server)
    reason = "the mail server replied 451 4.7.1 Try later"
    assert result == ("retry", reason, NOON + timedelta(minutes=1))


def test_a_busy_domain_is_left_alone_longer_and_longer(
    smtp: Smtp, server: MailServer, clock: Clock
) -> None:
    """After several refusals in a row it is not even tried, until its time has come."""
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


def test_a_full_mailbox_holds_up_nobody_else(smtp: Smtp, server: MailServer) -> None:
    """What is about one mailbox says nothing about its domain."""
    full = [person(f"f{n}@example.com") for n in range(9)]
    for recipient in full:
        server.odd_for["RCPT", recipient.email] = "452 4.2.2 Mailbox full"
    results = smtp.send(MAIL, [*full, *people(1)])
    assert outcomes(results) == ["retry"] * 9 + ["accepted"]
    assert {result.not_before for result in results[:9]} == {NOON + timedelta(minutes=15)}


@pytest.mark.parametrize("answer", [HANG_UP, SILENCE, "999 what?", "and now?", "220 Hello again"])
def test_a_break_before_the_end_is_tried_again(smtp: Smtp, server: MailServer, answer: str) -> None:
    """Nothing is sent twice or given up: the next connection takes over, or another try."""
    for step in ("MAIL", "RCPT", "DATA"):
        if step != "DATA" and answer.startswith("220"):
            continue
        server.odd[step].extend([None, answer])
        everyone = people(4)
        assert outcomes(smtp.send(MAIL, everyone)) == ["accepted"] * 4
        assert reached(server) == [recipient.email for recipient in everyone]
        server.taken.clear()


@pytest.mark.parametrize("answer", [TAKE_AND_HANG_UP, HANG_UP, SILENCE, "354 more", "nonsense"])
def test_no_answer_after_the_end_is_unknown(smtp: Smtp, server: MailServer, answer: str) -> None:
    """Whether it was taken cannot be known, so it is not sent again; all others are sent once."""
    server.odd["."].extend([None, answer])
    everyone = people(4)
    results = smtp.send(MAIL, everyone)
    assert outcomes(results) == ["accepted", "unknown", "accepted", "accepted"]
    assert str(results[1].reason).startswith("the mail server ")
    took = {recipient.email for recipient in everyone}
    took -= set() if answer == TAKE_AND_HANG_UP else {everyone[1].email}
    assert sorted(reached(server)) == sorted(took)


def test_a_server_that_takes_few_at_a_time_gets_them_all(smtp: Smtp, server: MailServer) -> None:
    """A server that ends a connection after some messages, with 421, gets the rest over others."""
    server.odd["MAIL"].extend([None, None, "421 4.7.0 Enough for one connection"] * 5)
    assert outcomes(smtp.send(MAIL, people(10))) == ["accepted"] * 10
    assert len(set(reached(server))) == len(server.taken) == 10
    server.odd["."].append("421 4.3.2 Shutting down")
    assert outcomes(smtp.send(MAIL, people(2))) == ["retry", "accepted"]


def test_a_server_that_breaks_down_each_time_is_left_alone(smtp: Smtp, server: MailServer) -> None:
    """Where no connection gets anything done it is told, and nothing is lost."""
    server.odd["RCPT"].extend([HANG_UP] * 20)
    with pytest.raises(OutsideError, match=r"localhost:\d+: the mail server (closed|broke)"):
        smtp.send(MAIL, people(10))
    assert server.connections == 1
    server.odd["RCPT"].clear()
    assert outcomes(smtp.send(MAIL, people(10))) == ["accepted"] * 10


def test_a_mail_to_nobody_is_an_empty_one() -> None:
    """A server may wait for the content though it refused the one recipient: it gets none."""
    server = MailServer()
    server.odd["RCPT"].extend([None, "550 5.1.1 No such user", None])
    server.odd["DATA"].extend([None, "354 Go ahead", None])
    with sending(server) as smtp:
        results = smtp.send(MAIL, people(3))
    assert outcomes(results) == ["accepted", "rejected", "accepted"]
    assert reached(server) == ["p0@example.com", "p2@example.com"]
    assert server.connections == 1


def test_one_that_breaks_the_server_costs_no_other(server: MailServer) -> None:
    """Who makes each connection break waits for another time, and the others get their mail."""
    server.odd_for["RCPT", "p70@example.com"] = HANG_UP
    with sending(server, "connections=3") as smtp:
        results = smtp.send(MAIL, people(200))
    assert [n for n, result in enumerate(results) if result.outcome == "retry"] == [70]
    assert len(set(reached(server))) == len(server.taken) == 199
    assert server.answered["RCPT"] == 2


def test_a_connection_closed_between_mails_costs_nobody() -> None:
    """Servers close what is idle: who comes next gets a new connection."""
    server = MailServer()
    with sending(server, "connections=2") as smtp:
        assert set(outcomes(smtp.send(MAIL, people(100)))) == {"accepted"}
        server.odd["MAIL"].extend(["421 4.4.2 Timeout", HANG_UP])
        assert set(outcomes(smtp.send(MAIL, people(100)))) == {"accepted"}
    assert server.connections == 4


def test_a_server_that_stops_reading_has_taken_nothing() -> None:
    """A message that did not leave wholly has no end that the server could have answered."""
    server = MailServer()
    with sending(server) as smtp:
        server.odd["DATA"].append(STOP_READING)
        long = replace(MAIL, text="x" * 20_000_000)
        with pytest.raises(OutsideError, match="did not read within 2 seconds"):
            smtp.send(long, people(2))
    assert not server.taken


# ---------------------------------------------------------------------- who is to blame


@pytest.mark.parametrize("answer", ["550 5.7.1 Sender refused", "530 5.7.0 Log in first", "451 No"])
def test_a_refused_sender_is_nobodys_fault(smtp: Smtp, server: MailServer, answer: str) -> None:
    """It is told in one line, and nobody is rejected for it."""
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
    """As long as it took none of our mails, what it denies may be us; each is tried later."""
    relaying_denied(server, "RCPT", people(100))
    results = smtp.send(MAIL, people(3))
    assert outcomes(results) == ["retry"] * 3
    assert {result.not_before for result in results} == {NOON + timedelta(minutes=1)}
    clock.time += timedelta(hours=1)
    results = smtp.send(MAIL, [*people(2), person("bo@good.example")])
    assert outcomes(results) == ["rejected", "rejected", "accepted"]


def test_a_mail_that_nobody_may_get_rejects_nobody(smtp: Smtp, server: MailServer) -> None:
    """A server that takes a mail for spam takes it so for each; it is not sent a thousandfold."""
    assert outcomes(smtp.send(MAIL, people(1))) == ["accepted"]
    everyone = [person(f"s{n}@d{n}.example") for n in range(100)]
    relaying_denied(server, ".", everyone)
    results = smtp.send(MAIL, everyone)
    assert outcomes(results) == ["retry"] * 100
    assert {result.reason for result in results} == {
        "the mail server replied 554 5.7.1 Access denied"
    }
    assert None not in {result.not_before for result in results}
    assert sum(server.answered.values()) < 30
    assert outcomes(smtp.send(MAIL, everyone[50:51])) == ["rejected"]


def test_a_mail_too_large_for_all_holds_up_no_other(smtp: Smtp, server: MailServer) -> None:
    """It waits a while, and is nobody's fault."""
    server.odd["MAIL"].append("552 5.3.4 Too large")
    results = smtp.send(MAIL, people(3))
    assert outcomes(results) == ["retry"] * 3
    assert {result.not_before for result in results} == {NOON + timedelta(minutes=15)}
    assert outcomes(smtp.send(MAIL, people(3))) == ["accepted"] * 3

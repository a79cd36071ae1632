"""One round: events on the bus, running services, and failures meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from email import message_from_bytes
from functools import partial
from pathlib import Path
from random import Random
from threading import Event
from typing import Final

from reconsent.bus.kafka.lag import lag
from reconsent.bus.kafka.producer import KafkaProducer
from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.bus.kafka.topics import create
from reconsent.domain.bus import Message
from reconsent.domain.errors import OutsideError
from reconsent.domain.event import TOPICS
from reconsent.domain.topics import LAYOUTS
from reconsent.store.offsets import stored
from reconsent.store.postgres import connect, open_database
from reconsent.workers.intake import GROUP
from reconsent.workers.planner import Planner
from tests.chaos.clean_run import SECRET, SENDER
from tests.chaos.database import Server
from tests.chaos.events import interleaved, report
from tests.chaos.outcome import mailed
from tests.chaos.services import Services
from tests.forking.client import Forker
from tests.kafka.layouts import of_any_time
from tests.kafka.shared_broker import SharedBroker
from tests.stand_ins.sendgrid import SendGridStandIn

PARTITIONS: Final = 2
# Longer than a session of those that the forker starts.
_UNNOTICED: Final = 2.5
_PATIENCE: Final = 120.0
_FAST: Final = 0.2
_LITTLE: Final = 5


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """What rounds share."""

    broker: SharedBroker
    server: Server
    forker: Forker
    sendgrid: SendGridStandIn


class Round:
    """One round's database, topics, services and mailbox."""

    def __init__(self, grounds: Grounds, folder: Path, chance: Random) -> None:
        """Create its topics and its database."""
        self._grounds = grounds
        self._chance = chance
        self._mail = folder / "mail" if chance.random() < 0.5 else None
        self.settings = KafkaSettings(
            bootstrap_servers=(grounds.broker.bootstrap,), topic_prefix=f"{folder.name}."
        )
        outputs = [replace(LAYOUTS[name], partitions=1) for name in LAYOUTS.keys() - TOPICS.keys()]
        create(self.settings, [*of_any_time(TOPICS, PARTITIONS), *outputs])
        self.conninfo = grounds.server.make()
        self.services = Services(grounds.forker, self._environment(), folder / "services.log")
        self.happened: list[str] = []
        self.uncertain: set[str] = set()

    def _environment(self) -> dict[str, str]:
        mail = f"maildir:{self._mail}" if self._mail else "sendgrid://"
        return {
            "DATABASE_URL": self.conninfo,
            "KAFKA_BOOTSTRAP_SERVERS": self.settings.address,
            "RECONSENT_TOPIC_PREFIX": self.settings.topic_prefix,
            "MAIL_URL": mail,
            "MAIL_FROM": SENDER,
            "SENDGRID_HOST": self._grounds.sendgrid.host,
            "SENDGRID_API_KEY": self._grounds.sendgrid.api_key,
            "RECONSENT_SECRET": SECRET,
            "RECONSENT_API_TOKEN": "a token",
        }

    # ---------------------------------------------------------------- telling

    def tell(self, messages: Sequence[Message], times: int, mishaps: int) -> None:
        """Produce each message this many times, in any order, during this many mishaps."""
        waiting = interleaved(messages, times, self._chance)
        enough = Event()
        with (
            closing(KafkaProducer(self.settings)) as producer,
            ThreadPoolExecutor(1) as beside,
        ):
            try:
                produced = beside.submit(_produce, producer, waiting, enough)
                for _ in range(mishaps):
                    time.sleep(self._chance.random() * 0.5)
                    self._mishap()
            finally:
                enough.set()
            produced.result()
        self._wait_until_quiet()

    def settle_unknown(self) -> None:
        """Say of each notice that may have been accepted that it was, as its provider would."""
        unknown = {name for name, state in mailed(self.conninfo).items() if state == "unknown"}
        self.uncertain |= unknown
        when = "2024-03-01T00:00:00Z"
        events = [
            report({"notice": name, "event": "delivered", "occurred_at": when})
            for name in sorted(unknown)
        ]
        self.tell(events, times=1, mishaps=0)

    def received(self) -> list[str]:
        """Return the notices that arrived, each as often as it arrived."""
        if self._mail:
            paths = [path for part in ("new", "cur") for path in (self._mail / part).glob("*")]
            letters = [message_from_bytes(path.read_bytes()) for path in paths]
            return [letter["X-Reconsent-Notice"] for letter in letters]
        people = self._grounds.sendgrid.personalizations()
        of_round = mailed(self.conninfo)
        names = [one["custom_args"]["reconsent_notice"] for one in people]
        return [name for name in names if name in of_round]

    def close(self) -> None:
        """End everything."""
        self.services.end()
        self._grounds.server.drop(self.conninfo)

    # ---------------------------------------------------------------- mishaps

    def _mishap(self) -> None:
        """Cause a mishap."""
        likely = [self._kill_service] * 5 + [self._crash_database] * 2
        likely += [self._come_and_go] * 2 + [self._pause_intake] * 2 + [self._crash_broker]
        if self.services.of("relay"):
            likely += [self._kill_relay] * 2
        mishap: Callable[[], None] = self._chance.choice(likely)
        mishap()
        self.services.tend()

    def _kill_service(self) -> None:
        running = [name for name in ("intake", "dispatcher", *LATER) if self.services.of(name)]
        self._kill(self._chance.choice(running))

    def _kill_relay(self) -> None:
        """Kill the relay, most likely while it publishes."""
        self._kill("relay")

    def _kill(self, name: str) -> None:
        """Kill all processes of a service, and start one some time later."""
        if name == "dispatcher" and not self._mail:
            self._wait_for_attempt()
        self._note(f"kill {name}")
        for pid in self.services.of(name):
            self.services.kill(pid)
        time.sleep(self._chance.random() * 0.3)
        self.services.start(name)

    def _wait_for_attempt(self) -> None:
        """Return while the provider delays its response, if anything is sent soon."""
        accept = self._chance.random() < 0.5
        self._grounds.sendgrid.next(accept=accept, delay=1.0, status=202 if accept else 503)
        deadline = time.monotonic() + 10 * _FAST
        with connect(self.conninfo, autocommit=True) as connection:
            while time.monotonic() < deadline:
                open_ones = connection.execute("SELECT FROM attempts WHERE ended_at IS NULL")
                if open_ones.fetchone() is not None:
                    return
                time.sleep(_FAST / 10)

    def _crash_database(self) -> None:
        how = self._chance.choice([signal.SIGKILL, signal.SIGQUIT, signal.SIGINT])
        self._note(f"PostgreSQL gets {how.name}")
        self._grounds.server.crash(how)

    def _crash_broker(self) -> None:
        clean = self._chance.random() < 0.3
        self._note("stop the broker" if clean else "kill the broker")
        end = self._grounds.broker.stop if clean else self._grounds.broker.kill
        end()
        time.sleep(self._chance.random())
        self._grounds.broker.start()

    def _come_and_go(self) -> None:
        """Start one more intake, and stop one."""
        self._note("an intake joins, one leaves")
        self.services.start("intake")
        time.sleep(self._chance.random() * 2)
        self.services.leave(self._chance.choice(self.services.of("intake")))

    def _pause_intake(self) -> None:
        """Suspend an intake until another one takes over, and let it continue."""
        self._note("pause an intake")
        self.services.start("intake")
        time.sleep(self._chance.random())
        paused = self._chance.choice(self.services.of("intake"))
        with suppress(ProcessLookupError):
            os.kill(paused, signal.SIGSTOP)
            time.sleep(_UNNOTICED)
            os.kill(paused, signal.SIGCONT)
        time.sleep(_FAST)
        self.services.kill(self._chance.choice(self.services.of("intake")))

    def _note(self, what: str) -> None:
        self.happened.append(what)

    # ---------------------------------------------------------------- quiet

    def _wait_until_quiet(self) -> None:
        """Wait until nothing is left to do."""
        deadline = time.monotonic() + _PATIENCE
        while not self._is_quiet():
            assert time.monotonic() < deadline, f"no end; see {self.services.log}"
            self.services.tend()
            time.sleep(_FAST)

    def _is_quiet(self) -> bool:
        with suppress(OutsideError), connect(self.conninfo, autocommit=True) as connection:
            if sum(lag(self.settings, partial(stored, connection, GROUP)).values()):
                return False
            if not self.services.of("planner"):
                return True
            with open_database(self.conninfo, size=1) as database:
                if not Planner(database).idle():
                    return False
            # After the planner, which makes them due.
            [(busy,)] = connection.execute(
                "SELECT count(*) FROM notices WHERE state IN ('due', 'attempting')"
            ).fetchall()
            return not busy
        return False


LATER: Final = ("planner", "dispatcher", "scheduler", "relay")


def _produce(producer: KafkaProducer, messages: Sequence[Message], enough: Event) -> None:
    """Send little by little, so that something always is under way; in one go once it is enough."""
    deadline = time.monotonic() + _PATIENCE
    start = 0
    while start < len(messages):
        end = len(messages) if enough.wait(_FAST / 10) else start + _LITTLE
        try:
            producer.send(messages[start:end])
        except OutsideError:
            # Some may be doubled by this, as by any sender that cannot tell.
            assert time.monotonic() < deadline
        else:
            start = end


@contextmanager
def running_round(grounds: Grounds, folder: Path, chance: Random) -> Iterator[Round]:
    """Yield a round, and remove it afterwards."""
    with closing(Round(grounds, folder, chance)) as made:
        yield made

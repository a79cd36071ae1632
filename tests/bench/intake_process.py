"""Intake in a separate process, to be measured.

`python -m tests.bench.intake_process SERVER PREFIX CONNINFO TOPIC PARTITIONS` prints `ready` when
it has been assigned PARTITIONS partitions, takes them over as soon as the database allows it,
prints `done` when it has recorded all their messages, and ends after a line of input.
"""

from __future__ import annotations

import sys
from contextlib import closing

from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.store.postgres import open_database
from tests.bench.intake_parts import consumer, join, reader


def main(server: str, prefix: str, conninfo: str, topic: str, partitions: str) -> None:
    """Join the group, and record all messages."""
    settings = KafkaSettings(bootstrap_servers=(server,), topic_prefix=prefix)
    with (
        open_database(conninfo, size=2) as database,
        closing(consumer(settings, conninfo, topic)) as ours,
    ):
        join(ours, int(partitions))
        print("ready", flush=True)
        with closing(reader(database, ours)) as intake:
            while intake.work():
                pass
            print("done", flush=True)
            sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])

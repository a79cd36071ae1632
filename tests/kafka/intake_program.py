"""Intake as a process of its own: reads a Kafka into a database until it is killed."""

from __future__ import annotations

import sys
from functools import partial

from reconsent.adapters.bus_kafka import KafkaConsumer
from reconsent.adapters.kafka_settings import KafkaSettings
from reconsent.adapters.postgres import connect, pool
from reconsent.adapters.signing import Signer
from reconsent.domain.errors import OutsideError
from reconsent.intake import GROUP, Intake


def main(server: str, prefix: str, conninfo: str) -> None:
    """Take whatever comes."""
    settings = KafkaSettings(bootstrap_servers=(server,), topic_prefix=prefix)
    open_one = partial(connect, conninfo, autocommit=True)

    def consume() -> KafkaConsumer:
        return KafkaConsumer(settings, open_one, GROUP, session=2, stuck=10)

    with pool(conninfo, size=2) as connections:
        intake = Intake(connections, consume, Signer("secret").address_hash)
        while True:
            try:
                intake.work()
            except OutsideError as error:
                sys.stderr.write(f"{error}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

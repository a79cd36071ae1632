"""Kafka's settings, from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconsent.bus.kafka.settings import kafka_settings
from reconsent.domain.errors import BadInputError

SERVERS = {"KAFKA_BOOTSTRAP_SERVERS": "one.example:9092, two.example:9093"}
USER = {"KAFKA_SASL_USERNAME": "ann", "KAFKA_SASL_PASSWORD": "secret of ann"}


def test_no_kafka_is_named() -> None:
    """Without addresses Kafka is not used, whatever else is set."""
    assert kafka_settings({}) is None
    assert kafka_settings({"KAFKA_BOOTSTRAP_SERVERS": "", "KAFKA_HEAP_OPTS": "-Xmx1G"}) is None


def test_addresses_and_prefix() -> None:
    """Several addresses are listed; other programs' variables are ignored."""
    found = kafka_settings(SERVERS | {"RECONSENT_TOPIC_PREFIX": "eu.", "KAFKA_HEAP_OPTS": "-Xmx1G"})
    assert found
    assert found.bootstrap_servers == ("one.example:9092", "two.example:9093")
    assert (found.topic_prefix, found.security_protocol) == ("eu.", "PLAINTEXT")


def test_what_is_left_out_follows_from_the_rest(tmp_path: Path) -> None:
    """A user means TLS and PLAIN, a certificate means TLS, unless something else is set."""
    ca_file = tmp_path / "ca.pem"
    ca_file.touch()
    trust = {"KAFKA_SSL_CA_FILE": str(ca_file)}
    protocols = {}
    for name, more in {
        "user": USER,
        "trust": trust,
        "both": USER | trust,
        "said": USER | {"KAFKA_SECURITY_PROTOCOL": "sasl_plaintext"},
    }.items():
        found = kafka_settings(SERVERS | more)
        assert found
        protocols[name] = (found.security_protocol, found.sasl_mechanism)
    assert protocols == {
        "user": ("SASL_SSL", "PLAIN"),
        "trust": ("SSL", None),
        "both": ("SASL_SSL", "PLAIN"),
        "said": ("SASL_PLAINTEXT", "PLAIN"),
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"KAFKA_BOOTSTRAP_SERVERS": "kafka"},
            "KAFKA_BOOTSTRAP_SERVERS: 'kafka' is not a HOST:PORT",
        ),
        ({"RECONSENT_TOPIC_PREFIX": "a b"}, "RECONSENT_TOPIC_PREFIX: "),
        (
            {"KAFKA_SECURITY_PROTOCOL": "TLS"},
            "KAFKA_SECURITY_PROTOCOL: 'TLS' is not one of PLAINTEXT",
        ),
        ({"KAFKA_SASL_USERNAME": "ann"}, "KAFKA_SASL_PASSWORD: is required"),
        (USER | {"KAFKA_SASL_MECHANISM": "MD5"}, "KAFKA_SASL_MECHANISM: 'MD5' is not one of PLAIN"),
        ({"KAFKA_SSL_CA_FILE": "/no/where"}, "KAFKA_SSL_CA_FILE: /no/where: No such file"),
        (
            {"KAFKA_SSL_CAFILE": "ca.pem"},
            "KAFKA_SSL_CAFILE: unknown variable; known are KAFKA_SASL_",
        ),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, str], message: str) -> None:
    """A mistake is reported in one line that begins with the variable."""
    with pytest.raises(BadInputError) as caught:
        kafka_settings(SERVERS | wrong)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    """The printed settings do not show the password."""
    assert "secret of ann" not in repr(kafka_settings(SERVERS | USER))

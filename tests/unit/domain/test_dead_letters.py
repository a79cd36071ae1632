"""Dead letters: their ids, their messages, and their order."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from reconsent.cli.dead_letter_report import as_lines, whole
from reconsent.domain.bus import Message, dead_letter
from reconsent.domain.dead_letters import DeadLetter, Id, in_order, with_later
from reconsent.domain.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def letter(
    text: str, key: bytes | None = b"shop.example/ann", hour: int = 0, value: bytes | None = b"?"
) -> DeadLetter:
    """Make a dead letter with an id and a key, sent some hours after noon."""
    topic, partition, offset = Id.parse(text)
    at = NOON + timedelta(hours=hour)
    message = Message(topic, key, value, (("ce_id", b"1"),), at, 7, 70 + offset)
    buried = dead_letter(message, "reconsent", BadInputError("accounts: not JSON"))
    return DeadLetter.of(buried._replace(partition=partition, offset=offset))


def names(lines: Sequence[Sequence[Id]]) -> list[list[str]]:
    """Write lines of ids as people type them."""
    return [[str(id_) for id_ in line] for line in lines]


def test_an_id_is_read_as_it_is_printed() -> None:
    """What a list prints can be typed."""
    assert str(Id.parse("mail-events:3:17")) == "mail-events:3:17"
    assert Id.parse("accounts:2:17") == Id("accounts", 2, 17)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "nonsense",
            "accounts",
            "accounts:2",
            "accounts:2:",
            "accounts:-1:2",
            "accounts:1:2:3",
        ),
        *("accounts.dead:1:2", "notices:1:2", "accounts:²:1", "accounts: 1:2", "accounts:1:2\n"),
        *("accounts:9999999999:1", "accounts:1:9999999999999999999"),
    ],
)
def test_a_wrong_id_is_named(text: str) -> None:
    """An invalid id is reported in one line that shows it, even if no column could store it."""
    with pytest.raises(BadInputError) as raised:
        Id.parse(text)
    assert repr(text) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_dead_letter_is_the_message_as_it_came() -> None:
    """Its message is the original one, with its first place, even if dead-lettered twice."""
    message = Message("accounts", b"k", b"v", (("a", b"1"), ("dead-letter-b", b"2")), NOON, 7, 70)
    once = dead_letter(message, "other", ValueError("before"))
    sent_on = once._replace(topic="accounts", partition=1, offset=10)
    for came in (message, sent_on):
        buried = dead_letter(came, "reconsent", BadInputError("no"))
        found = DeadLetter.of(buried._replace(partition=2, offset=20))
        assert found.message == came
        assert str(found.id) == "accounts:2:20"
        assert (found.reason, found.exception, found.group) == ("no", "BadInputError", "reconsent")


def test_letters_that_others_depend_on_come_first() -> None:
    """Policy versions are retried before accounts, and each topic in the order of its places."""
    texts = ["accounts:0:10", "accounts:0:9", "policy-versions:3:5", "mail-events:0:0"]
    assert [str(each.id) for each in in_order(map(letter, texts))] == [
        *("policy-versions:3:5", "accounts:0:9", "accounts:0:10", "mail-events:0:0")
    ]


def test_later_letters_of_a_key_follow() -> None:
    """A chosen letter is followed by those of its key, in any topic, that were sent later."""
    waiting = [
        letter("accounts:0:1", hour=1),
        letter("accounts:0:2", hour=3),
        letter("choices:0:1", hour=2),
        letter("choices:0:5", hour=4),
        letter("choices:0:3", b"shop.example/bo", hour=2),
        letter("policy-versions:0:1", b"shop", hour=9),
    ]
    behind = with_later(waiting, {Id("choices", 0, 1)})
    assert names(behind) == [["choices:0:1", "accounts:0:2", "choices:0:5"]]
    everything = with_later(waiting, {each.id for each in waiting})
    assert names(everything) == [
        ["policy-versions:0:1"],
        ["accounts:0:1", "choices:0:1", "accounts:0:2", "choices:0:5"],
        ["choices:0:3"],
    ]


def test_a_wrong_clock_changes_no_order_of_a_topic() -> None:
    """Letters of one topic keep their order, whatever their times."""
    waiting = [
        letter("accounts:0:1", hour=5),
        letter("accounts:0:2", hour=1),
        letter("choices:0:1", hour=2),
    ]
    assert names(with_later(waiting, {Id("accounts", 0, 1)})) == [["accounts:0:1", "accounts:0:2"]]
    (line,) = names(with_later(waiting, {each.id for each in waiting}))
    assert line.index("accounts:0:1") < line.index("accounts:0:2")


def test_letters_without_a_key_are_not_ordered() -> None:
    """No order was promised to messages without a key."""
    waiting = [letter("accounts:0:1", None), letter("accounts:0:2", None)]
    assert names(with_later(waiting, {Id("accounts", 0, 1)})) == [["accounts:0:1"]]


@pytest.mark.parametrize(
    "value",
    [
        None, b"", b"null", b'"text"', b"{", b"\xff\0", b"[1e400]", b'{"a": NaN}', b"[" * 500,
        b'{"name": "\\u001b[2J \\u202e"}', '{"name": "Ødegård 🙂"}'.encode(), b"\x1b[2J\x07\r\nred",
    ],
)  # fmt: skip
def test_any_value_can_be_shown(value: bytes | None) -> None:
    """The output is valid JSON, or lines without terminal control codes."""
    odd = letter("accounts:0:1", b"\xff\x1b/ann\n", value=value)

    def no_constant(name: str) -> None:
        pytest.fail(f"{name} is no JSON")

    shown = json.loads(json.dumps(whole(odd)), parse_constant=no_constant)
    assert (shown["value"] is None) == (shown["value_base64"] is not None or value is None)
    assert all(line.isprintable() for line in as_lines(odd))


def test_a_value_is_shown_readably() -> None:
    """JSON is indented, and its characters are not escaped."""
    shown = as_lines(letter("accounts:0:1", value='{"name": "Ødegård 🙂"}'.encode()))
    assert shown[-3:] == ["{", '  "name": "Ødegård 🙂"', "}"]

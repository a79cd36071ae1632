"""Times in an account's story."""

from __future__ import annotations

from reconsent.cli.explain_times import last_day


def test_the_last_day_is_never_before_the_first() -> None:
    """The first day is in the reader's zone; the last one is kept in UTC."""
    held = {"first_collected_at": "2021-05-13T00:30:00+02:00", "last_collected_on": "2021-05-12"}
    assert last_day(held) == "2021-05-13"
    assert last_day(held | {"last_collected_on": "2022-01-01"}) == "2022-01-01"

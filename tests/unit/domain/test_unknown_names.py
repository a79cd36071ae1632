"""Names in events that nothing here has."""

from __future__ import annotations

import pytest

from reconsent.domain.locales import is_locale
from reconsent.domain.policy import Policy
from reconsent.domain.unknown_names import HIDDEN, KnownNames
from reconsent.words.translation import exists
from tests.drafts import draft, row

_VERSIONS = (
    draft(declares=[row("user.contact.email", "essential.service", recipients=["payer"])]),
    draft(version="v2", follows="v1", declares=[row("user.payment", "marketing.email")]),
)
_KNOWN = KnownNames(
    {"campaigner": Policy(name="campaigner", versions=_VERSIONS)},
    {"campaigner.example": "campaigner"},
    exists,
)


@pytest.mark.parametrize(
    ("topic", "names", "unknown"),
    [
        ("accounts", ("campaigner.example", "nb", "Europe/Oslo"), []),
        ("accounts", ("campaigner.example", None, None), []),
        ("accounts", ("campaigner.example", "", ""), []),
        ("accounts", ("campaigner.example", "nb-NO,nb;q=0.9,en;q=0.8", "UTC"), []),
        ("accounts", ("campagner.example", "nb", "UTC"), ["property"]),
        ("accounts", ("campaigner.example", "norsk", "Europe/Oslo"), ["locale"]),
        ("accounts", ("campaigner.example", "en", "Oslo"), ["time_zone"]),
        ("accounts", ("campaigner.example", "en", "../../etc/passwd"), ["time_zone"]),
        ("collections", ("campaigner.example", "user.contact.email", "v1"), []),
        ("collections", ("campaigner.example", "user", None), []),
        ("collections", ("campaigner.example", "user.payment.card", "v2"), []),
        ("collections", ("campaigner.example", "user.contct.email", "v1"), ["data_category"]),
        ("collections", ("campaigner.example", "user.payment", "v3"), ["collected_under"]),
        ("collections", ("other.example", "user.contct.email", "v3"), ["property"]),
        ("choices", ("campaigner.example", None, None, "marketing", None, None), []),
        ("choices", ("campaigner.example", None, "*", "marketing.email", "payer", "v2"), []),
        ("choices", ("campaigner.example", None, None, "marketing.mail", "example", None),
         ["data_use"]),
        ("choices", ("campaigner.example", None, None, "marketing", "pyer", "v9"),
         ["recipient", "policy_version"]),
    ],
)  # fmt: skip
def test_what_no_policy_has_is_unknown(
    topic: str, names: tuple[str | None, ...], unknown: list[str]
) -> None:
    """Parents and children of what is declared are known; of an unknown property, only that."""
    assert [one.field for one in _KNOWN.unknown(topic, names)] == unknown


@pytest.mark.parametrize(
    ("topic", "names", "words"),
    [
        ("accounts", ("campagner.example", None, None),
         ("2 account events of 'campagner.example', which no policy lists: did you mean "
         "campaigner.example?")),
        ("collections", ("campaigner.example", "user.contct.email", None),
         ("2 collections of campaigner.example with the category 'user.contct.email', which no "
         "version of campaigner declares: did you mean user.contact.email?")),
        ("accounts", ("campaigner.example", None, "Oslo"),
         ("2 account events of campaigner.example with the time zone 'Oslo', which does not exist; "
         "one is Europe/Oslo")),
    ],
)  # fmt: skip
def test_the_name_that_was_meant_is_suggested(
    topic: str, names: tuple[str | None, ...], words: str
) -> None:
    """With how many events have the unknown one."""
    [unknown] = _KNOWN.unknown(topic, names)
    assert _KNOWN.in_words(unknown, 2) == words
    what = "account event" if topic == "accounts" else topic.removesuffix("s")
    assert _KNOWN.in_words(unknown, 1).startswith(f"1 {what} of ")


def test_what_may_be_a_person_is_not_kept() -> None:
    """Columns that were mixed up hold names and addresses where others belong."""
    names = ("ann@example.org", "Ånn Å. Bø", "ann@example.org")
    assert [one.name for one in _KNOWN.unknown("accounts", names)] == [HIDDEN] * 3
    assert {one.property for one in _KNOWN.unknown("accounts", names)} == {HIDDEN}


@pytest.mark.parametrize("locale", ["nb", "no", "nb_NO", "zh-Hant-TW", "iw", "de, en;q=0.5"])
def test_a_language_is_known(locale: str) -> None:
    """However it is written."""
    assert is_locale(locale)


@pytest.mark.parametrize("locale", ["norsk", "xx", "C", "en_US.UTF-8", "", "x" * 1000, "\0"])
def test_what_is_no_language_is_told(locale: str) -> None:
    """It would be served in the first locale."""
    assert not is_locale(locale)

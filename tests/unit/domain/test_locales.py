"""Whose language: CLDR's scripts, regions and kin decide among what is offered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.locales import best_locale, best_of, match, normal
from tests.drafts import draft

_TEXT = {"title": "T", "summary": "S", "body": "B"}
_CHINESE = ["zh", "zh-TW", "zh-Hans", "zh-Hant", "zh-HK"]
_PORTUGUESE = ["pt", "pt-BR", "pt-PT"]
_OTHERS = ["en", "en-US", "en-GB", "nb", "nn", "no", "nb-NO", "da", "uk", "ru", "x-private", "*"]
_TAGS = st.sampled_from([*_CHINESE, *_PORTUGUESE, *_OTHERS])


@pytest.mark.parametrize(
    ("wanted", "offered", "found"),
    [
        # scripts
        ("zh-TW", "zh-Hans zh-Hant", "zh-Hant"),
        ("zh-TW", "zh-Hant zh-Hans", "zh-Hant"),
        ("zh-HK", "zh zh-Hant", "zh-Hant"),
        ("zh-TW", "en zh-CN zh-TW", "zh-TW"),
        ("zh-SG", "zh-Hant zh-Hans", "zh-Hans"),
        ("zh", "zh-Hant zh-Hans", "zh-Hans"),
        ("zh_TW", "en zh", "zh"),
        ("sr-Latn", "sr-Cyrl sr-Latn", "sr-Latn"),
        # regions
        ("pt", "pt-BR pt-PT", "pt-PT"),
        ("pt", "pt-PT pt-BR", "pt-PT"),
        ("pt", "en pt-BR", "pt-BR"),
        ("pt-AO", "pt pt-PT", "pt-PT"),
        ("pt-BR", "pt-PT pt-BR", "pt-BR"),
        ("en-AU", "en-US en-GB", "en-GB"),
        ("es-MX", "es es-419", "es-419"),
        ("nb-NO", "en nb", "nb"),
        ("en", "nb en-GB en-US", "en-US"),
        # kin
        ("nn", "en nb", "nb"),
        ("nn-NO", "en no", "no"),
        ("no", "nn nb", "nb"),
        ("nb", "en nn", "nn"),
        ("da", "en nb", "nb"),
        ("gsw", "en de", "de"),
        ("iw", "en he", "he"),
        # not kin: one cannot assume that they read it
        ("uk", "ru", None),
        ("sv", "nb", None),
        ("fr", "en nb", None),
        # in the order of the header
        ("nn,en;q=0.9", "en nb", "nb"),
        ("da,en;q=0.9", "en nb", "en"),
        ("en;q=0.1, zh-TW", "en zh-Hans zh-Hant", "zh-Hant"),
        ("fr, *;q=0.5", "en", None),
        ("tlh, en;q=0", "en", None),
        # not valid
        ("", "en", None),
        ("not a locale", "en", None),
        ("e" * 4000, "en", None),
        ("," * 100_000, "en", None),
    ],
)  # fmt: skip
def test_the_closest_of_the_offered_locales_is_chosen(
    wanted: str, offered: str, found: str | None
) -> None:
    """For the locale of an account and for an Accept-Language header alike."""
    assert best_of(wanted, offered.split()) == found
    version = draft(texts=dict.fromkeys(offered.split(), _TEXT))
    assert best_locale(wanted, version) == (found or offered.split(maxsplit=1)[0])


def test_sentences_are_never_in_a_language_that_is_only_related() -> None:
    """Around a Danish text there are no Norwegian sentences; nn and nb are one language."""
    assert match("da", ["en", "nb"]) is None
    assert match("nn", ["en", "nb"]) == "nb"
    assert match("zh-TW", ["zh-Hans"]) is None


@given(_TAGS, st.lists(_TAGS, max_size=6))
def test_what_is_found_is_offered_and_the_same_is_always_found(
    wanted: str, offered: list[str]
) -> None:
    """A locale that is offered is found; one alone is enough; the order is of no matter for it."""
    found = best_of(wanted, offered)
    assert found is None or found in offered
    if normal(wanted) in map(normal, offered):
        assert found is not None
        assert normal(found) == normal(wanted)
    close = match(wanted, offered)
    assert close is None or close == found

"""Which known name was probably meant."""

from __future__ import annotations

import pytest

from reconsent.domain.spelling import did_you_mean

_KNOWN = ("campaigner.example", "myfax.example", "user.contact.email", "user.contact.phone")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("campagner.example", "campaigner.example"),
        ("campaigner.exmaple", "campaigner.example"),
        ("myfaxx.example", "myfax.example"),
        ("user.contct.email", "user.contact.email"),
        ("user.contact.emial", "user.contact.email"),
    ],
)
def test_a_name_that_is_close_was_meant(name: str, meant: str) -> None:
    """Whichever part of it is misspelt."""
    assert did_you_mean(name, _KNOWN) == f": did you mean {meant}?"


@pytest.mark.parametrize("name", ["nordlys.example", "x.example", "shop.example", ""])
def test_a_common_end_makes_no_name_close(name: str) -> None:
    """Two sites of one domain are two sites."""
    assert did_you_mean(name, _KNOWN) == ""

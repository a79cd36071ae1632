"""Links, senders and list headers."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.config import settings
from reconsent.domain.errors import BadInputError
from reconsent.domain.signing import Signer
from reconsent.mail.list_headers import list_headers
from reconsent.mail.return_path import ReturnPath
from tests.mails import MAIL, person

SIGNER = Signer("secret of the tests")


@given(st.uuids())
def test_a_link_has_one_purpose(notice: UUID) -> None:
    """A choose link cannot unsubscribe, nor the reverse; an altered link is invalid."""
    for purpose, other in (("choose", "unsubscribe"), ("unsubscribe", "choose")):
        token = SIGNER.token(notice, purpose)  # type: ignore[arg-type]  # both are
        assert SIGNER.notice(token, purpose) == notice  # type: ignore[arg-type]
        assert SIGNER.notice(token, other) is None  # type: ignore[arg-type]
        assert Signer("another").notice(token, purpose) is None  # type: ignore[arg-type]
        for place in (0, 20, len(token) - 1):
            letter = "A" if token[place] != "A" else "B"
            altered = token[:place] + letter + token[place + 1 :]
            assert SIGNER.notice(altered, purpose) is None  # type: ignore[arg-type]


@given(st.uuids(), st.uuids(), st.text(max_size=5), st.text(max_size=5))
def test_a_mark_is_of_one_page_of_one_notice(
    notice: UUID, other: UUID, text_hash: str, another: str
) -> None:
    """It gives the hash back for its notice only, and cannot be moved to other words."""
    mark = SIGNER.page_mark(notice, text_hash, 3)
    assert SIGNER.shown(notice, mark) == text_hash
    assert (SIGNER.shown(other, mark) is None) == (other != notice)
    assert Signer("another").shown(notice, mark) is None
    moved = another + mark[len(text_hash) :]
    assert (SIGNER.shown(notice, moved) is None) == (another != text_hash)
    assert SIGNER.shown(notice, text_hash) is None
    assert SIGNER.shown(notice, mark[:-1]) is None


def test_links_that_were_mailed_stay() -> None:
    """A choose link of an earlier release still opens: what it is made of has not changed."""
    notice = UUID("39c051cd-1e9e-43ab-8dc0-91497e6d26ec")
    token = "OcBRzR6eQ6uNwJFJfm0m7FCXA_dFqAJgV7LHr_tPfrE"
    assert SIGNER.token(notice) == token
    assert SIGNER.notice(token) == notice


@pytest.mark.parametrize(
    "link",
    [
        "",
        "mailto:a@b.example",
        "https://p.example/u/x>\r\nBcc: evil@evil.example",
        "https://p. e/u/x",
        "https://blåbær.no/u/x",
        "https://p.example/u/x\0",
    ],
    ids=ascii,
)
def test_a_link_that_is_not_valid_in_a_header_is_an_error(link: str) -> None:
    """Links begin with PUBLIC_URL, which is checked when the program starts."""
    with pytest.raises(ValueError, match="is not a valid link"):
        list_headers(replace(MAIL, list_name="x"), replace(person(), link=link))


@pytest.mark.parametrize("name", ["MAIL_FROM", "MAIL_FROM_INFORMATION"])
@pytest.mark.parametrize(
    "sender",
    [
        "Privacy",
        "Privacy, Inc. <p@example.com>",
        "p@a..b",
        "News\r\nBcc: evil@evil.example <p@example.com>",
        "News\n <p@example.com>",
        "News\0 <p@example.com>",
        "News\u2028 <p@example.com>",
        "<a@example.com> <p@example.com>",
        "a" * 10_000 + "@example.com",
    ],
    ids=lambda text: ascii(text)[:24],
)
def test_a_sender_without_a_valid_address_is_reported(
    tmp_path: Path, name: str, sender: str
) -> None:
    """The message names the setting, before anything is sent."""
    with pytest.raises(BadInputError, match=rf"^{name}: "):
        settings({"RECONSENT_HOME": str(tmp_path), name: sender})


def test_information_has_a_sender_of_its_own(tmp_path: Path) -> None:
    """Without one it comes from where everything else does."""
    home = {"RECONSENT_HOME": str(tmp_path), "MAIL_FROM": "Privacy <p@example.com>"}
    assert settings(home).mail_from_information == "Privacy <p@example.com>"
    both = settings(home | {"MAIL_FROM_INFORMATION": "News <n@example.com>"})
    assert (both.mail_from, both.mail_from_information) == (
        "Privacy <p@example.com>",
        "News <n@example.com>",
    )
    assert both.contact == "p@example.com"


@given(st.uuids(), st.sampled_from(["bounces", "a+b", "B" * 15]), st.integers(0, 47))
def test_a_return_path_names_its_notice(notice: UUID, local: str, place: int) -> None:
    """In whatever case it comes back; an altered one, or one of another secret, names none."""
    returns = ReturnPath(f"{local}@returns.example", SIGNER)
    address = returns.of(str(notice))
    assert len(address.partition("@")[0]) <= 64
    assert returns.notice(address) == returns.notice(address.swapcase()) == notice
    assert ReturnPath(returns.mailbox, Signer("another")).notice(address) is None
    at = len(local) + 1 + place
    altered = address[:at] + ("b" if address[at] == "a" else "a") + address[at + 1 :]
    assert returns.notice(altered) is None
    assert returns.has(altered)
    for other in (address.replace("returns", "x"), "x" + address, returns.mailbox, "", "@", "é+@"):
        assert returns.notice(other) is None
        assert not returns.has(other)


@pytest.mark.parametrize("cut", ["", "a", "a" * 47, "a" * 49, "é" * 48, "1" * 48, " " * 48])
def test_a_return_path_without_a_whole_token_names_none(cut: str) -> None:
    """It is told from an address of somebody else."""
    returns = ReturnPath("bounces@returns.example", SIGNER)
    assert returns.has(f"bounces+{cut}@returns.example")
    assert returns.notice(f"bounces+{cut}@returns.example") is None


def test_return_paths_that_were_mailed_stay() -> None:
    """A bounce of a mail that an earlier release sent still names its notice."""
    notice = UUID("39c051cd-1e9e-43ab-8dc0-91497e6d26ec")
    assert SIGNER.return_token(notice.bytes) == "39c051cd1e9e43ab8dc091497e6d26ec52f88acf599808b0"
    assert SIGNER.returned("39c051cd1e9e43ab8dc091497e6d26ec52f88acf599808b0") == notice


@pytest.mark.parametrize(
    "mailbox",
    [
        "bounces",
        "B <b@example.com>",
        "<b@example.com>",
        "a@b.no, c@d.no",
        "b" * 16 + "@example.com",
    ],
)
def test_a_return_path_that_is_not_one_mailbox_is_reported(tmp_path: Path, mailbox: str) -> None:
    """The message names the setting."""
    with pytest.raises(BadInputError, match=r"^RECONSENT_RETURN_PATH: "):
        settings({"RECONSENT_HOME": str(tmp_path), "RECONSENT_RETURN_PATH": mailbox})


@pytest.mark.parametrize(
    "url",
    [
        "https://p.example\nBcc: evil@evil.example",
        "https://p.example/ x",
        "https://p.example/<x>",
        "https://blåbær.no",
        "https://p.example/" + "a" * 500,
    ],
    ids=lambda text: ascii(text)[:24],
)
def test_a_public_url_that_is_not_valid_in_a_header_is_reported(tmp_path: Path, url: str) -> None:
    """PUBLIC_URL begins every link, also those in headers."""
    with pytest.raises(BadInputError, match=r"^PUBLIC_URL: "):
        settings({"RECONSENT_HOME": str(tmp_path), "PUBLIC_URL": url})


def test_tokens_say_nothing_of_a_person() -> None:
    """They consist of a random id and its signature, and need no escaping in a URL."""
    token = SIGNER.token(uuid4(), "unsubscribe")
    assert len(token) == 43
    assert token.replace("-", "").replace("_", "").isalnum()


def test_a_signer_can_be_sent_to_another_process() -> None:
    """Also one that was used."""
    signer = Signer("s")
    hashed = signer.address_hash("ann@example.com")
    sent: Signer = pickle.loads(pickle.dumps(signer))  # noqa: S301 -- our own
    assert sent.address_hash("ann@example.com") == hashed

"""No mail is ever so large that a mail program cuts its button off."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconsent.domain.mail import CHOOSE_LINK, UNSUBSCRIBE_LINK, Mail, Recipient, RenderedMail
from reconsent.domain.notice import Kind, Question
from reconsent.domain.policy import Policy, PolicyVersion
from reconsent.domain.use import ANY, Held, Use
from reconsent.mail.mime import MimeMail
from reconsent.words.mails import render_mail
from tests.asked import SITE
from tests.drafts import draft, row

LARGEST: Final = 90_000
SCRIPTS: Final = ["privacy ", "личные данные ", "隱私", "گوپنیی ", "👩‍👩‍👧", "<&\"'> ", "ø", "=.\n"]
_WORDS = st.tuples(st.sampled_from(SCRIPTS), st.sampled_from([1, 20, 300, 5_000, 60_000]))


def _policy(data: int, uses: int, versions: int, text: str, phrase: str) -> Policy:
    """Return a policy that asks for uses of kinds of data collected under some versions."""
    keys = [f"user.kind{number}" for number in range(data)]
    wanted = [f"use.new{number}" for number in range(uses)]
    parties = {"example": {"name": phrase, "country": "CA"}, "partner": {"name": phrase}}
    texts = {"en": {"title": text, "summary": text, "body": "Body"}}
    words = {"en": {key: f"{phrase} {key}" for key in (*keys, *wanted)}}
    common: dict[str, Any] = {"parties": parties, "texts": texts, "words": words}
    line: list[PolicyVersion] = []
    for number in range(versions):
        follows = line[-1].version if line else None
        line.append(draft(version=f"v{number}", follows=follows, declares=[], **common))
    latest = draft(
        version="latest",
        follows=line[-1].version,
        controller="partner",
        notice={"respond_by": "P30D"},
        declares=[row(key, *wanted, recipients=["example"]) for key in keys],
        **common,
    )
    return Policy(name="campaigner", versions=(*line, latest))


def _mail(
    policy: Policy, kind: Kind = "choice", property_name: str = "shop.example"
) -> RenderedMail:
    held = [
        Held(declared.data, version.version)
        for declared in policy.latest.declares
        for version in policy.versions[:-1]
    ]
    asked = [
        Question(data_use=use, recipient=recipient, concerns=tuple(held))
        for use in policy.latest.declares[0].uses
        for recipient in ("partner", "example")
    ]
    return render_mail(
        kind,
        version=policy.latest,
        property_name=property_name,
        locale="en",
        questions=tuple(asked) if kind != "information" else (),
        refused_before=frozenset({Use("user.kind0", ANY, "use.new0", ANY)}),
        published=policy.by_name,
        public_url=SITE.public_url,
        sender=f"Privacy <{SITE.contact}>",
    )


def _as_sent(rendered: RenderedMail, mark: str) -> str:
    """Return a message as SMTP transmits it, to somebody with a long name and a long link."""
    mail = Mail(
        sender=f"Privacy <{SITE.contact}>",
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        locale=rendered.locale,
        link_mark=mark,
        list_name="shop.example" if mark == UNSUBSCRIBE_LINK else None,
    )
    link = f"{SITE.public_url}/{'c' * 200}"
    person = Recipient(notice="n" * 60, email="ann@example.org", name="å" * 200, link=link)
    made = MimeMail(mail, date=datetime(2027, 1, 1, tzinfo=UTC))
    return made.transmitted(person, "ann@example.org").decode()


def _long(words: str, length: int) -> str:
    return (words * length)[:length].strip() or "x"


def _check(rendered: RenderedMail, mark: str) -> None:
    """Every mail is small, and its link is near the beginning of each part."""
    sent = _as_sent(rendered, mark)
    assert len(sent) < LARGEST
    if mark == CHOOSE_LINK:
        for part in (rendered.text, rendered.html):
            assert len(part[: part.index(mark)].encode()) < 24_000


@pytest.mark.parametrize(("data", "uses"), [(12, 10), (20, 23)])
def test_a_mail_about_much_tells_all_of_it_and_stays_small(data: int, uses: int) -> None:
    """Each use is asked and each kind of data listed once, with room to spare."""
    mail = _mail(_policy(data, uses, 2, "What changes", "our phrase for"))
    assert len(_as_sent(mail, CHOOSE_LINK)) < 60_000
    _check(mail, CHOOSE_LINK)
    for number in range(uses):
        assert mail.text.count(f"to our phrase for use.new{number}?") == 2
        assert mail.html.count(f"to our phrase for use.new{number}?") == 2
    for number in range(data):
        assert mail.text.count(f"- Our phrase for user.kind{number}\n") == 1
        assert mail.html.count(f">Our phrase for user.kind{number}<") == 1
    assert f"and {data - 4} more kinds of data to" in mail.text
    assert "The page has" not in mail.text + mail.html


def test_what_does_not_fit_is_counted_and_left_to_the_page() -> None:
    """The mail says how many questions and kinds of data there are beyond those it shows."""
    policy = _policy(60, 90, 12, "Что меняется", "наши слова " * 15)
    mail = _mail(policy)
    _check(mail, CHOOSE_LINK)
    assert mail.subject == "Your choice: may we use your data in 180 new ways?"
    shown = mail.text.count("?\n") - 1
    assert 3 < shown < 180
    for part in (mail.text, mail.html):
        assert f"There are {180 - shown} more questions. The page has them all." in part
        assert "It is about 60 more kinds of data. The page has them all." in part


def test_many_versions_of_the_same_data_are_counted() -> None:
    """A row names some of the versions that data was collected under, and how many more."""
    mail = _mail(_policy(1, 1, 11, "What changes", "our phrase for"))
    for part in (mail.text, mail.html):
        assert "version v7," in part
        assert "version v8," not in part
        assert "and 3 more versions" in part


def test_long_texts_are_cut_and_the_full_text_is_linked() -> None:
    """A summary of many pages is shown in its beginning, between two words."""
    mail = _mail(_policy(1, 1, 1, "word " * 900 + "end", "phrase"))
    for part in (mail.text, mail.html):
        assert "word word…" in part
        assert " end" not in part
        assert f"{SITE.public_url}/policies/campaigner/latest" in part


@settings(max_examples=15)
@given(
    data=st.sampled_from([1, 3, 25, 60]),
    uses=st.sampled_from([1, 3, 25, 110]),
    versions=st.sampled_from([1, 4, 12]),
    text=_WORDS,
    phrase=_WORDS,
    name=st.text(
        st.characters(exclude_categories=["Z", "C"], exclude_characters="/"), min_size=200
    ),
)
def test_every_mail_of_every_policy_is_small(
    *,
    data: int,
    uses: int,
    versions: int,
    text: tuple[str, int],
    phrase: tuple[str, int],
    name: str,
) -> None:
    """Whatever the number of uses and kinds of data, whatever the script and length of words."""
    policy = _policy(data, uses, versions, _long(*text), _long(*phrase))
    _check(_mail(policy, property_name=name[:200]), CHOOSE_LINK)
    _check(_mail(policy, "reminder", property_name=name[:200]), CHOOSE_LINK)
    _check(_mail(policy, "information", property_name=name[:200]), UNSUBSCRIBE_LINK)

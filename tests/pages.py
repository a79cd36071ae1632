"""Every page that the program can render."""

from __future__ import annotations

from dataclasses import replace

from reconsent.words import choosing, mailbox, policies, refusals, unsubscribing
from reconsent.words.views import (
    Asked,
    ChooseView,
    ErrorView,
    MailboxView,
    MailRow,
    MailView,
    NothingLeftView,
    PoliciesView,
    PolicyHistoryView,
    PolicyVersionView,
    ReceiptView,
    UnsubscribeView,
)
from tests.asked import ASKED_AT, FIRST, SITE, asked, said


def choose(now: Asked | None = None, **changed: object) -> str:
    """Return the choose page, with some fields of its view changed."""
    view = ChooseView(asked=now or asked(), page_mark="mark-of-the-page", mailed_at=ASKED_AT)
    return choosing.choose(replace(view, **changed), SITE)  # type: ignore[arg-type]


def everything(now: Asked) -> dict[str, str]:
    """Render each kind of page with every part that it can have."""
    return {
        **_of_choices(now),
        **_of_unsubscribing(now),
        **_of_refusals(now.locale),
        **_of_policies(now),
        **_of_the_mailbox(now),
    }


def _of_choices(now: Asked) -> dict[str, str]:
    answers = said(now, "allow", "deny", "expired")
    receipt = ReceiptView(
        version=now.version,
        property_name=now.property_name,
        locale=now.locale,
        answers=answers,
        still_open=2,
        change_url="/c/token",
    )
    nothing_left = NothingLeftView(
        version=now.version,
        property_name=now.property_name,
        locale=now.locale,
        answers_url="/c/token/answers",
    )
    return {
        "choose": choose(now),
        "choose again": choose(
            now,
            said=answers,
            refused_before=frozenset(now.questions[0].uses),
            nothing_chosen=True,
            question_changed=True,
            answers_url="/c/token/answers",
        ),
        "receipt": choosing.receipt(receipt, SITE),
        "nothing left": choosing.nothing_left(nothing_left, SITE),
    }


def _of_unsubscribing(now: Asked) -> dict[str, str]:
    view = UnsubscribeView(version=now.version, property_name=now.property_name, locale=now.locale)
    return {
        "unsubscribe": unsubscribing.unsubscribe(view, SITE),
        "unsubscribed": unsubscribing.unsubscribed(view, SITE, token="token"),
        "subscribed again": unsubscribing.subscribed_again(view, SITE),
        "no longer unsubscribed": unsubscribing.subscribed_again(
            replace(view, reachable=False), SITE
        ),
    }


def _of_refusals(locale: str) -> dict[str, str]:
    return {
        "dead link": refusals.dead_link(locale, SITE),
        **{
            f"error {status}": refusals.error(ErrorView(status=status, language=locale), SITE)
            for status in (400, 404, 500)
        },
    }


def _of_policies(now: Asked) -> dict[str, str]:
    version, locale = now.version, now.locale
    history = PolicyHistoryView(
        versions=(FIRST, version), in_force="v1", locale=locale, feed_url="/feed"
    )
    return {
        "policies": policies.policies(
            PoliciesView(in_force=(version,), wanted=locale, language=locale), SITE
        ),
        "history": policies.policy_history(history, SITE),
        "version": policies.policy_version(
            PolicyVersionView(version=version, followed=FIRST, locale=locale), SITE
        ),
    }


def _of_the_mailbox(now: Asked) -> dict[str, str]:
    mail = {"subject": now.version.texts[now.locale].title, "recipient": "ann@example.org"}
    listed = MailboxView(
        mails=(MailRow(url="/mail/1", sent_at=ASKED_AT, **mail),),
        total=1,
        language=now.locale,
        older_url="/mail?page=2",
    )
    opened = MailView(
        sender="Privacy <privacy@example.com>",
        sent_at=ASKED_AT,
        text=f"{now.property_name} https://privacy.example/c/token",
        html_url="/mail/1/html",
        mailbox_url="/mail",
        language=now.locale,
        **mail,
    )
    return {"mailbox": mailbox.mailbox(listed, SITE), "mail": mailbox.mail(opened, SITE)}

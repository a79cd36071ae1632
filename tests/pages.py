"""Every page that the program can render."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

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
    version, locale = now.version, now.locale
    answers = said(now, "allow", "deny", "expired")
    mail = {"subject": version.texts[locale].title, "recipient": "ann@example.org"}
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
        "receipt": choosing.receipt(
            ReceiptView(
                version=version,
                property_name=now.property_name,
                locale=locale,
                answers=answers,
                still_open=2,
                change_url="/c/token",
            ),
            SITE,
        ),
        "nothing left": choosing.nothing_left(
            NothingLeftView(
                version=version,
                property_name=now.property_name,
                locale=locale,
                answers_url="/c/token/answers",
            ),
            SITE,
        ),
        **{
            name: show(
                UnsubscribeView(version=version, property_name=now.property_name, locale=locale),
                SITE,
            )
            for name, show in (
                ("unsubscribe", unsubscribing.unsubscribe),
                ("unsubscribed", partial(unsubscribing.unsubscribed, token="token")),
                ("subscribed again", unsubscribing.subscribed_again),
            )
        },
        "dead link": refusals.dead_link(locale, SITE),
        **{
            f"error {status}": refusals.error(ErrorView(status=status, language=locale), SITE)
            for status in (400, 404, 500)
        },
        "policies": policies.policies(
            PoliciesView(in_force=(version,), wanted=locale, language=locale), SITE
        ),
        "history": policies.policy_history(
            PolicyHistoryView(
                versions=(FIRST, version), in_force="v1", locale=locale, feed_url="/feed"
            ),
            SITE,
        ),
        "version": policies.policy_version(
            PolicyVersionView(version=version, followed=FIRST, locale=locale), SITE
        ),
        "mailbox": mailbox.mailbox(
            MailboxView(
                mails=(MailRow(url="/mail/1", sent_at=ASKED_AT, **mail),),
                total=1,
                language=locale,
                older_url="/mail?page=2",
            ),
            SITE,
        ),
        "mail": mailbox.mail(
            MailView(
                sender="Privacy <privacy@example.com>",
                sent_at=ASKED_AT,
                text=f"{now.property_name} https://privacy.example/c/token",
                html_url="/mail/1/html",
                mailbox_url="/mail",
                language=locale,
                **mail,
            ),
            SITE,
        ),
    }

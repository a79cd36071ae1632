"""Count whom a draft would ask, inform and leave out, and write its mails, before it is published.

The draft is published in a transaction that is never committed, so the counts come from the same
rules and facts as those of the real release.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path

from reconsent.domain.locales import best_locale
from reconsent.domain.mail import CHOOSE_LINK, UNSUBSCRIBE_LINK
from reconsent.domain.notice import Kind, next_step, questions
from reconsent.domain.policy import Policy, PolicyVersion
from reconsent.domain.use import Held, Use
from reconsent.facts.planning.audience import audience
from reconsent.facts.planning.releases import informs_somebody
from reconsent.facts.record.publishing import publish
from reconsent.facts.sets import Cohorts
from reconsent.facts.versions import Policies, PublishedVersions, informs
from reconsent.store.postgres import Connection, Database
from reconsent.words.choosing import choose
from reconsent.words.mails import render_mail
from reconsent.words.views import Asked, ChooseView, Site


@dataclass(frozen=True, kw_only=True)
class Preview:
    """How many accounts would be asked, informed, left out (by reason) and not concerned."""

    accounts: int
    choice: int
    information: int
    suppressed: dict[str, int]
    untouched: int
    asks: dict[frozenset[Use], int]
    policy: Policy


def preview(database: Database, version: PolicyVersion) -> Preview:
    """Count as if the version were published and mailed now. Raises BadInputError as publishing."""
    with database.connection() as connection:
        try:
            versions = PublishedVersions()
            publish(connection, version, versions)
            return _count(connection, version, versions.now(connection))
        finally:
            connection.rollback()


def _count(connection: Connection, version: PolicyVersion, policies: Policies) -> Preview:
    policy = policies.by_name[version.policy]
    inform = informs_somebody(connection, policies, policy)
    found = audience(connection, policies, policy)
    asks = Cohorts().asks(connection, policy, {one.cohort for one in found})
    counts: Counter[str] = Counter()
    suppressed: Counter[str] = Counter()
    asked: Counter[frozenset[Use]] = Counter()
    for one in found:
        ask = asks[one.cohort]
        step = next_step(one.reach, ask, None, inform=inform or one.passes_on)
        if step.plan and step.suppression:
            suppressed[step.suppression] += one.accounts
        else:
            counts[step.plan or "untouched"] += one.accounts
        if step.plan == "choice":
            asked[ask] += one.accounts
    return Preview(
        accounts=sum(one.accounts for one in found),
        choice=counts["choice"],
        information=counts["information"],
        suppressed=dict(sorted(suppressed.items())),
        untouched=counts["untouched"],
        asks=dict(asked),
        policy=policy,
    )


def write_mails(found: Preview, folder: Path, *, public_url: str, sender: str) -> list[Path]:
    """Write the mail of each kind and locale, and the page that its link opens, into a folder.

    The choice asks what most accounts would be asked. If no account would be asked, it is what an
    account would be asked that holds everything under the version followed.
    """
    version = found.policy.latest
    ask = max(found.asks, key=lambda one: found.asks[one], default=_of_anybody(found.policy))
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for locale in version.texts:
        if ask:
            for name, text in _choice(found.policy, ask, locale, public_url, sender).items():
                written.append(_write(folder / f"choice.{locale}.{name}", text))
        if found.information or informs(version, found.policy):
            mail = _mail("information", found.policy, frozenset(), locale, public_url, sender)
            for name, text in mail.items():
                written.append(_write(folder / f"information.{locale}.{name}", text))
    return written


def _of_anybody(policy: Policy) -> frozenset[Use]:
    followed = policy.followed_by(policy.latest)
    if followed is None:
        return frozenset()
    return policy.new_uses(Held(row.data, followed.version) for row in followed.declares)


def _mail(
    kind: Kind, policy: Policy, ask: frozenset[Use], locale: str, public_url: str, sender: str
) -> dict[str, str]:
    mail = render_mail(
        kind,
        version=policy.latest,
        property_name=policy.latest.properties[0],
        locale=locale,
        questions=questions(ask),
        refused_before=frozenset(),
        published=policy.by_name,
        public_url=public_url,
        sender=sender,
    )
    mark, path = (UNSUBSCRIBE_LINK, "u") if kind == "information" else (CHOOSE_LINK, "c")
    link = f"{public_url}/{path}/preview"
    text = f"{mail.subject}\n\n{mail.text}".replace(mark, link)
    return {"mail.txt": text, "mail.html": mail.html.replace(mark, link)}


def _choice(
    policy: Policy, ask: frozenset[Use], locale: str, public_url: str, sender: str
) -> dict[str, str]:
    asked = Asked(
        version=policy.latest,
        published=policy.by_name,
        questions=questions(ask),
        property_name=policy.latest.properties[0],
        locale=best_locale(locale, policy.latest),
    )
    site = Site(public_url=public_url, contact=parseaddr(sender)[1])
    page = choose(ChooseView(asked=asked, page_mark="preview"), site)
    return _mail("choice", policy, ask, locale, public_url, sender) | {"page.html": page}


def _write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path

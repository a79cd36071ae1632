"""Write the mails that a draft would send, and the pages that they lead to, before it is published.

Only what somebody would get is written, so that those who approve the words see what goes out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from email.utils import parseaddr
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.locales import best_locale
from reconsent.domain.mail import CHOOSE_LINK, UNSUBSCRIBE_LINK
from reconsent.domain.notice import Kind, next_step, part_refused, questions
from reconsent.domain.use import Use
from reconsent.facts.planning.audience import readers
from reconsent.facts.planning.releases import informs_somebody
from reconsent.facts.sets import Cohorts
from reconsent.words.choosing import choose
from reconsent.words.frame import stylesheet
from reconsent.words.mails import render_mail
from reconsent.words.views import Asked, ChooseView, Site
from reconsent.workers.preview import as_if_published

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reconsent.domain.policy import Policy, PolicyVersion
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection, Database

INDEX: Final = "mails.json"
_STYLES: Final = "preview.css"
_STYLESHEET: Final = re.compile(r'href="[^"]*/static/site\.css[^"]*"')
"""The pages' link to their styles: a folder has these beside them."""


class _Variant(NamedTuple):
    """What mails of the same ask and locale still differ in."""

    property_name: str
    refused: frozenset[Use]


@dataclass(frozen=True, kw_only=True)
class Previewed:
    """A mail that a draft would send, and to how many accounts.

    `variant` is the most frequent one of those that have the same ask and locale.
    """

    kind: Kind
    ask: frozenset[Use]
    locale: str
    accounts: int
    variant: _Variant
    policy: Policy


@dataclass(frozen=True, kw_only=True)
class Written:
    """The files of one mail."""

    mail: Previewed
    files: tuple[Path, ...]


def mails(database: Database, version: PolicyVersion) -> list[Previewed]:
    """List the mails that would go if the version were published now, the most frequent first."""
    with as_if_published(database, version) as (connection, policies):
        policy = policies.by_name[version.policy]
        return _grouped(connection, policies, policy)


def _grouped(connection: Connection, policies: Policies, policy: Policy) -> list[Previewed]:
    inform = informs_somebody(connection, policies, policy)
    found = readers(connection, policies, policy)
    cohorts = Cohorts()
    asks = cohorts.asks(connection, policy, {one.cohort for one in found})
    standings = cohorts.standings(connection, {one.standing_id for one in found})
    same: dict[tuple[Kind, frozenset[Use], str], Counter[_Variant]] = {}
    for one in found:
        ask = asks[one.cohort]
        step = next_step(one.reach, ask, None, inform=inform or one.passes_on)
        if step.plan is None or step.suppression:
            continue
        refused = (part_refused(each, standings[one.standing_id]) for each in questions(ask))
        variant = _Variant(one.property_name, frozenset[Use]().union(*refused))
        mail = (step.plan, ask, best_locale(one.locale, policy.latest))
        same.setdefault(mail, Counter())[variant] += one.accounts
    previewed = [
        Previewed(
            kind=kind,
            ask=ask,
            locale=locale,
            accounts=variants.total(),
            variant=max(variants, key=lambda each: (variants[each], each.property_name)),
            policy=policy,
        )
        for (kind, ask, locale), variants in same.items()
    ]
    return sorted(previewed, key=_order)


def _order(mail: Previewed) -> tuple[int, str, str, list[str]]:
    """Sort by frequency, and mails that are equally frequent always in the same way."""
    return -mail.accounts, mail.kind, mail.locale, sorted(map(str, mail.ask))


def write(
    found: Sequence[Previewed], folder: Path, *, public_url: str, sender: str
) -> list[Written]:
    """Write mails into a folder, numbered in their order, with an index of who gets them."""
    folder.mkdir(parents=True, exist_ok=True)
    _remove_earlier(folder)
    written = []
    for number, mail in enumerate(found, 1):
        name = f"{number:02}-{mail.kind}.{mail.locale}"
        texts = _mail(mail, public_url, sender)
        if mail.kind == "choice":
            texts["page.html"] = _page(mail, public_url, sender)
        files = tuple(folder / f"{name}.{part}" for part in texts)
        for path, text in zip(files, texts.values(), strict=True):
            path.write_text(text, "utf-8")
        written.append(Written(mail=mail, files=files))
    if any(mail.kind == "choice" for mail in found):
        (folder / _STYLES).write_bytes(stylesheet())
    index = json.dumps([_row(each) for each in written], indent=2, ensure_ascii=False)
    (folder / INDEX).write_text(f"{index}\n", "utf-8")
    return written


def _remove_earlier(folder: Path) -> None:
    """Remove the mails that an earlier preview wrote: perhaps nobody would get them now."""
    try:
        index = json.loads((folder / INDEX).read_text("utf-8"))
        names = [name for row in index for name in row["files"]]
        earlier = [folder / name for name in names if name.partition("/")[0] == name]
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return
    for path in earlier:
        path.unlink(missing_ok=True)


def _row(written: Written) -> Mapping[str, object]:
    mail = written.mail
    return {
        "kind": mail.kind,
        "locale": mail.locale,
        "property": mail.variant.property_name,
        "accounts": mail.accounts,
        "questions": len(questions(mail.ask)),
        "files": [path.name for path in written.files],
    }


def _mail(found: Previewed, public_url: str, sender: str) -> dict[str, str]:
    mail = render_mail(
        found.kind,
        version=found.policy.latest,
        property_name=found.variant.property_name,
        locale=found.locale,
        questions=questions(found.ask),
        refused_before=found.variant.refused,
        published=found.policy.by_name,
        public_url=public_url,
        sender=sender,
    )
    mark, path = (UNSUBSCRIBE_LINK, "u") if found.kind == "information" else (CHOOSE_LINK, "c")
    link = f"{public_url}/{path}/preview"
    text = f"{mail.subject}\n\n{mail.text}".replace(mark, link)
    return {"mail.txt": text, "mail.html": mail.html.replace(mark, link)}


def _page(found: Previewed, public_url: str, sender: str) -> str:
    asked = Asked(
        version=found.policy.latest,
        published=found.policy.by_name,
        questions=questions(found.ask),
        property_name=found.variant.property_name,
        locale=found.locale,
    )
    site = Site(public_url=public_url, contact=parseaddr(sender)[1])
    view = ChooseView(asked=asked, page_mark="preview", refused_before=found.variant.refused)
    return _STYLESHEET.sub(f'href="{_STYLES}"', choose(view, site))

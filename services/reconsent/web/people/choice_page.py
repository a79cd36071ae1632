"""The data of a choose page: a notice, and what its account is asked now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from reconsent.domain.account import AccountName
from reconsent.domain.consent import (
    Answer,
    Decision,
    Entry,
    Ledger,
    answerable_again,
    last_answer,
    last_other,
)
from reconsent.domain.event_hash import hash_of_own
from reconsent.domain.locales import best_locale
from reconsent.domain.notice import part_refused, questions
from reconsent.domain.policy import Policy
from reconsent.domain.use import Use
from reconsent.facts.ledgers import read_ledgers
from reconsent.facts.read.asked import ShownQuestions, choice_notice
from reconsent.facts.record.choices import Choice, record_choices
from reconsent.facts.sending.renderings import keep_words
from reconsent.facts.sets import ask_ids
from reconsent.facts.versions import Policies
from reconsent.store.postgres import Connection
from reconsent.web.access import Context
from reconsent.web.people.links import DeadLinkError, Link
from reconsent.words.choosing import question_block
from reconsent.words.views import Answered, Asked


@dataclass(frozen=True, kw_only=True)
class ChoicePage:
    """What a person can answer: `ask` is open, `decided` was answered before."""

    notice_id: UUID
    name: AccountName
    policies: Policies
    policy: Policy
    locale: str
    time_zone: str | None
    ask: frozenset[Use]
    mailed: frozenset[Use]
    mailed_at: datetime | None
    decided: frozenset[Use]
    standing: Sequence[Decision]
    ledger: Ledger | None
    answers_url: str

    @property
    def entries(self) -> Sequence[Entry]:
        """What the account has said so far."""
        return self.ledger.entries if self.ledger else ()

    @property
    def version_id(self) -> int:
        """The version that the questions are worded by."""
        return self.policies.latest_id(self.policy.name)

    def asked(self, shown: frozenset[Use]) -> Asked:
        """Return the questions about some uses, the same for all accounts that share them."""
        return Asked(
            version=self.policy.latest,
            published=self.policy.by_name,
            questions=questions(shown),
            property_name=self.name.property,
            locale=self.locale,
        )

    def refused_before(self, shown: frozenset[Use]) -> frozenset[Use]:
        """Return the standing refusals that are narrower than an open question."""
        open_questions = questions(shown & self.ask)
        return frozenset[Use]().union(*(part_refused(q, self.standing) for q in open_questions))

    def answers(self, shown: frozenset[Use]) -> tuple[Answered, ...]:
        """Return the last answer to each question about some uses."""
        if self.ledger is None:
            return ()
        return tuple(
            Answered(
                question=question,
                answer=last.answer,
                said_at=last.decided_at,
                counts_from=self.policy.yes_counts_from(question.uses),
            )
            for question in questions(shown)
            if (last := last_answer(self.ledger, question.uses))
        )


def find_choice_page(
    connection: Connection, context: Context, link: Link, *, lock: bool = False
) -> ChoicePage:
    """Find what a link leads to. Raises DeadLinkError. RULES 12, 18."""
    policies = context.versions.locked(connection)
    found = choice_notice(connection, link.notice_id, lock=lock)
    policy = policies.of_property(found.property) if found else None
    if found is None or policy is None:
        raise DeadLinkError
    mailed = context.cohorts.asked(connection, [found.ask_id])[found.ask_id]
    cohort = found.holdings_id, found.standing_id
    ask = context.cohorts.asks(connection, policy, [cohort])[cohort]
    standing = context.cohorts.standings(connection, [found.standing_id])[found.standing_id]
    new_uses = context.cohorts.new_uses(connection, policy, [found.holdings_id])[found.holdings_id]
    wanted = found.locale or link.languages
    return ChoicePage(
        notice_id=link.notice_id,
        name=AccountName(found.property, found.account),
        policies=policies,
        policy=policy,
        locale=best_locale(wanted, policy.latest),
        time_zone=found.time_zone,
        ask=ask,
        mailed=mailed,
        mailed_at=found.accepted_at,
        decided=answerable_again(new_uses | mailed, standing) - ask,
        standing=standing,
        ledger=read_ledgers(connection, [found.account_key], policies).get(found.account_key),
        answers_url=f"{context.site.root}/c/{link.token}/answers",
    )


def keep_shown(connection: Connection, page: ChoicePage, uses: frozenset[Use]) -> ShownQuestions:
    """Store the wording in which a page shows some uses now."""
    content = {"questions": question_block(page.asked(uses))}
    ask_id = ask_ids(connection, [uses])[uses]
    digest = keep_words(
        connection,
        content,
        version_id=page.version_id,
        ask_id=ask_id,
        property=page.name.property,
        locale=page.locale,
        template="page",
    )
    return ShownQuestions(uses=uses, version_id=page.version_id, text_hash=digest)


def record_answers(
    connection: Connection,
    context: Context,
    page: ChoicePage,
    shown: ShownQuestions,
    answers: Mapping[Use, Answer],
    page_mark: str,
) -> None:
    """Record answers with the wording that was shown.

    What the same form said in the same hour is the same choice, unless something else was said
    since. Any other answer is recorded, also one that already applies: it may outrank what is
    dated before it and arrives later. RULES 17, 27.
    """
    now = context.now()
    hour = now.replace(minute=0, second=0, microsecond=0).isoformat()
    said = {(answer, use) for use, answer in answers.items()}
    choices = [
        Choice(
            name=page.name,
            answer=answer,
            use=use,
            decided_at=now,
            event_hash=hash_of_own(
                *("page", str(page.notice_id), page_mark, hour, answer, *use),
                last_other(page.entries, said, use),
            ),
            policy_version=page.policies.versions[shown.version_id].version,
            channel="page",
            notice_id=page.notice_id,
            text_hash=shown.text_hash,
        )
        for use, answer in answers.items()
    ]
    record_choices(connection, choices, page.policies)

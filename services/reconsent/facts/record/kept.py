"""What each table keeps on purpose of an account that was deleted, and why. RULES 28."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kept(NamedTuple):
    """What a table keeps of an account that was deleted, and why."""

    what: str
    why: str


NO_ACCOUNT: Final = "nothing about any account"
NAMES_NO_ACCOUNT: Final = "it names no account"
_SHARED: Final = Kept("a set that any number of accounts share", NAMES_NO_ACCOUNT)

_COUNTERS: Final = (
    "buckets", "bus_partitions", "bus_sweeps", "clusters", "consumer_offsets", "followers",
    "leases", "mailbox_queue",
    "notice_counts", "paces", "planning_progress", "relay_full_sweeps", "relay_sweeps", "releases",
    "reports_not_ours",
)  # fmt: skip
_DIGESTS: Final = (
    "relayed_consents", "relayed_notices", "relayed_permissions", "relayed_unsubscribes",
)  # fmt: skip

KEPT: Final[Mapping[str, Kept]] = {
    **dict.fromkeys(_COUNTERS, Kept("counters", NO_ACCOUNT)),
    **dict.fromkeys(_DIGESTS, Kept("digests of published events", NAMES_NO_ACCOUNT)),
    "accounts": Kept(
        "property, account id, status and dates", "a later event must not undo the deletion"
    ),
    "account_history": Kept(
        "the earlier status, contact and minor, with dates", "proves what was permitted"
    ),
    "account_sets": Kept("the numbers of shared sets", NAMES_NO_ACCOUNT),
    "asks": _SHARED,
    "attempts": Kept(
        "the sending attempts: times, and hashes of their notices", "proves what was sent"
    ),
    "bus_messages": Kept(
        "choices without evidence, source and id, and deletions, in the embedded bus",
        "a replay needs them",
    ),
    **dict.fromkeys(
        ("collections", "collection_erasures"),
        Kept("which data was held, by category and version, with dates", "proves what was held"),
    ),
    "consents": Kept(
        "the ledger: decisions, their times and channels, keyed hashes of their events",
        "proves decisions",
    ),
    "changes": Kept("numbers of accounts and transactions", "others must be told of the deletion"),
    "early_notices": Kept("ids of notices and accounts", "a late report still finds its notice"),
    "early_statements": Kept(
        "keyed hashes of events that were dated ahead", "a repeated one must not count later"
    ),
    "holdings": _SHARED,
    "imports": Kept("hashes of files and counters", NO_ACCOUNT),
    "mailbox_marks": Kept(
        "keyed hashes of mailboxes that bounced or complained, without accounts",
        "no mail is sent there again",
    ),
    "mailbox_orders": Kept(
        "keyed hashes of mailboxes, with what operators said of them", "proves who lifted a mark"
    ),
    "mailbox_reports": Kept(
        "keyed hashes of mailboxes that reports named, without accounts",
        "a repeated report counts once",
    ),
    "mail_events": Kept(
        "providers' reports: kind, time and a keyed hash of their id",
        "a repeated report counts once",
    ),
    "migrations": Kept("names and hashes of files", NO_ACCOUNT),
    "notice_salt": Kept("a random value", NO_ACCOUNT),
    "notices": Kept("notices: states, times and questions", "proves who was told"),
    "policies": Kept("names", NO_ACCOUNT),
    "policy_versions": Kept("texts", NO_ACCOUNT),
    "properties": Kept("names", NO_ACCOUNT),
    "release_orders": Kept("what operators ordered about releases", NO_ACCOUNT),
    "relay_intents": Kept("ids", NAMES_NO_ACCOUNT),
    "renderings": Kept("words of mails and pages, the same for all readers", NAMES_NO_ACCOUNT),
    "stale_address_hashes": Kept("numbers of accounts, during an upgrade", NAMES_NO_ACCOUNT),
    "standings": _SHARED,
    "stopped_partitions": Kept(
        "what is wrong with the next message of a topic that is stopped", NAMES_NO_ACCOUNT
    ),
    "told_sets": _SHARED,
    "unknown_names": Kept("names of properties, categories and the like", NAMES_NO_ACCOUNT),
    "resubscribes": Kept("who asked for optional mail again, and when", "proves the request"),
    "unsubscribes": Kept("unsubscribes: from which mail, when and how", "proves the request"),
}
"""What each table keeps of a deleted account, and why."""

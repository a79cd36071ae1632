"""One account's story in plain words, for a terminal. docs/rules.md has the rules it names.

Headings are not indented or end in a colon; every other line ends with the rule that applied.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from reconsent.cli.explain_times import dated_ahead, day, in_zone, last_day, moment, zone_of
from reconsent.cli.explain_words import (
    ADDRESS,
    CONTACT,
    REASON,
    SAID,
    SETTLED,
    STATE,
    STATUS,
    STUB,
    SUPPRESSED,
    under,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.policy import PolicyVersion

Json = dict[str, Any]
Row = tuple[str, ...]

_INDENT: Final = "  "


def story(account: Json, latest: PolicyVersion | None) -> list[str]:
    """Return the lines of an account's story, from the JSON of `account_json`.

    Times are as the account's person reads them in pages about the latest version.
    """
    account = in_zone(account, zone_of(account, latest))
    parts = [
        ("Who it is", _table(_who(account))),
        ("What it was before", _table(_was(account))),
        ("What we hold", _table(_holds(account))),
        ("What there is to ask", _table(_to_ask(account))),
        ("What was mailed, or why not", _mailed(account)),
        ("What was said", _said(account)),
        ("What was dated ahead", _table([(w, _by(27, t)) for w, t in dated_ahead(account)])),
        ("What its data may be used for", _allowed(account)),
    ]
    lines = [f"{account['account']} at {account['property']}"]
    for heading, part in parts:
        if part:
            lines += ["", heading, *part]
    # Some of the text comes from outside and may contain terminal control codes.
    return ["".join(c if c.isprintable() else "\ufffd" for c in line) for line in lines]


def _table(rows: Sequence[Row], depth: int = 1) -> list[str]:
    """Align all cells but the last."""
    widths = [max(map(len, cells)) for cells in list(zip(*rows, strict=True))[:-1]]
    return [
        depth * _INDENT
        + "".join(f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=False))
        + row[-1]
        for row in rows
    ]


def _by(rule: int, words: str) -> str:
    return f"{words} (rule {rule})"


def _who(account: Json) -> list[Row]:
    status, status_rule = STATUS[account["status"]]
    contact, contact_rule = CONTACT[account["contact"], bool(account["unsubscribed_at"])]
    address, address_rule = ADDRESS[account["address_state"]]
    if account["stub"]:
        return [("policy", _policy(account)), ("status", _by(27, STUB))]
    if account["status"] == "deleted":
        when = f"deleted on {moment(account['deleted_at'])}"
        words = status.replace("deleted", when, 1)
        return [("policy", _policy(account)), ("status", _by(status_rule, words))]
    rows: list[Row] = [
        ("policy", _policy(account)),
        ("status", _by(status_rule, f"{status}, as reported on {moment(account['updated_at'])}")),
        ("contact", _by(contact_rule, contact)),
    ]
    if account["minor"]:
        words = "yes: gets no mail, no use is allowed, its data must be erased (reconsent erasures)"
        return [*rows, ("minor", _by(20, words))]
    rows.append(("address", _by(address_rule, address)))
    if account["deleted_at"]:
        words = f"deleted on {moment(account['deleted_at'])}, registered again since"
        rows.append(("before", _by(28, words)))
    return rows


def _policy(account: Json) -> str:
    if account["policy"] is None:
        return _by(20, f"none lists {account['property']}, so no use is allowed")
    return _by(1, f"{account['policy']}, last published version {account['latest_version']}")


def _was(account: Json) -> list[Row]:
    if len(account["history"]) < 2:  # noqa: PLR2004 -- one entry is what it is now
        return []
    return [
        (
            moment(was["since"]),
            was["status"],
            _by(27, f"contact {was['contact']}{', a minor' if was['minor'] else ''}"),
        )
        for was in account["history"]
    ]


def _holds(account: Json) -> list[Row]:
    held = [
        (
            row["data_category"],
            under(row["collected_under"]),
            f"since {day(row['first_collected_at'])}",
            f"last on {last_day(row)}",
            _by(4, _origin(row)),
        )
        for row in account["holds"]
    ]
    erased = [
        (
            row["data_category"],
            under(row["collected_under"]),
            "",
            "",
            _by(27, f"erased on {moment(row['erased_at'])}"),
        )
        for row in account["erased"]
    ]
    rows: list[Row] = [*held, *erased]
    if held:
        return rows
    rule = 28 if account["status"] == "deleted" else 4
    return [*rows, *([] if rows else [(_by(rule, "no data"),)])]


def _origin(row: Json) -> str:
    """Describe where data comes from, and whether its version declares anything here."""
    origin = "from a third party" if row["source"] == "third_party" else "from the person"
    if row["published"] is None:
        return f"{origin}; the version declares nothing, so every use is new"
    return origin if row["published"] else f"{origin}; the version is not published here"


def _to_ask(account: Json) -> list[Row]:
    rows: list[Row] = []
    for question in account["asked"]:
        broader = "; part of it was refused before" if question["refused_before"] else ""
        rows += [(_purpose(use), _by(7, f"{_data(use)}{broader}")) for use in question["new_uses"]]
    return rows or [(_by(7, "nothing"),)]


def _mailed(account: Json) -> list[str]:
    lines = []
    for notice in account["notices"]:
        heading = f"{notice['kind']} notice {notice['sequence']} of version"
        lines.append(f"{_INDENT}{heading} {notice['policy_version']}:")
        rows = [
            ("asks", _purpose(use), _by(8, _data(use)))
            for use in notice["asks"]
            if notice["kind"] == "choice"
        ]
        lines += _table(rows, 2) if rows else []
        lines.append(2 * _INDENT + _fate(notice, account))
    if not lines or (
        account["asked"] and not any(_is_open(n, account) for n in account["notices"])
    ):
        lines.append(_INDENT + _why_no_notice(account))
    return lines


def _is_open(notice: Json, account: Json) -> bool:
    """Return whether a notice asks what is left to ask, now or once it can be mailed."""
    latest = notice["policy_version"] == account["latest_version"]
    return notice["kind"] == "choice" and latest and notice["settled"] is None


def _why_no_notice(account: Json) -> str:
    if account["status"] == "deleted":
        return _by(9, "no notice: a deleted account gets none")
    if account["policy"] is None:
        return _by(9, "no notice: nothing was published for this property")
    if account["asked"]:
        return _by(9, "no notice yet: it is planned when the planner runs")
    return _by(10, "no notice: there was nothing to ask, and no information to send")


def _fate(notice: Json, account: Json) -> str:
    """Describe the outcome of a notice and, if it asked something, of its question."""
    state, settled = notice["state"], notice["settled"]
    older = notice["policy_version"] != account["latest_version"]
    if state == "suppressed":
        by_kind = {"information": 10, "reminder": 16}.get(notice["kind"], 9)
        rule = 15 if notice["suppression"] == "deleted" else by_kind
        return _by(rule, f"not mailed: {SUPPRESSED[notice['suppression']]}")
    if state == "superseded":
        return "not mailed: " + _replaced(notice, older=older)
    words, rule = STATE[state]
    if notice["accepted_at"]:
        words = words.replace("mailed", f"mailed on {moment(notice['accepted_at'])}", 1)
    if notice["kind"] != "choice" or state in {"planned", "due"}:
        return _by(16 if notice["kind"] == "reminder" else rule, words)
    if settled is None:
        return _by(rule, f"{words}; its question is open")
    if settled == "superseded":
        return f"{words}; " + _replaced(notice, older=older)
    if settled == "void" and account["status"] == "deleted":
        return _by(15, f"{words}; the deletion closed it")
    outcome, rule = SETTLED[settled]
    return _by(rule, f"{words}; {outcome}")


def _replaced(notice: Json, *, older: bool) -> str:
    if older:
        return _by(12, "replaced by a later version")
    if notice["kind"] == "information":
        return _by(14, "there was something to ask instead")
    if notice["state"] == "superseded":
        return _by(13, "nothing was left to ask")
    return _by(13, "replaced by a later notice")


def _said(account: Json) -> list[str]:
    lines = []
    for occasion, entries in groupby(account["consents"], key=_occasion):
        lines.append(f"{_INDENT}{occasion}:")
        rows: list[Row] = []
        for said in entries:
            words, rule = SAID[said["event_state"]]
            rows.append((_purpose(said), _data(said), _by(rule, words)))
        lines += _table(rows, 2)
    return lines or _table([(_by(17, "nothing yet"),)])


def _occasion(said: Json) -> str:
    channel = f", channel {said['channel']}" if said["channel"] else ""
    return f"{moment(said['decided_at'])}{channel}"


def _allowed(account: Json) -> list[str]:
    if not account["permissions"]:
        if account["status"] == "deleted":
            return _table([(_by(20, "nothing: the account was deleted"),)])
        return _table([(_by(4, "nothing: no version declares a use of the data held"),)])
    lines = []
    for data, uses in groupby(account["permissions"], key=_data):
        lines.append(f"{_INDENT}{data}:")
        rows = [
            (
                "allowed" if use["allowed"] else "denied",
                _purpose(use),
                _by(use["rule"], _reason(use)),
            )
            for use in uses
        ]
        lines += _table(rows, 2)
    used = {_data(use) for use in account["permissions"]}
    for data in dict.fromkeys(_data(row) for row in account["holds"]):
        if data not in used:
            lines += [
                f"{_INDENT}{data}:",
                *_table([(_by(4, "nothing: no version declares it"),)], 2),
            ]
    return lines


def _reason(use: Json) -> str:
    reason, rule = use["reason"], use["rule"]
    if reason == "declared":
        return f"{use['policy_version']} declares it"
    if reason == "not_effective_yet":
        return f"said yes, and {use['policy_version']} is in force from {day(use['effective_at'])}"
    if reason == "suppressed":
        return SUPPRESSED[use["suppression"]]
    if reason == "unknown_version":
        return f"version {use['collected_under']} is not published here"
    if reason == "undeclared":
        after_yes = "said yes, but no version declares it"
        otherwise = "the last published version does not declare it"
        return {20: "no policy lists the property", 24: after_yes}.get(rule, otherwise)
    return REASON[reason]


def _purpose(use: Json) -> str:
    return f"{use['data_use']} by {'anyone' if use['recipient'] == '*' else use['recipient']}"


def _data(use: Json) -> str:
    category = "any data" if use["data_category"] == "*" else use["data_category"]
    return f"{category} {under(use['collected_under'])}"

"""The changes from one policy version to the next, and a version's canonical form and hash.

RULES 2, 10 and 11. A change is material if it makes the version material. It concerns stored data
if people would be asked about data collected under the old version.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from reconsent.domain.times import as_written, rfc3339
from reconsent.domain.use import Declared, narrower, over

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime, timedelta

    from reconsent.domain.policy import PolicyVersion, Row, Text

ChangeKind = Literal[
    "material",
    "controller",
    "joint_controller",
    "new_category",
    "new_use",
    "new_recipient",
    "dropped_use",
    "dropped_recipient",
    "longer_retention",
    "shorter_retention",
    "legal_basis",
    "property",
    "party",
    "text",
]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference between two versions.

    `recipients` are those for whom a use is new or dropped; `about` is the property, party, joint
    controller or locale concerned. `before` and `after` are party keys for controllers, durations,
    legal bases, names of properties and parties, or hashes of texts; None where there was or is
    nothing.
    The kind `material` means that the new version declares itself material.
    """

    kind: ChangeKind
    material: bool = False
    stored_data: bool = False
    data_category: str | None = None
    data_use: str | None = None
    recipients: tuple[str, ...] = ()
    about: str | None = None
    before: str | None = None
    after: str | None = None


def changes(old: PolicyVersion | None, new: PolicyVersion) -> tuple[Change, ...]:
    """Return what the new version changes, uses in the order of its rows. RULES 2, 10, 11.

    At least one change is material exactly if the new version is, following the old one; in a
    first version (old None) none is. Equal versions have no changes.
    """
    if old == new:
        return ()
    in_use = (*_new_uses(old, new), *(_dropped(old, new) if old else ()))
    kept = tuple(_kept_differently(old, new)) if old else ()
    return (*_of_the_whole(old, new, in_use), *in_use, *kept, *_texts(old, new))


def _of_the_whole(
    old: PolicyVersion | None, new: PolicyVersion, in_use: Sequence[Change]
) -> Iterator[Change]:
    if old and new.notice.material:
        yield Change(kind="material", material=True)
    if old and old.controller != new.controller:
        yield Change(
            kind="controller",
            material=True,
            stored_data=any(c.stored_data and new.controller in c.recipients for c in in_use),
            before=old.controller,
            after=new.controller,
        )
    yield from _joining_or_leaving(old, new, in_use)
    before = old.properties if old else ()
    for name in dict.fromkeys((*before, *new.properties)):
        if (name in before) != (name in new.properties):
            yield Change(
                kind="property",
                about=name,
                before=name if name in before else None,
                after=name if name in new.properties else None,
            )
    yield from _parties(old, new)


def _joining_or_leaving(
    old: PolicyVersion | None, new: PolicyVersion, in_use: Sequence[Change]
) -> Iterator[Change]:
    before = old.joint_controllers if old else ()
    for key in dict.fromkeys((*before, *new.joint_controllers)):
        if (key in before) != (key in new.joint_controllers):
            yield Change(
                kind="joint_controller",
                material=any(c.material and key in c.recipients for c in in_use),
                stored_data=any(c.stored_data and key in c.recipients for c in in_use),
                about=key,
                before=key if key in before else None,
                after=key if key in new.joint_controllers else None,
            )


def _parties(old: PolicyVersion | None, new: PolicyVersion) -> Iterator[Change]:
    """Yield the parties with a new name or country; added ones show up with their uses."""
    for key, party in new.parties.items():
        known = old.parties.get(key) if old else None
        if known and known != party:
            names = [f"{one.name} ({one.country})" if one.country else one.name
                     for one in (known, party)]  # fmt: skip
            yield Change(
                kind="party",
                material=party.moved_from(known),
                about=key,
                before=names[0],
                after=names[1],
            )


def _rows(version: PolicyVersion) -> Iterator[tuple[Row, str, tuple[str, ...]]]:
    """Yield each row with each of its uses and the recipients that it declares the use for."""
    for row in version.declares:
        for data_use in dict.fromkeys(row.uses):
            yield row, data_use, version.users(row)


def _new_uses(old: PolicyVersion | None, new: PolicyVersion) -> Iterator[Change]:
    seen: set[str] = set()
    for row, data_use, recipients in _rows(new):
        added = _lacking(old, row.data, data_use, recipients)
        if added and row.data not in seen and not _on_one_line(old, row.data):
            seen.add(row.data)
            yield Change(kind="new_category", material=old is not None, data_category=row.data)
        known = old is not None and _anyone(old, row.data, data_use)
        asked = [r for r in added if _would_be_asked(old, Declared(row.data, data_use, r))]
        for group in (asked, [r for r in added if r not in asked]):
            if group:
                yield Change(
                    kind="new_recipient" if known else "new_use",
                    material=old is not None,
                    stored_data=group is asked,
                    data_category=row.data,
                    data_use=data_use,
                    recipients=tuple(group),
                )


def _dropped(old: PolicyVersion, new: PolicyVersion) -> Iterator[Change]:
    for row, data_use, recipients in _rows(old):
        lost = _lacking(new, row.data, data_use, recipients)
        if lost:
            yield Change(
                kind="dropped_recipient" if _anyone(new, row.data, data_use) else "dropped_use",
                data_category=row.data,
                data_use=data_use,
                recipients=tuple(lost),
            )


def _lacking(
    version: PolicyVersion | None, category: str, data_use: str, recipients: Iterable[str]
) -> list[str]:
    """Return the recipients for whom a version does not declare a use."""
    return [r for r in recipients if not version or not version.declares_use(category, data_use, r)]


def _anyone(version: PolicyVersion, category: str, data_use: str) -> bool:
    return any(version.declares_use(category, data_use, row.recipient) for row in version.declared)


def _on_one_line(old: PolicyVersion | None, category: str) -> bool:
    return old is not None and any(narrower(category, row.data) for row in old.declares)


def _would_be_asked(old: PolicyVersion | None, declared: Declared) -> bool:
    """Tell whether the use is new for a category that the old version declares."""
    if old is None:
        return False
    parts = {narrower(declared.data_category, row.data) for row in old.declares}
    return any(
        part is not None and not old.declares_use(part, declared.data_use, declared.recipient)
        for part in parts
    )


def _kept_differently(old: PolicyVersion, new: PolicyVersion) -> Iterator[Change]:
    """Yield the uses of both versions whose retention or legal basis changed."""
    for row, data_use, _ in _rows(new):
        followed = _covering(old, row, data_use)
        if not followed:
            continue
        before = max(followed, key=_kept_for)
        after = max(_covering(new, row, data_use), key=_kept_for)
        if row.kept_for > before.kept_for:
            yield _differs("longer_retention", row, data_use, before.retention, row.retention)
        elif after.kept_for < before.kept_for:
            yield _differs("shorter_retention", row, data_use, before.retention, after.retention)
        basis = _closest(followed, data_use).legal_basis
        if basis != row.legal_basis:
            yield _differs("legal_basis", row, data_use, basis, row.legal_basis)


def _differs(
    kind: ChangeKind, row: Row, data_use: str, before: str | None, after: str | None
) -> Change:
    return Change(
        kind=kind,
        material=kind == "longer_retention",
        data_category=row.data,
        data_use=data_use,
        before=before,
        after=after,
    )


def _covering(version: PolicyVersion, row: Row, data_use: str) -> list[Row]:
    return [
        other
        for other in version.declares
        if over(other.data, row.data) and any(over(use, data_use) for use in other.uses)
    ]


def _kept_for(row: Row) -> timedelta:
    return row.kept_for


def _closest(rows: Iterable[Row], data_use: str) -> Row:
    """Return the most specific row for a use."""
    return max(
        rows, key=lambda row: (len(row.data), max(len(u) for u in row.uses if over(u, data_use)))
    )


def _texts(old: PolicyVersion | None, new: PolicyVersion) -> Iterator[Change]:
    before = old.texts if old else {}
    for locale in dict.fromkeys((*before, *new.texts)):
        hashes = [_text_hash(texts.get(locale)) for texts in (before, new.texts)]
        if hashes[0] != hashes[1]:
            yield Change(kind="text", about=locale, before=hashes[0], after=hashes[1])


def _text_hash(text: Text | None) -> str | None:
    return _hash(_sorted(text.model_dump())) if text else None


def as_event(version: PolicyVersion, published_at: datetime | None = None) -> bytes:
    """Return a version as the data of its event; the same file gives the same bytes.

    UTF-8 JSON with sorted keys, without fields at their defaults, and with times as written. The
    locales of `texts` keep their order, because the first is the fallback.
    """
    published = {"published_at": rfc3339(published_at)} if published_at else {}
    return _json(_canonical(version) | published)


def content_hash(version: PolicyVersion) -> str:
    """Return the SHA-256 of a version's content, with times in UTC, in hexadecimal."""
    return _hash(_canonical(version) | {"effective_at": rfc3339(version.effective_at)})


def _canonical(version: PolicyVersion) -> dict[str, Any]:
    fields = version.model_dump(mode="json", exclude_defaults=True, exclude={"published_at"})
    fields["effective_at"] = as_written(version.effective_at)
    ordered = {key: _sorted(fields[key]) for key in sorted(fields)}
    ordered["texts"] = {locale: _sorted(text) for locale, text in fields["texts"].items()}
    return ordered


def _sorted(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _hash(value: object) -> str:
    return hashlib.sha256(_json(value)).hexdigest()

"""What changes between two policy versions, what it means, and whether anything does."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconsent.cli.policy_report import as_json, describe
from reconsent.domain.change import Change, as_event, changes, content_hash
from reconsent.domain.policy import Party, Policy, PolicyVersion, is_material
from reconsent.domain.use import Held
from tests.drafts import any_fields, any_version, draft, row

_V1 = draft(
    parties={
        "example": {"name": "Example Inc."},
        "payer": {"name": "PayFast Ltd", "country": "IE"},
    },
    declares=[
        row("user.contact", "service.support", retention="P1Y", legal_basis="contract"),
        row("user.payment", "service.payment", recipients=["payer"], retention="P6Y"),
    ],
)


def _after(**changed: Any) -> tuple[Change, ...]:  # noqa: ANN401 (as in a file)
    """Return what a version changes that says the same as v1 but for some of it."""
    kept = {
        "parties": {key: party.model_dump() for key, party in _V1.parties.items()},
        "declares": [one.model_dump() for one in _V1.declares],
    }
    return changes(_V1, draft(version="v2", follows="v1", **(kept | changed)))


def _declaring(*rows: dict[str, Any]) -> tuple[Change, ...]:
    return _after(declares=[*(one.model_dump() for one in _V1.declares), *rows])


@given(any_version())
def test_a_version_changes_nothing_after_itself(version: PolicyVersion) -> None:
    """Nothing changes between equal versions."""
    assert changes(version, version.model_copy(deep=True)) == ()


@given(any_version(), any_version())
def test_material_changes_make_a_material_version(old: PolicyVersion, new: PolicyVersion) -> None:
    """A version is material exactly if one of its changes is; a first version has none."""
    if old != new:
        assert any(c.material for c in changes(old, new)) == is_material(new, old)
    assert not any(c.material or c.stored_data for c in changes(None, new))


@given(any_version(), any_version())
def test_stored_data_is_concerned_where_its_owner_would_be_asked(
    old: PolicyVersion, new: PolicyVersion
) -> None:
    """The uses that concern stored data are those that owners of declared data are asked about."""
    old = old.model_copy(update={"version": "old"})
    new = new.model_copy(update={"version": "new", "follows": "old"})
    held = [Held(one.data, "old") for one in old.declares]
    asked = Policy(name="p", versions=(old, new)).new_uses(held)
    of_uses = [c for c in changes(old, new) if c.kind in {"new_use", "new_recipient"}]
    concerned = {(c.data_use, r) for c in of_uses for r in c.recipients if c.stored_data}
    assert {(use.data_use, use.recipient) for use in asked} <= concerned
    assert any(c.stored_data for c in of_uses) == bool(asked)


@given(any_version(), any_version())
def test_each_use_that_is_not_covered_is_new_once(old: PolicyVersion, new: PolicyVersion) -> None:
    """New and dropped uses are exactly those that the other version does not cover."""
    found: dict[str, list[tuple[str | None, str | None, str]]] = {"new": [], "dropped": []}
    for change in changes(old, new):
        kind = change.kind.partition("_")[0]
        if kind in found:
            found[kind] += [(change.data_category, change.data_use, r) for r in change.recipients]
    assert sorted(map(str, found["new"])) == sorted(
        str(tuple(d)) for d in new.declared if not old.declares_use(*d)
    )
    assert sorted(map(str, found["dropped"])) == sorted(
        str(tuple(d)) for d in old.declared if not new.declares_use(*d)
    )


def test_a_use_new_for_all_is_one_new_use_with_its_recipients() -> None:
    """The controller's and a partner's new use of known data is one change that asks."""
    assert _declaring(row("user.contact.email", "marketing", recipients=["payer"])) == (
        Change(
            kind="new_use",
            material=True,
            stored_data=True,
            data_category="user.contact.email",
            data_use="marketing",
            recipients=("example", "payer"),
        ),
    )


def test_a_known_use_by_someone_else_is_a_new_recipient() -> None:
    """A recipient added to a use that others have is named alone."""
    (change,) = _declaring(row("user.contact.email", "service.support", recipients=["payer"]))[:1]
    assert (change.kind, change.recipients) == ("new_recipient", ("payer",))
    assert change.material
    assert change.stored_data


def test_data_never_declared_before_is_a_new_category_and_asks_nobody() -> None:
    """A category on no declared line is new; no stored data is affected."""
    category, use = _declaring(row("user.device", "service.support"))
    assert (category.kind, category.data_category, category.data_use) == (
        "new_category",
        "user.device",
        None,
    )
    assert (use.kind, use.material, use.stored_data) == ("new_use", True, False)


def test_a_use_dropped_is_not_material_and_concerns_no_stored_data() -> None:
    """Dropping is never asked about: for all, or for one of the recipients."""
    support, payment = (one.model_dump() for one in _V1.declares)
    (change,) = _after(declares=[support])
    assert (change.kind, change.recipients) == ("dropped_use", ("example", "payer"))
    assert (change.material, change.stored_data) == (False, False)
    (change,) = _after(declares=[support, payment | {"recipients": []}])
    assert (change.kind, change.recipients) == ("dropped_recipient", ("payer",))


def test_another_controller_takes_over_every_use() -> None:
    """Each use is new, except those for which the new controller was a listed recipient."""
    found = _after(controller="payer")
    assert found[0].kind == "controller"
    assert (found[0].before, found[0].after) == ("example", "payer")
    assert found[0].material
    assert found[0].stored_data
    new = [(c.data_category, c.recipients) for c in found if c.kind == "new_recipient"]
    assert new == [("user.contact", ("payer",))]


def test_retention_is_longer_or_shorter_than_the_longest_that_covered() -> None:
    """Longer is material, shorter is not; without a period it is for ever."""
    support, payment = (one.model_dump() for one in _V1.declares)
    for period, kind in (("P13M", "longer_retention"), (None, "longer_retention")):
        (change,) = _after(declares=[support | {"retention": period}, payment])
        assert (change.kind, change.before, change.after) == (kind, "P1Y", period)
        assert (change.material, change.stored_data) == (True, False)
    (change,) = _after(declares=[support | {"retention": "P12M"}, payment])
    assert (change.kind, change.after, change.material) == ("shorter_retention", "P12M", False)
    assert _after(declares=[support | {"retention": "P365D"}, payment]) == ()


def test_a_narrower_row_beside_a_broader_one_shortens_nothing() -> None:
    """Data that the broader row still keeps longer is not kept for a shorter time."""
    narrow = row("user.contact.email", "service.support", retention="P1D", legal_basis="contract")
    assert _declaring(narrow) == ()


def test_other_changes_are_listed_and_not_material() -> None:
    """Legal basis, properties, parties and texts are listed too."""
    support, payment = (one.model_dump() for one in _V1.declares)
    found = _after(
        declares=[support | {"legal_basis": "consent"}, payment],
        properties=["campaigner.example", "blast.example"],
        parties={"example": {"name": "Sample Inc."}, "payer": {"name": "PayFast Ltd"}},
        texts={"nb": {"title": "Personvern", "summary": "Nytt", "body": "Tekst"}},
    )
    told = [(c.kind, c.about) for c in found]
    assert told == [
        ("property", "blast.example"),
        ("party", "example"),
        ("party", "payer"),
        ("legal_basis", None),
        ("text", "en"),
        ("text", "nb"),
    ]
    assert not any(c.material or c.stored_data for c in found)


def test_a_party_in_another_country_is_material() -> None:
    """Its key stays, so no use is new; a country that is named first is no other one."""
    for before, after, material in (
        ("CA", "US", True),
        ("CA", "CA", False),
        (None, "CA", False),
        ("CA", None, False),
    ):
        old, new = (
            _V1.model_copy(update={"parties": {"payer": Party(name="Pay", country=country)}})
            for country in (before, after)
        )
        assert is_material(new, old) == material
        assert any(c.material for c in changes(old, new)) == material


@given(any_fields(), st.randoms(use_true_random=False))
def test_the_content_hash_does_not_depend_on_key_order(
    written: dict[str, Any],
    chance: Any,  # noqa: ANN401 (hypothesis names no public type)
) -> None:
    """The same content in another key order, or with defaults written out, has the same hash."""

    def shuffled(value: Any) -> Any:  # noqa: ANN401 (any JSON)
        if isinstance(value, list):
            return [shuffled(item) for item in value]
        if not isinstance(value, dict):
            return value
        keys = list(value)
        chance.shuffle(keys)
        return {key: shuffled(value[key]) for key in keys}

    again = shuffled(written) | {"effective_at": "2027-01-15T01:00:00+01:00", "words": {}}
    again["texts"] = {locale: again["texts"][locale] for locale in written["texts"]}
    one, other = PolicyVersion.model_validate(written), PolicyVersion.model_validate(again)
    assert as_event(one) == as_event(other).replace(b"T01:00:00+01:00", b"T00:00:00Z")
    assert content_hash(one) == content_hash(other)


@given(any_version(), any_version())
def test_different_content_has_a_different_hash(one: PolicyVersion, other: PolicyVersion) -> None:
    """Versions have one hash exactly where they are equal and have the same first language."""
    same = one == other and list(one.texts) == list(other.texts)
    assert (content_hash(one) == content_hash(other)) == same


@given(any_version())
def test_the_event_gives_the_version_back(version: PolicyVersion) -> None:
    """What is announced is the version, first language included, with its time as written."""
    again = PolicyVersion.model_validate_json(as_event(version))
    assert again == version
    assert again.first_locale == version.first_locale
    assert json.loads(as_event(version))["effective_at"] == "2027-01-15T00:00:00Z"


@given(any_version(), any_version())
def test_every_change_has_a_line_and_json(old: PolicyVersion, new: PolicyVersion) -> None:
    """Each change is told as it is alone, no sentence twice in a category; each has its JSON."""
    found = changes(old, new)
    told = _told(describe(found, old, new))
    alone = [one for change in found for one in _told(describe([change], old, new))]
    assert sorted(set(told)) == sorted(set(alone))
    assert all(("; not material" in one[2]) != ("; material" in one[2]) for one in told)
    lines = {(category, line) for category, _, line in told}
    printed = describe(found, old, new)[1:]
    assert sum(_is_sentence(line) for line in printed) == len(lines)
    assert sum("owners are asked" in one for one in printed) <= sum(c.stored_data for c in found)
    assert len(json.loads(json.dumps(as_json(found)))) == len(found)
    assert describe(changes(None, new), None, new)


def _is_sentence(line: str) -> bool:
    return "; material" in line or "; not material" in line


def _told(lines: list[str]) -> list[tuple[str, str, str]]:
    """Return the category, the use and the text of each sentence below the first line."""
    told, category, data_uses = [], "", [""]
    for line in lines[1:]:
        if _is_sentence(line):
            told += [(category, one, line.strip()) for one in data_uses]
        elif line.startswith(" "):
            data_uses = line.strip().split(", ")
        elif line:
            category, data_uses = line, [""]
    return told


def test_what_is_true_of_several_uses_is_told_once() -> None:
    """Uses that change alike share their lines; one that differs has its own."""
    old = draft(declares=[row("user.payment", "service", "essential.fraud", retention="P30D")])
    new = draft(
        version="v2",
        declares=[row("user.payment", "service", "essential.fraud", "marketing", retention="P1Y")],
    )
    assert describe(changes(old, new), old, new)[2:] == [
        "user.payment",
        "  marketing",
        (
            "    new use, by Example Inc. (CA); material; stored data is affected: its owners"
            " are asked"
        ),
        "  service, essential.fraud",
        "    kept longer: P1Y, before P30D; material; stored data keeps the old version's period",
    ]


def test_the_words_name_parties_and_keys_as_people_know_them() -> None:
    """A new use reads with the party's name and country and the version's phrases."""
    new = draft(
        version="v2",
        parties={"adpartner": {"name": "Northlight Ads GmbH", "country": "DE"}},
        declares=[row("user.contact.email", "marketing", recipients=["adpartner"])],
        words={"en": {"marketing": "send you offers"}},
    )
    lines = "\n".join(describe(changes(_V1, new), _V1, new))
    assert "campaigner v2 after v1: a material change; stored data is affected." in lines
    assert "marketing (send you offers)\n" in lines
    assert "new use, by Example Inc. and Northlight Ads GmbH (DE); material; stored" in lines

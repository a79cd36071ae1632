"""Checks of a policy file against its policy's line, and warnings."""

from __future__ import annotations

from pathlib import Path

from reconsent.domain.policy import Policy
from reconsent.domain.policy_warnings import PhraseOf
from reconsent.files.policy import load, read
from reconsent.files.policy_checks import Findings, check
from reconsent.words import flaws
from reconsent.words.phrases import phrase_of
from tests.drafts import POLICY_FILE, draft, written


def test_mistakes_against_the_line_are_reported(tmp_path: Path) -> None:
    """Each mistake against the policy's line is reported with its line number."""
    content = POLICY_FILE.replace("follows: null", "follows: v0")
    content = content.replace("2027-01-15", "2026-01-15").replace(
        "user.payment", "user.contact.email"
    )
    content = content.replace("- essential.fraud", "- essential.service")
    content += "words: {nb: {user.payment: betaling}}\n"
    line = Policy(name="campaigner", versions=(draft(properties=["gone.example"]),))
    found = _checked(written(tmp_path, content), line, {"myfax.example": "other"})
    assert [(one.line, one.field, one.message) for one in found.mistakes] == [
        (3, "follows", "must follow 'v1', the latest published"),
        (4, "effective_at", "effective before 'v1', which it follows"),
        (
            8,
            "properties.1",
            (
                "myfax.example belongs to policy 'other', and a property cannot move to "
                "another policy: leave it out here, or publish these terms as the next version of "
                "'other'"
            ),
        ),
        (
            8,
            "properties",
            (
                "gone.example is missing, which 'v1' lists: a property stays with its policy, "
                "so list it"
            ),
        ),
        (
            16,
            "declares.1.uses.1",
            "user.contact.email is already put to essential.service in row 1",
        ),
        (23, "words.nb", "has no text in this language"),
    ]


def test_a_first_version_follows_nothing(tmp_path: Path) -> None:
    """A version that follows an unpublished one is a mistake."""
    found = _checked(
        written(tmp_path, POLICY_FILE.replace("follows: null", "follows: v0")), None, {}
    )
    assert [str(one).partition(":")[2] for one in found.mistakes] == [
        "3: follows: 'v0' is not published: publish it first"
    ]


def test_rules_are_checked_despite_mistakes_of_form(tmp_path: Path) -> None:
    """An unknown key and a missing text do not hide a property of another policy."""
    content = POLICY_FILE.replace("retention", "retain").replace("en.md", "de.md")
    found = _checked(written(tmp_path, content), None, {"myfax.example": "other"})
    assert [one.line for one in found.mistakes] == [8, 12, 22]


def test_a_published_version_can_be_checked_again_but_not_changed(tmp_path: Path) -> None:
    """The same content is valid; other content under the same name is a mistake."""
    path = written(tmp_path, POLICY_FILE)
    line = Policy(name="campaigner", versions=(load(path).version,))
    owners = {"myfax.example": "campaigner"}
    assert _checked(path, line, owners).mistakes == ()
    path.write_text(POLICY_FILE.replace("P7Y", "P8Y"), encoding="utf-8")
    assert [str(one).partition(":")[2] for one in _checked(path, line, owners).mistakes] == [
        (
            "2: version: '2026-12' is published already, with other content, and never"
            " changes: give this one a name of its own"
        )
    ]


def test_warnings_about_missing_words(tmp_path: Path) -> None:
    """Keys without a phrase, parties without a name and a dropped language give warnings."""
    first = draft(
        texts={code: {"title": "T", "summary": "S", "body": "B"} for code in ("en", "nb")},
        properties=["campaigner.example", "myfax.example"],
    )
    content = POLICY_FILE.replace("follows: null", "follows: v1").replace("[example]", "[payer]")
    content += "words: {en: {user.payment: your payments}}\n"
    content += "notice: {respond_by: P30D, reminders: [P7D, P30D]}\n"
    found = _checked(
        written(tmp_path, content),
        Policy(name="campaigner", versions=(first,)),
        {},
        phrases={
            ("essential.service", "en"),
            ("essential.fraud", "en"),
            ("essential.service.payment", "nb"),
        },
    )
    assert found.mistakes == ()
    assert [(one.line, one.field, one.message.partition(":")[0]) for one in found.warnings] == [
        (7, "parties.example.country", "was CA in 'v1'"),
        (10, "declares.0.data", "user.contact.email has no phrase in en"),
        (15, "declares.1.uses.0", "essential.service.payment has no phrase in en"),
        (17, "declares.1.recipients.0", "payer is not named in parties"),
        (18, "texts", "there is no text in 'nb', which 'v1' has"),
        (24, "notice.reminders.1", "P30D is not before respond_by"),
    ]


def test_another_company_and_another_language_give_warnings(tmp_path: Path) -> None:
    """Another controller, a name that changed under its key, and the program's own sentences."""
    parties = {"example": {"name": "Exemplar Ltd", "country": "NO"}, "sister": {"name": "Sister"}}
    first = draft(controller="sister", parties=parties, properties=["campaigner.example"])
    content = POLICY_FILE.replace("follows: null", "follows: v1").replace(
        "controller: example", "controller: example\njoint_controllers: [example, other]"
    )
    content += "  da: {title: Politik, summary: Nyt, body: en.md}\n"
    line = Policy(name="campaigner", versions=(first,))
    found = _checked(written(tmp_path, content), line, {})
    told = {(one.line, one.field): one.message for one in found.warnings}
    assert told[5, "controller"].startswith(
        "was sister in 'v1': from 2027-01-15 on, what sister may do with data already held is no"
        " permission for example; people are asked."
    )
    assert told[8, "parties.example.name"].startswith(
        "was 'Exemplar Ltd' in 'v1': right if the same company has a new name; another company"
    )
    assert told[6, "joint_controllers.0"] == "example is the controller already"
    assert told[6, "joint_controllers.1"].startswith("other is not named in parties")
    assert "sentences of their own in en and nb only" in told[24, "texts.da"]


def test_a_controller_without_its_joint_ones_and_equal_reminders_give_warnings(
    tmp_path: Path,
) -> None:
    """Both can be meant: a use of the controller alone, and two reminders of which one is sent."""
    content = POLICY_FILE.replace(
        "recipients: [example]", "recipients: [example]\n    controller: false"
    ).replace("texts:", "joint_controllers: [other]\nnotice: {reminders: [P7D, P1W]}\ntexts:")
    found = _checked(written(tmp_path, content), None, {})
    assert found.mistakes == ()
    told = {(one.line, one.field): one.message for one in found.warnings}
    assert told[17, "declares.1.recipients.0"] == (
        "example is the controller: it uses this data without its joint controllers"
    )
    assert told[20, "notice.reminders.1"] == "P1W is as long as P7D: one reminder is sent, not two"


def test_an_invalid_version_has_only_mistakes_of_form(tmp_path: Path) -> None:
    """Without a valid version, rules and warnings are not checked."""
    found = check(
        read(written(tmp_path, POLICY_FILE.replace("P7Y", "7Y"))), None, {}, _every, flaws
    )
    assert [one.line for one in found.mistakes] == [12]
    assert found.warnings == ()


def test_who_would_read_of_something_broader_is_told(tmp_path: Path) -> None:
    """A kind of data that only a parent has a phrase for, unless the author has one for it."""
    content = POLICY_FILE.replace("- data: user.payment", "- data: user.behavior.workouts")
    told = _checked(written(tmp_path, content), None, {}, phrase_of=phrase_of).warnings
    [one] = [warning for warning in told if warning.field == "declares.1.data"]
    assert one.message == (
        "user.behavior.workouts has no phrase of its own in en: people would read 'your activity on"
        " our website', that of user.behavior"
    )
    for key in ("user.behavior.workouts", "user.behavior"):
        named = content + f"words: {{en: {{{key}: your workouts}}}}\n"
        told = _checked(written(tmp_path, named), None, {}, phrase_of=phrase_of).warnings
        assert not [warning for warning in told if warning.field == "declares.1.data"]


def _every(key: str, locale: str) -> tuple[str, str]:
    return key, locale


def _checked(
    path: Path,
    line: Policy | None,
    owners: dict[str, str],
    phrases: set[tuple[str, str]] | None = None,
    phrase_of: PhraseOf = _every,
) -> Findings:
    def given(key: str, locale: str) -> tuple[str, str] | None:
        return (key, locale) if (key, locale) in (phrases or ()) else None

    return check(read(path), line, owners, phrase_of if phrases is None else given, flaws)

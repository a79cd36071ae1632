"""Policy files: how they are read, and how mistakes are reported."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconsent.domain.change import as_event
from reconsent.domain.policy import PolicyVersion
from reconsent.files.policy import LARGEST, Mistake, PolicyFileError, Reading, load, read
from tests.drafts import POLICY_FILE, any_version, written


def _mistakes(path: Path) -> list[str]:
    """Return the mistakes of form, without the folder's path."""
    return [str(mistake).removeprefix(f"{path.parent}/") for mistake in read(path).mistakes]


def test_a_valid_file_is_read_with_its_texts_and_line_numbers(tmp_path: Path) -> None:
    """Scalars are strings: a version that looks like a date, the country NO."""
    file = load(written(tmp_path, POLICY_FILE))
    assert file.version.version == "2026-12"
    assert file.version.follows is None
    assert file.version.effective_at == datetime(2027, 1, 15, tzinfo=UTC)
    assert file.version.parties["example"].country == "NO"
    assert file.version.texts["en"].body == "# Policy\n"
    assert file.lines(("declares", 1, "uses", 1)) == 16
    assert file.lines(("texts", "en")) == 19
    assert file.lines(("declares", 0, "no such key")) == 10


@pytest.mark.parametrize("path", sorted(Path("examples").glob("*/*.yaml")), ids=str)
def test_the_examples_have_no_mistakes(path: Path) -> None:
    """Every example is a policy file without mistakes of form."""
    assert read(path).mistakes == ()


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("controller: example", "controler: example",
         "p.yaml:5: controler: is an unknown key: did you mean controller?"),
        ("country: NO", "land: NO", "p.yaml:7: parties.example.land: is an unknown key"),
        ("retention: P7Y", "retentoin: P7Y",
         "p.yaml:12: declares.0.retentoin: is an unknown key: did you mean retention?"),
        ("- essential.fraud", "- marketing emails",
         ("p.yaml:16: declares.1.uses.1: 'marketing emails' is not a dotted key (words of letters, "
         "digits, - and _ joined by dots)")),
        ("data: user.payment", "data: user..payment",
         ("p.yaml:13: declares.1.data: 'user..payment' is not a dotted key (words of letters, "
         "digits, - and _ joined by dots)")),
        ("    body: en.md\n", "", "p.yaml:19: texts.en.body: is missing"),
        ("policy: campaigner\n", "", "p.yaml:1: policy: is missing"),
        ("    uses: [essential.service]\n", "", "p.yaml:10: declares.0.uses: is missing"),
        ("title: Policy", "title:", "p.yaml:20: texts.en.title: is empty"),
        ("title: Policy", "title: true",
         "p.yaml:20: texts.en.title: must be text: put true in quotes"),
        ("title: Policy", "title: [a, b]",
         "p.yaml:20: texts.en.title: must be text, not a list or a mapping"),
        ("uses: [essential.service]", "uses: essential.service",
         "p.yaml:11: declares.0.uses: must be a list, such as [one, another]"),
        ("uses: [essential.service]", "uses: []", "p.yaml:11: declares.0.uses: is empty"),
        ("{name: Example Inc., country: NO}", "Example Inc.",
         "p.yaml:7: parties.example: must be a mapping (key: value)"),
        ("{name: Example Inc., country: NO}", "{name: A, country: no}",
         ("p.yaml:7: parties.example.country: 'no' is not a country code (two capital letters such "
         "as NO)")),
        ("controller: example", "controller: Example",
         ("p.yaml:5: controller: 'Example' is not a party key (lower-case letters, digits and "
         "hyphens)")),
        ("  example:", "  Example:",
         ("p.yaml:7: parties.Example: 'Example' is not a party key (lower-case letters, digits and "
         "hyphens)")),
        ("  en:", "  english please:",
         "p.yaml:19: texts.english please: 'english please' is not a locale such as en or nb-NO"),
        ("[campaigner.example,", "[campaigner/example,",
         ("p.yaml:8: properties.0: 'campaigner/example' is not a property (a name without spaces "
         "and slashes)")),
        ("T00:00:00Z", "",
         ("p.yaml:4: effective_at: '2027-01-15' has no time with a zone, such as "
         "2027-01-15T00:00:00Z")),
        ("2027-01-15T00:00:00Z", "2027-02-30T00:00:00Z",
         ("p.yaml:4: effective_at: '2027-02-30T00:00:00Z' is not a time such as "
         "2027-01-15T00:00:00Z")),
        ("2027-01-15T00:00:00Z", "2027",
         "p.yaml:4: effective_at: '2027' is not a time such as 2027-01-15T00:00:00Z"),
        ("P7Y", "7 years",
         "p.yaml:12: declares.0.retention: '7 years' is not an ISO 8601 duration such as P30D"),
        ("texts:", "joint_controllers: [Sister AS]\ntexts:",
         ("p.yaml:18: joint_controllers.0: 'Sister AS' is not a party key (lower-case letters, "
         "digits and hyphens)")),
        ("retention: P7Y", "controller: nobody",
         "p.yaml:12: declares.0.controller: 'nobody' is not true or false"),
        ("retention: P7Y", "controller: 'no'",
         "p.yaml:12: declares.0.controller: 'no' is not true or false"),
        ("texts:", "notice: {material: 'true'}\ntexts:",
         "p.yaml:18: notice.material: 'true' is not true or false"),
        ("texts:", "notice: {information_mail: all}\ntexts:",
         "p.yaml:18: notice.information_mail: 'all' is not 'opted_in' or 'nobody'"),
        ("texts:", "notice: {material: perhaps}\ntexts:",
         "p.yaml:18: notice.material: 'perhaps' is not true or false"),
        ("controller: example", "controller: example\ncontroller: other",
         "p.yaml:6: controller: is given twice, first in line 5"),
        ("en.md", "de.md",
         "p.yaml:22: texts.en.body: 'de.md' is not a file in the policy file's folder"),
        ("en.md", "../en.md",
         "p.yaml:22: texts.en.body: '../en.md' is outside the policy file's folder"),
        ("en.md", "en.txt",
         ("p.yaml:22: texts.en.body: 'en.txt' is not a Markdown file beside the policy file "
         "(NAME.md)")),
        ("en.md", "/etc/passwd",
         ("p.yaml:22: texts.en.body: '/etc/passwd' is not a Markdown file beside the policy file "
         "(NAME.md)")),
        ("en.md", "We keep what we need.",
         ("p.yaml:22: texts.en.body: 'We keep what we need.' is not a Markdown file beside the "
         "policy file (NAME.md)")),
        ("en.md", "/etc/passwd.md",
         "p.yaml:22: texts.en.body: '/etc/passwd.md' is outside the policy file's folder"),
        ("en.md", "'  '", "p.yaml:22: texts.en.body: is empty"),
        ("    title", "\ttitle", "p.yaml:20: a tab, where YAML requires spaces"),
        ("What changes", "What changes: all",
         "p.yaml:21: a ':' that does not belong here: text that holds ': ' needs quotes around it"),
        ("version: 2026-12", "version", "p.yaml:2: a key without a ':'"),
        ("version: 2026-12", "version: '2026-12", "p.yaml:2: a quote that is never closed"),
        ("controller: example", "controller: !secret example",
         "p.yaml:5: controller: the tag !secret is not supported"),
        ("controller: example", "controller: {? [a] : b}", ("p.yaml:5: controller: a key must be "
         "one word or text")),
        ("title: Policy", 'title: "a\\0b"', "p.yaml:20: texts.en.title: contains a NUL character"),
        ("title: Policy", 'title: "\\ud800"',
         "p.yaml:20: texts.en.title: contains a lone surrogate"),
        ("title: Policy", "title: a\x07b",
         "p.yaml:20: U+0007, which YAML forbids"),
        (POLICY_FILE, "", "p.yaml:1: is empty"),
        (POLICY_FILE, "just words", "p.yaml:1: must be a mapping (key: value)"),
        (POLICY_FILE, "[" * 20_000, "p.yaml:1: is nested too deeply"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_file_line_and_field(
    tmp_path: Path, old: str, new: str, mistake: str
) -> None:
    """Every kind of mistake is reported in one line with the place and the reason."""
    assert old in POLICY_FILE
    found = _mistakes(written(tmp_path, POLICY_FILE.replace(old, new, 1)))
    assert mistake in found
    assert all(one.startswith("p.yaml:") and "\n" not in one for one in found)


def test_all_mistakes_are_reported_in_the_order_of_the_file(tmp_path: Path) -> None:
    """No mistake hides another, whether in keys, values or texts."""
    content = POLICY_FILE.replace("version: 2026-12", "vresion: 2026-12").replace("P7Y", "7Y")
    content = content.replace("NO}", "no}").replace("en.md", "no.md")
    found = _mistakes(written(tmp_path, content))
    assert [one.split(":")[1] for one in found] == ["1", "2", "7", "12", "22"]
    with pytest.raises(PolicyFileError) as error:
        load(tmp_path / "p.yaml")
    assert str(error.value).count("\n") == len(found) - 1
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "p.yaml: no such file or directory"),
        (b"policy: a\nversion: \xff\n", "p.yaml:2: byte 0xff is not valid UTF-8"),
        (b"#" * (LARGEST + 1), "p.yaml: larger than 2,000,000 bytes"),
    ],
)
def test_an_unreadable_file_is_one_mistake(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    """A missing, a binary and an oversized file are reported in one line each."""
    path = tmp_path / "p.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PolicyFileError) as error:
        read(path)
    assert str(error.value) == f"{tmp_path}/{message}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "'en.md' is empty"),
        (b"one\ntwo \xff", "'en.md' is not valid UTF-8 in line 2"),
        (b"a\0b", "'en.md' contains a NUL character"),
        (b"a" * (LARGEST + 1), "'en.md' cannot be read: larger than 2,000,000 bytes"),
    ],
)
def test_an_invalid_text_is_reported_where_it_is_referenced(
    tmp_path: Path, body: bytes, message: str
) -> None:
    """An invalid Markdown file is reported at the line that refers to it."""
    path = written(tmp_path, POLICY_FILE)
    (tmp_path / "en.md").write_bytes(body)
    assert _mistakes(path) == [f"p.yaml:22: texts.en.body: {message}"]


def test_a_text_must_not_be_a_link_out_of_the_folder(tmp_path: Path) -> None:
    """A symbolic link to a file outside the folder is not followed."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "en.md").symlink_to(tmp_path / "en.md")
    (found,) = _mistakes(written(tmp_path / "inner", POLICY_FILE))
    assert "is outside" in found


def test_line_ends_do_not_change_a_text(tmp_path: Path) -> None:
    """Line ends and a byte order mark do not change the content or its hash."""
    path = written(tmp_path, POLICY_FILE)
    before = as_event(load(path).version)
    (tmp_path / "en.md").write_bytes(b"\xef\xbb\xbf# Policy\r\n")
    assert as_event(load(path).version) == before


@given(any_version(), st.sampled_from([None, 2, "\t"]), st.booleans())
def test_event_data_is_a_valid_policy_file(
    tmp_path_factory: pytest.TempPathFactory,
    version: PolicyVersion,
    indent: int | str | None,
    ascii_only: bool,  # noqa: FBT001 -- drawn
) -> None:
    """The data of a policy-versions event, in any JSON formatting, is a policy file."""
    event = json.loads(as_event(version))
    for text in event["texts"].values():
        text |= {"title": "Blåbær 🫐", "body": "# One\n\nTwo: [x]\n"}
    path = tmp_path_factory.mktemp("json") / "p.json"
    path.write_text(json.dumps(event, indent=indent, ensure_ascii=ascii_only), encoding="utf-8")
    assert load(path).version == PolicyVersion.model_validate(event)


def test_other_checks_can_report_mistakes(tmp_path: Path) -> None:
    """A mistake found by other checks is reported with file, line and field."""
    reading: Reading = read(written(tmp_path, POLICY_FILE))
    assert reading.mistake(("declares", 1, "data"), "is wrong") == Mistake(
        file=str(tmp_path / "p.yaml"), line=13, field="declares.1.data", message="is wrong"
    )

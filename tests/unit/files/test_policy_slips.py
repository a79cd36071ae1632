"""Names and words of a policy file that cannot be meant as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from babel import Locale

from reconsent.domain.policy import Policy
from reconsent.files.policy import PolicyFileError, load, read
from reconsent.files.policy_checks import check, refuse_slips
from reconsent.words import flaws
from reconsent.words.phrases import phrase_of
from tests.drafts import POLICY_FILE, written

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title: Policy", 'title: "Privacy\\nSubject: x"',
         "20: texts.en.title: has a line break: write it on one line"),
        ("title: Policy", 'title: "Privacy\\u2028policy"',
         "20: texts.en.title: has a line break: write it on one line"),
        ("name: Example Inc.", 'name: "Example \\u202Ecnl"',
         ("7: parties.example.name: contains U+202E (RIGHT-TO-LEFT OVERRIDE), which turns text "
         "around")),
        ("name: Example Inc.", 'name: "Example\\a"',
         "7: parties.example.name: contains U+0007, a control character"),
        ("What changes", '"What\\x1b[2J changes"',
         "21: texts.en.summary: contains U+001B, a control character"),
        ("country: NO", "country: XX",
         "7: parties.example.country: XX is not a country of ISO 3166"),
        ("country: NO", "country: EU",
         "7: parties.example.country: EU is not a country of ISO 3166"),
        ("texts:", 'words: {en: {user.payment: "your\\ncard"}}\ntexts:',
         "18: words.en.user.payment: has a line break: write it on one line"),
        ("texts:", "joint_controllers: [sister, sister]\ntexts:",
         "18: joint_controllers.1: sister is listed twice"),
        ("texts:", "texts:\n  EN: {title: Policy, summary: Summary, body: en.md}",
         "20: texts.en: is the same locale as EN; only one text can be shown"),
        ("texts:", ("texts:\n  en-GB: {title: Policy, summary: Summary, body: en.md}\n"
         "  en_gb: {title: Policy, summary: Summary, body: en.md}"),
         "20: texts.en_gb: is the same locale as en-GB; only one text can be shown"),
        ("recipients: [example]", "recipients: [payer, example, payer]",
         "17: declares.1.recipients.2: payer is listed twice"),
        ("recipients: [example]", "recipients: [payer, example]\n    controller: false",
         ("17: declares.1.recipients.1: example is the controller, which `controller: false` "
          "leaves out")),
    ],
)  # fmt: skip
def test_it_is_refused_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    """Check and publish refuse it; what was published with it before has no mistakes."""
    path = written(tmp_path, POLICY_FILE.replace(old, new))
    found = check(read(path), None, {}, phrase_of, flaws)
    assert [str(one) for one in found.mistakes] == [f"{path}:{told}"]
    field = told.split(": ")[1]
    assert field not in {one.field for one in found.warnings}
    loaded = load(path)
    with pytest.raises(PolicyFileError, match=r"^[^\n]+$") as refused:
        refuse_slips(loaded, path, None, flaws)
    assert str(refused.value) == f"{path}:{told}"

    published = Policy(name="campaigner", versions=(loaded.version,))
    assert check(read(path), published, {}, phrase_of, flaws).mistakes == ()
    refuse_slips(loaded, path, published, flaws)


def test_what_can_be_meant_is_not_refused(tmp_path: Path) -> None:
    """A summary of two lines, signs of Arabic and Persian, and every country."""
    content = POLICY_FILE.replace("What changes", '"What\\nchanges"')
    content = content.replace("name: Example Inc.", 'name: "\\u0645\\u06cc\\u200c\\u062e\\u200f"')
    path = written(tmp_path, content)
    assert check(read(path), None, {}, phrase_of, flaws).mistakes == ()
    countries = [code for code in map(str, Locale("en").territories) if flaws.is_country(code)]
    assert len(countries) == 249 + 1
    assert {"NO", "TW", "XK", "GB"} <= set(countries)

"""The section of docs/rules.md that shows tests/cases/rules.yaml.

`rewrite()` updates it; tests/unit/test_docs.py fails while the two differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
CASES: Final = ROOT / "tests" / "cases" / "rules.yaml"
RULES: Final = ROOT / "docs" / "rules.md"
BEGIN: Final = "<!-- cases: begin."
END: Final = "<!-- cases: end -->"
HOW_TO_REWRITE: Final = 'python -c "from tests.docs import rewrite; rewrite()"'
_SHOWN_VERSION: Final = frozenset(
    {"follows", "effective_at", "controller", "joint_controllers", "declares", "notice", "parties"}
)

Value = Any  # the value of a story line's verb, as parsed from YAML


def rewrite() -> None:
    """Write the section again."""
    RULES.write_text(with_cases(RULES.read_text("utf-8")), "utf-8")


def with_cases(page: str) -> str:
    """Return the page with the section rendered from the cases."""
    before, begin, rest = page.partition(BEGIN)
    marker, _, _ = rest.partition("\n")
    _, end, after = rest.partition(END)
    assert begin, f"{RULES.name} has lost the marker {BEGIN}"
    assert end, f"{RULES.name} has lost the marker {END}"
    return f"{before}{begin}{marker}\n\n{section(CASES)}\n{end}{after}"


def section(path: Path) -> str:
    """Render a file of cases as Markdown."""
    content = yaml.safe_load(path.read_text("utf-8"))
    return "\n".join([*_introduction(content["versions"]), *_cases(content["cases"])])


def _introduction(versions: Mapping[str, Value]) -> Iterator[str]:
    yield "Each story starts with no data on 10 January 2027 at noon. Each line happens an hour"
    yield "after the one before it, or on the day it names at noon. Unless a story says otherwise,"
    yield "accounts are active, with contact `all` and an address. These versions are published:"
    yield ""
    yield from _version_table(versions)


def _version_table(versions: Mapping[str, Value]) -> Iterator[str]:
    yield "| version | in effect from | controller | declares | time to respond |"
    yield "|---|---|---|---|---|"
    for name, version in versions.items():
        unknown = version.keys() - _SHOWN_VERSION
        assert not unknown, f"{name}: tests/docs.py does not know how to show {sorted(unknown)}"
        rows = "<br>".join(_row(row) for row in version["declares"])
        notice = version.get("notice", {})
        period = notice.get("respond_by", "forever")
        period += "; information mail" if notice.get("information_mail") == "opted_in" else ""
        countries = {key: f" ({p['country']})" for key, p in version.get("parties", {}).items()}
        responsible = [version["controller"], *version.get("joint_controllers", [])]
        controllers = _and(f"{key}{countries.get(key, '')}" for key in responsible)
        cells = [name, _day(version["effective_at"]), controllers, rows, period]
        yield f"| {' | '.join(cells)} |"


def _row(row: Mapping[str, Value]) -> str:
    how = "also" if row.get("controller", True) else "only"
    parties = f", {how} by {_and(row['recipients'])}" if "recipients" in row else ""
    return f"`{row['data']}` for {_and(f'`{use}`' for use in row['uses'])}{parties}"


def _cases(cases: Iterable[Mapping[str, Value]]) -> Iterator[str]:
    for case in cases:
        yield ""
        yield f"### {case['case']}"
        yield ""
        if "versions" in case:
            yield "Versions that differ:"
            yield ""
            yield from _version_table(case["versions"])
            yield ""
        for number, line in enumerate(case["story"], 1):
            yield f"{number}. {_sentence(line)}"


def _sentence(line: Mapping[str, Value]) -> str:
    """Render one line of a story."""
    verb = next(iter(line))
    assert verb in _SENTENCES, f"tests/docs.py does not know how to say {verb!r}"
    day = f"On {_day(line['day'])}: " if "day" in line else ""
    came = f" {_outcome(verb, line['is'])}" if "is" in line else ""
    to = f" It goes to {_and(line['to'])}." if "to" in line else ""
    return f"{day}{_SENTENCES[verb](line[verb])}{came}{to}"


def _outcome(verb: str, value: Value) -> str:
    if verb == "permit":
        return f"**{value}**"
    became = {
        303: "The receipt follows.",
        404: "The link is dead.",
        409: "Nothing is recorded, because the question has changed; the new one is shown.",
    }
    return became[value]


def _published(value: Value) -> str:
    names = [value] if isinstance(value, str) else value
    return f"{_and(names)} {'is' if len(names) == 1 else 'are'} published."


def _account(value: Value) -> str:
    given = dict(value)
    name = given.pop("account")
    dated = f", dated {_day(given.pop('updated_at'))}" if "updated_at" in given else ""
    parts = [_detail(key, value) for key, value in given.items()]
    return f"Account {name}{': ' if parts else ''}{', '.join(parts)}{dated}."


def _detail(key: str, value: Value) -> str:
    if key == "minor":
        return "a minor" if value else "not a minor"
    if key == "email":
        return f"address {value}" if value else "no address"
    if key == "email_verified_at":
        return f"its address verified on {value[:10]}"
    return f"contact `{value}`" if key == "contact" else str(value)


def _collected(value: Value) -> str:
    data = f"`{value['data']}` of {value['account']}"
    if value.get("erased"):
        return f"{data} of {_under(value)} is erased."
    dated = f", dated {_day(value['collected_at'])}" if "collected_at" in value else ""
    return f"{data} is collected under {_under(value)}{dated}."


def _under(value: Value) -> str:
    return str(value.get("under") or "an unknown version")


def _choice(value: Value) -> str:
    answer = {"allow": "yes", "deny": "no"}[value["answer"]]
    use = f"`{value['use']}`" + (f" by {value['by']}" if "by" in value else "")
    data = f" with `{value['data']}`" if "data" in value else ""
    under = f" of {value['under']}" if "under" in value else ""
    dated = f", dated {_day(value['decided_at'])}" if "decided_at" in value else ""
    return f"{value['account']} says {answer} to {use}{data}{under} on the phone{dated}."


def _mailed(value: Value) -> str:
    return f"Notices are planned and sent: {_mails(value)}."


def _sent(value: Value) -> str:
    return f"What is due is sent: {_mails(value)}."


def _mails(value: Value) -> str:
    if not value:
        return "nobody gets mail"
    return _and(f"{account} gets {_MAILS[kind]}" for account, kind in value.items())


_MAILS: Final = {"choice": "a choice mail", "information": "an information mail"}


def _reported(value: Value) -> str:
    notice = f"{value.get('account')}'s notice of {value.get('version')}"
    about = f"the address {value['email']}" if "email" in value else notice
    reason = f" ({value['reason']})" if "reason" in value else ""
    return f"The provider reports {about}: {value['event']}{reason}."


def _opened(value: Value) -> str:
    return f"{value['account']} opens the link of {value['version']} and leaves the page open."


def _clicked(value: Value) -> str:
    page = "on the open page" if "page" in value else f"by the link of {value['version']}"
    answers = [
        f"{word} to {_question(question)}"
        for answer, word in (("allow", "yes"), ("deny", "no"))
        for question in value.get(answer, [])
    ]
    return f"{value['account']} answers {page}: {_and(answers)}."


def _question(text: str) -> str:
    data_use, _, party = text.partition(" by ")
    return f"`{data_use}` by {party}"


def _permit(value: Value) -> str:
    party = f" by {value['by']}" if "by" in value else ""
    at = f" on {_day(value['at'])}" if "at" in value else ""
    data = f"{value['account']}'s `{value['data']}` of {_under(value)}"
    return f"May {data} be used for `{value['use']}`{party}{at}?"


def _notices(value: Value) -> str:
    return " ".join(
        f"{account}'s notices: {'; '.join(_notice(row) for row in rows) or 'none'}."
        for account, rows in value.items()
    )


def _notice(row: str) -> str:
    version, sequence, kind, *became = row.split(" ")
    return f"{kind} {sequence} of {version} is {', '.join(became)}"


def _asked(value: Value) -> str:
    return " ".join(
        f"{account} is asked about {_and(_use(row) for row in rows)}."
        for account, rows in value.items()
    )


def _use(row: str) -> str:
    data, _, rest = row.partition(" of ")
    version, _, use = rest.partition(" for ")
    of = "an unknown version" if version == "unknown" else version
    return f"`{data}` of {of} for {_question(use)}"


def _ledger(value: Value) -> str:
    return " ".join(
        f"{account}'s ledger: {', '.join(states) or 'empty'}." for account, states in value.items()
    )


def _erasures(value: Value) -> str:
    return f"To be erased: {_and(value)}."


_SENTENCES: Final[Mapping[str, Callable[[Value], str]]] = {
    "publish": _published,
    "account": _account,
    "tombstone": lambda value: f"Account {value} is deleted.",
    "collected": _collected,
    "choice": _choice,
    "mail": _mailed,
    "plan": lambda _: "Notices are planned.",
    "send": _sent,
    "report": _reported,
    "expire": lambda _: "The scheduler checks for what is due by time.",
    "open": _opened,
    "click": _clicked,
    "permit": _permit,
    "notices": _notices,
    "asked": _asked,
    "ledger": _ledger,
    "erasures": _erasures,
}


def _and(items: Iterable[object]) -> str:
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last


def _day(value: date | datetime) -> str:
    return f"{value:%d %B %Y}".removeprefix("0")

"""Mails as they are sent: subject, plain text and HTML.

One rendering serves all accounts that share kind, ask, earlier refusals, property and locale; it
contains nothing personal. CHOOSE_LINK or, in information, UNSUBSCRIBE_LINK is the placeholder for
an account's own link.

Mail programs cut long mails off. So the button stands before the details, no text is longer than
`Words` with `brief` allow, and details beyond a size are left to the page that the button opens.
"""

from __future__ import annotations

import hashlib
import re
from binascii import b2a_qp
from email.utils import parseaddr
from functools import cache
from typing import TYPE_CHECKING, Final

import mrml

from reconsent.domain.mail import CHOOSE_LINK, UNSUBSCRIBE_LINK, RenderedMail
from reconsent.domain.notice import Kind, Question
from reconsent.domain.use import Use
from reconsent.words.phrases import Words, touches
from reconsent.words.translation import environment, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconsent.domain.policy import PolicyVersion

_LONG_SUBJECT: Final = 90
_LARGEST: Final = 80_000
"""The most bytes of text and HTML as they are transmitted; headers and links come on top."""
_MOST_DETAILS: Final = 200
"""More questions and rows than these never fit."""
_MOST_VERSIONS: Final = 8
"""The most versions that a row of held data names."""
_NOT_IN_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML, and therefore MJML, does not allow."""
_BLANK_LINES: Final = re.compile(r"\n\s*\n\s*\n+")


def render_mail(  # noqa: PLR0913 (everything that a mail depends on, by name)
    kind: Kind,
    *,
    version: PolicyVersion,
    property_name: str,
    locale: str,
    questions: tuple[Question, ...],
    refused_before: frozenset[Use],
    published: Mapping[str, PolicyVersion],
    public_url: str,
    sender: str,
) -> RenderedMail:
    """Render a mail about a version in one of its locales.

    `refused_before` are standing refusals: a question that overlaps one says so. `published` are
    the policy's versions by name; `sender` is an address with or without a name.
    """
    words = Words(version=version, locale=locale, brief=True)
    answer_within = version.notice.respond_by
    url = f"{public_url.rstrip('/')}/policies/{version.policy}"
    asked = [_question(words, one, refused_before) for one in questions[:_MOST_DETAILS]]
    rows = _rows(words, questions, published)
    values = {
        "property_name": property_name,
        "total": len(questions),
        "first": asked[:1],
        "taken_over_from": words.taken_over_from(questions, published),
        "answer_within": words.period(answer_within) if answer_within else None,
        "policy_url": url,
        "version_url": f"{url}/{version.version}",
        "contact": parseaddr(sender)[1] or sender,
    }

    def written(details: int) -> RenderedMail:
        shown = asked[:details]
        held = rows[: details - len(shown)]
        left = {"questions": len(questions) - len(shown), "rows": len(rows) - len(held)}
        return _written(kind, words, values | {"questions": shown, "rows": held, "left": left})

    return _fitting(written, min(len(asked) + len(rows), _MOST_DETAILS))


@cache
def template_hash() -> str:
    """Return the SHA-256 of the mail templates, sentences and phrases, in hex."""
    digest = hashlib.sha256()
    for path, content in sources("email", "locale"):
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _question(
    words: Words, question: Question, refused_before: frozenset[Use]
) -> dict[str, object]:
    refused = touches(question, refused_before)
    return {"text": words.question(question), "refused_before": refused}


def _rows(
    words: Words, questions: Iterable[Question], published: Mapping[str, PolicyVersion]
) -> list[dict[str, object]]:
    """Return the data that the questions concern, each kind once."""
    concerned = dict.fromkeys(held for question in questions for held in question.concerns)
    return [
        {
            "data": row.data,
            "collected_under": row.collected_under[:_MOST_VERSIONS],
            "more": len(row.collected_under[_MOST_VERSIONS:]),
        }
        for row in words.held(concerned, published)
    ]


def _fitting(written: Callable[[int], RenderedMail], details: int) -> RenderedMail:
    """Return a mail with all of its details, or with as many as fit."""
    mail = written(details)
    if _size(mail) <= _LARGEST:
        return mail
    fit, too_many = 0, details
    while too_many - fit > 1:
        middle = (fit + too_many) // 2
        if _size(written(middle)) <= _LARGEST:
            fit = middle
        else:
            too_many = middle
    return written(fit)


def _size(mail: RenderedMail) -> int:
    """Return the bytes of both parts as quoted-printable lines."""
    encoded = [b2a_qp(part.encode()) for part in (mail.text, mail.html)]
    return sum(len(part) + part.count(b"\n") for part in encoded)


def _written(kind: Kind, words: Words, values: dict[str, object]) -> RenderedMail:
    marks = {"choose_link": CHOOSE_LINK, "unsubscribe_link": UNSUBSCRIBE_LINK}
    values |= marks | {"words": words, "long_subject": _LONG_SUBJECT}
    return RenderedMail(
        subject=_one_line(_render(words, f"email/{kind}/subject.txt", values)),
        text=_plain(_render(words, f"email/{kind}/body.txt", values)),
        html=_compiled(_render(words, f"email/{kind}/body.mjml", values)),
        locale=words.locale,
        template_hash=template_hash(),
    )


def _render(words: Words, template: str, values: dict[str, object]) -> str:
    html = template.endswith(".mjml")
    rendered = environment(words.language, html=html).get_template(template).render(values)
    return _NOT_IN_XML.sub("", rendered)


def _one_line(subject: str) -> str:
    """Make a text safe for a header."""
    return "".join(char for char in " ".join(subject.split()) if char.isprintable())


def _plain(text: str) -> str:
    return _BLANK_LINES.sub("\n\n", text).strip() + "\n"


def _compiled(mjml: str) -> str:
    """Compile MJML to HTML that loads nothing from other servers."""
    return str(mrml.to_html(mjml, None, mrml.RenderOptions(fonts={})).content)

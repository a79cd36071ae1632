"""Mails as they are sent: subject, plain text and HTML.

One rendering serves all accounts that share kind, ask, earlier refusals, property and locale; it
contains nothing personal. CHOOSE_LINK or, in information, UNSUBSCRIBE_LINK is the placeholder for
an account's own link.
"""

from __future__ import annotations

import hashlib
import re
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
    from collections.abc import Mapping

    from reconsent.domain.policy import PolicyVersion

_LONG_SUBJECT: Final = 90
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
    words = Words(version=version, locale=locale)
    answer_within = version.notice.respond_by
    url = f"{public_url.rstrip('/')}/policies/{version.policy}"
    values = {
        "words": words,
        "property_name": property_name,
        "questions": [_question(words, one, refused_before, published) for one in questions],
        "taken_over_from": words.taken_over_from(questions, published),
        "answer_within": words.period(answer_within) if answer_within else None,
        "choose_link": CHOOSE_LINK,
        "unsubscribe_link": UNSUBSCRIBE_LINK,
        "policy_url": url,
        "version_url": f"{url}/{version.version}",
        "contact": parseaddr(sender)[1] or sender,
        "long_subject": _LONG_SUBJECT,
    }
    return RenderedMail(
        subject=_one_line(_render(words, f"email/{kind}/subject.txt", values)),
        text=_plain(_render(words, f"email/{kind}/body.txt", values)),
        html=_compiled(_render(words, f"email/{kind}/body.mjml", values)),
        locale=locale,
        template_hash=template_hash(),
    )


@cache
def template_hash() -> str:
    """Return the SHA-256 of the mail templates, sentences and phrases, in hex."""
    digest = hashlib.sha256()
    for path, content in sources("email", "locale"):
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _question(
    words: Words,
    question: Question,
    refused_before: frozenset[Use],
    published: Mapping[str, PolicyVersion],
) -> dict[str, object]:
    return {
        "text": words.question(question),
        "rows": words.held(question, published),
        "refused_before": touches(question, refused_before),
    }


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

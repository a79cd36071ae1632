"""SendGrid's documented rules for a request to /v3/mail/send."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any, Final

MOST_BYTES: Final = 30 * 1000 * 1000
MOST_RECIPIENTS: Final = 1000
MOST_PERSONAL_BYTES: Final = 10_000

_RESERVED: Final = {
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type",
    "content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc",
}  # fmt: skip
_KEYS: Final = {
    "personalizations", "from", "reply_to", "subject", "content", "headers", "categories",
    "custom_args", "send_at", "asm", "mail_settings", "tracking_settings",
}  # fmt: skip
_PERSONAL_KEYS: Final = {"to", "subject", "headers", "substitutions", "custom_args", "send_at"}
_EMAIL: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
)
_OPAQUE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

Fault = tuple[str, str]
"""The field at fault, and what is wrong with it."""


def faults(request: object, refused: set[str]) -> list[Fault]:
    """Return the faults of a request; `refused` are rejected addresses."""
    if not isinstance(request, dict):
        return [("", "Bad Request")]
    found: list[Fault] = [(str(key), "is not a known field") for key in set(request) - _KEYS]
    found += _person_faults("from", request.get("from"), set())
    if not isinstance(request.get("subject"), str) or not request["subject"]:
        found.append(("subject", "The subject is required."))
    elif not request["subject"].isprintable():
        found.append(("subject", "must be one line, without control characters."))
    found += _content_faults(request.get("content"))
    found += _header_faults("headers", request.get("headers", {}))
    found += _category_faults(request.get("categories", []))
    group = request.get("asm", {"group_id": 1}).get("group_id")
    if not isinstance(group, int) or group < 1:
        found.append(("asm.group_id", "must be the number of a group."))
    return found + _personalizations_faults(request, refused)


def _content_faults(content: object) -> list[Fault]:
    if not isinstance(content, list) or not content:
        return [("content", "Unless a valid template_id is provided, content is required.")]
    found: list[Fault] = []
    if [part.get("type") for part in content] != ["text/plain", "text/html"]:
        found.append(("content", "text/plain must be first, followed by text/html."))
    for place, part in enumerate(content):
        if not isinstance(part.get("value"), str) or not part["value"]:
            words = "The content value must be a string at least one character in length."
            found.append((f"content.{place}.value", words))
    return found


def _category_faults(categories: list[Any]) -> list[Fault]:
    found: list[Fault] = []
    if len(categories) > 10:
        found.append(("categories", "You may not have more than 10 categories."))
    if len(set(categories)) < len(categories):
        found.append(("categories", "must be unique."))
    if not all(isinstance(one, str) and 0 < len(one) <= 255 for one in categories):
        found.append(("categories", "must have 1 to 255 characters each."))
    return found


def _header_faults(field: str, headers: Any) -> list[Fault]:  # noqa: ANN401 -- any JSON
    found: list[Fault] = []
    for name, value in headers.items():
        if name.casefold() in _RESERVED:
            found.append((field, f"The header {name} is reserved."))
        if not re.fullmatch(r"[!-9;-~]+", name):
            found.append((field, f"{name!r} is not a valid header name."))
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            found.append((field, f"The value of {name} is not a line of ASCII."))
    return found


def _personalizations_faults(request: dict[str, Any], refused: set[str]) -> list[Fault]:
    personal = request.get("personalizations")
    if not isinstance(personal, list) or not personal:
        return [("personalizations", "You must have at least one personalization.")]
    if len(personal) > MOST_RECIPIENTS:
        words = f"The personalization block is limited to 1000, you have provided {len(personal)}."
        return [("personalizations", words)]
    found: list[Fault] = []
    seen: set[str] = set()
    for place, one in enumerate(personal):
        field = f"personalizations.{place}"
        found += _personal_faults(field, one, refused)
        for person in one.get("to", []):
            address = canonical(str(person.get("email")))
            if address in seen:
                words = f"Each email address should be unique. We found [{person['email']}] again."
                found.append((field, words))
            seen.add(address)
    return found


def _personal_faults(field: str, one: dict[str, Any], refused: set[str]) -> list[Fault]:
    unknown = set(one) - _PERSONAL_KEYS
    found: list[Fault] = [(f"{field}.{key}", "is not a known field") for key in unknown]
    if len(one.get("to", [])) != 1:
        found.append((f"{field}.to", "must name exactly one person."))
    for place, person in enumerate(one.get("to", [])):
        found += _person_faults(f"{field}.to.{place}", person, refused)
    found += _header_faults(f"{field}.headers", one.get("headers", {}))
    headers = " ".join(map(str, one.get("headers", {}).values()))
    for key, value in one.get("substitutions", {}).items():
        if key in headers:
            # Only in content, subject and reply-to; here the recipient would get the tag.
            found.append((f"{field}.headers", f"{key} is not substituted in headers."))
        if not isinstance(value, str) or len((key + value).encode()) >= MOST_PERSONAL_BYTES:
            found.append((f"{field}.substitutions", "must be under 10000 bytes of text."))
    arguments = one.get("custom_args", {})
    if len(json.dumps(arguments).encode()) >= MOST_PERSONAL_BYTES:
        found.append((f"{field}.custom_args", "must be under 10000 bytes."))
    if not all(isinstance(v, str) and _OPAQUE.fullmatch(v) for v in arguments.values()):
        found.append(
            (f"{field}.custom_args", "is stored for long, so it must not contain personal data.")
        )
    return found


def _person_faults(field: str, person: Any, refused: set[str]) -> list[Fault]:  # noqa: ANN401 -- any JSON
    if not isinstance(person, dict) or not isinstance(person.get("email"), str):
        return [(field, "must have an email address.")]
    email, name = person["email"], person.get("name", "")
    found: list[Fault] = []
    if not _EMAIL.fullmatch(email) or canonical(email) in refused:
        found.append((f"{field}.email", f"Does not contain a valid address: {email}"))
    if not isinstance(name, str) or re.search(r"[;,\x00-\x1f\x7f]", name):
        found.append((f"{field}.name", "must have neither ; nor , nor control characters."))
    return found


def canonical(email: str) -> str:
    """Return an address in the form that SendGrid compares."""
    return unicodedata.normalize("NFKC", email.strip()).casefold()

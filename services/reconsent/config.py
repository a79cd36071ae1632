"""Settings: the only reader of the environment, and of which extras are installed."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parseaddr
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args
from urllib.parse import urlsplit

import platformdirs

from reconsent.bus.kafka.settings import (
    BOOTSTRAP_SERVERS,
    KAFKA_NAMES,
    KafkaSettings,
    kafka_settings,
)
from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.domain.mail import Delivery
from reconsent.domain.spelling import did_you_mean, is_misspelt
from reconsent.domain.times import duration
from reconsent.mail.address import sender_parts
from reconsent.mail.return_path import SETTING as RETURN_PATH
from reconsent.mail.return_path import return_mailbox
from reconsent.mail.sendgrid.settings import SENDGRID_NAMES, SendGridSettings, sendgrid_settings
from reconsent.mail.smtp.settings import SCHEMES, SmtpSettings, smtp_settings
from reconsent.web.settings import WEB_NAMES, WebSettings, web_settings

if TYPE_CHECKING:
    from collections.abc import Mapping


NAMES: Final = frozenset(
    {
        "DATABASE_URL", "MAIL_FROM", "MAIL_FROM_INFORMATION", "MAIL_URL",
        "RECONSENT_API_TOKEN", "RECONSENT_DELIVERY", "RECONSENT_HOME",
        "RECONSENT_MAILS_PER_SECOND", "RECONSENT_SECRET", "RECONSENT_SETTLE_AFTER",
        RETURN_PATH, *KAFKA_NAMES, *SENDGRID_NAMES, *WEB_NAMES,
    }
)  # fmt: skip
"""Every variable that is read."""

EXTRAS: Final = {
    "kafka": ("kafka", "crc32c"),
    "sendgrid": ("sendgrid",),
    "demo": ("httpx",),
}
"""The modules that each extra of pyproject.toml installs."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, with defaults that need nothing but the embedded database."""

    home: Path
    database_url: str | None
    mail_url: str = field(repr=False)  # may contain a password
    mail_from: str
    mail_from_information: str
    return_path: str | None
    sendgrid: SendGridSettings
    web: WebSettings
    secret: str
    api_token: str
    kafka: KafkaSettings | None
    delivery: Delivery
    settle_after: timedelta
    mails_per_second: float | None

    @property
    def public_url(self) -> str:
        """Where people reach the pages, without a slash at the end."""
        return self.web.public_url

    @property
    def contact(self) -> str:
        """The address that people can write to about privacy."""
        return parseaddr(self.mail_from)[1]

    @property
    def smtp(self) -> SmtpSettings | None:
        """The mail server; None if mail is not sent by SMTP."""
        return smtp_settings(self.mail_url) if _scheme(self.mail_url) in SCHEMES else None

    @property
    def mailbox(self) -> Path | None:
        """The folder of the local mailbox; None if mail goes to a provider."""
        if not self.mail_url.startswith("maildir:"):
            return None
        path = self.mail_url.removeprefix("maildir:")
        return Path(path) if path else self.home / "mail"


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. Raises BadInputError, which names the setting that is not valid."""
    home = Path(environ.get("RECONSENT_HOME") or platformdirs.user_data_path("reconsent"))
    home = home.expanduser().absolute()
    database_url = environ.get("DATABASE_URL") or None
    mail_url = _mail_url(environ.get("MAIL_URL") or "maildir:")
    sendgrid = sendgrid_settings(environ)
    if sendgrid.webhook_key:
        _require_extra("sendgrid", "SENDGRID_WEBHOOK_KEY")
    kafka = kafka_settings(environ)
    if kafka:
        _require_extra("kafka", BOOTSTRAP_SERVERS)
    mail_from = _sender(environ, "MAIL_FROM", "Privacy <privacy@localhost>")
    _check_database_url(database_url)
    return Settings(
        home=home,
        database_url=database_url,
        mail_url=mail_url,
        mail_from=mail_from,
        mail_from_information=_sender(environ, "MAIL_FROM_INFORMATION", mail_from),
        return_path=_return_path(environ.get(RETURN_PATH) or None),
        sendgrid=sendgrid,
        web=web_settings(environ),
        secret=_secret(environ, "RECONSENT_SECRET", home, required=database_url is not None),
        api_token=_secret(environ, "RECONSENT_API_TOKEN", home, required=database_url is not None),
        kafka=kafka,
        delivery=_delivery(environ.get("RECONSENT_DELIVERY") or "at_most_once"),
        settle_after=_settle_after(environ.get("RECONSENT_SETTLE_AFTER") or "P1D"),
        mails_per_second=_per_second(environ.get("RECONSENT_MAILS_PER_SECOND") or None),
    )


def unread(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Say which variables look like settings and are not, with the closest that is one."""
    return [
        f"{name}: no such setting{did_you_mean(name, NAMES)} (warning)"
        for name in sorted(set(environ) - NAMES)
        if name.startswith("RECONSENT_") or is_misspelt(name, NAMES)
    ]


def demo_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of the demo, which has a home of its own unless one is given."""
    _require_extra("demo", "reconsent demo")
    home = environ.get("RECONSENT_HOME") or str(platformdirs.user_data_path("reconsent") / "demo")
    return settings({**environ, "RECONSENT_HOME": home})


def _require_extra(extra: str, what: str) -> None:
    """Raise BadInputError, with the command to type, if an extra is not installed."""
    missing = [module for module in EXTRAS[extra] if find_spec(module) is None]
    if missing:
        raise BadInputError(
            f"{what}: needs {' and '.join(missing)}: pip install 'reconsent[{extra}]'"
        )


def _mail_url(text: str) -> str:
    scheme = _scheme(text)
    if scheme in SCHEMES:
        smtp_settings(text)
    elif scheme == "sendgrid":
        _require_extra("sendgrid", f"MAIL_URL={scheme}://")
    elif scheme != "maildir":
        known = "maildir:PATH, sendgrid://, smtp://HOST, smtps://HOST"
        message = f"MAIL_URL: {text.rsplit('@', 1)[-1]!r} is not one of {known}"
        raise BadInputError(message)
    return text


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError as error:
        raise BadInputError("MAIL_URL: is not a valid URL") from error


def _sender(environ: Mapping[str, str], name: str, default: str) -> str:
    text = environ.get(name) or default
    if not text.isprintable():
        raise BadInputError(
            f"{name}: {text!r} has characters that are not allowed in a mail header"
        )
    sender_parts(text, name)
    return text


def _return_path(text: str | None) -> str | None:
    return None if text is None else return_mailbox(text)


def _check_database_url(text: str | None) -> None:
    """Reject a URL of another database; a string of KEY=VALUE pairs is PostgreSQL's own."""
    scheme, separator, _ = (text or "").partition("://")
    if separator and "=" not in scheme and scheme.lower() not in {"postgres", "postgresql"}:
        raise BadInputError(
            f"DATABASE_URL: {scheme}:// is not PostgreSQL; write postgresql://USER:PASSWORD@HOST/NAME"
        )


def _delivery(text: str) -> Delivery:
    known: dict[str, Delivery] = {name: name for name in get_args(Delivery)}
    if text not in known:
        message = f"RECONSENT_DELIVERY: {text!r} is not one of {', '.join(known)}"
        raise BadInputError(message)
    return known[text]


def _settle_after(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        message = f"RECONSENT_SETTLE_AFTER: {text!r} is not a valid duration such as P1D or PT1H"
        raise BadInputError(message) from error


def _per_second(text: str | None) -> float | None:
    """Parse mails per second; None is no limit."""
    if text is None:
        return None
    try:
        pace = float(text)
    except ValueError:
        pace = 0.0
    if not 0 < pace < float("inf"):
        raise BadInputError(f"RECONSENT_MAILS_PER_SECOND: {text!r} is not a number greater than 0")
    return pace


def _secret(environ: Mapping[str, str], name: str, home: Path, *, required: bool) -> str:
    """Return a secret from the environment, or the one generated and stored in the home."""
    if given := environ.get(name):
        return given
    if required:
        message = f"{name}: is required when DATABASE_URL is set"
        raise BadInputError(message)
    try:
        return _stored_secret(home / "keys", name.removeprefix("RECONSENT_").lower())
    except OSError as error:
        raise OutsideError(f"RECONSENT_HOME: {home}: {error.strerror}") from error


def _stored_secret(keys: Path, name: str) -> str:
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = keys / name
    if not path.exists():
        draft = keys / f".{path.name}.{secrets.token_hex(8)}"
        draft.write_text(secrets.token_urlsafe(32), "utf-8")
        draft.chmod(0o600)
        try:
            path.hardlink_to(draft)  # if two processes start at once, one wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text("utf-8").strip()

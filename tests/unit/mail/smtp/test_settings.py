"""MAIL_URL for SMTP: options, defaults and mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconsent.config import settings
from reconsent.domain.errors import BadInputError
from reconsent.mail.smtp.settings import SmtpSettings, smtp_settings

if TYPE_CHECKING:
    from pathlib import Path

MAIL = "mail.example.com"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", SmtpSettings(host=MAIL, port=587, tls="required")),
        ("smtp://mail.example.com:25/", SmtpSettings(host=MAIL, port=25, tls="required")),
        ("smtps://mail.example.com", SmtpSettings(host=MAIL, port=465, tls="from_start")),
        (
            "smtp://ann%40example.com:p%3Ass@mail.example.com",
            SmtpSettings(
                host=MAIL, port=587, tls="required", user="ann@example.com", password="p:ss"
            ),
        ),
        (
            "smtp://ann:pass@localhost",
            SmtpSettings(host="localhost", port=25, tls="required", user="ann", password="pass"),
        ),
        ("smtp://localhost", SmtpSettings(host="localhost", port=25, tls="never")),
        ("smtp://127.0.0.3:2525", SmtpSettings(host="127.0.0.3", port=2525, tls="never")),
        ("smtp://[::1]:2525", SmtpSettings(host="::1", port=2525, tls="never")),
        ("smtp://10.1.2.3", SmtpSettings(host="10.1.2.3", port=587, tls="required")),
        (
            "smtp://m\u00e5l.example?starttls=when_offered&connections=12&name=out.example.com",
            SmtpSettings(
                host="xn--ml-yia.example",
                port=587,
                tls="when_offered",
                connections=12,
                name="out.example.com",
            ),
        ),
        ("smtp://relay?starttls=never", SmtpSettings(host="relay", port=587, tls="never")),
    ],
)
def test_a_url_gives_the_settings_of_a_server(url: str, expected: SmtpSettings) -> None:
    """TLS is required unless the server is on this machine or the URL says otherwise."""
    assert smtp_settings(url) == expected
    assert settings({"MAIL_URL": url, "RECONSENT_SECRET": "s", "RECONSENT_API_TOKEN": "t"}).smtp


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("smtp://", "has no valid host"),
        ("smtp://a b", "has no valid host"),
        ("smtp://mail..example", "has no valid host"),
        ("smtp://[::1", "is not a valid URL"),
        ("smtp://mail.example:port", "the port is not a number"),
        ("smtp://mail.example:0", "the port is not a number"),
        ("smtp://mail.example:65536", "the port is not a number"),
        ("smtp://mail.example/path", "something after HOST:PORT"),
        ("smtp://mail.example#there", "something after HOST:PORT"),
        ("smtp://ann@mail.example", "user and password belong together"),
        ("smtp://:secret@mail.example", "user and password belong together"),
        ("smtp://ann:sec%00ret@mail.example", "a character that is not allowed"),
        ("smtp://ann:secret@localhost?starttls=never", "never sent without TLS"),
        (
            "smtp://mail.example?starttls=yes",
            "starttls must be one of required, when_offered, never",
        ),
        ("smtps://mail.example?starttls=never", "starttls is for smtp://"),
        ("smtp://mail.example?connections=0", "connections must be a number from 1 to 50"),
        ("smtp://mail.example?connections=\u00b2", "connections must be a number from 1 to 50"),
        ("smtp://mail.example?connections=51", "connections must be a number from 1 to 50"),
        (
            "smtp://mail.example?tls=1",
            "'tls' is not an option; the options are starttls, connections, ",
        ),
        ("smtp://mail.example?name=a&name=b", "an option is listed twice"),
        ("smtp://mail.example?name=a%0d%0aRSET", "name: .* is not a valid domain name"),
        ("smtp://mail.example?ca_file=/nowhere.pem", "ca_file: '/nowhere.pem' is not a file"),
        (
            "lmtp://ann:secret@mail.example",
            "'mail.example' is not one of maildir:PATH, sendgrid://",
        ),
    ],
)
def test_an_invalid_url_is_reported(url: str, fault: str, tmp_path: Path) -> None:
    """The one-line error names the setting and does not contain the password."""
    with pytest.raises(BadInputError, match=rf"^MAIL_URL: .*{fault}") as caught:
        settings({"MAIL_URL": url, "RECONSENT_HOME": str(tmp_path)})
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_password_is_not_shown() -> None:
    """The repr of the settings does not contain the password."""
    url = "smtp://ann:opensesame@mail.example"
    read = settings({"MAIL_URL": url, "RECONSENT_SECRET": "s", "RECONSENT_API_TOKEN": "t"})
    assert "opensesame" not in repr(read)
    assert "opensesame" not in repr(read.smtp)

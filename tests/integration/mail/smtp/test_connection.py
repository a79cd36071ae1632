"""TLS, certificates and credentials of SMTP connections."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from reconsent.domain.errors import BadInputError, OutsideError
from reconsent.mail.smtp.provider import Smtp
from reconsent.mail.smtp.settings import smtp_settings
from tests.integration.smtp_sending import Clock, outcomes, reached, sending
from tests.mails import MAIL, people
from tests.stand_ins.smtp_server import HANG_UP, SILENCE, MailServer

if TYPE_CHECKING:
    from pathlib import Path

USER = {"ann@mail.example": "pass:w@rd/å"}
CREDENTIALS = "ann%40mail.example:pass%3Aw%40rd%2F%C3%A5"
WRONG = "ann%40mail.example:opensesame"


def certificate(folder: Path, name: str) -> Path:
    """Write a key and a self-signed certificate for a name into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def serving_tls(path: Path) -> ssl.SSLContext:
    """Return the TLS context of a server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    """Return a certificate that MAIL_URL trusts."""
    return certificate(tmp_path, "localhost")


@pytest.fixture
def options(trusted: Path) -> str:
    """Return the MAIL_URL options that trust it."""
    return f"connections=2&ca_file={trusted}"


@pytest.fixture
def server(trusted: Path) -> MailServer:
    """Return a server that offers STARTTLS, and AUTH after it."""
    return MailServer(tls=serving_tls(trusted), users=USER)


@pytest.mark.parametrize("from_start", [False, True], ids=["starttls", "smtps"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_credentials_and_mail_go_over_tls(
    server: MailServer, options: str, *, from_start: bool, mechanism: str
) -> None:
    """With user and password everything is encrypted, by STARTTLS or smtps."""
    server.tls_from_start = from_start
    server.mechanisms = (mechanism,)
    with sending(server, options, user=CREDENTIALS) as smtp:
        assert set(outcomes(smtp.send(MAIL, people(100)))) == {"accepted"}
        assert set(outcomes(smtp.send(MAIL, people(100)))) == {"accepted"}
    assert len(reached(server)) == 200
    assert {(taken.encrypted, taken.user) for taken in server.taken} == {(True, "ann@mail.example")}
    assert server.passwords == list(USER.values()) * 2


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_wrong_credentials_are_reported(server: MailServer, options: str, mechanism: str) -> None:
    """Nothing is sent; one line names the host, not the password; there are few attempts."""
    server.mechanisms = (mechanism,)
    with (
        sending(server, options, user=WRONG) as smtp,
        pytest.raises(
            OutsideError, match=r"MAIL_URL: localhost:\d+: rejects user and password.*535"
        ) as caught,
    ):
        smtp.send(MAIL, people(100))
    assert "opensesame" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert server.passwords == ["opensesame"]
    assert not server.taken


def test_credentials_never_go_in_clear(trusted: Path) -> None:
    """A server without TLS gets neither credentials nor mail, whatever the options."""
    server = MailServer(users=USER)
    for options in ("", "starttls=when_offered", "starttls=required", f"ca_file={trusted}"):
        with (
            sending(server, options, user=CREDENTIALS) as smtp,
            pytest.raises(OutsideError, match=r"localhost:\d+: does not offer STARTTLS"),
        ):
            smtp.send(MAIL, people(1))
    server = MailServer()
    with (
        sending(server, "starttls=required") as smtp,
        pytest.raises(OutsideError, match="not offer STAR"),
    ):
        smtp.send(MAIL, people(1))
    assert not server.passwords
    assert not server.taken


def test_a_server_without_auth_is_reported(trusted: Path, options: str) -> None:
    """With credentials set, no mail is sent without authentication."""
    server = MailServer(tls=serving_tls(trusted), mechanisms=())
    with (
        sending(server, options, user=CREDENTIALS) as smtp,
        pytest.raises(OutsideError, match="neither AUTH PLAIN nor AUTH LOGIN"),
    ):
        smtp.send(MAIL, people(1))


@pytest.mark.parametrize("from_start", [False, True], ids=["starttls", "smtps"])
def test_certificates_are_checked(tmp_path: Path, trusted: Path, *, from_start: bool) -> None:
    """A server with an untrusted certificate, or another host's, gets no credentials or mail."""
    other = certificate(tmp_path, "other.example")
    for shown, ca_file in ((trusted, None), (other, other)):
        server = MailServer(tls=serving_tls(shown), tls_from_start=from_start, users=USER)
        options = f"ca_file={ca_file}" if ca_file else ""
        with (
            sending(server, options, user=CREDENTIALS) as smtp,
            pytest.raises(OutsideError, match=r"localhost:\d+: its certificate is not trusted: \w"),
        ):
            smtp.send(MAIL, people(1))
        assert not server.passwords
        assert not server.taken


def test_tls_is_used_if_offered(server: MailServer, options: str) -> None:
    """Without credentials TLS may depend on the server, or be off."""
    for asked, encrypted in (("when_offered", True), ("required", True), ("never", False)):
        with sending(server, f"{options}&starttls={asked}") as smtp:
            smtp.send(MAIL, people(1))
        assert server.taken.pop().encrypted is encrypted
    plain = MailServer()
    with sending(plain, f"{options}&starttls=when_offered") as smtp:
        smtp.send(MAIL, people(1))
    assert plain.taken.pop().encrypted is False


def test_replies_injected_before_tls_are_refused(server: MailServer, options: str) -> None:
    """Plain text injected before the TLS handshake is not taken for a reply."""
    server.odd["STARTTLS"].append("220 2.0.0 Go ahead\r\n250-mail.test\r\n250 AUTH PLAIN")
    with (
        sending(server, options, user=CREDENTIALS) as smtp,
        pytest.raises(OutsideError, match="plain text"),
    ):
        smtp.send(MAIL, people(1))
    assert not server.passwords


@pytest.mark.parametrize("answer", ["454 4.7.0 Not now", HANG_UP, SILENCE, "220 Go"])
def test_a_failed_tls_handshake_is_reported(server: MailServer, options: str, answer: str) -> None:
    """Any failure before the mail is one line that names the host; nothing is lost."""
    server.odd["STARTTLS"].append(answer)
    with sending(server, options, user=CREDENTIALS) as smtp:
        with pytest.raises(OutsideError, match=r"MAIL_URL: localhost:\d+: ") as caught:
            smtp.send(MAIL, people(1))
        assert "\n" not in str(caught.value)
        assert not server.passwords
        assert outcomes(smtp.send(MAIL, people(1))) == ["accepted"]


@pytest.mark.parametrize("answer", ["554 5.3.2 No service", "421 4.7.0 Too many", HANG_UP, SILENCE])
def test_a_server_that_refuses_connections_is_reported(answer: str) -> None:
    """The line names the host and its reply; the next mail tries again."""
    server = MailServer()
    server.odd["CONNECT"].append(answer)
    reply = answer if answer[0].isdigit() else "the mail server"
    with sending(server) as smtp:
        with pytest.raises(OutsideError, match=rf"MAIL_URL: localhost:\d+: .*{reply}"):
            smtp.send(MAIL, people(1))
        assert outcomes(smtp.send(MAIL, people(1))) == ["accepted"]


def test_fewer_connections_than_configured_suffice() -> None:
    """A server that allows one connection gets all mail over that one."""
    server = MailServer()
    server.odd["CONNECT"].extend([None, "421 4.7.0 One at a time", HANG_UP, "421 4.7.0 I said"])
    with sending(server, "connections=4") as smtp:
        assert set(outcomes(smtp.send(MAIL, people(200)))) == {"accepted"}
    assert len(set(reached(server))) == len(server.taken) == 200


def test_an_unreachable_server_is_reported() -> None:
    """A refused connection and an unknown host are reported in one line."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        for host in (f"127.0.0.1:{port}", f"nothing.invalid:{port}"):
            smtp = Smtp(smtp_settings(f"smtp://{host}"), Clock())
            with pytest.raises(OutsideError, match=f"MAIL_URL: {host}: cannot be reached"):
                smtp.send(MAIL, people(2))
            smtp.close()


def test_a_file_without_certificates_is_reported(tmp_path: Path) -> None:
    """The message names the option, before anything is sent."""
    (tmp_path / "empty.pem").write_text("nothing")
    settings = smtp_settings(f"smtps://mail.example?ca_file={tmp_path}/empty.pem")
    with pytest.raises(BadInputError, match=r"MAIL_URL: ca_file: .*empty.pem.* no certificates"):
        Smtp(settings, Clock())

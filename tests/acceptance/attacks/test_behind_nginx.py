"""The example of a proxy in front: infra/nginx.conf, run by a real nginx."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.outside import World

_NAME: Final = "privacy.example.com"
_CONFIGURATION: Final = Path(__file__).parents[3] / "infra/nginx.conf"


def _nginx() -> str:
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")  # noqa: TID251 -- what the machine offers
    if found is None:
        missing = "found no nginx; on Debian: apt-get install nginx-light"
        if os.environ.get("REQUIRE_ALL") == "1":  # noqa: TID251 -- a setting of the tests
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A site that people reach by a name of its own, through a proxy on this machine."""
    made = World(tmp_path_factory.mktemp("world"))
    made.environment |= {
        "PUBLIC_URL": f"https://{_NAME}",
        "RECONSENT_TRUSTED_PROXIES": "127.0.0.1/32",
        "RECONSENT_HOSTS": "127.0.0.1",
    }
    return made


@pytest.fixture(scope="module")
def proxy(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Run nginx with the example in front of the pages; yield a client of it."""
    with world.serving(), _running(world, tmp_path_factory.mktemp("nginx")) as client:
        yield client


@contextmanager
def _running(world: World, folder: Path) -> Iterator[httpx.Client]:
    nginx = _nginx()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = _CONFIGURATION.read_text("utf-8")
    for example, here in (
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("server 127.0.0.1:8000;", f"server {urlsplit(world.url).netloc};"),
    ):
        assert example in text
        text = text.replace(example, here)
    folders = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {\n", f"http {{\n{folders}", 1)
    path = folder / "nginx.conf"
    path.write_text(f"daemon off;\npid {folder}/pid;\nerror_log {folder}/log;\n{text}", "utf-8")
    subprocess.run([nginx, "-t", "-q", "-p", folder, "-c", path], check=True)
    running = subprocess.Popen([nginx, "-p", folder, "-c", path])
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Host": _NAME}, trust_env=False
        ) as client:
            _wait(client, running)
            yield client
    finally:
        running.terminate()
        running.wait()


def _wait(client: httpx.Client, running: subprocess.Popen[bytes]) -> None:
    while running.poll() is None:
        try:
            client.get("/healthz")
        except httpx.TransportError:
            continue
        return
    pytest.fail("nginx did not start")


def test_pages_come_through(proxy: httpx.Client) -> None:
    """By the site's name; another one is refused."""
    assert proxy.get("/policies").status_code == 200
    assert proxy.get("/policies", headers={"Host": "evil.example"}).status_code == 400
    for path in ("/mailbox", "/metrics", "/readyz", "/openapi.json"):
        assert proxy.get(path).status_code == 403


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/u/x", 1_048_576), ("/v1/permissions", 16_777_216), ("/hooks/sendgrid", 8_388_608)],
)
def test_no_larger_body_comes_through(proxy: httpx.Client, path: str, limit: int) -> None:
    """The proxy refuses what is larger than the program reads anyway."""
    assert proxy.post(path, content=b"x" * (limit + 1)).status_code == 413
    assert proxy.post(path, content=b"x" * 1_000).status_code in {401, 404}

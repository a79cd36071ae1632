"""The wheel, installed and used without the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs import ROOT

# They build and install, and start a database: once, one after the other.
pytestmark = pytest.mark.slow

BESIDE = ("templates", "schemas", "examples")
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A virtual environment that has the wheel, and a folder far from the checkout."""

    wheel: Path
    bin: Path
    folder: Path

    def run(self, program: str, *arguments: str, home: str = "home") -> str:
        """Run a program of the environment; return what it prints, and expect it to succeed."""
        ended = subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.folder,
            env={"PATH": os.defpath, "RECONSENT_HOME": str(self.folder / home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    @property
    def examples(self) -> Path:
        """The examples that came with the wheel."""
        printed = self.run("python", "-c", "import reconsent.examples as e; print(e.__path__[0])")
        return Path(printed.strip())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Build the wheel from a copy, and install it beside this environment's dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("services", *BESIDE):
        leave = shutil.ignore_patterns("*.egg-info")
        shutil.copytree(ROOT / name, source / name, ignore=leave)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    offline = ("--no-deps", "--no-index")
    build = ("wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    subprocess.run([*PIP, *build], check=True)
    shutil.rmtree(source)
    [wheel] = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run([*PIP, "--python", python, "install", *offline, wheel], check=True)
    # The dependencies come from here. What this environment has of the checkout is in .pth files,
    # which are read in the folders of an environment only.
    [packages] = (folder / "env").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    made = Installed(wheel=wheel, bin=python.parent, folder=folder / "elsewhere")
    made.folder.mkdir()
    yield made
    shutil.rmtree(folder)


def test_the_wheel_has_what_the_program_needs(installed: Installed) -> None:
    """Each file of the program is in it, and no test and nothing compiled."""
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = {ROOT / "services" / "reconsent": "reconsent"}
    sources |= {ROOT / name: f"reconsent/{name}" for name in BESIDE}
    wanted = {
        f"{into}/{path.relative_to(source).as_posix()}"
        for source, into in sources.items()
        for path in source.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert names == wanted
    assert "reconsent/py.typed" in names


def test_it_is_not_the_checkout_that_runs(installed: Installed) -> None:
    """The package is loaded from the new environment."""
    place = installed.run("python", "-c", "import reconsent; print(reconsent.__file__)")
    assert Path(place.strip()).is_relative_to(installed.bin.parent)


def test_both_ways_to_call_it_are_the_same_program(installed: Installed) -> None:
    """`reconsent` and `python -m reconsent` are the same program."""
    version = installed.run("reconsent", "--version")
    assert version.startswith("reconsent, version ")
    assert installed.run("python", "-m", "reconsent", "--version") == version


def test_a_policy_is_published_people_are_imported_and_data_is_asked_for(
    installed: Installed,
) -> None:
    """Migrate, check, publish, import and permit work on the embedded database."""
    assert "applied 0001_facts_and_notices" in installed.run("reconsent", "migrate")
    examples = installed.examples
    installed.run("reconsent", "policy", "check", str(examples / "campaigner" / "2014-03.yaml"))
    for version in ("2014-03", "2017-06"):
        file = examples / "campaigner" / f"{version}.yaml"
        installed.run("reconsent", "policy", "publish", str(file))
    for topic in ("accounts", "collections"):
        file = examples / "people" / f"{topic}.ndjson"
        told = installed.run("reconsent", "import", topic, str(file), "--json")
        assert json.loads(told)["new"] > 0
    told = installed.run(
        "reconsent", "permit", "ann", "--property=campaigner.example", "--json",
        "--category=user.contact.email", "--collected-under=2014-03",
        "--use=essential.service.support",
    )  # fmt: skip
    assert json.loads(told)["reason"] == "declared"


def test_the_demo_runs(installed: Installed) -> None:
    """The templates, the translations and the pages are all there."""
    told = installed.run("reconsent", "demo", "--once", "--accounts", "200", home="demo")
    assert "allowed" in told

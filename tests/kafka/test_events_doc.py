"""docs/events.md works as printed, with kcat, an independent client."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconsent.bus.kafka.settings import KafkaSettings

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
TOLD_ANEW = {"notice", "recorded_at"}
"""Fields whose values are different each time."""


@pytest.mark.usefixtures("kcat")
def test_the_page_works_as_printed(settings: KafkaSettings, tmp_path: Path) -> None:
    """Each block of commands succeeds, and prints the output shown beneath it."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    environment = os.environ | {  # noqa: TID251 -- the commands run in it
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # noqa: TID251
        "KAFKA_BOOTSTRAP_SERVERS": ",".join(settings.bootstrap_servers),
        "RECONSENT_TOPIC_PREFIX": settings.topic_prefix,
        "RECONSENT_HOME": str(tmp_path / "home"),
    }
    printed = ""
    for language, block in blocks:
        if language == "sh":
            ran = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, f"{block}\n{ran.stdout}\n{ran.stderr}"
            printed = ran.stdout
        elif language == "json":
            assert _fixed(json.loads(printed.splitlines()[-1])) == _fixed(json.loads(block)), block
        else:
            assert printed == block


def _fixed(document: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if value is None or name not in TOLD_ANEW else "…"
        for name, value in document.items()
    }

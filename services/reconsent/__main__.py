"""`python -m reconsent`."""

from __future__ import annotations

from reconsent.cli.main import main

main()

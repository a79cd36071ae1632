"""The services that run beside one another; none imports another."""

from __future__ import annotations

from typing import Final

WORKERS: Final = ("intake", "planner", "dispatcher", "scheduler", "relay")
"""The names of all services but the web, in the order in which they feed one another."""

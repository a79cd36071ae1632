"""Errors, by what the caller should do about them.

Invalid input is never retried. A refusal by the rules is a result, not a fault. What failed
outside of reconsent is safe to retry.
"""

from __future__ import annotations


class ReconsentError(Exception):
    """Any fault that reconsent reports in one line."""

    exit_code = 3


class BadInputError(ReconsentError):
    """Invalid input: names the place (file, line, field); nothing was changed."""

    exit_code = 2


class RefusedError(ReconsentError):
    """Well-formed input that the rules reject."""

    exit_code = 2


class OutsideError(ReconsentError):
    """Something outside failed (database, bus, mail provider); it is safe to retry."""

    exit_code = 3


class StoppedError(OutsideError):
    """Retrying will not help until somebody intervenes."""

"""What can go wrong, by what the caller should do about it.

Input that is wrong is never retried; a rule that says no is an answer, not a fault; what
failed outside of reconsent is safe to try again.
"""

from __future__ import annotations


class ReconsentError(Exception):
    """Any fault that reconsent reports in one line."""

    exit_code = 3


class BadInputError(ReconsentError):
    """Input that cannot be understood: names the place (file, line, field) and changes nothing."""

    exit_code = 2


class RefusedError(ReconsentError):
    """Well-formed input that the rules do not admit."""

    exit_code = 2


class OutsideError(ReconsentError):
    """Something outside failed (database, bus, mail provider); running it again is safe."""

    exit_code = 3


class StoppedError(OutsideError):
    """Nothing goes on until somebody has seen to it: a service that meets this ends."""

"""What every service is: a part that works in small steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconsent.domain.errors import StoppedError


class Service(ABC):
    """Works in steps, each of them complete in itself."""

    name: str

    @abstractmethod
    def work(self) -> bool:
        """Do one step; False where there was nothing to do."""

    def idle(self) -> bool:
        """Tell whether nothing is left, not even in a transaction that is about to commit.

        Only asked after `work` found nothing, which is enough for most.
        """
        return True

    def obstacle(self) -> StoppedError | None:
        """Return why something that is there to do waits for somebody to intervene.

        Only asked after `work` found nothing. None where nothing waits.
        """
        return None

    def close(self) -> None:  # noqa: B027 (most services hold nothing between steps)
        """Give back what is held between steps; the next step takes it again."""

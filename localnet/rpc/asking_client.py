"""The client of a request, whose queries are cancelled when it disconnects.

A transport sets `ASKING_CLIENT` when it starts to process a request, and marks the client as gone when the connection
closes. Only queries are cancelled; a submitted change of the chain is completed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final


class AskingClient:
    """The client of one request or batch. Used on the event loop's thread."""

    def __init__(self) -> None:
        self.gone = False
        self.give_up: Callable[[], None] | None = None
        """Gives up the question that is being answered; one at a time is."""

    def leave(self) -> None:
        """Handle the client's disconnection."""
        self.gone = True
        if self.give_up is not None:
            self.give_up()


ASKING_CLIENT: Final[ContextVar[AskingClient | None]] = ContextVar("asking_client", default=None)

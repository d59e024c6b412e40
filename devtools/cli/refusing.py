"""A group of commands whose errors end with status 2 where the input is malformed, with 1 where something failed.

What an error quotes may be a stranger's words (an actor's, a server's): they are shown so that no terminal obeys them.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import typer
from typer.core import TyperGroup

_MOST_SHOWN: Final = 4000


class Refusing(TyperGroup):
    """`typer.Typer(cls=Refusing)`: an expected error becomes one sentence and its status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was chosen."""
        from bridge.printable import printable
        from hypervisor.errors import HypervisorError, InvalidInput

        try:
            return super().invoke(ctx)
        except HypervisorError as error:
            sys.stderr.write(f"error: {printable(str(error), _MOST_SHOWN)}\n")
            raise typer.Exit(2 if isinstance(error, InvalidInput) else 1) from None

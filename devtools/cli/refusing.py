"""A group of commands that ends with status 2 where its input is malformed, apart from what fails with status 1."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup


class Refusing(TyperGroup):
    """`typer.Typer(cls=Refusing)`: InvalidInput becomes one sentence and status 2; other errors stay as they are."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was chosen."""
        from hypervisor.errors import InvalidInput

        try:
            return super().invoke(ctx)
        except InvalidInput as error:
            sys.stderr.write(f"error: {error}\n")
            raise typer.Exit(2) from None

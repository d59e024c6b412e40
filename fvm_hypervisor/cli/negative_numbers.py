"""Command class for function arguments, which explains how to pass a negative number."""

from __future__ import annotations

import re
from typing import Any, Final

from typer.core import TyperCommand

_NEGATIVE: Final = re.compile(r"-[0-9]")


class ArgumentsCommand(TyperCommand):
    """A command whose errors explain how to pass a negative number."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with typer. Raises InvalidInput for a negative number mistaken for an option."""
        from hypervisor.errors import InvalidInput

        before, negative = list(args), next((each for each in args if _NEGATIVE.match(each)), "")
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if negative and "--" not in before and _NEGATIVE.match(getattr(error, "option_name", None) or ""):
                raise InvalidInput(
                    f"{negative} looks like an option: put options first, then -- and the arguments, as in "
                    f"hypervisor {ctx.info_name} ... -- {negative}"
                ) from None
            raise

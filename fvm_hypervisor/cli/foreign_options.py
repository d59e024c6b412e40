"""Unsupported options of another program. Each is rejected with the reason or a replacement."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, Final

from typer.core import TyperCommand

_ALIKE: Final = 0.9
"""Minimum similarity to another program's option name; typer suggests own names from 0.6 on."""


class ForeignOptions(TyperCommand):
    """A command that recognises another program's options."""

    origin: ClassVar[str]
    here: ClassVar[str]
    reasons: ClassVar[Mapping[str, str]]
    own: ClassVar[Mapping[str, str]] = {}
    """Replacements for options that other commands of this program have."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with typer. Raises InvalidInput for an unsupported option of the other program, or a misspelled one."""
        from hypervisor.errors import InvalidInput

        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            name = getattr(error, "option_name", None) or ""
            if name in self.own:
                raise InvalidInput(f"there is no option {name} here: {self.own[name]}") from None
            known = [option for parameter in self.params for option in parameter.opts]
            (near,) = get_close_matches(name, [*known, *self.reasons], 1, _ALIKE) or ("",)
            if near not in self.reasons:
                raise
            subject = name if name == near else f"there is no option {name}; {near}"
            text = f"{subject} is an option of {self.origin} that {self.here} does not have: {self.reasons[near]}"
            raise InvalidInput(text) from None

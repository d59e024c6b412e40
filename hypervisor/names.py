"""Names of rules, EVM engines and network versions, for commands that check their options without a machine."""

from typing import Final

from hypervisor.installed import entry_points_of

ENTRY_POINT_GROUP: Final = "hypervisor.rules"
FILECOIN: Final = "filecoin"
"""Name of the machine's default set of rules."""
AUTO: Final = "auto"
"""Engine name for the default: the official EVM on its bundles, otherwise `OWN_EVM`."""
OWN_EVM: Final = "fast"
"""Default engine among this project's own."""
OFFICIAL_EVM: Final = "official"
"""Engine name for the EVM actor of an official bundle, which runs as a native actor."""

_MAX_DIGITS: Final = 6
"""Maximum number of digits of a network version."""


def parse_version(text: str) -> int | None:
    """Return the number of a network version, `nv29` or `29`; None for another text. The version may not exist."""
    digits = text.removeprefix("nv")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS else None


def rule_names() -> tuple[str, ...]:
    """Return the names of the installed sets of rules, the built-in one first."""
    return tuple(sorted(entry_points_of(group=ENTRY_POINT_GROUP).names, key=lambda name: (name != FILECOIN, name)))

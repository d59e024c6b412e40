"""Selection of a profile of `foundry.toml`, and its values merged with the default profile and sections."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fvm_hypervisor.soltest.toml_table import Table
from hypervisor.errors import InvalidInput

DEFAULT: Final = "default"
_SECTIONS: Final = ("fuzz", "invariant", "mutation", "rpc_endpoints", "precompiles")
_CAMEL_CASE_BOUNDARY: Final = re.compile("(?<=[a-z0-9])(?=[A-Z])")


def select_profile(content: Table, option: str | None, variable: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the profile's name, and a warning if FOUNDRY_PROFILE names a profile that does not exist.

    `option` is the value of an option, `variable` that of FOUNDRY_PROFILE; case is ignored. Raises InvalidInput if the
    option names no profile.
    """
    wanted = variable if option is None else option
    if wanted is None or wanted.lower() == DEFAULT:
        return DEFAULT, ()
    found = next((name for name in content.table("profile") if name.lower() == wanted.lower()), None)
    if found is not None:
        return found, ()
    if option is not None:
        raise InvalidInput(f"there is no profile '{option}'")
    return DEFAULT, (f"warning: FOUNDRY_PROFILE: there is no profile '{wanted:.80}': the default one is used",)


def merge_profile(content: Table, name: str, *, falls_back: bool = True) -> dict[str, Any]:
    """Return a profile, completed by sections of the file and by the default profile.

    As in forge, sections have lower precedence than the default profile if that is the chosen one, and with
    `falls_back` `[invariant]` inherits missing keys from `[fuzz]`. Keys of a profile, but not of its tables, may be in
    kebab or camel case (`via-ir`, `viaIr`); the snake case form takes precedence.
    """
    profiles = content.table("profile")
    sections: dict[str, Any] = {section: content.values(section) for section in _SECTIONS}
    if falls_back:
        sections["invariant"] = sections["fuzz"] | sections["invariant"]
    default = profiles.values(DEFAULT)
    layers = (sections, default) if name == DEFAULT else (default, sections, profiles.values(name))
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in _in_snake_case(layer):
            old = merged.get(key)
            merged[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _in_snake_case(layer: Mapping[str, Any]) -> list[tuple[str, Any]]:
    rows = [
        (_CAMEL_CASE_BOUNDARY.sub("_", name.replace("-", "_")).lower(), name, value) for name, value in layer.items()
    ]
    return [(key, value) for key, name, value in sorted(rows, key=lambda row: row[0] == row[1])]

"""Fixtures: values that a test contract names for a parameter, by `fixtureAmount()` or an array `fixture_amount`.

Rules: the Foundry book on fuzz test fixtures. A function answers with an array; a public array is asked by its indices.
Each is asked before every fuzz and invariant test, in the state after `setUp`; the caller reverts what it changes.
"""

from __future__ import annotations

from typing import Any, Final

from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.values import decode, encode
from fvm_hypervisor.soltest.discovery import type_of
from fvm_hypervisor.soltest.stage import SuiteStage, selector
from fvm_hypervisor.soltest.values import parameter_key

_BEGIN: Final = "fixture"
_MOST: Final = 1024
"""Values of a parameter that are looked at."""


def find_fixtures(stage: SuiteStage) -> dict[str, list[Any]]:
    """Values by parameter (`parameter_key`); what reverts or is no list names none."""
    found: dict[str, list[Any]] = {}
    for entry in stage.artifact.abi:
        name = str(entry.get("name", ""))
        if entry.get("type") != "function" or not name.startswith(_BEGIN) or len(entry["outputs"]) != 1:
            continue
        kind, inputs = type_of(entry["outputs"][0]), [type_of(part) for part in entry["inputs"]]
        if inputs == ["uint256"]:
            values = _elements(stage, name, kind)
        elif not inputs and kind.endswith("]"):
            values = _list(stage, name, kind)
            kind = kind[: kind.rindex("[")]
        else:
            continue
        if values:
            found[parameter_key(name.removeprefix(_BEGIN), kind)] = values[:_MOST]
    return found


def _list(stage: SuiteStage, name: str, kind: str) -> list[Any]:
    values = _ask(stage, selector(f"{name}()"), kind)
    return values if isinstance(values, list) else []


def _elements(stage: SuiteStage, name: str, kind: str) -> list[Any]:
    values: list[Any] = []
    while len(values) < _MOST:
        value = _ask(stage, selector(f"{name}(uint256)") + encode(["uint256"], [len(values)]), kind)
        if value is None:
            break
        values.append(value)
    return values


def _ask(stage: SuiteStage, data: bytes, kind: str) -> Any:
    outcome = stage.call(data)
    try:
        return decode([kind], outcome.output)[0] if outcome.success else None
    except CheatcodeFailure:
        return None

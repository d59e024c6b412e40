"""Fixtures: values for a parameter from a test contract's `fixtureAmount()` or its array `fixture_amount`.

Rules: the Foundry book on fuzz test fixtures. A function returns an array; a public array is read by index. Fixtures
are read before every fuzz, invariant and table test, in the state after `setUp`; the caller reverts their changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.cheatcodes.values import decode, encode
from hypervisor_tools.soltest.execution.discovery import type_of
from hypervisor_tools.soltest.execution.stage import SuiteStage
from hypervisor_tools.soltest.execution.values import fixture_name, parameter_key

_PREFIX: Final = "fixture"
_MAX_VALUES: Final = 1024
"""Maximum number of values of a parameter that fuzz and invariant tests use."""
MAX_ROWS: Final = 1 << 16
"""Maximum number of values read from a fixture. forge has no maximum, and hangs on an array that never ends."""


class Fixture(NamedTuple):
    """Values for the parameters with one name, and their type."""

    type: str
    values: list[Any]


def find_fixtures(stage: SuiteStage) -> dict[str, list[bytes]]:
    """Return the values for fuzz and invariant tests, encoded, by `parameter_key`."""
    found = fixtures_by_name(stage, _MAX_VALUES)
    return {
        parameter_key(name, fixture.type): [encode([fixture.type], [value]) for value in fixture.values[:_MAX_VALUES]]
        for name, fixture in found.items()
        if fixture.values
    }


def unused_fixtures(fixtures: Mapping[str, object], functions: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return a notice for each fixture, by `parameter_key`, whose type no parameter with its name has."""
    types: dict[str, set[str]] = {}
    for entry in (entry for function in functions for entry in function["inputs"]):
        types.setdefault(fixture_name(str(entry.get("name", ""))), set()).add(type_of(entry))
    named = (key.split(":", 1) for key in fixtures)
    return tuple([
        f"the fixtures of {name} are not used: their type is {kind}, the parameter's {', '.join(sorted(types[name]))}; "
        "declare them with the parameter's type"
        for name, kind in named
        if kind not in types.get(name, {kind})
    ])  # fmt: skip


def fixtures_by_name(stage: SuiteStage, limit: int = MAX_ROWS) -> dict[str, Fixture]:
    """Return fixtures by `fixture_name`, with at most `limit` values read by index.

    A function that reverts, or does not return an array, is not a fixture.
    """
    found: dict[str, Fixture] = {}
    for entry in stage.artifact.abi:
        name = str(entry.get("name", ""))
        if entry.get("type") != "function" or not name.startswith(_PREFIX) or len(entry["outputs"]) != 1:
            continue
        kind, inputs = type_of(entry["outputs"][0]), [type_of(part) for part in entry["inputs"]]
        if inputs == ["uint256"]:
            values = _elements(stage, name, kind, limit)
        elif not inputs and kind.endswith("]"):
            answer = _read_fixture(stage, selector(f"{name}()"), kind)
            if answer is None:
                continue
            values = list(answer)
            kind = kind[: kind.rindex("[")]
        else:
            continue
        found[fixture_name(name.removeprefix(_PREFIX))] = Fixture(kind, values)
    return found


def _elements(stage: SuiteStage, name: str, kind: str, limit: int) -> list[Any]:
    values: list[Any] = []
    while len(values) < limit:
        value = _read_fixture(stage, selector(f"{name}(uint256)") + encode(["uint256"], [len(values)]), kind)
        if value is None:
            break
        values.append(value)
    return values


def _read_fixture(stage: SuiteStage, data: bytes, kind: str) -> Any:
    outcome = stage.call(data)
    try:
        return decode([kind], outcome.output)[0] if outcome.success else None
    except CheatcodeFailure:
        return None

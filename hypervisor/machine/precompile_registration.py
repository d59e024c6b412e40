"""Registration of precompiles: discovery in installed packages, and installation on a machine.

A package registers a `Precompile` by name under the entry-point group `hypervisor.precompiles`. It is imported only
when requested by that name, which project files cannot do (docs/security.md). The EVM runtime validates addresses,
names and modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol, cast

from hypervisor.errors import InvalidInput
from hypervisor.installation import INSTALL_AGAIN, entry_points_of
from hypervisor.machine.machine_state import MachineState
from hypervisor.precompiles import Precompile, PrecompileTable

ENTRY_POINT_GROUP = "hypervisor.precompiles"


class PrecompileRuntime(Protocol):
    """A runtime of contracts that supports user-defined precompiles."""

    def accept_precompiles(self, rows: Sequence[Precompile]) -> PrecompileTable:
        """Return a table of the precompiles, ready to run.

        Raises InvalidInput for a reserved or duplicate address or name, and InvalidModule.
        """


def precompile_names() -> tuple[str, ...]:
    """Return the names of the installed precompiles."""
    return tuple(sorted(entry_points_of(group=ENTRY_POINT_GROUP).names))


def installed_precompile(name: str) -> Precompile:
    """Return the precompile that a package registers under a name. Raises InvalidInput."""
    for entry_point in entry_points_of(group=ENTRY_POINT_GROUP).select(name=name):
        try:
            found = entry_point.load()
        except (ImportError, AttributeError) as error:
            raise InvalidInput(
                f"precompile '{name}' is registered as {entry_point.value}, which cannot be loaded: {error}"
            ) from None
        if isinstance(found, Precompile):
            return found
        raise InvalidInput(
            f"precompile '{name}' is registered as {entry_point.value}, which is not a Precompile: {INSTALL_AGAIN}"
        )
    known = precompile_names()
    choices = f"expected one of {', '.join(known)}" if known else f"no package registers any in '{ENTRY_POINT_GROUP}'"
    raise InvalidInput(f"precompile '{name:.80}' is not installed: {choices}")


def register_precompiles(machine: MachineState, chosen: Iterable[Precompile | str]) -> None:
    """Replace the precompiles of a machine and its future forks.

    A string is the name of an installed one. Raises InvalidInput, with the machine unchanged.
    """
    rows = [installed_precompile(row) if isinstance(row, str) else row for row in chosen]
    if not rows:
        machine.context = replace(machine.context, precompiles=None)
        return
    for row in rows:
        if not isinstance(row, Precompile):
            raise InvalidInput(f"{row!r:.80} is not a precompile: expected a Precompile, or an installed one's name")
    runtime = machine.registry.runtime_for(machine.manifest.code("evm"))[1]
    if not hasattr(type(runtime), "accept_precompiles"):
        raise InvalidInput("the official EVM actor does not support user-defined precompiles; choose another evm")
    table = cast(PrecompileRuntime, runtime).accept_precompiles(rows)
    machine.context = replace(machine.context, precompiles=table)

"""Registering precompiles: which packages bring some, and putting chosen ones on a machine.

A package registers one under the entry-point group `hypervisor.precompiles`: a name, and a `Precompile`. Nothing of it
is imported until it is asked for by that name, which a project's files cannot (docs/security.md). The machine's EVM
runtime checks what only it can know: which addresses and names are taken, and whether a module is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol, cast

from hypervisor.errors import InvalidInput
from hypervisor.installed import INSTALL_AGAIN, registered
from hypervisor.machine_state import MachineState
from hypervisor.precompiles import Precompile, PrecompileTable

ENTRY_POINT_GROUP = "hypervisor.precompiles"


class PrecompileRuntime(Protocol):
    """A runtime of contracts that takes users' precompiles."""

    def accept_precompiles(self, rows: Sequence[Precompile]) -> PrecompileTable:
        """The table of them, ready to run. Raises InvalidInput for a taken address or name, InvalidModule."""


def precompile_names() -> tuple[str, ...]:
    """The names of the precompiles that are installed."""
    return tuple(sorted(registered(group=ENTRY_POINT_GROUP).names))


def installed_precompile(name: str) -> Precompile:
    """The precompile that a package registers under a name; InvalidInput lists those that are installed."""
    for entry_point in registered(group=ENTRY_POINT_GROUP).select(name=name):
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
    choices = f"choose of {', '.join(known)}" if known else f"no package registers one under '{ENTRY_POINT_GROUP}'"
    raise InvalidInput(f"precompile '{name:.80}' is not installed: {choices}")


def register_precompiles(machine: MachineState, chosen: Iterable[Precompile | str]) -> None:
    """Let contracts on a machine, and on those that are forked from it, call precompiles: these, and no others.

    A text is the name of one that is installed. Raises InvalidInput, with the machine as it was.
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
        raise InvalidInput(
            "precompiles are for this project's own EVM: the official EVM actor knows its own only; choose another evm"
        )
    table = cast(PrecompileRuntime, runtime).accept_precompiles(rows)
    machine.context = replace(machine.context, precompiles=table)

"""The interfaces of the contracts that a trace's calls reach, by the code that runs there and a compiler's output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.addresses import eth_address, to_filecoin
from bridge.cbor import ParamsError
from bridge.interfaces import Interface
from hypervisor.address import Address
from hypervisor.machine import Hypervisor
from localnet.contracts.artifacts import ArtifactFolders
from localnet.contracts.native_actor import stored_interface
from localnet.state.contract_state import code_that_runs
from localnet.traces.trace_words import NamedInterface
from store.blockstore import BlockNotFound


def called_interfaces(
    machine: Hypervisor, artifacts: ArtifactFolders, calls: Sequence[Mapping[str, Any]]
) -> list[NamedInterface]:
    """The interfaces of the contracts that are called, by their code, and after them all that are known."""
    rest = [NamedInterface("contract", found.interface) for found in artifacts.contracts()]
    every, own = list(calls), dict[tuple[str, str], NamedInterface]()
    for call in every:
        every.extend(call["calls"])
        address = call["address"]
        if rest and call["actor"] == "evm" and address is not None:
            compiled = artifacts.running(_code(machine, call))
            if compiled is not None:
                own[address, compiled.name] = NamedInterface(compiled.name, compiled.interface, address)
    return [*own.values(), *rest]


def called_schemas(machine: Hypervisor, calls: Sequence[Mapping[str, Any]]) -> dict[str, Interface]:
    """The interfaces of the users' native actors that are called, as they were installed, by their ID addresses."""
    every, found = list(calls), dict[str, Interface]()
    for call in every:
        every.extend(call["calls"])
        if call["actor"] == "actor" and call["to"] not in found:
            state = machine.actor(Address.parse(call["to"]))
            known = None if state is None else stored_interface(machine.base, state.code)
            if known is not None:
                found[call["to"]] = known
    return found


def _code(machine: Hypervisor, call: Mapping[str, Any]) -> bytes:
    address = to_filecoin(eth_address(bytes.fromhex(call["address"][2:])))
    try:
        return code_that_runs(machine, address, call["method"], bytes.fromhex(call["params"][2:]))
    except (ParamsError, BlockNotFound):
        return b""

"""The interfaces of the contracts that a trace's calls reach, by the code that runs there and a compiler's output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.ethereum.addresses import eth_address, to_filecoin
from bridge.filecoin.cbor import ParamsError
from hypervisor.machine.machine import Hypervisor
from localnet.contracts.artifacts import ArtifactFolders
from localnet.contracts.named_interface import NamedInterface
from localnet.state.contract_state import code_that_runs
from store.blockstore import BlockNotFound


def called_interfaces(
    machine: Hypervisor, artifacts: ArtifactFolders, calls: Sequence[Mapping[str, Any]]
) -> list[NamedInterface]:
    """Return the interfaces of the called contracts, by their code, followed by all known ones."""
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


def _code(machine: Hypervisor, call: Mapping[str, Any]) -> bytes:
    address = to_filecoin(eth_address(bytes.fromhex(call["address"][2:])))
    try:
        return code_that_runs(machine, address, call["method"], bytes.fromhex(call["params"][2:]))
    except (ParamsError, BlockNotFound):
        return b""

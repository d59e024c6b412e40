"""Methods that register contracts' interfaces and artifacts with the node, and return source positions of calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.ethereum.addresses import EthAddress
from localnet.rpc.errors import invalid_params
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.values import address, any_value, hash32, text
from localnet.traces.call_places import InstructionPlaces, call_places


def add_abi(node: Node, contract: Any, at: EthAddress | None = None, name: str | None = None) -> bool:
    """Register an ABI (a list, or compiler JSON) for decoding calls, of one contract or of all contracts."""
    abi = contract.get("abi") if isinstance(contract, Mapping) else contract
    if not isinstance(abi, list):
        raise invalid_params("contract: expected an ABI's list, or an object with the field abi")
    known = contract.get("contractName") if isinstance(contract, Mapping) else None
    node.network.add_interface(abi, name or (known if isinstance(known, str) else None) or "contract", at)
    return True


def trace_places(node: NodeReader, transaction_hash: bytes) -> Any:
    """Return the positions of a transaction's calls by program counter.

    The result is null if the re-execution takes too long, and for a reward or cron.
    """
    receipt = node.network.executed(transaction_hash)
    return None if receipt.is_implicit else call_places(node.network.chain, receipt, InstructionPlaces())


METHODS = (
    Method("hypervisor_addAbi", (any_value, optional(address), optional(text)), add_abi),
    Method("hypervisor_tracePlaces", (hash32,), trace_places, reads=True, traces=True),
)

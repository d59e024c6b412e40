"""Telling the node what its contracts are: their interfaces, for call trees with names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.addresses import EthAddress
from localnet.rpc.errors import invalid_params
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node
from localnet.rpc.values import address, anything, text


def add_abi(node: Node, contract: Any, at: EthAddress | None = None, name: str | None = None) -> bool:
    """Let call trees know an ABI (a list, or a compiler's JSON that has it): one contract's, or any contract's."""
    abi = contract.get("abi") if isinstance(contract, Mapping) else contract
    if not isinstance(abi, list):
        raise invalid_params("contract: expected an ABI's list, or an object with the field abi")
    known = contract.get("contractName") if isinstance(contract, Mapping) else None
    node.network.add_interface(abi, name or (known if isinstance(known, str) else None) or "contract", at)
    return True


METHODS = (Method("hypervisor_addAbi", (anything, optional(address), optional(text)), add_abi),)

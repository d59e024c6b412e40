"""Creation code of a deployed contract, from the transaction that created it, and its constructor arguments.

Responses of the node are untrusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from bridge.ethereum.addresses import EthAddress, create2_address, eth_address
from hypervisor.errors import HypervisorError
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.state import CREATE2_DEPLOYER
from hypervisor_tools.soltest.cheatcodes.values import decode, encode
from hypervisor_tools.soltest.execution.values import types
from localnet.fork.node_client import NodeError

if TYPE_CHECKING:
    from localnet.fork.node_client import NodeClient

HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")
"""Hash of a transaction in hex."""
_TRACE: Final = {"tracer": "callTracer"}
_CREATIONS: Final = ("CREATE", "CREATE2")


class NoCreationCode(HypervisorError):
    """Raised with the reason if the creation code of a contract is not found."""


class CreationCode:
    """Search for the creation code of the contract at an address (`0x` and hex) on a node."""

    def __init__(self, node: NodeClient, address: str) -> None:
        self._node, self._address = node, address

    def find(self, recorded: Iterable[str] = ()) -> tuple[str, bytes] | None:
        """Return the hash of the creation transaction and the init code; None if the transaction is unknown.

        Requests `ots_getContractCreator` first, which nodes with an index of creations support, and then tries the
        `recorded` hashes, which may belong to an earlier chain. Raises NodeError, and NoCreationCode for the first
        failure.
        """
        known = self.hash_from_node()
        failures = []
        for name in dict.fromkeys([*([] if known is None else [known]), *recorded]):
            try:
                return name, self.of_transaction(name)
            except NoCreationCode as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return None

    def of_transaction(self, name: str) -> bytes:
        """Return the init code with which a transaction created the contract, itself or in a call.

        Raises NodeError, and NoCreationCode if the transaction did not create it.
        """
        sent = self._node.read(_transaction, "eth_getTransactionByHash", name)
        if sent is None:
            raise NoCreationCode(f"the node has no transaction {name}")
        to, data = sent
        made = eth_address(bytes.fromhex(self._address[2:]))
        if to is None:
            if self._node.read(_created_address, "eth_getTransactionReceipt", name) == made:
                return data
        elif to == CREATE2_DEPLOYER and create2_address(to, data[:32], data[32:]) == made:
            return data[32:]
        traced = self._traced_init_code(name, made)
        if traced is None:
            raise NoCreationCode(
                f"transaction {name} created a contract other than {self._address}"
                if to is None
                else f"{self._address} was created by a contract that transaction {name} calls, and the node has no "
                "trace of it, so its creation code is unknown"
            )
        return traced

    def hash_from_node(self) -> str | None:
        """Return the hash of the creation transaction if the node indexes creations, else None. Raises NodeError."""
        try:
            found = self._node.request("ots_getContractCreator", self._address)
        except NodeError as error:
            if not error.answered:
                raise
            return None
        name = found.get("hash") if isinstance(found, dict) else None
        return name if isinstance(name, str) else None

    def _traced_init_code(self, name: str, made: EthAddress) -> bytes | None:
        """Return the init code of a contract that a call of the transaction created; None without such a trace."""
        try:
            return self._node.read(lambda call: _init_code_in(call, made), "debug_traceTransaction", name, _TRACE)
        except NodeError as error:
            if not error.answered:
                raise
            return None


def are_arguments(abi: Sequence[Mapping[str, Any]], data: bytes) -> bool:
    """Return True if the data are exactly the arguments of a contract's constructor."""
    inputs: list[Any] = next((entry["inputs"] for entry in abi if entry.get("type") == "constructor"), [])
    if not inputs:
        return not data
    kinds = types(inputs)
    try:
        return bool(encode(kinds, decode(kinds, data)) == data)
    except (CheatcodeFailure, ValueError, OverflowError):
        return False


def hex_data(response: Any) -> bytes:
    """Return the bytes of a response in hex. Raises TypeError or ValueError."""
    if not isinstance(response, str) or not response.startswith("0x"):
        raise TypeError("no hex data")
    return bytes.fromhex(response[2:])


def _init_code_in(call: Any, made: EthAddress) -> bytes | None:
    """Return the init code of the call in a tree of `callTracer` that created a contract, or None."""
    todo = [call]
    while todo:
        found = todo.pop()
        todo += found.get("calls") or ()
        is_creation = found.get("type") in _CREATIONS and "error" not in found and found.get("to") is not None
        if is_creation and eth_address(hex_data(found["to"])) == made:
            return hex_data(found["input"])
    return None


def _transaction(response: Any) -> tuple[EthAddress | None, bytes] | None:
    """Return the receiver and data of a transaction; None if the node has no such transaction."""
    if response is None:
        return None
    to = response["to"]
    return None if to is None else eth_address(hex_data(to)), hex_data(response["input"])


def _created_address(response: Any) -> EthAddress | None:
    made = None if response is None else response["contractAddress"]
    return None if made is None else eth_address(hex_data(made))

"""Blocks, transactions, receipts and logs of an Ethereum node up to a block, as JSON objects.

Objects are returned as the node sent them, including fields of its own network. Block and transaction hashes are
checked. Source of the shapes: ethereum/execution-apis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeGuard, TypeVar

from bridge.ethereum.addresses import EthAddress
from localnet.fork.node_client import NodeError
from localnet.fork.remote_chain import RemoteState
from localnet.fork.response_values import quantity, unsigned, word_of

T = TypeVar("T")

BlockName = int | bytes
"""A block's number or its hash."""
Json = dict[str, Any]

_BY_NAME: Final = {int: "Number", bytes: "Hash"}


class RemoteHistory:
    """The blocks of a node's network up to the block of `state`."""

    def __init__(self, state: RemoteState) -> None:
        self._state = state
        self.last = state.block.number
        """The number of the newest block."""

    def block(self, name: BlockName, full: bool) -> Json | None:
        """Return a block, with whole transactions if `full`; None if there is none up to the last. Raises NodeError."""
        found = self._lookup(_object, f"eth_getBlockBy{_BY_NAME[type(name)]}", _text(name), full)
        if not self._holds(found, "number"):
            return None
        if isinstance(name, bytes):
            self._check(word_of(found["hash"]) == name, "a block of another hash")
        else:
            self._check(quantity(found["number"]) == name, f"block {quantity(found['number'])} instead of {name}")
        self._check(isinstance(found.get("transactions"), list), "a block without a list of transactions")
        return found

    def number_of(self, block: bytes) -> int | None:
        """Return the number of the block with a hash, or None. Raises NodeError."""
        found = self.block(block, False)
        return None if found is None else quantity(found["number"])

    def receipts(self, name: BlockName) -> list[Json] | None:
        """Return the receipts of a block, or None if there is no such block. Raises NodeError."""
        if self.block(name, False) is None:
            return None
        return self._lookup(_objects, "eth_getBlockReceipts", _text(name))

    def transaction(self, transaction_hash: bytes) -> Json | None:
        """Return a transaction, or None if no block up to the last has it. Raises NodeError."""
        return self._find_mined("eth_getTransactionByHash", transaction_hash, "hash")

    def receipt(self, transaction_hash: bytes) -> Json | None:
        """Return a transaction's receipt, or None if no block up to the last has it. Raises NodeError."""
        return self._find_mined("eth_getTransactionReceipt", transaction_hash, "transactionHash")

    def transaction_at(self, name: BlockName, index: int) -> Json | None:
        """Return the transaction at an index in a block, or None. Raises NodeError."""
        if self.block(name, False) is None:
            return None
        return self._lookup(
            _object, f"eth_getTransactionByBlock{_BY_NAME[type(name)]}AndIndex", _text(name), hex(index)
        )

    def logs(
        self,
        first: int,
        last: int,
        addresses: Sequence[EthAddress],
        topics: Sequence[Sequence[bytes]],
    ) -> list[Json]:
        """Return the logs of a range of blocks that match addresses and topics. Raises NodeError."""
        wanted: Json = {"fromBlock": hex(first), "toBlock": hex(min(last, self.last))}
        return self._lookup(_objects, "eth_getLogs", {**wanted, **_filter(addresses, topics)})

    def logs_of(self, block: bytes, addresses: Sequence[EthAddress], topics: Sequence[Sequence[bytes]]) -> list[Json]:
        """Return the logs of the block with a hash that match addresses and topics. Raises NodeError."""
        return self._lookup(_objects, "eth_getLogs", {"blockHash": _text(block), **_filter(addresses, topics)})

    def forward(self, method: str, *params: Any) -> Any:
        """Return the node's unvalidated response to a request about its history. Raises NodeError."""
        return self._lookup(lambda response: response, method, *params)

    def _find_mined(self, method: str, transaction_hash: bytes, field: str) -> Json | None:
        found = self._lookup(_object, method, _text(transaction_hash))
        if not self._holds(found, "blockNumber"):
            return None
        self._check(word_of(found[field]) == transaction_hash, "another transaction")
        return found

    def _holds(self, found: Json | None, field: str) -> TypeGuard[Json]:
        """Return True if an object is of a block up to the last one."""
        if found is None or found.get(field) is None:
            return False
        try:
            return unsigned(quantity(found[field])) <= self.last
        except (TypeError, ValueError) as error:
            raise NodeError(
                f"{self._state.chain.client.name} returned a {field} that is not a number ({error})"
            ) from None

    def _check(self, is_right: bool, what: str) -> None:
        if not is_right:
            raise NodeError(f"{self._state.chain.client.name} returned {what}")

    def _lookup(self, read: Callable[[Any], T], method: str, *params: Any) -> T:
        return self._state.lookup(read, method, *params)


def _object(response: Any) -> Json | None:
    if response is not None and not isinstance(response, Mapping):
        raise TypeError("it is not an object")
    return None if response is None else dict(response)


def _objects(response: Any) -> list[Json]:
    if not isinstance(response, list) or not all(isinstance(each, Mapping) for each in response):
        raise TypeError("it is not a list of objects")
    return [dict(each) for each in response]


def _text(name: BlockName) -> str:
    return hex(name) if isinstance(name, int) else f"0x{name.hex()}"


def _filter(addresses: Sequence[EthAddress], topics: Sequence[Sequence[bytes]]) -> Json:
    wanted: Json = {"topics": [[_text(topic) for topic in group] or None for group in topics]}
    if addresses:
        wanted["address"] = [_text(address) for address in addresses]
    return wanted

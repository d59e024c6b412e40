"""Blocks, transactions, receipts and logs of an Ethereum node up to a block.

Objects are returned as the node sent them, including fields of its own network. Block and transaction hashes are
checked. A malformed transaction raises KeyError, TypeError or ValueError. Source of the shapes:
ethereum/execution-apis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard, TypeVar

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import Authorization, SignedTransaction, Transaction
from localnet.fork.node_client import NodeError
from localnet.fork.remote_chain import RemoteBlock, RemoteChain, RemoteState
from localnet.fork.response_values import bytes_of, quantity, unsigned, word_of

_FIRST_V: Final = 35
"""Lowest v of a legacy transaction with a chain ID (EIP-155)."""
_LEGACY_V: Final = 27
_MAX_CALLDATA_BYTES: Final = 1 << 20
"""Maximum size of calldata in bytes."""


@dataclass(frozen=True, slots=True)
class ReadTransaction:
    """A transaction with its sender and its hash; the sender is not verified."""

    hash: bytes
    sender: EthAddress
    transaction: Transaction
    signature: tuple[int, int, int] = (0, 0, 0)
    """Parity, r and s; zeros for an unsigned transaction."""

    def raw(self) -> bytes:
        """Return the signed bytes. Raises NodeError if they do not have the transaction's hash."""
        signed = SignedTransaction(self.transaction, *self.signature)
        if signed.hash() != self.hash:
            raise NodeError(f"transaction 0x{self.hash.hex()} has no signature that fits its hash: it was impersonated")
        return signed.raw()


def read_transaction(found: Any) -> ReadTransaction:
    """Decode a transaction of a block."""
    if not isinstance(found, Mapping):
        raise TypeError("no transaction")
    price = quantity(found["gasPrice"]) if found.get("gasPrice") else 0
    fee = quantity(found["maxFeePerGas"]) if found.get("maxFeePerGas") else price
    tip = quantity(found["maxPriorityFeePerGas"]) if found.get("maxPriorityFeePerGas") else fee
    transaction = Transaction(
        type=quantity(found.get("type") or "0x0"),
        chain_id=quantity(found["chainId"]) if found.get("chainId") else None,
        nonce=quantity(found["nonce"]),
        to=EthAddress(word_of(found["to"], 20)) if found.get("to") else None,
        value=quantity(found["value"]),
        data=bytes_of(found["input"], _MAX_CALLDATA_BYTES),
        gas_limit=quantity(found["gas"]),
        max_fee=fee,
        max_priority_fee=tip,
        access_list=tuple(
            (EthAddress(word_of(entry["address"], 20)), tuple(quantity(slot) for slot in entry["storageKeys"]))
            for entry in found.get("accessList") or ()
        ),
        authorizations=tuple(_authorization(entry) for entry in found.get("authorizationList") or ()),
        max_fee_per_blob_gas=quantity(found["maxFeePerBlobGas"]) if found.get("maxFeePerBlobGas") else 0,
        blob_hashes=tuple(word_of(entry) for entry in found.get("blobVersionedHashes") or ()),
    )
    return ReadTransaction(
        word_of(found["hash"]), EthAddress(word_of(found["from"], 20)), transaction.check(), _signature(found)
    )


def _signature(found: Mapping[str, Any]) -> tuple[int, int, int]:
    r, s, v = (quantity(found[part]) if found.get(part) else 0 for part in ("r", "s", "v"))
    if found.get("yParity"):
        return quantity(found["yParity"]), r, s
    return (v - 35) % 2 if v >= _FIRST_V else v % _LEGACY_V, r, s


def _authorization(entry: Mapping[str, Any]) -> Authorization:
    return Authorization(
        quantity(entry["chainId"]), EthAddress(word_of(entry["address"], 20)), quantity(entry["nonce"]),
        quantity(entry["yParity"]), quantity(entry["r"]), quantity(entry["s"]),
    )  # fmt: skip


def transactions_until(
    chain: RemoteChain, transaction: bytes
) -> tuple[RemoteBlock, list[ReadTransaction], ReadTransaction]:
    """Return the block of a transaction, and its transactions up to this one, included. Raises NodeError."""
    name = f"0x{transaction.hex()}"
    number = chain.read(_block_of, "eth_getTransactionByHash", name)
    if number is None:
        raise NodeError(f"failed to get transaction {name}: could not get transaction {name}")
    block = chain.block(number)
    all_of = chain.read(_all_transactions, "eth_getBlockByNumber", hex(number), True)
    earlier: list[ReadTransaction] = []
    for found in all_of:
        if found.hash == transaction:
            return block, earlier, found
        earlier.append(found)
    raise NodeError(
        f"{chain.client.name} has block {number} without the transaction {name}, although the node places it there"
    )


def _block_of(response: Any) -> int | None:
    if response is None:
        return None
    return None if response["blockNumber"] is None else quantity(response["blockNumber"])


def _all_transactions(response: Any) -> list[ReadTransaction]:
    if not isinstance(response["transactions"], list):
        raise TypeError("transactions are not a list")
    return [read_transaction(found) for found in response["transactions"]]


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

    def traces(self, wanted: Json) -> list[Json]:
        """Return the calls that `trace_filter` finds. Raises NodeError."""
        return self._lookup(_objects, "trace_filter", wanted)

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

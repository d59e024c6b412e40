"""Validation of transactions from Ethereum nodes: a malformed one raises KeyError, TypeError or ValueError.

Shape: eth_getTransactionByHash in ethereum/execution-apis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import Authorization, SignedTransaction, Transaction
from localnet.fork.node_client import NodeError
from localnet.fork.remote_chain import RemoteBlock, RemoteChain
from localnet.fork.response_values import bytes_of, quantity, word_of

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

    def __deepcopy__(self, _memo: object) -> ReadTransaction:
        """Return the object itself, because it is immutable."""
        return self


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

"""Transactions of a node's blocks that reach some contracts, by standard methods of Ethereum and Filecoin nodes.

A transaction reaches a contract if it is sent to it, names it in its access list, creates it, calls it or emits an
event in it. Calls come from `trace_block` or, if the node does not have it, from `debug_traceBlockByNumber`. Without
both, calls without an event inside other contracts' transactions are not found.

Source of the shapes: ethereum/execution-apis; the traces are Parity's and those of geth's callTracer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from localnet.fork.node_client import NodeError, NotCached
from localnet.fork.remote_chain import RemoteChain
from localnet.fork.remote_history import ReadTransaction, read_transaction
from localnet.fork.response_values import quantity, text, unsigned, word_of

_TRACES: Final = ("trace_block", ()), ("debug_traceBlockByNumber", ({"tracer": "callTracer"},))
"""Methods that return the calls of a block, with their parameters after the block, in order of preference."""
MAX_TRACE_CALLS: Final = 1_000_000
"""Maximum number of calls read from the traces of one block."""
_ADDRESSES: Final = frozenset(("to", "from", "address", "contractAddress"))
"""Fields of a call, of its action or result, and of a receipt that name a contract."""


@dataclass(frozen=True, slots=True)
class NodeReceipt:
    """A transaction's result according to the node."""

    succeeded: bool
    gas_used: int

    def __str__(self) -> str:
        return f"{'success' if self.succeeded else 'failure'}, gas {self.gas_used:,}"


@dataclass(frozen=True, slots=True)
class CalledBlock:
    """A block with transactions that reach the contracts."""

    number: int
    parent_hash: bytes
    beacon_root: bytes | None
    slot_number: int
    receipts: Mapping[bytes, NodeReceipt]
    """Receipts of all transactions, by hash."""
    reaching: frozenset[bytes]
    """Hashes of the transactions that reach a contract."""
    raw: Any
    """The block as the node returned it, with whole transactions."""

    def transactions(self) -> list[ReadTransaction]:
        """Return the transactions. Raises NodeError for a malformed one."""
        try:
            return [read_transaction(each) for each in self.raw["transactions"]]
        except (LookupError, TypeError, ValueError) as error:
            raise NodeError(f"block {self.number} has a malformed transaction ({error!r:.200})") from None


class ContractCalls:
    """The blocks of a node with transactions that reach `contracts`."""

    def __init__(self, chain: RemoteChain, contracts: Collection[EthAddress], *, has_null_rounds: bool = False) -> None:
        self._chain, self._has_null_rounds = chain, has_null_rounds
        self._contracts = frozenset(f"0x{address.hex()}" for address in contracts)
        self._traces = list(_TRACES)
        """Methods that the node may have."""
        self._has_block_receipts = True

    @property
    def has_traces(self) -> bool:
        """True if the node has not refused all methods that return the calls of a block."""
        return bool(self._traces)

    def block(self, number: int) -> CalledBlock | None:
        """Return a block; None if no transaction reaches the contracts, or for a null round. Raises NodeError."""
        try:
            return self._block(number)
        except NodeError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise NodeError(f"{self._chain.client.name} returned a malformed block {number} ({error!r:.200})") from None

    def _block(self, number: int) -> CalledBlock | None:
        at = hex(number)
        try:
            raw = self._chain.read(_block, "eth_getBlockByNumber", at, True)
        except NodeError as error:
            if self._has_null_rounds and error.answered and "null round" in str(error):
                return None
            raise
        if raw is None and not self._has_null_rounds:
            raise NodeError(f"{self._chain.client.name} has no block {number}")
        if raw is None or not raw["transactions"]:
            return None
        receipts = self._receipts(at, raw)
        found = {
            word_of(each["hash"])
            for each in raw["transactions"]
            if self._reaches(each) or any(map(self._reaches, each.get("accessList") or ()))
        }
        for receipt in receipts:
            if self._reaches(receipt) or any(map(self._reaches, receipt["logs"])):
                found.add(word_of(receipt["transactionHash"]))
        found.update(self._called(at))
        if not found:
            return None
        return CalledBlock(
            number=number,
            parent_hash=word_of(raw["parentHash"]),
            beacon_root=word_of(raw["parentBeaconBlockRoot"]) if raw.get("parentBeaconBlockRoot") else None,
            slot_number=unsigned(quantity(raw.get("slotNumber") or "0x0")),
            receipts={word_of(each["transactionHash"]): _receipt(each) for each in receipts},
            reaching=frozenset(found),
            raw=raw,
        )

    def _receipts(self, at: str, raw: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the receipts of a block; one by one from a node without the method for all of them."""
        if not self._has_block_receipts:
            hashes = [each["hash"] for each in raw["transactions"]]
            return [self._chain.read(_object, "eth_getTransactionReceipt", each) for each in hashes]
        try:
            return self._chain.read(_objects, "eth_getBlockReceipts", at)
        except NodeError as error:
            if not error.answered and not isinstance(error, NotCached):
                raise
            self._has_block_receipts = False
            return self._receipts(at, raw)

    def _called(self, at: str) -> Iterator[bytes]:
        """Yield the hashes of the transactions that call a contract, by the first method that the node has."""
        while self._traces:
            method, options = self._traces[0]
            try:
                traces = self._chain.read(_objects, method, at, *options)
            except NodeError as error:
                if not error.answered and not isinstance(error, NotCached):
                    raise
                del self._traces[0]
                continue
            for count, (transaction, call) in enumerate(_calls(traces)):
                if count >= MAX_TRACE_CALLS:
                    raise NodeError(
                        f"{self._chain.client.name} returned more than {MAX_TRACE_CALLS:,} calls of a block"
                    )
                if self._reaches(call):
                    yield word_of(transaction)
            return

    def _reaches(self, fields: Any) -> bool:
        return any(str(fields.get(name)).lower() in self._contracts for name in _ADDRESSES & fields.keys())


def _calls(traces: list[dict[str, Any]]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Yield (transaction hash, call) of traces of either form."""
    for trace in traces:
        if "action" in trace:
            for part in (trace["action"], trace.get("result")):
                if isinstance(part, Mapping):
                    yield trace.get("transactionHash"), part
            continue
        waiting = [trace.get("result")]
        while waiting:
            call = waiting.pop()
            if isinstance(call, Mapping):
                yield trace.get("txHash"), call
                waiting += call.get("calls") or ()


def _receipt(receipt: Mapping[str, Any]) -> NodeReceipt:
    return NodeReceipt(quantity(receipt["status"]) == 1, unsigned(quantity(receipt["gasUsed"])))


def _block(response: Any) -> dict[str, Any] | None:
    if response is None:
        return None
    if not isinstance(response["transactions"], list) or not all(
        isinstance(each, Mapping) for each in response["transactions"]
    ):
        raise TypeError("transactions are not a list of objects")
    for name in ("hash", "parentHash"):
        text(response[name])
    return dict(response)


def _object(response: Any) -> dict[str, Any]:
    if not isinstance(response, Mapping):
        raise TypeError("it is not an object")
    return dict(response)


def _objects(response: Any) -> list[dict[str, Any]]:
    if not isinstance(response, list) or not all(isinstance(each, Mapping) for each in response):
        raise TypeError("it is not a list of objects")
    return response

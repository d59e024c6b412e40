"""Block references of requests: number, tag, hash, or an object of EIP-1898."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from localnet.chain.reading import NetworkReader
from localnet.ledger.records import NullRound, Tipset
from localnet.rpc.errors import LOTUS_ERROR, NOT_FOUND, NULL_ROUND, SERVER_ERROR, RpcError, invalid_params
from localnet.rpc.values import field, fields, format_value, hash32, quantity

SAFE_DEPTH: Final = 30
FINAL_DEPTH: Final = 900
PENDING: Final = "pending"
EARLIEST: Final = "earliest"
_TAGS: Final = ("latest", PENDING, "safe", "finalized", EARLIEST)


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block reference of a request: a tag, a number or a hash."""

    tag: str = ""
    number: int | None = None
    hash: bytes | None = None


LATEST: Final = BlockRef("latest")


def block(value: Any) -> BlockRef:
    """Read a block reference: a tag, a quantity, a block hash, or an object with `blockNumber` or `blockHash`."""
    if isinstance(value, str):
        if value in _TAGS:
            return BlockRef(value)
        if len(value) == 66:
            return BlockRef(hash=hash32(value))
        if value.startswith("0x"):
            return BlockRef(number=quantity(value))
    if not isinstance(value, dict):
        raise invalid_params(
            f"{format_value(value)} is not a block: expected {', '.join(_TAGS)}, a quantity (0x...), a hash "
            "or an object"
        )
    request = fields(value, "block")
    number, block_hash = field(request, "blockNumber", quantity), field(request, "blockHash", hash32)
    if (number is None) == (block_hash is None):
        raise invalid_params(f"{format_value(value)} names no block: expected blockNumber or blockHash")
    return BlockRef(number=number, hash=block_hash)


def number_or_tag(value: Any) -> BlockRef:
    """Read a tag or a quantity."""
    ref = block(value)
    if not isinstance(value, str) or ref.hash is not None:
        raise invalid_params(f"{format_value(value)} is neither a block number nor a tag")
    return ref


def hash_ref(value: Any) -> BlockRef:
    """Read a block's hash."""
    return BlockRef(hash=hash32(value))


def find(network: NetworkReader, ref: BlockRef, *, or_older: bool = False) -> Tipset | None:
    """Find the referenced tipset; None for a hash or a number that the chain does not have.

    The number of a null round means the tipset before it with `or_older`, otherwise it raises RpcError 12.
    """
    if ref.hash is not None:
        by_hash = network.chain.index.by_hash(ref.hash)
        return by_hash if by_hash is None or by_hash.height <= network.executed_head.height else None
    if ref.number is None:
        return _tagged(network, ref.tag)
    found = network.chain.index.at(ref.number) if ref.number <= network.executed_head.height else None
    if isinstance(found, NullRound):
        if or_older:
            return network.chain.index.tipset(found.before)
        raise RpcError(NULL_ROUND, f"requested epoch was a null round ({ref.number})", ref.number)
    return found


def resolve(network: NetworkReader, ref: BlockRef, *, or_older: bool = False) -> Tipset:
    """Return the referenced tipset, which must exist; `or_older` is as in `find`. Raises RpcError."""
    found = find(network, ref, or_older=or_older)
    if found is None and ref.hash is not None:
        raise RpcError(NOT_FOUND, f"block 0x{ref.hash.hex()} not found")
    if found is None and ref.number is not None and ref.number < network.chain.index.first:
        raise RpcError(NOT_FOUND, f"block {ref.number} not found: this chain begins at {network.chain.index.first}")
    if found is None:
        there = f"{ref.number} was requested, the head is {network.executed_head.height}"
        raise RpcError(SERVER_ERROR, f"requested a future epoch (beyond 'latest'): {there}")
    return found


def history_number(network: NetworkReader, ref: BlockRef) -> int | None:
    """Return the number of the block of a fork's history that a number or tag means, or None.

    The history ends with the block after which the fork begins.
    """
    if network.chain.history is None or ref.hash is not None or ref.tag == PENDING:
        return None
    number = ref.number
    if number is None:
        head = network.executed_head.height
        depth = {"latest": 0, "safe": SAFE_DEPTH, "finalized": FINAL_DEPTH}.get(ref.tag, head)
        number = max(0, head - depth)
    return number if number <= network.chain.index.first else None


def state_tipset(network: NetworkReader, ref: BlockRef) -> Tipset:
    """Return the tipset whose state is meant, also one of a fork's history. Raises RpcError, NodeError.

    The state at a null round is that of the tipset before it (lotus node/impl/eth/tipsetresolver.go).
    """
    chain = network.chain
    if chain.origin is not None and chain.history is not None:
        name = ref.hash if ref.hash is not None else history_number(network, ref)
        earlier = None if name is None else chain.earlier(name)
        if earlier is not None:
            return earlier
    return resolve(network, ref, or_older=True)


def _tagged(network: NetworkReader, tag: str) -> Tipset:
    if tag == PENDING:
        return network.head
    head = network.chain.executed_head
    if tag == "latest":
        return head
    if tag == EARLIEST and network.rules.features.has_null_rounds:  # lotus node/impl/eth/tipsetresolver.go
        raise RpcError(LOTUS_ERROR, 'block param "earliest" is not supported: use the number of a block')
    depth = {"safe": SAFE_DEPTH, "finalized": FINAL_DEPTH}.get(tag, head.height)
    found = network.chain.index.tipset_before(max(network.chain.index.first, head.height - depth))
    return head if found is None else found

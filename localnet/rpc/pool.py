"""Methods about pending transactions: geth's txpool_ methods, and those of anvil and Hardhat.

A sender's transactions are pending if they follow its nonce without a gap, and queued otherwise. Shapes:
execution-apis src/txpool/pool.yaml; geth's page on the txpool namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bridge.ethereum.addresses import EthAddress, to_filecoin
from localnet.chain.finding import message_with_nonce
from localnet.ledger.candidates import Candidate
from localnet.rpc.methods import Method
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.shapes import pending_json, transaction_json
from localnet.rpc.values import address, as_data, as_quantity, quantity
from localnet.state.contract_state import nonce_of

ToJson = Callable[[Candidate], Any]


def status(node: Node) -> dict[str, str]:
    """Return the number of pending transactions, and of queued ones after a nonce gap."""
    pending, queued = _split(node, node.network.mempool)
    return {"pending": as_quantity(len(pending)), "queued": as_quantity(len(queued))}


def content(node: Node) -> dict[str, Any]:
    """Return the waiting transactions by sender and nonce."""
    return _by_sender(node, lambda candidate: pending_json(candidate, node.network.chain_id))


def content_from(node: Node, owner: EthAddress) -> dict[str, Any]:
    """Return a sender's waiting transactions by nonce."""
    found = content(node)
    return {kind: senders.get(as_data(owner), {}) for kind, senders in found.items()}


def inspect(node: Node) -> dict[str, Any]:
    """Return the waiting transactions by sender and nonce, one line each."""
    return _by_sender(node, _line)


def pending_transactions(node: Node) -> list[dict[str, Any]]:
    """Return the waiting transactions in the order of arrival."""
    return [pending_json(candidate, node.network.chain_id) for candidate in node.network.mempool]


def by_sender_and_nonce(node: NodeReader, owner: EthAddress, nonce: int) -> dict[str, Any] | None:
    """Return the transaction of a sender with a nonce, in a block or pending; null if there is none."""
    sender, network = to_filecoin(owner), node.network
    for candidate in network.mempool.ready_of(sender, nonce):
        return pending_json(candidate, network.chain_id)
    if nonce >= nonce_of(network.machine, sender):
        return None
    found = message_with_nonce(network.chain.index, node.addresses, owner, nonce, network.head.height)
    return None if found is None else transaction_json(found)


def _split(node: Node, waiting: Iterable[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """Return the pending transactions and the queued ones."""
    machine, mempool = node.network.machine, node.network.mempool
    candidates = list(waiting)
    senders = {candidate.bare.from_ for candidate in candidates}
    ready = {c.hash for sender in senders for c in mempool.ready_of(sender, nonce_of(machine, sender))}
    return [c for c in candidates if c.hash in ready], [c for c in candidates if c.hash not in ready]


def _by_sender(node: Node, to_json: ToJson) -> dict[str, Any]:
    kinds = zip(("pending", "queued"), _split(node, node.network.mempool), strict=True)
    return {kind: _group(candidates, to_json) for kind, candidates in kinds}


def _group(candidates: list[Candidate], to_json: ToJson) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for candidate in sorted(candidates, key=lambda c: c.bare.nonce):
        found.setdefault(as_data(candidate.sender), {})[str(candidate.bare.nonce)] = to_json(candidate)
    return found


def _line(candidate: Candidate) -> str:
    message = candidate.bare
    to = "contract creation" if candidate.to is None else as_data(candidate.to)
    return f"{to}: {message.value} wei + {message.gas_limit} gas × {message.gas_fee_cap} wei"


METHODS = (
    Method("txpool_status", (), status),
    Method("txpool_content", (), content),
    Method("txpool_contentFrom", (address,), content_from),
    Method("txpool_inspect", (), inspect),
    Method("eth_pendingTransactions", (), pending_transactions),
    Method("eth_getTransactionBySenderAndNonce", (address, quantity), by_sender_and_nonce, reads=True),
)

"""Methods about transactions: sending, signing, looking up, and the pool.

Unlocked accounts also sign typed data (EIP-712). Messages that are not Ethereum transactions have no raw bytes (null).
Pending transactions have geth's txpool_ methods, and those of anvil and Hardhat. A sender's transactions are pending if
they follow its nonce without a gap, and queued otherwise. Shapes: execution-apis src/txpool/pool.yaml; geth's page on
the txpool namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import attrgetter, methodcaller
from typing import Any, Final

import orjson

from bridge.ethereum.addresses import EthAddress, checksummed, to_filecoin
from bridge.ethereum.blobs import BlobTransaction
from bridge.ethereum.transactions import BLOB, SignedTransaction, Transaction, TransactionError
from bridge.filecoin.messages import from_signed_message
from hypervisor.messages.message import SignatureType, SignedMessage
from hypervisor.types import Gas
from localnet.accounts import Account
from localnet.calls import simulate
from localnet.chain import admission
from localnet.chain.logs import message_with_nonce
from localnet.errors import TransactionRefused
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import TransactionReceipt
from localnet.rpc.blocks_and_null_rounds import BlockRef, block, find, hash_ref, number_or_tag, resolve
from localnet.rpc.errors import SERVER_ERROR, ReceiptPending, RpcError, invalid_params, no_private_key
from localnet.rpc.eth.blocks import is_pending
from localnet.rpc.eth.state import next_block_estimate
from localnet.rpc.lotus_values import replacement_of
from localnet.rpc.methods import Method, Preparation, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.requests import SIGNED_BLOBS, TransactionRequest, transaction
from localnet.rpc.shapes import pending_json, receipt_json, transaction_json, unsigned_json
from localnet.rpc.values import address, as_data, as_quantity, data, format_value, hash32, number, quantity
from localnet.rules.parts import transaction_failed
from localnet.state.controls import nonce_of
from localnet.typed_data import typed_data_digest

_SYNC_TIMEOUT: Final = 20.0
"""Default time in seconds to wait for a receipt, as in go-ethereum (eth/ethconfig, `TxSyncDefaultTimeout`)."""


def send_raw_transaction(node: Node, request: bytes | BlobTransaction) -> str:
    """Submit a signed transaction of type 0, 1 or 2, under Ethereum's rules also 3 or 4; return its hash.

    One of type 3 is in the network form, with its blobs, commitments and proofs.
    """
    return _sent(node, node.network.submit(request))


def _sent(node: Node, transaction_hash: bytes) -> str:
    """Return a sent transaction's hash. Raises TransactionFailed for a failed one if the node `throws_on_failure`."""
    receipt = node.network.find_receipt(transaction_hash) if node.throws_on_failure else None
    if receipt is not None and not receipt.succeeded:
        raise transaction_failed(node.network.rules, receipt)
    return as_data(transaction_hash)


def send_raw_transaction_sync(node: Node, request: bytes | BlobTransaction, timeout: int = 0) -> dict[str, Any]:
    """Send a raw transaction and return its receipt; error 4 with its hash if it has none in time.

    The timeout is in milliseconds, by default 20 seconds (EIP-7966).
    """
    return _receipt_in_time(node, node.network.submit(request), timeout)


def _receipt_in_time(node: Node, sent: bytes, timeout: int) -> dict[str, Any]:
    receipt = get_transaction_receipt(node, sent)
    if receipt is None:
        seconds = min(timeout / 1_000 or _SYNC_TIMEOUT, node.limits.wait)
        raise ReceiptPending(sent, seconds, partial(get_transaction_receipt, node, sent))
    return receipt


def send_transaction(node: Node, request: TransactionRequest) -> str:
    """Submit a transaction of an unlocked account or an impersonated address; return its hash."""
    return _sent(node, _submit(node, request))


def _submit(node: Node, request: TransactionRequest) -> bytes:
    if _is_unsigned(node, _sender(request)):
        return _submit_unsigned(node, request)
    return node.network.submit(_sign(node, request))


def _submit_unsigned(node: Node, request: TransactionRequest) -> bytes:
    return node.network.submit_unsigned_transaction(_complete(node, request), _sender(request))


def to_share_block(node: Node, request: TransactionRequest) -> Callable[[], bytes] | None:
    """Return the signer of the transaction, or None if it needs a block of its own.

    That is one without a gas limit, which is estimated on the state after those before it, and one that no key signs.
    """
    if request.gas is None or request.sender is None or node.network.account(request.sender) is None:
        return None
    return lambda: _sign(node, request)


def send_transaction_sync(node: Node, request: TransactionRequest, timeout: int = 0) -> dict[str, Any]:
    """Send a transaction and return its receipt, like `eth_sendRawTransactionSync`."""
    return _receipt_in_time(node, _submit(node, request), timeout)


def send_unsigned_transaction(node: Node, request: TransactionRequest) -> str:
    """Submit an unsigned transaction from any address; return its hash."""
    return _sent(node, _submit_unsigned(node, request))


def sign_transaction(node: Node, request: TransactionRequest) -> str:
    """Sign a transaction with an unlocked account's key; return its bytes."""
    return as_data(_sign(node, request))


def fill_transaction(node: Node, request: TransactionRequest) -> dict[str, Any]:
    """Return an unsigned transaction with missing fields filled in: its bytes, and its fields."""
    request = _with_defaults(node, request)
    signed = SignedTransaction(_complete(node, request), 0, 0, 0)
    return {"raw": as_data(signed.raw()), "tx": unsigned_json(signed, _sender(request))}


def sign(node: Node, owner: EthAddress, content: bytes) -> str:
    """Sign a text with an unlocked account's key, with Ethereum's message prefix."""
    return as_data(signing_account(node, owner).sign_text(content))


def personal_sign(node: Node, content: bytes, owner: EthAddress) -> str:
    """Sign like eth_sign, with the parameters in the other order."""
    return sign(node, owner, content)


def get_transaction_by_hash(node: Node, transaction_hash: bytes) -> dict[str, Any] | None:
    """Return a transaction, in a block or pending; null if there is none.

    A reward or cron with a receipt (FIP-0107) is in no block, and has no index.
    """
    receipt = node.network.find_executed(transaction_hash)
    if receipt is None:
        waiting = node.network.waiting(transaction_hash)
        if waiting is not None:
            return pending_json(waiting, node.point.chain_id)
        # This runs outside the network's thread: the transaction may be mined between the two lookups.
        receipt = node.network.find_receipt(transaction_hash)
    return None if receipt is None else transaction_json(receipt)


def get_transaction_receipt(node: Node, transaction_hash: bytes) -> dict[str, Any] | None:
    """Return a transaction's receipt; null while it waits.

    Under Filecoin's rules it may be that of a replacement, with the errors of `replacement_of`.
    """
    network = node.network
    receipt, original = network.find_executed(transaction_hash), network.mempool.replaced.get(transaction_hash)
    if receipt is None and original is not None and network.rules.features.has_null_rounds:
        receipt = replacement_of(network, original[0])  # lotus searches with allowReplaced
    return None if receipt is None else receipt_json(receipt, node.network.rules)


def transaction_at(node: Node, at: BlockRef, index: int) -> dict[str, Any] | None:
    """Return the transaction at an index of a block."""
    found = _receipt_at(node, at, index)
    if found is None:
        return None
    return {**transaction_json(found), "blockHash": None} if is_pending(node, at) else transaction_json(found)


def _receipt_at(node: Node, at: BlockRef, index: int) -> TransactionReceipt | None:
    if is_pending(node, at):
        return next(iter(node.pending_block().receipts()[index : index + 1]), None)
    found = find(node.network, at)
    if found is None or index >= len(found.transactions):
        return None
    return node.network.chain.index.receipt_at(found, index)


def signing_account(node: Node, owner: EthAddress) -> Account:
    """Return an account whose key may be used. Raises RpcError -32000."""
    account = node.network.account(owner)
    if account is not None and not node.signs:
        raise RpcError(SERVER_ERROR, "the node is reachable remotely and signs for no account: start it with --unlock")
    if account is None:
        raise no_private_key(owner)
    return account


def _sender(request: TransactionRequest) -> EthAddress:
    if request.sender is None:
        raise invalid_params("from is missing")
    return request.sender


def _sign(node: Node, request: TransactionRequest) -> bytes:
    """Return the transaction's bytes, signed by its sender's key."""
    account = signing_account(node, _sender(request))
    return account.sign(_complete(node, request)).raw()


def _complete(node: Node, request: TransactionRequest) -> Transaction:
    """Return the transaction with missing fields filled in."""
    sender, network = _sender(request), node.network
    request.check(network.rules)
    if request.type == BLOB:
        raise invalid_params(f"the node cannot create KZG proofs or sign type 3 transactions; {SIGNED_BLOBS}")
    if request.to is None and not request.data:
        raise TransactionRefused("invalid", "contract creation without any data provided")
    cap, priority = request.fees(network)
    gas = _gas_limit(node, request, sender) if request.gas is None else request.gas
    nonce = request.nonce if request.nonce is not None else network.pending_nonce(to_filecoin(sender))
    return Transaction(
        type=request.kind(network.rules),
        chain_id=network.chain_id if request.chain_id is None else request.chain_id,
        nonce=nonce,
        to=request.to,
        value=request.value,
        data=request.data,
        gas_limit=gas,
        max_fee=cap,
        max_priority_fee=priority,
        access_list=request.access_list or (),
        authorizations=request.authorizations,
    )


def _gas_limit(node: NodeReader, request: TransactionRequest, sender: EthAddress) -> Gas:
    call = request.call(sender, node.network)
    return next_block_estimate(node, call, simulate.gas_limit)


def _estimate(request: TransactionRequest) -> Callable[[NodeReader], TransactionRequest]:
    """Return the query for a transaction's gas limit, and the transaction with it."""

    def prepare(node: NodeReader) -> TransactionRequest:
        request.check(node.network.rules)
        return replace(request, gas=_gas_limit(node, request, _sender(request)))

    return prepare


def _estimate_unsigned(_: Node, request: TransactionRequest) -> Callable[[NodeReader], TransactionRequest] | None:
    return _estimate(request) if request.gas is None and request.sender is not None else None


def _estimate_signed(node: Node, request: TransactionRequest) -> Callable[[NodeReader], TransactionRequest] | None:
    is_own = node.signs and request.sender is not None and node.network.account(request.sender) is not None
    return _estimate(request) if request.gas is None and is_own else None


def _estimate_sent(
    node: Node, request: TransactionRequest, **_others: Any
) -> Callable[[NodeReader], TransactionRequest] | None:
    if request.sender is not None and _is_unsigned(node, request.sender):
        return _estimate_unsigned(node, request)
    return _estimate_signed(node, request)


def _estimate_filled(node: Node, request: TransactionRequest) -> Callable[[NodeReader], TransactionRequest] | None:
    return _estimate(_with_defaults(node, request)) if request.gas is None else None


def _with_defaults(node: Node, request: TransactionRequest) -> TransactionRequest:
    """Return the request with a sender, and under Ethereum's rules with fees, which limit the estimate."""
    request = replace(request, sender=request.sender or node.network.accounts[0].address)
    return request.with_fees(node.network) if node.network.rules.hardfork else request


def _is_unsigned(node: Node, sender: EthAddress) -> bool:
    """Return True if the address may send without a signature."""
    return node.network.account(sender) is None and (node.impersonates_all or sender in node.impersonated)


def _verify_raw(_: Node, request: bytes, **_others: Any) -> Callable[[NodeReader], BlobTransaction]:
    """Return the verification of a blob transaction, which takes too long for the chain's thread."""
    return lambda node: admission.verify_blobs(node.network.machine, request)


_VERIFIED: Final = Preparation(_verify_raw, lambda _: BLOB, methodcaller("startswith", bytes([BLOB])))
_SENDER: Final = attrgetter("sender")


def raw_transaction(node: Node, transaction_hash: bytes) -> str | None:
    """Return the bytes of a signed transaction, in a block or pending; none (0x), as in geth, if there is none."""
    receipt = node.network.chain.index.receipt(transaction_hash)
    if receipt is not None:
        return _raw_of(receipt)
    pending = node.network.mempool.get(transaction_hash)
    return "0x" if pending is None else _raw(pending.message, node.network.chain_id)


def raw_transaction_at(node: Node, at: BlockRef, index: int) -> str | None:
    """Return the bytes of the transaction at an index of a block."""
    found = _receipt_at(node, at, index)
    return "0x" if found is None else _raw_of(found)


def raw_transactions(node: Node, at: BlockRef) -> list[str | None]:
    """Return the bytes of all transactions of a block."""
    receipts = node.network.chain.index.receipts(resolve(node.network, at))
    return [_raw_of(receipt) for receipt in receipts]


def _raw_of(receipt: TransactionReceipt) -> str | None:
    return _raw(receipt.candidate.message, receipt.chain_id)


def _raw(message: SignedMessage, chain_id: int) -> str | None:
    if message.signature.type is not SignatureType.DELEGATED or not message.signature.data:
        return None
    try:
        return as_data(from_signed_message(message, chain_id).raw())
    except TransactionError:  # an unsigned message that is no transaction
        return None


def typed_data(value: Any) -> dict[str, Any]:
    """Read an object, or its JSON as text, as some wallets send it."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except ValueError as error:
            raise invalid_params(f"typed data: {error}") from None
    if not isinstance(value, dict):
        raise invalid_params(f"{format_value(value)} is not typed data: expected an object")
    return value


def sign_typed_data(node: Node, owner: EthAddress, content: dict[str, Any]) -> str:
    """Sign typed data with an unlocked account's key: 65 bytes r, s, v with v 27 or 28."""
    signature = signing_account(node, owner).sign_digest(typed_data_digest(content))
    return as_data(signature[:64] + bytes([27 + signature[64]]))


ToJson = Callable[[Candidate], Any]


def status(node: Node) -> dict[str, str]:
    """Return the number of pending transactions, and of queued ones after a nonce gap."""
    pending, queued = pending_and_queued(node)
    return {"pending": as_quantity(len(pending)), "queued": as_quantity(len(queued))}


def content(node: Node) -> dict[str, Any]:
    """Return the waiting transactions by sender and nonce."""
    return _by_sender(node, lambda candidate: pending_json(candidate, node.network.chain_id))


def content_from(node: Node, owner: EthAddress) -> dict[str, Any]:
    """Return a sender's waiting transactions by nonce."""
    found = content(node)
    return {kind: senders.get(checksummed(owner), {}) for kind, senders in found.items()}


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


def pending_and_queued(node: Node) -> tuple[list[Candidate], list[Candidate]]:
    """Return the pending transactions and those that are queued after a nonce gap."""
    machine, mempool = node.network.machine, node.network.mempool
    candidates = list(mempool)
    senders = {candidate.bare.from_ for candidate in candidates}
    ready = {c.hash for sender in senders for c in mempool.ready_of(sender, nonce_of(machine, sender))}
    return [c for c in candidates if c.hash in ready], [c for c in candidates if c.hash not in ready]


def _by_sender(node: Node, to_json: ToJson) -> dict[str, Any]:
    kinds = zip(("pending", "queued"), pending_and_queued(node), strict=True)
    return {kind: _group(candidates, to_json) for kind, candidates in kinds}


def _group(candidates: list[Candidate], to_json: ToJson) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for candidate in sorted(candidates, key=lambda c: c.bare.nonce):
        found.setdefault(checksummed(candidate.sender), {})[str(candidate.bare.nonce)] = to_json(candidate)
    return found


def _line(candidate: Candidate) -> str:
    message = candidate.bare
    to = "contract creation" if candidate.to is None else checksummed(candidate.to)
    return f"{to}: {message.value} wei + {message.gas_limit} gas × {message.gas_fee_cap} wei"


METHODS = (
    Method("eth_sendRawTransaction", (data,), send_raw_transaction, preparation=_VERIFIED),
    Method("eth_sendTransaction", (transaction,), send_transaction, preparation=Preparation(_estimate_sent, _SENDER)),
    Method(
        "eth_sendRawTransactionSync",
        (data, optional(number)),
        send_raw_transaction_sync,
        waits=True,
        preparation=_VERIFIED,
    ),
    Method(
        "eth_sendTransactionSync",
        (transaction, optional(number)),
        send_transaction_sync,
        waits=True,
        preparation=Preparation(_estimate_sent, _SENDER),
    ),
    Method(
        "eth_sendUnsignedTransaction",
        (transaction,),
        send_unsigned_transaction,
        preparation=Preparation(_estimate_unsigned, _SENDER),
    ),
    Method("eth_signTransaction", (transaction,), sign_transaction, preparation=Preparation(_estimate_signed, _SENDER)),
    Method("eth_fillTransaction", (transaction,), fill_transaction, preparation=Preparation(_estimate_filled, _SENDER)),
    Method("eth_sign", (address, data), sign, inline=True),
    Method("personal_sign", (data, address), personal_sign, inline=True),
    # They see the chain before a change or after it (`ChainIndex.receipt`), so they need not wait for its thread.
    Method("eth_getTransactionByHash", (hash32,), get_transaction_by_hash, inline=True),
    Method("eth_getTransactionReceipt", (hash32,), get_transaction_receipt, inline=True),
    Method("eth_getTransactionByBlockHashAndIndex", (hash_ref, quantity), transaction_at),
    Method("eth_getTransactionByBlockNumberAndIndex", (number_or_tag, quantity), transaction_at),
    Method("eth_getRawTransactionByHash", (hash32,), raw_transaction, aliases=("debug_getRawTransaction",)),
    Method("eth_getRawTransactionByBlockHashAndIndex", (hash_ref, quantity), raw_transaction_at),
    Method("eth_getRawTransactionByBlockNumberAndIndex", (number_or_tag, quantity), raw_transaction_at),
    Method("debug_getRawTransactions", (block,), raw_transactions),
    Method(
        "eth_signTypedData_v4",
        (address, typed_data),
        sign_typed_data,
        aliases=("eth_signTypedData_v3", "eth_signTypedData"),
    ),
    Method("txpool_status", (), status),
    Method("txpool_content", (), content),
    Method("txpool_contentFrom", (address,), content_from),
    Method("txpool_inspect", (), inspect),
    Method("eth_pendingTransactions", (), pending_transactions),
    Method("eth_getTransactionBySenderAndNonce", (address, quantity), by_sender_and_nonce, reads=True),
)

"""Filecoin methods about messages to send: estimates, checks, the mempool with its limits, signatures of the wallet.

The node signs for its accounts under both of their addresses. An estimate adds a quarter to the gas used, and its fee
cap is enough for 20 blocks. A check before a push has Lotus' number; a message that fails an early one has no later
ones.

Sources: lotus node/impl/gasutils, node/impl/full/mpool.go, chain/messagepool (`CapGasFee`, check.go), chain/wallet and
api/types.go (`CheckStatusCode`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from bridge.ethereum.addresses import from_delegated
from bridge.ethereum.transactions import TransactionError
from bridge.filecoin import messages
from bridge.filecoin.messages import transaction_of
from bridge.filecoin.parameters import unwrap_return
from hypervisor.exit_codes import ExitCode, exit_name
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.messages.signatures import recover_secp256k1, sign_secp256k1, verify_bls, verify_secp256k1
from hypervisor.types import ATTO_PER_FIL, Gas, TokenAmount
from localnet.accounts import Account
from localnet.calls.overrides import Overrides, overridden
from localnet.chain.execution import apply_pending
from localnet.chain.mempool import MAX_PENDING
from localnet.chain.reading import suggested_premium
from localnet.ledger.records import is_native_receiver
from localnet.rpc.errors import EXECUTION_REVERTED, LOTUS_ERROR, RpcError
from localnet.rpc.filecoin.state import actor_of, id_of, key_address, machine_at
from localnet.rpc.lotus_values import (
    DEFAULT_SPEC,
    HEAD,
    SendSpec,
    TipsetKey,
    address_json,
    base64_bytes,
    bytes_json,
    cid_json,
    epoch,
    filecoin_address,
    found_tipset,
    message,
    message_json,
    send_spec,
    signature,
    signed_message,
    tipset,
    unsigned,
)
from localnet.rpc.methods import Method, Preparation, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.values import any_value, boolean, field, fields, list_of
from localnet.rules.facts import MINIMUM_BASE_FEE, BlockOverride
from localnet.rules.filecoin import inclusion_gas, why_invalid
from localnet.state.controls import nonce_of, nonce_of_actor
from store.keccak import keccak

_OVERESTIMATION: Final = (5, 4)
_FEE_CAP_BLOCKS: Final = 20
_PREMIUM_BLOCKS: Final = 10
_MAX_BLOCKS: Final = 300
_SCALE: Final = 1 << 8
"""Precision of a fee cap's factor (lotus node/impl/gasutils/gasutils.go)."""
_MAX_MESSAGES: Final = 1_000
_MAX_UUIDS: Final = 100_000
"""Maximum number of UUIDs that are stored."""
_MAX_FEE: Final = TokenAmount(7 * ATTO_PER_FIL // 100)
"""Default maximum that a message pays for gas (lotus node/config/def.go, `DefaultMaxFee`)."""
_FREE: Final = Overrides(block=BlockOverride(base_fee=TokenAmount(0)))
"""An estimate offers no fee, and Ethereum's rules refuse one below the base fee."""


# --- gas --------------------------------------------------------------------------------------------------------------


def estimate_gas_limit(node: NodeReader, request: Message, key: TipsetKey = HEAD) -> int:
    """Return the gas that a message uses, after its sender's pending messages."""
    return _gas_used(node, request, key)


def estimate_premium(node: NodeReader, blocks: int, sender: Address, limit: int, key: TipsetKey = HEAD) -> str:
    """Return the premium for inclusion in the next `blocks` blocks, in attoFIL per gas."""
    return str(_premium(node, blocks, key))


def estimate_fee_cap(node: Node, request: Message, blocks: int, key: TipsetKey = HEAD) -> str:
    """Return a fee cap that covers a message's premium and the highest base fee of the next `blocks` blocks."""
    return str(_fee_cap(node, request.gas_premium, blocks))


def estimate_message_gas(
    node: NodeReader, request: Message, spec: SendSpec = DEFAULT_SPEC, key: TipsetKey = HEAD
) -> dict[str, Any]:
    """Fill in gas limit, premium and fee cap of a message where they are 0, within its maximum fee (0.07 FIL)."""
    return message_json(_with_gas(node, request, spec, key))


# --- the mempool ------------------------------------------------------------------------------------------------------


def push(node: Node, signed: SignedMessage) -> dict[str, str]:
    """Submit a signed message; return its CID."""
    node.network.submit_native(signed)
    return cid_json(signed.cid())


def push_batch(node: Node, messages: list[SignedMessage]) -> list[dict[str, str]] | None:
    """Submit signed messages in order, up to the first refused one; return their CIDs, or null for no messages."""
    return [push(node, signed) for signed in messages] or None


def push_message(node: Node, request: Message, spec: SendSpec = DEFAULT_SPEC) -> dict[str, Any]:
    """Fill in a message's nonce and gas, sign it with a key of the node, and submit it; return the signed message.

    A push with the UUID of an earlier one sends nothing and returns the earlier message. The message's nonce is 0, or
    the one that it gets.
    """
    sent = None if spec.uuid is None else _sent(node, spec.uuid)
    if sent is not None:
        return message_json(sent)
    owner = _account(node, request.from_)
    nonce = node.network.pending_nonce(request.from_)
    if request.nonce not in (0, nonce):  # Lotus refuses the next nonce, too
        raise RpcError(
            LOTUS_ERROR, f"MpoolPushMessage expects message nonce to be 0, was {request.nonce}; the next is {nonce}"
        )
    signed = _sign(node, owner, replace(_with_gas(node, request, spec, HEAD), nonce=nonce))
    sent_hash = node.network.submit_native(signed)
    if spec.uuid is not None:
        node.pushed[spec.uuid] = sent_hash
        if len(node.pushed) > _MAX_UUIDS:
            del node.pushed[next(iter(node.pushed))]
    return message_json(signed)


def push_messages(node: Node, requests: list[Message], spec: SendSpec = DEFAULT_SPEC) -> list[dict[str, Any]] | None:
    """Push several messages in order, like Filecoin.MpoolPushMessage, up to the first refusal; null for no messages."""
    return [push_message(node, request, spec) for request in requests] or None


def get_nonce(node: Node, owner: Address) -> int:
    """Return the next nonce of an account, after its pending messages. Error 1 if no actor has the address."""
    machine = node.network.machine
    actor = actor_of(machine, owner)
    if owner.protocol is Protocol.ID:
        owner = actor.delegated_address or key_address(machine, owner, actor)
    return node.network.pending_nonce(owner)


def pending(node: Node, key: TipsetKey = HEAD) -> list[dict[str, Any]]:
    """Return the pending messages, those of a sender by nonce."""
    found_tipset(node.network, key)
    waiting = sorted(node.network.mempool, key=lambda candidate: (str(candidate.bare.from_), candidate.bare.nonce))
    return [message_json(candidate.message) for candidate in waiting]


def select(node: Node, key: TipsetKey, quality: Any) -> list[dict[str, Any]]:
    """Return the messages that the next block would include."""
    found_tipset(node.network, key)
    return [message_json(candidate.message) for candidate in node.network.chosen()]


# --- the wallet -------------------------------------------------------------------------------------------------------


def wallet_list(node: Node) -> list[str]:
    """Return the addresses that the node signs for: f1 and f410 of each account."""
    return [address_json(address) for account in _accounts(node) for address in (account.native, account.delegated)]


def wallet_default(node: Node) -> str:
    """Return the first account's f1 address."""
    return address_json(node.network.accounts[0].native)


def wallet_has(node: Node, owner: Address) -> bool:
    """Return true if the node has the key of an address."""
    return _find_account(node, _accounts(node), owner) is not None


def wallet_balance(node: Node, owner: Address) -> str:
    """Return the balance of an address in attoFIL; 0 if no actor has it."""
    return f"{machine_at(node, HEAD).balance(owner):d}"


def wallet_sign(node: Node, owner: Address, content: bytes) -> dict[str, Any]:
    """Sign bytes with a key of the node: their blake2b-256 for an f1 address, their Keccak-256 for an f410 address."""
    account = _account(node, owner)
    if _is_native(node, owner, account):
        seal = Signature(SignatureType.SECP256K1, sign_secp256k1(account.private_key, content))
    else:
        seal = Signature(SignatureType.DELEGATED, account.sign_digest(keccak(content)))
    return {"Type": int(seal.type), "Data": bytes_json(seal.data)}


def wallet_sign_message(node: Node, owner: Address, request: Message) -> dict[str, Any]:
    """Sign a message with a key of the node; an f410 address signs it as a transaction."""
    return message_json(_sign(node, _account(node, owner), request))


def wallet_verify(node: Node, owner: Address, content: bytes, seal: Signature) -> bool:
    """Return true if the signature of the bytes is valid for the address."""
    if owner.protocol is Protocol.ID:
        machine = node.network.machine
        actor = actor_of(machine, owner)
        owner = actor.delegated_address or owner
    if seal.type is SignatureType.BLS:
        return verify_bls(seal.data, owner, content)
    if seal.type is SignatureType.SECP256K1:
        return verify_secp256k1(seal.data, owner, content)
    key = recover_secp256k1(keccak(content), seal.data)
    return key is not None and from_delegated(owner) == keccak(key[1:])[-20:]


def wallet_validate(node: Node, owner: Address) -> str:
    """Parse a text as an address."""
    return address_json(owner)


# --- how --------------------------------------------------------------------------------------------------------------


def _gas_used(node: NodeReader, request: Message, key: TipsetKey) -> int:
    """Return the gas that a message uses in the next block, without fees. Raises RpcError 3 if it fails."""
    machine, rules = machine_at(node, key) if key.blocks else node.network.machine, node.network.rules
    id_of(machine, request.from_)
    waiting = node.network.mempool.ready_of(request.from_, nonce_of(node.network.machine, request.from_))
    with overridden(machine, _FREE):
        if found_tipset(node.network, key) == node.network.head:
            apply_pending(machine, waiting)
        sender = actor_of(machine, request.from_)
        tried = replace(
            request,
            nonce=nonce_of_actor(machine, sender),
            gas_limit=min(rules.messages.gas_limit(machine), rules.limits.request_gas),
            gas_fee_cap=TokenAmount(0),
            gas_premium=TokenAmount(0),
        )
        result = machine.apply(tried)
    if result.fatal is not None:
        raise result.fatal
    if result.exit_code != ExitCode.OK:
        end = exit_name(result.exit_code, native=is_native_receiver(request.to))
        reason = result.message or "none"
        data = f"0x{unwrap_return(result.return_data).hex()}"
        raise RpcError(EXECUTION_REVERTED, f"message execution failed: exit {end}, reason: {reason}", data)
    return result.gas_used


def _with_gas_limit(node: NodeReader, request: Message, key: TipsetKey) -> Message:
    numerator, denominator = _OVERESTIMATION
    limit = _gas_used(node, request, key) * numerator // denominator
    return replace(request, gas_limit=Gas(min(limit, node.network.rules.messages.gas_limit(node.network.machine))))


def _with_gas(node: NodeReader, request: Message, spec: SendSpec, key: TipsetKey) -> Message:
    if request.gas_limit == 0:
        request = _with_gas_limit(node, request, key)
    if request.gas_premium == 0:
        request = replace(request, gas_premium=_premium(node, _PREMIUM_BLOCKS, HEAD))
    if request.gas_fee_cap == 0:
        request = replace(request, gas_fee_cap=_fee_cap(node, request.gas_premium, _FEE_CAP_BLOCKS))
    max_fee, cap = spec.max_fee or _MAX_FEE, request.gas_fee_cap
    if spec.maximizes_fee_cap or cap * request.gas_limit > max_fee:
        cap = TokenAmount(max_fee // request.gas_limit)
    return replace(request, gas_fee_cap=cap, gas_premium=min(cap, request.gas_premium))


def _premium(node: NodeReader, blocks: int, key: TipsetKey) -> TokenAmount:
    head = found_tipset(node.network, key)
    return suggested_premium(node.network.chain.index, head, node.network.rules, blocks)


def _estimate(node: Node, request: Message, spec: SendSpec = DEFAULT_SPEC) -> Callable[[NodeReader], Message] | None:
    """Return the query for a message's gas limit, for a sender whose key the node has, and the message with it."""
    if request.gas_limit or spec.uuid in node.pushed:
        return None
    accounts = _accounts(node)

    def prepare(reader: NodeReader) -> Message:
        if _find_account(reader, accounts, request.from_) is None:
            raise _no_key(request.from_)
        return _with_gas_limit(reader, request, HEAD)

    return prepare


def _sent(node: Node, uuid: UUID) -> SignedMessage | None:
    """Return the message that was pushed with a UUID; None if there is none, also after a reversion of the chain."""
    sent = node.pushed.get(uuid)
    if sent is None:
        return None
    waiting = node.network.waiting(sent)
    if waiting is not None:
        return waiting.message
    executed = node.network.find_executed(sent)
    return None if executed is None else executed.candidate.message


def _fee_cap(node: NodeReader, premium: int, blocks: int) -> TokenAmount:
    """Return the premium plus the next base fee after N increases by an eighth; fewer than none are decreases."""
    if blocks > _MAX_BLOCKS:
        raise RpcError(LOTUS_ERROR, f"a fee cap for {blocks} blocks cannot be estimated: pass at most {_MAX_BLOCKS}")
    increase = int(1.125**blocks * _SCALE)
    return TokenAmount(premium + node.network.base_fee * increase // _SCALE)


def _accounts(node: Node) -> tuple[Account, ...]:
    """Return the accounts that the node signs for."""
    return node.network.accounts if node.signs else ()


def _find_account(node: NodeReader, accounts: tuple[Account, ...], owner: Address) -> Account | None:
    """Find the account with an address, f0 addresses included."""
    if owner.protocol is Protocol.ID:
        find = node.network.machine.state_tree.lookup_id
        own = ((account, (account.native, account.delegated)) for account in accounts)
        return next((account for account, names in own if owner.actor_id() in map(find, names)), None)
    return next((a for a in accounts if owner in (a.native, a.delegated)), None)


def _account(node: Node, owner: Address) -> Account:
    account = _find_account(node, _accounts(node), owner)
    if account is None:
        raise _no_key(owner)
    return account


def _no_key(owner: Address) -> RpcError:
    return RpcError(LOTUS_ERROR, f"signing using key '{owner}': key not found")


def _is_native(node: Node, owner: Address, account: Account) -> bool:
    find = node.network.machine.state_tree.lookup_id
    return owner == account.native or find(owner) == find(account.native)


def _sign(node: Node, account: Account, request: Message) -> SignedMessage:
    if _is_native(node, request.from_, account):
        return account.sign_native(replace(request, from_=account.native))
    try:
        transaction = transaction_of(request, node.network.chain_id)
        return messages.signed_message(account.sign(transaction), account.address)
    except TransactionError as error:
        raise RpcError(LOTUS_ERROR, f"an f410 address signs Ethereum's transactions only: {error}") from None


_MAX_SIZE: Final = (64 << 10) - 128
"""Maximum size of a message, so that it fits into a block with its signature."""
_BOUND: Final = 10
"""Factor by which the base fee may fall or rise in the next epochs."""
_MINUTE: Final = 60 * 10**9
"""A minute in nanoseconds, as Go writes a duration."""


class Check(IntEnum):
    """A check of a message (`CheckStatusCode`)."""

    SERIALIZE = 1
    SIZE = 2
    VALIDITY = 3
    MIN_GAS = 4
    MIN_BASE_FEE = 5
    BASE_FEE = 6
    LOWER_BOUND = 7
    UPPER_BOUND = 8
    STATE_NONCE = 9
    NONCE = 10
    STATE_BALANCE = 11
    BALANCE = 12


@dataclass(frozen=True, slots=True)
class Prototype:
    """A message to check; its nonce counts only if `has_nonce`."""

    message: Message
    has_nonce: bool


def prototype(value: Any) -> Prototype:
    """Read a message prototype: {Message, ValidNonce}."""
    request = fields(value, "message prototype")
    return Prototype(message(request.get("Message")), field(request, "ValidNonce", boolean) or False)


def pool_config(node: Node) -> dict[str, Any]:
    """Return the limits of the message pool, and the factor of estimates of gas."""
    return {
        "PriorityAddrs": None, "SizeLimitHigh": MAX_PENDING, "SizeLimitLow": MAX_PENDING, "ReplaceByFeeRatio": 1.25,
        "PruneCooldown": _MINUTE, "GasLimitOverestimation": 1.25,
    }  # fmt: skip


def check_messages(node: Node, prototypes: list[Prototype]) -> list[list[dict[str, Any]]]:
    """Check messages as if they followed their senders' pending messages in this order."""
    return _check(node, prototypes, _pending(node))


def check_pending(node: Node, sender: Address) -> list[list[dict[str, Any]]] | None:
    """Check the pending messages of a sender; null if there are none."""
    found = _pending(node).get(sender, {})
    return _check(node, [Prototype(found[nonce], True) for nonce in sorted(found)]) if found else None


def check_replacements(node: Node, messages: list[Message]) -> list[list[dict[str, Any]]]:
    """Check the pending messages of the senders as if these messages replaced those with the same nonces."""
    pending, replaced = _pending(node), dict[Address, dict[int, Message]]()
    for each in messages:
        replaced.setdefault(each.from_, pending.get(each.from_, {}))[each.nonce] = each
    return _check(node, [Prototype(own[nonce], True) for own in replaced.values() for nonce in sorted(own)])


# --- the checks -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sender:
    """A sender's next nonce and the attoFIL that it needs so far."""

    next_nonce: int
    needed: int = 0


_Pending = Mapping[Address, dict[int, Message]]
"""Pending messages by sender and nonce."""
_NONE: Final[_Pending] = {}


def _check(node: Node, prototypes: list[Prototype], pending: _Pending = _NONE) -> list[list[dict[str, Any]]]:
    senders: dict[Address, _Sender] = {}
    found = []
    for each in prototypes:
        cid = cid_json(each.message.cid())
        checks = _checks(node, each, senders, pending)
        found.append(
            [{"Cid": cid, "Code": code, "OK": ok, "Err": error, "Hint": hint} for code, ok, error, hint in checks]
        )
    return found


_Status = tuple[Check, bool, str, dict[str, Any] | None]


def _status(code: Check, error: str = "", **hint: Any) -> _Status:
    return code, not error, error, hint or None


def _checks(node: Node, tried: Prototype, senders: dict[Address, _Sender], pending: _Pending) -> Iterator[_Status]:
    """Yield the checks of a message, and count it among its sender's messages."""
    machine, of = node.network.machine, tried.message
    sender = senders.get(of.from_)
    if sender is None:
        own = pending.get(of.from_, {})
        try:
            nonce = nonce_of_actor(machine, actor_of(machine, of.from_))
        except RpcError as missing:
            yield _status(Check.STATE_NONCE, f"error retrieving state nonce: {missing.message}")
            return
        needed = sum(_cost(each) for each in own.values())
        sender = senders[of.from_] = _Sender(node.network.pending_nonce(of.from_) if own else nonce, needed)
        yield _status(Check.STATE_NONCE, nonce=sender.next_nonce)
    else:
        yield _status(Check.STATE_NONCE)
    balance = machine.balance(of.from_)
    yield _status(Check.STATE_BALANCE, balance=f"{balance:d}")
    size = len(of.to_cbor())
    yield _status(Check.SERIALIZE)
    yield _status(Check.SIZE, "message too big" if size > _MAX_SIZE else "")
    invalid = why_invalid(of, node.network.rules.messages.gas_limit(machine))
    yield _status(Check.VALIDITY, f"syntactically invalid message: {invalid}" if invalid else "")
    if invalid:
        return
    yield from _gas_checks(node, of, size)
    is_next = not tried.has_nonce or of.nonce == sender.next_nonce
    error = "" if is_next else f"message nonce doesn't match next nonce ({sender.next_nonce})"
    yield _status(Check.NONCE, error, nextNonce=sender.next_nonce)
    sender.next_nonce += is_next
    sender.needed += _cost(of)
    error = "insufficient balance" if balance < sender.needed else ""
    yield _status(Check.BALANCE, error, requiredFunds=f"{sender.needed:d}")


def _gas_checks(node: Node, of: Message, size: int) -> Iterator[_Status]:
    minimum = inclusion_gas(node.network.machine, size)
    charge = {
        "Name": "OnChainMessage", "Extra": None, "ComputeGas": minimum, "StorageGas": 0, "VirtualCompute": 0,
        "VirtualStorage": 0,
    }  # fmt: skip
    error = "GasLimit less than epoch minimum gas" if of.gas_limit < minimum else ""
    yield _status(Check.MIN_GAS, error, minGas=charge)
    cap, fee = of.gas_fee_cap, node.network.head.base_fee
    yield _status(Check.MIN_BASE_FEE, "GasFeeCap less than minimum base fee" if cap < MINIMUM_BASE_FEE else "")
    if cap < MINIMUM_BASE_FEE:
        return
    shown = f"{fee:d}"
    yield _status(Check.BASE_FEE, "GasFeeCap less than current base fee" if cap < fee else "", baseFee=shown)
    low, high = max(fee // _BOUND, MINIMUM_BASE_FEE), fee * _BOUND
    of_bound = "GasFeeCap less than base fee {} bound for inclusion in next 20 epochs"
    error = of_bound.format("lower") if cap < low else ""
    yield _status(Check.LOWER_BOUND, error, baseFeeLowerBound=f"{low:d}", baseFee=shown)
    warning = of_bound.format("upper") if cap < high else ""
    yield Check.UPPER_BOUND, True, warning, {"baseFeeUpperBound": f"{high:d}", "baseFee": shown}


def _cost(of: Message) -> int:
    return of.gas_fee_cap * of.gas_limit + of.value


def _pending(node: Node) -> _Pending:
    found: dict[Address, dict[int, Message]] = {}
    for each in node.network.mempool:
        found.setdefault(each.bare.from_, {})[each.bare.nonce] = each.bare
    return found


METHODS = (
    Method("Filecoin.GasEstimateGasLimit", (message, optional(tipset)), estimate_gas_limit, reads=True),
    Method(
        "Filecoin.GasEstimateGasPremium",
        (unsigned, filecoin_address, epoch, optional(tipset)),
        estimate_premium,
        reads=True,
    ),
    Method("Filecoin.GasEstimateFeeCap", (message, epoch, optional(tipset)), estimate_fee_cap),
    Method(
        "Filecoin.GasEstimateMessageGas",
        (message, optional(send_spec), optional(tipset)),
        estimate_message_gas,
        reads=True,
    ),
    Method("Filecoin.MpoolPush", (signed_message,), push, aliases=("Filecoin.MpoolPushUntrusted",)),
    Method(
        "Filecoin.MpoolBatchPush",
        (list_of(signed_message, _MAX_MESSAGES),),
        push_batch,
        aliases=("Filecoin.MpoolBatchPushUntrusted",),
    ),
    Method(
        "Filecoin.MpoolPushMessage",
        (message, optional(send_spec)),
        push_message,
        preparation=Preparation(_estimate, attrgetter("from_")),
    ),
    Method("Filecoin.MpoolBatchPushMessage", (list_of(message, _MAX_MESSAGES), optional(send_spec)), push_messages),
    Method("Filecoin.MpoolGetNonce", (filecoin_address,), get_nonce),
    Method("Filecoin.MpoolPending", (optional(tipset),), pending),
    Method("Filecoin.MpoolSelect", (tipset, any_value), select),
    Method("Filecoin.WalletList", (), wallet_list),
    Method("Filecoin.WalletDefaultAddress", (), wallet_default),
    Method("Filecoin.WalletHas", (filecoin_address,), wallet_has),
    Method("Filecoin.WalletBalance", (filecoin_address,), wallet_balance),
    Method("Filecoin.WalletSign", (filecoin_address, base64_bytes), wallet_sign),
    Method("Filecoin.WalletSignMessage", (filecoin_address, message), wallet_sign_message),
    Method("Filecoin.WalletVerify", (filecoin_address, base64_bytes, signature), wallet_verify),
    Method("Filecoin.WalletValidateAddress", (filecoin_address,), wallet_validate),
    Method("Filecoin.MpoolGetConfig", (), pool_config, inline=True),
    Method("Filecoin.MpoolCheckMessages", (list_of(prototype, _MAX_MESSAGES),), check_messages),
    Method("Filecoin.MpoolCheckPendingMessages", (filecoin_address,), check_pending),
    Method("Filecoin.MpoolCheckReplaceMessages", (list_of(message, _MAX_MESSAGES),), check_replacements),
)

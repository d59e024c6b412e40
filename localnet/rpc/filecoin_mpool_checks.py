"""Filecoin's methods that check messages before they are pushed, and the limits of the message pool.

Each check has Lotus' number; a message that fails an early one has no later ones. Source: lotus
chain/messagepool/check.go, api/types.go (`CheckStatusCode`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import Message
from hypervisor.types import ATTO_PER_FIL
from localnet.chain.mempool import MAX_PENDING
from localnet.rpc.errors import RpcError
from localnet.rpc.filecoin.state import actor_of
from localnet.rpc.lotus_shapes import cid_json
from localnet.rpc.lotus_values import filecoin_address, message
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.values import boolean, field, fields, list_of
from localnet.rules.base_fee import MINIMUM_BASE_FEE
from localnet.rules.filecoin import inclusion_gas
from localnet.state.contract_state import nonce_of_actor

_MAX_MESSAGES: Final = 1_000
_MAX_SIZE: Final = (64 << 10) - 128
"""Maximum size of a message, so that it fits into a block with its signature."""
_MAX_VALUE: Final = 2_000_000_000 * ATTO_PER_FIL
_BOUND: Final = 10
"""Factor by which the base fee may fall or rise in the next epochs."""
_ZERO_BLS_KEY: Final = b"\xc0" + bytes(47)
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
        "PriorityAddrs": None, "SizeLimitHigh": MAX_PENDING, "SizeLimitLow": MAX_PENDING, "ReplaceByFeeRatio": 1.1,
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
    invalid = _invalid(of, node.network.rules.messages.gas_limit(machine))
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


def _invalid(of: Message, block_gas: int) -> str:
    """Return why no block may include a message; empty if one may."""
    for wrong, text in (
        (of.version != 0, "'Version' unsupported"),
        (of.to.protocol is Protocol.BLS and of.to.payload == _ZERO_BLS_KEY, "invalid 'To' address"),
        (of.value < 0, "'Value' field cannot be negative"),
        (of.value > _MAX_VALUE, "'Value' field cannot be greater than total filecoin supply"),
        (of.gas_fee_cap < 0, "'GasFeeCap' field cannot be negative"),
        (of.gas_premium < 0, "'GasPremium' field cannot be negative"),
        (of.gas_premium > of.gas_fee_cap, "'GasFeeCap' less than 'GasPremium'"),
        (of.gas_limit > block_gas,
         f"'GasLimit' field cannot be greater than a block's gas limit ({of.gas_limit} > {block_gas})"),
        (of.gas_limit <= 0, f"'GasLimit' field {of.gas_limit} must be positive"),
    ):  # fmt: skip
        if wrong:
            return text
    return ""


def _cost(of: Message) -> int:
    return of.gas_fee_cap * of.gas_limit + of.value


def _pending(node: Node) -> _Pending:
    found: dict[Address, dict[int, Message]] = {}
    for each in node.network.mempool:
        found.setdefault(each.bare.from_, {})[each.bare.nonce] = each.bare
    return found


METHODS = (
    Method("Filecoin.MpoolGetConfig", (), pool_config, inline=True),
    Method("Filecoin.MpoolCheckMessages", (list_of(prototype, _MAX_MESSAGES),), check_messages),
    Method("Filecoin.MpoolCheckPendingMessages", (filecoin_address,), check_pending),
    Method("Filecoin.MpoolCheckReplaceMessages", (list_of(message, _MAX_MESSAGES),), check_replacements),
)

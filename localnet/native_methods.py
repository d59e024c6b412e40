"""Names and shapes of the built-in actors' methods, so that people can read a call tree.

A row is `Name params -> answer`; the number is the name's hash (FRC-42) unless the row gives one. Shapes: `addr`, `tok`
(money or another big number), `int`, `bool`, `str`, `bytes`, `cid`, `eth`; `[a, b]` a tuple, `[a*]` a list, `a?` or
null; a call without parameters or answer has nothing there. Source: the built-in actors' types.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from bridge.method_numbers import method_number
from hypervisor.address import Address
from hypervisor.bigint import decode_bigint
from hypervisor.errors import InvalidInput
from hypervisor.types import MethodNumber
from store.cid import show
from store.codec import CodecError, decode, unlink

_METHODS: Final = {
    "init": """
        Exec 2 [cid, bytes] -> [addr, addr]
        Exec4 3 [cid, bytes, bytes] -> [addr, addr]
    """,
    "eam": """
        Create 2 [bytes, int] -> [int, addr?, eth]
        Create2 3 [bytes, bytes] -> [int, addr?, eth]
        CreateExternal 4 bytes -> [int, addr?, eth]
    """,
    "evm": """
        Resurrect 2 [eth, bytes]
        GetBytecode 3 -> cid?
        GetBytecodeHash 4 -> bytes
        GetStorageAt 5 [bytes] -> bytes
        InvokeContractDelegate 6 [cid, bytes, eth, tok] -> bytes
        InvokeEVM bytes -> bytes
    """,
    "cron": "EpochTick 2",
    "reward": "AwardBlockReward 2 [addr, tok, tok, int]",
    "account": "AuthenticateMessage [bytes, bytes] -> bool",
    "datacap": """
        Name -> str
        Symbol -> str
        Granularity -> int
        TotalSupply -> tok
        Balance addr -> tok
        Allowance [addr, addr] -> tok
        Transfer [addr, tok, bytes] -> [tok, tok, bytes]
        TransferFrom [addr, addr, tok, bytes] -> [tok, tok, tok, bytes]
        IncreaseAllowance [addr, tok] -> tok
        DecreaseAllowance [addr, tok] -> tok
        RevokeAllowance [addr] -> tok
        Burn [tok] -> [tok]
        BurnFrom [addr, tok] -> [tok, tok]
    """,
    "storagepower": """
        CreateMiner [addr, addr, int, bytes, [bytes*]] -> [addr, addr]
        NetworkRawPower -> tok
        MinerRawPower int -> [tok, bool]
        MinerCount -> int
        MinerConsensusCount -> int
    """,
    "storageminer": """
        GetOwner -> [addr, addr?]
        ChangeOwnerAddress addr
        IsControllingAddress addr -> bool
        GetSectorSize -> int
        GetAvailableBalance -> tok
        ChangeWorkerAddress [addr, [addr*]]
        ConfirmChangeWorkerAddress
        ChangePeerID [bytes]
        ChangeMultiaddrs [[bytes*]]
        GetPeerID -> [bytes]
        GetMultiaddrs -> [[bytes*]]
        RepayDebt
        WithdrawBalance [tok] -> tok
        ApplyRewards 14 [tok, tok]
    """,
    "storagemarket": """
        AddBalance addr
        WithdrawBalance [addr, tok] -> tok
        GetBalance addr -> [tok, tok]
        GetDealDataCommitment int -> [cid, int]
        GetDealClient int -> int
        GetDealProvider int -> int
        GetDealTerm int -> [int, int]
        GetDealTotalPrice int -> tok
        GetDealVerified int -> bool
        GetDealActivation int -> [int, int]
    """,
    "verifiedregistry": """
        AddVerifiedClient [addr, tok]
        GetClaims [int, [int*]]
        RemoveExpiredAllocations [int, [int*]]
        RemoveExpiredClaims [int, [int*]]
    """,
}

_ANY_ACTOR: Final = "Receive [int, bytes]"

Shape = Callable[[Any], Any]
"""Turns a decoded CBOR value into one that JSON can hold; ShapeMismatch for another value."""


class ShapeMismatch(ValueError):
    """A value of another shape than the method's."""


@dataclass(frozen=True, slots=True)
class NativeMethod:
    """A method's name, and the shapes of its parameters and its answer, where it has any."""

    name: str
    params: Shape | None
    answer: Shape | None


def native_method(actor: str, number: int) -> NativeMethod | None:
    """The method of a built-in actor, by the actor's name and the method's number; None where it is not known."""
    if number == 0:
        return NativeMethod("Send", None, None)
    if number == 1:
        return NativeMethod("Constructor", None, None)
    return _table(actor).get(MethodNumber(number)) or _table("").get(MethodNumber(number))


def read_shape(shape: Shape | None, data: bytes) -> Any:
    """A block's value by its shape. Raises ShapeMismatch."""
    if shape is None:
        raise ShapeMismatch("nothing is known of it")
    try:
        return shape(decode(data))
    except (CodecError, InvalidInput) as error:
        raise ShapeMismatch(str(error)) from None


@cache
def _table(actor: str) -> dict[MethodNumber, NativeMethod]:
    rows = (_ANY_ACTOR if not actor else _METHODS.get(actor, "")).strip().splitlines()
    return dict(_row(row.strip()) for row in rows)


def _row(row: str) -> tuple[MethodNumber, NativeMethod]:
    call, _, answer = row.partition("->")
    name, _, rest = call.strip().partition(" ")
    number, _, shape = rest.strip().partition(" ") if rest.strip()[:1].isdigit() else ("", "", rest)
    method = NativeMethod(name, _shape(shape.strip()), _shape(answer.strip()))
    return MethodNumber(int(number)) if number else method_number(name), method


# --- shapes -----------------------------------------------------------------------------------------------------------


def _shape(text: str) -> Shape | None:
    return _Parser(re.findall(r"[a-z]+|[\[\],*?]", text)).shape() if text else None


class _Parser:
    """Reads the notation of this module's table; the table is ours, so a mistake in it is a defect."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens[::-1]

    def shape(self) -> Shape:
        first = self._tokens.pop()
        found = self._tuple() if first == "[" else _SCALARS[first]
        if self._tokens and self._tokens[-1] == "?":
            self._tokens.pop()
            return _or_null(found)
        return found

    def _tuple(self) -> Shape:
        parts: list[Shape] = []
        while True:
            parts.append(self.shape())
            separator = self._tokens.pop()
            if separator == "*":
                self._tokens.pop()
                return _list(parts[0])
            if separator == "]":
                return _tuple(parts)


def _scalar(kind: type, show_: Callable[[Any], Any]) -> Shape:
    def read(value: Any) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ShapeMismatch(f"{type(value).__name__}, expected {kind.__name__}")
        return show_(value)

    return read


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"


_SCALARS: Final[dict[str, Shape]] = {
    "addr": _scalar(bytes, lambda value: str(Address.from_bytes(value))),
    "tok": _scalar(bytes, decode_bigint),
    "bytes": _scalar(bytes, _hex),
    "eth": _scalar(bytes, _hex),
    "str": _scalar(str, lambda value: value),
    "int": _scalar(int, lambda value: value),
    "bool": _scalar(bool, lambda value: value),
    "cid": lambda value: show(unlink(value)),
}


def _or_null(inner: Shape) -> Shape:
    return lambda value: None if value is None else inner(value)


def _list(inner: Shape) -> Shape:
    items = _scalar(list, lambda value: value)
    return lambda value: [inner(item) for item in items(value)]


def _tuple(parts: list[Shape]) -> Shape:
    def read(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) != len(parts):
            raise ShapeMismatch(f"expected a tuple of {len(parts)}")
        return [part(item) for part, item in zip(parts, value, strict=True)]

    return read

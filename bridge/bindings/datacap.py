"""f07: an FRC-46 token that represents verified data; a byte of data is 10^18 units.

Generated from fvm_hypervisor/builtin_actors/schemas/datacap.ipldsch: `make bindings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from hypervisor.address import Address
from hypervisor.types import ActorID, MethodNumber, TokenAmount

CODEC: Final = Codec("datacap", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
NAME: Final = MethodNumber(48890204)
TRANSFER: Final = MethodNumber(80475954)
TOTAL_SUPPLY: Final = MethodNumber(114981429)
MINT: Final = MethodNumber(116935346)
BURN: Final = MethodNumber(1434719642)
DECREASE_ALLOWANCE: Final = MethodNumber(1529376545)
INCREASE_ALLOWANCE: Final = MethodNumber(1777121560)
SYMBOL: Final = MethodNumber(2061153854)
DESTROY: Final = MethodNumber(2624896501)
REVOKE_ALLOWANCE: Final = MethodNumber(2765635761)
BURN_FROM: Final = MethodNumber(2979674018)
BALANCE: Final = MethodNumber(3261979605)
TRANSFER_FROM: Final = MethodNumber(3621052141)
GRANULARITY: Final = MethodNumber(3936767397)
ALLOWANCE: Final = MethodNumber(4205072950)


@dataclass(frozen=True, slots=True)
class MintParams(Struct, codec=CODEC):
    """Parameters of Mint. `amount`: attoFIL."""

    to: Address
    amount: TokenAmount
    operators: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class MintReturn(Struct, codec=CODEC):
    """Return value of Mint. `balance`, `supply`: attoFIL. `recipient_data`: CBOR or empty."""

    balance: TokenAmount
    supply: TokenAmount
    recipient_data: bytes


@dataclass(frozen=True, slots=True)
class DestroyParams(Struct, codec=CODEC):
    """Parameters of Destroy. `amount`: attoFIL."""

    owner: Address
    amount: TokenAmount


@dataclass(frozen=True, slots=True)
class DestroyReturn(Struct, codec=CODEC):
    """Return value of Destroy. `balance`: attoFIL."""

    balance: TokenAmount


@dataclass(frozen=True, slots=True)
class AllowanceParams(Struct, codec=CODEC):
    """Parameters of Allowance."""

    owner: Address
    operator: Address


@dataclass(frozen=True, slots=True)
class TransferParams(Struct, codec=CODEC):
    """Parameters of Transfer. `amount`: attoFIL. `operator_data`: CBOR or empty."""

    to: Address
    amount: TokenAmount
    operator_data: bytes


@dataclass(frozen=True, slots=True)
class TransferReturn(Struct, codec=CODEC):
    """Return value of Transfer. `from_balance`, `to_balance`: attoFIL. `recipient_data`: CBOR or empty."""

    from_balance: TokenAmount
    to_balance: TokenAmount
    recipient_data: bytes


@dataclass(frozen=True, slots=True)
class TransferFromParams(Struct, codec=CODEC):
    """Parameters of TransferFrom. `amount`: attoFIL. `operator_data`: CBOR or empty."""

    from_: Address
    to: Address
    amount: TokenAmount
    operator_data: bytes


@dataclass(frozen=True, slots=True)
class TransferFromReturn(Struct, codec=CODEC):
    """Return value of TransferFrom.

    `from_balance`, `to_balance`, `allowance`: attoFIL. `recipient_data`: CBOR or empty.
    """

    from_balance: TokenAmount
    to_balance: TokenAmount
    allowance: TokenAmount
    recipient_data: bytes


@dataclass(frozen=True, slots=True)
class IncreaseAllowanceParams(Struct, codec=CODEC):
    """Parameters of IncreaseAllowance. `amount`: attoFIL."""

    operator: Address
    amount: TokenAmount


@dataclass(frozen=True, slots=True)
class RevokeAllowanceParams(Struct, codec=CODEC):
    """Parameters of RevokeAllowance."""

    operator: Address


@dataclass(frozen=True, slots=True)
class BurnParams(Struct, codec=CODEC):
    """Parameters of Burn. `amount`: attoFIL."""

    amount: TokenAmount


@dataclass(frozen=True, slots=True)
class BurnReturn(Struct, codec=CODEC):
    """Return value of Burn. `balance`: attoFIL."""

    balance: TokenAmount


@dataclass(frozen=True, slots=True)
class BurnFromParams(Struct, codec=CODEC):
    """Parameters of BurnFrom. `amount`: attoFIL."""

    owner: Address
    amount: TokenAmount


@dataclass(frozen=True, slots=True)
class BurnFromReturn(Struct, codec=CODEC):
    """Return value of BurnFrom. `balance`, `allowance`: attoFIL."""

    balance: TokenAmount
    allowance: TokenAmount


@dataclass(frozen=True, slots=True)
class TokenReceived(Struct, codec=CODEC):
    """Payload of the receiver hook (type 2233613279).

    `amount`: attoFIL. `operator_data`, `token_data`: CBOR or empty.
    """

    from_: ActorID
    to: ActorID
    operator: ActorID
    amount: TokenAmount
    operator_data: bytes
    token_data: bytes


def constructor(address: Address) -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, "ConstructorParams", address, None)


def name() -> Call[str]:
    """Call Name, method 48890204."""
    return CODEC.call(NAME, None, None, "NameReturn")


def transfer(to: Address, amount: int, operator_data: bytes) -> Call[TransferReturn]:
    """Call Transfer, method 80475954. `amount`: attoFIL. `operator_data`: CBOR or empty."""
    return CODEC.call(
        TRANSFER, "TransferParams", TransferParams(to, TokenAmount(amount), operator_data), "TransferReturn"
    )


def total_supply() -> Call[TokenAmount]:
    """Call TotalSupply, method 114981429."""
    return CODEC.call(TOTAL_SUPPLY, None, None, "TotalSupplyReturn")


def mint(to: Address, amount: int, operators: Sequence[Address]) -> Call[MintReturn]:
    """Call Mint, method 116935346. `amount`: attoFIL."""
    return CODEC.call(MINT, "MintParams", MintParams(to, TokenAmount(amount), tuple(operators)), "MintReturn")


def burn(amount: int) -> Call[BurnReturn]:
    """Call Burn, method 1434719642. `amount`: attoFIL."""
    return CODEC.call(BURN, "BurnParams", BurnParams(TokenAmount(amount)), "BurnReturn")


def decrease_allowance(operator: Address, amount: int) -> Call[TokenAmount]:
    """Call DecreaseAllowance, method 1529376545. `amount`: attoFIL."""
    return CODEC.call(
        DECREASE_ALLOWANCE,
        "DecreaseAllowanceParams",
        IncreaseAllowanceParams(operator, TokenAmount(amount)),
        "DecreaseAllowanceReturn",
    )


def increase_allowance(operator: Address, amount: int) -> Call[TokenAmount]:
    """Call IncreaseAllowance, method 1777121560. `amount`: attoFIL."""
    return CODEC.call(
        INCREASE_ALLOWANCE,
        "IncreaseAllowanceParams",
        IncreaseAllowanceParams(operator, TokenAmount(amount)),
        "IncreaseAllowanceReturn",
    )


def symbol() -> Call[str]:
    """Call Symbol, method 2061153854."""
    return CODEC.call(SYMBOL, None, None, "SymbolReturn")


def destroy(owner: Address, amount: int) -> Call[DestroyReturn]:
    """Call Destroy, method 2624896501. `amount`: attoFIL."""
    return CODEC.call(DESTROY, "DestroyParams", DestroyParams(owner, TokenAmount(amount)), "DestroyReturn")


def revoke_allowance(operator: Address) -> Call[TokenAmount]:
    """Call RevokeAllowance, method 2765635761."""
    return CODEC.call(
        REVOKE_ALLOWANCE, "RevokeAllowanceParams", RevokeAllowanceParams(operator), "RevokeAllowanceReturn"
    )


def burn_from(owner: Address, amount: int) -> Call[BurnFromReturn]:
    """Call BurnFrom, method 2979674018. `amount`: attoFIL."""
    return CODEC.call(BURN_FROM, "BurnFromParams", BurnFromParams(owner, TokenAmount(amount)), "BurnFromReturn")


def balance(address: Address) -> Call[TokenAmount]:
    """Call Balance, method 3261979605."""
    return CODEC.call(BALANCE, "BalanceParams", address, "BalanceReturn")


def transfer_from(from_: Address, to: Address, amount: int, operator_data: bytes) -> Call[TransferFromReturn]:
    """Call TransferFrom, method 3621052141. `amount`: attoFIL. `operator_data`: CBOR or empty."""
    return CODEC.call(
        TRANSFER_FROM,
        "TransferFromParams",
        TransferFromParams(from_, to, TokenAmount(amount), operator_data),
        "TransferFromReturn",
    )


def granularity() -> Call[int]:
    """Call Granularity, method 3936767397."""
    return CODEC.call(GRANULARITY, None, None, "GranularityReturn")


def allowance(owner: Address, operator: Address) -> Call[TokenAmount]:
    """Call Allowance, method 4205072950."""
    return CODEC.call(ALLOWANCE, "AllowanceParams", AllowanceParams(owner, operator), "AllowanceReturn")

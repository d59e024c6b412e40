"""Parsing of JSON values in Lotus' format: addresses, CIDs, tipset keys, amounts, bytes, messages.

Every reader raises RpcError -32602 with the invalid value. A field that has a zero value in Go may be omitted or
null. Shapes: lotus api/ and chain/types.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from hypervisor.errors import AddressError, MessageError
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.types import Gas, MethodNumber, TokenAmount
from localnet.chain.reading import NetworkReader
from localnet.ledger.blocks import block_hash, tipset_key
from localnet.ledger.records import Tipset
from localnet.rpc.errors import LOTUS_ERROR, RpcError, invalid_params
from localnet.rpc.values import Reader, boolean, field, fields, format_value, text
from store.cid import Cid, CidError, parse_cid, show

_AMOUNT: Final = re.compile(r"-?[0-9]{1,80}")
_EPOCHS: Final = 1 << 63
_U64: Final = 1 << 64
_MAX_BLOCKS: Final = 20


def filecoin_address(value: Any) -> Address:
    """Read an address in its text form."""
    if not isinstance(value, str):
        raise invalid_params(f"{format_value(value)} is not an address: expected a string")
    try:
        return Address.parse(value)
    except AddressError as error:
        raise invalid_params(f"invalid address: {error}") from None


def cid(value: Any) -> Cid:
    """Read a CID as a link: {"/": text}."""
    if not isinstance(value, dict) or not isinstance(value.get("/"), str):
        raise invalid_params(f'{format_value(value)} is not a CID: expected {{"/": "bafy..."}}')
    try:
        return parse_cid(value["/"])
    except CidError as error:
        raise invalid_params(str(error)) from None


def base64_bytes(value: Any) -> bytes:
    """Parse bytes in base64; null is empty."""
    if value is None:
        return b""
    if isinstance(value, str):
        try:
            return b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass  # refused below
    raise invalid_params(f"{format_value(value)} is not base64")


def amount(value: Any) -> TokenAmount:
    """Read an amount in attoFIL: decimal text."""
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise invalid_params(f"{format_value(value)} is not an amount: expected decimal digits in quotes")
    return TokenAmount(int(value))


def epoch(value: Any) -> int:
    """Read an epoch: a JSON number."""
    if not isinstance(value, int) or isinstance(value, bool) or not -_EPOCHS <= value < _EPOCHS:
        raise invalid_params(f"{format_value(value)} is not an epoch: expected an integer of 64 bits")
    return value


def unsigned(value: Any) -> int:
    """Read a number of 64 bits."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _U64:
        raise invalid_params(f"{format_value(value)} is not an unsigned number of 64 bits")
    return value


# --- tipsets ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TipsetKey:
    """Parse a tipset key, a list of block CIDs; an empty one is the head."""

    blocks: tuple[Cid, ...] = ()


HEAD: Final = TipsetKey()


def tipset(value: Any) -> TipsetKey:
    """Read null or a list of CIDs."""
    if value is None:
        return HEAD
    if not isinstance(value, list) or len(value) > _MAX_BLOCKS:
        raise invalid_params(f"{format_value(value)} is not a tipset key: expected null or a list of CIDs")
    return TipsetKey(tuple(cid(block) for block in value))


def found_tipset(network: NetworkReader, key: TipsetKey) -> Tipset:
    """Return the referenced tipset. Raises RpcError 1 if the chain has none."""
    if not key.blocks:
        return network.head
    found = network.chain.index.by_hash(block_hash(tipset_key(key.blocks)))
    if found is None:
        names = ", ".join(show(block) for block in key.blocks)
        raise RpcError(LOTUS_ERROR, f"loading tipset {{{names}}}: it is not on this chain")
    return found


# --- messages ---------------------------------------------------------------------------------------------------------


def message(value: Any) -> Message:
    """Parse a message; omitted fields are zero, as in Go."""
    request = fields(value, "message")
    for name in ("To", "From"):
        if name not in request:
            raise invalid_params(f"{name} is missing")
    read = Message(
        version=_or_zero(request, "Version", unsigned),
        to=field(request, "To", filecoin_address),
        from_=field(request, "From", filecoin_address),
        nonce=_or_zero(request, "Nonce", unsigned),
        value=TokenAmount(_or_zero(request, "Value", amount)),
        method=MethodNumber(_or_zero(request, "Method", unsigned)),
        params=field(request, "Params", base64_bytes) or b"",
        gas_limit=Gas(_or_zero(request, "GasLimit", unsigned)),
        gas_fee_cap=TokenAmount(_or_zero(request, "GasFeeCap", amount)),
        gas_premium=TokenAmount(_or_zero(request, "GasPremium", amount)),
    )
    try:
        read.check()
    except MessageError as error:
        raise invalid_params(str(error)) from None
    return read


def signature(value: Any) -> Signature:
    """Read a signature: {Type, Data}."""
    request = fields(value, "signature")
    kind, data = field(request, "Type", unsigned), field(request, "Data", base64_bytes)
    if kind not in tuple(SignatureType) or data is None:
        raise invalid_params(f"{format_value(value)} is not a signature: expected Type 1, 2 or 3, and Data")
    return Signature(SignatureType(kind), data)


def signed_message(value: Any) -> SignedMessage:
    """Read a signed message: {Message, Signature}."""
    request = fields(value, "signed message")
    content, seal = field(request, "Message", message), field(request, "Signature", signature)
    if content is None or seal is None:
        raise invalid_params("a signed message has Message and Signature")
    return SignedMessage(content, seal)


@dataclass(frozen=True, slots=True)
class SendSpec:
    """A client's wishes for a message: `max_fee` is the maximum to pay for gas in attoFIL, 0 for the default.

    With `maximizes_fee_cap` the fee cap spends all of it. Messages with the same `uuid` are sent once.
    """

    max_fee: TokenAmount = TokenAmount(0)
    maximizes_fee_cap: bool = False
    uuid: UUID | None = None


DEFAULT_SPEC: Final = SendSpec()


def send_spec(value: Any) -> SendSpec:
    """Read {MaxFee, MsgUuid, MaximizeFeeCap}; the UUID of zeros is none."""
    request = fields(value, "send specification")
    return SendSpec(
        TokenAmount(_or_zero(request, "MaxFee", amount)),
        field(request, "MaximizeFeeCap", boolean) or False,
        field(request, "MsgUuid", _uuid),
    )


def _uuid(value: Any) -> UUID | None:
    try:
        found = UUID(text(value))
    except ValueError:
        raise invalid_params(f"{format_value(value)} is not a UUID: expected 32 hexadecimal digits") from None
    return found if found.int else None


def _or_zero(request: dict[str, Any], name: str, read: Reader) -> int:
    found: int | None = field(request, name, read)
    return found or 0

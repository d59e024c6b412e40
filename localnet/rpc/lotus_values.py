"""Lotus' JSON formats: parsing of values, and blocks, tipsets, messages and receipts in results.

Values are addresses, CIDs, tipset keys, amounts, bytes and messages. Every reader raises RpcError -32602 with the
invalid value. A field that has a zero value in Go may be omitted or null. In results CIDs are {"/": text}, amounts
decimal text, bytes base64, and field names capitalised. Empty byte strings are null. Source: lotus api/ and
chain/types.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from hypervisor.errors import AddressError, MessageError
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Receipt, Signature, SignatureType, SignedMessage
from hypervisor.state.state_tree import ActorState
from hypervisor.types import Gas, MethodNumber, TokenAmount, decode_bigint
from localnet.chain.reading import NetworkReader
from localnet.ledger.blocks import block_hash, tipset_key
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.rpc.errors import LOTUS_ERROR, RpcError, invalid_params
from localnet.rpc.values import Reader, boolean, field, fields, format_value, text
from store.blockstore import get_object
from store.cid import Cid, CidError, parse_cid, show
from store.codec import unlink

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


def replacement_of(network: NetworkReader, original: Candidate, *, replaced: bool = True) -> TransactionReceipt | None:
    """Return the executed message that replaced another one with the same call; None if there is none yet.

    Raises RpcError 1 for another call, or without `replaced` (lotus chain/stmgr/searchwait.go,
    `tipsetExecutedMessage`).
    """
    found, name = None, original.hash
    while found is None and name in network.mempool.replaced:
        _, name = network.mempool.replaced[name]
        found = network.find_executed(name)
    if found is None:
        return None
    wanted, signed = original.bare, found.candidate.message
    is_same = _call(wanted) == _call(signed.message)
    if is_same and replaced:
        return found
    kind = "" if is_same else " that is NOT a valid replacement message"
    names = f"F:{show(original.message.cid())} n {wanted.nonce}, TS: {show(signed.cid())} n{signed.message.nonce}"
    raise RpcError(LOTUS_ERROR, f"found message with equal nonce as the one we are looking for{kind} ({names})")


def _call(message: Message) -> tuple[Any, ...]:
    """Return what a replacement must leave as it is."""
    return message.from_, message.to, message.nonce, message.value, message.method, message.params


def message(value: Any) -> Message:
    """Parse a message; omitted fields are zero, as in Go, but a null amount is refused."""
    request = fields(value, "message")
    for name in ("Value", "GasFeeCap", "GasPremium"):
        if value.get(name, "") is None:
            raise invalid_params(f"{name}: null is not an amount: expected decimal digits in quotes, or no {name}")
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


def cid_json(cid: Cid) -> dict[str, str]:
    """Return a CID as a link."""
    return {"/": show(cid)}


def bytes_json(data: bytes) -> str | None:
    """Return bytes in base64; null if empty."""
    return b64encode(data).decode() if data else None


def address_json(address: Address) -> str:
    """Return an address as text with the prefix of test networks: wallets compare it with their own."""
    return f"t{str(address)[1:]}"


def message_json(message: Message | SignedMessage) -> dict[str, Any]:
    """Return a message with its CID, and its signature if it has one."""
    if isinstance(message, SignedMessage):
        signature = signature_json(message.signature)
        return {"Message": message_json(message.message), "Signature": signature, "CID": cid_json(message.cid())}
    return {
        "Version": message.version,
        "To": address_json(message.to),
        "From": address_json(message.from_),
        "Nonce": message.nonce,
        "Value": str(message.value),
        "GasLimit": message.gas_limit,
        "GasFeeCap": str(message.gas_fee_cap),
        "GasPremium": str(message.gas_premium),
        "Method": message.method,
        "Params": bytes_json(message.params),
        "CID": cid_json(message.cid()),
    }


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt; with the codec and the message's CID if it has them (FIP-0107)."""
    shown: dict[str, Any] = {
        "ExitCode": receipt.exit_code,
        "Return": bytes_json(receipt.return_data),
        "GasUsed": receipt.gas_used,
        "EventsRoot": None if receipt.events_root is None else cid_json(receipt.events_root),
    }
    if receipt.message is not None:
        shown |= {"IpldCodec": receipt.return_codec, "Message": cid_json(receipt.message)}
    return shown


def actor_json(actor: ActorState) -> dict[str, Any]:
    """Return an actor of the state tree."""
    delegated = actor.delegated_address
    return {
        "Code": cid_json(actor.code),
        "Head": cid_json(actor.head),
        "Nonce": actor.nonce,
        "Balance": str(actor.balance),
        "DelegatedAddress": None if delegated is None else address_json(delegated),
    }


def key_json(tipset: Tipset) -> list[dict[str, str]]:
    """Return a tipset's key: the CIDs of its blocks, here only one."""
    return [cid_json(tipset.block)]


def tipset_json(network: NetworkReader, tipset: Tipset) -> dict[str, Any]:
    """Return a tipset with its block."""
    return {"Cids": key_json(tipset), "Blocks": [header_json(network, tipset.block)], "Height": tipset.height}


def header_json(network: NetworkReader, block: Cid) -> dict[str, Any]:
    """Return a block's header as stored. Raises BlockNotFound."""
    return header_fields_json(get_object(network.machine.store, block))


def header_fields_json(fields: list[Any]) -> dict[str, Any]:
    """Return the fields of a block header."""
    (
        miner, ticket, election, beacon, proofs, parents, weight, height, state, receipts, messages, aggregate,
        timestamp, signature, fork_signal, base_fee,
    ) = fields  # fmt: skip
    return {
        "Miner": address_json(Address.from_bytes(miner)),
        "Ticket": {"VRFProof": bytes_json(ticket[0])},
        "ElectionProof": {"WinCount": election[0], "VRFProof": bytes_json(election[1])},
        "BeaconEntries": [{"Round": entry, "Data": bytes_json(data)} for entry, data in beacon],
        "WinPoStProof": [{"PoStProof": kind, "ProofBytes": bytes_json(data)} for kind, data in proofs] or None,
        "Parents": _links(parents),
        "ParentWeight": str(decode_bigint(weight)),
        "Height": height,
        "ParentStateRoot": cid_json(unlink(state)),
        "ParentMessageReceipts": cid_json(unlink(receipts)),
        "Messages": cid_json(unlink(messages)),
        "BLSAggregate": _signature_json(aggregate),
        "Timestamp": timestamp,
        "BlockSig": _signature_json(signature),
        "ForkSignaling": fork_signal,
        "ParentBaseFee": str(decode_bigint(base_fee)),
    }


def signature_json(signature: Signature) -> dict[str, Any]:
    """Return a signature."""
    return {"Type": int(signature.type), "Data": bytes_json(signature.data)}


def _signature_json(data: bytes | None) -> dict[str, Any] | None:
    return None if data is None else signature_json(Signature.from_bytes(data))


def _links(links: Iterable[Any]) -> list[dict[str, str]]:
    return [cid_json(unlink(link)) for link in links]

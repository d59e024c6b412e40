"""Messages, signatures and receipts, and their CBOR encodings.

A message is a tuple of ten fields, a signed message of two, a receipt of four or six. External data is decoded strictly
(`store.codec.decode_strict`). Source: ref-fvm shared/src/message and receipt.
"""

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from hypervisor.errors import AddressError, MessageError
from hypervisor.exit_codes import exit_meaning, exit_name
from hypervisor.messages.address import Address, Protocol
from hypervisor.text import PrintedCid, bytes_text, cid_text, facts, one_line, shorten, show_fil
from hypervisor.types import Gas, MethodNumber, TokenAmount, decode_bigint, encode_bigint
from store.cid import Cid, cid_of
from store.codec import CodecError, decode_strict, encode, link, unlink

_U64 = 1 << 64
_SIGNATURE_LENGTH = 69
"""Bytes that a 65-byte signature adds to a message on chain: two CBOR heads, the type byte and the signature."""


class SignatureType(IntEnum):
    """The first byte of a signature."""

    SECP256K1 = 1
    BLS = 2
    DELEGATED = 3


@dataclass(slots=True, unsafe_hash=True)
class Signature:
    """A signature: its type, and its data without the type byte."""

    type: Final[SignatureType]
    data: Final[bytes]

    def __repr__(self) -> str:
        return one_line("Signature", self.type.name, bytes_text(self.data))

    def to_bytes(self) -> bytes:
        """Return the wire format: type, then data."""
        return bytes([self.type]) + self.data

    @classmethod
    def from_bytes(cls, data: bytes) -> "Signature":
        """Parse the wire format. Raises MessageError for an unknown type."""
        if not data or data[0] not in tuple(SignatureType):
            raise MessageError(f"0x{data[:8].hex()} is not a signature: expected 1, 2 or 3 as the first byte")
        return cls(SignatureType(data[0]), data[1:])


@dataclass(slots=True, unsafe_hash=True)
class Message:
    """A message to a method of an actor. `value` is in attoFIL, fee cap and premium in attoFIL per gas.

    `params` are the CBOR parameters of the method. `check` (called by `Hypervisor.apply`) and `from_cbor` raise
    MessageError for invalid fields.

    >>> from hypervisor import Address, Message, fil
    >>> message = Message(to=Address.id(1001), from_=Address.id(1000), value=fil(2))
    >>> message
    Message(f01000 -> f01001, method 0, 2 FIL, nonce 0)
    >>> Message.from_cbor(message.to_cbor()) == message
    True
    >>> Message.from_cbor(bytes([0x80]))
    Traceback (most recent call last):
        ...
    hypervisor.errors.MessageError: a message is a tuple of ten fields
    """

    to: Final[Address]
    from_: Final[Address]
    nonce: Final[int] = 0
    value: Final[TokenAmount] = TokenAmount(0)
    method: Final[MethodNumber] = MethodNumber(0)
    params: Final[bytes] = b""
    gas_limit: Final[Gas] = Gas(10_000_000_000)
    gas_fee_cap: Final[TokenAmount] = TokenAmount(0)
    gas_premium: Final[TokenAmount] = TokenAmount(0)
    version: Final[int] = 0

    def __repr__(self) -> str:
        parties = f"{shorten(str(self.from_))} -> {shorten(str(self.to))}"
        value = show_fil(self.value) if self.value else ""
        return one_line("Message", parties, f"method {self.method}", value, f"nonce {self.nonce}")

    def _repr_html_(self) -> str:
        rows = (
            ("from", self.from_),
            ("to", self.to),
            ("method", self.method),
            ("value", show_fil(self.value) if self.value else ""),
            ("nonce", self.nonce),
            ("params", bytes_text(self.params)),
            ("gas limit", f"{self.gas_limit:,}"),
            ("fee cap, premium", f"{self.gas_fee_cap:,}, {self.gas_premium:,} attoFIL per gas"),
        )
        return facts("message", rows)

    def to_cbor(self) -> bytes:
        """Encode as a tuple of ten fields."""
        return encode(self._fields())

    def _fields(self) -> list[Any]:
        return [
            self.version, self.to.to_bytes(), self.from_.to_bytes(), self.nonce, encode_bigint(self.value),
            self.gas_limit, encode_bigint(self.gas_fee_cap), encode_bigint(self.gas_premium), self.method, self.params,
        ]  # fmt: skip

    @classmethod
    def from_cbor(cls, data: bytes) -> "Message":
        """Decode strictly. Raises MessageError, naming the invalid field."""
        return cls._from_fields(_decode(data, "message"))

    @classmethod
    def _from_fields(cls, fields: Any) -> "Message":
        if not isinstance(fields, list) or len(fields) != 10:
            raise MessageError("a message is a tuple of ten fields")
        version, to, from_, nonce, value, gas_limit, fee_cap, premium, method, params = fields
        return cls(
            version=_check_unsigned(version, "version"),
            to=_address(to, "to"),
            from_=_address(from_, "from"),
            nonce=_check_unsigned(nonce, "nonce"),
            value=_amount(value, "value"),
            gas_limit=Gas(_check_unsigned(gas_limit, "gas limit")),
            gas_fee_cap=_amount(fee_cap, "gas fee cap"),
            gas_premium=_amount(premium, "gas premium"),
            method=MethodNumber(_check_unsigned(method, "method")),
            params=_bytes(params, "params"),
        )

    def check(self) -> None:
        """Raise MessageError unless every field is valid; `value` may be any integer."""
        if not isinstance(self.to, Address) or not isinstance(self.from_, Address):
            raise MessageError(f"sender and receiver must be addresses, not {self.from_!r:.40} and {self.to!r:.40}")
        numbers = (self.version, self.nonce, self.method, self.gas_limit, self.gas_fee_cap, self.gas_premium)
        if (
            {int} == {*map(type, numbers)}
            and min(numbers) >= 0
            and max(numbers[:4]) < _U64
            and type(self.value) is int
            and type(self.params) is bytes
        ):
            return  # the common case
        for name in ("version", "nonce", "method", "gas_limit"):
            _check_unsigned(getattr(self, name), name.replace("_", " "))
        for name in ("gas_fee_cap", "gas_premium"):
            if _integer(getattr(self, name), name.replace("_", " ")) < 0:
                raise MessageError(f"{name.replace('_', ' ')} is {getattr(self, name)}, expected 0 or more")
        _integer(self.value, "value")
        for name in ("value", "gas_fee_cap", "gas_premium"):  # convert to int, since subclasses may print as text
            object.__setattr__(self, name, int(getattr(self, name)))
        _bytes(self.params, "params")

    def chain_length(self) -> int:
        """Return the length on chain in bytes. For f1 and f4 senders it includes a 65-byte signature."""
        is_signature_stored = self.from_.protocol in (Protocol.SECP256K1, Protocol.DELEGATED)
        return len(self.to_cbor()) + (_SIGNATURE_LENGTH if is_signature_stored else 0)

    def cid(self) -> Cid:
        """Return the CID of the unsigned message."""
        return PrintedCid(cid_of(self.to_cbor()))


@dataclass(slots=True, unsafe_hash=True)
class SignedMessage:
    """A message with its sender's signature. `from_cbor` raises MessageError.

    >>> from hypervisor import Message, SignedMessage
    >>> from localnet import Account
    >>> account = Account.from_key(bytes(31) + bytes([1]))
    >>> signed = account.sign_native(Message(to=account.native, from_=account.native))
    >>> SignedMessage.from_cbor(signed.to_cbor()) == signed, len(signed.signature.data)
    (True, 65)
    """

    message: Final[Message]
    signature: Final[Signature]
    _encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        return one_line("SignedMessage", self.signature.type.name, repr(self.message))

    def to_cbor(self) -> bytes:
        """Encode as a tuple of message and signature."""
        if self._encoded is None:
            self._encoded = encode([self.message._fields(), self.signature.to_bytes()])
        return self._encoded

    @classmethod
    def from_cbor(cls, data: bytes) -> "SignedMessage":
        """Decode strictly. Raises MessageError."""
        fields = _decode(data, "signed message")
        if not isinstance(fields, list) or len(fields) != 2:
            raise MessageError("a signed message is a tuple of two fields")
        return cls(Message._from_fields(fields[0]), Signature.from_bytes(_bytes(fields[1], "signature")))

    def chain_length(self) -> int:
        """Return the length on chain in bytes; BLS signatures are aggregated and not stored."""
        if self.signature.type is SignatureType.BLS:
            return len(self.message.to_cbor())
        return len(self._encoded or self.to_cbor())

    def cid(self) -> Cid:
        """Return the CID on chain: that of the unsigned message for BLS, else of the signed message."""
        if self.signature.type is SignatureType.BLS:
            return self.message.cid()
        return PrintedCid(cid_of(self._encoded or self.to_cbor()))


@dataclass(slots=True, unsafe_hash=True)
class Receipt:
    """The chain's record of a message: exit code (0 is success), return value and gas used.

    `events_root` is the CID of the events' AMT, or None if no event was emitted. `message` is the CID of the message on
    chain and `return_codec` the IPLD codec of the return value, None if there is none (FIP-0107). A network version
    without these two fields has `message` None.

    >>> from hypervisor import Receipt
    >>> Receipt(exit_code=33, return_data=bytes(3), gas_used=1_234_567)
    Receipt(exit EVM_CONTRACT_REVERTED, gas 1,234,567, return 0x000000)
    >>> Receipt(0, b"", 21_000).to_cbor().hex()
    '840040195208f6'
    """

    exit_code: Final[int]
    return_data: Final[bytes]
    gas_used: Final[Gas]
    events_root: Final[Cid | None] = None
    return_codec: Final[int | None] = None
    message: Final[Cid | None] = None

    def __repr__(self) -> str:
        root = "" if self.events_root is None else f"events {cid_text(self.events_root)}"
        end, returned = exit_name(self.exit_code), bytes_text(self.return_data)
        return one_line("Receipt", f"exit {end}", f"gas {self.gas_used:,}", f"return {returned}", root)

    def _repr_html_(self) -> str:
        events = "" if self.events_root is None else cid_text(self.events_root)
        end, returned = exit_meaning(self.exit_code), bytes_text(self.return_data)
        rows = ("exit", end), ("gas", f"{self.gas_used:,}"), ("return", returned), ("events", events)
        return facts("receipt", rows)

    def to_cbor(self) -> bytes:
        """Encode as a tuple of four fields, or of six with `message`."""
        return encode(self.fields())

    def fields(self) -> list[Any]:
        """Return the fields of the tuple."""
        root = None if self.events_root is None else link(self.events_root)
        later = [] if self.message is None else [self.return_codec, link(self.message)]
        return [int(self.exit_code), self.return_data, self.gas_used, root, *later]

    @classmethod
    def from_fields(cls, fields: Any) -> "Receipt":
        """Create a receipt from the fields of a tuple, which are three before FIP-0049. Raises MessageError."""
        if not isinstance(fields, list) or len(fields) not in (3, 4, 6):
            raise MessageError("a receipt is a tuple of three, four or six fields")
        exit_code, return_data, gas_used, root, codec, message = fields + [None] * (6 - len(fields))
        if len(fields) == 6 and message is None:
            raise MessageError("message is null: a receipt of six fields names its message")
        return cls(
            exit_code=_check_unsigned(exit_code, "exit code"),
            return_data=_bytes(return_data, "return"),
            gas_used=Gas(_check_unsigned(gas_used, "gas used")),
            events_root=None if root is None else _cid(root, "events root"),
            return_codec=None if codec is None else _check_unsigned(codec, "codec"),
            message=None if message is None else _cid(message, "message"),
        )


def signing_digest(message: Message) -> bytes:
    """Return the digest that a secp256k1 key signs: blake2b-256 of the message's CID bytes."""
    return hashlib.blake2b(message.cid(), digest_size=32).digest()


def _decode(data: bytes, what: str) -> Any:
    try:
        return decode_strict(data)
    except CodecError as error:
        raise MessageError(f"{what}: {error}") from None


def _bytes(value: object, field: str) -> bytes:
    if not isinstance(value, bytes):
        raise MessageError(f"{field} is {type(value).__name__}, expected a byte string")
    return value


def _address(value: object, field: str) -> Address:
    try:
        return Address.from_bytes(_bytes(value, field))
    except AddressError as error:
        raise MessageError(f"{field}: {error}") from None


def _cid(value: object, field: str) -> Cid:
    try:
        return unlink(value)
    except CodecError as error:
        raise MessageError(f"{field}: {error}") from None


def _amount(value: object, field: str) -> TokenAmount:
    try:
        return TokenAmount(decode_bigint(value))
    except MessageError as error:
        raise MessageError(f"{field}: {error}") from None


def _integer(value: object, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise MessageError(f"{field} is {value!r:.40}, expected an integer")
    return value


def _check_unsigned(value: object, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _U64:
        raise MessageError(f"{field} is {value!r:.40}, expected an unsigned 64-bit number")
    return value

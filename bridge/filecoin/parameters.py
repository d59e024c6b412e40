"""Parameters and return values of the EVM actor and of the Ethereum address manager (EAM, f010), and calls by number.

Encoders write canonical CBOR; decoders are as lenient as the network's (`bridge.filecoin.cbor`) and raise ParamsError.
Source: the types of the official EVM and EAM actors.

Calls by method number pass between contracts and native actors. From Solidity: a contract delegate-calls a precompile
with an ABI-encoded head of six words, and gets (exit, codec, bytes) back. To Solidity: a call of method 1024 or higher
reaches the contract as a call of `handle_filecoin_method(uint64 method, uint64 codec, bytes params)`, which returns
(uint32 exit, uint64 codec, bytes data). Source: FIP-0054 and FIP-0076, as implemented by the official EVM actor:
offsets are 32-bit, reads past the end yield zeros, and numbers wider than their field are rejected.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, EthAddress
from bridge.filecoin.cbor import CborReader, ParamsError, byte_string, read_byte_string
from hypervisor.errors import MessageError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel.blocks import MAX_BLOCK_SIZE
from hypervisor.types import ActorID, TokenAmount, decode_bigint, encode_bigint
from store.cid import CBOR, DAG_CBOR, RAW, Cid
from store.codec import encode, link

CREATE_METHOD: Final = 2
CREATE2_METHOD: Final = 3
CREATE_EXTERNAL_METHOD: Final = 4
MAX_STORAGE_KEY: Final = 32


class ConstructorParams(NamedTuple):
    """Parameters of a new contract from the init actor, or from the EAM when resurrecting it."""

    creator: EthAddress
    init_code: bytes

    def encode(self) -> bytes:
        """Encode as CBOR [creator, init code]."""
        return b"\x82" + byte_string(self.creator) + byte_string(self.init_code)

    @classmethod
    def decode(cls, data: bytes) -> "ConstructorParams":
        """Decode CBOR. Raises ParamsError."""
        reader = CborReader(data)
        reader.array(2)
        params = cls(EthAddress(reader.byte_string(ETH_ADDRESS_LENGTH)), reader.byte_string())
        reader.end()
        return params


class DelegateCallParams(NamedTuple):
    """Parameters of a contract's call to itself that runs another contract's code in its own context."""

    code: Cid
    calldata: bytes
    caller: EthAddress
    value: TokenAmount

    def encode(self) -> bytes:
        """Encode as DAG-CBOR [code CID, calldata, caller, value]."""
        return encode([link(self.code), self.calldata, self.caller, encode_bigint(self.value)])

    @classmethod
    def decode(cls, data: bytes) -> "DelegateCallParams":
        """Decode CBOR. Raises ParamsError."""
        reader = CborReader(data)
        reader.array(4)
        code, calldata = reader.link(), reader.byte_string()
        caller = EthAddress(reader.byte_string(ETH_ADDRESS_LENGTH))
        try:
            value = TokenAmount(decode_bigint(reader.byte_string()))
        except MessageError as error:
            raise ParamsError(str(error)) from None
        reader.end()
        return cls(code, calldata, caller, value)


class CreateParams(NamedTuple):
    """Parameters of CREATE through the EAM: init code, and the creator's nonce before the increment."""

    init_code: bytes
    nonce: int

    def encode(self) -> bytes:
        """Encode as CBOR [init code, nonce]."""
        return encode([self.init_code, self.nonce])

    @classmethod
    def decode(cls, data: bytes) -> "CreateParams":
        """Decode CBOR. Raises ParamsError."""
        reader = CborReader(data)
        reader.array(2)
        params = cls(reader.byte_string(), reader.unsigned())
        reader.end()
        return params


class Create2Params(NamedTuple):
    """Parameters of CREATE2 through the EAM: init code, and a salt of 32 bytes."""

    init_code: bytes
    salt: bytes

    def encode(self) -> bytes:
        """Encode as CBOR [init code, salt]."""
        return encode([self.init_code, self.salt])

    @classmethod
    def decode(cls, data: bytes) -> "Create2Params":
        """Decode CBOR. Raises ParamsError."""
        reader = CborReader(data)
        reader.array(2)
        params = cls(reader.byte_string(), reader.byte_string(32))
        reader.end()
        return params


class CreateReturn(NamedTuple):
    """Return value of the EAM; the robust address is null if a destroyed contract was resurrected."""

    actor: ActorID
    robust_address: bytes | None
    eth_address: EthAddress

    def encode(self) -> bytes:
        """Encode as CBOR [actor ID, robust address or null, Ethereum address]."""
        return encode([self.actor, self.robust_address, self.eth_address])

    @classmethod
    def decode(cls, data: bytes) -> "CreateReturn":
        """Decode CBOR. Raises ParamsError."""
        reader = CborReader(data)
        reader.array(3)
        result = cls(
            ActorID(reader.unsigned()),
            reader.optional_byte_string(),
            EthAddress(reader.byte_string(ETH_ADDRESS_LENGTH)),
        )
        reader.end()
        return result


def calldata_of(codec: int, data: bytes) -> bytes:
    """Return the calldata in an InvokeEVM parameter block.

    A RAW block is the calldata itself (created by the CALL opcode); CBOR and DAG-CBOR blocks contain one byte string.
    Raises ParamsError for other codecs and shapes.
    """
    if codec == RAW:
        return data
    if codec not in (CBOR, DAG_CBOR):
        raise ParamsError(f"parameters have codec 0x{codec:x}, expected raw, CBOR or DAG-CBOR")
    return read_byte_string(data)


def invoke_params(calldata: bytes) -> bytes:
    """Return Message.Params of a transaction with this calldata: one CBOR byte string, or nothing if empty."""
    return byte_string(calldata) if calldata else b""


def invoke_return(data: bytes) -> bytes:
    """Return a contract's return or revert data from a receipt's bytes. Raises ParamsError."""
    return read_byte_string(data)


def unwrap_return(data: bytes) -> bytes:
    """Return the return data as seen by the CALL opcode: a byte string's content, else the bytes unchanged."""
    try:
        return read_byte_string(data)
    except ParamsError:
        return data


def storage_key(data: bytes) -> int:
    """Return the slot in GetStorageAt's parameters, CBOR [byte string of at most 32 bytes]. Raises ParamsError."""
    return _one_item(data, lambda reader: _word(reader.byte_string()))


def storage_value(value: int) -> bytes:
    """Return a storage word as returned by GetStorageAt: a CBOR byte string without leading zero bytes."""
    return byte_string(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _word(key: bytes) -> int:
    if len(key) > MAX_STORAGE_KEY:
        raise ParamsError(f"storage key has {len(key)} bytes, at most {MAX_STORAGE_KEY} are allowed")
    return int.from_bytes(key, "big")


def _one_item(data: bytes, read: Callable[[CborReader], int]) -> int:
    reader = CborReader(data)
    reader.array(1)
    item = read(reader)
    reader.end()
    return item


HANDLE_FILECOIN_METHOD: Final = bytes.fromhex("868e10c4")
"""Selector of handle_filecoin_method(uint64,uint64,bytes)."""

NO_CODEC: Final = 0
READ_ONLY_FLAG: Final = 1
FIRST_CALLABLE_METHOD: Final = 1024
"""Methods 1 to 1023 are internal to actors: contracts may call 0 (a transfer) and from here up."""

_WORD = 32
_U32, _U64 = (1 << 32) - 1, (1 << 64) - 1


class AbiError(ValueError):
    """Raised for ABI-encoded input with a number that exceeds its field."""


class BlockTooLarge(ValueError):
    """Raised for content larger than a block; `length` is the requested length, including padding."""

    def __init__(self, length: int) -> None:
        super().__init__(f"{length} bytes exceed the maximum block size of {MAX_BLOCK_SIZE}")
        self.length = length


LengthCheck = Callable[[int], None]
"""Callback with the length of each content before it is read, which charges for it or raises.

Content larger than a block is read only up to the first excess byte.
"""


def within_block(length: int) -> None:
    """Raise BlockTooLarge for content larger than a block."""
    if length > MAX_BLOCK_SIZE:
        raise BlockTooLarge(length)


class ActorCall(NamedTuple):
    """The input of call_actor: `target` is address bytes or an actor ID, depending on the precompile."""

    method: int
    value: int
    read_only: bool
    codec: int
    params: bytes
    target: bytes | int


def decode_call(data: bytes, by_id: bool, check_length: LengthCheck = within_block) -> ActorCall:
    """Decode the input of call_actor_id (`by_id`) or call_actor. Raises AbiError if the precompile must fail."""
    method, value = _number(data, 0, _U64), _number(data, 1, None)
    flags, codec = _number(data, 2, _U64), _number(data, 3, _U64)
    params_offset = _number(data, 4, _U32)
    last = _number(data, 5, _U64 if by_id else _U32)
    if flags & ~READ_ONLY_FLAG:
        raise AbiError(f"unknown send flags 0x{flags:x}: only bit 0 (read-only) is defined")
    params = _dynamic(data, params_offset, check_length)
    target = last if by_id else _dynamic(data, last, check_length)
    if method != 0 and method < FIRST_CALLABLE_METHOD:
        raise AbiError(
            f"method {method} cannot be called: contracts may call method 0 and methods from {FIRST_CALLABLE_METHOD}"
        )
    if codec != CBOR and (codec != NO_CODEC or params):
        raise AbiError(
            f"{len(params)} bytes of parameters with codec 0x{codec:x}: expected codec 0x{CBOR:x} (CBOR), or codec 0 "
            "and no bytes"
        )
    return ActorCall(method, value, bool(flags & READ_ONLY_FLAG), codec, params, target)


def encode_call_return(exit_code: int, codec: int, data: bytes) -> bytes:
    """Encode a precompile's output: (int256 exit, uint64 codec, bytes data); a negative exit is a failed send."""
    return _encode_words(exit_code % (1 << 256), codec, 3 * _WORD) + _bytes_tail(data)


def failed_send_exit(error: ErrorNumber) -> int:
    """Return the exit word of a send that failed before any actor ran."""
    return -int(error)


def encode_method_calldata(method: int, codec: int, params: bytes) -> bytes:
    """Encode the calldata of handle_filecoin_method for a native call."""
    return HANDLE_FILECOIN_METHOD + _encode_words(method, codec, 3 * _WORD) + _bytes_tail(params)


def decode_method_return(data: bytes, check_length: LengthCheck = within_block) -> tuple[int, bytes | None]:
    """Decode the return data of handle_filecoin_method: exit code, and CBOR return data or None.

    Empty return data is exit code 0 without data. Raises AbiError if a number exceeds its field, if codec 0 comes with
    data, or if the codec is neither 0 nor CBOR.
    """
    if not data:
        return 0, None
    exit_code, codec = _number(data, 0, _U32), _number(data, 1, _U64)
    content = _dynamic(data, _number(data, 2, _U32), check_length)
    if codec == NO_CODEC:
        if content:
            raise AbiError(f"codec 0 with {len(content)} bytes of data")
        return exit_code, None
    if codec != CBOR:
        raise AbiError(f"codec 0x{codec:x} is not allowed: a contract returns CBOR or nothing")
    return exit_code, content


def _slice(data: bytes, start: int, length: int) -> bytes:
    return data[start : start + length].ljust(length, b"\0")


def _number(data: bytes, index: int, maximum: int | None) -> int:
    return _number_at(data, index * _WORD, maximum)


def _number_at(data: bytes, start: int, maximum: int | None) -> int:
    number = int.from_bytes(_slice(data, start, _WORD), "big")
    if maximum is not None and number > maximum:
        raise AbiError(f"number 0x{number:x} at byte {start} exceeds 0x{maximum:x}")
    return number


def _dynamic(data: bytes, offset: int, check_length: LengthCheck) -> bytes:
    length = _number_at(data, offset, _U32)
    check_length(length)
    return _slice(data, offset + _WORD, min(length, MAX_BLOCK_SIZE + 1))


def _encode_words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(_WORD, "big") for number in numbers)


def _bytes_tail(data: bytes) -> bytes:
    return _encode_words(len(data)) + data.ljust(-(-len(data) // _WORD) * _WORD, b"\0")

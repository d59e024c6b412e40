"""Parameters and return values of the EVM actor and of the Ethereum address manager (EAM, f010).

Encoders write canonical CBOR; decoders are as lenient as the network's (`bridge.filecoin.cbor`) and raise ParamsError.
Source: the types of the official EVM and EAM actors.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, EthAddress
from bridge.filecoin.cbor import CborReader, ParamsError, byte_string, read_byte_string
from hypervisor.errors import MessageError
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

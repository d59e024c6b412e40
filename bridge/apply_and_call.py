"""`ApplyAndCall`, the method of Filecoin messages with a type 4 transaction: parameters and return value.

The parameters are `[[[chain id, address, nonce, y parity, r, s], ...], [to, value, input]]` in CBOR, with r, s and
value as big-endian magnitudes; the return value is `[status, output]`. Source: FIP-0111, On-Chain State and
ApplyAndCall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, EthAddress
from bridge.ethereum.transactions import Authorization
from bridge.filecoin.cbor import ParamsError
from hypervisor.types import MethodNumber
from store.codec import CodecError, decode_strict, encode

APPLY_AND_CALL: Final = MethodNumber(1015040376)
"""`method_number("ApplyAndCall")`."""
_WORD: Final = 32
_U64: Final = (1 << 64) - 1
_U8: Final = 255


@dataclass(frozen=True, slots=True)
class ApplyAndCallParams:
    """Authorizations and the call that follows them: value in attoFIL, `data` as calldata."""

    authorizations: tuple[Authorization, ...]
    to: EthAddress
    value: int
    data: bytes

    def encode(self) -> bytes:
        """Encode as CBOR. Raises ParamsError for authorization fields that exceed the format."""
        return encode([
            [_fields(item) for item in self.authorizations],
            [bytes(self.to), _magnitude(self.value), self.data],
        ])  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> ApplyAndCallParams:
        """Decode CBOR; magnitudes may have leading zeros. Raises ParamsError."""
        try:
            authorizations, call = decode_strict(data)
            to, value, input_ = call
            if not isinstance(authorizations, list) or type(input_) is not bytes:
                raise TypeError("expected [[authorization, ...], [to, value, input]]")
            return cls(tuple(map(_authorization, authorizations)), _address(to), _number(value), input_)
        except (CodecError, TypeError, ValueError) as error:
            raise ParamsError(f"cannot decode the parameters of ApplyAndCall: {error}") from None


def encode_outcome(succeeded: bool, output: bytes) -> bytes:
    """Encode the status and output of the call."""
    return encode([int(succeeded), output])


def decode_outcome(data: bytes) -> tuple[bool, bytes]:
    """Decode the status and output of the call. Raises ParamsError."""
    try:
        status, output = decode_strict(data)
    except (CodecError, TypeError, ValueError) as error:
        raise ParamsError(f"cannot decode the return value of ApplyAndCall: {error}") from None
    if type(status) is not int or status not in (0, 1) or type(output) is not bytes:
        raise ParamsError("the return value of ApplyAndCall is not [status, output]")
    return status == 1, output


def _fields(item: Authorization) -> list[Any]:
    if item.chain_id > _U64 or item.y_parity > _U8:
        raise ParamsError(
            f"an authorization with chain id {item.chain_id} and parity {item.y_parity} does not fit "
            "a Filecoin message, which has 64 bits and 8 bits for them"
        )
    return [item.chain_id, bytes(item.address), item.nonce, item.y_parity, _magnitude(item.r), _magnitude(item.s)]


def _authorization(fields: Any) -> Authorization:
    chain_id, address, nonce, parity, r, s = fields
    for name, number, maximum in (("chain id", chain_id, _U64), ("nonce", nonce, _U64), ("parity", parity, _U8)):
        if type(number) is not int or not 0 <= number <= maximum:
            raise ValueError(f"the {name} of an authorization must be a number of at most {maximum}")
    return Authorization(chain_id, _address(address), nonce, parity, _number(r), _number(s))


def _address(value: Any) -> EthAddress:
    if type(value) is not bytes or len(value) != ETH_ADDRESS_LENGTH:
        raise ValueError("an address must have 20 bytes")
    return EthAddress(value)


def _magnitude(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _number(value: Any) -> int:
    if type(value) is not bytes or len(value) > _WORD:
        raise ValueError("a magnitude must have at most 32 bytes")
    return int.from_bytes(value, "big")

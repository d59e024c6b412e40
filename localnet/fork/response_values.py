"""Checked parsing of nodes' responses: an undocumented shape raises ValueError, TypeError or KeyError.

Headers of Ethereum blocks are encoded again and checked against their hash. Shapes: lotus api/api_full.go and
chain/types.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

from bridge.ethereum import rlp
from hypervisor.types import TokenAmount
from localnet.ledger.blocks import tipset_key
from store.cid import Cid, parse_cid, show
from store.keccak import keccak

_U64: Final = (1 << 64) - 1
_DIGEST_BYTES: Final = 32
"""Size of randomness in bytes."""


def key_of(tipset: Mapping[str, Any]) -> Cid:
    """Return the CID of a tipset's key."""
    return tipset_key(tipset_blocks(tipset))


def parent_state_of(tipset: Mapping[str, Any]) -> Cid:
    """Return the state root on which a tipset executes."""
    return cid_of_json(tipset["Blocks"][0]["ParentStateRoot"])


def tipset_blocks(tipset: Mapping[str, Any]) -> tuple[Cid, ...]:
    """Return the blocks of a tipset."""
    cids = tipset["Cids"]
    if not isinstance(cids, list) or not cids:
        raise ValueError(f"a tipset of the blocks {cids!r:.60}")
    return tuple(cid_of_json(cid) for cid in cids)


def cid_of_json(value: Mapping[str, Any]) -> Cid:
    """Parse a CID given as a link."""
    return parse_cid(text(value["/"]))


def text(value: Any) -> str:
    """Parse a string."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r:.60}")
    return value


def number(value: Any) -> int:
    """Parse an unsigned number of 63 bits."""
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"expected a number from 0 to 2^63 - 1, found {value!r:.60}")
    return value


def amount(value: Any) -> TokenAmount:
    """Parse attoFIL, a decimal string."""
    if not re.fullmatch(r"[0-9]{1,78}", text(value)):
        raise ValueError(f"expected a decimal amount, found {value!r:.60}")
    return TokenAmount(int(value))


def quantity(value: Any) -> int:
    """Parse an Ethereum quantity."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,64}", text(value)):
        raise ValueError(f"expected a hex quantity, found {value!r:.60}")
    return int(value, 16)


def digest(value: Any) -> bytes:
    """Parse 32 bytes in base64."""
    found = b64decode(text(value), validate=True)
    if len(found) != _DIGEST_BYTES:
        raise ValueError(f"expected a digest of {_DIGEST_BYTES} bytes, found {len(found)}")
    return found


def cid_json(cid: Cid) -> dict[str, str]:
    """Return a CID as Filecoin's JSON-RPC represents it."""
    return {"/": show(cid)}


def unsigned(number: int) -> int:
    """Return an unsigned number of 64 bits; ValueError for a larger one."""
    if number > _U64:
        raise ValueError(f"expected a number of 64 bits, found {number:#x}")
    return number


def bytes_of(value: Any, limit: int) -> bytes:
    """Parse bytes in hex. Raises ValueError for more than `limit` bytes."""
    digits = text(value)
    if not re.fullmatch(r"0x(?:[0-9a-fA-F]{2})*", digits):
        raise ValueError(f"expected 0x and pairs of hex digits, found {digits!r:.60}")
    if len(digits) // 2 - 1 > limit:
        raise ValueError(f"expected at most {limit} bytes, found {len(digits) // 2 - 1}")
    return bytes.fromhex(digits[2:])


def word_of(value: Any, length: int = 32) -> bytes:
    """Parse a hex string of exactly `length` bytes."""
    found = bytes_of(value, length)
    if len(found) != length:
        raise ValueError(f"expected {length} bytes, found {len(found)}")
    return found


_MAX_FIELD: Final = 1 << 16
_HEADER: Final = (
    ("parentHash", False), ("sha3Uncles", False), ("miner", False), ("stateRoot", False), ("transactionsRoot", False),
    ("receiptsRoot", False), ("logsBloom", False), ("difficulty", True), ("number", True), ("gasLimit", True),
    ("gasUsed", True), ("timestamp", True), ("extraData", False), ("mixHash", False), ("nonce", False),
    ("baseFeePerGas", True), ("withdrawalsRoot", False), ("blobGasUsed", True), ("excessBlobGas", True),
    ("parentBeaconBlockRoot", False), ("requestsHash", False),
)  # fmt: skip
"""Fields of a header in order; True for numbers. Those from `baseFeePerGas` on were added by later forks."""
_OPTIONAL: Final = 15


def read_header(response: Any) -> bytes:
    """Return the header in a node's response, with its hash verified. Raises KeyError, TypeError or ValueError."""
    if not isinstance(response, Mapping):
        raise TypeError("no block")
    fields: list[bytes] = []
    for index, (name, is_number) in enumerate(_HEADER):
        if index >= _OPTIONAL and response.get(name) is None:
            break
        value = response[name]
        fields.append(rlp.number(quantity(value)) if is_number else bytes_of(value, _MAX_FIELD))
    header = rlp.encode(fields)
    found, claimed = bytes(keccak(header)), bytes_of(response["hash"], 32)
    if found != claimed:
        raise ValueError(
            f"the header's hash is 0x{found.hex()}, but the block names 0x{claimed.hex()}: "
            "the block was changed, or the network's headers differ from Ethereum's"
        )
    return header

"""Headers of Ethereum blocks from a node's JSON, encoded again and checked against their hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bridge.ethereum import rlp
from localnet.fork.response_values import bytes_of, quantity
from store.keccak import keccak

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

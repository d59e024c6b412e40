"""Prices of transactions and blobs under Ethereum's rules, and arithmetic common to all forks. Pure functions.

Static gas of opcodes is in `forks`, dynamic gas in `runtimes.evm.gas_table`. Sources are the Ethereum execution
specifications and the proposals named at each amount.
"""

from typing import Final

CALLDATA_ZERO: Final = 4
AUTHORIZATION_REFUND: Final = 12_500  # EIP-7702: for an account that exists
DELEGATION_BYTES: Final = 23  # EIP-8037: bytes of state that a new delegation counts for

MIN_BLOB_BASE_FEE: Final = 1


def words(size: int) -> int:
    """Return the number of 32-byte words that `size` bytes take."""
    return (size + 31) >> 5


def all_but_one_64th(gas: int) -> int:
    """Return the maximum gas that a call may be given of the remaining gas (EIP-150)."""
    return gas - (gas >> 6)


def fake_exponential(factor: int, numerator: int, denominator: int) -> int:
    """Return factor * e ** (numerator / denominator) in integer arithmetic (EIP-4844)."""
    index, output, accumulator = 1, 0, factor * denominator
    while accumulator > 0:
        output += accumulator
        accumulator = accumulator * numerator // (denominator * index)
        index += 1
    return output // denominator

"""Ethereum's gas: its amounts, and the sums that depend on sizes or on what was there before. Pure functions.

Flat prices of opcodes are rows of `forks`. Names are the rules' own; sources are the Ethereum execution
specifications and the proposals named at each amount.
"""

from typing import Final

from bridge.ethereum_block import MAX_CODE_SIZE

COLD_ACCOUNT: Final = 2600  # EIP-2929
COLD_SLOT: Final = 2100
WARM: Final = 100
SET_SLOT: Final = 20_000
RESET_SLOT: Final = 5000 - COLD_SLOT
CLEAR_REFUND: Final = RESET_SLOT + 1900  # EIP-3529
CALL_STIPEND: Final = 2300
CALL_VALUE: Final = 9000
NEW_ACCOUNT: Final = 25_000
CODE_BYTE: Final = 200
INIT_CODE_WORD: Final = 2  # EIP-3860
COPY_WORD: Final = 3
KECCAK_WORD: Final = 6
LOG_BYTE: Final = 8
EXTRA_SLOAD: Final = WARM

TRANSACTION: Final = 21_000
TRANSACTION_CREATE: Final = 32_000
CALLDATA_ZERO: Final = 4
CALLDATA_NONZERO: Final = 16  # EIP-2028
FLOOR_PER_TOKEN: Final = 10  # EIP-7623
TOKENS_NONZERO: Final = 4
ACCESS_LIST_ADDRESS: Final = 2400  # EIP-2930
ACCESS_LIST_SLOT: Final = 1900
AUTHORIZATION: Final = 25_000  # EIP-7702: the price of one that makes a new account
AUTHORIZATION_REFUND: Final = AUTHORIZATION - 12_500
REFUND_QUOTIENT: Final = 5

BLOB: Final = 1 << 17
MIN_BLOB_BASE_FEE: Final = 1

MAX_INIT_CODE_SIZE: Final = 2 * MAX_CODE_SIZE


def words(size: int) -> int:
    """How many words of 32 bytes `size` bytes take."""
    return (size + 31) >> 5


def memory(count: int) -> int:
    """What a memory of so many words has cost in all."""
    return 3 * count + (count * count >> 9)


def all_but_one_64th(gas: int) -> int:
    """The most that a call may be given of what is left (EIP-150)."""
    return gas - (gas >> 6)


def sstore(original: int, current: int, new: int) -> tuple[int, int]:
    """(price, refund, which may be negative) of writing a warm slot. EIP-2200 with the amounts of EIP-3529."""
    if current == new:
        return WARM, 0
    if original == current:
        if original == 0:
            return SET_SLOT, 0
        return RESET_SLOT, CLEAR_REFUND if new == 0 else 0
    refund = 0
    if original != 0:
        if current == 0:
            refund -= CLEAR_REFUND
        elif new == 0:
            refund += CLEAR_REFUND
    if original == new:
        refund += (SET_SLOT if original == 0 else RESET_SLOT) - WARM
    return WARM, refund


def calldata_tokens(data: bytes) -> int:
    """What the floor counts: one for a zero byte, four for another."""
    zeros = data.count(0)
    return zeros + TOKENS_NONZERO * (len(data) - zeros)


def fake_exponential(factor: int, numerator: int, denominator: int) -> int:
    """factor * e ** (numerator / denominator) in integers (EIP-4844)."""
    index, output, accumulator = 1, 0, factor * denominator
    while accumulator > 0:
        output += accumulator
        accumulator = accumulator * numerator // (denominator * index)
        index += 1
    return output // denominator

"""Dynamic gas of opcodes, prices of simple precompiles, and state gas (EIP-8037).

A fork that reprices something names the field: `OSAKA.successor("Name", gas=replace(OSAKA.gas, cold_slot=...))`. Hosts
and engines read only this table; the guest of sessions receives it with the static gas (`guest_rules`).
Amounts are in gas; sources are the Ethereum execution specifications and the proposals named at each amount.
"""

from typing import Final, NamedTuple

CALLDATA_ZERO: Final = 4
AUTHORIZATION_REFUND: Final = 12_500  # EIP-7702: for an account that exists
DELEGATION_BYTES: Final = 23  # EIP-8037: bytes of state that a new delegation counts for

MIN_BLOB_BASE_FEE: Final = 1


def words(size: int) -> int:
    """Return the number of 32-byte words that `size` bytes take."""
    return (size + 31) >> 5


def fake_exponential(factor: int, numerator: int, denominator: int) -> int:
    """Return factor * e ** (numerator / denominator) in integer arithmetic (EIP-4844)."""
    index, output, accumulator = 1, 0, factor * denominator
    while accumulator > 0:
        output += accumulator
        accumulator = accumulator * numerator // (denominator * index)
        index += 1
    return output // denominator


class GasTable(NamedTuple):
    """Prices of Cancun by default. Filecoin's frames use `OperandPrices` instead."""

    exp_byte: int = 50  # EIP-160
    memory_word: int = 3
    memory_quotient: int = 512
    """Memory costs its words, plus their square divided by this."""
    copy_word: int = 3
    keccak_word: int = 6
    log_byte: int = 8
    cold_account: int = 2600  # EIP-2929
    cold_slot: int = 2100
    warm: int = 100
    set_slot: int = 20_000
    reset_slot: int = 2900
    clear_refund: int = 4800  # EIP-3529
    call_stipend: int = 2300
    call_value: int = 9000
    new_account: int = 25_000
    code_byte: int = 200
    init_code_word: int = 2  # EIP-3860
    sha256_base: int = 60
    sha256_word: int = 12
    ripemd160_base: int = 600
    ripemd160_word: int = 120
    identity_base: int = 15
    identity_word: int = 3
    bn254_add: int = 150  # EIP-1108
    bn254_mul: int = 6000
    bn254_pairing_base: int = 45_000
    bn254_pairing_pair: int = 34_000
    net_slots: int = 1
    """1 for net gas metering of SSTORE (EIP-1283, EIP-2200), else 0."""
    dirty_slot: int = 100
    """Price of writing a slot's current word, or a slot that the transaction has changed."""
    slot_sentry: int = 2300
    """Remaining gas at which SSTORE fails (EIP-2200)."""
    destroy_refund: int = 0
    """Refund of SELFDESTRUCT, once per contract; removed by EIP-3529."""
    heir_account: int = 25_000
    """Price of SELFDESTRUCT if it creates the account of the beneficiary (EIP-150)."""
    cold_write: int = 2100
    """Price of writing a cold slot, beyond that of a warm one (EIP-2929)."""
    code_read: int = 0
    """Price of reading the code of another account, beyond the access to the account (EIP-8038)."""
    code_word: int = 0
    """Price of a word of new code (EIP-8037)."""
    state_byte: int = 0
    """State gas of a byte of new state (EIP-8037); 0 if there is no state gas."""
    account_bytes: int = 120
    """Bytes of state charged for a new account (EIP-8037)."""
    slot_bytes: int = 64
    """Bytes of state charged for a new slot (EIP-8037)."""

    def memory(self, count: int) -> int:
        """Return the total gas for a memory of `count` words."""
        return self.memory_word * count + count * count // self.memory_quotient


CANCUN_GAS: Final = GasTable()

_MACHINE_WORD, _HALF_WORD = 64, 32
DivisionPrices = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Prices of a division by at most 32 bits, by at most 64, and by more: once, and for each 64 bits of the quotient."""
_MULMOD: Final = 2
_FLAT: Final[DivisionPrices] = (0, 0), (0, 0), (0, 0)


class OperandPrices(NamedTuple):
    """Gas that the operands of EXP and of divisions add to that of these opcodes, in frames of our engines."""

    exponent: tuple[int, int, int]
    """Prices of an exponent's bytes, its bits, and its bits that are one."""
    divisions: tuple[DivisionPrices, DivisionPrices, DivisionPrices] = (_FLAT, _FLAT, _FLAT)
    """Prices of DIV, MOD, SDIV and SMOD, of ADDMOD, and of MULMOD."""
    product: int = 0
    """Price of MULMOD's product, which the official actor does not compute for a modulus of 0."""

    @property
    def prices_divisions(self) -> bool:
        """True if the price of a division depends on its operands."""
        return self.divisions[0][2][0] != 0

    def power(self, exponent: int) -> int:
        """Return the price of EXP's exponent."""
        size, bit, one = self.exponent
        bits = exponent.bit_length()
        return size * (bits + 7 >> 3) + bit * bits + one * exponent.bit_count()

    def division(self, kind: int, bits: int, divisor_bits: int) -> int:
        """Return the price of a division of a number of `bits`; `kind` is an index of `divisions`.

        DIV, MOD, SDIV and SMOD of numbers of at most 64 bits have the static price.
        """
        if (bits <= _MACHINE_WORD and kind == 0) or divisor_bits == 0:
            return 0
        product = self.product if kind == _MULMOD else 0
        if bits < divisor_bits:
            return product
        size = 0 if divisor_bits <= _HALF_WORD else 1 if divisor_bits <= _MACHINE_WORD else 2
        once, rate = self.divisions[kind][size]
        return product + once + rate * (bits - divisor_bits) // _MACHINE_WORD


FILECOIN_OPERANDS: Final = OperandPrices(
    exponent=(0, 4, 5),
    divisions=(((0, 0), (1, 5), (6, 12)), ((15, 0), (17, 6), (22, 16)), ((14, 3), (10, 10), (31, 18))),
    product=14,
)
"""Prices under Filecoin's rules, fitted to the work of the official actor as those of `contracts.opcodes`."""

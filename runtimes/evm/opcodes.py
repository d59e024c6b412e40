"""The opcodes of the EVM: number, name and flat price in EVM gas, as one table.

Prices are Ethereum's (Cancun) for everything that only computes. Opcodes that reach the machine have small prices
here, because the machine charges for what they do: storage blocks, transfers, invocations, lookups, hashes. Parts that
depend on sizes (bytes copied, bytes of an exponent) are the engines'; a log's bytes are paid for as an event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Opcode:
    """One instruction: its mnemonic and its flat price in EVM gas."""

    name: str
    gas: int


_ROWS: Final = """
    00 STOP 0            01 ADD 3            02 MUL 5             03 SUB 3           04 DIV 5          05 SDIV 5
    06 MOD 5             07 SMOD 5           08 ADDMOD 8          09 MULMOD 8        0a EXP 10         0b SIGNEXTEND 5
    10 LT 3              11 GT 3             12 SLT 3             13 SGT 3           14 EQ 3           15 ISZERO 3
    16 AND 3             17 OR 3             18 XOR 3             19 NOT 3           1a BYTE 3         1b SHL 3
    1c SHR 3             1d SAR 3            1e CLZ 5             20 KECCAK256 5
    30 ADDRESS 2         31 BALANCE 20       32 ORIGIN 2          33 CALLER 2        34 CALLVALUE 2    35 CALLDATALOAD 3
    36 CALLDATASIZE 2    37 CALLDATACOPY 3   38 CODESIZE 2        39 CODECOPY 3      3a GASPRICE 2     3b EXTCODESIZE 20
    3c EXTCODECOPY 20    3d RETURNDATASIZE 2 3e RETURNDATACOPY 3  3f EXTCODEHASH 20  40 BLOCKHASH 20   41 COINBASE 2
    42 TIMESTAMP 2       43 NUMBER 2         44 PREVRANDAO 2      45 GASLIMIT 2      46 CHAINID 2      47 SELFBALANCE 5
    48 BASEFEE 2         50 POP 2            51 MLOAD 3           52 MSTORE 3        53 MSTORE8 3      54 SLOAD 50
    55 SSTORE 50         56 JUMP 8           57 JUMPI 10          58 PC 2            59 MSIZE 2        5a GAS 2
    5b JUMPDEST 1        5c TLOAD 50         5d TSTORE 50         5e MCOPY 3         5f PUSH0 2
    a0 LOG0 20           a1 LOG1 20          a2 LOG2 20           a3 LOG3 20         a4 LOG4 20
    f0 CREATE 100        f1 CALL 100         f3 RETURN 0          f4 DELEGATECALL 100 f5 CREATE2 100   fa STATICCALL 100
    fd REVERT 0          fe INVALID 0        ff SELFDESTRUCT 100
"""


def _table() -> dict[int, Opcode]:
    words = _ROWS.split()
    table = {
        int(number, 16): Opcode(name, int(gas))
        for number, name, gas in zip(words[::3], words[1::3], words[2::3], strict=True)
    }
    table.update({0x5F + size: Opcode(f"PUSH{size}", 3) for size in range(1, 33)})
    table.update({0x7F + depth: Opcode(f"DUP{depth}", 3) for depth in range(1, 17)})
    table.update({0x8F + depth: Opcode(f"SWAP{depth}", 3) for depth in range(1, 17)})
    return dict(sorted(table.items()))


FILECOIN_OPCODES: Final[Mapping[int, Opcode]] = MappingProxyType(_table())
"""Every opcode that the Filecoin EVM has had up to network version 28."""

NUMBERS: Final[Mapping[str, int]] = MappingProxyType({opcode.name: number for number, opcode in _table().items()})
"""The number of each mnemonic."""

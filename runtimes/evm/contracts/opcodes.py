"""The opcodes of the EVM: number, name and static gas under Filecoin's rules, as one table.

Prices are in EVM gas, the unit of the engines' budget (444 gas each, `bridge.gas`), and are fitted to what the official
actor (v18) executes for the opcode, not to Ethereum's schedule: a stack operation is 1 or 2, an ADDMOD at least 4. For
opcodes that reach the machine this is only the work around it; the machine charges for storage blocks, transfers,
invocations, lookups, hashes and events. The engines charge for bytes copied and for operands (`OperandPrices`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Opcode:
    """One instruction: its mnemonic and its static gas in EVM gas."""

    name: str
    gas: int


_ROWS: Final = """
    00 STOP 0            01 ADD 2            02 MUL 7             03 SUB 2           04 DIV 8          05 SDIV 8
    06 MOD 8             07 SMOD 8           08 ADDMOD 4          09 MULMOD 4        0a EXP 2          0b SIGNEXTEND 3
    10 LT 3              11 GT 3             12 SLT 3             13 SGT 3           14 EQ 2           15 ISZERO 2
    16 AND 2             17 OR 2             18 XOR 2             19 NOT 2           1a BYTE 2         1b SHL 4
    1c SHR 4             1d SAR 4            1e CLZ 2             20 KECCAK256 8
    30 ADDRESS 3         31 BALANCE 20       32 ORIGIN 11         33 CALLER 3        34 CALLVALUE 6    35 CALLDATALOAD 5
    36 CALLDATASIZE 1    37 CALLDATACOPY 5   38 CODESIZE 1        39 CODECOPY 5      3a GASPRICE 9     3b EXTCODESIZE 20
    3c EXTCODECOPY 20    3d RETURNDATASIZE 1 3e RETURNDATACOPY 5  3f EXTCODEHASH 20  40 BLOCKHASH 3    41 COINBASE 1
    42 TIMESTAMP 1       43 NUMBER 2         44 PREVRANDAO 2      45 GASLIMIT 1      46 CHAINID 1      47 SELFBALANCE 7
    48 BASEFEE 7         50 POP 1            51 MLOAD 5           52 MSTORE 4        53 MSTORE8 2      54 SLOAD 17
    55 SSTORE 28         56 JUMP 1           57 JUMPI 2           58 PC 1            59 MSIZE 1        5a GAS 1
    5b JUMPDEST 1        5c TLOAD 7          5d TSTORE 60         5e MCOPY 6         5f PUSH0 1
    a0 LOG0 24           a1 LOG1 36          a2 LOG2 48           a3 LOG3 60         a4 LOG4 72
    f0 CREATE 100        f1 CALL 28          f3 RETURN 0          f4 DELEGATECALL 28 f5 CREATE2 100    fa STATICCALL 28
    fd REVERT 0          fe INVALID 0        ff SELFDESTRUCT 50
"""


def opcode_rows(rows: str) -> dict[int, Opcode]:
    """Return opcodes by number, from rows of number (hex), mnemonic and static gas."""
    words = rows.split()
    return {
        int(number, 16): Opcode(name, int(gas))
        for number, name, gas in zip(words[::3], words[1::3], words[2::3], strict=True)
    }


def opcode_table(rows: str, push: tuple[int, int], dup: int, swap: int) -> dict[int, Opcode]:
    """Return opcodes by number: the rows, PUSH, DUP and SWAP; PUSH of up to 8 bytes has the first `push` price."""
    table = opcode_rows(rows)
    table.update({0x5F + size: Opcode(f"PUSH{size}", push[size > 8]) for size in range(1, 33)})
    table.update({0x7F + depth: Opcode(f"DUP{depth}", dup) for depth in range(1, 17)})
    table.update({0x8F + depth: Opcode(f"SWAP{depth}", swap) for depth in range(1, 17)})
    return dict(sorted(table.items()))


FILECOIN_OPCODES: Final[Mapping[int, Opcode]] = MappingProxyType(opcode_table(_ROWS, push=(1, 3), dup=1, swap=2))
"""All opcodes of the Filecoin EVM up to network version 28."""

OPCODE_NUMBERS: Final[Mapping[str, int]] = MappingProxyType(
    {row.name: number for number, row in FILECOIN_OPCODES.items()}
)
"""Opcode numbers by mnemonic."""

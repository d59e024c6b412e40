"""The opcodes of each Ethereum fork with their static gas. Each table lists only the changes of its fork.

Dynamic gas (sizes, access, value) is in `runtimes.evm.contracts.gas_table`. Before Berlin, the gas of an access is
static. Sources: the Ethereum execution specifications, and the proposals named at each table.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runtimes.evm.contracts.opcodes import Opcode, opcode_rows, opcode_table

Opcodes = Mapping[int, Opcode]

FRONTIER_OPCODES: Final[Opcodes] = MappingProxyType(
    opcode_table(
        """
    00 STOP 0            01 ADD 3            02 MUL 5             03 SUB 3           04 DIV 5          05 SDIV 5
    06 MOD 5             07 SMOD 5           08 ADDMOD 8          09 MULMOD 8        0a EXP 10         0b SIGNEXTEND 5
    10 LT 3              11 GT 3             12 SLT 3             13 SGT 3           14 EQ 3           15 ISZERO 3
    16 AND 3             17 OR 3             18 XOR 3             19 NOT 3           1a BYTE 3         20 KECCAK256 30
    30 ADDRESS 2         31 BALANCE 20       32 ORIGIN 2          33 CALLER 2        34 CALLVALUE 2    35 CALLDATALOAD 3
    36 CALLDATASIZE 2    37 CALLDATACOPY 3   38 CODESIZE 2        39 CODECOPY 3      3a GASPRICE 2     3b EXTCODESIZE 20
    3c EXTCODECOPY 20    40 BLOCKHASH 20     41 COINBASE 2        42 TIMESTAMP 2     43 NUMBER 2       44 DIFFICULTY 2
    45 GASLIMIT 2        50 POP 2            51 MLOAD 3           52 MSTORE 3        53 MSTORE8 3      54 SLOAD 50
    55 SSTORE 0          56 JUMP 8           57 JUMPI 10          58 PC 2            59 MSIZE 2        5a GAS 2
    5b JUMPDEST 1        a0 LOG0 375         a1 LOG1 750          a2 LOG2 1125       a3 LOG3 1500      a4 LOG4 1875
    f0 CREATE 32000      f1 CALL 40          f2 CALLCODE 40       f3 RETURN 0        fe INVALID 0      ff SELFDESTRUCT 0
""",
        push=(3, 3),
        dup=3,
        swap=3,
    )
)


def with_opcodes(before: Opcodes, rows: str) -> Opcodes:
    """Return the opcodes of the previous fork, with the opcodes in `rows` added or repriced."""
    return MappingProxyType(dict(sorted({**before, **opcode_rows(rows)}.items())))


HOMESTEAD_OPCODES: Final = with_opcodes(FRONTIER_OPCODES, "f4 DELEGATECALL 40")
"""Opcodes of Homestead, which adds DELEGATECALL (EIP-7)."""
TANGERINE_WHISTLE_OPCODES: Final = with_opcodes(
    HOMESTEAD_OPCODES,
    """
    31 BALANCE 400       3b EXTCODESIZE 700  3c EXTCODECOPY 700   54 SLOAD 200       f1 CALL 700       f2 CALLCODE 700
    f4 DELEGATECALL 700  ff SELFDESTRUCT 5000
""",
)
"""Opcodes of Tangerine Whistle, which raises the prices of state access (EIP-150)."""
BYZANTIUM_OPCODES: Final = with_opcodes(
    TANGERINE_WHISTLE_OPCODES, "3d RETURNDATASIZE 2  3e RETURNDATACOPY 3  fa STATICCALL 700  fd REVERT 0"
)
"""Opcodes of Byzantium, which adds REVERT (EIP-140), return data (EIP-211) and STATICCALL (EIP-214)."""
CONSTANTINOPLE_OPCODES: Final = with_opcodes(
    BYZANTIUM_OPCODES, "1b SHL 3  1c SHR 3  1d SAR 3  3f EXTCODEHASH 400  f5 CREATE2 32000"
)
"""Opcodes of Constantinople, which adds shifts (EIP-145), CREATE2 (EIP-1014) and EXTCODEHASH (EIP-1052)."""
ISTANBUL_OPCODES: Final = with_opcodes(
    CONSTANTINOPLE_OPCODES, "31 BALANCE 700  3f EXTCODEHASH 700  46 CHAINID 2  47 SELFBALANCE 5  54 SLOAD 800"
)
"""Opcodes of Istanbul, which adds CHAINID (EIP-1344) and SELFBALANCE, and reprices state access (EIP-1884)."""
BERLIN_OPCODES: Final = with_opcodes(
    ISTANBUL_OPCODES,
    """
    31 BALANCE 0         3b EXTCODESIZE 0    3c EXTCODECOPY 0     3f EXTCODEHASH 0   54 SLOAD 0        f1 CALL 0
    f2 CALLCODE 0        f4 DELEGATECALL 0   fa STATICCALL 0
""",
)
"""Opcodes of Berlin; access to state has only a dynamic price, by whether the access is the first one (EIP-2929)."""
LONDON_OPCODES: Final = with_opcodes(BERLIN_OPCODES, "48 BASEFEE 2")
"""Opcodes of London, which adds BASEFEE (EIP-3198)."""
PARIS_OPCODES: Final = with_opcodes(LONDON_OPCODES, "44 PREVRANDAO 2")
"""Opcodes of Paris, which replaces DIFFICULTY by PREVRANDAO (EIP-4399)."""
SHANGHAI_OPCODES: Final = with_opcodes(PARIS_OPCODES, "5f PUSH0 2")
"""Opcodes of Shanghai, which adds PUSH0 (EIP-3855)."""
CANCUN_OPCODES: Final = with_opcodes(
    SHANGHAI_OPCODES, "49 BLOBHASH 3  4a BLOBBASEFEE 2  5c TLOAD 100  5d TSTORE 100  5e MCOPY 3"
)
"""Opcodes of Cancun.

Adds transient storage (EIP-1153), BLOBHASH (EIP-4844), MCOPY (EIP-5656) and BLOBBASEFEE (EIP-7516).
"""
OSAKA_OPCODES: Final = with_opcodes(CANCUN_OPCODES, "1e CLZ 5")
"""Opcodes of Osaka, which adds CLZ (EIP-7939)."""

PROPOSED_OPCODES: Final[Mapping[int, str]] = MappingProxyType({
    1153: "5c TLOAD 100  5d TSTORE 100",
    1344: "46 CHAINID 2",
    3198: "48 BASEFEE 2",
    3855: "5f PUSH0 2",
    5656: "5e MCOPY 3",
    7843: "4b SLOTNUM 2",
    7939: "1e CLZ 5",
    8024: "e6 DUPN 3  e7 SWAPN 3  e8 EXCHANGE 3",
})  # fmt: skip
"""Opcodes of EIPs that can be added to any fork, by the number of the EIP."""

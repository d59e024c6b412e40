"""Ethereum's forks as rows; each names only its changes.

A row defines the opcodes with their static gas, the precompiles, and the types and costs of transactions. Rules: the
Ethereum execution specifications of Cancun, Prague and Osaka; EIP-7691 for the blobs of Prague.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from bridge.addresses import EthAddress
from hypervisor.errors import InvalidInput
from hypervisor.precompiles import Precompile, PrecompileTable
from runtimes.evm.ethereum.prices import words
from runtimes.evm.gas_table import CANCUN_GAS, GasTable
from runtimes.evm.opcodes import Opcode, opcode_table
from runtimes.evm.rules import BLS12_381_SLOTS, ETHEREUM_SLOTS, precompile_address, precompiles_with

_ROWS: Final = """
    00 STOP 0            01 ADD 3            02 MUL 5             03 SUB 3           04 DIV 5          05 SDIV 5
    06 MOD 5             07 SMOD 5           08 ADDMOD 8          09 MULMOD 8        0a EXP 10         0b SIGNEXTEND 5
    10 LT 3              11 GT 3             12 SLT 3             13 SGT 3           14 EQ 3           15 ISZERO 3
    16 AND 3             17 OR 3             18 XOR 3             19 NOT 3           1a BYTE 3         1b SHL 3
    1c SHR 3             1d SAR 3            20 KECCAK256 30
    30 ADDRESS 2         31 BALANCE 0        32 ORIGIN 2          33 CALLER 2        34 CALLVALUE 2    35 CALLDATALOAD 3
    36 CALLDATASIZE 2    37 CALLDATACOPY 3   38 CODESIZE 2        39 CODECOPY 3      3a GASPRICE 2     3b EXTCODESIZE 0
    3c EXTCODECOPY 0     3d RETURNDATASIZE 2 3e RETURNDATACOPY 3  3f EXTCODEHASH 0   40 BLOCKHASH 20   41 COINBASE 2
    42 TIMESTAMP 2       43 NUMBER 2         44 PREVRANDAO 2      45 GASLIMIT 2      46 CHAINID 2      47 SELFBALANCE 5
    48 BASEFEE 2         49 BLOBHASH 3       4a BLOBBASEFEE 2     50 POP 2           51 MLOAD 3        52 MSTORE 3
    53 MSTORE8 3         54 SLOAD 0          55 SSTORE 0          56 JUMP 8          57 JUMPI 10       58 PC 2
    59 MSIZE 2           5a GAS 2            5b JUMPDEST 1        5c TLOAD 100       5d TSTORE 100     5e MCOPY 3
    5f PUSH0 2           a0 LOG0 375         a1 LOG1 750          a2 LOG2 1125       a3 LOG3 1500      a4 LOG4 1875
    f0 CREATE 32000      f1 CALL 0           f2 CALLCODE 0        f3 RETURN 0        f4 DELEGATECALL 0 f5 CREATE2 32000
    fa STATICCALL 0      fd REVERT 0         fe INVALID 0         ff SELFDESTRUCT 5000
"""
"""Static gas only; dynamic gas (sizes, access, value) is in `GasTable`."""


@dataclass(frozen=True, slots=True)
class BlobSchedule:
    """A block's target and maximum number of blobs, and the update fraction of their base fee (in gas)."""

    target: int
    maximum: int
    update_fraction: int
    per_transaction: int | None = None


@dataclass(frozen=True, slots=True)
class Fork:
    """One set of Ethereum's rules. Gas in Ethereum gas, sizes in bytes."""

    name: str
    opcodes: Mapping[int, Opcode]
    precompiles: Mapping[EthAddress, str]
    blobs: BlobSchedule
    gas: GasTable = CANCUN_GAS
    """Dynamic gas prices of opcodes."""
    calldata_floor: bool = False
    """True if a transaction pays at least a floor price for its calldata (EIP-7623)."""
    warm_coinbase: bool = True
    """True if the coinbase address is warm at the start of a transaction (EIP-3651)."""
    delegations: bool = False
    """True if accounts can delegate to a contract's code (EIP-7702)."""
    block_hash_contract: bool = False
    """True if a contract stores block hashes (EIP-2935)."""
    requests: bool = False
    """True if blocks carry requests to the consensus layer (EIP-7685)."""
    transaction_gas_cap: int | None = None
    """Maximum gas limit of a transaction (EIP-7825), or None."""
    bounded_modexp: bool = False
    """True if MODEXP has bounds and a higher price (EIP-7823, EIP-7883)."""
    cell_proofs: bool = False
    """Blob transactions come with proofs of the blobs' cells (EIP-7594)."""
    bounded_blob_fee: bool = False
    """True if the blob base fee has a lower bound derived from the base fee (EIP-7918)."""
    family: str = "ethereum"
    """The family of opcode variants that engines use."""
    registered: Mapping[str, Precompile] = field(default_factory=dict)
    """Users' precompiles by their names in `precompiles`."""

    @property
    def creation_returns(self) -> bool:
        """True: a creation sets the return data."""
        return True

    @property
    def tree(self) -> "Fork":
        """The fork itself, which also has the rules for whole call trees."""
        return self

    def copy_gas(self, size: int) -> int:
        """Return the gas for copying `size` bytes within memory."""
        return self.gas.copy_word * words(size)

    def successor(self, name: str, **changes: Any) -> "Fork":
        """Return the next fork, with changes in the named fields only."""
        return replace(self, name=name, **changes)


_CANCUN_SLOTS: Final = {**ETHEREUM_SLOTS, 10: "point_evaluation"}


def _precompiles(*tables: Mapping[int, str]) -> Mapping[EthAddress, str]:
    return MappingProxyType({precompile_address(0, index): name for table in tables for index, name in table.items()})


CANCUN: Final = Fork(
    "Cancun",
    opcodes=MappingProxyType(opcode_table(_ROWS, push=(3, 3), dup=3, swap=3)),
    precompiles=_precompiles(_CANCUN_SLOTS),
    blobs=BlobSchedule(3, 6, 3_338_477),
)
PRAGUE: Final = CANCUN.successor(
    "Prague",
    precompiles=_precompiles(_CANCUN_SLOTS, BLS12_381_SLOTS),
    blobs=BlobSchedule(6, 9, 5_007_716),
    calldata_floor=True,
    delegations=True,
    block_hash_contract=True,
    requests=True,
)
OSAKA: Final = PRAGUE.successor(
    "Osaka",
    opcodes=MappingProxyType({**PRAGUE.opcodes, 0x1E: Opcode("CLZ", 5)}),
    precompiles=_precompiles(_CANCUN_SLOTS, BLS12_381_SLOTS, {0x100: "p256_verify"}),
    blobs=replace(PRAGUE.blobs, per_transaction=6),
    transaction_gas_cap=1 << 24,
    bounded_modexp=True,
    cell_proofs=True,
    bounded_blob_fee=True,
)

FORKS: Final[Mapping[str, Fork]] = MappingProxyType({fork.name: fork for fork in (CANCUN, PRAGUE, OSAKA)})
LATEST_FORK: Final = [*FORKS.values()][-1]
DELEGATING_CANCUN: Final = PRAGUE.successor("Cancun+EIP-7702", precompiles=CANCUN.precompiles, calldata_floor=False)
"""Cancun with EIP-7702 delegation, for Solidity tests compiled for Cancun; forge enables delegation in all versions."""
SHANGHAI: Final = DELEGATING_CANCUN.successor("Shanghai", precompiles=_precompiles(ETHEREUM_SLOTS))
"""Shanghai's precompiles and transaction gas with Cancun's opcodes, for Solidity tests compiled for Shanghai."""
PARIS: Final = SHANGHAI.successor("Paris", gas=replace(PRAGUE.gas, init_code_word=0), warm_coinbase=False)
"""Shanghai without gas per word of init code (EIP-3860) and with a cold coinbase (EIP-3651)."""
_FOR_TESTS: Final[Mapping[str, Fork]] = MappingProxyType(
    {fork.name: fork for fork in (PARIS, SHANGHAI, DELEGATING_CANCUN)}
)


def fork_names() -> tuple[str, ...]:
    """Return the names of the forks, oldest first."""
    return tuple(FORKS)


def fork_named(name: str) -> Fork:
    """Return the fork of this name, or the latest if the name is empty. Raises InvalidInput."""
    if not name:
        return LATEST_FORK
    try:
        return FORKS[name] if name in FORKS else _FOR_TESTS[name]
    except KeyError:
        raise InvalidInput(f"fork '{name}' is not known: choose one of {', '.join(FORKS)}") from None


@lru_cache(64)
def fork_with(name: str, table: PrecompileTable | None) -> Fork:
    """Return the fork of this name with users' precompiles added to its own. Raises InvalidInput."""
    fork = fork_named(name)
    if table is None:
        return fork
    precompiles = precompiles_with(fork.precompiles, table)
    return replace(fork, precompiles=precompiles, registered=MappingProxyType(table.by_name))

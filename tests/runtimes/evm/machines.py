"""Machines and hosts for tests of the EVM runtime.

- A host in memory, for tests of an engine alone.
- Two machines under Ethereum's rules, on the plain and the fast engine, whose results must be equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import ACCESS_LIST, Transaction
from bridge.gas import GasBudget
from hypervisor.errors import ActorExit
from hypervisor.gas import GasTracker
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import Tracer
from hypervisor.versions.network_versions import LATEST, network_version
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc, read_alloc
from runtimes.evm.contracts.code import Code
from runtimes.evm.contracts.engine import Frame, Step, TxContext
from runtimes.evm.contracts.rules import EvmRules, filecoin_evm_rules
from runtimes.evm.frames.py_evm import PyEvmEngine, PyEvmTable
from runtimes.evm.revm import EthereumExecutor
from runtimes.evm.revm.transactions import TransactionResult
from store.keccak import keccak
from tests.runtimes.evm.assembler import assemble

RULES = filecoin_evm_rules(LATEST)
TABLE = PyEvmTable(RULES)
CALLER = EthAddress(b"\xca" * 20)
MYSELF = EthAddress(b"\x5e" * 20)
OTHER = EthAddress(b"\x07" * 20)
ORIGIN = EthAddress(b"\x01" * 20)
MEMORY_LIMIT = 1 << 20


class FakeHost:
    """A host that serves all calls from dictionaries."""

    def __init__(self, gas: int = 10**12) -> None:
        self.tracker = GasTracker(gas)
        self.gas = GasBudget(self.tracker, RULES.gas_rate)
        self.steps: Tracer | None = None
        self.storage: dict[int, int] = {}
        self.transient: dict[int, int] = {}
        self.balances: dict[EthAddress, int] = {MYSELF: 1000, OTHER: 7}
        self.codes: dict[EthAddress, bytes] = {OTHER: b"\x60\x01"}
        self.logs: list[tuple[list[bytes], bytes]] = []
        self.beneficiary: EthAddress | None = None
        self.granted: list[int] = []

    @property
    def message(self) -> object:
        return self

    def get_refund(self) -> int:
        return 0

    def get_storage(self, key: int) -> int:
        return self.storage.get(key, 0)

    def set_storage(self, key: int, value: int) -> None:
        self.storage[key] = value

    def get_transient_storage(self, key: int) -> int:
        return self.transient.get(key, 0)

    def set_transient_storage(self, key: int, value: int) -> None:
        self.transient[key] = value

    def get_balance(self, address: EthAddress) -> int:
        return self.balances.get(address, 0)

    def get_self_balance(self) -> int:
        return self.balances[MYSELF]

    def get_code_size(self, address: EthAddress) -> int:
        return len(self.codes.get(address, b""))

    def get_code_hash(self, address: EthAddress) -> bytes:
        return b"\xc0" * 32 if address in self.codes else bytes(32)

    def copy_code(self, address: EthAddress) -> bytes:
        return self.codes.get(address, b"")

    def get_tx_context(self) -> TxContext:
        return TxContext(11, ZERO_ADDRESS, 12, 13, 14, 15, 16)

    def get_origin(self) -> EthAddress:
        return ORIGIN

    def get_prev_randao(self) -> bytes:
        return b"\x44" * 32

    def get_gas_left(self) -> int:
        return self.gas.available_gas()

    def get_block_hash(self, number: int) -> bytes:
        return number.to_bytes(32, "big") if number < 12 else bytes(32)

    def keccak256(self, data: bytes) -> bytes:
        return keccak(data)

    def emit_log(self, topics: Sequence[bytes], data: bytes) -> None:
        self.logs.append((list(topics), data))

    def selfdestruct(self, beneficiary: EthAddress) -> None:
        self.beneficiary = beneficiary

    def grow_memory(self, size: int) -> int:
        if size > MEMORY_LIMIT:
            raise ActorExit(4, message="no more memory")
        self.granted.append(size)
        return size


def frame_of(
    code: bytes, calldata: bytes = b"", value: int = 0, static: bool = False, rules: EvmRules = RULES
) -> Frame:
    """Return a frame in the context of `MYSELF`, called by `CALLER`."""
    return Frame(rules, Code(code), calldata, CALLER, MYSELF, value, static)


def run(code: bytes, host: FakeHost | None = None, calldata: bytes = b"", value: int = 0, static: bool = False) -> Step:
    """Start a frame under the newest rules and return its first step."""
    return PyEvmEngine(TABLE).start(frame_of(code, calldata, value, static), host or FakeHost())


def rules_of(number: int) -> EvmRules:
    return filecoin_evm_rules(network_version(number))


TWIN_SENDER, CONTRACT, CALLEE, TWIN_OTHER, EMPTY, NOBODY, KILLER, LENDER, TAKEN, WRITER = (
    EthAddress(bytes([number]) * 20) for number in range(0xA1, 0xAB)
)
IDENTITY, PAIRING, BLAKE, P256 = (EthAddress(number.to_bytes(20, "big")) for number in (4, 8, 9, 0x100))
ENGINES = ("py-evm", "fast")
LAST_NONCE = (1 << 64) - 1
GAS_LIMIT = 12_000_000

Pre = Mapping[EthAddress, AllocAccount]
Slots = tuple[tuple[EthAddress, tuple[int, ...]], ...]


def word(address: EthAddress) -> str:
    return f"0x{address.hex()}"


def call(address: EthAddress, value: int = 0, kind: str = "CALL", gas: str = "2000000", size: int = 0) -> str:
    """Return words that call and push the success flag."""
    money = f" {value}" if kind in ("CALL", "CALLCODE") else ""
    return f"0 0 {size} 0{money} {word(address)} {gas} {kind}"


def create(init: bytes, value: int = 0, salt: int | None = None) -> str:
    """Return words that create a contract by init code of up to 32 bytes, and push its address."""
    salted = ("", "CREATE") if salt is None else (f"{salt} ", "CREATE2")
    return f"0x{init.hex() or 0} 0 MSTORE {salted[0]}{len(init)} {32 - len(init)} {value} {salted[1]}"


@dataclass
class After:
    result: TransactionResult
    accounts: dict[EthAddress, AllocAccount]
    slots: Mapping[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.slots = self.accounts[CONTRACT].storage


@dataclass
class Twins:
    """Both engines, whose results must be equal."""

    machines: dict[str, Hypervisor]

    def run(self, contract: str, callee: str = "", pre: Pre | None = None, **how: Any) -> After:
        """Run a transaction from SENDER to CONTRACT on both."""
        plain, fast = (self.on(engine, contract, callee, pre, **how) for engine in ENGINES)
        assert plain == fast
        return fast

    def on(
        self,
        engine: str,
        contract: str,
        callee: str,
        pre: Pre | None = None,
        *,
        fork: str = "Osaka",
        listed: Slots = (),
        gas: int = GAS_LIMIT,
        value: int = 0,
        block: EthereumBlock | None = None,
    ) -> After:
        machine = self.machines[engine]
        before, context = machine.snapshot(), machine.context
        try:
            machine.advance(block=block or EthereumBlock(fork, gas_limit=1 << 60))
            install_alloc(machine, {
                TWIN_SENDER: AllocAccount(10**24),
                CONTRACT: AllocAccount(100, 1, assemble(contract), {1: 5}),
                CALLEE: AllocAccount(50, 1, assemble(callee), {1: 5}),
                TWIN_OTHER: AllocAccount(7),
                EMPTY: AllocAccount(),
                KILLER: AllocAccount(9, 1, assemble(f"{word(TWIN_OTHER)} SELFDESTRUCT")),
                WRITER: AllocAccount(9, 1, assemble("1 6 SSTORE")),
                **(pre or {}),
            })  # fmt: skip
            transaction = Transaction(ACCESS_LIST, None, 0, CONTRACT, value, b"", gas, 1, 1, access_list=listed)
            result = EthereumExecutor(machine).apply_transaction(transaction, TWIN_SENDER)
            machine.flush()
            return After(result, dict(read_alloc(machine)))
        finally:
            machine.restore(before)
            machine.context = context

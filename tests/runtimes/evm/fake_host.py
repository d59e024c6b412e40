"""A host in memory, for tests of an engine alone."""

from collections.abc import Sequence

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.gas import GasBudget
from hypervisor.errors import ActorExit
from hypervisor.gas import GasTracker
from hypervisor.tracing import StepTracer
from hypervisor.versions.network_versions import LATEST, network_version
from runtimes.evm.code import analyse
from runtimes.evm.engine import Frame, Step, TreeMode, TxContext
from runtimes.evm.filecoin_rules import filecoin_evm_rules
from runtimes.evm.py_evm import PyEvmEngine, PyEvmTable
from runtimes.evm.rules import EvmRules
from store.keccak import keccak

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
        self.steps: StepTracer | None = None
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

    def tree_mode(self) -> TreeMode | None:
        return None

    def grow_memory(self, size: int) -> int:
        if size > MEMORY_LIMIT:
            raise ActorExit(4, message="no more memory")
        self.granted.append(size)
        return size


def frame_of(
    code: bytes, calldata: bytes = b"", value: int = 0, static: bool = False, rules: EvmRules = RULES
) -> Frame:
    """Return a frame in the context of `MYSELF`, called by `CALLER`."""
    return Frame(rules, analyse(code), calldata, CALLER, MYSELF, value, static)


def run(code: bytes, host: FakeHost | None = None, calldata: bytes = b"", value: int = 0, static: bool = False) -> Step:
    """Start a frame under the newest rules and return its first step."""
    return PyEvmEngine(TABLE).start(frame_of(code, calldata, value, static), host or FakeHost())


def rules_of(number: int) -> EvmRules:
    """Return the rules of a network version."""
    return filecoin_evm_rules(network_version(number))

"""What cheatcodes have set: it lives as long as a test and is copied where a test starts from what `setUp` left."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final

from bridge.addresses import EthAddress
from bridge.events import Log
from fvm_hypervisor.soltest.forks.book import ForkBook
from hypervisor.context import MachineContext
from hypervisor.state_tree import TreeImage
from runtimes.evm.engine import CallKind

VM_ADDRESS: Final = EthAddress(bytes.fromhex("7109709ecfa91a80626ff3989d68f67f5b1dd12d"))
FAILED_SLOT: Final = int.from_bytes(b"failed".ljust(32, b"\0"), "big")
"""What a test sets that fails without reverting (forge-std's `fail`), in the storage of the cheatcodes' address."""
CONSOLE_ADDRESS: Final = EthAddress(bytes.fromhex("000000000000000000636f6e736f6c652e6c6f67"))
CREATE2_DEPLOYER: Final = EthAddress(bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c"))
DEFAULT_SENDER: Final = EthAddress(bytes.fromhex("1804c8ab1f12e6bbf3894d4083f33e07309d1f38"))


@dataclass(slots=True)
class Prank:
    """Calls from `caller` at `depth` are made by `sender`; those below see `origin` as well, where it is given."""

    caller: EthAddress
    sender: EthAddress
    origin: EthAddress | None
    depth: int
    once: bool
    delegates: bool
    old_origin: EthAddress
    used: bool = False
    broadcast: bool = False


@dataclass(frozen=True, slots=True)
class BroadcastCall:
    """What a script has sent: `to` is None where a contract is created, `created` the contract that came to be.

    `second` where CREATE2 was asked for: it is a call of its deployer then. `funds` is what the sender has before it in
    the script's run, where no gas is paid, in attoFIL (wei). `url` is the node of the fork on which it was made, None
    on the network that the script began with; `code` what was called.
    """

    sender: EthAddress
    nonce: int
    to: EthAddress | None
    value: int
    data: bytes
    created: EthAddress | None = None
    second: bool = False
    funds: int = 0
    url: str | None = None
    code: bytes = b""


@dataclass(slots=True)
class Broadcasts:
    """The transactions of a script, and who signs: `sender` where the script names nobody."""

    sender: EthAddress
    calls: list[BroadcastCall] = field(default_factory=list)
    keys: dict[EthAddress, bytes] = field(default_factory=dict)
    """Those that the script itself has given to `broadcast` and `startBroadcast`."""
    attached: list[str] = field(default_factory=list)
    """Cheatcodes that have given the next transaction what transactions of scripts do not have."""
    unsendable: list[str] = field(default_factory=list)
    """Those whose transaction has come."""


@dataclass(slots=True)
class Deal:
    """A balance that was dealt, or a nonce that was set, in a call at a depth or one below it that has passed."""

    account: EthAddress
    amount: int
    depth: int
    nonce: bool = False


@dataclass(slots=True)
class ExpectedRevert:
    """The next call has to revert; `reason` None takes any reason. `kind` is `call` or `cheatcode`."""

    depth: int
    reason: bytes | None = None
    partial: bool = False
    reverter: EthAddress | None = None
    count: int = 1
    cheatcode: bool = False
    pending: bool = True
    reverted_by: EthAddress | None = None
    deepest: int = 0
    seen: int = 0


@dataclass(slots=True)
class AcceptableRevert:
    """A revert that makes a fuzz run void."""

    reason: bytes
    partial: bool
    reverter: EthAddress | None


@dataclass(slots=True)
class AssumeNoRevert:
    """Should the next call revert, the run is void; `reasons` empty takes any."""

    depth: int
    reasons: list[AcceptableRevert]
    reverted_by: EthAddress | None = None


@dataclass(slots=True)
class ExpectedEmit:
    """A log that has to come; `log` is filled by the one that the test itself emits next."""

    depth: int
    checks: tuple[bool, bool, bool, bool, bool]
    emitter: EthAddress | None
    anonymous: bool
    count: int
    log: Log | None = None
    found: bool = False
    mismatch: str | None = None
    seen: dict[EthAddress, int] = field(default_factory=dict)


@dataclass(slots=True)
class ExpectedCall:
    """Calls that have to be made; `exactly` that often, else at least."""

    value: int | None
    gas: int | None
    min_gas: int | None
    count: int
    exactly: bool
    seen: int = 0


@dataclass(slots=True)
class ExpectedCreate:
    """A creation that has to be made."""

    deployer: EthAddress
    code: bytes
    kind: str


@dataclass(slots=True)
class Mock:
    """What is answered in a callee's place: the answers one after the other, the last one for ever."""

    data: bytes
    value: int | None
    answers: deque[bytes]
    reverts: bool


@dataclass(slots=True)
class RecordedLog:
    """A log as `getRecordedLogs` gives it."""

    topics: tuple[bytes, ...]
    data: bytes
    emitter: EthAddress


@dataclass(slots=True)
class GasMeter:
    """A metering of gas that was begun: its group and name, and what was used then."""

    group: str
    name: str
    used: int


@dataclass(frozen=True, slots=True)
class CallGas:
    """What a call was given and has used, and the refunds that it was promised, in Ethereum's gas."""

    limit: int
    used: int
    refunded: int


@dataclass(slots=True)
class StorageAccess:
    """A slot looked at, as state diffs list it."""

    account: EthAddress
    slot: int
    written: bool
    before: int
    after: int
    reverted: bool = False


@dataclass(slots=True)
class AccountAccess:
    """A call or creation as state diffs list it."""

    chain: int
    kind: int
    account: EthAddress
    accessor: EthAddress
    initialized: bool
    old_balance: int
    new_balance: int
    deployed: bytes
    value: int
    data: bytes
    reverted: bool
    depth: int
    old_nonce: int
    new_nonce: int
    slots: list[StorageAccess] = field(default_factory=list)


MOST_STEPS: Final = 100_000
MOST_STEP_MEMORY: Final = 64 << 20
"""Instructions that are recorded, and bytes of memory that these read, at most."""


@dataclass(frozen=True, slots=True)
class DebugStep:
    """An instruction as `stopAndReturnDebugTraceRecording` gives it: the stack's top is first."""

    stack: tuple[int, ...]
    memory: bytes
    opcode: int
    depth: int
    out_of_gas: bool
    contract: EthAddress


@dataclass(slots=True)
class DebugRecording:
    """The instructions since `startDebugTraceRecording`; `is_cut` where they are more than a test may record."""

    steps: list[DebugStep] = field(default_factory=list)
    is_cut: bool = False
    _memory: int = 0

    def add(self, step: DebugStep) -> None:
        """Record one, while there is room."""
        self._memory += len(step.memory)
        self.is_cut = self.is_cut or len(self.steps) == MOST_STEPS or self._memory > MOST_STEP_MEMORY
        if not self.is_cut:
            self.steps.append(step)


@dataclass(slots=True)
class MappingSlots:
    """The slots of a contract's mappings: of each its key and the mapping's slot; of a mapping its slots in order."""

    hashes: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    keys: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    children: dict[int, list[int]] = field(default_factory=dict)

    def written(self, slot: int) -> None:
        """Take a slot that is written, and the mappings that it lies in."""
        while slot in self.hashes and slot not in self.keys:
            _, parent = self.keys[slot] = self.hashes[slot]
            self.children.setdefault(parent, []).append(slot)
            slot = parent


@dataclass(frozen=True, slots=True)
class StateSnapshot:
    """What `snapshotState` keeps: the actors, the message's journal, and the block."""

    tree: TreeImage
    journal: Mapping[Any, Any]
    context: MachineContext
    block: BlockValues

    def __deepcopy__(self, _memo: object) -> StateSnapshot:
        """Itself: nothing of it ever changes."""
        return self


@dataclass(frozen=True, slots=True)
class BlockValues:
    """What opcodes see of the block and the transaction beyond the machine's context; None: as it comes."""

    prevrandao: bytes | None = None
    hashes: Mapping[int, bytes] = field(default_factory=dict)
    gas_price: int | None = None
    blob_hashes: tuple[bytes, ...] | None = None
    blob_base_fee: int | None = None


@dataclass(slots=True)
class State:
    """Everything that cheatcodes have set."""

    broadcasts: Broadcasts | None = None
    """Of a script; None in a test, where a broadcast is a prank."""
    pranks: dict[int, Prank] = field(default_factory=dict)
    deals: list[Deal] = field(default_factory=list)
    revert: ExpectedRevert | None = None
    assume: AssumeNoRevert | None = None
    emits: deque[ExpectedEmit] = field(default_factory=deque)
    calls: dict[EthAddress, dict[tuple[bytes, CallKind | None], ExpectedCall]] = field(default_factory=dict)
    creates: list[ExpectedCreate] = field(default_factory=list)
    mocks: dict[EthAddress, list[Mock]] = field(default_factory=dict)
    functions: dict[EthAddress, dict[bytes, EthAddress]] = field(default_factory=dict)
    block: BlockValues = field(default_factory=BlockValues)
    labels: dict[EthAddress, str] = field(default_factory=dict)
    logs: list[RecordedLog] | None = None
    recording: bool = False
    reads: dict[EthAddress, list[int]] = field(default_factory=dict)
    writes: dict[EthAddress, list[int]] = field(default_factory=dict)
    mappings: dict[EthAddress, MappingSlots] | None = None
    diff: list[AccountAccess] | None = None
    open_diffs: list[AccountAccess] = field(default_factory=list)
    safe_memory: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """By depth, the ranges of memory that frames may write."""
    steps: DebugRecording | None = None
    """The instructions since `startDebugTraceRecording`."""
    arbitrary: dict[EthAddress, bool] = field(default_factory=dict)
    """Contracts whose slots are drawn when they are read, with whether those that hold something are, too."""
    drawn: set[tuple[EthAddress, int]] = field(default_factory=set)
    """Slots that were read since, or written."""
    evm_version: str | None = None
    """What `setEvmVersion` has set."""
    failure: str | None = None
    """What makes the call fail that runs now, at its end."""
    missing: str | None = None
    """What was called that the active fork lacks, in words."""
    has_failed: bool = False
    """Whether `FAILED_SLOT` was set when the test went back to an earlier state."""
    snapshots: dict[int, StateSnapshot] = field(default_factory=dict)
    next_snapshot: int = 0
    json: dict[str, dict[str, Any]] = field(default_factory=dict)
    delegations: dict[EthAddress, int] = field(default_factory=dict)
    """The nonces of the last delegations that were attached, by who lends itself code."""
    persistent: set[EthAddress] = field(default_factory=lambda: {VM_ADDRESS, CREATE2_DEPLOYER, DEFAULT_SENDER})
    """The accounts that a change of forks would leave, beside the test contract."""
    allowed: set[EthAddress] = field(default_factory=set)
    """Contracts that `allowCheatcodes` names."""
    denied: set[EthAddress] = field(default_factory=set)
    """Contracts on a fork that may use no cheatcodes: what those of the network have created, and what was etched."""
    forks: ForkBook = field(default_factory=ForkBook)
    asks_for_forks: bool = False
    """Whether, under Filecoin's rules, the test contract has a cheatcode in its code that makes or rolls forks."""
    keys: dict[EthAddress, int] = field(default_factory=dict)
    """Private keys of wallets, by address."""
    environment: dict[str, str] = field(default_factory=dict)
    """What `setEnv` has set."""
    randomness: int = 0
    """How many random numbers were drawn; the seed is the run's."""
    seed: int | None = None
    """The seed of `setSeed`, in the place of the run's."""
    paused_gas: dict[int, int] = field(default_factory=dict)
    meters: dict[tuple[str, str], GasMeter] = field(default_factory=dict)
    active_meter: tuple[str, str] | None = None
    last_measured: int = 0
    """Gas that the frame of the last measurement had used at its end."""
    measured: dict[tuple[str, str], int] = field(default_factory=dict)
    """Values by group and name, for the files under snapshots/."""
    watches_gas: bool = False
    """Whether the gas of each call is kept: the test contract has a cheatcode that asks for it."""
    watches_logs: bool = False
    """Whether logs are shown, and the test contract has such in its code: those of calls that revert, too."""
    last_call: CallGas | None = None
    intercept_code: bool = False
    kept: int = 0
    """The calldata of cheatcodes that keep what they are given: bytes."""
    reading: dict[str, int] = field(default_factory=dict)
    """How far files are read, line by line: bytes."""

    @property
    def is_armed(self) -> bool:
        """Whether calls between contracts, or slots, have to be seen."""
        return bool(self.pranks or self.revert or self._sees_all or self.watches)

    @property
    def watches(self) -> bool:
        """Whether slots have to be seen, and what is hashed, with all calls."""
        return bool(self.recording or self.diff is not None or self.mappings is not None or self.arbitrary)

    @property
    def watches_steps(self) -> bool:
        """Whether instructions have to be seen."""
        return bool(self.safe_memory) or self.steps is not None

    def sees(self, depth: int) -> bool:
        """Whether calls that frames at this depth or below it make have to be seen, and their logs in order.

        A prank is about calls at its own depth, unless the origin is another, and so is an expected revert, unless it
        needs a reverter.
        """
        revert = self.revert
        return (
            any(prank.depth >= depth or prank.origin is not None for prank in self.pranks.values())
            or (revert is not None and (revert.depth >= depth or revert.cheatcode or revert.reverter is not None))
            or self._sees_all
        )

    @property
    def _sees_all(self) -> bool:
        return bool(
            self.assume
            or self.emits
            or self.calls
            or self.creates
            or self.mocks
            or self.functions
            or self.logs is not None
            or self.intercept_code
            or self.watches_gas
            or self.forks.forks
            or self.evm_version
            or self.watches_logs
        )

    def image(self) -> Mapping[str, Any]:
        """What is set, for `of_image`. Little ever is, and each run of a fuzz test begins with it."""
        values = _VALUES(self)
        if values == _NOTHING_SET:
            return {}
        parts = zip(_NAMES, values, _NOTHING_SET, strict=True)
        return deepcopy({name: value for name, value, usual in parts if value != usual})

    @classmethod
    def of_image(cls, image: Mapping[str, Any]) -> State:
        """A state of its own in which that is set and nothing else."""
        made = cls()
        for name, value in deepcopy(image).items() if image else ():
            setattr(made, name, value)
        return made


_NAMES: Final = tuple(part.name for part in fields(State))
_VALUES: Final = attrgetter(*_NAMES)
_NOTHING_SET: Final = _VALUES(State())

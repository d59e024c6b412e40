"""State set by cheatcodes. It lasts for a test, and is copied from the state after `setUp`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import AccessList
from hypervisor.context import MachineContext
from hypervisor.state.state_tree import TreeImage
from hypervisor_tools.soltest.forks.records import ForkRecords
from runtimes.evm.revm import Snapshot

VM_ADDRESS: Final = EthAddress(bytes.fromhex("7109709ecfa91a80626ff3989d68f67f5b1dd12d"))
FAILED_SLOT: Final = int.from_bytes(b"failed".ljust(32, b"\0"), "big")
"""Slot at the cheatcodes' address that forge-std's `fail` sets to fail a test without a revert."""
CONSOLE_ADDRESS: Final = EthAddress(bytes.fromhex("000000000000000000636f6e736f6c652e6c6f67"))
CREATE2_DEPLOYER: Final = EthAddress(bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c"))
DEFAULT_SENDER: Final = EthAddress(bytes.fromhex("1804c8ab1f12e6bbf3894d4083f33e07309d1f38"))


class StorageHook(NamedTuple):
    """A function of `contract`, by its selector, that is called after accesses to slots."""

    contract: EthAddress
    callback: bytes


@dataclass(slots=True)
class StorageHooks:
    """Hooks by the address whose storage is observed; mapping hooks also by root slot."""

    loads: dict[EthAddress, StorageHook] = field(default_factory=dict)
    stores: dict[EthAddress, StorageHook] = field(default_factory=dict)
    mappings: dict[EthAddress, dict[int, StorageHook]] = field(default_factory=dict)
    hashes: dict[EthAddress, dict[int, tuple[bytes, int]]] = field(default_factory=dict)
    """Key and parent slot by hash, of contracts with hooks of mappings; cleared between the test's messages."""
    is_active: bool = False
    """True while a callback runs."""

    @property
    def accounts(self) -> set[EthAddress]:
        """The addresses whose storage is observed."""
        return {*self.loads, *self.stores, *self.mappings}

    def note_hash(self, account: EthAddress, key: bytes, slot: int, digest: int) -> None:
        """Record the hash of a key and a slot, which may be the slot of a mapping with a hook."""
        if account in self.mappings and not self.is_active:
            self.hashes.setdefault(account, {})[digest] = key, slot


class BroadcastCall(NamedTuple):
    """A call broadcast by a script: `to` is None for a creation, `created` the created contract.

    `second` is True for CREATE2, which becomes a call of its deployer. `funds` is the sender's balance before it in the
    script's run, where gas is free, in attoFIL (wei). `url` is the node of the active fork, None on the network that
    the script began with; `code` is the callee's.
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
    """Transactions of a script and its keys. `sender` is the default signer."""

    sender: EthAddress
    calls: list[BroadcastCall] = field(default_factory=list)
    keys: dict[EthAddress, bytes] = field(default_factory=dict)
    """Keys that the script passed to `broadcast` and `startBroadcast`."""
    attached: list[str] = field(default_factory=list)
    """Cheatcodes that set unsupported fields of the next transaction."""
    unsendable: list[str] = field(default_factory=list)
    """Cheatcodes that made or changed a transaction which cannot be sent."""


class CallGas(NamedTuple):
    """Gas limit, gas used and refunds of a call, in Ethereum's gas."""

    limit: int
    used: int
    refunded: int


@dataclass(slots=True)
class StorageAccess:
    """An access to a slot, as listed by state diffs."""

    account: EthAddress
    slot: int
    written: bool
    before: int
    after: int
    reverted: bool = False


@dataclass(slots=True)
class AccountAccess:
    """A call or creation, as listed by state diffs."""

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


MAX_STEPS: Final = 100_000
MAX_STEP_MEMORY: Final = 64 << 20
"""Maximum number of recorded instructions, and maximum bytes of memory that they read."""


class DebugStep(NamedTuple):
    """An instruction as returned by `stopAndReturnDebugTraceRecording`, with the stack's top first."""

    stack: tuple[int, ...]
    memory: bytes
    opcode: int
    depth: int
    out_of_gas: bool
    contract: EthAddress


@dataclass(slots=True)
class DebugRecording:
    """Instructions since `startDebugTraceRecording`; `is_cut` if they exceeded the limits."""

    steps: list[DebugStep] = field(default_factory=list)
    is_cut: bool = False
    _memory: int = 0

    def add(self, step: DebugStep) -> None:
        """Record an instruction within the limits."""
        self._memory += len(step.memory)
        self.is_cut = self.is_cut or len(self.steps) == MAX_STEPS or self._memory > MAX_STEP_MEMORY
        if not self.is_cut:
            self.steps.append(step)


@dataclass(slots=True)
class MappingSlots:
    """Slots of a contract's mappings: key and parent by slot, and child slots by mapping, in order."""

    hashes: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    keys: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    children: dict[int, list[int]] = field(default_factory=dict)

    def record_write(self, slot: int) -> None:
        """Record a written slot, and the mappings that contain it."""
        while slot in self.hashes and slot not in self.keys:
            _, parent = self.keys[slot] = self.hashes[slot]
            self.children.setdefault(parent, []).append(slot)
            slot = parent


class ActorSnapshot(NamedTuple):
    """The actors under Filecoin's rules, and the message's journal."""

    tree: TreeImage
    journal: Mapping[Any, Any]


class StateSnapshot(NamedTuple):
    """A snapshot by `snapshotState`: the actors, or the accounts of a session, and the block."""

    held: ActorSnapshot | Snapshot
    context: MachineContext
    block: BlockValues


@dataclass(frozen=True, slots=True)
class BlockValues:
    """Block and transaction values for opcodes beyond the machine's context; None for the default."""

    prevrandao: bytes | None = None
    hashes: Mapping[int, bytes] = field(default_factory=dict)
    base_fee: int | None = None
    """The machine's base fee if `vm.fee` set it: calls that are transactions see it (`isolate`), and 0 otherwise."""
    gas_price: int | None = None
    blob_hashes: tuple[bytes, ...] | None = None
    blob_base_fee: int | None = None

    @property
    def changes_transaction(self) -> bool:
        """True if the transaction has other values than that of a call."""
        return not (self.gas_price is None and self.blob_hashes is None and self.blob_base_fee is None)


@dataclass(slots=True)
class State:
    """All state set by cheatcodes."""

    broadcasts: Broadcasts | None = None
    """Transactions of a script; None in a test, which sends none."""
    uses_broadcasts: bool = False
    """True since a broadcast began in the test."""
    block: BlockValues = field(default_factory=BlockValues)
    labels: dict[EthAddress, str] = field(default_factory=dict)
    recording: bool = False
    reads: dict[EthAddress, list[int]] = field(default_factory=dict)
    writes: dict[EthAddress, list[int]] = field(default_factory=dict)
    mappings: dict[EthAddress, MappingSlots] | None = None
    reads_mappings: bool = False
    """True if the test contract contains a cheatcode that shows the slots of mappings."""
    diff: list[AccountAccess] | None = None
    open_diffs: list[AccountAccess] = field(default_factory=list)
    safe_memory: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Memory ranges that frames may write, by depth."""
    steps: DebugRecording | None = None
    """Instructions since `startDebugTraceRecording`."""
    arbitrary: dict[EthAddress, bool] = field(default_factory=dict)
    """Contracts with random slots; True if slots that are not empty are replaced too."""
    copies: dict[EthAddress, EthAddress] = field(default_factory=dict)
    """Contracts with a copy of the slots of one with random slots, which they get from there when they are read."""
    drawn: dict[tuple[EthAddress, int], int | None] = field(default_factory=dict)
    """Slots that were read or written since, with the words drawn for them."""
    evm_version: str | None = None
    """Version set by `setEvmVersion`."""
    missing: str | None = None
    """Diagnosis of a call to a contract that the active fork lacks."""
    may_have_failed: bool = False
    """True if `FAILED_SLOT` was written."""
    has_failed: bool = False
    """True if `FAILED_SLOT` was set before the test reverted to an earlier state."""
    json: dict[str, dict[str, Any]] = field(default_factory=dict)
    delegations: dict[EthAddress, int] = field(default_factory=dict)
    """Nonce of the latest delegation attached to the next broadcast call, by authority."""
    blob: bool = False
    """True if a blob is attached to the next broadcast call."""
    access_list: AccessList = ()
    """Access list of calls that are transactions (`isolate`)."""
    persistent: set[EthAddress] = field(default_factory=lambda: {VM_ADDRESS, CREATE2_DEPLOYER, DEFAULT_SENDER})
    """Accounts that are kept when forks change, in addition to the test contract."""
    allowed: set[EthAddress] = field(default_factory=set)
    """Contracts allowed by `allowCheatcodes`."""
    denied: set[EthAddress] = field(default_factory=set)
    """Contracts on a fork that may not use cheatcodes: created by the network's contracts, or etched."""
    forks: ForkRecords = field(default_factory=ForkRecords)
    uses_fork_cheatcodes: bool = False
    """True if, under Filecoin's rules, the test contract's code contains a cheatcode that creates or rolls forks."""
    keys: dict[EthAddress, int] = field(default_factory=dict)
    """Private keys of wallets, by address."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables set by `setEnv`."""
    randomness: int = 0
    """Number of random draws so far."""
    seed: int | None = None
    """Seed set by `setSeed`, instead of the run's."""
    meters: dict[tuple[str, str], int] = field(default_factory=dict)
    """Gas used when each measurement started, by group and name."""
    active_meter: tuple[str, str] | None = None
    last_measured: int = 0
    """Gas that the frame of the last measurement had used at its end."""
    measured: dict[tuple[str, str], int] = field(default_factory=dict)
    """Values by group and name, for the files under snapshots/."""
    watches_gas: bool = False
    """True if the gas of each call is recorded, because the test contract contains a cheatcode that needs it."""
    watches_logs: bool = False
    """True if logs of reverted calls are shown too, because the test contract contains log events."""
    ended: CallGas | None = None
    """Gas of the call or creation whose end is being handled."""
    last_call: CallGas | None = None
    call_before: CallGas | None = None
    """Gas of the last call, and of the one before the last call or creation that has not reverted as expected."""
    last_frame: CallGas | None = None
    """Gas of the last call or creation."""
    hooks: StorageHooks | None = None
    intercept_code: bool = False
    stored_bytes: int = 0
    """Total calldata in bytes of cheatcodes that store their input."""
    reading: dict[str, int] = field(default_factory=dict)
    """Read positions in files, in bytes."""

    def note_accesses(self, accesses: Iterable[tuple[EthAddress, int, bool]]) -> None:
        """Record accesses to slots: the account, the slot, and True for a write."""
        for account, slot, is_write in accesses:
            self.reads.setdefault(account, []).append(slot)
            if is_write:
                self.writes.setdefault(account, []).append(slot)

    @property
    def watches_steps(self) -> bool:
        """True if instructions must be traced."""
        return bool(self.safe_memory) or self.steps is not None

    @property
    def sees_calls(self) -> bool:
        """True if something is set here that all calls meet."""
        return bool(
            self.uses_broadcasts
            or self.diff is not None
            or self.arbitrary
            or self.intercept_code
            or self.watches_gas
            or self.forks.forks
            or self.watches_logs
        )

    @property
    def runs_cheatcodes(self) -> bool:
        """True if something is set here that cheatcodes of the guest would have to know."""
        return bool(
            self.forks.forks
            or self.diff is not None
            or self.arbitrary
            or self.hooks is not None
            or self.may_have_failed
        )

    @property
    def is_idle(self) -> bool:
        """True if nothing is set here that calls and the end of the test may meet."""
        return not (
            self.sees_calls
            or self.missing is not None
            or self.recording
            or self.mappings is not None
            or self.hooks is not None
            or self.watches_steps
            or self.access_list
            or self.block.changes_transaction
            or self.may_have_failed
        )

    def note_gas(self, gas: CallGas, creates: bool, was_caught: bool) -> None:
        """Record the gas of a call or creation; `was_caught` if the one before reverted as expected."""
        if not was_caught:
            self.call_before = self.last_call
        self.last_frame = gas
        self.last_call = self.call_before if creates else gas

    @property
    def is_default(self) -> bool:
        """True if no cheatcode has changed anything."""
        return self == _DEFAULT

    def image(self) -> Mapping[str, Any]:
        """Return the fields that differ from the defaults, for `of_image`.

        Usually there are few; each run of a fuzz test starts from them.
        """
        if self.is_default:
            return {}
        parts = zip(_NAMES, _VALUES(self), _VALUES(_DEFAULT), strict=True)
        return _copy_of({name: value for name, value, default in parts if value != default})

    @classmethod
    def of_image(cls, image: Mapping[str, Any]) -> State:
        """Return an independent state with exactly these fields set."""
        made = cls()
        for name, value in _copy_of(image).items() if image else ():
            setattr(made, name, value)
        return made


def _copy_of(image: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a copy of fields; what several of them share, the copies share too."""
    copies: dict[int, Any] = {}
    return {name: _copied(value, copies) for name, value in image.items()}


def _copied(value: Any, copies: dict[int, Any]) -> Any:
    """Return a copy of a dict, list, deque, set or dataclass that is not frozen, with its contents; else the value."""
    kind: Any = type(value)
    if kind is dict:
        return {key: _copied(item, copies) for key, item in value.items()}
    if kind is list or kind is deque:
        return kind([_copied(item, copies) for item in value])
    if kind is set:
        return value.copy()
    names = _names_of(kind)
    if not names:
        if kind.__hash__ is None:
            raise TypeError(f"no copy is made of {kind.__name__}, which is mutable")
        return value
    made = copies.get(id(value))
    if made is None:
        made = copies[id(value)] = object.__new__(kind)
        for name in names:
            setattr(made, name, _copied(getattr(value, name), copies))
    return made


@cache
def _names_of(kind: Any) -> tuple[str, ...]:
    """Return the fields of a dataclass that is not frozen; none for other types."""
    if not is_dataclass(kind) or _is_frozen(kind):
        return ()
    return tuple(part.name for part in fields(kind))


def _is_frozen(kind: Any) -> bool:
    return bool(kind.__dataclass_params__.frozen)


_NAMES: Final = tuple(part.name for part in fields(State))
_VALUES: Final = attrgetter(*_NAMES)
_DEFAULT: Final = State()

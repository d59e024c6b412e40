"""`Cheatcodes`: executes cheatcodes, and intercepts the calls of a test.

Under Filecoin's rules it is the machine's interceptor, which sees the calls between actors (`send`); under Ethereum's
`observer` has its part. Both use `interception`. The outermost call of a message is the test itself: at its end all
expectations must be met.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bridge.ethereum.addresses import EthAddress, address_of_actor
from bridge.ethereum.block import ETHEREUM
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.receipts import Log, entries_to_log
from hypervisor.context import Externs, MachineContext
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.blocks import Block as DataBlock
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import CallManager
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.threads import BoundedCache
from hypervisor.types import ChainEpoch
from hypervisor_tools.soltest.cheatcodes.console import LogConsole
from hypervisor_tools.soltest.cheatcodes.context import Context, Settings
from hypervisor_tools.soltest.cheatcodes.expectations import execute_in_guest
from hypervisor_tools.soltest.cheatcodes.failures import (
    MAX_STORED,
    UNSUPPORTED,
    CheatcodeFailure,
    check_size,
    failure_data,
    no_selector,
)
from hypervisor_tools.soltest.cheatcodes.fork_access import check_access, undo_reverted
from hypervisor_tools.soltest.cheatcodes.hooks import missing_contracts
from hypervisor_tools.soltest.cheatcodes.instructions import NeedsSteps
from hypervisor_tools.soltest.cheatcodes.interception import ends_again, reason_of, replaced
from hypervisor_tools.soltest.cheatcodes.ledger import FilecoinLedger
from hypervisor_tools.soltest.cheatcodes.state import (
    CONSOLE_ADDRESS,
    CREATE2_DEPLOYER,
    VM_ADDRESS,
    State,
)
from hypervisor_tools.soltest.cheatcodes.table import MISSING, Cheatcode, name_of, table
from hypervisor_tools.soltest.cheatcodes.values import decode, encode
from runtimes.evm import SubcallOutcome
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from runtimes.evm.revm import CannotObserve, Interception, ObservedCall, contract_outcome
from store.cid import CBOR, Cid, cid_of
from store.keccak import keccak

if TYPE_CHECKING:
    from hypervisor_tools.soltest.forks.origin import ForkOrigin, TipsetOrigin
    from hypervisor_tools.soltest.forks.remotes import Remotes

_STORING: Final = ("serialize", "mock", "expect", "setEnv", "label", "etch")
"""Prefixes of cheatcodes that store their input."""
_UNNAMED: Final = ("assert", "rpcUrl")
_ON_NETWORK: Final = (
    "the script runs on the Filecoin network of --rpc-url, ETH_RPC_URL or eth_rpc_url, whose actors a fork cannot "
    "replace: remove the URL, and select a fork of that network"
)
CREATE2_DEPLOYER_CODE: Final = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd"
    "5b8082525050506014600cf3"
)


class CheatcodeSnapshot(NamedTuple):
    """A snapshot taken by `Cheatcodes.snapshot`."""

    state: Mapping[str, Any]
    context: MachineContext
    lines: tuple[str, ...]
    """Output up to the snapshot: forge shows the output of `setUp` with each test."""
    logs: tuple[tuple[EthAddress, Log], ...] = ()
    set: bytes = b""
    """Expectations, pranks, mocks and recordings (`Interception.save`)."""


class TestExterns:
    """The machine's externs with the randomness and the block hashes of a test's block."""

    __test__ = False  # keeps pytest from collecting it

    def __init__(self, outer: Externs, machine: Hypervisor, cheats: Cheatcodes) -> None:
        self._outer = outer
        self._machine = machine
        self._cheats = cheats

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the block's prevrandao; if unset, the fork's value under Filecoin's rules, otherwise zeros.

        Other epochs are passed to the outer externs.
        """
        own, fork = self._cheats.state.block.prevrandao, self._fork
        if epoch == self._machine.context.epoch and (fork is None or own is not None):
            return bytes(32) if own is None else own
        return (fork or self._outer).beacon_randomness(epoch)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        """Return a block's hash as the digest of a CID: as in forge, keccak-256 of the number as decimal text."""
        known, origin = self._cheats.state.block.hashes.get(epoch), self._cheats.origin
        if known is None and origin is not None:
            known = origin.block_hash(epoch)
        digest = bytes(keccak(str(epoch).encode())) if known is None else known
        return Cid(cid_of(b"")[: -len(digest)] + digest)

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the node's value on a fork of a Filecoin network, otherwise that of the outer externs."""
        return (self._fork or self._outer).chain_randomness(epoch)

    def state_root(self, epoch: ChainEpoch) -> Cid:
        """Return the node's value on a fork of a Filecoin network, otherwise that of the outer externs."""
        return (self._fork or self._outer).state_root(epoch)

    @property
    def _fork(self) -> Externs | None:
        origin = self._cheats.origin
        return None if origin is None else origin.externs


_OUTSIDE: Final = frozenset((
    "ffi", "ffiBytes", "ffiString", "ffiUint", "tryFfi", "rpc", "rpcJson", "writeFile", "writeFileBinary", "writeLine",
    "writeJson", "writeToml", "dumpState", "removeFile", "copyFile", "createDir", "removeDir",
))  # fmt: skip
"""Cheatcodes that run programs, query nodes, or write files."""
_REMEMBERED: Final = _OUTSIDE | {
    "readFile", "readFileBinary", "readLine", "closeFile", "exists", "isFile", "isDir", "readLink", "fsMetadata",
    "readDir", "unixTime", "sleep",
}  # fmt: skip
"""These, and those whose outcomes they may change or that depend on the time."""
_MAX_REMEMBERED: Final = 64 << 20
"""Maximum size in bytes of remembered outcomes, so that a fuzz test does not add to them without end."""
_ENTRY: Final = 256
"""Size in bytes of an outcome without its texts."""

_WITHIN: Final = frozenset(("callActorAs", "prankActor", "filAddress"))
"""Cheatcodes for Filecoin that neither read nor change the state tree as a whole."""


class Cheatcodes:
    """The cheatcodes of one test run, installed in a machine.

    `state` is what a test has set; `snapshot` and `restore` copy it together with the block, separately from the
    machine's state.
    """

    machine: Hypervisor

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.state = State()
        self.interception = Interception()
        self.console = LogConsole()
        self.watched = frozenset({VM_ADDRESS, CONSOLE_ADDRESS})
        self._outside_test = 0
        self._is_isolated = False
        self.test: Address | None = None
        """Address of the test contract."""
        self._remotes: Remotes | None = None
        self.origin: ForkOrigin | TipsetOrigin | None = None
        self.is_forked = False
        """True if the machine itself is a fork, under Filecoin's rules: number 0 of every test."""
        self.outside: set[str] = set()
        """Names of called cheatcodes that may have effects outside the machine."""
        self._outcomes: list[tuple[bytes, SubcallOutcome]] = []
        self._repeated: deque[tuple[bytes, SubcallOutcome]] = deque()
        self._next_repeated: deque[tuple[bytes, SubcallOutcome]] = deque()
        """Calldata and outcomes of remembered cheatcodes in the test's call so far, those of its earlier attempts that
        follow, and those for its next attempt."""
        self._known = _outcome_cache()
        """Their last outcomes in the runs of a test, by calldata."""
        self._is_replay = False
        self.inputs: set[str] = set()
        """Kinds of data from outside the machine that tests used, such as `files`."""
        self.skip_data = b""
        """Revert data of `vm.skip` in the current call of the test; empty if the call has not been skipped."""

    def install(self, machine: Hypervisor) -> None:
        """Set code at addresses where Solidity expects code before a call; intercept calls under Filecoin's rules."""
        self.machine = machine
        machine.externs = TestExterns(machine.externs, machine, self)
        if machine.context.rules == ETHEREUM:
            install_alloc(machine, {
                VM_ADDRESS: AllocAccount(0, 0, b"\0"),
                CREATE2_DEPLOYER: AllocAccount(0, 1, CREATE2_DEPLOYER_CODE),
            })  # fmt: skip
        else:
            from localnet.state.controls import set_code

            machine.interceptor = self
            for address, code in ((VM_ADDRESS, b"\0"), (CREATE2_DEPLOYER, CREATE2_DEPLOYER_CODE)):
                set_code(machine, Address.delegated(10, address), code)

    def snapshot(self, saved: bytes | None = None) -> CheatcodeSnapshot:
        """Return the state set by cheatcodes, the block and the output; `saved` is that of `interception`, if known."""
        console = self.console
        return CheatcodeSnapshot(
            self.state.image(), self.machine.context, tuple(console.lines), tuple(console.logs),
            self.interception.save() if saved is None else saved,
        )  # fmt: skip

    def restore(self, snapshot: CheatcodeSnapshot, machine: Hypervisor) -> None:
        """Restore a snapshot; `TestExecutor` restores the machine's state."""
        if snapshot.state or not self.state.is_default:
            self.state = State.of_image(snapshot.state)
        self.interception.restore(snapshot.set)
        if self.origin is not None:
            self.origin.records = self.state.forks
        machine.context = snapshot.context
        if self.origin is not None and machine.context.rules != ETHEREUM:
            machine.follow_manifest()
        self.console.lines, self.console.logs = list(snapshot.lines), list(snapshot.logs)

    @property
    def remotes(self) -> Remotes:
        """Connections to nodes, created on first use: most tests need none, and their modules load slowly."""
        if self._remotes is None:
            from hypervisor_tools.soltest.forks.remotes import Remotes

            self._remotes = Remotes(self.settings.rpc_cache, self.settings.forks_offline)
        return self._remotes

    def close(self) -> None:
        """Close the connections to nodes."""
        if self._remotes is not None:
            self._remotes.close()

    def require_origin(self) -> ForkOrigin | TipsetOrigin:
        """Return the origin, which assigns actors to forks' accounts; created on first use. Raises CheatcodeFailure."""
        if self.settings.has_network:
            raise CheatcodeFailure(_ON_NETWORK)
        if self.origin is None:
            if self.machine.context.rules == ETHEREUM:
                from hypervisor_tools.soltest.forks.origin import ForkOrigin

                self.origin = ForkOrigin(self.machine, self.remotes)
                self.machine.state_tree.read_from(self.origin)
            else:
                from hypervisor_tools.soltest.forks.origin import TipsetOrigin

                self.origin = TipsetOrigin(self.machine, self.remotes, self.is_forked)
            self.origin.records = self.state.forks
        return self.origin

    @property
    def active_fork(self) -> int | None:
        """Number of the active fork, or None."""
        if self.origin is None:
            return 0 if self.is_forked else None
        return self.origin.active

    @property
    def fork_url(self) -> str | None:
        """URL of the active fork's node, or None."""
        active = self.active_fork
        return None if active is None else self.state.forks.forks[active].url

    # --- interceptor ------------------------------------------------------------------------------------------------

    @property
    def is_armed(self) -> bool:
        """True if calls between contracts must be intercepted, under Filecoin's rules."""
        return self.state.sees_calls or self.settings.uses_deployer or self.interception.status.call_depth > 0

    @property
    def isolates(self) -> bool:
        """True if a call of the test contract must be a separate transaction; false within one."""
        return self.settings.isolates and not self._is_isolated

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        """Handle a call; the outermost is the test."""
        if self._outside_test:
            return proceed(call)
        if calls.depth == 0:
            self.begin_test(call.to)
            undo_reverted(self, calls)
            if self.state.uses_fork_cheatcodes:
                self.state.forks.first_actor = calls.tree.init_state().next_id
            return self.end_test(proceed(call))
        try:
            return missing_contracts.send(self, calls, call, proceed)
        finally:
            undo_reverted(self, calls)

    def on_event(self, calls: CallManager, event: StampedEvent) -> None:
        """Process an actor's event if it has the form of a log."""
        log = None if self._outside_test else entries_to_log(event.entries)
        if log is not None:
            self.event_log(address_of_actor(calls.tree, event.emitter), log)

    def event_log(self, emitter: EthAddress, log: Log) -> None:
        """Process the event of an actor, which no frame in the guest has emitted."""
        self.console.write_log(emitter, log)
        if self.interception.refresh().watches_logs:
            self.interception.logged(emitter, log)

    # --- cheatcodes ---------------------------------------------------------------------------------------------

    def run_cheatcode(self, context: Context, data: bytes) -> SubcallOutcome:
        """Execute a cheatcode; an expected failure becomes a success."""
        if context.run is not None or not self.interception.is_set:  # in a session, the guest sees its end
            return self._execute(context, data)
        expected = bool(self.interception.refresh().expects_revert)
        outcome = self._execute(context, data)
        replacement = self.interception.cheatcode_ended(context.depth, expected, outcome)
        return replaced(self, replacement, outcome)

    def _execute(self, context: Context, data: bytes) -> SubcallOutcome:
        entry = table().get(data[:4])
        if entry is None:
            return SubcallOutcome(False, failure_data(_unknown_cheatcode(data[:4])))
        if entry.name not in _REMEMBERED:
            return self._outcome(entry, context, data)
        if self._repeated and self._repeated[0][0] == data:
            outcome = self._repeated.popleft()[1]
        elif self._is_replay and (known := self._known.get(data)) is not None:
            outcome = known
        else:
            self._repeated.clear()
            outcome = self._outcome(entry, context, data)
        self._outcomes.append((data, outcome))
        self._known.put(data, outcome, len(data) + len(outcome.output) + _ENTRY)
        return outcome

    def _outcome(self, entry: Cheatcode, context: Context, data: bytes) -> SubcallOutcome:
        try:
            if self.state.forks.forks:
                check_access(context)
            if entry.name in _OUTSIDE:
                self.outside.add(entry.name)
            if entry.name.startswith(_STORING):
                check_size(self.state.stored_bytes + len(data), "the input that the test stores", MAX_STORED)
                self.state.stored_bytes += len(data)
            if entry.run is None:
                return SubcallOutcome(True, execute_in_guest(context, entry, data))
            exchanges = context.run is not None and entry.filecoin and entry.name not in _WITHIN
            with context.exchanged_tree() if exchanges else nullcontext():
                result = entry.run(context, *decode(entry.parameters, data[4:]))
            if not entry.returns:
                return SubcallOutcome(True, result if isinstance(result, bytes) else b"")
            return SubcallOutcome(True, encode(entry.returns, result if len(entry.returns) > 1 else [result]))
        except NeedsSteps:
            raise
        except CannotObserve as limit:
            raise CannotObserve(f"vm.{entry.name}: {limit or UNSUPPORTED}") from limit
        except RecursionError:
            return SubcallOutcome(False, failure_data(f"vm.{entry.name}: the input is nested too deeply"))
        except CheatcodeFailure as failure:
            if failure.data is not None:
                return SubcallOutcome(False, failure.data)
            named = failure.named and not any(part in entry.name for part in _UNNAMED)
            return SubcallOutcome(
                False, failure_data(f"vm.{entry.name}: {failure.message}" if named else failure.message)
            )

    # --- end of the test --------------------------------------------------------------------------------------------

    def begin_test(self, test: Address) -> None:
        """Begin a call of the test contract."""
        self.test, self.skip_data = test, b""
        self.interception.is_internal = self.settings.internal_reverts
        self._outcomes.clear()
        self._repeated, self._next_repeated = self._next_repeated, deque()
        if self.state.hooks is not None:
            self.state.hooks.hashes.clear()
        if not self.interception.has_snapshots:
            self.state.forks.changes.clear()  # no snapshot can restore them any more

    def repeat(self) -> None:
        """Let the call begin again, without repeating what it has done outside the machine."""
        self._next_repeated = deque((*self._outcomes, *self._repeated))

    def forget_outcomes(self) -> None:
        """Begin a test: what earlier ones have done outside the machine is not repeated."""
        self._known = _outcome_cache()
        self._outcomes.clear()

    @contextmanager
    def replay(self) -> Iterator[None]:
        """Let the calls inside repeat runs of the test without repeating what these have done outside the machine."""
        self.repeat()
        self._is_replay = True
        try:
            yield
        finally:
            self._is_replay = False

    def end_test(self, result: CallResult) -> CallResult:
        """Return the result of a call of the test contract: a failure if an expectation was not met."""
        if self.interception.is_set:
            outcome, again = contract_outcome(result), True
            while again:
                replacement = self.interception.test_ends(outcome, reason_of(outcome))
                outcome, again = replaced(self, replacement, outcome), ends_again(replacement)
                if replacement is not None and not outcome.success:
                    result = _revert_result(outcome.output)
                elif replacement is not None and self.settings.internal_reverts:
                    result = CallResult(ExitCode.OK)
            if replacement is not None:
                return result
        missing, self.state.missing = self.state.missing, None
        if result.exit_code == ExitCode.OK or missing is None:
            return result
        return _revert_result(encode(["string"], [missing]))

    @contextmanager
    def outside_test(self) -> Iterator[None]:
        """Exclude the messages inside from the test: they are not changed, expected or recorded."""
        self._outside_test += 1
        try:
            yield
        finally:
            self._outside_test -= 1

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Make no transactions of the calls inside."""
        before, self._is_isolated = self._is_isolated, True
        try:
            yield
        finally:
            self._is_isolated = before

    # --- environment of contracts -----------------------------------------------------------------------------------

    def renew(self, calls: CallManager | ObservedCall) -> None:
        """Apply changes of the block and the transaction to contracts."""
        if isinstance(calls, ObservedCall):
            self.suppose(calls)
            calls.renew_block()
        elif self.origin is not None:
            self.machine.follow_manifest()
            calls.prices = self.machine.context.network.prices

    def suppose(self, run: ObservedCall) -> None:
        """Apply the transaction fields set by cheatcodes to a call in a session."""
        block = self.state.block
        run.set_prices(block.gas_price or 0, block.blob_hashes or (), block.blob_base_fee)

    def create(
        self, calls: CallManager, caller: EthAddress, code: bytes, value: int, salt: bytes | None
    ) -> SubcallOutcome:
        """Create a contract as the caller, under Filecoin's rules. Raises CheatcodeFailure."""
        return missing_contracts.create(self.machine, calls, caller, code, value, salt)

    def set_origin(self, calls: CallManager, origin: EthAddress) -> None:
        """Set the message's origin that contracts see, under Filecoin's rules."""
        calls.origin = FilecoinLedger(self.machine).touch(origin)
        calls.origin_address = Address.id(calls.origin)


def _outcome_cache() -> BoundedCache[bytes, SubcallOutcome]:
    return BoundedCache(_MAX_REMEMBERED, "hooks")


def _unknown_cheatcode(selector: bytes) -> str:
    if len(selector) < 4:
        return no_selector("VmCalls", selector)
    name = name_of(selector)
    if name is None:
        return (
            f"unknown cheatcode with selector 0x{selector.hex()}; you may have a mismatch between the `Vm` interface "
            "(likely in `forge-std`) and the `forge` version"
        )
    reason = next((text for signature, text in MISSING.items() if signature.split("(")[0] == name), "")
    return f"vm.{name}: this cheatcode is not supported: {reason}"


def _revert_result(output: bytes) -> CallResult:
    return CallResult(ExitCode.EVM_CONTRACT_REVERTED, DataBlock(CBOR, byte_string(output)))

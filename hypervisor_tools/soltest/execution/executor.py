"""`TestExecutor`: creates and calls contracts as forge's runner does, and restores states.

The rules, network version, fork and engine are settings of the executor; block and balance are those of forge. Under
Ethereum's rules a call is a transaction without checks and fees, with Filecoin's precompiles and actors; under
Filecoin's it is an implicit message. A snapshot is a mark in the state tree: it takes microseconds, and restoring one
invalidates later ones. Counterexamples of symbolic tests run here too, so this module does not import z3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from bridge.ethereum.addresses import (
    ZERO_ADDRESS,
    EthAddress,
    address_of_actor,
    create_address,
    from_delegated,
    to_filecoin,
)
from bridge.ethereum.block import ETHEREUM, EthereumBlock
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn, invoke_params, unwrap_return
from bridge.filecoin.receipts import Log, entries_to_log
from hypervisor.bundles.bundle import Bundle
from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.blocks import Block as DataBlock
from hypervisor.kernel.call import CallResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.rules import install_labs
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.messages.message import Message
from hypervisor.precompiles import Precompile
from hypervisor.state.state_tree import ActorState, TreeMark
from hypervisor.tracing import Tracer
from hypervisor.types import EAM_ACTOR, EAM_NAMESPACE, ActorID, ChainEpoch, Gas, MethodNumber, TokenAmount
from hypervisor.versions.overlay import Overlay
from hypervisor_tools.soltest.cheatcodes.failures import MAGIC_ASSUME, UNSUPPORTED
from hypervisor_tools.soltest.cheatcodes.fork_access import undo_reverted
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes, CheatcodeSnapshot
from hypervisor_tools.soltest.cheatcodes.hooks.observer import TestObserver
from hypervisor_tools.soltest.cheatcodes.instructions import NeedsSteps, StepWatch
from hypervisor_tools.soltest.cheatcodes.recording import take_accesses
from hypervisor_tools.soltest.cheatcodes.state import CREATE2_DEPLOYER, DEFAULT_SENDER, FAILED_SLOT, VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.cheatcodes.values import encode
from hypervisor_tools.soltest.compile.releases import VERSION
from hypervisor_tools.soltest.execution.results import NO_DELAY, SVM, BlockDelay, CreatedValues, apply_delay
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.test_settings import DEFAULT, evm_version, rules_of
from localnet.contracts.registered_precompiles import offer_precompiles
from localnet.rules.facts import BLOCK_GAS_LIMIT
from localnet.state.controls import set_code, set_storage
from localnet.traces.console_log import CONSOLE
from runtimes.evm import CodeLimit
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from runtimes.evm.forks import Fork, call_gas, fork_named, intrinsic_gas
from runtimes.evm.revm import (
    MESSAGES,
    NO_CHECK,
    Campaign,
    CannotObserve,
    CheatContext,
    Guest,
    ObservedCall,
    block_of,
    contract_outcome,
    observe,
    session_of,
)
from store.blocks.memory import MemoryStore, RemoteStore
from store.cid import RAW, Cid
from store.trees.kamt import EMPTY_KAMT, Kamt


class RawCallResult(NamedTuple):
    """Outcome of a call. `output` is the return or revert data, without CBOR; gas is counted by the rules.

    `error` is the machine's message about the call itself, `reason` the origin of its failure, if Filecoin's rules
    report it and no contract does.
    """

    success: bool
    output: bytes
    gas_used: int
    logs: tuple[Log, ...]
    error: str = ""
    reason: str = ""
    touched_words: bytes = b""
    """Words of slots that a call touched under Ethereum's rules."""
    may_change_state: bool = True
    """False if the call is known to have changed neither the state nor the test's output."""
    execution_gas: int = 0
    """Gas before refunds, and without the minimum for the calldata (EIP-7623); 0 if unknown."""
    is_counted: bool = False
    """True if the campaign has taken the outcome."""
    holds: bool | None = None
    """True if the check of the calls has succeeded in the state after it; None if it was not given to the session."""


Wrapper = Callable[[Tracer | None], Tracer]
"""Returns a tracer that forwards to another one."""


class ExecutorCall(NamedTuple):
    """A call of a contract by an account."""

    from_: EthAddress
    to: EthAddress
    data: bytes


class ExecutorSettings(NamedTuple):
    """Settings of a `TestExecutor`."""

    rules: str = ETHEREUM
    network: int | None = None
    evm: str = "py-evm"
    fork: str = ""
    bundle: Bundle | str | Path | None = None
    overlay: Overlay | None = None
    gas_limit: int = 1 << 30
    code_limit: int | None = None
    number: int = 1
    timestamp: int = 1
    chain_id: int = 31337
    base_fee: int = 0
    coinbase: EthAddress = ZERO_ADDRESS
    sender: EthAddress = DEFAULT_SENDER
    balance: int = (1 << 96) - 1
    fork_url: str | None = None
    """Node to fork from."""
    fork_number: int | None = None
    """Block number to fork at; None for the latest one."""
    precompiles: tuple[Precompile | str, ...] = ()
    """Custom precompiles, and the names of installed ones."""


def fork_of(project: Project) -> str:
    """Return the name of the fork whose rules execute a project's tests."""
    return project.fork or rules_of(evm_version_of(project))


def evm_version_of(project: Project) -> str:
    """Return the EVM version to compile for and run on; as in forge, never one that the project's solc lacks."""
    compiler = project.compiler
    version = compiler.version if compiler.version is not None and VERSION.fullmatch(compiler.version) else None
    return compiler.evm_version or DEFAULT if version is None else evm_version(compiler.evm_version, version)


def sender_of(project: Project) -> EthAddress:
    """Return the address that deploys and calls test contracts."""
    return address_of(project.sender)


def address_of(text: str) -> EthAddress:
    """Return an address that `Table.address` has validated."""
    return EthAddress(bytes.fromhex(text.removeprefix("0x")))


LIBRARY_DEPLOYER: Final = EthAddress(bytes.fromhex("1f95d37f27ea0dea9c252fc09d5a6eaa97647353"))
_FILECOIN_GAS: Final = Gas(10 * BLOCK_GAS_LIMIT)
"""Gas of a test's message under Filecoin's rules: ten blocks of the network. Ends endless loops."""

_BATCH_GAS: Final = 400_000_000
"""Gas of a campaign's calls that a session makes together: a fraction of a second. A time would depend on the load."""
_SLOW_BATCH_GAS: Final = 4_000_000
"""The same for the engine `py-evm`."""
_MOCK: Final = selector("mockCalls(address,bytes,bytes[])")

_RESERVED: Final = {VM_ADDRESS: "the cheatcodes", CONSOLE: "console.log", LIBRARY_DEPLOYER: "the library deployer"}


class ExecutorSnapshot(NamedTuple):
    """A state that can be restored."""

    tree: TreeMark
    written: int
    cheatcodes: CheatcodeSnapshot
    nonces: Mapping[EthAddress, int]
    sent: int
    """Number of messages so far, under Filecoin's rules."""


class TestExecutor:
    """A machine whose calls cheatcodes can change, like the executor of forge. Not thread-safe."""

    __test__: ClassVar = False  # keeps pytest from collecting it

    def __init__(self, setting: ExecutorSettings, cheatcodes: Cheatcodes, machine: Hypervisor | None = None) -> None:
        """Create a machine with the built-in actors of the genesis, or use an existing one of the same rules."""
        self.setting = setting
        self.cheatcodes = cheatcodes
        limit = setting.code_limit
        block = EthereumBlock(setting.fork, setting.coinbase, setting.gas_limit, code_limit=limit)
        context = MachineContext(
            epoch=ChainEpoch(setting.number),
            timestamp=setting.timestamp,
            base_fee=TokenAmount(setting.base_fee),
            chain_id=setting.chain_id,
            rules=setting.rules,
            block=block if setting.rules == ETHEREUM else CodeLimit(limit),
        )
        self.is_ethereum = setting.rules == ETHEREUM
        """True under Ethereum's rules, False under Filecoin's."""
        self.machine = self._open(context) if machine is None else machine
        self._create_accounts()
        cheatcodes.install(self.machine)
        if setting.precompiles:
            offer_precompiles(self.machine, setting.precompiles, _RESERVED)
        self.machine.state_tree.flush()
        self._nonces = {setting.sender: 1, LIBRARY_DEPLOYER: 0}
        self._sent = 0
        self._block_values = cheatcodes.state.block
        """Values of the session's block that cheatcodes have set."""
        self._touched: dict[EthAddress, None] = {}
        """Accounts that cheatcodes have touched in sessions."""
        self._stepwise: set[tuple[EthAddress, bytes]] = set()
        """Functions, by contract and selector, whose instructions cheatcodes watch."""
        self._batch_gas = _SLOW_BATCH_GAS if setting.evm == "py-evm" else _BATCH_GAS
        self._guest: Guest | None = None
        """The guest of campaigns under Filecoin's rules."""
        self._natives: set[tuple[EthAddress, bytes]] = set()
        """Functions that call native actors."""
        if setting.fork_url is not None and self.is_ethereum:
            self._begin_at(setting.fork_url, setting.fork_number)
        self.machine.state_tree.begin()  # never committed: marks are valid only within a transaction

    def _open(self, context: MachineContext) -> Hypervisor:
        setting = self.setting
        if setting.fork_url is not None and not self.is_ethereum:
            return self._open_fork(setting.fork_url)
        machine = Hypervisor.open(
            network=setting.network, rules=setting.rules, evm=setting.evm, context=context, bundle=setting.bundle,
            overlay=setting.overlay,
        )  # fmt: skip
        install_labs(machine, setting.rules)
        return machine

    def _begin_at(self, url: str, number: int | None) -> None:
        """Begin with the state of a node's network, as fork 0 of every test. Raises NodeError."""
        from hypervisor_tools.soltest.forks.records import NetworkFork
        from hypervisor_tools.soltest.forks.tipsets import block_context

        cheats, machine = self.cheatcodes, self.machine
        origin, chain = cheats.require_origin(), cheats.remotes.chain(url)
        block = chain.state(number).block
        fork = NetworkFork(url, cheats.state.forks.base(url, block.number), chain.chain_id, block)
        cheats.state.forks.forks.append(fork)
        marked, mark = origin.mark(0, fork.base)
        machine.state_tree.set_actor(marked, mark)
        machine.context = block_context(machine.context, block, chain.chain_id)
        cheats.state.block = replace(cheats.state.block, prevrandao=block.randomness)

    def _open_fork(self, url: str) -> Hypervisor:
        """Return a machine under Filecoin's rules with the state of a Filecoin node, as fork 0 of every test.

        Blocks are read on demand. Raises NodeError, InvalidInput.
        """
        from hypervisor_tools.soltest.forks.origin import fork_at
        from localnet.fork.forking import begin_fork

        setting, cheats = self.setting, self.cheatcodes
        options = {"--network": setting.network, "--bundle": setting.bundle}
        if named := [f"{option} {value}" for option, value in options.items() if value is not None]:
            raise InvalidInput(f"a fork uses its network's version and actors: remove {' and '.join(named)}")
        nodes, store = cheats.remotes.tipsets, MemoryStore()
        point = nodes.point(url, setting.fork_number)
        begin_fork(store, point)
        machine = Hypervisor.open(
            store=RemoteStore(store, nodes), rules=point.rules, evm=setting.evm, externs=nodes.externs(point),
        )  # fmt: skip
        machine.advance(base_fee=point.base_fee, circulating_supply=point.vested, block=CodeLimit(setting.code_limit))
        cheats.is_forked = True
        cheats.state.forks.forks.append(fork_at(cheats.state.forks, point))
        return machine

    def reserve_actor_ids(self) -> None:
        """Give new actors IDs that no network has, so that they can be carried between forks.

        Not needed under Ethereum's rules.
        """
        if not self.is_ethereum:
            from hypervisor_tools.soltest.forks.origin import reserve_actor_ids

            self.cheatcodes.state.uses_fork_cheatcodes = True
            reserve_actor_ids(self.machine, (self.setting.sender, LIBRARY_DEPLOYER, VM_ADDRESS, CREATE2_DEPLOYER))

    def _create_accounts(self) -> None:
        balances = {self.setting.sender: self.setting.balance, LIBRARY_DEPLOYER: self.setting.balance}
        if self.is_ethereum:
            accounts = {
                account: AllocAccount(balance, 1 if account == self.setting.sender else 0)
                for account, balance in balances.items()
            }
            install_alloc(self.machine, accounts)
            return
        for account, balance in balances.items():
            self.set_balance(account, balance)

    # --- calls --------------------------------------------------------------------------------------------------

    def call(
        self,
        from_: EthAddress,
        to: EthAddress,
        data: bytes,
        value: int = 0,
        gas: int | None = None,
        commit: bool = True,
    ) -> RawCallResult:
        """Call a contract and apply its effects; an unknown sender may be created.

        Without `commit`, restore a snapshot afterwards if `may_change_state` is True. Under Ethereum's rules the only
        effects are then the output and `State.has_failed`, and a rejected call (`vm.assume`) has no other ones either.
        """
        if self.is_ethereum:
            return self._call_in_session(ExecutorCall(from_, to, data), value, gas, commit) or _unsupported("")
        self.touch(from_)
        return self._send(to_filecoin(to), from_, INVOKE_EVM, invoke_params(data), value)[0]

    def campaign_guest(self) -> Guest:
        """Return the guest for a campaign: under Ethereum's rules that of the session, which can make its calls."""
        if self.is_ethereum:
            return session_of(self.machine).begin()
        if self._guest is None or self._guest.is_closed:
            self._guest = Guest()
        return self._guest

    def call_next(
        self, campaign: Campaign, *, commit: bool, check: ExecutorCall | None = None, always: bool = True,
        alone: bool = False, jumps: Wrapper | None = None,
    ) -> RawCallResult | None:  # fmt: skip
        """Make the campaign's next call. Unless `alone`, others may follow it in the session; return the last outcome.

        The campaign has taken all outcomes but the last one, and that if it `is_counted`; None if it has taken all.

        After a call that succeeds, the check may be made too, without effect (`RawCallResult.holds`): unless `always`,
        only if a call may have changed something since it has last succeeded. If it fails, it ends the calls.

        With `commit`, a rejected call (`vm.assume`) has no effect; without it, restore a snapshot as after `call`.

        `jumps` returns a tracer that records the jumps of a call whose frames the guest of the session does not run.
        """
        step = campaign.next()
        assert step is not None
        call = ExecutorCall(step.sender, campaign.plan.targets[step.target].address, step.data)
        delay = BlockDelay(step.seconds, step.blocks)
        if self.is_ethereum:
            return self._call_in_session(
                call, commit=commit, check=check, always=always, campaign=campaign,
                campaign_gas=0 if alone else self._batch_gas, delay=delay, jumps=jumps,
            )  # fmt: skip
        here = self.snapshot() if commit else None
        apply_delay(self.machine, delay)
        tracer = self.machine.tracer
        with self.machine.traced(tracer if jumps is None else jumps(tracer)):
            outcome = self.call(*call)
        if here is not None and is_rejected(outcome):
            self.drop(here)
        elif here is not None:
            self.commit_snapshot()
        return outcome

    def _call_in_session(
        self, call: ExecutorCall, value: int = 0, gas: int | None = None, commit: bool = True,
        check: ExecutorCall | None = None, always: bool = True, nonce: int | None = None,
        campaign: Campaign | None = None, campaign_gas: int = 0, delay: BlockDelay = NO_DELAY,
        jumps: Wrapper | None = None,
    ) -> RawCallResult | None:  # fmt: skip
        """Make a call in the machine's state session; it fails if it cannot run there.

        With `nonce`, that of its sender, it creates its contract. If it is the next call of a campaign with gas, others
        may follow it; None if the campaign has taken the outcomes of all.
        """
        from_, to, data = call
        cheats = self.cheatcodes
        cheats.begin_test(_filecoin_address(to))
        undo_reverted(cheats, None)
        has_kernel = (to, data[:4]) in self._natives or self._is_live((to, data[:4]))
        try:
            observer, run = self._observe(from_, to, has_kernel, delay)
        except InvalidInput as error:
            return _unsupported(str(error))
        limit = self.setting.gas_limit if gas is None else gas
        intrinsic = _intrinsic_gas(call, nonce, run.fork)
        has_failed = is_changed = False
        try:
            with self._stepping((to, data[:4]), jumps), run:
                message = NO_CHECK if check is None or has_kernel else self._check_message(observer, run, check, always)
                if has_kernel or not (message and observer.is_idle and self.machine.tracer is None):
                    campaign_gas = 0
                gas_left, check_message = max(0, limit - intrinsic), message or NO_CHECK
                ended = run.run(value, data, gas_left, commit, check_message, nonce, campaign, campaign_gas, limit)
                if commit:
                    self._touched.update(run.touched_before)
                if ended is None:
                    return None
                code, output, is_open = ended.exit_code, ended.output, run.is_running
                if is_open:
                    take_accesses(cheats.state, run)
                    result = cheats.end_test(CallResult(code, DataBlock(RAW, output)))
                    code, output = result.exit_code, contract_outcome(result).output
                is_rejected = output == MAGIC_ASSUME and code != ExitCode.OK
                if not commit:
                    has_failed = is_open and observer.has_run and run.load(VM_ADDRESS, FAILED_SLOT) != 0
                elif not is_rejected and (code == ExitCode.OK or ended.exit_code != ExitCode.OK):
                    is_changed = run.keep() if is_open else ended.is_changed
                    self._touched.update(run.touched)
        except CannotObserve as limit:
            if isinstance(limit, NeedsSteps):
                self._stepwise.add((to, data[:4]))
            elif not has_kernel and run.wants_kernel:
                self._natives.add((to, data[:4]))
            else:
                observer.discard()
                return _unsupported(str(limit))
            observer.undo()
            return self._call_in_session(
                call, value, gas, commit, nonce=nonce, campaign=campaign, delay=delay, jumps=jumps
            )
        may_have_set = observer.may_have_set or run.has_cheated
        if is_rejected:
            observer.discard()
        elif not commit:
            observer.restore_state()
            cheats.state.has_failed |= has_failed
        if commit and not is_rejected:
            self._touched.update(dict.fromkeys(ended.touched))
        may_change = is_changed or has_failed or (commit and may_have_set) or observer.has_written
        holds = ended.holds and not (is_open and may_change) if message and message is not NO_CHECK else None
        success = code == ExitCode.OK
        return RawCallResult(
            success,
            output,
            ended.charged,
            tuple([log for _, log in ended.logs]) if success and ended.logs else (),
            "" if success else MESSAGES.get(code) or f"exit code {code}",
            touched_words=ended.words,
            may_change_state=may_change,
            execution_gas=ended.gas_used,
            is_counted=ended.is_counted,
            holds=holds,
        )

    def _is_live(self, function: tuple[EthAddress, bytes]) -> bool:
        """Return True if the tracer gets events when they happen: then the call must not begin again for the kernel."""
        tracer = self.machine.tracer
        if tracer is None:
            return False
        is_watched = function in self._stepwise or self.cheatcodes.state.watches_steps
        return is_watched or not session_of(self.machine).runs_in_guest or not tracer.takes_record

    @contextmanager
    def _stepping(self, function: tuple[EthAddress, bytes], jumps: Wrapper | None) -> Iterator[None]:
        """Watch the instructions of a call if it needs that, and trace its jumps if Python runs its frames."""
        tracer = self.machine.tracer
        is_watched = function in self._stepwise or self.cheatcodes.state.watches_steps
        has_record = session_of(self.machine).runs_in_guest and (tracer is None or tracer.takes_record)
        if jumps is not None and (is_watched or not has_record):
            tracer = jumps(tracer)
        with self.machine.traced(StepWatch(self.cheatcodes, tracer) if is_watched else tracer):
            yield

    def _check_message(self, observer: TestObserver, run: ObservedCall, check: ExecutorCall, always: bool) -> bytes:
        """Return the message of a check; empty if it must not be made in the session."""
        if not observer.is_idle:
            return b""
        gas = max(0, self.setting.gas_limit - call_gas(check.data, run.fork)[0])
        return run.check(check.from_, check.to, check.data, gas, always)

    def _create_sender(self, sender: EthAddress) -> None:
        """Create the account of a traced call's sender, which is shown by its actor."""
        tree = self.machine.state_tree
        with tree.without_held():
            actor = tree.lookup_id(_filecoin_address(sender))
        if actor is None:
            self.touch(sender)

    def _observe(
        self, from_: EthAddress, to: EthAddress, kernel: bool, delay: BlockDelay
    ) -> tuple[TestObserver, ObservedCall]:
        """Return a call in the machine's session. Raises InvalidInput if it cannot have the block or the fork."""
        cheats, tracer = self.cheatcodes, self.machine.tracer
        observer = TestObserver(cheats)
        apply_delay(self.machine, delay)
        session = session_of(self.machine)
        if tracer is not None:
            self._create_sender(from_)
        block = cheats.state.block
        if block is not self._block_values:
            if block != self._block_values:
                session.forget_block()
            self._block_values = block
        session.blob_base_fee = block.blob_base_fee
        run = observe(session, observer, from_, to, kernel)
        cheats.suppose(run)
        return observer, run

    def deploy(self, init_code: bytes, from_: EthAddress, value: int = 0) -> tuple[EthAddress | None, RawCallResult]:
        """Create a contract at the address that forge gives it; return None if the constructor failed.

        Its own code may exceed the size limit, but not that of contracts which its constructor creates.
        """
        nonce = self._nonces.get(from_, 0)
        self._nonces[from_] = nonce + 1
        address = create_address(from_, nonce)
        if self.is_ethereum:
            created = self._call_in_session(ExecutorCall(from_, address, init_code), value, nonce=nonce)
            outcome = created or _unsupported("")
            return address if outcome.success else None, outcome
        self.set_nonce(from_, nonce)
        with self._exempt(address):
            outcome, returned = self._send(
                Address.id(EAM_ACTOR), from_, MethodNumber(CREATE_EXTERNAL_METHOD), invoke_params(init_code), value
            )
        made = CreateReturn.decode(returned).eth_address if outcome.success else None
        return made, outcome

    def intrinsic_gas(self, data: bytes) -> int:
        """Return the intrinsic gas of a call with this calldata under Ethereum's rules; 0 under Filecoin's."""
        if not self.is_ethereum:
            return 0
        call = Transaction(DYNAMIC_FEE, None, 0, ZERO_ADDRESS, 0, data, 0, 0, 0)
        return intrinsic_gas(call, fork_named(self.setting.fork), self.setting.sender)

    def _send(
        self, to: Address, from_: EthAddress, method: MethodNumber, params: bytes, value: int
    ) -> tuple[RawCallResult, bytes]:
        self._sent += 1  # robust addresses of created actors derive from the message's sender and nonce
        message = Message(
            to, Address.delegated(EAM_NAMESPACE, from_), self._sent, TokenAmount(value), method, params, _FILECOIN_GAS
        )  # fmt: skip
        result = self.machine.apply_implicit(message)
        if result.fatal is not None:
            raise result.fatal
        ok, returned = result.exit_code == 0, result.receipt.return_data
        error = "" if ok else result.message or f"exit code {result.exit_code}"
        output, reason, gas = unwrap_return(returned), "" if ok else result.reason, result.gas_used
        return RawCallResult(ok, output, gas, _logs(result.events), error, reason, execution_gas=gas), returned

    @contextmanager
    def _exempt(self, account: EthAddress) -> Iterator[None]:
        """Lift the code size limit for the contract created at this address."""
        tree, settings = self.machine.state_tree, CodeLimit(self.setting.code_limit)
        actor = tree.lookup_id(Address.delegated(EAM_NAMESPACE, account))
        exempt = ActorID(self.next_actor) if actor is None else actor
        self.machine.advance(block=settings._replace(exempt=exempt))
        try:
            yield
        finally:
            self.machine.advance(block=settings)

    def use(self, sender: EthAddress, fork: str) -> None:
        """Make later calls by a sender and, under Ethereum's rules, in a fork."""
        if sender != self.setting.sender:
            self.set_balance(sender, self.setting.balance)
            self._nonces.setdefault(sender, 1)
        if self.is_ethereum and fork != self.setting.fork:
            self.machine.advance(block=replace(block_of(self.machine), fork=fork))
        self.setting = self.setting._replace(sender=sender, fork=fork)

    def set_nonce(self, account: EthAddress, nonce: int) -> None:
        """Set the nonce of an existing account."""
        tree = self.machine.state_tree
        actor = tree.lookup_id(Address.delegated(EAM_NAMESPACE, account))
        state = None if actor is None else tree.get_actor(actor)
        if actor is not None and state is not None:
            tree.set_actor(actor, replace(state, nonce=nonce))

    # --- accounts -----------------------------------------------------------------------------------------------

    def touch(self, account: EthAddress) -> ActorID:
        """Return the actor of an address; creates an account without balance if there is none."""
        tree = self.machine.state_tree
        address = Address.delegated(EAM_NAMESPACE, account)
        actor = tree.lookup_id(address)
        if actor is None:
            actor = tree.register_address(address)
        if tree.get_actor(actor) is None:
            tree.set_actor(actor, ActorState(self.machine.manifest.code("ethaccount"), delegated_address=address))
        return actor

    def create_touched(self) -> None:
        """Create the accounts that cheatcodes have touched in sessions since the last time, for `accounts`."""
        for account in self._touched:
            self.touch(account)
        self._touched.clear()

    def set_balance(self, account: EthAddress, balance: int) -> None:
        """Set the balance of an account, in attoFIL (wei)."""
        actor, tree = self.touch(account), self.machine.state_tree
        state = tree.get_actor(actor)
        if state is not None:
            tree.set_actor(actor, state.with_balance(balance))

    def accounts(self, since: int = 0) -> list[EthAddress]:
        """Return the addresses of accounts and contracts with actor IDs from `since` on, in order of creation."""
        tree = self.machine.state_tree
        states = (tree.get_actor(ActorID(actor)) for actor in range(since, tree.init_state().next_id))
        found = (None if state is None else from_delegated(state.delegated_address) for state in states)
        return [address for address in found if address is not None]

    def address_of(self, actor: ActorID) -> EthAddress:
        """Return the Ethereum address of an actor: its delegated address, or the masked ID."""
        return address_of_actor(self.machine.state_tree, actor)

    def slots(self, since: int = 0) -> Iterator[tuple[int, int]]:
        """Yield the slots and words of contracts with actor IDs from `since` on."""
        tree, store, traits = self.machine.state_tree, self.machine.store, self.machine.traits
        for actor in range(since, tree.init_state().next_id):
            state = tree.get_actor(ActorID(actor))
            if state is not None and traits(state.code).is_contract:
                storage = EvmState.decode(store.get(state.head)).storage
                if storage != EMPTY_KAMT:
                    yield from Kamt(store, storage).items()

    def nonce(self, account: EthAddress) -> int:
        """Return the nonce of an account."""
        state = self.machine.state_tree.get_actor(self.touch(account))
        return 0 if state is None else state.nonce

    def balance(self, account: EthAddress) -> int:
        """Return the balance of an account, in attoFIL (wei)."""
        state = self.machine.state_tree.get_actor(self.touch(account))
        return 0 if state is None else state.balance

    def contracts(self, since: int = 0) -> list[tuple[EthAddress, bytes]]:
        """Return the contracts with actor IDs from `since` on, each with its code, in order of creation."""
        tree, traits = self.machine.state_tree, self.machine.traits
        found = []
        for actor in range(since, tree.init_state().next_id):
            state = tree.get_actor(ActorID(actor))
            if state is not None and traits(state.code).is_contract:
                contract = EvmState.decode(self.machine.store.get(state.head))
                address = from_delegated(state.delegated_address)
                if address is not None:
                    found.append((address, self.machine.store.get(contract.bytecode)))
        return found

    @property
    def gas_limit(self) -> int:
        """Gas limit of a call, in the rules' gas."""
        return self.setting.gas_limit if self.is_ethereum else _FILECOIN_GAS

    @property
    def next_actor(self) -> int:
        """ID of the next actor to be created."""
        return self.machine.state_tree.init_state().next_id

    def next_address(self, from_: EthAddress) -> EthAddress:
        """Return the address of a deployer's next contract."""
        return create_address(from_, self._nonces.get(from_, 0))

    # --- states -------------------------------------------------------------------------------------------------

    def snapshot(self) -> ExecutorSnapshot:
        """Take a snapshot of the current state, to `restore` any number of times, or to end with `drop`."""
        mark, written = self.machine.state_tree.begin(), len(self.machine.store.pending)
        return ExecutorSnapshot(mark, written, self.cheatcodes.snapshot(), dict(self._nonces), self._sent)

    def restore(self, snapshot: ExecutorSnapshot) -> None:
        """Restore a snapshot; later ones become invalid."""
        self.drop(snapshot)
        self.machine.state_tree.begin()

    def drop(self, snapshot: ExecutorSnapshot) -> None:
        """Restore a snapshot for the last time."""
        self.machine.state_tree.rollback(snapshot.tree)
        self.machine.store.forget_after(snapshot.written)
        self.cheatcodes.restore(snapshot.cheatcodes, self.machine)
        self._nonces, self._sent = dict(snapshot.nonces), snapshot.sent
        self._touched.clear()

    def commit_snapshot(self) -> None:
        """End the latest snapshot, and keep the state."""
        self.machine.state_tree.commit()

    def settle(self) -> Cid:
        """Commit the current state as the initial one, and return its root; earlier snapshots become invalid."""
        tree = self.machine.state_tree
        tree.commit()
        root = tree.current_root() if tree.is_exchanged else tree.flush()
        tree.begin()
        return root

    def close(self) -> None:
        """Close the machine, the guest of campaigns, and the nodes of forks."""
        if self._guest is not None and not self._guest.is_closed:
            self._guest.close()
        self.machine.close()
        self.cheatcodes.close()


def _unsupported(limit: str) -> RawCallResult:
    """Return the outcome of a call that the session cannot run."""
    return RawCallResult(False, b"", 0, (), "", limit or UNSUPPORTED, may_change_state=False)


_filecoin_address: Final = lru_cache(to_filecoin)


def _intrinsic_gas(call: ExecutorCall, nonce: int | None, fork: Fork) -> int:
    """Return the intrinsic gas of a transaction with a call, or with a creation if it has a nonce."""
    if nonce is None:
        return call_gas(call.data, fork)[0]
    creation = Transaction(DYNAMIC_FEE, None, nonce, None, 0, call.data, 0, 0, 0)
    return intrinsic_gas(creation, fork, call.from_)


def is_rejected(outcome: RawCallResult) -> bool:
    """Return True if an assumption of the test rejected its inputs."""
    return not outcome.success and outcome.output == MAGIC_ASSUME


def _logs(events: Iterable[StampedEvent]) -> tuple[Log, ...]:
    found = (entries_to_log(event.entries) for event in events)
    return tuple(log for log in found if log is not None)


def set_created_values(executor: TestExecutor, values: CreatedValues) -> None:
    """Give a machine the values that a test has created: answers as mocked calls, and words of symbolic storage."""
    words: dict[EthAddress, dict[int, int]] = {}
    for address, slot, word in values.storage:
        words.setdefault(address, {})[slot] = word
    for address, slots in words.items():
        with suppress(InvalidInput):  # an account without code, which has no storage to read
            set_storage(executor.machine, Address.delegated(EAM_NAMESPACE, address), slots)
    if values.answers:
        set_code(executor.machine, Address.delegated(EAM_NAMESPACE, SVM), b"\0")
        for calldata, answers in values.by_calldata().items():
            executor.cheatcodes.interception.execute(
                CheatContext(DEFAULT_SENDER, DEFAULT_SENDER, 1, has_code=True),
                _MOCK + encode(("address", "bytes", "bytes[]"), (SVM, calldata, list(answers))),
            )

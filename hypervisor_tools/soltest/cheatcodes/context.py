"""Context of a cheatcode call: the test's state, the message, and the intercepted call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from bridge.ethereum.addresses import EthAddress, address_of_actor
from hypervisor.machine.call_manager import CallManager
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import StateTree
from hypervisor_tools.soltest.cheatcodes.console import LogConsole
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, KnownErrors, revert_text
from hypervisor_tools.soltest.cheatcodes.ledger import Ledger
from hypervisor_tools.soltest.cheatcodes.state import State
from hypervisor_tools.soltest.cheatcodes.wording import KnownEvents
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, ContractArtifact
from hypervisor_tools.soltest.project.consent import Grant
from runtimes.evm import SubcallOutcome
from runtimes.evm.forks import Fork
from runtimes.evm.revm import Interception, ObservedCall

if TYPE_CHECKING:
    from hypervisor_tools.soltest.forks.origin import ForkOrigin, TipsetOrigin
    from hypervisor_tools.soltest.forks.remotes import Remotes

Libraries = Mapping[tuple[str, str], bytes]
"""Addresses of libraries by file and name."""


class Permission(NamedTuple):
    """A row of foundry.toml's `fs_permissions`: `access` is `read`, `write`, `read-write` or `none`."""

    access: str
    path: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Permissions and environment that a project grants its tests.

    `artifacts` returns the contracts with a name of `getCode`, whose code is linked with `libraries`; it raises
    InvalidInput for a malformed name. `out` is the folder of forge's artifacts. `contracts` returns the artifact of a
    code (init code if it `creates`). `errors` decodes a custom error, `events` a log. `file` and `contract` are those
    of the running suite, whose actors start at ID `first_actor`. With `real_filecoin`, code etched at Filecoin's
    precompiles is ignored, so that suites with mocks run against the real ones. With `shows_logs`, the output of
    tests is shown.
    """

    root: Path = field(default_factory=Path.cwd)
    file: str = ""
    contract: str = ""
    first_actor: int = 0
    permissions: Sequence[Permission] = ()
    ffi: bool = False
    consent: Grant = field(default_factory=Grant)
    """Permissions granted by the user."""
    environment: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    out: str = "out"
    artifacts: Callable[[str], Sequence[ContractArtifact]] = lambda _name: ()
    libraries: Libraries = field(default_factory=dict)
    contracts: Callable[[bytes, bool], ArtifactLocation | None] = lambda _code, _creates: None
    struct_order: Callable[[frozenset[str]], Sequence[str] | None] = lambda _names: None
    """Returns the order of an object's members, if a struct of the project has fields of these names."""
    layouts: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    """Storage layouts by source and contract."""
    events: KnownEvents = lambda _: None
    errors: KnownErrors = lambda _: None
    rpc_endpoints: Mapping[str, str] = field(default_factory=dict)
    real_filecoin: bool = False
    shows_logs: bool = False
    rpc_cache: str = "remote"
    """Nodes whose responses are cached on disk: `all`, `remote` or `none`."""
    forks_offline: bool = False
    """True if nodes' responses are only read from the cache."""
    evm_version: str = ""
    """EVM version that the project's tests run on; empty for that of the fork's rules."""
    internal_reverts: bool = False
    """True if `expectRevert` also matches reverts in the test itself (`allow_internal_expect_revert`)."""
    assertions_revert: bool = True
    """False if a failed assertion does not revert, but marks the test as failed."""
    uses_deployer: bool = False
    """True if CREATE2 of a test contract is a call of the default deployer (`always_use_create_2_factory`)."""
    isolates: bool = False
    """True if each call of the test contract is a separate transaction (`isolate`)."""
    has_network: bool = False
    """True if a script's machine was created with the actors of a Filecoin network, which no fork can replace."""


class Cheats(Protocol):
    """Interface of `interceptor.Cheatcodes` for single cheatcodes."""

    machine: Hypervisor
    settings: Settings
    state: State
    console: LogConsole
    test: Address | None
    skip_data: bytes
    origin: ForkOrigin | TipsetOrigin | None
    inputs: set[str]

    @property
    def remotes(self) -> Remotes:
        """Connections to nodes."""

    def require_origin(self) -> ForkOrigin | TipsetOrigin:
        """Return the origin, which assigns actors to forks' accounts; created with the first fork."""

    @property
    def active_fork(self) -> int | None:
        """Number of the active fork."""

    @property
    def fork_url(self) -> str | None:
        """URL of the active fork's node."""

    @property
    def interception(self) -> Interception:
        """Expectations, pranks, mocks and recordings."""

    @property
    def is_armed(self) -> bool:
        """True if calls between contracts must be intercepted, under Filecoin's rules."""

    def run_cheatcode(self, context: Context, data: bytes) -> SubcallOutcome:
        """Execute a cheatcode."""

    @property
    def isolates(self) -> bool:
        """True if a call of the test contract must be a separate transaction; false within one."""

    def isolated(self) -> AbstractContextManager[None]:
        """Make no transactions of the calls inside."""

    def outside_test(self) -> AbstractContextManager[None]:
        """Exclude the messages inside from the test."""

    def suppose(self, run: ObservedCall) -> None:
        """Apply the transaction fields set by cheatcodes to a call in a session."""

    def renew(self, calls: CallManager | ObservedCall) -> None:
        """Apply changes of the block and the transaction to contracts."""

    def create(
        self, calls: CallManager, caller: EthAddress, code: bytes, value: int, salt: bytes | None
    ) -> SubcallOutcome:
        """Create a contract as the caller, under Filecoin's rules. Raises CheatcodeFailure."""

    def set_origin(self, calls: CallManager, origin: EthAddress) -> None:
        """Set the message's origin that contracts see, under Filecoin's rules."""


@dataclass(slots=True)
class Context:
    """A call of a cheatcode. `depth` is that of the calling frame, 1 for the test's own.

    The call belongs to `message` under Filecoin's rules, and to `run`, a call in a state session, under Ethereum's.
    """

    cheats: Cheats
    message: CallManager | None
    caller: EthAddress
    depth: int
    ledger: Ledger
    run: ObservedCall | None = None

    @property
    def state(self) -> State:
        """State set by cheatcodes."""
        return self.cheats.state

    @property
    def settings(self) -> Settings:
        """The project's settings."""
        return self.cheats.settings

    @property
    def machine(self) -> Hypervisor:
        """The machine."""
        return self.cheats.machine

    @property
    def calls(self) -> CallManager:
        """The message's calls, under Filecoin's rules."""
        assert self.message is not None, "the rules are Filecoin's"
        return self.message

    def note_input(self, kind: str) -> None:
        """Record that the test depends on data from outside the machine, such as `files`."""
        self.cheats.inputs.add(kind)

    @property
    def precompiles(self) -> Collection[EthAddress]:
        """Addresses of precompiles, which have functions but no code."""
        return () if self.run is None else self.run.precompiles

    @property
    def origin(self) -> EthAddress:
        """Origin of the message that contracts see."""
        return address_of_actor(self.calls.tree, self.calls.origin) if self.run is None else self.run.origin

    def set_origin(self, origin: EthAddress) -> None:
        """Set the message's origin that contracts see."""
        if self.run is not None:
            self.run.set_origin(origin)
        else:
            self.cheats.set_origin(self.calls, origin)

    @property
    def fork(self) -> Fork | None:
        """The fork of Ethereum's rules; None under Filecoin's."""
        return None if self.run is None else self.run.fork

    def require_ethereum(self, what: str) -> ObservedCall:
        """Return the call in a session. Raises CheatcodeFailure under Filecoin's rules, which lack `what`."""
        if self.run is None:
            raise CheatcodeFailure(f"Filecoin's rules have no {what}")
        return self.run

    def written_tree(self) -> AbstractContextManager[StateTree]:
        """Return the state tree, which within the context has the accounts as they are."""
        return nullcontext(self.calls.tree) if self.run is None else self.run.written()

    @contextmanager
    def exchanged_tree(self) -> Iterator[StateTree]:
        """Return the state tree with the accounts as they are, which may be changed within the context.

        What is changed is undone by an exception, or if the calling frame fails.
        """
        if self.run is not None:
            with self.run.exchange() as tree:
                yield tree
            return
        mark = self.calls.begin()
        try:
            yield self.calls.tree
        except BaseException:
            self.calls.rollback(mark)
            raise
        self.calls.tree.commit()

    def advance(self, **changes: Any) -> None:
        """Change the block that opcodes and actors see."""
        self.machine.advance(**changes)
        self.renew()

    def set_block(self, **changes: Any) -> None:
        """Change further fields that opcodes see: those of `Block`."""
        self.state.block = replace(self.state.block, **changes)
        self.renew()

    def renew(self) -> None:
        """Show the block and the transaction, which have changed, to contracts."""
        self.cheats.renew(self.run or self.calls)

    def create(self, code: bytes, value: int, salt: bytes | None) -> EthAddress:
        """Create a contract as the caller. Raises CheatcodeFailure with the revert data."""
        if self.run is None:
            outcome = self.cheats.create(self.calls, self.caller, code, value, salt)
        else:
            with self.cheats.isolated():  # as in forge, the creation is no transaction
                outcome = self.run.create(self.depth, self.caller, code, value, salt)
        if outcome.created is None:
            raise CheatcodeFailure(self.revert_text(outcome.output), outcome.output)
        return outcome.created

    @property
    def test(self) -> EthAddress | None:
        """Address of the test contract."""
        if self.run is not None:
            return self.run.to
        test = self.cheats.test
        actor = None if test is None else self.calls.tree.lookup_id(test)
        return None if actor is None else address_of_actor(self.calls.tree, actor)

    def revert_text(self, data: bytes) -> str:
        """Return revert data as text."""
        return revert_text(data, self.settings.errors)


@dataclass(slots=True)
class CallOperations:
    """Operations of the rules on requested calls."""

    ledger: Ledger
    proceed: Callable[[EthAddress | None, EthAddress | None], SubcallOutcome]
    """Make the call, as another sender and with another contract's code if these are given."""
    pay: Callable[[EthAddress, int], bool]
    """Transfer the value and charge a call that is not made; return True if the value could be paid."""
    set_origin: Callable[[EthAddress], None]
    origin: EthAddress
    chain_id: int
    fork_url: Callable[[], str | None]
    """Return the node of the active fork."""
    uses_deployer: bool = False
    """True if CREATE2 of the test contract, or of a pranked frame, is a call of the default deployer."""

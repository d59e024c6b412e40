"""What a cheatcode works on: the test's state, the message that runs, and who calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bridge.addresses import EthAddress, checksummed
from fvm_hypervisor.soltest.artifact import ArtifactPlace
from fvm_hypervisor.soltest.cheatcodes.console import LogConsole
from fvm_hypervisor.soltest.cheatcodes.emits import KnownEvents
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure, KnownErrors, said
from fvm_hypervisor.soltest.cheatcodes.ledger import Ledger
from fvm_hypervisor.soltest.cheatcodes.state import State
from fvm_hypervisor.soltest.consent import Grant
from fvm_hypervisor.soltest.forks.origin import ForkOrigin
from fvm_hypervisor.soltest.forks.remotes import Remotes
from fvm_hypervisor.soltest.forks.tipset_origin import TipsetOrigin
from hypervisor.address import Address
from hypervisor.call_manager import CallManager
from hypervisor.machine import Hypervisor
from hypervisor.types import ActorID
from runtimes.evm.engine import Answer, Ask, CreateAsk
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.host import EthereumHost

Libraries = Mapping[tuple[str, str], bytes]
"""The addresses of libraries by file and name."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A row of foundry.toml's `fs_permissions`: `access` is `read`, `write`, `read-write` or `none`."""

    access: str
    path: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What a project allows its tests, and what they may ask about it.

    `artifacts` finds a contract by what `getCode` takes: init code and runtime code with the addresses of `libraries`,
    None where there is none such.
    `contracts` finds one by its code, init code if it `creates`. `errors` says a custom error in words, `events` reads
    a log. `file` and `contract` are those of the tests that run, `first_actor` is the ID of the first actor that is
    theirs. `real_filecoin`: code etched at Filecoin's precompiles is left out, so that suites which mock them run
    against the real ones. `shows_logs`: what tests write is shown.
    """

    root: Path = field(default_factory=Path.cwd)
    file: str = ""
    contract: str = ""
    first_actor: int = 0
    permissions: Sequence[Permission] = ()
    ffi: bool = False
    consent: Grant = field(default_factory=Grant)
    """What the user has consented to."""
    environment: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    artifacts: Callable[[str, Libraries], tuple[bytes, bytes] | None] = lambda _name, _libraries: None
    libraries: Libraries = field(default_factory=dict)
    contracts: Callable[[bytes, bool], ArtifactPlace | None] = lambda _code, _creates: None
    layouts: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    """Where contracts' variables lie, by source and contract: `storage_layouts`."""
    events: KnownEvents = lambda _: None
    errors: KnownErrors = lambda _: None
    rpc_endpoints: Mapping[str, str] = field(default_factory=dict)
    real_filecoin: bool = False
    shows_logs: bool = False
    keeps_answers: str = "remote"
    evm_version: str = ""
    """EVM version that the project's tests run on; empty for that of the fork's rules."""
    """Of which nodes answers are kept on disk: `all`, `remote` or `none`."""
    internal_reverts: bool = False
    """Whether a revert in the test itself is one that `expectRevert` expects (`allow_internal_expect_revert`)."""
    isolates: bool = False
    """Whether each call of the test contract is a transaction of its own (`isolate`)."""
    has_network: bool = False
    """Whether a script's machine began with the actors of a Filecoin network, whose place no fork can take."""


class Cheats(Protocol):
    """The cheatcodes of one run of tests, as single ones see them: `interceptor.Cheatcodes`."""

    machine: Hypervisor
    settings: Settings
    state: State
    console: LogConsole
    test: Address | None
    unused: int
    origin: ForkOrigin | TipsetOrigin | None
    remotes: Remotes

    def needed_origin(self) -> ForkOrigin | TipsetOrigin:
        """What hands out the accounts of forks, from the first fork on."""

    @property
    def active_fork(self) -> int | None:
        """The number of the active fork."""

    @property
    def fork_url(self) -> str | None:
        """The URL of its node."""

    @property
    def is_armed(self) -> bool:
        """Whether calls between contracts have to be seen."""

    def answer(self, context: Context, data: bytes) -> Answer:
        """Carry out a cheatcode."""

    def ask(self, host: EthereumHost, ask: Ask) -> Answer:
        """Answer what a frame asks for."""

    @property
    def isolates(self) -> bool:
        """Whether a call of the test contract is to be a transaction of its own: one in such a transaction is not."""

    def isolated(self) -> AbstractContextManager[None]:
        """What happens inside is such a transaction."""

    def apart(self) -> AbstractContextManager[None]:
        """Messages inside are no part of the test."""

    def renew(self, calls: CallManager) -> None:
        """Let contracts see the block and the transaction as they are set."""

    def set_origin(self, calls: CallManager, origin: EthAddress) -> None:
        """Let contracts see another sender of the message."""

    def address_of(self, calls: CallManager, actor: ActorID) -> EthAddress:
        """An actor's Ethereum address."""


@dataclass(slots=True)
class Context:
    """One call of a cheatcode. `depth` is that of the frame that calls, 1 for the test's own."""

    cheats: Cheats
    calls: CallManager
    caller: EthAddress
    depth: int
    ledger: Ledger
    host: EthereumHost | None

    @property
    def state(self) -> State:
        """What cheatcodes have set."""
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
    def precompiles(self) -> Collection[EthAddress]:
        """The addresses whose functions need no code."""
        if not isinstance(self.calls, EthereumCalls):
            return ()
        return {*self.calls.environment.fork.precompiles, *self.calls.filecoin_precompiles}

    @property
    def origin(self) -> EthAddress:
        """The message's sender as contracts see it."""
        if isinstance(self.calls, EthereumCalls):
            return self.calls.environment.origin
        return self.cheats.address_of(self.calls, self.calls.origin)

    def set_origin(self, origin: EthAddress) -> None:
        """Let contracts see another sender of the message."""
        self.cheats.set_origin(self.calls, origin)

    def ethereum(self, what: str) -> EthereumCalls:
        """The message's calls under Ethereum's rules; CheatcodeFailure under Filecoin's, which have no `what`."""
        if not isinstance(self.calls, EthereumCalls):
            raise CheatcodeFailure(f"Filecoin's rules have no {what}")
        return self.calls

    def advance(self, **changes: Any) -> None:
        """Change the block that opcodes and actors see."""
        self.machine.advance(**changes)
        self.cheats.renew(self.calls)

    def set_block(self, **changes: Any) -> None:
        """Change what opcodes see beyond that: fields of `Block`."""
        self.state.block = replace(self.state.block, **changes)
        self.cheats.renew(self.calls)

    def create(self, code: bytes, value: int, salt: bytes | None) -> EthAddress:
        """Create a contract in the name of the one that calls. Raises CheatcodeFailure with what it reverted with."""
        if self.host is None:
            raise CheatcodeFailure("under Filecoin's rules contracts are created by contracts only: use `new`")
        number = None if salt is None else int.from_bytes(salt, "big")
        answer = self.cheats.ask(self.host, CreateAsk(value, code, number))
        if answer.created is None:
            raise CheatcodeFailure(self.said(answer.output), answer.output or None)
        return answer.created

    @staticmethod
    def shown(address: bytes) -> str:
        """An address as people read it."""
        return checksummed(EthAddress(address))

    @property
    def test(self) -> EthAddress | None:
        """The contract whose test runs."""
        test = self.cheats.test
        actor = None if test is None else self.calls.tree.lookup_id(test)
        return None if actor is None else self.cheats.address_of(self.calls, actor)

    def said(self, data: bytes) -> str:
        """A revert in words."""
        return said(data, self.settings.errors)

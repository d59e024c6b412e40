"""`EvmRuntime`: the EVM actor as a runtime of the machine, chosen by the code CID of the manifest's `evm` entry."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

from bridge.ethereum.block import ETHEREUM
from hypervisor.errors import ActorExit, LongExecution
from hypervisor.exit_codes import ExitCode
from hypervisor.installation import OWN_EVM
from hypervisor.kernel import Kernel
from hypervisor.machine.registry import InstallServices, Outcome, RuntimeServices
from hypervisor.precompiles import Precompile, PrecompileTable
from hypervisor.types import BlockId
from hypervisor.versions.overlay import Overlay
from runtimes.evm.contracts.actor import EvmInvocation, invoke_method
from runtimes.evm.contracts.code import CodeCache
from runtimes.evm.contracts.engine import Engine, EngineFactory, EngineRules
from runtimes.evm.contracts.rules import EvmRules, filecoin_evm_rules, rules_with
from runtimes.evm.contracts.syscalls import Syscalls
from runtimes.evm.engines import FAST, PLAIN_ENGINE, check_engine, engine_factory
from store.cid import Cid

ENGINE_OPTION: Final = "evm"


class EvmRuntime:
    """Runs contracts. It caches analysed code and engine tables, which are independent of messages."""

    runs_short: Final = True
    """True: frames check the limit of short executions (`hypervisor.threads`)."""

    def __init__(self, services: RuntimeServices) -> None:
        self._name = services.options.get(ENGINE_OPTION, OWN_EVM)
        check_engine(self._name)
        self.runs_in_guest = self._name == FAST
        """True if the guest of a session runs frames under Ethereum's rules (`runtimes.evm.revm.session`)."""
        self.codes = CodeCache()
        self._rules: dict[tuple[int, Overlay | None, PrecompileTable | None], EvmRules] = {}
        self._engines: dict[tuple[str, str], EngineFactory] = {}

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Run a method of the EVM actor; OutOfGas, Fatal and LongExecution propagate."""
        is_ethereum = kernel.machine.context.rules == ETHEREUM
        if kernel.machine.short is not None and (is_ethereum or self._name != FAST):
            raise LongExecution("frames of these rules, or of this engine, may run for long")
        if is_ethereum:
            return self._invoke_ethereum(kernel, params)
        rules = self._rules_of(kernel)
        syscalls = Syscalls(kernel, rules.gas_rate)
        kernel.gas.charge("OnEvmFrame", rules.frame_price)
        if not kernel.memory.grow(0, rules.first_memory):
            return Outcome(ExitCode.SYS_ILLEGAL_INSTRUCTION, message="no memory is left for the actor's frame")
        try:
            block, new_engine = syscalls.params(params), partial(self._engine, self._name, rules)
            returned = invoke_method(EvmInvocation(syscalls, rules, new_engine, self.codes, block))
            outcome = Outcome(ExitCode.OK, returned)
        except ActorExit as error:
            syscalls.leave()
            outcome = Outcome(error.code, BlockId(error.block), error.message, error.is_plain)
        syscalls.gas.settle()
        return outcome

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        """Exit 5: the EVM actor's module does not export `upgrade`."""
        return Outcome(ExitCode.SYS_INVALID_RECEIVER, message="the EVM actor does not export `upgrade`")

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        """Do nothing: the actor's code is this package."""

    def accept_precompiles(self, rows: Sequence[Precompile]) -> PrecompileTable:
        """Return users' precompiles, ready to run (`hypervisor.machine.rules`). Raises InvalidInput."""
        from runtimes.evm.contracts.precompiles.registered import build_table

        return build_table(rows)

    def _rules_of(self, kernel: Kernel) -> EvmRules:
        context = kernel.machine.context
        network, own = context.network, context.precompiles
        key = network.number, network.overlay, own
        rules = self._rules.get(key)
        if rules is None:
            rules = self._rules[key] = filecoin_evm_rules(network) if own is None else rules_with(network, own)
        return rules

    def _invoke_ethereum(self, kernel: Kernel, params: BlockId) -> Outcome:
        from runtimes.evm.revm.actor import EthereumInvocation

        try:
            return EthereumInvocation(kernel).run(params)
        except ActorExit as error:
            return Outcome(error.code, BlockId(error.block), error.message, error.is_plain)

    def frame_engine(self, rules: EngineRules) -> Engine:
        """Return an engine for a frame under Ethereum's rules that Python runs: the plain one."""
        return self._engine(PLAIN_ENGINE, rules)

    def _engine(self, name: str, rules: EngineRules) -> Engine:
        key = name, rules.name
        factory = self._engines.get(key)
        if factory is None:
            factory = self._engines[key] = engine_factory(name, rules)
        return factory()

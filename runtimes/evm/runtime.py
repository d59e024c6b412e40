"""`EvmRuntime`: the EVM actor as a runtime of the machine, chosen by the code CID of the manifest's `evm` entry."""

from collections.abc import Sequence
from typing import Final

from bridge.ethereum.block import ETHEREUM
from hypervisor.errors import ActorExit, LongExecution
from hypervisor.installation import OWN_EVM
from hypervisor.kernel import Kernel
from hypervisor.machine.registry import Outcome, RuntimeServices
from hypervisor.precompiles import Precompile, PrecompileTable
from hypervisor.types import BlockId
from runtimes.evm.contracts.actor import EVM_METHODS, ContractRuntime
from runtimes.evm.contracts.engine import Engine, EngineFactory, EngineRules
from runtimes.evm.contracts.rules import EvmRules
from runtimes.evm.engines import FAST, PLAIN_ENGINE, check_engine, engine_factory
from store.cid import Cid

ENGINE_OPTION: Final = "evm"


class EvmRuntime(ContractRuntime):
    """Runs contracts. It caches analysed code and engine tables, which are independent of messages."""

    methods = EVM_METHODS
    runs_short: Final = True
    """True: frames check the limit of short executions (`hypervisor.threads`)."""

    def __init__(self, services: RuntimeServices) -> None:
        super().__init__(services)
        self._name = services.options.get(ENGINE_OPTION, OWN_EVM)
        check_engine(self._name)
        self.runs_in_guest = self._name == FAST
        """True if the guest of a session runs frames under Ethereum's rules (`runtimes.evm.revm.session`)."""
        self._engines: dict[tuple[str, str], EngineFactory] = {}

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Run a method of the EVM actor; OutOfGas, Fatal and LongExecution propagate."""
        is_ethereum = kernel.machine.context.rules == ETHEREUM
        if kernel.machine.short is not None and (is_ethereum or self._name != FAST):
            raise LongExecution("frames of these rules, or of this engine, may run for long")
        if is_ethereum:
            return self._invoke_ethereum(kernel, params)
        return super().invoke(kernel, code, params)

    def engine(self, rules: EvmRules, *, constructs: bool) -> Engine:
        return self._engine(self._name, rules)

    def accept_precompiles(self, rows: Sequence[Precompile]) -> PrecompileTable:
        """Return users' precompiles, ready to run (`hypervisor.machine.rules`). Raises InvalidInput."""
        from runtimes.evm.contracts.precompiles.registered import build_table

        return build_table(rows)

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

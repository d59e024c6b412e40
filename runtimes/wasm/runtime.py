"""`WasmRuntime`: runs one invocation of a native actor, from its module to its outcome.

Gas, exits and failures follow the network's order (ref-fvm fvm/src/call_manager, fvm/src/engine): the initial memory is
charged; the guest's counter is set to the remaining gas; the guest is called; its last gas is charged before its result
is examined. So running out of gas takes precedence over every trap and exit.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from hypervisor.errors import ActorExit, ActorFatal, Fatal, InvalidModule, OutOfGas, SyscallError, UnlinkableModule
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.kernel import Kernel
from hypervisor.kernel.call import MAX_INSTANCE_MEMORY, MAX_TOTAL_MEMORY
from hypervisor.machine.registry import InstallServices, Outcome, RuntimeServices
from hypervisor.types import BlockId
from runtimes.wasm.boundary import selected_boundary
from runtimes.wasm.module.encode import GAS_EXPORT, START_EXPORT
from runtimes.wasm.module.opcodes import PAGE_BYTES
from runtimes.wasm.module.parser import function_count, function_label, function_names
from runtimes.wasm.modules import GuestModule, GuestModules, code_prices
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.validate import ENTRY_POINT, MAX_TABLE_ELEMENTS, UPGRADE, check_features
from runtimes.wasmtime.cache import ModuleCache, default_folder
from runtimes.wasmtime.engine import guest_engine, trap_signals
from runtimes.wasmtime.raw import Trap
from store.cid import RAW, Cid, cid_of, show

TABLE_ELEMENT_BYTES = 8
_GAS, _START = GAS_EXPORT.encode(), START_EXPORT.encode()
_ENTRY, _UPGRADE = ENTRY_POINT.encode(), UPGRADE.encode()


class WasmRuntime:
    """The native runtime. It may serve several machines and threads; it holds no execution state.

    Options: `module_cache`: `off` disables the disk cache of compiled modules (see `cache`); `boundary`: `raw` or
    `plain` (see `boundary`).
    """

    def __init__(self, services: RuntimeServices) -> None:
        folder = None if services.options.get("module_cache") == "off" else default_folder()
        self._modules = _modules(folder, selected_boundary(services.options))
        self._digests: dict[Cid, Cid] = {}
        self._trap_signals = trap_signals()

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        """Check and compile modules before their first invocation, on all cores; raises InvalidModule."""
        if features is not None:
            for code, wasm in modules.items():
                check_features(wasm, features)
                self._modules.compile_installed(self._digest(code, wasm), wasm)
        self._modules.compile_all({self._digest(code, wasm): wasm for code, wasm in modules.items()})

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Run the actor's `invoke` with the block `params`.

        Every result of the guest is an Outcome: a return, an exit, a trap (exit 4), a missing `invoke` (exit 5), an
        invalid block handle (exit 11). Raises OutOfGas, Fatal for missing code, and ActorFatal for code that is invalid
        or cannot be linked.
        """
        return self._run(kernel, code, params, None)

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        """Run the actor's `upgrade` with two blocks; a module without one exits with 5. Otherwise like `invoke`."""
        return self._run(kernel, code, params, info)

    def _run(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId | None) -> Outcome:
        module = self._module(kernel, code)
        facts, prices, budget = module.facts, kernel.machine.context.network.prices, kernel.memory
        table_bytes, size = TABLE_ELEMENT_BYTES * facts.table_elements, PAGE_BYTES * facts.pages
        if facts.charges_table:
            kernel.gas.charge("wasm_table_init", prices.wasm_memory_per_byte * table_bytes)
        kernel.gas.charge("wasm_memory_init", prices.wasm_memory_per_byte * size)
        memory_limit = min(MAX_INSTANCE_MEMORY, MAX_TOTAL_MEMORY - budget.used - table_bytes)
        if size > memory_limit or not budget.grow(0, table_bytes) or not budget.grow(0, size):
            return Outcome(ExitCode.SYS_ILLEGAL_INSTRUCTION, message="no memory is left for the actor's instance")
        invocation = module.linked.begin(kernel, memory_limit, MAX_TABLE_ELEMENTS)
        try:
            invocation.counted = size
            if invocation.outer is None:  # not needed between two guests on one thread
                self._trap_signals.restore()
            return run_guest(invocation, module, code, params, info)
        finally:
            module.linked.end(invocation)

    def _module(self, kernel: Kernel, code: Cid) -> GuestModule:
        network = kernel.machine.context.network
        rules, prices = network.rules, code_prices(network.prices)
        revision = rules.revision
        if rules.installs_code and not kernel.machine.store.has(code):  # even if it is compiled already
            raise SyscallError(ErrorNumber.NOT_FOUND, f"code {show(code)} is not in the store")
        digest = self._digests.get(code)
        module = None if digest is None else self._modules.find(digest, revision, prices)
        if module is None:
            wasm = kernel.load_code(code)
            try:
                module = self._modules.load(self._digest(code, wasm), wasm, revision, prices)
            except InvalidModule as error:
                text = f"code {show(code)} of f0{kernel.context.receiver} cannot be run: {error}"
                if rules.installs_code and not isinstance(error, UnlinkableModule):
                    raise SyscallError(ErrorNumber.NOT_FOUND, text) from error
                raise ActorFatal(text) from error
        return module

    def _digest(self, code: Cid, wasm: bytes) -> Cid:
        """Return the CID of the bytes themselves: test machines may store other modules under the official codes."""
        return self._digests.setdefault(code, cid_of(wasm, RAW))


@lru_cache(8)
def _modules(folder: Path | None, boundary: str) -> GuestModules:
    """Return the modules shared by all machines in this process with the same cache folder."""
    return GuestModules(guest_engine(), ModuleCache(folder), boundary)


def run_guest(
    invocation: WasmInvocation, module: GuestModule, code: Cid, params: BlockId, info: BlockId | None
) -> Outcome:
    """Run a guest from the empty store to its outcome; calls `upgrade` if `info` is given, else `invoke`."""
    instance = invocation.instance
    try:
        module.linked.instantiate(invocation)
    except Trap as trap:
        return _not_instantiated(trap)
    if module.facts.has_start:
        failed = _start(invocation, module, code)
        if failed is not None:
            return failed
    if info is not None:
        if not instance.find_function(_UPGRADE):
            return Outcome(ExitCode.SYS_INVALID_RECEIVER, message="the actor's module does not export `upgrade`")
        if module.facts.has_wrong_upgrade:
            raise ActorFatal("the module's `upgrade` does not take two i32 and return one")
    elif not module.facts.has_entry or not instance.find_function(_ENTRY):
        return Outcome(ExitCode.SYS_INVALID_RECEIVER, message="the actor's module does not export `invoke`")
    elif module.facts.has_wrong_entry:
        raise ActorFatal("the module's `invoke` does not take one i32 and return one")
    invocation.locate(_GAS)
    invocation.set_gas_counter()
    handle, trap_ = 0, None
    try:
        handle = instance.enter(params) if info is None else instance.enter_with(params, info)
    except Trap as caught:
        trap_ = caught.with_traceback(None)  # its frames refer to it: the cycle would wait for the garbage collector
    failure = invocation.failure or (module.linked.take_unattached_call_error(invocation) if trap_ else None)
    if failure is not None and not isinstance(failure, ActorExit | OutOfGas | Fatal):
        raise failure  # a bug or an interrupt, not the guest's fault: raised whatever its gas
    invocation.charge_execution()
    if isinstance(failure, ActorExit):
        return _exit(invocation.kernel, failure.with_traceback(None))
    if failure is not None:
        raise failure
    if trap_ is not None:
        return _trap_outcome(trap_, invocation.kernel, code)
    return Outcome(ExitCode.OK, BlockId(handle))


def _start(invocation: WasmInvocation, module: GuestModule, code: Cid) -> Outcome | None:
    """Run the start function, which is part of instantiation; return the outcome if it fails."""
    instance = invocation.instance
    if not instance.find_function(_START):
        raise Fatal("a compiled module lacks its start function")
    invocation.locate(_GAS)
    invocation.set_gas_counter()
    trap = None
    module.linked.detach(invocation)
    try:
        instance.start()
    except Trap as caught:
        trap = caught
    error = module.linked.take_unattached_call_error(invocation) if trap else None
    if error is not None:
        raise ActorFatal("an actor's start function makes a syscall, which crashes the network's machine") from error
    module.linked.attach(invocation)
    invocation.charge_execution()
    if trap is None:
        return None
    return _not_instantiated(trap, _trap_location(trap, invocation.kernel, code))


def _not_instantiated(trap: Trap, location: str = "") -> Outcome:
    """Return the outcome of a failed instantiation; without a trap code the failure is this machine's, hence Fatal."""
    if trap.code is None:
        raise Fatal(f"an actor cannot be instantiated: {trap}")
    return Outcome(ExitCode.SYS_ILLEGAL_INSTRUCTION, message=f"the actor cannot be instantiated: {trap}{location}")


def _exit(kernel: Kernel, failure: ActorExit) -> Outcome:
    try:
        kernel.ipld.find(failure.block)
    except SyscallError as error:
        raise ActorFatal(f"f0{kernel.context.receiver} exited with a block that does not exist: {error}") from error
    return Outcome(failure.code, BlockId(failure.block), failure.message)


def _trap_outcome(trap: Trap, kernel: Kernel, code: Cid) -> Outcome:
    if trap.code is None:
        raise Fatal(f"the guest ended unexpectedly: {trap}")
    return Outcome(ExitCode.SYS_ILLEGAL_INSTRUCTION, message=f"{trap}{_trap_location(trap, kernel, code)}")


def _trap_location(trap: Trap, kernel: Kernel, code: Cid) -> str:
    """Return the place of a trap: ` in parse, called by dispatch, invoke`.

    Functions added by instrumentation are omitted. They follow the original functions, which have the same indices in
    an instrumented module.
    """
    if not trap.frames:
        return ""
    wasm = kernel.load_code(code)
    names, count = function_names(wasm), function_count(wasm)
    frames = [function_label(names, index) for index in trap.frames if index < count]
    shown = [f"{label} ({times} times)" if times > 1 else label for label, times in _runs(frames)]
    return f" in {shown[0]}{', called by ' if shown[1:] else ''}{', '.join(shown[1:])}" if shown else ""


def _runs(labels: Sequence[str]) -> list[tuple[str, int]]:
    return [(label, len(list(same))) for label, same in groupby(labels)]

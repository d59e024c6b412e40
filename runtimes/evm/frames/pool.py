"""The pool of the guest's instances in this process, each used by one thread and one message at a time.

A frame never runs on an instance where frames of another message wait. Otherwise it would delay these frames, use their
memory, and lose them if the engine fails.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final
from weakref import ref

from hypervisor.errors import Fatal, InvalidModule, RuntimeUnavailable
from hypervisor.threads import Stacks, once
from runtimes.evm.frames.host_calls import HOST_CALLS
from runtimes.evm.frames.instance import FastInstance
from runtimes.evm.regions.blocks import MAX_REGION_SIZE
from runtimes.evm.regions.compiler import InstanceRegions, new_compiler, region_compiler
from runtimes.wasmtime.cache import ModuleCache, default_folder, load_or_compile
from runtimes.wasmtime.engine import CompiledModule, Linker, WasmtimeEngine, own_engine, trap_signals
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import TRAP_UNREACHABLE, HostFunction, WasmtimeUnusable


@dataclass(frozen=True, slots=True)
class Tier:
    """A compilation tier: code is compiled after `threshold` executed jumpdests (0: never).

    If `synchronous`, all code of a frame is compiled before it runs. `max_size` is the maximum estimated size of a
    region in bytes of WASM.
    """

    threshold: int
    synchronous: bool = False
    max_size: int = MAX_REGION_SIZE


TIERED: Final = Tier(threshold=20_000)


class Pool:
    """The instances of a process that share a tier."""

    def __init__(self, tier: Tier) -> None:
        engine: WasmtimeEngine = own_engine()
        self._threshold = tier.threshold
        self._regions_of: Callable[[FastInstance, Instance, memoryview], InstanceRegions] | None = None
        if tier.threshold:
            compiler = region_compiler() if tier.max_size == MAX_REGION_SIZE else new_compiler(tier.max_size)
            self._regions_of = lambda guest, instance, hot: InstanceRegions(guest, instance, compiler, hot)
        self._live: dict[int, FastInstance] = {}
        self._linker = Linker(engine)
        self._linker.define("host", "ask", b"", b"", HostFunction(self._execute_host_call))
        self._linked = self._linker.link(guest_module())
        self._instances: list[FastInstance] = []
        self._signals = trap_signals()
        self.stacks = Stacks()

    def _execute_host_call(self, _environment: int, caller: int, _arguments: int, _count: int) -> int:
        lib = self._linker.engine.lib
        try:
            self._live[lib.caller_context(caller)].execute_host_call()
        except BaseException:  # noqa: BLE001  # nothing may leave a callback: the guest ends in a trap
            return lib.trap_new(TRAP_UNREACHABLE)
        return 0

    def acquire(self, message: object) -> FastInstance:
        """Return an instance with waiting frames of the message, otherwise one without any waiting frame."""
        self._signals.restore()
        owner = ref(message)
        for own in (True, False):
            for instance in tuple(self._instances):
                if own != (instance.owner is owner) or (not own and instance.waiting and not instance.orphans):
                    continue
                if instance.lock.acquire(blocking=own):  # another thread may be checking whether it is free
                    if not instance.broken:  # skip an instance that another thread has just removed
                        if instance.orphans:
                            instance.tidy()
                        if own or not instance.waiting:
                            return instance
                    instance.lock.release()
        return self._new()

    def _new(self) -> FastInstance:
        instance = FastInstance(self._linked, self._live, HOST_CALLS, self._threshold, self._regions_of)
        instance.lock.acquire()
        self._instances.append(instance)
        return instance

    def reacquire(self, instance: FastInstance) -> None:
        """Lock the instance on which a frame waits; raises Fatal if it has failed meanwhile."""
        self._signals.restore()
        instance.lock.acquire()
        if instance.broken:
            instance.remove_waiting()
            self.release(instance)
            raise Fatal("the EVM engine failed in another frame of this message")

    def drop(self, instance: FastInstance, frame: int) -> None:
        """Drop a frame that will never be resumed; close its instance if it is large and no other frame waits."""
        if instance.drop(frame) and instance.lock.acquire(blocking=False):
            instance.broken, instance.waiting = True, 0
            self.release(instance)

    def release(self, instance: FastInstance) -> None:
        """Release an instance; one that failed, or is too large or full, is not reused."""
        regions = instance.regions
        if not instance.broken:
            instance.update_regions()
        is_full = regions is not None and regions.is_full
        if instance.broken or (instance.waiting == 0 and (is_full or instance.is_large)):
            instance.broken = True
            if instance in self._instances:
                self._instances.remove(instance)
            if instance.waiting == 0:
                instance.close()
        instance.lock.release()


@lru_cache
def pool(tier: Tier) -> Pool:
    """Return the process's pool of a tier, created when the first contract runs."""
    return Pool(tier)


ARTIFACT: Final = Path(__file__).parent.parent / "guests" / "frames" / "frames.wasm"


@once
def guest_module() -> CompiledModule:
    """Return the compiled module of the `fast` EVM engine. It is stateless and shared. Raises RuntimeUnavailable."""
    try:
        wasm = ARTIFACT.read_bytes()
        return load_or_compile(own_engine(), wasm, ModuleCache(default_folder()), "EVM engine")
    except (OSError, WasmtimeUnusable, InvalidModule) as error:
        raise RuntimeUnavailable(f"the EVM engine 'fast' cannot be loaded: {error}") from error

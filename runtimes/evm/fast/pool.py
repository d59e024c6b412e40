"""The guest's instances in this process: linked with what answers them, each for one thread at a time."""

from functools import cache
from typing import Final

from hypervisor.deep_stack import Stacks
from hypervisor.errors import Fatal
from runtimes.evm.fast.instance import FastInstance, Questions
from runtimes.evm.fast.loader import guest_module
from runtimes.evm.fast.questions import QUESTIONS, TX_CONTEXT
from runtimes.evm.fast.tree import TREE_ANSWERABLE, TREE_QUESTIONS
from runtimes.wasmtime.engine import Linker, WasmtimeEngine, own_engine, trap_signals
from runtimes.wasmtime.raw import TRAP_UNREACHABLE, HostFunction

QUESTIONS_OF_ALL: Final = Questions(
    functions=QUESTIONS + TREE_QUESTIONS,
    answerable=frozenset({TX_CONTEXT} | {len(QUESTIONS) + number for number in TREE_ANSWERABLE}),
    account_code=len(QUESTIONS) + TREE_ANSWERABLE[-1],
)


class Pool:
    """The instances of a process, each for one thread at a time."""

    def __init__(self) -> None:
        engine: WasmtimeEngine = own_engine()
        self._live: dict[int, FastInstance] = {}
        self._linker = Linker(engine)
        self._linker.define("host", "ask", b"", b"", HostFunction(self._ask))
        self._linked = self._linker.link(guest_module())
        self._instances: list[FastInstance] = []
        self._signals = trap_signals()
        self.stacks = Stacks()

    def _ask(self, _environment: int, caller: int, _arguments: int, _count: int) -> int:
        lib = self._linker.engine.lib
        try:
            self._live[lib.caller_context(caller)].answer()
        except BaseException:  # noqa: BLE001  # nothing may leave a callback: the guest ends in a trap
            return lib.trap_new(TRAP_UNREACHABLE)
        return 0

    def take(self) -> FastInstance:
        """An instance that is not in use."""
        self._signals.keep()
        for instance in self._instances:
            if instance.lock.acquire(blocking=False):
                if instance.broken:  # another thread has just taken it off the list
                    instance.lock.release()
                    continue
                instance.tidy()
                return instance
        instance = FastInstance(self._linked, self._live, QUESTIONS_OF_ALL)
        instance.lock.acquire()
        self._instances.append(instance)
        return instance

    def take_again(self, instance: FastInstance) -> None:
        """The instance on which a frame waits; Fatal where it has broken meanwhile."""
        self._signals.keep()
        instance.lock.acquire()
        if instance.broken:
            instance.waiting -= 1
            self.give(instance)
            raise Fatal("the EVM engine failed in another frame of this message")

    def give(self, instance: FastInstance) -> None:
        """Let others use it; one that is broken or too large is not used again."""
        if instance.broken or (instance.waiting == 0 and instance.is_large):
            instance.broken = True
            if instance in self._instances:
                self._instances.remove(instance)
            if instance.waiting == 0:
                instance.close()
        instance.lock.release()


@cache
def pool() -> Pool:
    """The process's pool, made when the first contract runs."""
    return Pool()

"""The guest's instances in this process: linked with what answers them, each for one thread and one message at a time.

No frame of a message runs on an instance where another message's frames wait: it would hold them up, take of their
memory, and take them with it where the engine fails.
"""

from typing import Final
from weakref import ref

from hypervisor.deep_stack import Stacks
from hypervisor.errors import Fatal
from hypervisor.once import once
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
    """The instances of a process."""

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

    def take(self, message: object) -> FastInstance:
        """An instance for a frame: the one where frames of its message wait, else one where none does."""
        self._signals.keep()
        owner = ref(message)
        for own in (True, False):
            for instance in tuple(self._instances):
                if own != (instance.owner is owner) or (not own and instance.waiting and not instance.orphans):
                    continue
                if instance.lock.acquire(blocking=own):  # of its own another thread may just look whether it is free
                    if not instance.broken:  # else another thread has just taken it off the list
                        if instance.orphans:
                            instance.tidy()
                        if own or not instance.waiting:
                            return instance
                    instance.lock.release()
        return self._new()

    def _new(self) -> FastInstance:
        instance = FastInstance(self._linked, self._live, QUESTIONS_OF_ALL)
        instance.lock.acquire()
        self._instances.append(instance)
        return instance

    def take_again(self, instance: FastInstance) -> None:
        """The instance on which a frame waits; Fatal where it has broken meanwhile."""
        self._signals.keep()
        instance.lock.acquire()
        if instance.broken:
            instance.wait_no_more()
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


@once
def pool() -> Pool:
    """The process's pool, made when the first contract runs."""
    return Pool()

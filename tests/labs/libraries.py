"""Random actors with libraries of the lab `libraries`, compared with single-module actors, as a recorded run.

Result, end and final state must be those of the single-module form on a machine without the lab. Its gas is higher by
exactly the documented amount (docs/labs/libraries.md): an instruction and one per parameter for each call between
modules, which a third form of the program counts, and the cost of linking. With less gas it runs out. The planted
defects are in the linking.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from ctypes import memmove
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from random import Random
from types import MappingProxyType
from typing import Any, Final
from unittest.mock import patch

from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import DebugLog, TraceEvent
from hypervisor.types import ActorID, Gas
from runtimes.wasm import linked, runtime
from runtimes.wasm.boundary import RAW
from runtimes.wasm.libraries import LinkedUnit, is_library
from runtimes.wasm.linked import LinkedModules, LinkedProgram
from runtimes.wasm.module.instrumentation import COUNTED_CALL
from runtimes.wasm.module.opcodes import NETWORK_PRICES, WasmPrices
from runtimes.wasm.module.parser import WasmModule
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasmtime import engine
from runtimes.wasmtime.cache import ModuleCache, default_folder
from runtimes.wasmtime.instance import ImportSource
from store.cid import show
from tests.labs.linked_programs import Program, generated
from tests.labs.random_programs import RandomPrograms, Shown
from tests.runtimes.wasm.guests import FIRST_ID, call, install_actor

GAS: Final = 300_000_000
STAGES: Final = ("is as the static form", "called a library", "answered")
_INSTRUCTION: Final = NETWORK_PRICES.instruction // 1000
"""Price of an instruction in gas."""
_BATCH: Final = 200
"""Number of programs per process, since machines cache compiled modules."""


class _Calls:
    """Counts the instructions that the third form of a program logs for its calls between modules."""

    def __init__(self) -> None:
        self.instructions = 0
        self.calls = 0

    def event(self, event: TraceEvent) -> None:
        if isinstance(event, DebugLog):
            self.instructions += len(event.text)
            self.calls += 1


@dataclass(frozen=True, slots=True)
class Machines:
    """A machine with the lab, one without it, and one for counting."""

    linked: Hypervisor
    static: Hypervisor
    counting: Hypervisor


@cache
def machines() -> Machines:
    """Return this process's machines; it stores no program on disk, and small modules are compiled on one thread."""
    alone = MappingProxyType(dict(engine.GUEST_SETTINGS) | {"parallel_compilation": False})
    with patch.object(engine, "GUEST_SETTINGS", alone):
        engine.guest_engine()
    made = Machines(Hypervisor.open(rules="lab:libraries"), Hypervisor.open(), Hypervisor.open(actor_debugging=True))
    for modules in (linked.linked_modules(default_folder()), runtime._modules(default_folder(), RAW)):
        modules._cache = ModuleCache(None)
    return made


def forget() -> None:
    """Drop the machines and compiled modules."""
    machines.cache_clear()
    linked.linked_modules.cache_clear()
    runtime._modules.cache_clear()


@dataclass(frozen=True, slots=True)
class End:
    """The result of a run: its end, its return value, the actor's state, and gas."""

    exit_code: int
    answer: bytes
    state: bytes
    gas_used: int

    @classmethod
    def of(cls, machine: Hypervisor, module: bytes, gas: int = GAS) -> "End":
        """Install an actor with a module and call it; the state is reverted."""
        start = machine.snapshot()
        result: ApplyResult = call(machine, install_actor(machine, module), gas_limit=gas)
        if result.fatal is not None:
            raise result.fatal
        actor = machine.state_tree.get_actor(ActorID(FIRST_ID))
        head = b"" if actor is None else actor.head
        machine.restore(start)
        return cls(result.exit_code, result.return_data, head, result.gas_used)


@dataclass(slots=True)
class Played:
    """The findings of a program."""

    findings: list[str]
    crossed: bool = False
    exit_code: int = ExitCode.SYS_OUT_OF_GAS


def play(seed: int) -> Played:
    """Run one program in its forms."""
    random = Random(seed)
    return compare(generated(random), random)


def compare(program: Program, random: Random) -> Played:
    """Compare the forms of a program."""
    some = machines()
    start = some.linked.snapshot()
    sizes: list[int] = []

    def install(wasm: bytes) -> str:
        sizes.append(len(wasm))
        return show(some.linked.install(wasm))

    actor = program.linked(install)
    some.linked.install(actor)
    static = End.of(some.static, program.static())
    linked = [End.of(some.linked, actor) for _ in range(2)]
    calls = some.counting.tracer = _Calls()
    End.of(some.counting, program.static(counting=True), 20 * GAS)
    findings = []
    if linked[0] != linked[1]:
        findings.append(f"again: {linked[0]}, then {linked[1]}")
    if ExitCode.SYS_OUT_OF_GAS in (static.exit_code, linked[0].exit_code):
        if ExitCode.OK in (static.exit_code, linked[0].exit_code):
            findings.append(f"gas: {linked[0]}, where the static form ends with {static}")
        played = Played(findings)
    else:
        if replace(linked[0], gas_used=0) != replace(static, gas_used=0):
            findings.append(f"end: {linked[0]}, not {static}")
        more = linked[0].gas_used - static.gas_used - calls.instructions * _INSTRUCTION - _linking(program, sizes)
        # A block of code is paid for when it begins: of calls behind a trap or an exit one instruction is paid.
        if more and not (linked[0].exit_code == ExitCode.SYS_ILLEGAL_INSTRUCTION and _is_saved(more)):
            findings.append(f"gas: {linked[0].gas_used}, {more} from what the page says, without libraries {static}")
        played = Played(findings, calls.calls > 0, linked[0].exit_code)
        less = random.randrange(linked[0].gas_used // 2, linked[0].gas_used)
        short = End.of(some.linked, actor, less)
        if short.exit_code != ExitCode.SYS_OUT_OF_GAS or short.gas_used != less:
            findings.append(f"less: with {less} of {linked[0].gas_used} gas it ends with {short}")
    some.linked.restore(start)
    return played


def _is_saved(more: int) -> bool:
    """Return True if a trap explains a difference in gas: a call that overflows the stack may not be counted."""
    uncounted = [0, *(_INSTRUCTION * (1 + params) for params in range(4))]
    return any(more <= one and (more - one) % ((COUNTED_CALL - 1) * _INSTRUCTION) == 0 for one in uncounted)


def _linking(program: Program, sizes: Sequence[int]) -> int:
    """Return the price of linking in gas as documented; `sizes` are the libraries' sizes in bytes, in order."""
    modules = program.reached()
    imports = sum(len(module.uses) + module.borrows for module in modules)
    return sum(30_000 + 10 * sizes[module.number] for module in modules[:-1]) + 2_000 * imports


# --- planted defects --------------------------------------------------------------------------------------------------


@contextmanager
def _other_function() -> Iterator[None]:
    """Plant: an import is linked to another function of the library with the same type."""
    sources = linked._sources

    def wrong(unit: LinkedUnit) -> tuple[ImportSource, ...]:
        types: dict[str, list[bytes]] = {}
        for item in unit.module.imports:
            types.setdefault(f"{item.module} {item.type_index}", []).append(item.name.encode())
        given = zip(unit.module.imports, sources(unit), strict=False)
        last = (types[f"{item.module} {item.type_index}"][-1] for item in unit.module.imports)
        changed = [
            replace(one, name=name) if one.instance_index > 0 else one
            for (_, one), name in zip(given, last, strict=True)
        ]
        return (*changed, *sources(unit)[len(changed) :])

    with patch.object(linked, "_sources", wrong):
        yield


@contextmanager
def _free_pages() -> Iterator[None]:
    """Waive the charge for the libraries' memories."""
    link = LinkedModules.link

    def free(
        self: LinkedModules, units: Sequence[LinkedUnit], linking: Sequence[Gas], revision: str, prices: WasmPrices
    ) -> LinkedProgram:
        return replace(link(self, units, linking, revision, prices), pages=units[-1].module.facts.pages)

    with patch.object(LinkedModules, "link", free):
        yield


@contextmanager
def _free_code() -> Iterator[None]:
    """Waive the charge for the libraries' instructions."""
    instrument = LinkedModules._instrument

    def free(self: LinkedModules, module: WasmModule, prices: WasmPrices) -> bytes:
        return instrument(self, module, WasmPrices(0, prices.memory_byte) if is_library(module) else prices)

    with patch.object(LinkedModules, "_instrument", free):
        yield


@contextmanager
def _kept_memory() -> Iterator[None]:
    """Plant: the initial content of a memory changes from call to call."""
    instantiate = linked._LinkedParts.instantiate
    calls = count(1)

    def keeping(self: Any, invocation: WasmInvocation) -> None:
        instantiate(self, invocation)
        invocation.instance.find_memory()
        base, _ = invocation.instance.memory()
        memmove(base, bytes([next(calls) % 256]) * 64, 64)

    with patch.object(linked._LinkedParts, "instantiate", keeping):
        yield


PLANTS: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {
    "another function of the library answers": _other_function,
    "libraries' memories are free": _free_pages,
    "libraries' code is free": _free_code,
    "memory is kept from call to call": _kept_memory,
}


# --- many of them -----------------------------------------------------------------------------------------------------


@contextmanager
def _forgetting() -> Iterator[None]:
    forget()
    yield
    forget()


def _shown(seed: int) -> Shown:
    played = play(seed)
    return played.findings, (played.crossed, played.exit_code == ExitCode.OK)


PROGRAMS: Final = RandomPrograms(STAGES, _shown, PLANTS, batch=_BATCH, around=_forgetting)
run = PROGRAMS.run

if __name__ == "__main__":
    sys.exit(PROGRAMS.main(__doc__))

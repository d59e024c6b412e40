"""Random actors with libraries of the lab `libraries`, compared with single-module actors, as a recorded run.

Result, end and final state must be those of the single-module form on a machine without the lab. Its gas is higher by
exactly the documented amount (docs/labs/libraries.md): an instruction and one per parameter for each call between
modules, which a third form of the program counts, and the cost of linking. With less gas it runs out.

A program is a list of modules; the last one is the actor. The linked form has one module each. The static form has the
same functions, globals and table entries in one module, with one memory page per memory. Both forms have the same
instructions except for constants and imported functions. The static form, on a machine without the lab, therefore
defines the expected result. A third form logs each call between modules for counting.
"""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from types import MappingProxyType
from typing import Final
from unittest.mock import patch

from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import DebugLog, TraceEvent, Tracer
from hypervisor.types import ActorID
from lab_tests.random_programs import RandomPrograms, Shown
from runtimes.wasm import linked, runtime
from runtimes.wasm.boundary import RAW
from runtimes.wasm.module.instrumentation import COUNTED_CALL
from runtimes.wasm.module.opcodes import NETWORK_PRICES
from runtimes.wasmtime import engine
from runtimes.wasmtime.cache import ModuleCache, default_folder
from store.cid import show
from tests.runtimes.wasm.guests import FIRST_ID, call, imports, install_actor, wasm

KINDS: Final = ("i32", "i64")
TABLE: Final = 4
SYSCALLS: Final = ("vm.exit", "ipld.block_create", "ipld.block_link", "self.set_root")
_BINARY: Final = ("add", "sub", "mul", "and", "or", "xor", "shl", "shr_u", "rotl")
_TRAPPING: Final = ("div_u", "rem_s", "div_s")
_EDGES: Final = (0, 1, -1, 7, 255, 65_535, 2**31 - 1, -(2**31))
_NOTE: Final = re.compile("@N([0-9]+)@")
"""Placeholder in a body for a call of another module's function, with the call's cost in instructions."""
_MAX_PARAMS: Final = 3
_PLACE: Final = 65_000
"""Offset in the actor's memory of the syscalls' results."""


@dataclass(slots=True)
class LibraryFunction:
    """A function of a module; `body` has placeholders `@B@` (base of its memory), `@T@` (of its table) and `_NOTE`."""

    module: int
    place: int
    params: tuple[str, ...]
    result: str
    body: str = ""
    called: "list[LibraryFunction]" = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"$m{self.module}_f{self.place}"

    @property
    def export(self) -> str:
        """Name under which other modules import it."""
        return f"f{self.place}"

    @property
    def signature(self) -> str:
        params = f"(param {' '.join(self.params)}) " if self.params else ""
        return f"{params}(result {self.result})"


@dataclass(slots=True)
class ProgramModule:
    """A module of a program; `memory_of` is the module whose memory it uses, -1 for none."""

    number: int
    memory_of: int
    grants: bool = True
    """True if other modules may import its memory."""
    functions: list[LibraryFunction] = field(default_factory=list)
    entries: list[LibraryFunction | None] = field(default_factory=list)
    globals: list[tuple[str, int]] = field(default_factory=list)

    @property
    def borrows(self) -> bool:
        """True if it imports a library's memory."""
        return self.memory_of not in (-1, self.number)

    @property
    def uses(self) -> list[LibraryFunction]:
        """Functions of other modules that this one calls or has in its table."""
        found = [one for function in self.functions for one in function.called]
        found += [one for one in self.entries if one is not None]
        return list({one.name: one for one in found if one.module != self.number}.values())


@dataclass(frozen=True, slots=True)
class Program:
    modules: list[ProgramModule]

    def reached(self) -> list[ProgramModule]:
        """Return the modules that the actor needs, in order."""
        found = {self.modules[-1].number}
        for module in reversed(self.modules):
            if module.number in found:
                found.update(one.module for one in module.uses)
                found.update({module.memory_of} - {-1})
        return [module for module in self.modules if module.number in found]

    def linked(self, install: Callable[[bytes], str]) -> bytes:
        """Return the actor's module; `install` installs each library and returns its CID."""
        names: list[str] = []
        for module in self.modules:
            made = wasm(self._linked_text(module, names))
            if module is self.modules[-1]:
                return made
            names.append(install(made))
        raise AssertionError("a program has an actor")

    def static(self, *, counting: bool = False) -> bytes:
        """Return the single-module form; `counting` logs a byte per instruction of each call between modules."""
        modules = self.reached()
        memories = [module.number for module in modules if module.memory_of == module.number]
        pages = len(memories) + counting
        parts = [imports(*SYSCALLS, *(["debug.log"] if counting else []))]
        parts += self._types()
        parts.append(f'(memory (export "memory") {pages})')
        if counting:
            unused = 65_536 * len(memories)
            parts += [
                f"(func $note_{size} (drop (call $log (i32.const {unused}) (i32.const {size}))))"
                for size in range(1, _MAX_PARAMS + 2)
            ]
        entries = [(module.number, place, one) for module in modules for place, one in enumerate(module.entries)]
        parts.append(f"(table {TABLE * len(self.modules)} funcref)")
        parts += [
            f"(elem (i32.const {TABLE * number + place}) {one.name})"
            for number, place, one in entries
            if one is not None
        ]
        for module in modules:
            base = 65_536 * memories.index(module.memory_of) if module.memory_of >= 0 else 0
            parts += _globals(module)
            for function in module.functions:
                body = _NOTE.sub(r"(call $note_\1)" if counting else "", function.body)
                parts.append(_function(module, function, body, base, TABLE * module.number, self._exported(module)))
        return wasm("(module " + "\n".join(parts) + ")")

    def _exported(self, module: ProgramModule) -> str:
        return 'export "invoke"' if module is self.modules[-1] else ""

    def _types(self) -> list[str]:
        return [f"(type $t_{kind} (func (param {kind}) (result {kind})))" for kind in KINDS]

    def _linked_text(self, module: ProgramModule, names: list[str]) -> str:
        actor = module is self.modules[-1]
        parts = [imports(*SYSCALLS)] if actor else []
        parts += [
            f'(import "lib:{names[one.module]}" "{one.export}" (func {one.name} {one.signature}))'
            for one in module.uses
        ]
        if module.memory_of >= 0 and module.memory_of != module.number:
            parts.append(f'(import "lib:{names[module.memory_of]}" "memory" (memory 1))')
        parts += self._types()
        if module.memory_of == module.number:
            parts.append(f"(memory 1 {'' if actor else '1'})")
        if actor or (module.memory_of >= 0 and module.grants):
            parts.append('(export "memory" (memory 0))')
        parts.append(f"(table {TABLE} funcref)")
        parts += [
            f"(elem (i32.const {place}) {one.name})" for place, one in enumerate(module.entries) if one is not None
        ]
        parts += _globals(module)
        for function in module.functions:
            export = self._exported(module) or f'export "{function.export}"'
            parts.append(_function(module, function, _NOTE.sub("", function.body), 0, 0, export))
        return "(module " + "\n".join(parts) + ")"


def _globals(module: ProgramModule) -> list[str]:
    return [
        f"(global $m{module.number}_g{place} (mut {kind}) ({kind}.const {value}))"
        for place, (kind, value) in enumerate(module.globals)
    ]


def _function(module: ProgramModule, function: LibraryFunction, body: str, base: int, table: int, export: str) -> str:
    shown = f"({export})" if export and (export != 'export "invoke"' or function is module.functions[-1]) else ""
    text = body.replace("@B@", str(base)).replace("@T@", str(table))
    return f"(func {function.name} {shown} {function.signature} (local i32 i64 i32) {text})"


def generated(random: Random) -> Program:
    """Return a program of one to four libraries and an actor."""
    modules: list[ProgramModule] = []
    count = random.randrange(1, 5)
    for number in range(count + 1):
        granted = [module.memory_of for module in modules if module.memory_of >= 0 and module.grants]
        actor = number == count
        memory = random.choice((number, number, number, -1, *granted[-1:]))
        if actor and memory < 0:
            memory = number
        module = ProgramModule(number, memory, random.random() < 0.7)
        module.globals = [(random.choice(KINDS), random.choice(_EDGES)) for _ in range(random.randrange(3))]
        modules.append(module)
        for place in range(1 if actor else random.randrange(1, 4)):
            _Writer(random, modules, module, place, actor).write()
        if not actor:
            module.entries = [_entry(random, modules, module, KINDS[place % 2]) for place in range(TABLE)]
    return Program(modules)


def _entry(random: Random, modules: list[ProgramModule], module: ProgramModule, kind: str) -> LibraryFunction | None:
    """Return a function of one kind for a table entry: rarely none, or of a wrong type."""
    known = [one for one in _within_reach(random, modules, module, every=True) if len(one.params) == 1]
    fitting = [one for one in known if one.params == (kind,) and one.result == kind]
    others = [one for one in fitting if one.module != module.number]
    if random.random() < 0.02:
        return random.choice([*known, None])
    return random.choice(others or fitting or [None])


def _within_reach(
    random: Random, modules: list[ProgramModule], module: ProgramModule, *, every: bool = False
) -> list[LibraryFunction]:
    """Return the functions that a new function may call: earlier ones of its own module, and those of libraries."""
    libraries = [one for one in modules if one is not module]
    if not every and len(libraries) > 2:
        libraries = random.sample(libraries, 2)
    return [function for one in (*libraries, module) for function in one.functions]


class _Writer:
    def __init__(
        self, random: Random, modules: list[ProgramModule], module: ProgramModule, place: int, actor: bool
    ) -> None:
        self._random = random
        self._module = module
        self._actor = actor
        params = ("i32",) if actor else tuple(random.choice(KINDS) for _ in range(random.randrange(_MAX_PARAMS + 1)))
        result = "i32" if actor else random.choice(KINDS)
        if not actor and random.random() < 0.4:
            params = (result,)
        self._function = LibraryFunction(module.number, place, params, result)
        self._locals = [*params, "i32", "i64"]
        self._counter = len(params) + 2
        self._callees = _within_reach(random, modules, module)
        self._calls = 6 if actor else 2
        self._indirect = 1
        self._recursive = not actor and params[:1] == ("i32",) and random.random() < 0.25
        self._looping = False

    def write(self) -> None:
        function, random = self._function, self._random
        if self._recursive:
            self._calls = 0
        statements = " ".join(self._statement(3) for _ in range(random.randrange(1, 6)))
        if self._actor:
            function.body = statements + self._ending()
        elif self._recursive:
            deepest = random.choice((7, 7, 15, 31, 31, 1023))
            rest = " ".join(self._value(kind, 1) for kind in function.params[1:])
            again = (
                f"(call {function.name} (i32.sub (i32.and (local.get 0) (i32.const {deepest})) (i32.const 1)) {rest})"
            )
            kind = function.result
            function.body = (
                f"{statements} (if (result {kind}) (i32.and (local.get 0) (i32.const {deepest})) "
                f"(then ({kind}.add {self._value(kind, 2)} {again})) (else {self._value(kind, 2)}))"
            )
        else:
            function.body = statements + self._value(function.result, 4)
        self._module.functions.append(function)

    def _ending(self) -> str:
        """Return the actor's last statements: exit, or store the result as its state and return it."""
        kept = " ".join(f"(i64.store offset=@B@ (i32.const {8 * place}) {self._value('i64', 4)})" for place in range(6))
        leave = ""
        if self._random.random() < 0.3:
            leave = (
                f"(if (i32.and {self._value('i32', 3)} (i32.const 3)) (then (drop (call $exit (i32.const 33) "
                f"(i32.const 0) (i32.add (i32.const @B@) (i32.const 0)) (i32.const 0)))))"
            )
        at = f"(i32.add (i32.const @B@) (i32.const {_PLACE}))"
        number = f"(i32.load offset=@B@ (i32.const {_PLACE}))"
        cid = f"(i32.add (i32.const @B@) (i32.const {_PLACE + 100}))"
        return f"""{kept} {leave}
            (drop (call $block_create {at} (i64.const 0x55) (i32.const @B@) (i32.const 512)))
            (drop (call $block_link (i32.add (i32.const @B@) (i32.const {_PLACE + 8})) {number} (i64.const 0xb220)
                (i32.const 32) {cid} (i32.const 100)))
            (drop (call $set_root {cid}))
            {number}"""

    def _value(self, kind: str, depth: int) -> str:
        random, below = self._random, depth - 1
        choice = random.randrange(12) if depth > 0 else random.randrange(3)
        match choice:
            case 0:
                return f"({kind}.const {random.choice((*_EDGES, random.randrange(2**31)))})"
            case 1:
                places = [place for place, local in enumerate(self._locals) if local == kind]
                return f"(local.get {random.choice(places)})"
            case 2:
                places = [place for place, (known, _) in enumerate(self._module.globals) if known == kind]
                if places:
                    return f"(global.get $m{self._module.number}_g{random.choice(places)})"
                return f"({kind}.const {random.randrange(256)})"
            case 3 | 4:
                operation = random.choice(_BINARY if random.random() < 0.995 else _TRAPPING)
                return f"({kind}.{operation} {self._value(kind, below)} {self._value(kind, below)})"
            case 5 if self._module.memory_of >= 0:
                return f"({kind}.load offset=@B@ {self._address(below)})"
            case 6 | 7 | 8 if not self._looping or random.random() < 0.2:
                return self._call(kind, below)
            case 9:
                either = [self._value(kind, below) for _ in range(2)]
                condition = self._value("i32", below)
                return f"(if (result {kind}) {condition} (then {either[0]}) (else {either[1]}))"
            case 10 if kind == "i32":
                return f"(i64.lt_u {self._value('i64', below)} {self._value('i64', below)})"
            case 10:
                return f"(i64.extend_i32_u {self._value('i32', below)})"
            case _:
                return f"({kind}.const {random.choice(_EDGES)})"

    def _address(self, depth: int) -> str:
        """Return an address within the page for a word of eight bytes."""
        return f"(i32.and {self._value('i32', depth)} (i32.const {self._random.choice((0xF8, 0xFF8, 0xFFF8))}))"

    def _call(self, kind: str, depth: int) -> str:
        random = self._random
        if not self._actor and self._indirect and random.random() < 0.15:
            self._indirect -= 1
            first = f"@T@) (i32.add (i32.const {KINDS.index(kind)})"
            place = f"(i32.add (i32.const {first} (i32.and {self._value('i32', 0)} (i32.const 2))))"
            return f"(call_indirect (type $t_{kind}) {self._value(kind, depth)} {place})"
        known = [one for one in self._callees if one.result == kind]
        if not known or not self._calls:
            return f"({kind}.const 5)"
        self._calls -= 1
        callee = random.choice(known)
        self._function.called.append(callee)
        arguments = " ".join(self._value(param, depth) for param in callee.params)
        if callee.module != self._module.number:
            arguments += f"@N{1 + len(callee.params)}@"
        return f"(call {callee.name} {arguments})"

    def _statement(self, depth: int) -> str:
        random, below = self._random, depth - 1
        kind = random.choice(KINDS)
        match random.randrange(9):
            case 0 | 1 if self._module.memory_of >= 0:
                return f"({kind}.store offset=@B@ {self._address(below)} {self._value(kind, below)})"
            case 2 if any(known == kind for known, _ in self._module.globals):
                place = next(place for place, (known, _) in enumerate(self._module.globals) if known == kind)
                return f"(global.set $m{self._module.number}_g{place} {self._value(kind, below)})"
            case 3 | 4:
                place = len(self._locals) - 2 + (kind == "i64")
                return f"(local.set {place} {self._value(kind, below)})"
            case 5 if depth > 1 and not self._looping:
                self._looping = True
                inside = " ".join(self._statement(below) for _ in range(2))
                self._looping = False
                times = random.randrange(1, 6)
                return (
                    f"(local.set {self._counter} (i32.const {times})) (loop {inside} (br_if 0 (local.tee "
                    f"{self._counter} (i32.sub (local.get {self._counter}) (i32.const 1)))))"
                )
            case 6 if self._module.memory_of >= 0:
                start = f"(i32.add (i32.const @B@) {self._address(0)})"
                return f"(memory.fill {start} {self._value('i32', 1)} (i32.const {random.randrange(8)}))"
            case 7 if random.random() < 0.02:
                return f"(if {self._value('i32', below)} (then unreachable))"
            case 8 if depth > 0:
                return f"(if {self._value('i32', below)} (then {self._statement(below)}))"
            case _:
                return f"(drop {self._value(kind, below)})"


GAS: Final = 300_000_000
STAGES: Final = ("is as the static form", "called a library", "answered")
_INSTRUCTION: Final = NETWORK_PRICES.instruction // 1000
"""Price of an instruction in gas."""
_BATCH: Final = 200
"""Number of programs per process, since machines cache compiled modules."""


class _Calls(Tracer):
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
    findings: list[str]
    crossed: bool = False
    exit_code: int = ExitCode.SYS_OUT_OF_GAS


def play(seed: int) -> Played:
    random = Random(seed)
    return compare(generated(random), random)


def compare(program: Program, random: Random) -> Played:
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


# --- many of them -----------------------------------------------------------------------------------------------------


@contextmanager
def _forgetting() -> Iterator[None]:
    forget()
    yield
    forget()


def _shown(seed: int) -> Shown:
    played = play(seed)
    return played.findings, (played.crossed, played.exit_code == ExitCode.OK)


PROGRAMS: Final = RandomPrograms(STAGES, _shown, batch=_BATCH, around=_forgetting)

if __name__ == "__main__":
    sys.exit(PROGRAMS.main(__doc__))

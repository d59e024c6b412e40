"""Code on the chain: installed and upgraded modules, and libraries of the lab `libraries`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from hypervisor.bounded_cache import BoundedCache
from hypervisor.errors import InvalidInput, InvalidModule
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.address import Address
from hypervisor.types import INIT_ACTOR, Gas
from hypervisor.versions.features import FEATURES, with_features
from runtimes.wasm import libraries as linking
from runtimes.wasm import linked
from runtimes.wasm.libraries import MAX_LIBRARY_BYTES, LinkableModule, LinkedUnit
from runtimes.wasm.linked import LinkedModules, LinkedProgram
from runtimes.wasm.module.opcodes import WasmPrices
from runtimes.wasmtime.cache import default_folder
from runtimes.wasmtime.encoding import name, section
from store.cid import RAW, Cid, cid_of, show
from store.codec import CodecError, decode, encode, link
from tests.fuzz import trees
from tests.fuzz.programs import BUFFER, GUEST, SELF, START, Operation, changed, guest, operation, read, write
from tests.fuzz.target import MACHINE, Target
from tests.fuzz.wasm_modules import generated
from tests.labs import libraries
from tests.runtimes.wasm.guests import call, install_actor, wasm
from tests.runtimes.wasm.guests import guest as plain_guest

INSTALL, CREATE, INVOKE = range(3)
METHODS = {INSTALL: 4, CREATE: 2}
"""Methods of the init actor."""
GAS = 20_000_000
MAX_MODULES, MAX_STEPS, LONGEST = 4, 5, 20_000
CODE = 3072
"""Offset of the CID of a step's module in the guest's memory."""
RUNS = 100
"""Number of inputs that a machine runs before it is replaced, since it caches compiled modules."""
FATAL = (
    "has no verifier for", "exited with a block that does not exist", "burning the balance", "cannot be run",
    "does not take one i32", "does not take two i32",
)  # fmt: skip
"""Fatal errors that an input can cause: those of `machine`, and code with unknown imports or a wrong entry point."""


@dataclass(frozen=True, slots=True)
class Input:
    """Modules, and steps: an action, its module, and the guest's program."""

    modules: list[bytes]
    steps: list[tuple[int, int, bytes]]

    def encode(self) -> bytes:
        return encode([self.modules, [list(step) for step in self.steps]])


def parse(data: bytes) -> Input | None:
    """Parse an input; return None if it is malformed."""
    try:
        match decode(data):
            case [list(modules), list(steps)]:
                found = Input(modules[:MAX_MODULES], [_step(step) for step in steps[:MAX_STEPS]])
            case _:
                return None
    except (CodecError, TypeError, ValueError):
        return None
    fits = all(isinstance(module, bytes) for module in found.modules)
    return found if found.modules and found.steps and fits else None


def _step(step: Any) -> tuple[int, int, bytes]:
    kind, module, program = step
    if type(kind) is not int or type(module) is not int or not isinstance(program, bytes):
        raise TypeError("a step is two numbers and a program")
    return kind % 3, module, program


def run_upgrade(data: bytes) -> bool:
    found = parse(data)
    if found is None:
        return False
    _counted[0] += 1
    if _counted[0] % RUNS == 0:
        _machine.cache_clear()
    raw, plain = (_receipts(found, boundary) for boundary in ("raw", "plain"))
    assert raw == plain, f"{raw} over the raw boundary, {plain} over the plain one"
    return True


_counted = [0]


def _receipts(found: Input, boundary: str) -> list[Any]:
    """Return the results of the steps; the machine's state is restored afterwards."""
    machine, start = _machine(boundary)
    written, receipts = len(machine.store.pending), []
    for kind, number, program in found.steps:
        before = machine.root
        result = _apply(machine, kind, found.modules[number % len(found.modules)], program)
        _check(result)
        assert result.exit_code == 0 or machine.root == before, f"exit {result.exit_code} has changed the state"
        receipts.append((result.receipt, machine.root))
    machine.restore(start)
    assert machine.root == start.root
    machine.store.forget_after(written)
    return receipts


def _apply(machine: Hypervisor, kind: int, module: bytes, program: bytes) -> ApplyResult:
    code = cid_of(module, RAW)
    if kind == INVOKE:
        padded = code.ljust(40, b"\0")
        words = (int.from_bytes(padded[at : at + 8], "little") for at in range(0, 40, 8))
        stored = [operation("store", CODE + 8 * at, word) for at, word in enumerate(words)]
        return call(machine, GUEST, write(stored) + program, GAS, 2)
    params = encode([module]) if kind == INSTALL else encode([link(code), program])
    return call(machine, Address.id(INIT_ACTOR), params, GAS, METHODS[kind])


def _check(result: ApplyResult) -> None:
    assert 0 <= result.exit_code < 2**32
    assert 0 <= result.gas_used <= GAS
    if result.exit_code == 10:
        assert result.gas_used == GAS
        assert any(words in result.message for words in FATAL), result.message


@cache
def _machine(boundary: str) -> tuple[Hypervisor, Snapshot]:
    machine = Hypervisor.open(overlay=with_features(FEATURES), options={"boundary": boundary})
    install_actor(machine, guest(featured=True), balance=10**18)
    return machine, machine.snapshot()


@cache
def _modules() -> list[bytes]:
    """Return modules that can, do not, or cannot take over an actor."""
    taking = '(func (export "upgrade") (param i32 i32) (result i32) {})'
    odd = '(func (export "upgrade") (param i32) (result i32) (i32.const 0))'
    answering = plain_guest("(i32.const 0)", fields=taking.format("(i32.const 0)"))
    return [
        answering,
        plain_guest("(i32.const 0)", fields=taking.format("unreachable")),
        plain_guest("(i32.const 0)", fields=taking.format("(i32.const 77)")),
        plain_guest("(i32.const 0)", fields=odd),
        plain_guest("(i32.const 0)"),
        answering[:-1],
        b"",
        b"\0asm",
        answering + section(0, name("long") + bytes(10_000)),
    ]


def _upgrade(at: int = CODE) -> list[Operation]:
    return [operation("actor.upgrade_actor", BUFFER, at, 0)]


def _inside(operations: list[Operation]) -> list[Operation]:
    """Return a program that calls its own actor, which executes the given program."""
    inner = write(operations)
    send = operation("send.send", BUFFER, SELF, 3, 2, 2, 0, 0, 2**64 - 1, 0)
    head = [operation("ipld.block_create", BUFFER, 0x55, 0, len(inner)), send, operation("return", 0)]
    # The program lies in memory with what stands before it: five words of the module's CID.
    at = START + len(write([operation("store", 0, 0)] * 5)) + len(write(head))
    head[0] = operation("ipld.block_create", BUFFER, 0x55, at, len(inner))
    return [*head, *operations]


def upgrade_seeds() -> Iterator[bytes]:
    own = [operation("actor.get_actor_code_cid", BUFFER, 1000, 4096, 100), *_upgrade(4096)]
    root = [
        operation("ipld.block_create", BUFFER, 0x71, 2048, 3),
        operation("ipld.block_link", BUFFER, 2, 0xB220, 32, BUFFER, 64),
        operation("self.set_root", BUFFER),
    ]
    programs = [
        _upgrade(), _inside(_upgrade()), own, [*root, *_upgrade()], [operation("actor.install_actor", CODE)],
        [operation("self.self_destruct", 1), *_upgrade()], [*_upgrade(), operation("trap")],
    ]  # fmt: skip
    modules = _modules()
    for module in modules:
        steps = [(INSTALL, 0, b""), (INVOKE, 0, write(_upgrade())), (INVOKE, 0, write(_upgrade())), (CREATE, 0, b"")]
        yield Input([module], steps).encode()
    refused = write([*_upgrade(), operation("trap")])
    yield Input([modules[1]], [(INSTALL, 0, b""), (INVOKE, 0, refused)]).encode()
    for program in programs:
        yield Input(
            [modules[0]], [(INVOKE, 0, write(program)), (INSTALL, 0, b""), (INVOKE, 0, write(program))]
        ).encode()


@cache
def _seeds() -> list[bytes]:
    return list(upgrade_seeds())


def mutate_upgrade(data: bytes, rng: Random) -> bytes:
    """Return other steps, programs and modules."""
    found = parse(data) or parse(rng.choice(_seeds()))
    assert found is not None
    modules, steps = list(found.modules), list(found.steps)
    at = rng.randrange(len(steps))
    kind, module, program = steps[at]
    match rng.randrange(6):
        case 0 | 1:
            steps[at] = kind, module, write(changed(read(program), rng))
        case 2:
            steps[at] = rng.randrange(3), rng.randrange(MAX_MODULES), program
        case 3:
            steps.insert(at, (rng.randrange(3), rng.randrange(MAX_MODULES), write(_upgrade())))
        case 4:
            known = rng.choice(_modules())
            modules.append(rng.choice((generated(rng), known, trees.scrambled(known, rng) if known else b"\0")))
        case _:
            modules[rng.randrange(len(modules))] = generated(rng)
    return Input(modules[-MAX_MODULES:], steps[:MAX_STEPS]).encode()


UPGRADE_TARGET = Target(
    run_upgrade,
    upgrade_seeds,
    mutate_upgrade,
    share=2,
    longest=LONGEST,
    memory=MACHINE,
)


LIBRARIES_GAS = 200_000_000
NAMES = [cid_of(bytes((number,)), RAW) for number in range(8)]
TURNS = 3
"""Number of actors over the same libraries."""
_BESIDE = 1 << 19
"""Allowance in bytes for data of programs besides their modules."""
_worked = Counter[str]()
"""Number of modules read and programs linked since the counter was cleared."""
_plain_read, _plain_link = linking.read_module, LinkedModules.link


def _counting_read(wasm: bytes) -> LinkableModule:
    _worked["read"] += 1
    return _plain_read(wasm)


def _counting_link(
    self: LinkedModules, units: Sequence[LinkedUnit], charges: Sequence[Gas], revision: str, prices: WasmPrices
) -> LinkedProgram:
    _worked["linked"] += 1
    return _plain_link(self, units, charges, revision, prices)


@cache
def _linking_machine() -> tuple[Hypervisor, Snapshot]:
    linked.linked_modules.cache_clear()
    vars(linked)["read_module"] = _counting_read
    LinkedModules.link = _counting_link  # type: ignore[assignment, method-assign]
    machine = Hypervisor.open(rules="lab:libraries")
    return machine, machine.snapshot()


def run_libraries(data: bytes) -> bool:
    modules = _linked_modules(data)
    if not modules:
        return False
    _counted[0] += 1
    if _counted[0] % RUNS == 0:
        _linking_machine.cache_clear()
    machine, start = _linking_machine()
    machine.restore(start)
    kept = linked.linked_modules(default_folder())
    kept._programs = linked._Programs(sum(map(len, modules)) + (TURNS - 1) * len(modules[-1]) + _BESIDE)
    kept._compiled = BoundedCache(8 << 20)
    codes: list[Cid] = []
    for module in modules[:-1]:
        try:
            codes.append(machine.install(_named(module, codes)))
        except (InvalidModule, InvalidInput):
            codes.append(NAMES[len(codes) % len(NAMES)])
    actor = _named(modules[-1], codes)
    try:
        machine.install(actor)
    except (InvalidModule, InvalidInput):
        return False
    turns = [actor, *(_padded(actor, 8 + turn) for turn in range(TURNS - 1))]
    ends = [_call(machine, one) for one in turns]
    _worked.clear()
    assert [_call(machine, one) for one in turns] == ends
    assert not _worked, f"calls of {len(turns)} actors that had run did {dict(_worked)} again"
    machine.restore(start)
    assert machine.root == start.root
    return True


def _call(machine: Hypervisor, actor: bytes) -> tuple[int, bytes, int]:
    """Return exit code, return value and gas of a call."""
    start = machine.snapshot()
    result = call(machine, install_actor(machine, actor), gas_limit=LIBRARIES_GAS)
    assert result.fatal is None, result.fatal
    assert 0 <= result.gas_used <= LIBRARIES_GAS
    machine.restore(start)
    return result.exit_code, result.return_data, result.gas_used


def _linked_modules(data: bytes) -> list[bytes]:
    """Return the modules of an input with their padding; none if it is not a list of these."""
    try:
        items = decode(data)
    except CodecError:
        return []
    found: list[bytes] = []
    for item in items if isinstance(items, list) else ():
        if type(item) is bytes:
            found.append(item)
        elif type(item) is int and found and 8 <= item <= MAX_LIBRARY_BYTES:
            found[-1] = _padded(found[-1], item)
        else:
            return []
    return found


def _padded(module: bytes, size: int) -> bytes:
    """Return a module with a custom section of about this size."""
    return module + section(0, name("rest") + bytes(size))


def _named(module: bytes, codes: Sequence[Cid]) -> bytes:
    """Return a module that imports by the CIDs of earlier modules."""
    for old, new in zip(NAMES, codes, strict=False):
        module = module.replace(show(old).encode(), show(new).encode())
    return module


def generated_library(rng: Random) -> bytes:
    """Return a new program: its libraries and its actor, which import by the names of `NAMES`."""
    made: list[bytes] = []

    def install(module: bytes) -> str:
        made.append(module)
        return show(NAMES[len(made) - 1])

    actor = libraries.generated(rng).linked(install)
    return encode([*made, actor])


def _library(other: int) -> bytes:
    text = f'(import "lib:{show(NAMES[other])}" "f0" (func (param i32) (result i32)))'
    return wasm(f'(module {text} (func (export "f1")) (export "f0" (func 0)))')


def libraries_seeds() -> Iterator[bytes]:
    for seed in range(6):
        yield generated_library(Random(seed))
    actor = wasm(
        f'(module (import "lib:{show(NAMES[0])}" "f0" (func (param i32) (result i32))) (memory (export "memory") 1)'
        '(func (export "invoke") (param i32) (result i32) (call 0 (local.get 0))))'
    )
    bottom = wasm('(module (func (export "f0") (param i32) (result i32) (i32.const 0)))')
    for chain in (1, 4, 5):
        above = wasm(
            f'(module (import "lib:{show(NAMES[chain - 1])}" "f0" (func (param i32) (result i32))) (memory (export '
            '"memory") 1) (func (export "invoke") (param i32) (result i32) (call 0 (local.get 0))))'
        )
        yield encode([bottom, *(_library(number) for number in range(chain - 1)), above])
        yield encode([bottom, 1 << 19, *(_library(number) for number in range(chain - 1)), 1 << 16, above])
    yield encode([_library(1), _library(0), actor])
    yield encode([actor])
    yield encode([actor, actor])


def mutate_libraries(data: bytes, rng: Random) -> bytes:
    """Return a new program, or one with a module changed or moved."""
    if rng.random() < 0.4:
        return generated_library(rng)
    try:
        found = [item for item in decode(data) if type(item) in (bytes, int)]
    except (CodecError, TypeError):
        found = []
    modules: list[Any] = [item for item in found if type(item) is bytes]
    if not modules:
        return generated_library(rng)
    at = rng.randrange(len(modules))
    match rng.randrange(5):
        case 0:
            modules[at] = rng.choice(modules)
        case 1:
            rng.shuffle(modules)
        case 2:
            old, new = show(rng.choice(NAMES)).encode(), show(rng.choice(NAMES)).encode()
            modules[at] = modules[at].replace(old, new)
        case 3:
            modules.insert(at + 1, rng.choice((8, 1 << 12, 1 << 16, 1 << 19, MAX_LIBRARY_BYTES)))
        case _:
            modules[at] = trees.scrambled(modules[at], rng)
    return encode(modules)


LIBRARIES_TARGET = Target(
    run_libraries,
    libraries_seeds,
    mutate_libraries,
    share=3,
    longest=16_384,
    memory=MACHINE,
)

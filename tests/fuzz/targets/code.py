"""Code on the chain: installed and upgraded modules."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.address import Address
from hypervisor.types import INIT_ACTOR
from hypervisor.versions.features import FEATURES, with_features
from runtimes.wasmtime.encoding import name, section
from store.cid import RAW, cid_of
from store.codec import CodecError, decode, encode, link
from tests.fuzz import trees
from tests.fuzz.programs import BUFFER, GUEST, SELF, START, Operation, changed, guest, operation, read, write
from tests.fuzz.target import MACHINE, Target
from tests.fuzz.wasm_modules import generated
from tests.runtimes.wasm.guests import call, install_actor
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
    features = with_features(name for name, feature in FEATURES.items() if feature.syscall)
    machine = Hypervisor.open(overlay=features, options={"boundary": boundary})
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

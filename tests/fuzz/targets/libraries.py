"""Actors with libraries of the lab `libraries`: refused when installed, or run to an end within their gas.

Libraries lie in the store under names that are not theirs, so that they may import each other in a circle, or be
changed without their users.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random

from hypervisor.errors import InvalidInput, InvalidModule
from hypervisor.machine import Hypervisor
from hypervisor.machine_state import Snapshot
from hypervisor.recent import Recent
from runtimes.wasm.linked_modules import linked_modules
from runtimes.wasmtime.cache import default_folder
from store.cid import RAW, cid_of, show
from store.codec import CodecError, decode, encode
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target
from tests.labs import library_programs
from tests.runtimes.wasm.guests import call, place, wasm

GAS = 20_000_000
RUNS = 100
"""How many actors a machine runs before a new one takes its place: it keeps what it has compiled."""
NAMES = [cid_of(bytes((place,)), RAW) for place in range(8)]


@cache
def _machine() -> tuple[Hypervisor, Snapshot]:
    linked_modules.cache_clear()
    machine = Hypervisor.open(rules="lab:libraries")
    return machine, machine.snapshot()


_counted = [0]


def run(data: bytes) -> bool:
    try:
        modules = decode(data)
    except CodecError:
        return False
    if not isinstance(modules, list) or not modules or not all(type(module) is bytes for module in modules):
        return False
    _counted[0] += 1
    if _counted[0] % RUNS == 0:
        _machine.cache_clear()
    machine, start = _machine()
    machine.restore(start)
    linked_modules(default_folder())._programs = Recent(1 << 20)
    *libraries, actor = modules
    for name, library in zip(NAMES, libraries, strict=False):
        machine.store.put(name, library)
    try:
        machine.install(actor)
    except (InvalidModule, InvalidInput):
        return False
    result = call(machine, place(machine, actor), gas_limit=GAS)
    assert result.fatal is None, result.fatal
    assert 0 <= result.gas_used <= GAS
    machine.restore(start)
    assert machine.root == start.root
    return True


def generated(rng: Random) -> bytes:
    """A new program: its libraries and its actor, which import by the names of `NAMES`."""
    made: list[bytes] = []

    def install(module: bytes) -> str:
        made.append(module)
        return show(NAMES[len(made) - 1])

    actor = library_programs.generated(rng).linked(install)
    return encode([*made, actor])


def _library(other: int) -> bytes:
    """A library that imports from another one what it exports."""
    text = f'(import "lib:{show(NAMES[other])}" "f0" (func (param i32) (result i32)))'
    return wasm(f'(module {text} (func (export "f1")) (export "f0" (func 0)))')


def seeds() -> Iterator[bytes]:
    for seed in range(6):
        yield generated(Random(seed))
    actor = wasm(
        f'(module (import "lib:{show(NAMES[0])}" "f0" (func (param i32) (result i32))) (memory (export "memory") 1)'
        '(func (export "invoke") (param i32) (result i32) (call 0 (local.get 0))))'
    )
    bottom = wasm('(module (func (export "f0") (param i32) (result i32) (i32.const 0)))')
    for circle in (1, 2, 5):
        yield encode([*(_library((place + 1) % circle) for place in range(circle)), actor])
    for chain in (1, 4, 5):
        yield encode([*(_library(place + 1) for place in range(chain - 1)), bottom, actor])
    yield encode([actor])
    yield encode([actor, actor])


def mutate(data: bytes, rng: Random) -> bytes:
    """A new program, or one with a module changed or in another's place."""
    if rng.random() < 0.4:
        return generated(rng)
    try:
        modules = [module for module in decode(data) if type(module) is bytes]
    except (CodecError, TypeError):
        modules = []
    if not modules:
        return generated(rng)
    at = rng.randrange(len(modules))
    match rng.randrange(4):
        case 0:
            modules[at] = rng.choice(modules)
        case 1:
            rng.shuffle(modules)
        case 2:
            old, new = show(rng.choice(NAMES)).encode(), show(rng.choice(NAMES)).encode()
            modules[at] = modules[at].replace(old, new)
        case _:
            modules[at] = trees.scrambled(modules[at], rng)
    return encode(modules)


TARGET = Target(run, seeds, mutate, share=3, longest=16_384, memory=MACHINE)

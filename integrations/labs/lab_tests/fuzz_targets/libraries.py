"""Libraries of the lab `libraries`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from random import Random
from typing import Any
from unittest.mock import patch

from hypervisor.errors import InvalidInput, InvalidModule
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.threads import BoundedCache
from hypervisor.types import Gas
from lab_tests import libraries
from runtimes.wasm import libraries as linking
from runtimes.wasm import linked
from runtimes.wasm.libraries import MAX_LIBRARY_BYTES, LinkableModule, LinkedUnit
from runtimes.wasm.linked import LinkedModules, LinkedProgram
from runtimes.wasm.module.opcodes import WasmPrices
from runtimes.wasmtime.cache import default_folder
from runtimes.wasmtime.encoding import name, section
from store.cid import RAW, Cid, cid_of, show
from store.codec import CodecError, decode, encode
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target
from tests.runtimes.wasm.guests import call, install_actor, wasm

RUNS = 100
"""Number of inputs that a machine runs before it is replaced, since it caches compiled modules."""
LIBRARIES_GAS = 200_000_000
NAMES = [cid_of(bytes((number,)), RAW) for number in range(8)]
_counted = [0]
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
    programs = linked._Programs(sum(map(len, modules)) + (TURNS - 1) * len(modules[-1]) + _BESIDE)
    kept = linked.linked_modules(default_folder())
    with patch.multiple(kept, _programs=programs, _compiled=BoundedCache(8 << 20, "wasm_modules")):
        return _run_modules(machine, start, modules)


def _run_modules(machine: Hypervisor, start: Snapshot, modules: Sequence[bytes]) -> bool:
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

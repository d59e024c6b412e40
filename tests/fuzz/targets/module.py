"""WASM modules: parsed, checked and instrumented; what wasmtime accepts stays acceptable, and runs to an end."""

from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from random import Random

from hypervisor import builtin_actors
from hypervisor.errors import InvalidModule
from hypervisor.machine.machine import Hypervisor
from runtimes.wasm.module.encode import instrument
from runtimes.wasm.module.parser import BinaryReader, parse_module
from runtimes.wasm.validate import validate_module
from runtimes.wasmtime.engine import guest_engine
from store.car.files import read_car
from tests.conftest import fvm_data
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target
from tests.fuzz.wasm_modules import generated
from tests.planting import replace_attribute
from tests.runtimes.wasm.guests import guest
from tests.runtimes.wasm.guests import install_and_call as run_on

LARGEST = 110_000
GAS = 20_000_000
RUNS = 100
"""Number of modules that a machine runs before it is replaced, since it caches compiled modules."""


def install_and_call(data: bytes) -> bool:
    engine = guest_engine()
    try:
        module = parse_module(data)
        facts = validate_module(module)
        engine.validate(data)
        instrumented = instrument(module)
    except InvalidModule:
        return False
    engine.validate(instrumented)
    if facts.has_entry and len(data) < 5000 and blake2b(data).digest()[0] % 8 == 0:
        _execute(data)
    return True


def _execute(data: bytes) -> None:
    _counted[0] += 1
    if _counted[0] % RUNS == 0:
        _machine.cache_clear()
    machine = _machine()
    start = machine.snapshot()
    result = run_on(machine, data, gas_limit=GAS)
    assert result.fatal is None, result.fatal
    assert 0 <= result.gas_used <= GAS
    machine.restore(start)
    assert machine.root == start.root


_counted = [0]


@cache
def _machine() -> Hypervisor:
    return Hypervisor.open()


@cache
def _real() -> list[bytes]:
    """Return modules of our bundle and, if available, of an official one."""
    files = [Path(builtin_actors.__file__).parent / "bundle.car"]
    folder = fvm_data()
    if folder is not None:
        files.append(folder / "bundles" / "v18-devnet.car")
    modules = []
    for path in files:
        with path.open("rb") as file:
            modules += [block for _, block in read_car(file) if block.startswith(b"\0asm") and len(block) < LARGEST]
    return modules


def seeds() -> Iterator[bytes]:
    yield guest("(i32.const 0)")
    yield guest("(loop (br 0)) unreachable", pages="17 100")
    yield guest("(call $exit (i32.const 16) (i32.const 0) (i32.const 0) (i32.const 0))", "vm.exit")
    yield guest("(call_indirect (result i32) (i32.const 0))", fields="(table 2 funcref) (elem (i32.const 0) 0)")
    yield from (generated(Random(seed)) for seed in range(12))
    yield from _real()


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a new module; one in five is a known one with a few bytes changed."""
    if rng.random() < 0.8:
        return generated(rng)
    return trees.scrambled(data, rng)


def _careless() -> None:
    """Plant: the parser reads a byte without checking the end of its section."""

    def byte(reader: BinaryReader) -> int:
        value = reader.data[reader.position]
        reader.position += 1
        return value

    replace_attribute(BinaryReader, "byte", byte)


TARGET = Target(
    install_and_call,
    seeds,
    mutate,
    share=10,
    longest=LARGEST,
    memory=MACHINE,
    plants={"a section's end is not seen": _careless},
)

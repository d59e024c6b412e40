"""Definition of a fuzz target, and the sources of its inputs.

A target NAME is `NAME_TARGET` in a module that `MODULES` or `LABS` lists. Its `run` passes an input to the code
under test and returns True if it was decoded. Documented errors are expected. Any other exception is a finding, and so
are a hang, a crash, and memory use above the worker's limit (`worker`).
"""

import gzip
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random

from store.codec import CodecError, decode, decode_strict, encode
from tests.fuzz import trees

DECODER, MACHINE = 1 << 30, 20 << 30
"""Memory limits of a process. A machine has 128 stacks of 64 MiB for the deepest calls, nearly all of it unused, and a
target may have two machines; the memory in use at the end is limited for every target (`worker`).
"""

CORPUS = Path(__file__).with_name("corpus")
MODULES = {
    "tests.fuzz.targets.store": ("car", "car_index", "cid", "codec", "dag_json"),
    "tests.fuzz.targets.trees": ("amt", "hamt", "kamt", "schema", "selector"),
    "tests.fuzz.targets.messages": ("absurd", "address", "certificate", "message", "vector"),
    "tests.fuzz.targets.machines": ("bytecode", "machine", "module"),
    "tests.fuzz.targets.code": ("upgrade",),
    "tests.fuzz.targets.bridge": ("abi", "params", "rlp"),
    "tests.fuzz.targets.ethereum": ("transaction", "transition"),
    "tests.fuzz.targets.node": ("explorer", "rpc"),
}
"""Names of the targets, by module."""
LABS = {f"lab_tests.fuzz_targets.{name}": (name,) for name in ("apply_and_call", "facade", "libraries", "rent")}
"""The same of the labs, which are a distribution of their own (integrations/labs)."""


@dataclass(frozen=True, slots=True)
class Target:
    """A fuzz target: one decoder, or the machine.

    `mutate` changes an input and keeps it decodable; for an input that cannot be decoded it starts from a seed. `share`
    is the weight of the target in a recorded run. No input is longer than `longest` bytes, and the process may write to
    `memory` bytes.
    """

    run: Callable[[bytes], bool]
    seeds: Callable[[], Iterable[bytes]]
    mutate: Callable[[bytes, Random], bytes]
    share: int
    longest: int = 4096
    memory: int = DECODER


def names() -> list[str]:
    return sorted(name for module in MODULES.values() for name in module)


def lab_names() -> list[str]:
    """Return the names of the labs' targets; empty if they are not installed."""
    return sorted(name for module in LABS.values() for name in module) if find_spec("lab_tests") else []


def load(name: str) -> Target:
    module = next(module for module, targets in (MODULES | LABS).items() if name in targets)
    target = getattr(import_module(module), f"{name.upper()}_TARGET")
    assert isinstance(target, Target)
    return target


def stored_inputs(name: str) -> list[bytes]:
    """Return the stored inputs of a target: they reached new branches, or were a finding."""
    file = CORPUS / f"{name}.gz"
    inputs: list[bytes] = decode(gzip.decompress(file.read_bytes())) if file.exists() else []
    return inputs


def store_inputs(name: str, inputs: Iterable[bytes]) -> None:
    """Replace the stored inputs of a target."""
    CORPUS.mkdir(exist_ok=True)
    data = encode(sorted(set(inputs), key=lambda item: (len(item), item)))
    (CORPUS / f"{name}.gz").write_bytes(gzip.compress(data, 9, mtime=0))


def cbor_mutation(seeds: Callable[[], Iterable[bytes]]) -> Callable[[bytes, Random], bytes]:
    """Return mutated DAG-CBOR that is still DAG-CBOR."""

    @cache
    def formed() -> list[bytes]:
        return [data for data in seeds() if _is_formed(data)]

    def mutate(data: bytes, rng: Random) -> bytes:
        value = decode(data if _is_formed(data) else rng.choice(formed()))
        try:
            return encode(trees.mutated(value, rng))
        except CodecError:  # too deep, or a number that CBOR does not have
            return data

    return mutate


def _is_formed(data: bytes) -> bool:
    try:
        decode_strict(data)
    except CodecError:
        return False
    return True

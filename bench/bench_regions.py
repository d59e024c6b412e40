"""Compilation of hot EVM code: time until a region can be used, memory, and overhead for cold code.

Rows use processor time, without a disk cache. Contracts are from Solidity (`scripts/corpus`); bytes appended to a
contract make each copy a different code.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import process_time
from typing import Final

from bench.bench_engines import ROUNDS, TimedMachine
from bench.rows import Row, seconds
from bench.workloads import RULES as FORK
from bench.workloads import WORK, accounts, artifacts
from hypervisor.errors import ActorExit, OutOfGas
from runtimes.evm.blocks.alloc import AllocAccount
from runtimes.evm.contracts.code import Code
from runtimes.evm.contracts.engine import Frame
from runtimes.evm.frames.fast_engine import FastTable
from runtimes.evm.frames.pool import TIERED, Tier
from runtimes.evm.regions.blocks import jumpdests_of
from runtimes.evm.regions.compiler import RegionCompiler
from runtimes.wasmtime.cache import ModuleCache
from runtimes.wasmtime.engine import own_engine
from tests.differential.grammar import SENDER
from tests.engines.frames import PricedHost
from tests.engines.scenes import Batch, Call
from tests.engines.side_by_side import INTERPRETED, InlineCompiler
from tests.harness.memory import resident
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.machines import CALLER, MYSELF, RULES

MEBIBYTE: Final = 1 << 20
LARGE: Final = "Council"
"""The largest contract of the corpus."""
COPIES: Final = 40
RESET_PEAK: Final = Path("/proc/self/clear_refs")
"""File of Linux: writing 5 resets the peak of this process's resident memory (proc(5))."""
HASHES: Final = 20_000
HASHING: Final = assemble(f"0 loop: 32 0 KECCAK256 0 MSTORE 1 ADD DUP1 {HASHES} GT @loop JUMPI STOP")
CALLS: Final = 300
GAS: Final = 30_000_000
_MEASURED: Final = 0.02
"""Minimum duration in seconds for the resolution of processor time."""
_RATE: Final = 136
"""Bytes per permutation for a long message (FIPS 202, table 3), in Keccak-256 and SHA3-256."""

AGAINST_COMPILERS: Final = {
    "jumpdests": b"\x5b" * 24_000 + b"\x5f\x56",
    "places from the stack": (b"\x5b" + assemble("1 CALLDATASIZE ADD POP")) * 3_000 + assemble("0 JUMP"),
    "blocks of one instruction": (b"\x5b\x58\x50") * 8_000 + assemble("0 JUMP"),
    "memory in each block": (b"\x5b" + assemble("MSIZE MLOAD POP")) * 20 + assemble("0 JUMP"),
    "memory everywhere": b"\x5b" + b"\x5f\x51\x50" * 300 + assemble("0 JUMP"),
    "looks like data": hashlib.shake_128(b"code").digest(20_000) + b"\x5b\x5f\x56",
}
"""Programs that run until their gas ends, or stop at once: expensive to compile, with little gain."""


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    work, code = accounts()[WORK].code, runtime_code(LARGE)
    taken = sorted(1_000 * request(work, jumpdest) for jumpdest in jumpdests_of(work))
    note = f"the longest of {len(taken)}, {median(taken):.1f} the median"
    yield Row("a hot region, from request to use", taken[-1], note)
    note = f"all regions of {LARGE}, {len(code):,} bytes, on the compiler's thread"
    yield Row("a whole contract", 1_000 * compile_seconds(code), note)
    yield from memory_rows()
    yield hashing()
    yield cold(code)
    yield against_compilers()


def runtime_code(name: str) -> bytes:
    """Return a contract's runtime code."""
    creation = artifacts().bytecode(name, {})
    return creation[creation.index(assemble("128 64 MSTORE"), 1) :]


def request(code: bytes, jumpdest: int) -> float:
    """Return seconds until the region of one jumpdest is compiled."""
    compiler = fresh_compiler()
    found = compiler.regions(code, RULES)
    start = process_time()
    compiler.request(found, code, RULES, jumpdest)
    return process_time() - start


def compile_seconds(code: bytes) -> float:
    """Return seconds until all regions of a code are compiled."""
    compiler = fresh_compiler()
    found = compiler.regions(code, RULES)
    start = process_time()
    for jumpdest in sorted(jumpdests_of(code)):
        compiler.request(found, code, RULES, jumpdest)
    return process_time() - start


def fresh_compiler() -> RegionCompiler:
    """Return a compiler that works on the calling thread and has no disk cache."""
    return InlineCompiler(own_engine(), ModuleCache(None))


def memory_rows() -> Iterator[Row]:
    """Yield the rows of memory, which only Linux reports in this detail."""
    held = peak = None
    note = "this system does not report a process's peak of memory"
    if RESET_PEAK.exists():
        held, peak = json.loads(subprocess.run(_MEMORY, capture_output=True, check=True).stdout)
        note = f"{LARGE}, of {COPIES} copies in one process"
    yield Row("memory of a compiled contract", held, note)
    yield Row("memory at the peak of compiling", peak, note)


def memory() -> tuple[float, float]:
    """Return MiB held by a compiled contract, and at the peak of compiling one. Needs a separate process."""
    code, compiler = runtime_code(LARGE), fresh_compiler()
    for jumpdest in jumpdests_of(code):  # the compiler's state after its first module does not count
        compiler.request(compiler.regions(code, RULES), code, RULES, jumpdest)
    start = before = resident()
    peak = 0
    for copy in range(COPIES):
        own = code + bytes((copy,))
        RESET_PEAK.write_text("5")
        for jumpdest in jumpdests_of(code):
            compiler.request(compiler.regions(own, RULES), own, RULES, jumpdest)
        after = resident()
        peak = max(peak, peak_resident() - max(before, after))
        before = after
    return (before - start) / COPIES / MEBIBYTE, peak / MEBIBYTE


def peak_resident() -> int:
    """Return the peak resident memory of this process in bytes since the last write to `RESET_PEAK`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1_024


_MEMORY: Final = [sys.executable, "-c", "from bench.bench_regions import memory; print([*memory()])"]


def hashing() -> Row:
    """Return a loop of hashes in a session, compared with as many permutations of OpenSSL's implementation."""
    message = bytes(_RATE * HASHES)
    permutations = seconds(lambda: hashlib.sha3_256(message).digest(), clock=process_time)
    accounts_of = {SENDER: AllocAccount(10**30), WORK: AllocAccount(0, 1, HASHING)}
    machine, call = TimedMachine("fast", Batch("hashes", FORK, False, accounts_of, ())), Call(WORK, b"", 0, GAS)
    machine.warm_up(call)
    ours = machine.time(call, ROUNDS)[0]
    note = f"{ours / HASHES * 1e9:.0f} ns a hash of 32 bytes, {permutations / HASHES * 1e9:.0f} a permutation"
    return Row("a keccak chain beside its permutations alone", ours / permutations, note)


def cold(code: bytes) -> Row:
    """Return copies of a contract, each called once."""

    def copies_called(tier: Tier, number: int) -> float:
        start = process_time()
        for copy in range(CALLS):
            run(tier, code + f"{number} {copy}".encode())
        return process_time() - start

    pairs = [(copies_called(TIERED, number), copies_called(INTERPRETED, number)) for number in range(8)]
    ours, other = (min(times) for times in zip(*pairs, strict=True))
    note = f"{ours / CALLS * 1e6:.0f} us, interpreted {other / CALLS * 1e6:.0f}"
    return Row("a cold contract called once", ours / other, note)


def against_compilers() -> Row:
    """Return a call of such code with tiers, after compilation, compared with the interpreter only."""
    parts = {}
    for name, code in AGAINST_COMPILERS.items():
        pairs = [(call_seconds(TIERED, code), call_seconds(INTERPRETED, code)) for _ in range(3)]
        ours, other = (min(times) for times in zip(*pairs, strict=True))
        parts[name] = ours / other
    return Row("bytecode adversarial to compilers", max(parts.values()), "the worst", parts)


def call_seconds(tier: Tier, code: bytes) -> float:
    """Return seconds of a call: the best of some calls, or of some hundred short ones together."""
    once = seconds(lambda: run(tier, code), rounds=2, clock=process_time)
    calls = max(1, int(_MEASURED / once))
    return seconds(lambda: run(tier, code), calls=calls, rounds=3, clock=process_time)


def run(tier: Tier, code: bytes) -> None:
    """Run one frame to its end."""
    host, engine = PricedHost(GAS), FastTable(RULES, tier).engine()
    with suppress(OutOfGas, ActorExit):
        engine.start(Frame(RULES, Code(code), b"", CALLER, MYSELF, 0, False), host)

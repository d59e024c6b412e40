"""Compiled regions of the fast engine.

- Compiled regions compared with the interpreter: same ends and gas for every gas limit, and what is not compiled.
- Tiers: code is compiled to a region after a number of executed jumpdests, on a thread, while the frame continues.
"""

from __future__ import annotations

import os
import threading
import time
from itertools import product
from typing import Final

import pytest

from hypervisor.errors import ActorExit, OutOfGas
from runtimes.evm.contracts.code import Code
from runtimes.evm.contracts.engine import Frame, FrameOutcome, Status
from runtimes.evm.engines import engine_factory
from runtimes.evm.frames.fast_engine import FastTable
from runtimes.evm.frames.instance import FastInstance
from runtimes.evm.frames.pool import TIERED, Pool, Tier, pool
from runtimes.evm.regions import compiler as compiler_module
from runtimes.evm.regions.blocks import MAX_REGION_SIZE, choose, jumpdests_of
from runtimes.evm.regions.compiler import InstanceRegions, region_compiler
from runtimes.evm.regions.emitter import RegionTooLarge, emit
from runtimes.wasmtime.cache import ModuleCache
from runtimes.wasmtime.engine import own_engine
from tests.engines.frames import PricedHost
from tests.engines.side_by_side import COMPILE, INTERPRET, INTERPRETED, InlineCompiler
from tests.patience import slowness
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import Chain
from tests.runtimes.evm.frames.test_fast_engine import free_machine
from tests.runtimes.evm.machines import CALLER, MYSELF, RULES

PRICES: Final = {number: row.gas for number, row in RULES.opcodes.items()}
SUM: Final = """
    0 0                              ; total i
    loop: DUP1 24 GT ISZERO @done JUMPI
    SWAP1 DUP2 DUP1 MUL 7 DUP2 MOD ADD ADD SWAP1
    1 ADD @loop JUMP
    done: POP 0 MSTORE 32 0 RETURN
"""
MEMORY: Final = """
    0
    loop: DUP1 5 GT ISZERO @done JUMPI
    DUP1 DUP1 64 MUL MSTORE DUP1 DUP1 33 MUL MSTORE8
    DUP1 32 MUL MLOAD DUP2 SSTORE
    1 ADD @loop JUMP
    done: MSIZE 0 MSTORE 200 0 RETURN
"""
CALLS: Final = """
    3 @back @double JUMP
    back: 0 MSTORE 32 0 RETURN
    double: SWAP1 DUP1 ADD 4 SDIV SWAP1 JUMP
"""
DIVISIONS: Final = """
    0 0                              ; total i
    loop: DUP1 7 GT ISZERO @done JUMPI
    DUP1 40 MUL 2 EXP 3 ADD          ; total i d
    DUP1 0 NOT DIV
    DUP2 0 NOT MOD ADD
    DUP2 1 255 SHL 9 ADD SDIV ADD
    DUP2 1 255 SHL 9 ADD SMOD ADD
    DUP2 0 NOT DUP4 ADDMOD ADD
    DUP2 0 NOT 0 NOT MULMOD ADD
    DUP2 0 NOT XOR 256 SWAP1 DIV ADD
    SWAP1 POP SWAP1 SWAP2 ADD SWAP1
    1 ADD @loop JUMP
    done: POP 0 MSTORE 32 0 RETURN
"""


def outcome(engine: str, code: bytes, gas: int, calldata: bytes = b"") -> tuple[str, bytes, int, dict[int, int]]:
    """Return how a frame ends: status, data, remaining gas, and its storage."""
    host, made = PricedHost(gas), engine_factory(engine, RULES)()
    frame = Frame(RULES, Code(code), calldata, CALLER, MYSELF, 0, False)
    try:
        step = made.start(frame, host)
    except (OutOfGas, ActorExit) as error:
        return type(error).__name__, b"", 0, host.storage
    assert isinstance(step, FrameOutcome)
    return step.status.name, step.data, host.gas.left, host.storage


@pytest.mark.parametrize("program", [SUM, MEMORY, CALLS, DIVISIONS], ids=["sum", "memory", "calls", "divisions"])
def test_compiled_program_ends_as_interpreted_at_any_gas_limit(program: str) -> None:
    code = assemble(program)
    name, output, left, _ = outcome(INTERPRET, code, 1_000_000)
    assert (name, len(output)) in [("SUCCESS", 32), ("SUCCESS", 200)]
    used = 1_000_000 - left
    assert outcome("py-evm", code, 1_000_000) == outcome(INTERPRET, code, 1_000_000)
    for gas in (*range(0, used, 7), *range(used - 30, used + 2)):
        assert outcome(COMPILE, code, gas) == outcome(INTERPRET, code, gas), gas
    assert outcome(COMPILE, code, used)[0] == "SUCCESS"
    assert outcome(COMPILE, code, used - 1)[0] != "SUCCESS"


def test_compiled_sum_matches_python() -> None:
    expected = 0
    for number in range(24):
        expected += number * number + number * number % 7
    assert int.from_bytes(outcome(COMPILE, assemble(SUM), 1_000_000)[1], "big") == expected


@pytest.mark.parametrize(
    ("destination", "why"),
    [
        ("3", "after a SLOAD, where a region may be entered but no jump lands"),
        ("6", "within a push"),
        ("27", "the other half of the region's table"),
        ("0x10000000000000004", "beyond 64 bits"),
        ("0x100000004", "beyond 32 bits"),
    ],
)
def test_a_jump_lands_only_where_the_code_lets_it(destination: str, why: str) -> None:
    """0 SLOAD is at 1 and 2, the jumpdest at 4; the destination is unknown when the region is compiled."""
    assert jump_to(COMPILE, destination) == jump_to(INTERPRET, destination), why
    assert jump_to(COMPILE, destination)[0] == "BAD_JUMPDEST", why
    assert jump_to(COMPILE, "4") == jump_to(INTERPRET, "4")
    assert jump_to(COMPILE, "4")[0] == "ChargeRefused", "it lands, and goes round until its gas is used"


def jump_to(engine: str, destination: str) -> tuple[str, bytes, int, dict[int, int]]:
    code = assemble("JUMPDEST 0 SLOAD POP") + b"\x5b" + assemble(f"5 POP {destination} CALLDATASIZE ADD JUMP JUMPDEST")
    assert (code[:5], code[6]) == (bytes.fromhex("5b5f54505b"), 5)
    return outcome(engine, code, 3_000)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 64])
def test_calldata_ends_where_it_ends(size: int) -> None:
    """Tests every position from a word before its start on; the guest's memory after it is not zero."""
    data = bytes(range(1, size + 1))
    for start in range(-34, size + 2):
        code = assemble(f"{start % (1 << 256)} CALLDATASIZE ADD CALLDATALOAD 0 MSTORE 32 0 RETURN")
        outcome(COMPILE, b"\x5b\x00", 1_000, b"\xff" * 400)
        at = (start + size) % (1 << 256)
        assert outcome(COMPILE, code, 1_000, data)[1] == data[at : at + 32].ljust(32, b"\x00"), start


@pytest.mark.slow
@pytest.mark.parametrize("opcode", ["SDIV", "SAR", "DIV", "MOD", "BYTE", "ADDMOD"])
def test_words_moved_across_interpreter_call_are_preserved(opcode: str) -> None:
    """The region has the words on the stack, moves them, and moves them back."""
    moves = ("SWAP1", "SWAP2", "SWAP1 SWAP2", "DUP2 SWAP2", "SWAP2 SWAP1", "DUP1 SWAP2 POP")
    for before, after in product(moves, (*moves, "")):
        code = assemble(
            f"{(1 << 256) - 10} 77 {(1 << 255) + 5} {1 << 130} JUMPDEST {before} 64 CALLDATALOAD {opcode} {after} "
            "JUMPDEST 0 MSTORE 32 MSTORE 64 0 RETURN"
        )
        data = bytes(95) + b"\x03"
        assert outcome(COMPILE, code, 1_000, data) == outcome(INTERPRET, code, 1_000, data), (before, after)


def test_computed_jump_into_sparse_code_ends_as_interpreted() -> None:
    """Blocks far apart have no common table; wrong positions near and far from them stay invalid."""
    gaps = (1, 2, 40, 700, 3, 64, 65, 5_000, 1, 900, 20)
    code = assemble("0 CALLDATALOAD JUMP")
    for number, gap in enumerate(gaps):
        code += bytes(gap) + b"\x5b" + assemble(f"{number + 1} 0 MSTORE 32 0 RETURN")
    jumpdests = jumpdests_of(code)
    listed = b"\x5b" + b"".join(b"\x61" + jumpdest.to_bytes(2, "big") + b"\x50" for jumpdest in sorted(jumpdests))
    moved = len(listed)
    listed = b"\x5b" + b"".join(b"\x61" + (at + moved).to_bytes(2, "big") + b"\x50" for at in sorted(jumpdests))
    code = listed + code
    assert len(choose(code, [0], PRICES).blocks) == len(gaps) + 1
    positions = {at + moved + off for at in jumpdests for off in (-1, 0, 1)} | {0, 1, len(code), len(code) * 2, 1 << 40}
    for position in sorted(positions):
        data = position.to_bytes(32, "big")
        compiled = outcome(COMPILE, code, 10_000, data)
        assert compiled == outcome(INTERPRET, code, 10_000, data), position
    assert outcome(COMPILE, code, 10_000, (min(jumpdests) + moved).to_bytes(32, "big"))[1] == bytes(31) + b"\x01"


@pytest.mark.slow
def test_dispatch_of_distant_blocks_takes_few_bytes() -> None:
    far = 1 << 20
    code = b"\x5b" + assemble(f"{far} JUMP")
    code += bytes(far - len(code)) + b"\x5b"
    region = choose(code, [0], PRICES)
    assert [block.start for block in region.blocks] == [0, far]
    assert len(emit(region, len(code))) < 1 << 10


@pytest.mark.slow
def test_code_made_against_compilers_stays_interpreted() -> None:
    code = (b"\x5b" + b"\x33" * 16 + b"\x36\x60\x00\x57" * 20 + b"\x50" * 16) * 100
    with pytest.raises(RegionTooLarge):
        emit(choose(code, [0], PRICES, 1 << 20), len(code))
    assert outcome(COMPILE, code, 20_000) == outcome(INTERPRET, code, 20_000)


AGAINST_ESTIMATES: Final = {
    "swaps": (b"\x5b" + b"\x9f\x90\x9e\x91\x9d\x92\x9c\x93") * 3_000,
    "pushes": (b"\x5b" + (b"\x7f" + b"\x99" * 32) * 40) * 50,
    "conditional jumps on a deep stack": (b"\x5b" + b"\x33" * 14 + (b"\x9d\x36\x60\x00\x57") * 40) * 100,
    "memory": b"\x5b" + b"\x5f\x51" * 4_000,
    "jumpdests": b"\x5b" * 24_576,
    "products": (b"\x5b" + b"\x80\x02" * 400) * 30,
    "computed jumps": (b"\x5b\x35\x56") * 8_000,
}
"""Code for which the estimate of a region's size is too low, or whose blocks are large or many."""


@pytest.mark.parametrize("code", AGAINST_ESTIMATES.values(), ids=AGAINST_ESTIMATES)
def test_a_region_is_bounded(code: bytes) -> None:
    region = choose(code, [0], PRICES)
    assert sum(block.size for block in region.blocks) <= MAX_REGION_SIZE
    compiler = InlineCompiler(own_engine(), ModuleCache(None))
    found = compiler.regions(code, RULES)
    compiler.request(found, code, RULES, 0)
    assert 0 < found.size <= 1.5 * MAX_REGION_SIZE


def test_region_contains_blocks_reachable_from_root() -> None:
    code = assemble("0 @a JUMP other: STOP a: 1 ADD @b JUMPI 0 SLOAD b: @a JUMP")
    region = choose(code, [code.index(b"\x5b\x60\x01")], PRICES)
    starts = [block.start for block in region.blocks]
    assert code.index(b"\x00\x5b") - 1 not in starts, "what no push of the region names is left out"
    assert [code[start] for start in starts] == [0x5B, 0x5B]
    assert region.entries == starts


_HOT = Tier(threshold=500)
_LOOP = "0 loop: 1 ADD DUP1 {} GT @loop JUMPI 0 MSTORE 32 0 RETURN"


def run(tier: Tier, code: bytes, gas: int = 10**9) -> int:
    """Run code that returns a word; return the word."""
    host, engine = PricedHost(gas), FastTable(RULES, tier).engine()
    step = engine.start(Frame(RULES, Code(code), b"", CALLER, MYSELF, 0, False), host)
    assert isinstance(step, FrameOutcome)
    assert step.status is Status.SUCCESS
    return int.from_bytes(step.data, "big")


def put_in(tier: Tier) -> int:
    """Return the number of regions installed in the instances of a tier."""
    return sum(region_count(instance) for instance in pool(tier)._instances)


def region_count(instance: FastInstance) -> int:
    return len(instance.regions.table.compiled) if isinstance(instance.regions, InstanceRegions) else 0


def test_hot_code_is_compiled_in_background_and_installed() -> None:
    code, before = assemble(_LOOP.format(30_000)), put_in(_HOT)
    end = time.monotonic() + 30 * slowness()
    while put_in(_HOT) == before:
        assert time.monotonic() < end, "a loop was not compiled"
        assert run(_HOT, code) == 30_000
    assert run(_HOT, code) == 30_000


def test_a_frame_changes_over_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a loop's head, where the frame asks for its next slice of gas."""
    update, seen, before = FastInstance.update_regions, list[tuple[bool, int]](), 0

    def watched(instance: FastInstance) -> None:
        update(instance)
        count = region_count(instance) - before if instance.regions is not None else 0
        seen.append((instance.host is not None, count))

    monkeypatch.setattr(FastInstance, "update_regions", watched)
    end, number = time.monotonic() + 30 * slowness(), 0
    with free_machine() as machine:
        chain = Chain(machine)
        while not any(is_running and count for is_running, count in seen):
            assert time.monotonic() < end, "no frame changed over"
            seen.clear()
            number += 1
            contract = chain.deploy(assemble(f"{number} POP " + _LOOP.format(400_000)))
            before = put_in(TIERED)
            assert int.from_bytes(chain.call(contract), "big") == 400_000


def test_cold_code_stays_interpreted() -> None:
    own = Tier(
        threshold=TIERED.threshold, max_size=199
    )  # code of other tests may still become a region of the usual tier's
    assert run(own, assemble(_LOOP.format(100))) == 100
    assert put_in(own) == 0
    code = assemble("1 POP " + _LOOP.format(60_000))
    assert run(INTERPRETED, code) == 60_000
    assert put_in(INTERPRETED) == 0


@pytest.mark.slow
def test_an_instance_that_has_reported_many_codes_is_given_up() -> None:
    tier = Tier(threshold=1, synchronous=True, max_size=301)
    seen = set[int]()
    for number in range(300):
        assert run(tier, assemble(f"{number + 256} POP " + _LOOP.format(3))) == 3
        seen |= {id(instance) for instance in pool(tier)._instances}
        assert not any(instance.regions and instance.regions.is_full for instance in pool(tier)._instances)
    assert len(pool(tier)._instances) <= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forks beside threads
def test_a_fork_while_code_is_compiled_finds_the_compiler_unlocked() -> None:
    compiler, held = region_compiler(), threading.Event()

    def hold() -> None:
        with compiler._lock:
            held.set()
            time.sleep(0.1)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    process = os.fork()
    if not process:
        os._exit(int(not compiler._lock.acquire(timeout=5)))
    assert os.waitpid(process, 0)[1] == 0
    thread.join()


def test_each_tier_has_a_pool_of_its_own() -> None:
    assert pool(TIERED) is pool(TIERED)
    assert isinstance(pool(INTERPRETED), Pool)
    assert pool(TIERED) is not pool(INTERPRETED)


def test_hot_jumpdest_at_edge_of_installed_region_gets_its_own_region() -> None:
    body = "7 MUL " * 60
    code = assemble(f"0 first: {body} @second JUMP second: {body} @third JUMP third: {body} @second JUMP")
    first, second, third = sorted(jumpdests_of(code))
    compiler = InlineCompiler(own_engine(), ModuleCache(None), limit=6_200)
    found = compiler.regions(code, RULES)
    for root, is_installed in ((first, False), (second, False), (second, True), (second, True)):
        compiler.request(found, code, RULES, root, is_installed)
    assert [set(region.entries) for region in found.compiled] == [{first, second}, {second, third}]


@pytest.mark.slow
def test_the_regions_of_a_code_come_to_a_bounded_size() -> None:
    """Every jumpdest requests a region, most of whose blocks belong to others too."""
    loops = b"".join(b"\x5b" + assemble("7 MUL " * 600 + f"0 {number} MSTORE") for number in range(60))
    compiler = InlineCompiler(own_engine(), ModuleCache(None))
    found = compiler.regions(loops, RULES)
    for jumpdest in sorted(jumpdests_of(loops)):
        compiler.request(found, loops, RULES, jumpdest)
    assert 1 < len(found.compiled) < 60
    assert found.size <= 200 << 10
    assert sum(len(region.module.serialize()) for region in found.compiled) < 2 << 20


def test_all_codes_together_come_to_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known code grows, too: the least recently used code loses its regions."""
    codes = [assemble(f"{number + 256} POP " + _LOOP.format(3)) for number in range(6)]
    compiler = InlineCompiler(own_engine(), ModuleCache(None))
    known = [compiler.regions(code, RULES) for code in codes]
    for code, found in zip(codes, known, strict=True):
        compiler.request(found, code, RULES, min(jumpdests_of(code)))
        monkeypatch.setattr(compiler_module, "_MAX_CACHED_BYTES", 3 * known[0].size)
    assert [compiler.regions(code, RULES) is found for code, found in zip(codes, known, strict=True)] == [
        False, False, False, True, True, True,
    ]  # fmt: skip

"""Tiers: code is compiled to a region after a number of executed jumpdests, on a thread, while the frame continues."""

import time

import pytest

from runtimes.evm.code import analyse
from runtimes.evm.engine import Frame, FrameOutcome, Status
from runtimes.evm.fast.engine import FastTable
from runtimes.evm.fast.instance import FastInstance
from runtimes.evm.fast.pool import INTERPRETED, TIERED, Pool, Tier, pool
from runtimes.evm.fast.regions import compiler as compiler_module
from runtimes.evm.fast.regions.blocks import jumpdests_of
from runtimes.evm.fast.regions.compiler import RegionCompiler
from runtimes.evm.fast.regions.installed import InstanceRegions
from runtimes.wasmtime.cache import ModuleCache
from runtimes.wasmtime.engine import own_engine
from tests.engines.frames import PricedHost
from tests.patience import slowness
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import Chain
from tests.runtimes.evm.fake_host import CALLER, MYSELF
from tests.runtimes.evm.test_fast_engine import open_under
from tests.runtimes.evm.test_regions import RULES

_HOT = Tier(threshold=500)
_LOOP = "0 loop: 1 ADD DUP1 {} GT @loop JUMPI 0 MSTORE 32 0 RETURN"


def run(tier: Tier, code: bytes, gas: int = 10**9) -> int:
    """Run code that returns a word; return the word."""
    host, engine = PricedHost(gas), FastTable(RULES, tier).engine()
    step = engine.start(Frame(RULES, analyse(code), b"", CALLER, MYSELF, 0, False), host)
    assert isinstance(step, FrameOutcome)
    assert step.status is Status.SUCCESS
    return int.from_bytes(step.data, "big")


def put_in(tier: Tier) -> int:
    """Return the number of regions installed in the instances of a tier."""
    return sum(region_count(instance) for instance in pool(tier)._instances)


def region_count(instance: FastInstance) -> int:
    """Return the number of regions installed in an instance."""
    return len(instance.regions.compiled) if isinstance(instance.regions, InstanceRegions) else 0


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
    with open_under("ethereum") as machine:
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


def test_each_tier_has_a_pool_of_its_own() -> None:
    assert pool(TIERED) is pool(TIERED)
    assert isinstance(pool(INTERPRETED), Pool)
    assert pool(TIERED) is not pool(INTERPRETED)


@pytest.mark.slow
def test_the_regions_of_a_code_come_to_a_bounded_size() -> None:
    """Every jumpdest requests a region, most of whose blocks belong to others too."""
    loops = b"".join(b"\x5b" + assemble("7 MUL " * 600 + f"0 {number} MSTORE") for number in range(60))
    compiler = RegionCompiler(own_engine(), ModuleCache(None), synchronous=True)
    found = compiler.regions(loops, RULES)
    for jumpdest in sorted(jumpdests_of(loops)):
        compiler.request(found, loops, RULES, jumpdest)
    assert 1 < len(found.compiled) < 60
    assert found.size <= 200 << 10
    assert sum(len(region.module.serialize()) for region in found.compiled) < 2 << 20


def test_all_codes_together_come_to_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known code grows, too: the least recently used code loses its regions."""
    codes = [assemble(f"{number + 256} POP " + _LOOP.format(3)) for number in range(6)]
    compiler = RegionCompiler(own_engine(), ModuleCache(None), synchronous=True)
    known = [compiler.regions(code, RULES) for code in codes]
    for code, found in zip(codes, known, strict=True):
        compiler.request(found, code, RULES, min(jumpdests_of(code)))
        monkeypatch.setattr(compiler_module, "_MAX_CACHED_BYTES", 3 * known[0].size)
    assert [compiler.regions(code, RULES) is found for code, found in zip(codes, known, strict=True)] == [
        False, False, False, True, True, True,
    ]  # fmt: skip

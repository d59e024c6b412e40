"""Short fuzzing tests: stored, changed and random inputs without atheris, and a short run with it."""

import subprocess
import sys
from importlib.util import find_spec
from random import Random

import pytest

from tests.conftest import samples
from tests.fuzz import trees
from tests.fuzz.__main__ import Coverage, read_coverage
from tests.fuzz.target import DECODER, load, names, stored_inputs
from tests.harness.paths import PROJECT

LARGEST = 4000
"""Maximum length of the seeds that all targets run; `test_changed_real_actors_yield_no_finding` has longer ones."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "machine")) for name in names()]
)
def test_known_inputs_yield_no_finding(name: str) -> None:
    check_known_inputs(name)


def check_known_inputs(name: str) -> None:
    """Run the seeds and the stored inputs of a target; one in ten must be decoded."""
    target = load(name)
    inputs = [data for data in (*target.seeds(), *stored_inputs(name)) if len(data) <= LARGEST]
    passed = sum(target.run(data) for data in inputs)
    assert passed >= len(inputs) / 10


@pytest.mark.parametrize("name", [name for name in names() if load(name).memory == DECODER])
def test_changed_and_random_inputs_yield_no_finding(name: str) -> None:
    target, rng = load(name), Random(1)
    seeds = [data for data in target.seeds() if len(data) <= LARGEST]
    for _ in range(samples(400)):
        data = rng.choice(seeds)
        target.run(rng.randbytes(rng.randrange(120)))
        target.run(trees.scrambled(data, rng))
        target.run(target.mutate(data, rng))


@pytest.mark.slow
def test_changed_real_actors_yield_no_finding() -> None:
    target, rng = load("module"), Random(1)
    actors = [data for data in target.seeds() if len(data) > LARGEST]
    accepted = 0
    for _ in range(samples(400)):
        data = rng.choice(actors)
        target.run(trees.scrambled(data, rng))
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 5)):
            changed[rng.randrange(8, len(data))] = rng.randrange(256)
        accepted += target.run(bytes(changed))
    assert accepted


@pytest.mark.parametrize("name", names())
def test_target_seeds_are_within_input_length_limit(name: str) -> None:
    """libFuzzer truncates longer inputs: when vectors exceeded the limit, no input was decodable."""
    target = load(name)
    assert max(map(len, target.seeds())) <= target.longest


def test_coverage_is_parsed_from_libfuzzer_output() -> None:
    """The lines are from a run of libFuzzer."""
    log = (
        "INFO: seed corpus: files: 38 min: 1b max: 64b total: 639b rss: 49Mb\n"
        "#39\tINITED cov: 72 ft: 172 corp: 33/521b exec/s: 0 rss: 49Mb\n"
        "#1731\tNEW    cov: 73 ft: 174 corp: 34/553b lim: 160 exec/s: 0 rss: 49Mb L: 34/64 MS: 4 Custom-\n"
        "#16384\tpulse  cov: 73 ft: 177 corp: 35/545b lim: 160 exec/s: 2048 rss: 49Mb\n"
    )
    assert read_coverage(log) == Coverage(73, 177, 1731, ("16384 73 177",))
    assert read_coverage("killed") == Coverage()


def test_a_target_is_saturated_after_ten_times_the_inputs_to_its_last_new_edge() -> None:
    assert not Coverage(73, 177, 20_000).is_saturated(199_999)
    assert Coverage(73, 177, 20_000).is_saturated(200_000)
    assert not Coverage(73, 177, 5).is_saturated(99_999)


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris has wheels for Linux on x86-64 only, up to Python 3.13"
)
def test_a_short_run_has_no_finding() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--count", "500", "--targets", "codec"]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr

"""The curve of precompiles 6, 7 and 8, compared with py-evm on py_ecc, and with EIP-196 and EIP-197."""

import itertools
import threading
from typing import Any

import pytest
from eth import precompiles
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from py_ecc import optimized_bn128

from hypervisor.builtin_actors.build import BN254
from runtimes.evm.precompiles import bn254
from runtimes.evm.precompiles.failure import PrecompileFailure
from runtimes.wasm.module.parser import parse_module
from tests.conftest import samples
from tests.runtimes.evm.test_precompiles import by_py_evm, ours

stock: Any = precompiles
curve: Any = optimized_bn128
P: int = curve.field_modulus
ORDER: int = curve.curve_order
INFINITY, INFINITY_2 = bytes(64), bytes(128)
PAIRING: Any = stock.ecpairing(gas_cost_base=45_000, gas_cost_per_point=34_000)
ONE, NOT_ONE = (1).to_bytes(32, "big"), bytes(32)


def words(*numbers: int) -> bytes:
    return b"".join(int(number).to_bytes(32, "big") for number in numbers)


def g1(scalar: int) -> bytes:
    """Return the generator times a scalar, by py_ecc."""
    if scalar % ORDER == 0:
        return INFINITY
    return words(*curve.normalize(curve.multiply(curve.G1, scalar % ORDER)))


def g2(scalar: int) -> bytes:
    """Return the second generator times a scalar, by py_ecc; the imaginary part comes first."""
    if scalar % ORDER == 0:
        return INFINITY_2
    x, y = curve.normalize(curve.multiply(curve.G2, scalar % ORDER))
    return words(x.coeffs[1], x.coeffs[0], y.coeffs[1], y.coeffs[0])


def outside_the_group() -> bytes:
    """Return a point of the second curve outside the subgroup: the first x = (n, 1) with a root.

    The root of a + bi in the quadratic field by the complex method: the norm's root leads to the real part.
    """
    for n in range(1, 100):
        square = curve.FQ2([n, 1]) ** 3 + curve.b2
        a, b = (int(part) for part in square.coeffs)
        norm = pow(a * a + b * b, (P + 1) // 4, P)
        for root in (norm, -norm):
            half = (a + root) * pow(2, -1, P) % P
            real = pow(half, (P + 1) // 4, P)
            if real == 0 or real * real % P != half:
                continue
            y = curve.FQ2([real, b * pow(2 * real, -1, P) % P])
            if y * y == square:
                return words(1, n, y.coeffs[1], y.coeffs[0])
    raise AssertionError("no such point")


numbers = st.one_of(st.integers(0, 2**256 - 1), st.sampled_from([0, 1, 2, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1]))


@settings(max_examples=samples(40), deadline=None)
@given(numbers, numbers, st.binary(max_size=40))
def test_sums_and_products_are_py_evms(left: int, right: int, junk: bytes) -> None:
    first = g1(left)
    product = words(1, 2, right)
    assert ours("bn254_mul", product) == by_py_evm(stock.ecmul(gas_cost=6000), product) == g1(right)
    total = first + g1(right) + junk
    assert ours("bn254_add", total) == by_py_evm(stock.ecadd(gas_cost=150), total) == g1(left + right)
    short = total[: 64 + len(junk)]
    assert ours("bn254_add", short) == by_py_evm(stock.ecadd(gas_cost=150), short)


@settings(max_examples=samples(60), deadline=None)
@given(st.lists(st.one_of(numbers, st.sampled_from([P - 1, P, P + 1])), max_size=5), st.binary(max_size=31))
@example([1, 2, P + 1, 2], b"")
@example([0, P], b"")
def test_points_that_are_none_fail_as_in_py_evm(coordinates: list[int], rest: bytes) -> None:
    data = words(*coordinates) + rest
    assert ours("bn254_add", data) == by_py_evm(stock.ecadd(gas_cost=150), data)
    assert ours("bn254_mul", data) == by_py_evm(stock.ecmul(gas_cost=6000), data)


@pytest.mark.slow
@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate])  # py_ecc is slow to shrink
@given(st.lists(st.tuples(numbers, numbers), max_size=2), st.integers(0, 1))
def test_pairings_are_one_exactly_where_their_exponents_cancel(pairs: list[tuple[int, int]], off: int) -> None:
    """e(aG, bH) is e(G, H) to the power ab, so that the exponents' sum decides."""
    rest = -sum(a * b for a, b in pairs) + off
    data = b"".join(g1(a) + g2(b) for a, b in [*pairs, (rest, 1)])
    assert ours("bn254_pairing", data) == (NOT_ONE if off else ONE)
    assert by_py_evm(PAIRING, data) == (NOT_ONE if off else ONE)


def test_empty_pairing_returns_one() -> None:
    assert ours("bn254_pairing", b"") == ONE


@pytest.mark.parametrize("count", [31, 32, 33, 70])
def test_many_pairs_are_worked_through_in_batches(count: int) -> None:
    pairs = [g1(index + 1) + g2(1) for index in range(count)]
    last = g1(-count * (count + 1) // 2) + g2(1)
    assert ours("bn254_pairing", b"".join([*pairs, last])) == ONE
    assert ours("bn254_pairing", b"".join([*pairs[1:], last])) == NOT_ONE


@pytest.mark.parametrize(
    ("point", "twist"),
    [
        (g1(1), INFINITY_2),
        (INFINITY, g2(1)),
        (INFINITY, INFINITY_2),
    ],
    ids=["of a point and infinity", "of infinity and a point", "of infinities"],
)
def test_a_pairing_with_infinity_is_one(point: bytes, twist: bytes) -> None:
    assert ours("bn254_pairing", point + twist) == ONE


@pytest.mark.parametrize(
    ("point", "twist", "reason"),
    [
        (words(1, 3), g2(1), "not on the curve"),
        (words(0, P), g2(1), "above the field"),
        (words(P + 1, 2), g2(1), "above the field"),
        (INFINITY, words(0, P, 0, 0), "above the field"),
        (INFINITY, words(0, 0, 0, 1), "not on the curve"),
        (g1(1), g2(1)[:96] + words(P), "above the field"),
        (g1(1), g2(1)[64:] + g2(1)[:64], "not on the curve"),
        (g1(1), outside_the_group(), "not in the group"),
        (INFINITY, outside_the_group(), "not in the group"),
    ],
    ids=itertools.count(),
)
@pytest.mark.parametrize("before", [b"", g1(1) + g2(1)], ids=["first", "second"])
def test_a_pair_that_is_none_fails_wherever_it_stands(before: bytes, point: bytes, twist: bytes, reason: str) -> None:
    with pytest.raises(PrecompileFailure, match=reason):
        bn254.pairing(before + point + twist)
    assert by_py_evm(PAIRING, before + point + twist) is None


@pytest.mark.parametrize("length", [1, 191, 193, 192 * 3 - 1])
def test_a_pairing_takes_whole_pairs(length: int) -> None:
    with pytest.raises(PrecompileFailure, match="expected a multiple of 192"):
        bn254.pairing(bytes(length))


def test_bn254_call_is_independent_of_previous_calls() -> None:
    pair = g1(1) + g2(1)
    opposite = g1(-1) + g2(1)
    for before in (pair * 30, pair + words(1, 3) + g2(1), pair + opposite):  # of its own instance, refused, good
        ours("bn254_pairing", before)
        assert ours("bn254_add", words(1, 2)) == words(1, 2)
        assert ours("bn254_pairing", opposite) == NOT_ONE
        assert ours("bn254_pairing", pair + opposite) == ONE


def test_several_threads_have_the_same_answers() -> None:
    results: list[bytes] = []
    wanted = [g1(1_000_003 * index) for index in range(1, 5)]

    def work(index: int) -> None:
        results.extend(bn254.multiply(words(1, 2, 1_000_003 * index)) for _ in range(20))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(wanted * 20)


def test_module_has_no_host_imports() -> None:
    module = parse_module((BN254 / "bn254.wasm").read_bytes())
    assert module.start is None
    assert not module.imports

"""Ethereum's precompiles.

- Ethereum's precompiles, compared with py-evm, eth-keys, py_ecc and Python; `test_bn254` covers that curve.
- The curve of precompiles 6, 7 and 8, compared with py-evm on py_ecc, and with EIP-196 and EIP-197.
- The precompiles within the fast engine's guest that are more than hashes: MODEXP and the curve alt_bn128.

Expected: Python's own power, py-evm's precompiles on py_ecc, and the plain engine's gas.
"""

import hashlib
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from Crypto.Hash import RIPEMD160
from eth import precompiles
from eth.exceptions import VMError
from eth.vm.forks.byzantium.computation import ByzantiumComputation
from eth.vm.message import Message
from eth_keys.datatypes import PrivateKey
from eth_typing import Address
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from py_ecc import optimized_bn128

from bridge.ethereum.block import EthereumBlock
from hypervisor.machine.machine import Hypervisor
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc, read_alloc
from runtimes.evm.contracts.precompiles import curves
from runtimes.evm.contracts.precompiles.ethereum import ETHEREUM
from runtimes.evm.contracts.precompiles.failure import PrecompileFailure
from runtimes.evm.contracts.precompiles.prices import PRICES
from runtimes.wasm.module.parser import parse_module
from scripts.build_guests import BN254
from tests.conftest import samples
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.revm.test_session_calls import CONTRACT, SENDER, run

stock: Any = precompiles  # py-evm's: the oracle
BLS_G1 = bytes.fromhex(
    "0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00a"
    "db22c6bb0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae4"
    "0caa232946c5e7e1"
)


def by_py_evm(function: Callable[[Any], object], data: bytes) -> bytes | None:
    """Return the output of py-evm's precompile, None if it fails."""
    message = Message(10**15, Address(b"\x01" * 20), Address(b"\x02" * 20), 0, data, b"")
    unused: Any = None
    computation = ByzantiumComputation(unused, message, unused)
    try:
        function(computation)
    except VMError:
        return None
    return computation.output


def ours(name: str, data: bytes) -> bytes | None:
    """Return the output of our precompile, None if it fails."""
    assert PRICES[name](data) >= 0
    try:
        return ETHEREUM[name](data)
    except PrecompileFailure:
        return None


@given(st.binary(max_size=300))
def test_hashes_match_hashlib_and_pycryptodome(data: bytes) -> None:
    assert ours("sha256", data) == hashlib.sha256(data).digest()
    assert ours("ripemd160", data) == bytes(12) + RIPEMD160.new(data).digest()
    assert ours("identity", data) == data


@given(st.integers(1, 2**200), st.binary(min_size=32, max_size=32), st.integers(0, 1), st.booleans())
def test_ecrecover_matches_eth_keys_and_py_evm(secret: int, digest: bytes, flip: int, dirty: bool) -> None:
    key = PrivateKey(secret.to_bytes(32, "big"))
    signature = key.sign_msg_hash(digest)
    v = (signature.v ^ flip) + 27 + (dirty << 64)
    data = digest + b"".join(part.to_bytes(32, "big") for part in (v, signature.r, signature.s))
    assert ours("ecrecover", data) == by_py_evm(stock.ecrecover, data)
    if not flip and not dirty:
        assert ours("ecrecover", data) == bytes(12) + key.public_key.to_canonical_address()


@given(st.binary(max_size=160))
def test_ecrecover_of_random_input_matches_py_evm(data: bytes) -> None:
    assert ours("ecrecover", data) == by_py_evm(stock.ecrecover, data)


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 130))
def test_modexp_matches_python_pow(base: bytes, exponent: bytes, modulus: bytes, cut: int) -> None:
    head = b"".join(len(part).to_bytes(32, "big") for part in (base, exponent, modulus))
    numbers = [int.from_bytes(part, "big") for part in (base, exponent, modulus)]
    result = pow(numbers[0], numbers[1], numbers[2]) if numbers[2] else 0
    data = head + base + exponent + modulus
    assert ours("modexp", data) == result.to_bytes(len(modulus), "big")
    padded = (data[: 96 + cut] + bytes(200))[: len(data)]
    assert ours("modexp", data[: 96 + cut]) == ours("modexp", padded)


def test_modexp_rejects_length_above_32_bits() -> None:
    head = (1).to_bytes(32, "big") + (2**32).to_bytes(32, "big") + (1).to_bytes(32, "big")
    assert ours("modexp", head) is None


def test_modexp_prices_huge_exponents_before_computing() -> None:
    one, many, long = (length.to_bytes(32, "big") for length in (1, 32, 2**20))
    assert PRICES["modexp"](one + many + long + b"\xff" * 64) > 10**10  # a block's
    assert PRICES["modexp"](one + long + one + b"\xff" * 64) < 10**5  # the modulus is behind the end: zero


@pytest.mark.parametrize("rounds", [0, 1, 12, 1000])
@pytest.mark.parametrize("last", [0, 1, 2])
def test_blake2f_matches_py_evm(rounds: int, last: int) -> None:
    data = rounds.to_bytes(4, "big") + bytes(range(208)) + bytes([last])
    assert ours("blake2f", data) == by_py_evm(stock.blake2b_fcompress, data)
    assert ours("blake2f", data[:-1]) is None


def test_twelve_rounds_of_blake2f_are_blake2b() -> None:
    state = hashlib.blake2b(b"abc").digest()
    initial = bytes.fromhex(
        "48c9bdf267e6096a3ba7ca8485ae67bb2bf894fe72f36e3cf1361d5f3af54fa5d182e6ad7f520e511f6c3e2b8c68059b6bbd41fbabd9831f"
        "79217e1319cde05b"
    )
    data = (12).to_bytes(4, "big") + initial + b"abc".ljust(128, b"\0") + (3).to_bytes(8, "little") + bytes(8) + b"\1"
    assert ours("blake2f", data) == state


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**256 - 1))
def test_bls12_381_addition_and_msm_match_py_evm(scalar: int) -> None:
    data = BLS_G1 + scalar.to_bytes(32, "big")
    product = ours("bls12_g1msm", data)
    assert product == by_py_evm(stock.bls12_g1_msm, data)
    assert product is not None
    assert ours("bls12_g1add", product + BLS_G1) == by_py_evm(stock.bls12_g1_add, product + BLS_G1)


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**381))
def test_bls12_381_maps_match_py_evm(element: int) -> None:
    data = element.to_bytes(64, "big")
    point = ours("bls12_map_fp_to_g1", data)
    assert point == by_py_evm(stock.bls12_map_fp_to_g1, data)
    pair = ours("bls12_map_fp2_to_g2", data + data)
    assert pair == by_py_evm(stock.bls12_map_fp2_to_g2, data + data)
    if pair is not None:
        assert ours("bls12_g2add", pair + pair) == by_py_evm(stock.bls12_g2_add, pair + pair)
        doubled = pair + (2).to_bytes(32, "big")
        assert ours("bls12_g2msm", doubled) == by_py_evm(stock.bls12_g2_msm, doubled)


@pytest.mark.parametrize("name", [name for name in ETHEREUM if name not in ("identity",)])
@given(data=st.binary(max_size=400))
@settings(max_examples=samples(25), deadline=None)
def test_precompiles_return_or_fail_for_any_input(name: str, data: bytes) -> None:
    assert ours(name, data) is None or isinstance(ours(name, data), bytes)


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
        curves.pairing(before + point + twist)
    assert by_py_evm(PAIRING, before + point + twist) is None


@pytest.mark.parametrize("length", [1, 191, 193, 192 * 3 - 1])
def test_a_pairing_takes_whole_pairs(length: int) -> None:
    with pytest.raises(PrecompileFailure, match="expected a multiple of 192"):
        curves.pairing(bytes(length))


@pytest.mark.slow
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
        results.extend(curves.multiply(words(1, 2, 1_000_003 * index)) for _ in range(20))

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


Asking = Callable[[int, bytes], bytes | None]
fast_numbers = (
    st.binary(max_size=70) | st.integers(0, 70).map(bytes) | st.sampled_from([b"\1", b"\xff" * 64, bytes(8) + b"\2"])
)


def modexp(base: bytes, exponent: bytes, modulus: bytes) -> bytes:
    return words(len(base), len(exponent), len(modulus)) + base + exponent + modulus


def power(base: bytes, exponent: bytes, modulus: bytes) -> bytes:
    """Return the result of EIP-198, computed by Python."""
    divisor = int.from_bytes(modulus, "big")
    result = pow(int.from_bytes(base, "big"), int.from_bytes(exponent, "big"), divisor) if divisor else 0
    return result.to_bytes(len(modulus), "big")


@pytest.mark.slow
@settings(max_examples=samples(300))
@given(base=fast_numbers, exponent=fast_numbers, modulus=fast_numbers)
def test_powers_are_pythons(asking: Asking, base: bytes, exponent: bytes, modulus: bytes) -> None:
    assert asking(5, modexp(base, exponent, modulus)) == power(base, exponent, modulus)


@given(data=st.binary(max_size=130), cut=st.integers(0, 200))
def test_missing_input_bytes_are_zeros(asking: Asking, data: bytes, cut: int) -> None:
    whole = modexp(data[:40], data[40:80], data[80:])
    padded = whole[:cut].ljust(96, b"\0")
    lengths = [int.from_bytes(padded[32 * at : 32 * at + 32], "big") for at in range(3)]
    if max(lengths) > 1000:
        return
    base, exponent, _ = lengths
    rest = whole[96:cut].ljust(sum(lengths), b"\0")
    expected = power(rest[:base], rest[base : base + exponent], rest[base + exponent : sum(lengths)])
    assert asking(5, whole[:cut]) == expected


@pytest.mark.parametrize("size", [1023, 1024, 1025])
def test_numbers_are_as_long_as_the_fork_lets_them_be(asking: Asking, size: int) -> None:
    base, modulus = bytes(at % 251 for at in range(size)), b"\x77" * size
    assert asking(5, modexp(base, b"\3", modulus)) == (power(base, b"\3", modulus) if size <= 1024 else None)


coordinates = st.integers(0, 4).map(g1) | st.sampled_from([words(1, 3), words(P, 2), words(P - 1, 2), b"", b"\1"])


@settings(max_examples=samples(60))
@given(left=coordinates, right=coordinates, number=st.integers(0, (1 << 256) - 1), more=st.binary(max_size=3))
def test_fast_sums_and_products_equal_py_evm(
    asking: Asking, left: bytes, right: bytes, number: int, more: bytes
) -> None:
    for data in (left + right + more, left + right):
        assert asking(6, data) == by_py_evm(stock.ecadd, data)
    assert asking(7, left + words(number) + more) == by_py_evm(stock.ecmul, left + words(number) + more)


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        b"",
        g1(2) + g2(3),
        g1(2) + g2(3) + g1(ORDER - 6) + g2(1),
        bytes(192),
        bytes(191),
        g1(1) + bytes(128),
        words(1, 3) + g2(1),
        words(P, 0) + g2(1),
        g1(1) + outside_the_group(),
    ],
)
def test_pairings_are_py_evms(asking: Asking, data: bytes) -> None:
    assert asking(8, data) == by_py_evm(PAIRING, data)


CALL = """
    CALLDATASIZE 0 0 CALLDATACOPY
    0 0 CALLDATASIZE 0 {} GAS STATICCALL 1 SSTORE GAS 2 SSTORE RETURNDATASIZE 3 SSTORE
"""
SHORT, LONG = modexp(b"\5" * 33, b"\1" * 40, b"\7" * 30), modexp(b"\5" * 1025, b"", b"\7" * 30)
LONGEST = modexp(b"\5" * 4097, b"\3", b"\7" * 30)


@pytest.mark.parametrize("fork", ["Cancun", "Osaka"])
@pytest.mark.parametrize(
    ("number", "data"),
    [(5, SHORT), (5, LONG), (5, LONGEST), (5, words(0, 1 << 20, 0)), (6, g1(1)), (7, g1(1)), (8, g1(1) + g2(1))],
)
@pytest.mark.parametrize("gas", [150_000, 45_000, 300_000])
def test_gas_is_the_plain_engines(fork: str, number: int, data: bytes, gas: int) -> None:
    results: list[Any] = []
    for evm in ("py-evm", "fast"):
        with Hypervisor.open(rules="ethereum", evm=evm) as made:
            made.advance(block=EthereumBlock(fork, gas_limit=1 << 40))
            install_alloc(
                made, {SENDER: AllocAccount(10**20), CONTRACT: AllocAccount(0, 1, assemble(CALL.format(number)))}
            )
            results.append((run(made, data, gas).receipt, dict(read_alloc(made))))
    assert results[0] == results[1]

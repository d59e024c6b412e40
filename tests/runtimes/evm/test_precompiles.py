"""Ethereum's precompiles, compared with py-evm, eth-keys, py_ecc and Python; `test_bn254` covers that curve."""

import hashlib
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
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimes.evm.precompiles.ethereum import ETHEREUM
from runtimes.evm.precompiles.failure import PrecompileFailure
from runtimes.evm.precompiles.prices import PRICES
from tests.conftest import samples

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
    one, many, long = (length.to_bytes(32, "big") for length in (1, 32, 2**31))
    assert PRICES["modexp"](one + many + long + b"\xff" * 64) > 10**15
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

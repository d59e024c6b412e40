"""The precompiles within the fast engine's guest that are more than hashes: MODEXP and the curve alt_bn128.

Expected: Python's own power, py-evm's precompiles on py_ecc, and the plain engine's gas.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.ethereum.block import EthereumBlock
from hypervisor.machine.machine import Hypervisor
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc, read_alloc
from runtimes.evm.fast.instance import FastInstance
from tests.conftest import samples
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.test_bn254 import ORDER, PAIRING, P, g1, g2, outside_the_group, stock, words
from tests.runtimes.evm.test_fast_trees import CONTRACT, SENDER, run
from tests.runtimes.evm.test_precompiles import by_py_evm

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


@pytest.mark.parametrize("number", [5, 6, 7, 8])
def test_guest_computed_precompile_makes_no_host_call(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    requests: list[int] = []
    result = FastInstance.execute_host_call

    def watched(self: FastInstance) -> None:
        requests.append(self._mail[1])
        result(self)

    monkeypatch.setattr(FastInstance, "execute_host_call", watched)
    data = {5: SHORT, 6: g1(1), 7: g1(1), 8: g1(1) + g2(1)}[number]
    assert asking(number, data) is not None
    assert 29 not in requests  # PRECOMPILE, in guests/evm/src/tree.rs

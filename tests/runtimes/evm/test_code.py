"""Jump destinations and their cache."""

import random
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from eth.vm.code_stream import CodeStream
from hypothesis import given
from hypothesis import strategies as st

from runtimes.evm.code import CodeCache, analyse
from runtimes.evm.opcodes import OPCODE_NUMBERS
from store.cid import RAW, cid_of

JUMPDEST = OPCODE_NUMBERS["JUMPDEST"]
dense_code = st.lists(st.sampled_from([JUMPDEST, 0x60, 0x61, 0x7F, 0x01, 0x00]), max_size=120).map(bytes)


@given(dense_code | st.binary(max_size=200))
def test_jump_destinations_are_those_of_py_evm(code: bytes) -> None:
    stream = CodeStream(code)
    expected = {place for place, byte in enumerate(code) if byte == JUMPDEST and stream.is_valid_opcode(place)}
    assert analyse(code).jump_destinations == expected


def test_the_cache_gives_the_same_analysis_again() -> None:
    cache, code = CodeCache(), bytes([JUMPDEST])
    cid = cid_of(code, RAW)
    assert cache.get(cid, code) is cache.get(cid, code)


def test_the_cache_drops_the_least_recently_used_code() -> None:
    cache = CodeCache(max_bytes=250)
    codes = [bytes([number]) * 100 for number in range(3)]
    cids = [cid_of(code, RAW) for code in codes]
    first, second = (cache.get(cid, code) for cid, code in zip(cids[:2], codes[:2], strict=True))
    cache.get(cids[0], codes[0])
    cache.get(cids[2], codes[2])
    assert cache.get(cids[0], codes[0]) is first
    assert cache.get(cids[1], codes[1]) is not second


def test_code_larger_than_the_cache_is_still_analysed() -> None:
    cache, code = CodeCache(max_bytes=10), bytes([JUMPDEST]) * 100
    assert len(cache.get(cid_of(code, RAW), code).jump_destinations) == 100


@pytest.mark.slow
def test_undersized_code_cache_is_thread_safe() -> None:
    cache = CodeCache(max_bytes=40)
    codes = [bytes([number]) * 10 for number in range(8)]
    cids = [cid_of(code, RAW) for code in codes]

    def use(seed: int) -> None:
        for place in random.Random(seed).choices(range(len(codes)), k=20_000):
            assert cache.get(cids[place], codes[place]).data == codes[place]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(use, range(4)))
    finally:
        sys.setswitchinterval(before)

"""The state tuple, compared byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.filecoin.evm_state import EvmState, Lifespan, TransientData
from hypervisor.types import ActorID
from runtimes.evm.code import EMPTY_CODE_HASH
from store.cid import RAW, Cid, cid_of, parse_cid, show
from store.codec import CodecError, encode
from store.trees.kamt import EMPTY_KAMT

FRESH = bytes.fromhex(
    "86d82a5827000155a0e402200e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a85820c5d2460186f7233c927e7db2"
    "dcc703c0e500b653ca82273b7bfad8045d85a470d82a5827000171a0e4022018fe6acc61a3a36b0c373c4a3a8ea64b812bf2ca9b528050909c78"
    "d408558a0cf601f6"
)
lifespans = st.builds(Lifespan, st.integers(0, 2**64 - 1).map(ActorID), st.integers(0, 2**64 - 1))
cids = st.binary(max_size=8).map(cid_of)
states = st.builds(
    EvmState,
    st.binary(max_size=8).map(lambda data: cid_of(data, RAW)),
    st.binary(min_size=32, max_size=32),
    cids,
    st.none() | st.builds(TransientData, cids, lifespans),
    st.integers(0, 2**64 - 1),
    st.none() | lifespans,
)


def test_a_fresh_contract_is_the_golden_block() -> None:
    state = EvmState(cid_of(b"", RAW), EMPTY_CODE_HASH, EMPTY_KAMT, None, 1, None)
    assert state.encode() == FRESH
    assert EvmState.decode(FRESH) == state
    assert show(cid_of(FRESH)) == "bafy2bzaceaqgk572h47obafyy4zyfnkxberkdgmwo2kdswte6ppsrtepjs334"


def test_the_empty_roots_are_the_networks() -> None:
    assert parse_cid("bafy2bzaceamp42wmmgr2g2ymg46euououzfyck7szknvfacqscohrvaikwfay") == EMPTY_KAMT
    assert show(cid_of(b"", RAW)) == "bafk2bzaceahfouoae3suhmxivmxlayez3kq5dzo7i53y654h7kvultprf7r2q"


@given(states)
def test_a_state_survives_a_round_trip(state: EvmState) -> None:
    assert EvmState.decode(state.encode()) == state


@given(states)
def test_the_older_form_has_no_transient_data(state: EvmState) -> None:
    old = EvmState.decode(state.encode(transient_field=False))
    assert old.transient is None
    assert (old.bytecode, old.storage, old.nonce, old.tombstone) == (
        state.bytecode, state.storage, state.nonce, state.tombstone,
    )  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [None, [], [1] * 6, [1, b"", 2, 3, 4, 5], "text"],
)
def test_other_blocks_are_refused(value: object) -> None:
    with pytest.raises(CodecError):
        EvmState.decode(encode(value))


@given(st.binary(max_size=100))
def test_decoding_is_total(data: bytes) -> None:
    try:
        state = EvmState.decode(FRESH[:1] + data)
    except CodecError:
        return
    assert isinstance(Cid(state.bytecode), bytes)

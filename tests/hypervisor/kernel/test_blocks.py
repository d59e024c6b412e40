"""Blocks of an invocation, and the scan of their links.

- The link scan: the CIDs that a block links to, the work of finding them, and invalid blocks.
- Blocks of an invocation: open, create, read, link; reachability; and charges computed by hand.

The counts of fields and CIDs in the first tests are from ref-fvm's tests of the scan.

Version 4 (network version 28 here): a scan costs 35 gas per field and 400 per CID; links are tracked and checked.
Version 3 (network version 18): none of that.

Errors and charges from network version 21 on are those of the reference in tests/golden/ipld.jsonl.gz.
"""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.errors import Fatal, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.kernel.blocks import Block, LinkScan, ScannedBlocks, scan_links
from store.cid import (
    BLAKE2B_256,
    CBOR,
    DAG_CBOR,
    DAG_PB,
    FIL_COMMITMENT_SEALED,
    FIL_COMMITMENT_UNSEALED,
    IDENTITY,
    RAW,
    SHA2_256,
    Cid,
    cid_of,
    codec_of,
)
from store.codec import encode, link
from tests.hypervisor.world import GAS, World, refused, used

FOOBAR = cid_of(b"foobar", RAW)
OTHER = cid_of(b"other")


def scan(data: bytes, codec: int = DAG_CBOR) -> LinkScan:
    return scan_links(codec, data)


def test_a_tuple_with_a_link_has_four_fields_and_one_cid() -> None:
    data = encode([0, link(FOOBAR), 1])
    assert scan(data) == LinkScan((FOOBAR,), fields=4, cids=1)


@pytest.mark.parametrize("length", [62, 63, 64, 65, 300])
@pytest.mark.parametrize("value", [0, 23, -24, False, None, b"", "", [], {}])
def test_every_value_of_a_long_run_is_a_field(value: object, length: int) -> None:
    assert scan(encode([value] * length)) == LinkScan((), fields=1 + length, cids=0)
    data = encode([[value] * length, link(FOOBAR), 1])
    assert scan(data) == LinkScan((FOOBAR,), fields=1 + (1 + length) + 1 + 1, cids=1)
    assert scan(data + b"\x00").error is ErrorNumber.SERIALIZATION
    assert scan(data[:-1]).error is ErrorNumber.SERIALIZATION


@pytest.mark.parametrize("codec", [RAW, CBOR])
def test_only_dag_cbor_has_links_and_costs_work(codec: int) -> None:
    assert scan(encode([0, link(FOOBAR), 1]), codec) == LinkScan((), 0, 0)
    assert scan(b"\xff not CBOR at all", codec) == LinkScan((), 0, 0)


def test_an_identity_cid_is_scanned_in_place_of_being_recorded() -> None:
    inner = encode([0, link(FOOBAR), 1])
    inline = cid_of(inner, DAG_CBOR, IDENTITY)
    assert scan(encode([0, link(inline), 1])) == LinkScan((FOOBAR,), fields=8, cids=2)


@pytest.mark.parametrize("codec", [RAW, CBOR])
def test_an_identity_cid_of_another_codec_is_passed_over(codec: int) -> None:
    inline = cid_of(encode([link(OTHER)]), codec, IDENTITY)
    assert scan(encode([link(inline)])) == LinkScan((), fields=2, cids=1)


def test_invalid_identity_cid_block_invalidates_outer_block() -> None:
    inline = cid_of(b"\x82\x00", DAG_CBOR, IDENTITY)  # an array of two items with only one
    # outer array, tag; inner array, 0, and the missing field
    assert scan(encode([link(inline)])) == LinkScan((), fields=5, cids=1, error=ErrorNumber.SERIALIZATION)


@pytest.mark.parametrize("codec", [FIL_COMMITMENT_UNSEALED, FIL_COMMITMENT_SEALED])
@pytest.mark.parametrize("hash_code", [BLAKE2B_256, SHA2_256, IDENTITY])
def test_sector_commitments_are_ignored_whatever_their_hash(codec: int, hash_code: int) -> None:
    data = encode([0, link(cid_of(b"foobar", codec, hash_code)), 1])
    assert scan(data) == LinkScan((), fields=4, cids=1)


def test_a_link_that_is_repeated_counts_every_time() -> None:
    found = scan(encode([link(FOOBAR), link(OTHER), link(FOOBAR)]))
    assert found.links == (FOOBAR, OTHER, FOOBAR)
    assert (found.fields, found.cids) == (4, 3)


@pytest.mark.parametrize(
    "cid",
    [
        cid_of(b"x", DAG_PB),
        cid_of(b"x", 0x0129),  # DAG-JSON
        cid_of(b"x", DAG_CBOR, SHA2_256),
        Cid(b"\x01\x71\xa0\xe4\x02\x14" + bytes(20)),  # blake2b-256 truncated to 20 bytes
        Cid(b"\x12\x20" + bytes(32)),  # version 0
    ],
    ids=["dag-pb", "dag-json", "sha2-256", "short digest", "version 0"],
)
def test_link_to_unsupported_cid_is_not_found(cid: Cid) -> None:
    found = scan(encode([link(cid), link(FOOBAR)]))
    # array, tag: the scan stops there
    assert found == LinkScan((), fields=2, cids=1, error=ErrorNumber.NOT_FOUND)


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ("00", 1),
        ("1bffffffffffffffff", 1),
        ("3903e7", 1),
        ("f6", 1),
        ("f93c00", 1),
        ("fb3ff0000000000000", 1),
        ("43010203", 1),
        ("63616263", 1),
        ("63ff00fe", 1),  # text that is not UTF-8
        ("80", 1),
        ("8301820203f5", 6),
        ("a2616101616202", 5),
        ("a2616201616101", 5),  # keys out of order
        ("a2616101616102", 5),  # a duplicate key
        ("1800", 1),  # not minimal
        ("9b000000000000000100", 2),
        ("c100", 2),  # an unknown tag and its content count
        ("d9d9f7c100", 3),
        ("f800", 1),  # an unassigned simple value
    ],
)
def test_link_scan_checks_only_cbor_headers(data: str, fields: int) -> None:
    assert scan(bytes.fromhex(data)) == LinkScan((), fields, 0)


@pytest.mark.parametrize(
    ("data", "fields", "cids"),
    [
        ("", 1, 0),
        ("18", 1, 0),
        ("1b00000000000000", 1, 0),
        ("1c", 1, 0),
        ("1f", 1, 0),
        ("5f4101ff", 1, 0),
        ("9f00ff", 1, 0),
        ("bf616100ff", 1, 0),
        ("ff", 1, 0),
        ("4401", 1, 0),
        ("8200", 3, 0),
        ("a10001" + "00", 3, 0),
        ("0000", 1, 0),
        ("9bffffffffffffffff00", 3, 0),  # 2^64 - 1 fields announced, one present
        ("bbffffffffffffffff00", 1, 0),  # twice that overflows
        ("bb8000000000000000", 1, 0),
        ("829bffffffffffffffff", 2, 0),  # 1 + 2^64 - 1 overflows too
        ("d82a", 1, 1),
        ("d82a00", 1, 1),
        ("d82a40", 1, 1),
        ("d82a4101", 1, 1),
        ("d82a4100", 1, 1),
        ("d82a450001551220", 1, 1),
        ("d82a5f", 1, 1),
    ],
)
def test_scan_of_invalid_block_bytes_fails_with_counted_work(data: str, fields: int, cids: int) -> None:
    assert scan(bytes.fromhex(data)) == LinkScan((), fields, cids, ErrorNumber.SERIALIZATION)


def test_a_link_must_hold_exactly_one_cid_behind_a_zero_byte() -> None:
    head = b"\xd8\x2a\x58"
    for body in (b"\x01" + FOOBAR, b"\x00" + FOOBAR + b"\x00", b"\x00" + FOOBAR[:-1]):
        assert scan(head + bytes([len(body)]) + body).error is ErrorNumber.SERIALIZATION
    assert scan(head + bytes([39]) + b"\x00" + FOOBAR).links == (FOOBAR,)
    # tag and length need not be minimal
    assert scan(b"\xd9\x00\x2a\x59\x00" + bytes([39]) + b"\x00" + FOOBAR).links == (FOOBAR,)


def test_a_link_in_text_is_none() -> None:
    assert scan(b"\xd8\x2a\x78\x27\x00" + FOOBAR).error is ErrorNumber.SERIALIZATION


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**64), 2**64 - 1), st.binary(max_size=40), st.text(max_size=10),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from([link(FOOBAR), link(OTHER), link(cid_of(b"piece", FIL_COMMITMENT_UNSEALED, SHA2_256))]),
    ),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=30,
)  # fmt: skip


def walk(value: object) -> tuple[int, list[Cid]]:
    """Count fields and links on the decoded value instead of its bytes."""
    if isinstance(value, list):
        parts = [walk(item) for item in value]
    elif isinstance(value, dict):
        # the encoder sorts keys by length, then bytes
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        parts = [part for key in keys for part in (walk(key), walk(value[key]))]
    else:
        raw = getattr(value, "value", None)
        return 1, [Cid(raw[1:])] if isinstance(raw, bytes) else []
    return 1 + sum(fields for fields, _ in parts), [cid for _, links in parts for cid in links]


@pytest.mark.slow
@settings(deadline=None)
@given(values)
def test_link_scan_matches_value_walk(value: object) -> None:
    fields, cids = walk(value)
    kept = tuple(cid for cid in cids if codec_of(cid) != FIL_COMMITMENT_UNSEALED)
    assert scan(encode(value)) == LinkScan(kept, fields, len(cids))


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_scan_accepts_any_bytes_with_work_bounded_by_length(data: bytes) -> None:
    found = scan(data)
    assert found.fields <= 2 * len(data) + 1
    assert found.error in (None, ErrorNumber.SERIALIZATION, ErrorNumber.NOT_FOUND)


def test_scanned_block_cache_is_bounded_by_bytes() -> None:
    kept, data = ScannedBlocks(), encode([link(FOOBAR)])
    block = Block(DAG_CBOR, data, scan(data))
    kept.put(cid_of(data), block)
    assert kept.get(cid_of(data)) is block
    assert block.links == (FOOBAR,)
    large = Block(RAW, bytes(1 << 20), LinkScan((), 0, 0))
    for number in range(ScannedBlocks.MAX_BYTES >> 20):
        assert kept.get(cid_of(data)) is not None
        kept.put(Cid(b"made-up %d" % number), large)
    assert kept.get(cid_of(data)) is None
    assert kept.get(Cid(b"made-up %d" % number)) is large


def test_unscanned_or_non_state_blocks_are_not_cached() -> None:
    kept = ScannedBlocks()
    for name, block in {b"a": Block(DAG_CBOR, b"\x80"), b"b": Block(DAG_CBOR, b"\xff", scan(b"\xff"))}.items():
        kept.put(Cid(name), block)
        assert kept.get(Cid(name)) is None


def test_handles_count_up_from_one() -> None:
    registry = kernel_over().ipld
    first, second = Block(RAW, b"a"), Block(CBOR, b"b")
    assert [registry.add(first), registry.add(second)] == [1, 2]
    assert (registry.block(1), registry.block(2)) == (first, second)


@pytest.mark.parametrize("handle", [-1, 2, 1 << 31, (1 << 32) - 1])
def test_a_handle_that_was_never_given_is_invalid(handle: int) -> None:
    registry = kernel_over().ipld
    registry.add(Block(RAW, b"a"))
    with pytest.raises(SyscallError) as caught:
        registry.block(handle)
    assert caught.value.number is ErrorNumber.INVALID_HANDLE


def test_handle_zero_cannot_be_read() -> None:
    with pytest.raises(SyscallError) as caught:
        kernel_over().ipld.block(0)
    assert caught.value.number is ErrorNumber.INVALID_HANDLE


def test_a_full_registry_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypervisor.kernel.ipld.MAX_BLOCKS", 1)
    registry = kernel_over().ipld
    registry.add(Block(RAW, b"a"))
    with pytest.raises(SyscallError) as caught:
        registry.add(Block(RAW, b"b"))
    assert caught.value.number is ErrorNumber.LIMIT_EXCEEDED


LEAF = encode([1, 2, 3])
LEAF_CID = cid_of(LEAF)


def kernel_over(*blocks: bytes, network: int = 28, limit: int = 10**15) -> Kernel:
    """Return a kernel over a store with DAG-CBOR blocks, none of them reachable yet."""
    world = World(network)
    for data in blocks:
        world.machine.store.put(cid_of(data), data)
    return world.kernel(limit=limit)


# --- open ---------------------------------------------------------------------------------------------------------


def test_a_reachable_block_that_the_store_lacks_is_fatal() -> None:
    kernel = kernel_over()
    kernel.ipld.reachable.add(LEAF_CID)
    with pytest.raises(Fatal, match="reachable state is missing"):
        kernel.ipld.open(LEAF_CID)


# --- create -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [18, 28])
def test_opening_and_creating_ten_bytes_cost_a_hundred_gas(network: int) -> None:
    # from ref-fvm's test of the two formulas
    kernel, data = kernel_over(network=network), bytes(10)
    assert used(kernel, lambda: kernel.ipld.create(RAW, data)) == 100 * GAS
    cid = kernel.ipld.link(kernel.ipld.create(RAW, data))
    base = (187_440 if network == 18 else 187_740) * GAS
    assert used(kernel, lambda: kernel.ipld.open(cid)) == base + 100 * GAS


@pytest.mark.parametrize("network", [18, 21, 25, 28])
def test_links_cost_more_than_the_bytes_where_there_are_many(network: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # from ref-fvm's test of the two formulas; 100 bytes have no room for five links, so the scan is given
    kernel = kernel_over(network=network)
    links = tuple(cid_of(bytes((number,)), RAW) for number in range(5))
    monkeypatch.setattr("hypervisor.kernel.ipld.scan_links", lambda codec, data: LinkScan(links, fields=0, cids=0))
    kernel.ipld.reachable.update(links)
    # 100 bytes: max(1,000, 240 + 1,500); 1,000 bytes: max(10,000, 2,400 + 1,500); no links are tracked in version 18
    for size, cost in ((100, 1_000 if network == 18 else 1_740), (1_000, 10_000)):
        assert used(kernel, partial(kernel.ipld.create, DAG_CBOR, bytes(size))) == cost * GAS
        cid = kernel.ipld.link(kernel.ipld.create(DAG_CBOR, bytes(size)))
        base = (187_440 if network == 18 else 187_740) * GAS
        assert used(kernel, partial(kernel.ipld.open, cid)) == base + cost * GAS


# --- link ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("codec", "data"), [(RAW, b""), (RAW, bytes(1000)), (CBOR, LEAF), (DAG_CBOR, LEAF)], ids=repr)
def test_linking_writes_the_block_and_costs_its_bytes(codec: int, data: bytes) -> None:
    kernel = kernel_over()
    handle = kernel.ipld.create(codec, data)
    assert used(kernel, lambda: kernel.ipld.link(handle)) == 506_300 * GAS + 3_352_400 * len(data)
    cid = kernel.ipld.link(handle)
    assert cid == cid_of(data, codec)
    assert kernel.calls.machine.store.get(cid) == data
    kernel.ipld.open(cid)


# --- parameters and returns ---------------------------------------------------------------------------------------


# --- version 3 ----------------------------------------------------------------------------------------------------


def test_version_18_opens_whatever_the_store_holds_for_its_bytes() -> None:
    node = encode([link(LEAF_CID)] * 3)
    kernel = kernel_over(node, network=18)
    assert used(kernel, lambda: kernel.ipld.open(cid_of(node))) == (187_440 + 10 * len(node)) * GAS


def test_version_18_neither_scans_nor_checks_created_blocks() -> None:
    kernel = kernel_over(network=18)
    node = encode([link(LEAF_CID)])
    assert used(kernel, lambda: kernel.ipld.create(DAG_CBOR, node)) == 10 * len(node) * GAS
    assert used(kernel, lambda: kernel.ipld.create(DAG_CBOR, b"\xff not CBOR")) == 100 * GAS


def test_version_18_charges_before_it_looks_at_the_codec() -> None:
    kernel = kernel_over(network=18)
    assert refused(ErrorNumber.ILLEGAL_CODEC, kernel, lambda: kernel.ipld.create(DAG_PB, bytes(100))) == 1_000 * GAS


def test_version_18_links_for_506000_and_the_bytes() -> None:
    kernel = kernel_over(network=18)
    handle = kernel.ipld.create(DAG_CBOR, LEAF)
    assert used(kernel, lambda: kernel.ipld.link(handle)) == 506_000 * GAS + 4 * 3_352_400


def test_version_18_holds_a_missing_block_for_fatal_too() -> None:
    with pytest.raises(Fatal):
        kernel_over(network=18).ipld.open(Cid(LEAF_CID))

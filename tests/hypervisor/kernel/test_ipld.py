"""Blocks of an invocation: open, create, read, link; reachability; and charges computed by hand.

Version 4 (network version 28 here): a scan costs 35 gas per field and 400 per CID; links are tracked and checked.
Version 3 (network version 18): none of that.
"""

from __future__ import annotations

import pytest

from hypervisor.blocks import MAX_BLOCK_SIZE, Block, LinkScan
from hypervisor.errors import Fatal, OutOfGas
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from store.cid import (
    BLAKE2B_256,
    CBOR,
    DAG_CBOR,
    DAG_PB,
    FIL_COMMITMENT_UNSEALED,
    IDENTITY,
    RAW,
    SHA2_256,
    Cid,
    cid_of,
)
from store.codec import encode, link
from tests.hypervisor.world import GAS, World, refused, used

LEAF = encode([1, 2, 3])
LEAF_CID = cid_of(LEAF)
OPEN = 300 + 187_440
"""Gas for opening any block, excluding its bytes and links: link check and store access."""


def kernel_over(*blocks: bytes, network: int = 28, limit: int = 10**15) -> Kernel:
    """Return a kernel over a store with DAG-CBOR blocks, none of them reachable yet."""
    world = World(network)
    for data in blocks:
        world.machine.store.put(cid_of(data), data)
    return world.kernel(limit=limit)


# --- open ---------------------------------------------------------------------------------------------------------


def test_a_reachable_block_opens_with_its_codec_and_size() -> None:
    kernel = kernel_over(LEAF)
    kernel.ipld.mark_reachable(LEAF_CID)
    stat = kernel.ipld.open(LEAF_CID)
    assert (stat.id, stat.codec, stat.size) == (1, DAG_CBOR, 4)
    assert kernel.ipld.read(1, 0, 100) == LEAF


def test_opening_costs_the_flat_part_the_scan_and_the_bytes() -> None:
    kernel = kernel_over(LEAF)
    kernel.ipld.mark_reachable(LEAF_CID)
    # four fields scanned; four bytes retained at 10 each
    assert used(kernel, lambda: kernel.ipld.open(LEAF_CID)) == (OPEN + 4 * 35 + 40) * GAS


def test_opening_block_with_links_charges_and_makes_reachable() -> None:
    node = encode([link(LEAF_CID)] * 3)
    kernel = kernel_over(LEAF, node)
    kernel.ipld.mark_reachable(cid_of(node))
    assert len(node) == 1 + 3 * (2 + 2 + 1 + 38)  # array; tag, string head, zero byte, CID
    # four fields, three CIDs; max(10 * 130, 2.4 * 130 + 300 * 3): a repeated link counts three times
    spent = (OPEN + 4 * 35 + 3 * 400) * GAS + max(1_300_000, 312_000 + 900_000)
    assert used(kernel, lambda: kernel.ipld.open(cid_of(node))) == spent
    assert kernel.ipld.is_reachable(LEAF_CID)
    kernel.ipld.open(LEAF_CID)


def test_a_block_full_of_links_still_costs_more_for_its_bytes() -> None:
    # 1,722 bytes and 40 links: max(17,220, 4,132.8 + 12,000)
    node = encode([link(LEAF_CID)] * 40)
    kernel = kernel_over(node)
    kernel.ipld.mark_reachable(cid_of(node))
    size = 2 + 40 * 43
    assert used(kernel, lambda: kernel.ipld.open(cid_of(node))) == (OPEN + 41 * 35 + 40 * 400 + 10 * size) * GAS


def test_opening_unreachable_block_is_not_found_and_charged() -> None:
    kernel = kernel_over(LEAF)
    spent = refused(ErrorNumber.NOT_FOUND, kernel, lambda: kernel.ipld.open(LEAF_CID))
    assert spent == OPEN * GAS


@pytest.mark.parametrize("codec", [RAW, CBOR, DAG_CBOR, FIL_COMMITMENT_UNSEALED])
def test_identity_cids_are_never_reachable(codec: int) -> None:
    inline = cid_of(LEAF, codec, IDENTITY)
    node = encode([link(inline)])
    kernel = kernel_over(node)
    kernel.ipld.mark_reachable(cid_of(node))
    kernel.ipld.open(cid_of(node))
    refused(ErrorNumber.NOT_FOUND, kernel, lambda: kernel.ipld.open(inline))


def test_links_inside_identity_cids_become_reachable() -> None:
    inline = cid_of(encode([link(LEAF_CID)]), DAG_CBOR, IDENTITY)
    node = encode([link(inline)])
    kernel = kernel_over(LEAF, node)
    kernel.ipld.mark_reachable(cid_of(node))
    # outer: array and tag, one CID; inner: array and tag, one CID
    size = len(node)
    assert used(kernel, lambda: kernel.ipld.open(cid_of(node))) == (OPEN + 4 * 35 + 2 * 400 + 10 * size) * GAS
    kernel.ipld.open(LEAF_CID)


def test_a_reachable_block_that_the_store_lacks_is_fatal() -> None:
    kernel = kernel_over()
    kernel.ipld.mark_reachable(LEAF_CID)
    with pytest.raises(Fatal, match="reachable state is missing"):
        kernel.ipld.open(LEAF_CID)


def test_gas_that_runs_out_inside_the_scan_ends_the_message() -> None:
    kernel = kernel_over(LEAF, limit=(OPEN + 4 * 35 - 1) * GAS)
    kernel.ipld.mark_reachable(LEAF_CID)
    with pytest.raises(OutOfGas):
        kernel.ipld.open(LEAF_CID)
    assert kernel.gas.available == 0


def test_a_scan_that_both_fails_and_costs_too_much_is_out_of_gas() -> None:
    kernel = kernel_over(limit=2 * 35 * GAS)
    with pytest.raises(OutOfGas):
        kernel.ipld.create(DAG_CBOR, b"\x82\x00")  # three fields are counted, the third is missing


def test_a_block_opened_twice_costs_the_same_twice() -> None:
    kernel = kernel_over(LEAF)
    kernel.ipld.mark_reachable(LEAF_CID)
    first, second = (used(kernel, lambda: kernel.ipld.open(LEAF_CID)) for _ in range(2))
    assert first == second


# --- create -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [RAW, CBOR])
def test_creating_opaque_bytes_costs_ten_gas_a_byte(codec: int) -> None:
    kernel = kernel_over()
    assert used(kernel, lambda: kernel.ipld.create(codec, bytes(100))) == 1_000 * GAS
    assert kernel.ipld.stat(1).codec == codec


def test_creating_dag_cbor_costs_the_scan_as_well() -> None:
    kernel = kernel_over()
    assert used(kernel, lambda: kernel.ipld.create(DAG_CBOR, LEAF)) == (4 * 35 + 40) * GAS


def test_creating_empty_block_is_free() -> None:
    kernel = kernel_over()
    assert used(kernel, lambda: kernel.ipld.create(RAW, b"")) == 0


def test_created_block_may_link_only_reachable_blocks() -> None:
    kernel = kernel_over(LEAF)
    node = encode([link(LEAF_CID)])
    cost = (2 * 35 + 400 + 10 * len(node)) * GAS
    assert refused(ErrorNumber.NOT_FOUND, kernel, lambda: kernel.ipld.create(DAG_CBOR, node)) == cost
    kernel.ipld.mark_reachable(LEAF_CID)
    assert used(kernel, lambda: kernel.ipld.create(DAG_CBOR, node)) == cost


def test_created_block_is_unreachable_until_linked() -> None:
    kernel = kernel_over()
    handle = kernel.ipld.create(DAG_CBOR, LEAF)
    assert not kernel.ipld.is_reachable(LEAF_CID)
    assert kernel.ipld.link(handle) == LEAF_CID
    assert kernel.ipld.is_reachable(LEAF_CID)


def test_unreachable_links_are_no_matter_in_plain_cbor() -> None:
    kernel = kernel_over()
    kernel.ipld.create(CBOR, encode([link(LEAF_CID)]))


@pytest.mark.parametrize("codec", [0, DAG_PB, 0x0129, FIL_COMMITMENT_UNSEALED, 1 << 63])
def test_another_codec_is_illegal_and_free_since_version_21(codec: int) -> None:
    kernel = kernel_over()
    assert refused(ErrorNumber.ILLEGAL_CODEC, kernel, lambda: kernel.ipld.create(codec, bytes(100))) == 0


def test_a_block_holds_a_mebibyte_and_not_a_byte_more() -> None:
    kernel = kernel_over()
    assert used(kernel, lambda: kernel.ipld.create(RAW, bytes(MAX_BLOCK_SIZE))) == 10 * 1_048_576 * GAS
    too_long = bytes(MAX_BLOCK_SIZE + 1)
    assert refused(ErrorNumber.LIMIT_EXCEEDED, kernel, lambda: kernel.ipld.create(DAG_PB, too_long)) == 0


@pytest.mark.parametrize(
    ("data", "fields", "cids", "number"),
    [
        (b"\x82\x00", 3, 0, ErrorNumber.SERIALIZATION),
        (b"\x00\x00", 1, 0, ErrorNumber.SERIALIZATION),
        (b"\x9f\xff", 1, 0, ErrorNumber.SERIALIZATION),
        (encode([link(cid_of(b"x", DAG_CBOR, SHA2_256))]), 2, 1, ErrorNumber.NOT_FOUND),
    ],
)
def test_ipld_create_of_invalid_state_bytes_charges_scan(
    data: bytes, fields: int, cids: int, number: ErrorNumber
) -> None:
    kernel = kernel_over()
    spent = refused(number, kernel, lambda: kernel.ipld.create(DAG_CBOR, data))
    assert spent == (35 * fields + 400 * cids) * GAS


def test_a_link_to_a_piece_needs_no_reachability() -> None:
    piece = cid_of(b"piece", FIL_COMMITMENT_UNSEALED, SHA2_256)
    kernel_over().ipld.create(DAG_CBOR, encode([link(piece)]))


# --- read and stat ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "length", "data"),
    [(0, 10, b"0123456789"), (0, 4, b"0123"), (8, 10, b"89"), (10, 5, b""), (1 << 30, 5, b""), (3, 0, b"")],
)
def test_block_read_charges_for_available_bytes(offset: int, length: int, data: bytes) -> None:
    kernel = kernel_over()
    handle = kernel.ipld.create(RAW, b"0123456789")
    assert used(kernel, lambda: kernel.ipld.read(handle, offset, length)) == 400 * len(data)
    assert kernel.ipld.read(handle, offset, length) == data


def test_the_end_of_a_read_must_be_a_31_bit_number() -> None:
    kernel = kernel_over()
    handle = kernel.ipld.create(RAW, b"x")
    assert kernel.ipld.read(handle, (1 << 31) - 2, 1) == b""
    refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: kernel.ipld.read(handle, (1 << 31) - 1, 1))
    refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: kernel.ipld.read(7, (1 << 31) - 1, 1))


@pytest.mark.parametrize("handle", [0, 1, 1 << 31])
def test_unknown_handles_are_refused_without_charge(handle: int) -> None:
    kernel = kernel_over()
    assert refused(ErrorNumber.INVALID_HANDLE, kernel, lambda: kernel.ipld.read(handle, 0, 1)) == 0
    assert refused(ErrorNumber.INVALID_HANDLE, kernel, lambda: kernel.ipld.stat(handle)) == 0
    assert refused(ErrorNumber.INVALID_HANDLE, kernel, lambda: kernel.ipld.link(handle)) == 0


def test_a_stat_is_free() -> None:
    kernel = kernel_over()
    handle = kernel.ipld.create(CBOR, LEAF)
    assert used(kernel, lambda: kernel.ipld.stat(handle)) == 0
    stat = kernel.ipld.stat(handle)
    assert (stat.id, stat.codec, stat.size) == (handle, CBOR, 4)


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


@pytest.mark.parametrize(("code", "length"), [(SHA2_256, 32), (BLAKE2B_256, 31), (BLAKE2B_256, 64), (IDENTITY, 32)])
def test_only_blake2b_256_links(code: int, length: int) -> None:
    kernel = kernel_over()
    assert refused(ErrorNumber.ILLEGAL_CID, kernel, lambda: kernel.ipld.link(9, code, length)) == 0


def test_unaffordable_link_writes_nothing() -> None:
    kernel = kernel_over(limit=506_300 * GAS + 180 * GAS)
    handle = kernel.ipld.create(DAG_CBOR, LEAF)
    with pytest.raises(OutOfGas):
        kernel.ipld.link(handle)
    assert not kernel.calls.machine.store.has(LEAF_CID)


# --- parameters and returns ---------------------------------------------------------------------------------------


def test_an_accepted_block_makes_its_links_reachable() -> None:
    kernel = kernel_over(LEAF)
    handle = kernel.ipld.accept(Block(DAG_CBOR, encode([link(LEAF_CID)]), LinkScan((LEAF_CID,), 2, 1)))
    assert handle == 1
    kernel.ipld.open(LEAF_CID)


def test_two_invocations_share_neither_handles_nor_reach() -> None:
    world = World()
    first, second = world.kernel(), world.kernel()
    first.ipld.link(first.ipld.create(DAG_CBOR, LEAF))
    refused(ErrorNumber.INVALID_HANDLE, second, lambda: second.ipld.stat(1))
    refused(ErrorNumber.NOT_FOUND, second, lambda: second.ipld.open(LEAF_CID))


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

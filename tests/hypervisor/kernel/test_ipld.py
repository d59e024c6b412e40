"""Blocks of an invocation: open, create, read, link; reachability; and charges computed by hand.

Version 4 (network version 28 here): a scan costs 35 gas per field and 400 per CID; links are tracked and checked.
Version 3 (network version 18): none of that.

Errors and charges from network version 21 on are those of the reference in tests/golden/ipld.jsonl.gz.
"""

import pytest

from hypervisor.errors import Fatal
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from store.cid import CBOR, DAG_CBOR, DAG_PB, RAW, Cid, cid_of
from store.codec import encode, link
from tests.hypervisor.world import GAS, World, refused, used

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
    kernel.ipld.mark_reachable(LEAF_CID)
    with pytest.raises(Fatal, match="reachable state is missing"):
        kernel.ipld.open(LEAF_CID)


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

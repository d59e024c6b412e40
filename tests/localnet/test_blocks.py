"""Block headers and lists in the network's encoding."""

import pytest

from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Receipt, Signature, SignatureType, SignedMessage
from hypervisor.types import ChainEpoch, Gas, TokenAmount
from localnet.ledger.blocks import NO_PRODUCER, BlockHeader, block_hash, put_messages, put_receipts, tipset_key
from store.blocks.memory import MemoryStore
from store.blockstore import get_object, put_object
from store.cid import cid_of, parse_cid, show
from store.codec import link, unlink
from store.trees.amt import Amt


def test_the_empty_list_is_the_one_that_every_lotus_genesis_has() -> None:
    # CBOR [0, 0, [h'00', [], []]]: the older AMT's root does not name its width.
    store = MemoryStore()
    root = put_receipts(store, [])
    assert store.get(root).hex() == "830000834100" + "80" + "80"
    assert show(root) == "bafy2bzacedswlcz5ddgqnyo3sak3jmhmkxashisnlpq6ujgyhe4mlobzpnhs6"


def test_a_list_holds_its_values_eight_to_a_node() -> None:
    store = MemoryStore()
    receipts = [Receipt(0, b"", Gas(number)) for number in range(9)]
    height, count, (bitmap, links, values) = get_object(store, put_receipts(store, receipts))
    assert (height, count, bitmap, values) == (1, 9, b"\x03", [])
    first = get_object(store, unlink(links[0]))
    assert first == [b"\xff", [], [[0, b"", number, None] for number in range(8)]]


def test_a_blocks_messages_are_two_lists() -> None:
    store = MemoryStore()
    message = Message(Address.id(1), Address.id(2))
    bare = SignedMessage(message, Signature(SignatureType.BLS, bytes(96)))
    signed = SignedMessage(message, Signature(SignatureType.SECP256K1, bytes(65)))
    lists = get_object(store, put_messages(store, [signed, bare]))
    of_bls, of_others = (unlink(get_object(store, unlink(found))[2][2][0]) for found in lists)
    # Of a message with a BLS signature the chain holds the message, whose CID the network knows it by.
    assert (of_bls, of_others) == (message.cid(), signed.cid())
    assert store.get(of_bls) == message.to_cbor()
    assert store.get(of_others) == signed.to_cbor()
    assert get_object(store, put_messages(store, [])) == [link(put_receipts(store, []))] * 2


def test_a_header_is_a_tuple_of_sixteen() -> None:
    parent, root = cid_of(b"parent"), cid_of(b"root")
    header = BlockHeader(NO_PRODUCER, ChainEpoch(7), (parent,), root, root, root, 1_700_000_000, TokenAmount(100))
    fields = get_object(store := MemoryStore(), header.put(store))
    assert len(fields) == 16
    miner, ticket, election, beacon, proofs, parents, weight, height, *_ = fields
    assert (miner, election, proofs, height, weight) == (b"\x00\x00", [1, b""], [], 7, b"\x00\x07")
    assert [unlink(cid) for cid in parents] == [parent]
    assert len(ticket[0]) == 32
    assert beacon[0][0] == 7
    assert fields[12] == 1_700_000_000
    assert fields[15] == b"\x00\x64"


def test_tipset_key_is_cid_of_block_cids_as_byte_string() -> None:
    blocks = [cid_of(b"one"), cid_of(b"two")]
    key = tipset_key(blocks)
    assert key == cid_of(b"\x58\x4c" + blocks[0] + blocks[1])
    assert block_hash(key) == parse_cid(show(key))[-32:]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 64, 65])
def test_a_list_is_the_array_of_its_values_without_the_width(count: int) -> None:
    receipts = [Receipt(0, bytes([number]), Gas(number)) for number in range(count)]
    store = MemoryStore()
    width, *root = get_object(store, Amt.from_values(store, [receipt.fields() for receipt in receipts]).flush())
    assert width == 3
    assert put_receipts(MemoryStore(), receipts) == put_object(store, root)

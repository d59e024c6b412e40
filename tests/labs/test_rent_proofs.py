"""Lab `rent`: valid and invalid proofs of a state, and sizes of states."""

from collections.abc import Sequence
from io import BytesIO

import pytest

from fvm_hypervisor.laboratory.profiles.rent_actor import (
    BLOCK_BYTES,
    MAX_PROOF,
    MAX_PROVEN,
    STATE_BLOCKS,
    ProofRefused,
    proof_of,
    proven_blocks,
    size_of,
)
from store.blocks.memory import MemoryStore
from store.car.files import write_car
from store.cid import DAG_CBOR, RAW, Cid, cid_of
from store.codec import encode, link
from tests.labs.rent import car


class TestProofs:
    """A state of three blocks, and invalid proofs of it."""

    store = MemoryStore()
    leaves = (b"left", b"right")
    data = encode([link(cid_of(leaf, RAW)) for leaf in leaves])
    root = cid_of(data, DAG_CBOR)
    blocks = ((root, data), (cid_of(b"left", RAW), b"left"), (cid_of(b"right", RAW), b"right"))
    store.put_many(blocks)
    other = (cid_of(b"other", RAW), b"other")

    def test_proof_is_car_of_specified_format(self) -> None:
        assert proof_of(self.store, self.root) == car(self.root, self.blocks)
        assert proven_blocks(self.root, car(self.root, self.blocks)) == list(self.blocks)

    @pytest.mark.parametrize(
        ("root", "blocks", "said"),
        [
            (other[0], [other], "the proof has the root"),
            (other[0], blocks, "the proof has the root"),
            (root, [other], "block 1 of the proof is"),
            (root, [], "the proof ends after 0 blocks"),
            (root, blocks[:1], "the proof ends after 1 blocks"),
            (root, blocks[:2], "the proof ends after 2 blocks"),
            (root, [*blocks, other], "the state has no further one"),
            (root, [*blocks, blocks[0]], "the state has no further one"),
            (root, [blocks[0], *blocks], "block 2 of the proof is"),
            (root, [blocks[0], blocks[2], blocks[1]], "block 2 of the proof is"),
            (root, [blocks[0], other, *blocks[1:]], "block 2 of the proof is"),
            (root, blocks[1:], "block 1 of the proof is"),
        ],
    )
    def test_other_car_is_refused(self, root: Cid, blocks: Sequence[tuple[Cid, bytes]], said: str) -> None:
        with pytest.raises(ProofRefused, match=said):
            proven_blocks(self.root, car(root, blocks))

    @pytest.mark.slow
    def test_a_changed_bit_is_seen_wherever_it_is(self) -> None:
        proof = car(self.root, self.blocks)
        for place in range(len(proof) * 8):
            changed = bytearray(proof)
            changed[place // 8] ^= 1 << place % 8
            with pytest.raises(ProofRefused):
                proven_blocks(self.root, bytes(changed))

    def test_a_proof_has_a_largest_size(self) -> None:
        with pytest.raises(ProofRefused, match=f"a proof of {MAX_PROOF + 1} bytes: at most {MAX_PROOF}"):
            proven_blocks(self.root, bytes(MAX_PROOF + 1))

    def test_two_roots_and_version_2_are_refused(self) -> None:
        file = BytesIO()
        write_car(file, [self.root, self.other[0]], self.blocks)
        with pytest.raises(ProofRefused, match="the proof has the root"):
            proven_blocks(self.root, file.getvalue())

    @pytest.mark.parametrize("chunk", [1, 50, 4_000])
    def test_the_largest_state_that_is_proven_fits_a_proof(self, chunk: int) -> None:
        """The limit is in bytes as rent counts them; for any blocks, the CAR is not larger."""
        store, links, size = MemoryStore(), list[object](), 0
        while True:
            leaf = len(links).to_bytes(4, "big") + bytes(chunk)
            store.put(cid_of(leaf, RAW), leaf)
            data = encode([*links, link(cid_of(leaf, RAW))])
            larger = size + len(leaf) + BLOCK_BYTES
            if larger + len(data) + BLOCK_BYTES > MAX_PROVEN:
                break
            links, size = [*links, link(cid_of(leaf, RAW))], larger
        data = encode(links)
        root = cid_of(data, DAG_CBOR)
        store.put(root, data)
        found = size_of(store, root, STATE_BLOCKS)
        assert found.is_provable
        assert found.blocks == len(links) + 1
        assert len(proof_of(store, root)) <= MAX_PROOF


def test_state_above_block_limit_pays_for_walked_blocks_only() -> None:
    store, links = MemoryStore(), []
    for number in range(50):
        store.put(cid_of(bytes([number]), RAW), bytes([number]))
        links.append(link(cid_of(bytes([number]), RAW)))
    data = encode(links)
    store.put(cid_of(data), data)
    part = size_of(store, cid_of(data), 10)
    assert (part.size, part.blocks, part.whole, part.is_provable) == (len(data) + 9 + 10 * 128, 10, False, False)

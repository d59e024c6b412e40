"""Verification of proofs: storage proofs, sector commitments, and consensus faults.

- The adapter of the extension that verifies storage proofs: what it passes on, and what its errors become.
- The CBOR decoder of proof syscalls: round trips and arbitrary bytes; tests/golden/decoder.jsonl.gz has the rest.
- CommD: commitments of zero pieces from go-commp-utils, and a sector sealed on the main network.
- Block headers signed with BLS keys.
- Consensus faults by block headers signed with a BLS key; the rules are those of lotus chain/vm/fvm.go.

The extension itself is tested by `make proofs-extension`, with real proofs; here a recorder stands in for it.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.errors import Fatal, InvalidInput, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.messages.address import Address
from hypervisor.messages.signatures import BLS_DOMAIN
from hypervisor.proofs.consensus_faults import (
    DOUBLE_FORK,
    PARENT_GRINDING,
    TIME_OFFSET,
    ConsensusFault,
    NoFault,
    find_fault,
    lookback_epoch,
    read_header,
)
from hypervisor.proofs.verifier import (
    EXTENSION,
    InputKind,
    StorageProofs,
    data_commitment,
    piece_commitment,
    prover_id,
    read_proof_input,
    sector_size,
    unsealed_cid,
    zero_commitment,
)
from hypervisor.types import ActorID, ChainEpoch, encode_bigint
from localnet.accounts import BLS_ACCOUNT
from store.cid import FIL_COMMITMENT_SEALED, FIL_COMMITMENT_UNSEALED, RAW, SHA2_256, Cid, cid_of, parse_cid, show
from store.codec import CodecError, decode, encode, link
from tests.hypervisor.world import World, refused, used

COMMITMENT = bytes(31) + b"\1"
DATA = parse_cid("baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq")
SEALED, PIECE = link(Cid(bytes.fromhex("0182e20381e80220") + COMMITMENT)), link(DATA)
CONTENT = bytes(DATA)[-32:]
TICKET, SEED = b"\1" * 32, b"\2" * 32
MINER = 1000
PROVER = b"\xe8\x07" + bytes(30)  # 1000 in LEB128, as ref-fvm's `prover_id_from_u64`


class Recorder:
    """Answers every request alike, and records it."""

    class ParametersError(RuntimeError):
        pass

    class ProofError(ValueError):
        pass

    def __init__(self) -> None:
        self.requests: list[tuple[Any, ...]] = []
        self.answer: bool | Exception = True

    def configure(self, folder: str, check_digests: bool) -> None:
        self.requests.append(("configure", folder, check_digests))

    def __getattr__(self, name: str) -> Any:
        def ask(*arguments: Any) -> bool:
            self.requests.append((name, *arguments))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return ask


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, EXTENSION, recorder)
    return recorder


@pytest.fixture
def kernel(extension: Recorder, tmp_path: Path) -> Kernel:
    found = World(28, proofs=StorageProofs(tmp_path)).kernel(limit=10**15)
    extension.requests.clear()
    return found


def seal(number: int = 1, proof: bytes = b"proof", sealed: Any = SEALED) -> list[Any]:
    return [8, [MINER, number], [], TICKET, SEED, proof, sealed, PIECE]


def window() -> bytes:
    return encode([bytes(32), [[13, b"proof"]], [[8, 1, SEALED]], MINER])


def aggregate(count: int = 2, seal_type: int = 8, proof: bytes = b"proof") -> bytes:
    sectors = [[number, TICKET, SEED, SEALED, PIECE] for number in range(1, count + 1)]
    return encode([MINER, seal_type, 1, proof, sectors])


def update() -> bytes:
    return encode([3, SEALED, SEALED, PIECE, (1, 2, 3)])


def test_the_folder_is_set_with_digest_checks(extension: Recorder, tmp_path: Path) -> None:
    StorageProofs(tmp_path)
    StorageProofs(tmp_path, check_digests=False)
    assert extension.requests == [("configure", str(tmp_path), True), ("configure", str(tmp_path), False)]


def test_fields_of_each_proof_reach_the_extension(kernel: Kernel, extension: Recorder) -> None:
    assert kernel.proofs.verify_post(window())
    assert kernel.proofs.verify_aggregate_seals(aggregate())
    assert kernel.proofs.verify_replica_update(update())
    assert kernel.proofs.batch_verify_seals(kernel.proofs.read_seals(encode([seal()]))) == [True]
    assert extension.requests == [
        ("verify_window_post", 13, bytes(32), [b"proof"], [(1, COMMITMENT)], PROVER),
        (
            "verify_aggregate",
            8,
            1,
            PROVER,
            [(number, COMMITMENT, CONTENT, TICKET, SEED) for number in (1, 2)],
            b"proof",
        ),
        ("verify_replica_update", 3, COMMITMENT, COMMITMENT, CONTENT, b"\1\2\3"),
        ("verify_seal", 8, PROVER, (1, COMMITMENT, CONTENT, TICKET, SEED), b"proof"),
    ]


def test_a_proof_that_is_none_is_an_illegal_argument_and_a_false_seal(kernel: Kernel, extension: Recorder) -> None:
    extension.answer = extension.ProofError("not on curve")
    refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: kernel.proofs.verify_post(window()))
    refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: kernel.proofs.verify_aggregate_seals(aggregate()))
    refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: kernel.proofs.verify_replica_update(update()))
    assert kernel.proofs.batch_verify_seals(kernel.proofs.read_seals(encode([seal()]))) == [False]


@pytest.mark.parametrize(
    ("seal_type", "count", "size"),
    [(8, 819, 5), (5, 819, 5), (8, 2, 81_960), (18, 65, 5), (19, 65, 5), (8, 66, 5)],
)
def test_largest_aggregates_reach_the_extension(
    kernel: Kernel, extension: Recorder, seal_type: int, count: int, size: int
) -> None:
    """The limits are those of builtin-actors runtime/src/runtime/policy.rs."""
    assert kernel.proofs.verify_aggregate_seals(aggregate(count, seal_type, bytes(size)))
    ((name, *_, sectors, proof),) = extension.requests
    assert (name, len(sectors), len(proof)) == ("verify_aggregate", count, size)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seal_type", "count", "size", "words"),
    [
        (8, 820, 5, "820 seals of type 8 exceed the maximum of 819"),
        (18, 66, 5, "66 seals of type 18 exceed the maximum of 65"),
        (15, 66, 5, "66 seals of type 15"), (8, 20_000, 5, "20000 seals"),
        (8, 2, 81_961, "a proof of 81961 bytes exceeds the maximum of 81960"),
    ],
)  # fmt: skip
def test_larger_aggregates_are_refused_before_the_extension(
    kernel: Kernel, extension: Recorder, seal_type: int, count: int, size: int, words: str
) -> None:
    with pytest.raises(SyscallError, match=words) as error:
        kernel.proofs.verify_aggregate_seals(aggregate(count, seal_type, bytes(size)))
    assert error.value.number == ErrorNumber.ILLEGAL_ARGUMENT
    assert extension.requests == []


def test_a_seal_that_cannot_be_one_is_false_beside_a_valid_one(kernel: Kernel, extension: Recorder) -> None:
    infos = encode([seal(1), seal(2, sealed=PIECE), seal(3)])
    assert kernel.proofs.batch_verify_seals(kernel.proofs.read_seals(infos)) == [True, False, True]
    assert [request[3][0] for request in extension.requests] == [1, 3]


def test_missing_keys_are_fatal_for_every_proof(kernel: Kernel, extension: Recorder) -> None:
    extension.answer = extension.ParametersError("the file v28.vk is missing")
    for ask in (
        lambda: kernel.proofs.verify_post(window()),
        lambda: kernel.proofs.verify_aggregate_seals(aggregate()),
        lambda: kernel.proofs.verify_replica_update(update()),
        lambda: kernel.proofs.batch_verify_seals(kernel.proofs.read_seals(encode([seal()]))),
    ):
        with pytest.raises(Fatal, match=r"the file v28\.vk is missing; fetch the keys"):
            ask()


@pytest.mark.parametrize("answer", [True, False])
def test_charges_do_not_depend_on_the_verifier(extension: Recorder, tmp_path: Path, answer: bool) -> None:
    def charged(kernel: Kernel) -> list[int]:
        kernels = kernel.proofs
        asked = (
            lambda: kernels.verify_post(window()),
            lambda: kernels.verify_aggregate_seals(aggregate()),
            lambda: kernels.verify_replica_update(update()),
            lambda: kernels.batch_verify_seals(kernels.read_seals(encode([seal()]))),
        )
        return [used(kernel, partial(_quiet, ask)) for ask in asked]

    extension.answer = answer
    with_verifier = charged(World(28, proofs=StorageProofs(tmp_path)).kernel(limit=10**15))
    assert with_verifier == charged(World(28).kernel(limit=10**15))  # the default verifier ends each fatally
    assert min(with_verifier) > 0


def _quiet(ask: Any) -> None:
    with suppress(Fatal, SyscallError):
        ask()


def test_without_the_extension_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, EXTENSION, None)  # makes the import fail
    with pytest.raises(InvalidInput, match=r"needs the extension fvm_hypervisor_proofs .*pip install"):
        StorageProofs(tmp_path)


def test_a_missing_folder_and_another_folder_are_refused(extension: Recorder, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="does not exist: fetch the keys first"):
        StorageProofs(tmp_path / "nowhere")

    def configure(folder: str, check_digests: bool) -> None:
        raise extension.ParametersError("this process already uses the parameters in /keys")

    extension.configure = configure  # type: ignore[method-assign]  # as after another folder
    with pytest.raises(InvalidInput, match="already uses the parameters in /keys"):
        StorageProofs(tmp_path)


def test_a_forked_process_does_not_ask_the_extension(
    kernel: Kernel, extension: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    with pytest.raises(Fatal, match="execute without `parallel`"):
        kernel.proofs.verify_post(window())
    assert extension.requests == []


@pytest.mark.parametrize(("miner", "prefix"), [(0, "00"), (1000, "e807"), (2**63 - 1, "ffffffffffffffff7f")])
def test_a_prover_is_the_miners_id_in_leb128(miner: int, prefix: str) -> None:
    assert prover_id(miner) == bytes.fromhex(prefix).ljust(32, b"\0")


CID = cid_of(b"x")
LINK = encode(link(CID))
PIECES = [(InputKind.UNSIGNED, InputKind.LINK)]


@given(
    st.lists(st.tuples(st.integers(0, (1 << 64) - 1), st.integers(-(1 << 63), (1 << 63) - 1), st.binary(max_size=40))),
)
def test_canonical_cbor_is_read_as_it_was_written(rows: list[tuple[int, int, bytes]]) -> None:
    shape = [(InputKind.UNSIGNED, InputKind.SIGNED, InputKind.BYTES, InputKind.LINK)]
    data = encode([[*row, link(CID)] for row in rows])
    assert read_proof_input(data, shape) == [[*row, CID] for row in rows]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for shape in (PIECES, [InputKind.BYTES], InputKind.LINK, (InputKind.SIGNED, [InputKind.OCTET])):
        try:
            read_proof_input(data, shape)
        except CodecError:
            continue


def test_link_cid_is_read_from_its_leading_bytes() -> None:
    assert isinstance(read_proof_input(LINK, InputKind.LINK), bytes)
    assert read_proof_input(LINK, InputKind.LINK) == Cid(LINK[5:])


MIB = 1 << 20

ZERO_PIECES = {  # go-commp-utils zerocomm: bytes -> commitment
    128: "3731bb99ac689f66eef5973e4a94da188f4ddcae580724fc6f3fd60dfd488333",
    256: "642a607ef886b004bf2c1978463ae1d4693ac0f410eb2d1b7a47fe205e5e750f",
    2 << 10: "fc7e928296e516faade986b28f92d44a4f24b935485223376a799027bc18f833",
    8 << 20: "65f29e5d98d246c38b388cfc06db1f6b021303c5a289000bdce832a9c3ec421c",
    512 << 20: "39560e7b13a93b07a243fd2720ffa7cb3e1d2e505ab3629e79f46313512cda06",
    4 << 30: "66ce05a3667552cf45c02bcc4e8392919bdeac35de2ff56271848e9f7b675107",
}

# Sector 139074 of f01392893, as reported by its storage provider (from go-commp-utils' tests)
SECTOR = "baga6ea4seaqiw3gbmstmexb7sqwkc5r23o3i7zcyx5kr76pfobpykes3af62kca"
SECTOR_PIECES = [
    (256 * MIB, "baga6ea4seaqknzm22isnhsxt2s4dnw45kfywmhenngqq3nc7jvecakoca6ksyhy"),
    (1024 * MIB, "baga6ea4seaqnq6o5wuewdpviyoafno4rdpqnokz6ghvg2iyeyfbqxgcwdlj2egi"),
    (512 * MIB, "baga6ea4seaqpixk4ifbkzato3huzycj6ty6gllqwanhdpsvxikawyl5bg2h44mq"),
    (512 * MIB, "baga6ea4seaqaxwe5dy6nt3ko5tngtmzvpqxqikw5mdwfjqgaxfwtzenc6bgzajq"),
    (1024 * MIB, "baga6ea4seaqpy33nbesa4d6ot2ygeuy43y4t7amc4izt52mlotqenwcmn2kyaai"),
    (256 * MIB, "baga6ea4seaqphvv4x2s2v7ykgc3ugs2kkltbdeg7icxstklkrgqvv72m2v3i2aa"),
    (512 * MIB, "baga6ea4seaqf5u55znk6jwhdsrhe37emzhmehiyvjxpsww274f6fiy3h4yctady"),
    (1024 * MIB, "baga6ea4seaqa3qbabsbmvk5er6rhsjzt74beplzgulthamm22jue4zgqcuszofi"),
    (256 * MIB, "baga6ea4seaqiekvf623muj6jpxg6vsqaikyw3r4ob5u7363z7zcaixqvfqsc2ji"),
    (512 * MIB, "baga6ea4seaqhsewv65z2d4m5o4vo65vl5o6z4bcegdvgnusvlt7rao44gro36pi"),
]


@pytest.mark.parametrize(("size", "commitment"), ZERO_PIECES.items())
def test_zero_pieces_have_the_networks_commitments(size: int, commitment: str) -> None:
    assert zero_commitment(size).hex() == commitment


def test_empty_32_gib_sector_has_well_known_cid() -> None:
    assert show(unsealed_cid(data_commitment(32 << 30, []))) == (
        "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq"
    )


def test_mainnet_sector_pieces_give_its_known_commitment() -> None:
    pieces = [(size, piece_commitment(parse_cid(cid))) for size, cid in SECTOR_PIECES]
    assert unsealed_cid(data_commitment(32 << 30, pieces)) == parse_cid(SECTOR)


def test_the_cid_of_a_commitment_has_the_networks_codec_and_hash() -> None:
    assert unsealed_cid(bytes(32)).hex() == "0181e203922020" + "00" * 32
    assert piece_commitment(unsealed_cid(bytes(range(32)))) == bytes(range(32))


@pytest.mark.parametrize(
    ("proof_type", "size"),
    [(0, 2 << 10), (1, 8 << 20), (2, 512 << 20), (3, 32 << 30), (4, 64 << 30), (8, 32 << 30), (9, 64 << 30),
     (13, 32 << 30), (19, 64 << 30), (20, None), (-1, None)],
)  # fmt: skip
def test_every_seal_has_its_sector_size(proof_type: int, size: int | None) -> None:
    assert sector_size(proof_type) == size


def node(left: bytes, right: bytes) -> bytes:
    """Return sha2-256 with the two top bits of the last byte cleared."""
    digest = hashlib.sha256(left + right).digest()
    return digest[:31] + bytes([digest[31] & 0x3F])


A, B, C = (node(bytes([n]) * 32, bytes(32)) for n in (1, 2, 3))


def zero(size: int) -> bytes:
    half = bytes(32) if size == 64 else zero(size // 2)
    return node(half, half)


def test_pieces_are_padded_to_a_multiple_of_their_own_size() -> None:
    # 128 | 128 zeros | 256, then 1,536 zeros: 512 and 1,024
    expected = node(node(node(node(A, zero(128)), B), zero(512)), zero(1024))
    assert data_commitment(2048, [(128, A), (256, B)]) == expected


def test_pieces_that_fit_stand_side_by_side() -> None:
    # 256 | 128 | 128, then 512 and 1,024 zeros
    expected = node(node(node(A, node(B, C)), zero(512)), zero(1024))
    assert data_commitment(2048, [(256, A), (128, B), (128, C)]) == expected


def test_one_piece_may_be_the_whole_sector() -> None:
    assert data_commitment(2048, [(2048, A)]) == A


@pytest.mark.parametrize(
    "pieces",
    [
        [(4096, A)],
        [(2048, A), (128, B)],
        [(1024, A), (1024, B), (1024, C)],
        [(128, A), (2048, B)],
        [(64, A)],
        [(0, A)],
        [(-128, A)],
        [(192, A)],
        [(127, A)],
    ],
    ids=repr,
)
def test_pieces_that_do_not_fit_are_refused(pieces: list[tuple[int, bytes]]) -> None:
    with pytest.raises(ValueError):
        data_commitment(2048, pieces)


@pytest.mark.parametrize(
    "cid",
    [
        cid_of(b"x", FIL_COMMITMENT_UNSEALED, SHA2_256),
        cid_of(b"x", RAW),
        Cid(unsealed_cid(bytes(32)).replace(b"\x81\xe2\x03", b"\x82\xe2\x03")),
        Cid(b"\x01\x81\xe2\x03\x92\x20\x1f" + bytes(31)),
        Cid(unsealed_cid(bytes(32))[:-1]),
        Cid(b""),
    ],
    ids=["another hash", "raw", "sealed", "31 bytes", "cut", "empty"],
)
def test_other_cids_are_no_pieces(cid: Cid) -> None:
    with pytest.raises(ValueError):
        piece_commitment(cid)


def test_a_sealed_sector_is_no_piece() -> None:
    with pytest.raises(ValueError):
        piece_commitment(cid_of(b"x", FIL_COMMITMENT_SEALED, SHA2_256))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([128 << n for n in range(6)]), st.binary(min_size=32, max_size=32))))
def test_trailing_zero_piece_does_not_change_commitment(pieces: list[tuple[int, bytes]]) -> None:
    size = 64 << 10
    try:
        without = data_commitment(size, pieces)
    except ValueError:
        return
    used = 0
    for length, _ in pieces:
        used += -used % length + length
    if used + 128 <= size:
        assert data_commitment(size, [*pieces, (128, zero_commitment(128))]) == without


WORKER = BLS_ACCOUNT
"""The key of the secret number 1, which local miners have as worker."""
OTHER_SECRET = 7


def header(
    miner: Address, epoch: int, parents: Sequence[Cid], *, weight: int = 1, timestamp: int = 5, key: int = 1
) -> tuple[list[Any], int]:
    """Return the fields of a header without a signature, and the secret to sign with; 0 leaves it out."""
    state = link(cid_of(b"state"))
    fields = [
        miner.to_bytes(), [b"ticket"], [1, b"vrf"], [[8, b"entry"]], [[3, b"proof"]],
        [link(parent) for parent in parents], encode_bigint(weight), epoch, state, state, state, None, timestamp,
        None, 0, encode_bigint(100),
    ]  # fmt: skip
    return fields, key


def signed(made: tuple[list[Any], int]) -> bytes:
    fields, secret = made
    if secret:
        fields = [*fields[:13], b"\2" + bls_signature(secret, encode(fields)), *fields[14:]]
    return encode(fields)


def bls_signature(secret: int, text: bytes) -> bytes:
    from py_arkworks_bls12381 import G2Point, Scalar

    return bytes((G2Point.hash_to_curve(text, BLS_DOMAIN) * Scalar(secret)).to_compressed_bytes())


def public_key(secret: int) -> Address:
    from py_arkworks_bls12381 import G1Point, Scalar

    return Address.bls(bytes((G1Point() * Scalar(secret)).to_compressed_bytes()))


FAULTY_MINER = Address.id(1000)
PARENTS = [cid_of(b"one"), cid_of(b"two")]


def key_of(miner: Address, epoch: ChainEpoch) -> Address:
    return WORKER


def block(epoch: int, **changes: Any) -> bytes:
    return signed(header(FAULTY_MINER, epoch, changes.pop("parents", PARENTS), **changes))


def refused_fault(first: bytes, second: bytes, extra: bytes = b"") -> str:
    with pytest.raises(NoFault) as caught:
        find_fault(first, second, extra, key_of)
    return str(caught.value)


def cid(data: bytes) -> Cid:
    return cid_of(data)


GRINDING = (block(50), block(51, parents=[cid(block(50, weight=2))]), block(50, weight=2))


@pytest.mark.parametrize(
    ("headers", "kind", "epoch"),
    [
        ((block(50), block(50, timestamp=7), b""), DOUBLE_FORK, 50),
        ((block(50), block(50, parents=[cid_of(b"x")]), b""), DOUBLE_FORK, 50),
        ((block(50), block(52), b""), TIME_OFFSET, 52),
        ((block(50), block(52, parents=PARENTS[::-1]), b""), TIME_OFFSET, 52),
        (GRINDING, PARENT_GRINDING, 51),
        # a fault by heights stays one beside an extra header that is no sibling
        ((block(50), block(50, timestamp=7), block(49)), DOUBLE_FORK, 50),
        # bytes after a header are ignored, as by the reader of lotus
        ((block(50) + b"\xff", block(52) + block(9), b""), TIME_OFFSET, 52),
    ],
)
def test_headers_prove_a_fault(headers: tuple[bytes, bytes, bytes], kind: int, epoch: int) -> None:
    requests: list[tuple[Address, int]] = []

    def key(miner: Address, at: ChainEpoch) -> Address:
        requests.append((miner, at))
        return WORKER

    assert find_fault(*headers, key) == ConsensusFault(ActorID(1000), ChainEpoch(epoch), kind)
    assert requests == [(FAULTY_MINER, 50), (FAULTY_MINER, epoch)]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ((block(50), block(50), b""), "the two headers are the same block"),
        ((block(50), signed(header(Address.id(1001), 50, PARENTS)), b""), "different miners: f01000 and f01001"),
        ((block(52), block(50), b""), "first header's epoch 52 is after the second header's epoch 50"),
        ((block(50), block(52, parents=[]), b""), "neither share an epoch nor their parents"),
        ((block(50), block(52, parents=PARENTS[:1]), b""), "neither share"),
        ((GRINDING[0], GRINDING[1], b""), "neither share"),
        ((GRINDING[0], GRINDING[1], block(49, weight=2)), "neither share"),  # no parent of the second
        ((block(50), block(51, parents=[cid(block(49))]), block(49)), "neither share"),  # a sibling of another epoch
        ((GRINDING[0], block(51, parents=[cid(GRINDING[0]), cid(GRINDING[2])]), GRINDING[2]), "neither share"),
        ((block(50), block(52, key=OTHER_SECRET), b""), "second header is not signed by the worker f3"),
        ((block(50, key=OTHER_SECRET), block(52), b""), "first header is not signed by the worker f3"),
        ((block(50, key=0), block(52), b""), "the first header has no signature"),
        ((b"", block(52), b""), "the first header is not a block header"),
        ((block(50), block(52)[:-1], b""), "the second header is not a block header"),
        ((block(50), block(52), b"\x80"), "extra header is not a block header: expected an array of 16 fields"),
    ],
)
def test_headers_prove_no_fault(headers: tuple[bytes, bytes, bytes], reason: str) -> None:
    assert reason in refused_fault(*headers)


def test_a_miner_must_be_an_id() -> None:
    miner = Address.actor(b"miner")
    found = [signed(header(miner, epoch, PARENTS)) for epoch in (50, 52)]
    assert "is not an ID address" in refused_fault(found[0], found[1])


@pytest.mark.parametrize("field", range(16))
@pytest.mark.parametrize("which", [0, 1])
def test_a_changed_field_is_refused(which: int, field: int) -> None:
    headers = [block(50), block(52)]
    fields = decode(headers[which])
    fields[field] = CHANGES[field](fields[field])
    headers[which] = encode(fields)
    with pytest.raises(NoFault):
        find_fault(headers[0], headers[1], b"", key_of)


def more(value: int) -> int:
    return value + 1


def other_bytes(value: bytes | None) -> bytes:
    return (value or b"\0") + b"\1"


CHANGES: list[Callable[[Any], Any]] = [
    lambda _: Address.id(1001).to_bytes(), lambda _: None, lambda _: [2, b"vrf"], lambda _: [],
    lambda _: [[3, b"altered"]], lambda _: [link(PARENTS[0])], other_bytes, more, lambda _: link(PARENTS[0]),
    lambda _: link(PARENTS[0]), lambda _: link(PARENTS[0]), lambda _: b"\2aggregate", more,
    lambda value: value[:-1] + bytes([value[-1] ^ 1]), more, other_bytes,
]  # fmt: skip


@pytest.mark.parametrize("field", range(16))
def test_a_field_of_another_type_is_no_header(field: int) -> None:
    fields = decode(block(50))
    fields[field] = {"a": 1}
    with pytest.raises(NoFault, match="the block is not a block header"):
        read_header(encode(fields), "the block")


def test_leading_zeros_of_amounts_do_not_change_the_block() -> None:
    fields = decode(block(50))
    fields[6] = b"\0\0" + fields[6][1:]
    assert read_header(encode(fields), "a") == read_header(block(50), "b")


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(NoFault):
        find_fault(data, block(50), data, key_of)
    with pytest.raises(NoFault):
        find_fault(block(50), data, b"", key_of)


def test_reports_reach_back_900_epochs() -> None:
    assert lookback_epoch(ChainEpoch(2100), ChainEpoch(3000)) == 1200
    assert lookback_epoch(ChainEpoch(899), ChainEpoch(1000)) == 0
    with pytest.raises(NoFault, match="epoch 2099 is more than 900 epochs before the current epoch 3000"):
        lookback_epoch(ChainEpoch(2099), ChainEpoch(3000))


def test_the_test_key_is_the_workers() -> None:
    assert public_key(1) == WORKER

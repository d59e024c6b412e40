"""CommD: commitments of zero pieces from go-commp-utils, and a sector sealed on the main network."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.proofs.inputs import data_commitment, piece_commitment, sector_size, unsealed_cid, zero_commitment
from store.cid import FIL_COMMITMENT_SEALED, FIL_COMMITMENT_UNSEALED, RAW, SHA2_256, Cid, cid_of, parse_cid, show

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

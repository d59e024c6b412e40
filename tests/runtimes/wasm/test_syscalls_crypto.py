"""Hashes, signatures and proofs, as a guest meets them. Expected digests are published ones."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

import coincurve
import pytest

from hypervisor.address import Address
from hypervisor.machine import Hypervisor
from hypervisor.proofs import AcceptProofs
from store.cid import Cid
from store.codec import encode, link
from tests.runtimes.wasm.guests import (
    ILLEGAL_ARGUMENT,
    OK,
    answer,
    data,
    probe,
    run,
)

DIGESTS = [
    # RFC 7693 and FIPS 180 for "abc"; the RIPEMD-160 paper; Ethereum's keccak of "abc"
    (0x12, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (0xB220, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"),
    (0x1053, "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
    (0x1B, "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    (0xB240, "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
             "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "digest"), DIGESTS)
@pytest.mark.parametrize("room", [4, 64])
def test_hashes(machine: Hypervisor, code: int, digest: str, room: int) -> None:
    hash_ = (
        f"(call $hash (i32.const 0) (i64.const {code}) (i32.const 100) (i32.const 3) (i32.const 8) (i32.const {room}))"
    )
    shown = answer(machine, hash_, "crypto.hash", fields=data(100, b"abc"), show=(0, 72))
    expected = bytes.fromhex(digest)[:room]
    assert shown == (OK, struct.pack("<II", len(expected), 0) + expected.ljust(64, b"\0"))


@pytest.mark.parametrize(
    "arguments",
    [
        "(i64.const 0x99) (i32.const 0) (i32.const 3) (i32.const 8) (i32.const 32)",
        "(i64.const 0x12) (i32.const 65535) (i32.const 3) (i32.const 8) (i32.const 32)",
        "(i64.const 0x12) (i32.const 0) (i32.const 3) (i32.const 65530) (i32.const 32)",
    ],
)
def test_hashes_refuse(machine: Hypervisor, arguments: str) -> None:
    assert answer(machine, f"(call $hash (i32.const 0) {arguments})", "crypto.hash")[0] == ILLEGAL_ARGUMENT


SECRET = coincurve.PrivateKey(b"\x07" * 32)
SIGNER = Address.secp256k1(SECRET.public_key.format(compressed=False))


def verify(kind: int, plaintext: bytes, signature: bytes, signer: Address) -> tuple[str, str]:
    raw = signer.to_bytes()
    text = (
        f"(call $verify_signature (i32.const 0) (i32.const {kind}) (i32.const 100) (i32.const {len(signature)})"
        f" (i32.const 300) (i32.const {len(raw)}) (i32.const 400) (i32.const {len(plaintext)}))"
    )
    return text, data(100, signature) + data(300, raw) + data(400, plaintext)


def test_signatures_are_verified(machine: Hypervisor) -> None:
    plaintext = b"plain"
    signature = SECRET.sign_recoverable(hashlib.blake2b(plaintext, digest_size=32).digest(), hasher=None)
    for text, verdict in [(plaintext, 0), (b"other", -1)]:
        ask, fields = verify(1, text, signature, SIGNER)
        assert answer(machine, ask, "crypto.verify_signature", fields=fields, show=(0, 4)) == (
            OK,
            struct.pack("<i", verdict),
        )
    for kind, signer in [(3, SIGNER), (0, SIGNER), (1, Address.id(100))]:
        ask, fields = verify(kind, plaintext, signature, signer)
        assert answer(machine, ask, "crypto.verify_signature", fields=fields)[0] == ILLEGAL_ARGUMENT


def test_public_keys_are_recovered(machine: Hypervisor) -> None:
    digest = hashlib.sha256(b"message").digest()
    signature = SECRET.sign_recoverable(digest, hasher=None)
    recover = "(call $recover_secp_public_key (i32.const 0) (i32.const 100) (i32.const 200))"
    fields = data(100, digest) + data(200, signature)
    shown = answer(machine, recover, "crypto.recover_secp_public_key", fields=fields, show=(0, 65))
    assert shown == (OK, SECRET.public_key.format(compressed=False))
    bad = data(100, digest) + data(200, b"\xff" * 65)
    assert answer(machine, recover, "crypto.recover_secp_public_key", fields=bad)[0] == ILLEGAL_ARGUMENT


def bls_case(count: int) -> tuple[bytes, bytes, list[bytes]]:
    """An aggregate, its keys, its plaintexts, made with another interface of the library than the machine's."""
    from py_arkworks_bls12381 import G1Point, G2Point, Scalar

    from hypervisor.signatures import BLS_DOMAIN

    keys, total, plaintexts = b"", G2Point.identity(), []
    for number in range(count):
        secret = Scalar(number + 5)
        plaintexts.append(b"text %d" % number)
        keys += bytes((G1Point() * secret).to_compressed_bytes())
        total = total + G2Point.hash_to_curve(plaintexts[-1], BLS_DOMAIN) * secret
    return bytes(total.to_compressed_bytes()), keys, plaintexts


def test_bls_aggregates_are_verified(machine: Hypervisor) -> None:
    aggregate, keys, plaintexts = bls_case(3)
    ask = (
        "(call $verify_bls_aggregate (i32.const 0) (i32.const 3) (i32.const 100) (i32.const 200) (i32.const 400)"
        " (i32.const 600))"
    )
    lengths = b"".join(len(text).to_bytes(4, "little") for text in plaintexts)
    for texts, verdict in [(plaintexts, 0), ([b"other!", *plaintexts[1:]], -1)]:
        fields = data(100, aggregate) + data(200, keys) + data(400, b"".join(texts)) + data(600, lengths)
        shown = answer(machine, ask, "crypto.verify_bls_aggregate", fields=fields, show=(0, 4))
        assert shown == (OK, struct.pack("<i", verdict))


def test_bls_aggregate_verification_refuses_invalid_lengths(machine: Hypervisor) -> None:
    name = "crypto.verify_bls_aggregate"
    ask = (
        "(call $verify_bls_aggregate (i32.const 0) (i32.const {n}) (i32.const 96) (i32.const 200) (i32.const 8)"
        " (i32.const 8))"
    )
    assert answer(machine, ask.format(n=0), name, show=(0, 4)) == (OK, struct.pack("<i", 0))
    assert answer(machine, ask.format(n=2_000), name)[0] == ILLEGAL_ARGUMENT  # 96,000 bytes of keys
    assert answer(machine, ask.format(n=100_000_000), name)[0] == ILLEGAL_ARGUMENT  # over 2^32
    lengths = data(8, struct.pack("<II", 0xFFFF_FFFF, 2))
    assert answer(machine, ask.format(n=2), name, fields=lengths)[0] == ILLEGAL_ARGUMENT
    assert answer(machine, ask.format(n=1), name, show=(0, 4)) == (OK, struct.pack("<i", -1))  # zeros are no points


@pytest.fixture
def trusting() -> Iterator[Hypervisor]:
    """A machine that takes every proof."""
    with Hypervisor.open(proofs=AcceptProofs()) as machine:
        yield machine


PAIR = "(i32.const 100) (i32.const {length})"


SEALED = link(Cid(bytes.fromhex("0182e20381e80220") + b"s" * 32))
UNSEALED = link(Cid(bytes.fromhex("0181e203922020") + b"u" * 32))
REPLICA_UPDATE = encode([4, SEALED, SEALED, UNSEALED, [1, 2, 3]])
AGGREGATE = encode([1000, 8, 0, b"proof", [[1, b"r" * 32, b"i" * 32, SEALED, UNSEALED]]])
SEAL = [8, [1000, 1], [5, 6], b"r" * 32, b"i" * 32, b"proof", SEALED, UNSEALED]
WINDOW_PROOF = encode([b"r" * 32, [[13, b"proof"]], [[13, 1, SEALED]], 1000])


@pytest.mark.parametrize(
    ("name", "info"),
    [
        ("verify_replica_update", REPLICA_UPDATE),
        ("verify_aggregate_seals", AGGREGATE),
        ("verify_post", WINDOW_PROOF),
    ],
)
def test_proofs_are_taken_where_the_machine_trusts(trusting: Hypervisor, name: str, info: bytes) -> None:
    ask = f"(call ${name} (i32.const 0) (i32.const 100) (i32.const {{length}}))"
    fields = data(100, info)
    shown = answer(trusting, ask.format(length=len(info)), f"crypto.{name}", fields=fields, show=(0, 4))
    assert shown == (OK, bytes(4))
    for length in (0, len(info) - 1, 99_999):
        assert answer(trusting, ask.format(length=length), f"crypto.{name}", fields=fields)[0] == ILLEGAL_ARGUMENT


def test_absent_consensus_fault_writes_zeros(trusting: Hypervisor) -> None:
    ask = "(call $verify_consensus_fault (i32.const 0)" + " (i32.const 64) (i32.const 0)" * 3 + ")"
    fields = data(0, b"\xff" * 24)
    shown = answer(trusting, ask, "crypto.verify_consensus_fault", fields=fields, show=(0, 24))
    assert shown == (OK, bytes(20) + b"\xff" * 4)


def test_a_batch_of_seals_answers_a_byte_each(trusting: Hypervisor) -> None:
    seals = encode([SEAL, SEAL])
    ask = f"(call $batch_verify_seals (i32.const 100) (i32.const {len(seals)}) (i32.const {{result}}))"
    fields = data(100, seals)
    shown = answer(trusting, ask.format(result=0), "crypto.batch_verify_seals", fields=fields, show=(0, 4))
    assert shown == (OK, b"\x01\x01\0\0")
    assert answer(trusting, ask.format(result=65535), "crypto.batch_verify_seals", fields=fields)[0] == ILLEGAL_ARGUMENT


def test_a_machine_without_a_verifier_does_not_pretend(machine: Hypervisor) -> None:
    ask = f"(call $verify_replica_update (i32.const 0) (i32.const 100) (i32.const {len(REPLICA_UPDATE)}))"
    result = run(machine, probe(ask, "crypto.verify_replica_update", fields=data(100, REPLICA_UPDATE)))
    assert result.exit_code == 10
    assert result.fatal is not None


def test_the_commitment_of_an_empty_sector(machine: Hypervisor) -> None:
    # Z(2 KiB): 32-byte zeros folded six times with sha256, two top bits cleared each time
    node = bytes(32)
    for _ in range(6):
        node = hashlib.sha256(node + node).digest()
        node = node[:31] + bytes([node[31] & 0x3F])
    ask = (
        "(call $compute_unsealed_sector_cid (i32.const 0) (i64.const {kind}) (i32.const 100) (i32.const 1)"
        " (i32.const 8) (i32.const 99))"
    )
    name, fields = "crypto.compute_unsealed_sector_cid", data(100, b"\x80")
    shown = answer(machine, ask.format(kind=0), name, fields=fields, show=(8, 39))
    assert shown == (OK, bytes.fromhex("0181e203922020") + node)
    assert answer(machine, ask.format(kind=20), name, fields=fields)[0] == ILLEGAL_ARGUMENT

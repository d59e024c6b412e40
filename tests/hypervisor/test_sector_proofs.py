"""Real proofs of sealed sectors, verified by the extension through the syscalls (`make proofs-extension`).

The prover is the network's own (`filecoin-proofs-api`, integrations/proofs/examples/sector.rs), with parameters that
are generated for these tests: two sectors of 2 KiB, a window and a winning proof, an update, and an aggregate.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hypervisor.context import ExternError
from hypervisor.errors import Fatal, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.proofs.verifier import EXTENSION, StorageProofs, unsealed_cid
from store.cid import Cid
from store.codec import encode, link
from tests.hypervisor.world import World

SAMPLES = Path(os.environ.get("FVM_PROOF_SAMPLES", "build/proofs/samples"))
SEAL_2_KIB, WINDOW_2_KIB, WINNING_2_KIB, UPDATE_2_KIB, SNARK_PACK_V2 = 5, 10, 0, 0, 1
SEAL_32_GIB = 8
OTHER = bytes(31) + b"\1"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(find_spec(EXTENSION) is None, reason="needs the extension: make proofs-extension"),
]


def sample(kind: str) -> dict[str, Any]:
    path = SAMPLES / f"{kind}.json"
    if not path.is_file():
        pytest.skip(f"{path} is missing: make proofs-extension")
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


@pytest.fixture
def verifier() -> StorageProofs:
    return StorageProofs(SAMPLES / "parameters", check_digests=False)


@pytest.fixture
def kernel(verifier: StorageProofs) -> Kernel:
    return World(28, proofs=verifier).kernel(limit=10**18)


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def sealed(commitment: bytes) -> Cid:
    return Cid(bytes.fromhex("0182e20381e80220") + commitment)


def verdict(ask: Callable[[bytes], bool], info: bytes) -> bool:
    """True for a proof that is verified; False for one that is refused, also as an illegal argument."""
    try:
        return ask(info)
    except SyscallError as error:
        if error.number != ErrorNumber.ILLEGAL_ARGUMENT:
            raise
        return False


def hostile(proof: bytes) -> Iterator[bytes]:
    """Proofs with a changed byte, and of other lengths and contents."""
    for place in range(0, len(proof), max(1, len(proof) // 96)):
        yield proof[:place] + bytes((proof[place] ^ 1,)) + proof[place + 1 :]
    for place in range(0, min(len(proof), 192), 48):
        for byte in (0x00, 0x40, 0x80, 0xC0, 0xFF):
            yield proof[:place] + bytes((byte,)) + proof[place + 1 :]
    yield from (b"", proof[:-1], proof + b"\0", proof * 2, bytes(len(proof)), b"\xff" * len(proof), proof[::-1])


def with_changes(fields: list[Any], changes: dict[int, Any]) -> Iterator[list[Any]]:
    """The fields with one of them replaced, for each change."""
    for place, value in changes.items():
        assert fields[place] != value
        yield [*fields[:place], value, *fields[place + 1 :]]


# --- seals --------------------------------------------------------------------------------------------------------


def seals() -> list[list[Any]]:
    found = sample("seals")
    return [
        [SEAL_2_KIB, [found["miner"], sector["number"]], [], raw(found["ticket"]), raw(found["seed"]), raw(proof),
         link(sealed(raw(sector["replica"]))), link(unsealed_cid(raw(sector["data"])))]
        for sector, proof in zip(found["sectors"], found["proof"], strict=True)
    ]  # fmt: skip


def judged(kernel: Kernel, infos: list[list[Any]]) -> list[bool]:
    return kernel.proofs.batch_verify_seals(kernel.proofs.read_seals(encode(infos)))


def test_seals_of_sectors_are_verified(kernel: Kernel) -> None:
    assert judged(kernel, seals()) == [True, True]


def test_seals_with_another_public_input_are_refused(kernel: Kernel) -> None:
    first, second = seals()
    miner, number = first[1]
    changes = {0: SEAL_2_KIB + 5, 3: OTHER, 4: OTHER, 5: second[5], 6: second[6], 7: link(unsealed_cid(OTHER))}
    altered = [*with_changes(first, changes)]
    altered += [*with_changes(first, {1: [miner + 1, number]}), *with_changes(first, {1: [miner, number + 1]})]
    assert judged(kernel, altered) == [False] * len(altered)


def test_hostile_bytes_are_no_seal(kernel: Kernel) -> None:
    first, _ = seals()
    altered = [[*first[:5], proof, *first[6:]] for proof in hostile(first[5])]
    assert judged(kernel, [*altered, first]) == [False] * len(altered) + [True]


# --- aggregates ---------------------------------------------------------------------------------------------------


def aggregate() -> list[Any]:
    found = sample("aggregate")
    sectors = [
        [sector["number"], raw(found["ticket"]), raw(found["seed"]), link(sealed(raw(sector["replica"]))),
         link(unsealed_cid(raw(sector["data"])))]
        for sector in found["sectors"]
    ]  # fmt: skip
    return [found["miner"], SEAL_2_KIB, SNARK_PACK_V2, raw(found["proof"]), sectors]


def test_an_aggregate_is_verified(kernel: Kernel) -> None:
    assert kernel.proofs.verify_aggregate_seals(encode(aggregate())) is True


def test_aggregates_with_another_public_input_are_refused(kernel: Kernel) -> None:
    fields = aggregate()
    first, second = fields[4]
    changes = {0: first[0] + 1, 1: OTHER, 2: OTHER, 3: second[3], 4: link(unsealed_cid(OTHER))}
    altered = [*with_changes(fields, {0: fields[0] + 1, 1: SEAL_2_KIB + 5, 2: 0, 4: [second, first]})]
    altered += [[*fields[:4], [sector, second]] for sector in with_changes(first, changes)]
    altered += [[*fields[:4], sectors] for sectors in ([first], [first, first], [first, second, second])]
    for each in altered:
        assert not verdict(kernel.proofs.verify_aggregate_seals, encode(each))


def test_hostile_bytes_are_no_aggregate(kernel: Kernel) -> None:
    """Bytes behind an aggregate are not read (`verify_aggregate_seal_commit_proofs` of filecoin-proofs)."""
    fields = aggregate()
    for proof in hostile(fields[3]):
        altered = encode([*fields[:3], proof, fields[4]])
        assert verdict(kernel.proofs.verify_aggregate_seals, altered) is proof.startswith(fields[3])


# --- proofs of spacetime ------------------------------------------------------------------------------------------
#
# Their circuit has no input for the miner: the network draws their randomness for a miner.


def window() -> list[Any]:
    found = sample("window")
    sectors = [[SEAL_2_KIB, sector["number"], link(sealed(raw(sector["replica"])))] for sector in found["sectors"]]
    return [raw(found["randomness"]), [[WINDOW_2_KIB, raw(found["proof"])]], sectors, found["miner"]]


def test_a_window_proof_is_verified(kernel: Kernel) -> None:
    fields = window()
    assert kernel.proofs.verify_post(encode(fields)) is True
    # the network clears two bits of the randomness
    randomness = fields[0][:31] + bytes((fields[0][31] | 0xC0,))
    assert kernel.proofs.verify_post(encode([randomness, *fields[1:]])) is True


def test_window_proofs_with_another_public_input_are_refused(kernel: Kernel) -> None:
    fields = window()
    (first, second), proof = fields[2], fields[1][0]
    altered = [*with_changes(fields, {0: OTHER, 1: [proof, proof], 2: [second]})]
    changed = with_changes(first, {1: first[1] + 10, 2: second[2]})
    altered += [[*fields[:2], [sector, second], fields[3]] for sector in changed]
    altered.append([*fields[:2], [first, second, [SEAL_2_KIB, 99, first[2]]], fields[3]])
    altered.append([*fields[:2], [], fields[3]])
    for each in altered:
        assert not verdict(kernel.proofs.verify_post, encode(each))


def test_hostile_bytes_are_no_window_proof(kernel: Kernel) -> None:
    fields = window()
    for proof in hostile(fields[1][0][1]):
        altered = encode([fields[0], [[WINDOW_2_KIB, proof]], *fields[2:]])
        assert not verdict(kernel.proofs.verify_post, altered)


def test_a_winning_proof_is_verified_and_altered_ones_are_not(verifier: StorageProofs) -> None:
    found = sample("winning")
    miner, randomness, proof = found["miner"], raw(found["randomness"]), raw(found["proof"]["proof"])
    (place,) = verifier.winning_challenge(WINNING_2_KIB, randomness, len(found["sectors"]), miner)
    chosen, other = found["sectors"][place], found["sectors"][1 - place]
    assert chosen["number"] == found["proof"]["number"]
    number, replica = chosen["number"], sealed(raw(chosen["replica"]))

    def verified(*fields: Any) -> bool:
        try:
            return verifier.verify_winning_post(WINNING_2_KIB, *fields)
        except ExternError:
            return False

    fields = [randomness, proof, [(number, replica)], miner]
    assert verified(*fields)
    sectors = [(number, sealed(raw(other["replica"])))]
    for altered in with_changes(fields, {0: OTHER, 2: sectors}):
        assert not verified(*altered)
    assert not verified(randomness, proof, [(number + 1, replica)], miner)
    for bad in hostile(proof):
        assert not verified(randomness, bad, [(number, replica)], miner)


# --- replica updates ----------------------------------------------------------------------------------------------


def update() -> list[Any]:
    found = sample("update")["proof"]
    old, new = (link(sealed(raw(found[name]))) for name in ("old", "new"))
    return [UPDATE_2_KIB, old, new, link(unsealed_cid(raw(found["data"]))), tuple(raw(found["proof"]))]


def test_a_replica_update_is_verified(kernel: Kernel) -> None:
    assert kernel.proofs.verify_replica_update(encode(update())) is True


def test_replica_updates_with_another_public_input_are_refused(kernel: Kernel) -> None:
    fields = update()
    for altered in with_changes(fields, {1: fields[2], 2: fields[1], 3: link(unsealed_cid(OTHER))}):
        assert not verdict(kernel.proofs.verify_replica_update, encode(altered))


def test_hostile_bytes_are_no_replica_update(kernel: Kernel) -> None:
    fields = update()
    for proof in hostile(bytes(fields[4])):
        altered = encode([*fields[:4], tuple(proof)])
        assert not verdict(kernel.proofs.verify_replica_update, altered)


# --- keys ---------------------------------------------------------------------------------------------------------


def test_missing_keys_are_fatal_and_named(kernel: Kernel) -> None:
    fields = window()
    info = [fields[0], [[13, bytes(192)]], [[SEAL_32_GIB, 1, fields[2][0][2]]], fields[3]]
    with pytest.raises(Fatal, match=r"v28-proof-of-spacetime-fallback-.*\.vk is missing; fetch the keys"):
        kernel.proofs.verify_post(encode(info))


def test_keys_without_the_published_digest_are_fatal() -> None:
    sample("window")
    program = (
        "from tests.hypervisor import test_sector_proofs as t\n"
        "verifier = t.StorageProofs(t.SAMPLES / 'parameters')\n"
        "verifier.verify_window_post(t.encode(t.window()))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "does not have the published digest" in ended.stderr
    assert ended.returncode == 1

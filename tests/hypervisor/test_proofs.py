"""The adapter of the extension that verifies storage proofs: what it passes on, and what its errors become.

The extension itself is tested by `make proofs-extension`, with real proofs; here a recorder stands in for it.
"""

import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import Fatal, InvalidInput, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.proofs.storage import EXTENSION, StorageProofs, prover_id
from store.cid import Cid, parse_cid
from store.codec import encode, link
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

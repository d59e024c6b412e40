"""Proof syscalls: requests to the verifier, charges by network version, and machines without a verifier.

Errors and charges from network version 21 on are those of the reference in tests/golden/proofs.jsonl.gz and
decoder.jsonl.gz.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.errors import Fatal, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.externs import ExternError
from hypervisor.kernel import Kernel
from hypervisor.proofs.consensus_faults import ConsensusFault, WorkerKey
from hypervisor.proofs.verifier import AcceptProofs, ProofVerifier, RefuseProofs
from hypervisor.types import ActorID, ChainEpoch
from store.cid import Cid, parse_cid
from store.codec import encode, link
from tests.conftest import samples
from tests.hypervisor.world import GAS, World, refused, used

ILLEGAL_PROOF = ErrorNumber.ILLEGAL_ARGUMENT
SEALED = link(Cid(bytes.fromhex("0182e20381e80220") + bytes(31) + b"\1"))
ZERO_32_GIB = "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq"
PIECE = link(parse_cid(ZERO_32_GIB))
SEAL = [8, [1000, 1], [], bytes(32), bytes(32), bytes(192), SEALED, PIECE]
WINDOW_32_GIB = 13
FAULT = ConsensusFault(ActorID(1_000), ChainEpoch(77), 1)


@dataclass
class Verifier:
    """Rejects every proof and records the requests."""

    requests: list[tuple[object, ...]] = field(default_factory=list)

    def verify_seals(self, infos: bytes, count: int) -> list[bool]:
        self.requests.append(("seals", infos, count))
        return [bool(index % 2) for index in range(count)]

    def verify_window_post(self, info: bytes) -> bool:
        self.requests.append(("window", info))
        return False

    def verify_aggregate_seals(self, info: bytes) -> bool:
        self.requests.append(("aggregate", info))
        return False

    def verify_replica_update(self, info: bytes) -> bool:
        self.requests.append(("update", info))
        return False

    def verify_consensus_fault(
        self, first: bytes, second: bytes, extra: bytes, worker_key: WorkerKey
    ) -> ConsensusFault | None:
        self.requests.append(("fault", first, second, extra))
        return FAULT


def verifying_kernel(verifier: ProofVerifier | None = None, network: int = 28, limit: int = 10**15) -> Kernel:
    return World(network, proofs=verifier).kernel(limit=limit)


def window() -> bytes:
    return encode([bytes(32), [[WINDOW_32_GIB, bytes(192)]], [[8, 1, SEALED]], 1000])


def aggregate() -> bytes:
    return encode([1000, 8, 0, b"proof", [[number, bytes(32), bytes(32), SEALED, PIECE] for number in range(4)]])


def update() -> bytes:
    return encode([3, SEALED, SEALED, PIECE, (1, 2, 3)])


def seals(count: int) -> bytes:
    return encode([SEAL] * count)


def judged(kernel: Kernel, infos: bytes) -> list[bool]:
    return kernel.proofs.batch_verify_seals(kernel.proofs.read_seals(infos))


def test_verifier_receives_the_encoded_proofs() -> None:
    verifier = Verifier()
    kernel = verifying_kernel(verifier)
    assert kernel.proofs.verify_post(window()) is False
    assert kernel.proofs.verify_aggregate_seals(aggregate()) is False
    assert kernel.proofs.verify_replica_update(update()) is False
    assert kernel.proofs.verify_consensus_fault(b"1", b"2", b"3") == FAULT
    assert verifier.requests == [
        ("window", window()),
        ("aggregate", aggregate()),
        ("update", update()),
        ("fault", b"1", b"2", b"3"),
    ]


def test_undecidable_proof_is_an_illegal_argument() -> None:
    class Puzzled(Verifier):
        def verify_window_post(self, info: bytes) -> bool:
            raise ExternError("these bytes are no proof")

    kernel = verifying_kernel(Puzzled())
    assert refused(ILLEGAL_PROOF, kernel, lambda: kernel.proofs.verify_post(window())) == (117_680_921 + 43_780) * GAS


@pytest.mark.parametrize(("network", "gas"), [(18, 2_000), (24, 2_000), (25, 42_000_000), (28, 42_000_000)])
def test_a_batch_of_seals_costs_each_and_answers_each(network: int, gas: int) -> None:
    kernel = verifying_kernel(Verifier(), network)
    assert used(kernel, lambda: judged(kernel, seals(3))) == 3 * gas * GAS
    assert judged(kernel, seals(3)) == [False, True, False]
    assert judged(kernel, encode([])) == []


def test_proof_syscalls_without_verifier_are_fatal() -> None:
    kernel = verifying_kernel(RefuseProofs())
    for ask in (
        lambda: kernel.proofs.verify_post(window()),
        lambda: kernel.proofs.verify_aggregate_seals(aggregate()),
        lambda: kernel.proofs.verify_replica_update(update()),
        lambda: judged(kernel, seals(1)),
    ):
        with pytest.raises(Fatal, match="no verifier"):
            ask()


def test_proof_accepting_machine_verifies_all_and_finds_no_fault() -> None:
    kernel = verifying_kernel(AcceptProofs())
    assert kernel.proofs.verify_post(window())
    assert kernel.proofs.verify_aggregate_seals(aggregate())
    assert kernel.proofs.verify_replica_update(update())
    assert judged(kernel, seals(2)) == [True, True]
    assert kernel.proofs.verify_consensus_fault(b"", b"", b"") is None


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 300), st.binary(max_size=33), st.text(max_size=3), st.just(SEALED),
    st.just(PIECE), st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=2), inner))


@pytest.mark.slow
@settings(deadline=None, max_examples=samples(300))
@given(values)
def test_any_proof_value_is_answered_or_rejected(value: object) -> None:
    kernel, refusals = verifying_kernel(Verifier()), []
    data = encode(value)
    for ask in (
        kernel.proofs.verify_post,
        kernel.proofs.verify_aggregate_seals,
        kernel.proofs.verify_replica_update,
        lambda infos: judged(kernel, infos),
        lambda pieces: kernel.proofs.compute_unsealed_sector_cid(8, pieces),
    ):
        try:
            ask(data)
        except SyscallError as error:
            refusals.append(error.number)
    assert set(refusals) <= {ILLEGAL_PROOF}

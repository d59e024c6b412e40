"""Proof syscalls: shapes and charges, with a scripted verifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.errors import Fatal, OutOfGas, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.externs import ExternError
from hypervisor.kernel import Kernel
from hypervisor.proofs import AcceptProofs, ConsensusFault, ProofVerifier, RefuseProofs
from hypervisor.types import ActorID, ChainEpoch
from store.cid import Cid, parse_cid
from store.codec import encode, link
from tests.conftest import samples
from tests.hypervisor.world import GAS, World, refused, used

ILLEGAL = ErrorNumber.ILLEGAL_ARGUMENT
SEALED = link(Cid(bytes.fromhex("0182e20381e80220") + bytes(31) + b"\1"))
ZERO_32_GIB = "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq"
PIECE = link(parse_cid(ZERO_32_GIB))
SEAL = [8, [1000, 1], [], bytes(32), bytes(32), bytes(192), SEALED, PIECE]
WINDOW_32_GIB = 13
FAULT = ConsensusFault(ActorID(1_000), ChainEpoch(77), 1)


@dataclass
class Verifier:
    """Rejects every proof and records the requests."""

    asked: list[tuple[object, ...]] = field(default_factory=list)

    def verify_seals(self, infos: bytes, count: int) -> list[bool]:
        self.asked.append(("seals", infos, count))
        return [bool(index % 2) for index in range(count)]

    def verify_window_post(self, info: bytes) -> bool:
        self.asked.append(("window", info))
        return False

    def verify_aggregate_seals(self, info: bytes) -> bool:
        self.asked.append(("aggregate", info))
        return False

    def verify_replica_update(self, info: bytes) -> bool:
        self.asked.append(("update", info))
        return False

    def verify_consensus_fault(self, first: bytes, second: bytes, extra: bytes) -> ConsensusFault | None:
        self.asked.append(("fault", first, second, extra))
        return FAULT


def kernel_of(verifier: ProofVerifier | None = None, network: int = 28, limit: int = 10**15) -> Kernel:
    return World(network, proofs=verifier).kernel(limit=limit)


def window(
    randomness: object = bytes(32), proofs: object = None, sectors: object = None, prover: object = 1000
) -> bytes:
    proofs = [[WINDOW_32_GIB, bytes(192)]] if proofs is None else proofs
    return encode([randomness, proofs, [[8, 1, SEALED]] if sectors is None else sectors, prover])


def aggregate(seal_type: object = 8, sectors: object = 4, proof: object = b"proof", kind: int = 0) -> bytes:
    if isinstance(sectors, int):
        sectors = [[number, bytes(32), bytes(32), SEALED, PIECE] for number in range(sectors)]
    return encode([1000, seal_type, kind, proof, sectors])


def update(proof: object = (1, 2, 3), kind: int = 3, new: object = None, data: object = None) -> bytes:
    return encode([kind, SEALED, SEALED if new is None else new, PIECE if data is None else data, proof])


def seals(count: int) -> bytes:
    return encode([SEAL] * count)


@pytest.mark.parametrize("sectors", [0, 1, 10])
def test_window_post_charges_challenged_sectors_and_is_verified(sectors: int) -> None:
    verifier = Verifier()
    kernel = kernel_of(verifier)
    info = window(sectors=[[8, number, SEALED] for number in range(sectors)])
    assert used(kernel, lambda: kernel.proofs.verify_post(info)) == (117_680_921 + 43_780 * sectors) * GAS
    assert verifier.asked == [("window", info)]
    assert kernel.proofs.verify_post(info) is False


@pytest.mark.parametrize(
    "info",
    [
        window(proofs=[]),
        window(proofs=[[13, b""], [14, b""]]),
        window(proofs=[[3, b""]]),
        window(proofs=[[99, b""]]),
        window(proofs=[[-1, b""]]),
        window(proofs=[[8, b""]]),
        window(randomness=bytes(31)),
        window(randomness=bytes(33)),
        window(sectors=[[9, 1, SEALED]]),
        window(sectors=[[20, 1, SEALED]]),
        window(sectors=[[-1, 1, SEALED]]),
        window(sectors=[[8, 1, PIECE]]),
    ],
    ids=[
        "none",
        "two types",
        "winning",
        "unknown",
        "negative",
        "version 1",
        "31 bytes",
        "33 bytes",
        "other size",
        "unknown seal",
        "negative seal",
        "unsealed",
    ],
)
def test_invalid_window_post_is_refused_after_charge(info: bytes) -> None:
    verifier = Verifier()
    kernel = kernel_of(verifier)
    assert refused(ILLEGAL, kernel, lambda: kernel.proofs.verify_post(info)) == (117_680_921 + 43_780) * GAS
    assert not verifier.asked


@pytest.mark.parametrize(
    "info",
    [
        b"",
        b"\xff",
        encode([]),
        encode({"a": 1}),
        encode([bytes(32), [], []]),
        window(randomness="text"),
        window(proofs=1),
        window(proofs=[13]),
        window(proofs=[[13]]),
        window(proofs=[[13, b"", 0]]),
        window(proofs=[[[], b""]]),
        window(proofs=[[{}, b""]]),
        window(proofs=[[True, b""]]),
        window(proofs=[["13", b""]]),
        window(proofs=[[13, "proof"]]),
        window(sectors=None, proofs=None)[:-2],
        window(sectors=7),
        window(sectors=[[8, 1]]),
        window(prover="f01"),
    ],
)
def test_a_window_proof_of_another_shape_is_refused_for_free(info: bytes) -> None:
    kernel = kernel_of(Verifier())
    assert refused(ILLEGAL, kernel, lambda: kernel.proofs.verify_post(info)) == 0


@pytest.mark.parametrize(
    ("network", "seal_type", "sectors", "gas"),
    [
        (28, 8, 1, 449_900),
        (28, 8, 4, 4 * 449_900 + 103_994_170),
        (28, 9, 4, 4 * 359_272 + 102_581_240),
        (28, 18, 1, 118_025_550),  # FIP-0092
        (28, 19, 1, 115_329_958),
        (24, 18, 4, 4 * 449_900 + 103_994_170),  # before version 25: the row of 32 GiB
        (28, 3, 1, 449_900),
        (18, 8, 4, 4 * 449_900 + 103_994_170),
    ],
)
def test_an_aggregate_costs_by_its_type_and_number(network: int, seal_type: int, sectors: int, gas: int) -> None:
    verifier = Verifier()
    kernel = kernel_of(verifier, network)
    info = aggregate(seal_type, sectors)
    assert used(kernel, lambda: kernel.proofs.verify_aggregate_seals(info)) == gas * GAS
    assert verifier.asked == [("aggregate", info)]


@pytest.mark.parametrize(
    "info",
    [
        aggregate(sectors=0),
        aggregate(20),
        aggregate(-1),
        aggregate(kind=2),
        aggregate(sectors=[[1, bytes(31), bytes(32), SEALED, PIECE]]),
        aggregate(sectors=[[1, bytes(32), bytes(33), SEALED, PIECE]]),
        aggregate(sectors=[[1, bytes(32), bytes(32), PIECE, PIECE]]),
        aggregate(sectors=[[1, bytes(32), bytes(32), SEALED, SEALED]]),
    ],
    ids=["nothing", "unknown", "negative", "aggregate type", "randomness", "seed", "not sealed", "not data"],
)
def test_invalid_aggregate_proof_is_refused_after_charge(info: bytes) -> None:
    """Golden vectors `proofs/aggregate/hopeless-*`, `decoder/hopeless/aggregate-*`."""
    verifier = Verifier()
    kernel = kernel_of(verifier)
    count = 0 if info == aggregate(sectors=0) else 1
    assert refused(ILLEGAL, kernel, lambda: kernel.proofs.verify_aggregate_seals(info)) >= count * 359_272 * GAS
    assert not verifier.asked


@pytest.mark.parametrize(
    "info",
    [b"", encode([1000, 8, 0, b"proof"]), aggregate(sectors={}), aggregate([]), aggregate(True), aggregate(proof=7)],
    ids=["empty", "four fields", "no list", "type list", "type true", "proof number"],
)
def test_an_aggregate_of_another_shape_is_refused_for_free(info: bytes) -> None:
    kernel = kernel_of(Verifier())
    assert refused(ILLEGAL, kernel, lambda: kernel.proofs.verify_aggregate_seals(info)) == 0


def test_replica_update_has_flat_price_and_number_list_proof() -> None:
    verifier = Verifier()
    kernel = kernel_of(verifier)
    assert used(kernel, lambda: kernel.proofs.verify_replica_update(update())) == 36_316_136 * GAS
    assert verifier.asked == [("update", update())]
    for info in (b"", encode([1, 2, 3, 4]), update(b"\x01\x02")):
        assert refused(ILLEGAL, kernel, partial(kernel.proofs.verify_replica_update, info)) == 0


@pytest.mark.parametrize("info", [update(kind=5), update(kind=-1), update(new=PIECE), update(data=SEALED)])
def test_invalid_replica_update_is_refused_after_charge(info: bytes) -> None:
    """Golden vectors `proofs/replica/hopeless-*`, `decoder/hopeless/update-*`."""
    verifier = Verifier()
    kernel = kernel_of(verifier)
    assert refused(ILLEGAL, kernel, lambda: kernel.proofs.verify_replica_update(info)) == 36_316_136 * GAS
    assert not verifier.asked


def judged(kernel: Kernel, infos: bytes) -> list[bool]:
    return kernel.proofs.batch_verify_seals(kernel.proofs.read_seals(infos))


@pytest.mark.parametrize(
    ("field", "value"),
    [(0, 20), (0, -1), (3, bytes(31)), (4, b""), (6, PIECE), (7, SEALED)],
    ids=["unknown", "negative", "randomness", "seed", "not sealed", "not data"],
)
def test_a_seal_that_cannot_be_one_is_answered_with_no(field: int, value: object) -> None:
    """Golden vectors `decoder/hopeless/seal-*`: a batch has a result for each seal."""
    bad = [*SEAL[:field], value, *SEAL[field + 1 :]]
    kernel = kernel_of(AcceptProofs())
    assert judged(kernel, encode([SEAL, bad, SEAL])) == [True, False, True]
    assert judged(kernel_of(RefuseProofs()), encode([bad, bad])) == [False, False]


def test_undecidable_proof_is_an_illegal_argument() -> None:
    class Puzzled(Verifier):
        def verify_window_post(self, info: bytes) -> bool:
            raise ExternError("these bytes are no proof")

    kernel = kernel_of(Puzzled())
    assert refused(ILLEGAL, kernel, lambda: kernel.proofs.verify_post(window())) == (117_680_921 + 43_780) * GAS


@pytest.mark.parametrize(("network", "gas"), [(18, 2_000), (24, 2_000), (25, 42_000_000), (28, 42_000_000)])
def test_a_batch_of_seals_costs_each_and_answers_each(network: int, gas: int) -> None:
    kernel = kernel_of(Verifier(), network)
    assert used(kernel, lambda: judged(kernel, seals(3))) == 3 * gas * GAS
    assert judged(kernel, seals(3)) == [False, True, False]
    assert judged(kernel, encode([])) == []


@pytest.mark.parametrize("infos", [b"", encode({}), encode([[8]]), encode([1])])
def test_invalid_batch_is_refused_without_charge(infos: bytes) -> None:
    kernel = kernel_of(Verifier())
    assert refused(ILLEGAL, kernel, lambda: judged(kernel, infos)) == 0


def test_a_report_of_a_fault_has_one_price() -> None:
    verifier = Verifier()
    kernel = kernel_of(verifier)
    report = kernel.proofs.verify_consensus_fault
    assert used(kernel, lambda: report(b"1", b"2", b"3")) == 516_422 * GAS
    assert verifier.asked == [("fault", b"1", b"2", b"3")]
    assert report(b"1", b"2", b"") == FAULT


def test_a_proof_that_cannot_be_paid_is_not_verified() -> None:
    verifier = Verifier()
    kernel = kernel_of(verifier, limit=1_000)
    with pytest.raises(OutOfGas):
        kernel.proofs.verify_post(window())
    assert not verifier.asked


def test_proof_syscalls_without_verifier_are_fatal() -> None:
    kernel = kernel_of(RefuseProofs())
    for ask in (
        lambda: kernel.proofs.verify_post(window()),
        lambda: kernel.proofs.verify_aggregate_seals(aggregate()),
        lambda: kernel.proofs.verify_replica_update(update()),
        lambda: judged(kernel, seals(1)),
        lambda: kernel.proofs.verify_consensus_fault(b"", b"", b""),
    ):
        with pytest.raises(Fatal, match="no verifier"):
            ask()


def test_proof_accepting_machine_verifies_all_and_finds_no_fault() -> None:
    kernel = kernel_of(AcceptProofs())
    assert kernel.proofs.verify_post(window())
    assert kernel.proofs.verify_aggregate_seals(aggregate())
    assert kernel.proofs.verify_replica_update(update())
    assert judged(kernel, seals(2)) == [True, True]
    assert kernel.proofs.verify_consensus_fault(b"", b"", b"") is None


# --- commitments --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proof_type", [3, 8, 13, 18])
def test_an_empty_sector_has_the_networks_commitment(proof_type: int) -> None:
    kernel = kernel_of()
    compute = kernel.proofs.compute_unsealed_sector_cid
    assert used(kernel, lambda: compute(proof_type, encode([]))) == 98_647 * GAS
    assert compute(proof_type, encode([])) == parse_cid(ZERO_32_GIB)


@pytest.mark.parametrize("proof_type", [-1, 20, 1 << 31])
def test_an_unknown_seal_is_refused_for_free(proof_type: int) -> None:
    kernel = kernel_of()
    compute = kernel.proofs.compute_unsealed_sector_cid
    assert refused(ILLEGAL, kernel, lambda: compute(proof_type, encode([]))) == 0


@pytest.mark.parametrize(
    "pieces",
    [
        [[1 << 36, PIECE]],
        [[100, PIECE]],
        [[0, PIECE]],
        [[-128, PIECE]],
        [[128, SEALED]],
        [[1 << 35, PIECE], [128, PIECE]],
        [["128", PIECE]],
        [[128.0, PIECE]],
        [[True, PIECE]],
        [[None, PIECE]],
        [[128, b""]],
        [[128]],
        [128],
        [[]],
        {"a": 1},
        7,
        None,
    ],
    ids=repr,
)
def test_pieces_that_make_no_sector_are_refused(pieces: object) -> None:
    kernel = kernel_of()
    refused(ILLEGAL, kernel, lambda: kernel.proofs.compute_unsealed_sector_cid(8, encode(pieces)))


def test_pieces_that_are_no_cbor_are_refused_for_free() -> None:
    kernel = kernel_of()
    assert refused(ILLEGAL, kernel, lambda: kernel.proofs.compute_unsealed_sector_cid(8, b"\xff")) == 0


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 300), st.binary(max_size=33), st.text(max_size=3), st.just(SEALED),
    st.just(PIECE), st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=2), inner))


@pytest.mark.slow
@settings(deadline=None, max_examples=samples(300))
@given(values)
def test_any_proof_value_is_answered_or_rejected(value: object) -> None:
    kernel, refusals = kernel_of(Verifier()), []
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
    assert set(refusals) <= {ILLEGAL}

"""Syscalls about the chain, events and proofs.

- Randomness, tipset CIDs and the circulating supply: lookback prices, and invalid epochs.
- Events: limits and error numbers, charges computed by hand, and the AMT root of a hand-made encoding.
- Proof syscalls: requests to the verifier, charges by network version, and machines without a verifier.

Errors and charges from network version 21 on are those of the reference in tests/golden/surroundings.jsonl.gz.

Errors and charges from network version 21 on are those of the reference in tests/golden/events.jsonl.gz.

Errors and charges from network version 21 on are those of the reference in tests/golden/proofs.jsonl.gz and
decoder.jsonl.gz.
"""

import hashlib
from base64 import b64decode
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.context import CirculatingSupply, DevelopmentExterns, ExternError, MachineContext, draw
from hypervisor.errors import Fatal, OutOfGas, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.kernel.events import EntryHeader
from hypervisor.messages.events import EventEntry, StampedEvent, events_tree
from hypervisor.proofs.consensus_faults import ConsensusFault, WorkerKey
from hypervisor.proofs.verifier import AcceptProofs, ProofVerifier, RefuseProofs
from hypervisor.types import ActorID, ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import network_version
from store.blocks.memory import MemoryStore
from store.cid import CBOR, DAG_CBOR, RAW, Cid, cid_of, parse_cid
from store.codec import encode, link
from store.trees.amt import Amt
from tests.conftest import samples
from tests.hypervisor.world import GAS, World, refused, used

NOW = 1_000


@dataclass
class Chain:
    """A chain with data for every past epoch that counts requests."""

    asked: list[tuple[str, int]] = field(default_factory=list)

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._answer("chain", epoch, b"c" * 32)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._answer("beacon", epoch, b"b" * 32)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        self._answer("tipset", epoch, b"")
        return cid_of(b"tipset %d" % epoch)

    def state_root(self, epoch: ChainEpoch) -> Cid:
        raise ExternError(f"no state of epoch {epoch}")

    def _answer(self, kind: str, epoch: int, answer: bytes) -> bytes:
        self.asked.append((kind, epoch))
        if epoch < 0 or epoch == 404:
            raise ExternError(f"no {kind} of epoch {epoch}")
        return answer


def kernel_of(network: int = 28, limit: int = 10**18) -> tuple[Kernel, Chain]:
    chain = Chain()
    return World(network, externs=chain).kernel(limit=limit), chain


@pytest.mark.parametrize("epoch", [NOW + 1, 1 << 40])
def test_future_epoch_randomness_runs_out_of_gas_before_lookup(epoch: int) -> None:
    kernel, chain = kernel_of(limit=(1 << 63) - 1)
    for source in (kernel.random.chain, kernel.random.beacon):
        with pytest.raises(OutOfGas):
            source(ChainEpoch(epoch))
    assert kernel.gas.available == 0
    assert not chain.asked


def test_a_draw_binds_tag_epoch_and_entropy_as_on_the_network() -> None:
    drawn = draw(5, b64decode("GOobxkrhS1hiFA1EYUKZM3xsyVfy5Xy3bQ0gLPnecYs="), 2_797_727, b64decode("RACZyzQ="))
    assert drawn == b64decode("3MCqcLHKZ+pil4MqTS9wjsd+yPvTuTrq8PkGjEo3tYQ=")


@pytest.mark.parametrize("entropy", [b"", b"1234", bytes(100)])
def test_version_18_draws_in_host_and_charges_for_entropy(entropy: bytes) -> None:
    kernel, _ = kernel_of(18)
    price = (21_000 + 10 * (len(entropy) + 48)) * GAS
    assert used(kernel, lambda: kernel.random.draw_chain_randomness(5, ChainEpoch(7), entropy)) == price
    assert used(kernel, lambda: kernel.random.draw_beacon_randomness(5, ChainEpoch(7), entropy)) == price
    assert kernel.random.draw_chain_randomness(5, ChainEpoch(7), entropy) == draw(5, b"c" * 32, 7, entropy)
    assert kernel.random.draw_beacon_randomness(5, ChainEpoch(7), entropy) == draw(5, b"b" * 32, 7, entropy)


def test_version_18_refuses_randomness_of_unknown_epoch() -> None:
    kernel, _ = kernel_of(18)
    draw_chain, draw_beacon = kernel.random.draw_chain_randomness, kernel.random.draw_beacon_randomness
    unknown, price = ChainEpoch(404), (21_000 + 480) * GAS
    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: draw_chain(5, unknown, b"")) == price
    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: draw_beacon(5, unknown, b"")) == price


def test_host_draws_no_randomness_since_version_21() -> None:
    kernel, chain = kernel_of()
    assert (
        refused(
            ErrorNumber.ILLEGAL_OPERATION, kernel, lambda: kernel.random.draw_chain_randomness(5, ChainEpoch(7), b"")
        )
        == 0
    )
    assert not chain.asked


@pytest.mark.parametrize("network", [18, 28])
@pytest.mark.parametrize("epoch", [-1, NOW, NOW + 1, 1 << 62])
def test_only_past_epochs_have_a_tipset(network: int, epoch: int) -> None:
    kernel, chain = kernel_of(network)
    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: kernel.network.tipset_cid(ChainEpoch(epoch))) == 0
    assert not chain.asked


def test_a_past_tipset_that_the_chain_does_not_know_is_fatal() -> None:
    kernel, _ = kernel_of()
    with pytest.raises(Fatal, match="404"):
        kernel.network.tipset_cid(ChainEpoch(404))


@pytest.mark.parametrize(("back", "gas"), [(1, 50_000), (2, 215_000), (899, 215_000)])
def test_version_18_has_two_prices_for_tipsets(back: int, gas: int) -> None:
    kernel, _ = kernel_of(18)
    assert used(kernel, lambda: kernel.network.tipset_cid(ChainEpoch(NOW - back))) == gas * GAS


@pytest.mark.parametrize("back", [900, 901, 1_000])
def test_version_18_looks_back_less_than_900_epochs(back: int) -> None:
    kernel, _ = kernel_of(18)
    epoch = ChainEpoch(NOW - back)
    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: kernel.network.tipset_cid(epoch)) == 0


@pytest.mark.parametrize(
    "supply", [TokenAmount(7 * 10**18), lambda: TokenAmount(7 * 10**18)], ids=["known", "computed"]
)
def test_the_circulating_supply_is_the_contexts_and_free(supply: CirculatingSupply) -> None:
    context = MachineContext(network_version(28), circulating_supply=supply)
    kernel = World(context=context).kernel()
    assert used(kernel, lambda: kernel.network.circulating_supply()) == 0
    assert kernel.network.circulating_supply() == 7 * 10**18


def test_development_externs_vary_by_epoch_and_source() -> None:
    externs = DevelopmentExterns()
    results = [
        source(ChainEpoch(epoch))
        for source in (externs.chain_randomness, externs.beacon_randomness)
        for epoch in (-1, 0, 1, 1 << 62)
    ]
    assert len(set(results)) == 8
    assert {len(result) for result in results} == {32}
    assert externs.chain_randomness(ChainEpoch(1)) == results[2]
    assert externs.tipset_cid(ChainEpoch(1)) != externs.tipset_cid(ChainEpoch(2))


ILLEGAL, CODEC = ErrorNumber.ILLEGAL_ARGUMENT, ErrorNumber.ILLEGAL_CODEC


def emit(kernel: Kernel, headers: list[EntryHeader], keys: bytes, values: bytes) -> None:
    kernel.events.emit_buffers(len(headers), headers, keys, values)


def price(headers: list[EntryHeader], keys: bytes, values: bytes) -> int:
    """Return 17.2 per byte of the estimated size, 2,000 + 1,400 per entry, 500 + 16 per byte of keys; in milligas."""
    estimated = 12 + 9 * len(headers) + len(keys) + len(values)
    return 17_200 * estimated + (2_000 + 1_400 * len(headers)) * GAS + (500 + 16 * len(keys)) * GAS


def test_read_only_call_cannot_emit_event_and_is_not_charged() -> None:
    kernel = World().kernel(read_only=True)
    assert refused(ErrorNumber.READ_ONLY, kernel, lambda: emit(kernel, [], b"", b"")) == 0
    assert refused(ErrorNumber.READ_ONLY, kernel, lambda: kernel.events.emit_block(b"")) == 0
    assert not kernel.calls.events


def test_events_from_values_match_encoded_entries_and_price() -> None:
    entries = [EventEntry(3, "ключ", RAW, b"\x01"), EventEntry(0, "d", CBOR, b"")]
    keys = "ключd".encode()
    kernel = World().kernel()
    headers = [(3, RAW, 8, 1), (0, CBOR, 1, 0)]
    assert used(kernel, lambda: kernel.events.emit(entries)) == price(headers, keys, b"\x01")
    assert kernel.calls.events == [StampedEvent(ActorID(100), tuple(entries))]


@pytest.mark.parametrize("count", [1, 32, 33])
def test_events_root_is_that_of_an_amt_of_their_fields(count: int) -> None:
    sizes = (0, 1, 23, 24, 255, 256, 8192)
    events = [
        StampedEvent(
            ActorID(number << 5),
            tuple(EventEntry(number % 4, "ключ"[: number % 5], (RAW, CBOR)[number % 2], bytes(size)) for size in sizes),
        )
        for number in range(count)
    ]
    written, expected = MemoryStore(), MemoryStore()
    root = Amt.from_values(expected, [event.fields() for event in events], bit_width=5).flush()
    assert events_tree(events)[0] == root
    written.put_many(events_tree(events)[1])
    assert list(Amt(written, root).items()) == list(Amt(expected, root).items())


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from([RAW, CBOR, DAG_CBOR]), st.integers(0, 33), st.integers(0, 20)),
        max_size=6,
    ),
    st.binary(max_size=60) | st.text(max_size=20).map(str.encode),
    st.binary(max_size=60),
)
def test_any_buffers_are_an_event_or_an_error_number(headers: list[EntryHeader], keys: bytes, values: bytes) -> None:
    kernel = World().kernel()
    try:
        emit(kernel, headers, keys, values)
    except SyscallError:
        assert not kernel.calls.events
        return
    [event] = kernel.calls.events
    assert b"".join(entry.key.encode() for entry in event.entries) == keys
    assert b"".join(entry.value for entry in event.entries) == values


# --- version 3 ----------------------------------------------------------------------------------------------------


def v3(*entries: list[object]) -> bytes:
    return encode(list(entries))


def test_version_18_takes_an_event_as_one_block() -> None:
    kernel = World(18).kernel()
    data = v3([3, "t1", RAW, b"abc"], [0, "k" * 32, RAW, b""])
    # 2.4 + 25 a byte and 1,750; then 15.2 a byte of the stamped event, 12 bytes longer
    spent = 27_400 * len(data) + 1_750 * GAS + 15_200 * (len(data) + 12)
    assert used(kernel, lambda: kernel.events.emit_block(data)) == spent
    [event] = kernel.calls.events
    assert event.entries == (EventEntry(3, "t1", RAW, b"abc"), EventEntry(0, "k" * 32, RAW, b""))


def test_the_limits_of_version_18_are_allowed() -> None:
    kernel = World(18).kernel()
    kernel.events.emit_block(v3(*[[0, "", RAW, bytes(32)] for _ in range(256)]))
    kernel.events.emit_block(v3())
    assert [len(event.entries) for event in kernel.calls.events] == [256, 0]


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (b"\xff", ILLEGAL),
        (b"", ILLEGAL),
        (encode({"a": 1}), ILLEGAL),
        (v3([0, "k", RAW]), ILLEGAL),
        (v3([0, "k", RAW, b"", 0]), ILLEGAL),
        (v3(["0", "k", RAW, b""]), ILLEGAL),
        (v3([True, "k", RAW, b""]), ILLEGAL),
        (v3([-1, "k", RAW, b""]), ILLEGAL),
        (v3([0, b"k", RAW, b""]), ILLEGAL),
        (v3([0, "k", RAW, "v"]), ILLEGAL),
        (v3([0, "k", -1, b""]), ILLEGAL),
        (v3([0, "k", True, b""]), ILLEGAL),
        (v3([4, "k", RAW, b""]), ILLEGAL),
        (v3([8, "k", RAW, b""]), ILLEGAL),
        (v3([0, "k" * 33, RAW, b""]), ILLEGAL),
        (v3([0, "ä" * 17, RAW, b""]), ILLEGAL),
        (v3([0, "k", RAW, bytes(4_096)], [0, "k", RAW, bytes(4_097)]), ILLEGAL),
        (v3(*[[0, "", RAW, b""] for _ in range(257)]), ILLEGAL),
        (v3([0, "k", CBOR, b""]), CODEC),
        (v3([0, "k", DAG_CBOR, b""]), CODEC),
    ],
)
def test_invalid_event_in_nv18_fails_after_validation_charge(data: bytes, number: ErrorNumber) -> None:
    kernel = World(18).kernel()
    assert refused(number, kernel, lambda: kernel.events.emit_block(data)) == 27_400 * len(data) + 1_750 * GAS
    assert not kernel.calls.events


# --- the root -----------------------------------------------------------------------------------------------------


def cid_by_hand(block: bytes) -> bytes:
    """Return the CIDv1 with DAG-CBOR and blake2b-256 of 32 bytes."""
    return bytes.fromhex("0171a0e40220") + hashlib.blake2b(block, digest_size=32).digest()


def event_by_hand(emitter: int) -> bytes:
    """Encode [emitter, [[3, "t", 0x55, h'01']]] for an emitter from 24 to 255."""
    return bytes([0x82, 0x18, emitter]) + bytes.fromhex("81 84 03 6174 1855 4101".replace(" ", ""))


def leaf_by_hand(events: list[bytes]) -> bytes:
    """Encode an AMT node of bit width 5: 4 bytes of bitmap, lowest bit first, no links, up to 32 values."""
    bitmap = ((1 << len(events)) - 1).to_bytes(4, "little")
    head = bytes([0x80 | len(events)]) if len(events) < 24 else bytes([0x98, len(events)])
    return b"\x83\x44" + bitmap + b"\x80" + head + b"".join(events)


def stamped(emitter: int) -> StampedEvent:
    return StampedEvent(ActorID(emitter), (EventEntry(3, "t", RAW, b"\x01"),))


@pytest.mark.parametrize("count", [1, 2, 31, 32])
def test_up_to_32_events_are_one_leaf(count: int) -> None:
    events = [event_by_hand(100 + n) for n in range(count)]
    size = bytes([count]) if count < 24 else bytes([0x18, count])
    root = b"\x84\x05\x00" + size + leaf_by_hand(events)  # bit width, height, count, node
    assert events_tree([stamped(100 + n) for n in range(count)])[0] == cid_by_hand(root)


def test_33_events_are_two_leaves_under_a_node() -> None:
    events = [event_by_hand(100 + n) for n in range(33)]
    links = [b"\xd8\x2a\x58\x27\x00" + cid_by_hand(leaf_by_hand(part)) for part in (events[:32], events[32:])]
    node = b"\x83\x44\x03\x00\x00\x00\x82" + b"".join(links) + b"\x80"
    root = b"\x84\x05\x01\x18\x21" + node
    assert events_tree([stamped(100 + n) for n in range(33)])[0] == cid_by_hand(root)


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

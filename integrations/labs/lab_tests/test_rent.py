"""Lab `rent`: invariants over random programs, and each documented rule."""

import re
from collections.abc import Iterator
from io import BytesIO
from unittest import mock
from xml.etree import ElementTree

import pytest

from bridge.ethereum.addresses import create_address, to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor.errors import Fatal, InvalidInput
from hypervisor.exit_codes import ExitCode, exit_name
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ARCHIVED_CODE, ActorState, ArchivedActor, archived_actor
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    METHOD_SEND,
    ActorID,
    ChainEpoch,
    Gas,
    MethodNumber,
    TokenAmount,
    decode_bigint,
    encode_bigint,
)
from hypervisor_labs import rent as rent_lab
from hypervisor_labs.rent import (
    BLOCK_BYTES,
    BOUNDS,
    COLLECT,
    EPOCH_ACTORS,
    LOOK,
    MAX_DEPOSIT,
    MAX_PROVEN,
    OPT_OUT,
    PAY,
    RENT,
    RESURRECT,
    STATE_BLOCKS,
    RentState,
    RentTerms,
    Tenancy,
    collect,
    proof_of,
    proven_blocks,
    size_of,
    terms_of,
)
from lab_tests.rent import EXAMPLE, FORWARD, KEEP, run
from lab_tests.rent_simulation import Simulation, svg
from localnet import Network
from localnet.errors import CallFailed
from localnet.preinstalled import CREATE2_DEPLOYER, MULTICALL3
from localnet.state.inspection import PathNotFound, StateInspector
from store.car.transfer import export_car
from store.cid import DAG_CBOR, RAW, cid_of, show
from store.codec import decode_strict, encode
from tests.conftest import samples

RATE, PERIOD, GRACE = 1_000, 10, 5
RENT_ADDRESS = Address.id(RENT)
FUNDS = TokenAmount(10**24)


def _actor(network: Network, address: Address) -> ActorState:
    actor = network.machine.actor(address)
    assert actor is not None
    return actor


@pytest.mark.slow
@pytest.mark.sampled
def test_random_programs_keep_every_invariant() -> None:
    stages, findings = run(7, samples(400), 1)
    assert findings == []
    assert stages["had one resurrected"] > samples(400) / 5


class Stage:
    """A machine with the lab at an epoch, an account, and a native tenant that may opt in."""

    def __init__(self, network: Network) -> None:
        self.network, self.machine = network, network.machine
        self.alice = network.accounts[0].native
        self.tenant = self.make()
        self.epoch = self.machine.context.epoch
        self.next_epoch()

    def make(self) -> ActorID:
        code = self.machine.install((EXAMPLE / "tenant.wasm").read_bytes())
        return self.machine.create(code, value=FUNDS).id

    def next_epoch(self, by: int = 1) -> None:
        """Advance without charging rent."""
        self.epoch = ChainEpoch(self.epoch + by)
        self.machine.advance(epoch=self.epoch, base_fee=TokenAmount(100))

    def ask(self, method: MethodNumber, *fields: bytes, value: int = 0, by: Address | None = None) -> ApplyResult:
        """Send a message from an account to the rent actor."""
        return self.send(Address.id(RENT), method, encode(list(fields)), value, by)

    def send(
        self, to: Address, method: MethodNumber, params: bytes = b"", value: int = 0, by: Address | None = None
    ) -> ApplyResult:
        return self.machine.apply_implicit(
            Message(to, by or self.alice, value=TokenAmount(value), method=method, params=params, gas_limit=Gas(10**10))
        )

    def by_tenant(self, method: MethodNumber, *fields: bytes, value: int = 0) -> int:
        """Return the exit code of the tenant's own call of the rent actor."""
        params = encode([Address.id(RENT).to_bytes(), method, encode(list(fields)), encode_bigint(value)])
        (code,) = decode_strict(self.send(Address.id(self.tenant), FORWARD, params).return_data)
        return int(code)

    def keep(self, chunk: bytes) -> int:
        return self.send(Address.id(self.tenant), KEEP, encode([chunk])).exit_code

    def state(self, actor: ActorID) -> ActorState:
        found = self.machine.state_tree.get_actor(actor)
        assert found is not None
        return found

    def books(self) -> RentState:
        return RentState(self.machine.store, self.state(RENT).head)

    def tenancy(self) -> Tenancy | None:
        return self.books().tenancy(self.tenant)

    def gone(self) -> ArchivedActor | None:
        return archived_actor(self.machine.store, self.state(self.tenant))

    def archive(self) -> ArchivedActor:
        assert self.by_tenant(PAY, b"") == 0
        collect(self.machine)
        self.next_epoch(GRACE)
        collect(self.machine)
        gone = self.gone()
        assert gone is not None
        return gone


@pytest.fixture(scope="module")
def prepared() -> Iterator[Network]:
    with Network(rules=f"lab:rent=own/{RATE}/{PERIOD}/{GRACE}") as network:
        network.mine()
        yield network


@pytest.fixture
def stage(prepared: Network) -> Iterator[Stage]:
    before, context = prepared.machine.snapshot(), prepared.machine.context
    yield Stage(prepared)
    prepared.machine.restore(before)
    prepared.machine.advance(epoch=context.epoch, base_fee=context.base_fee)


@pytest.mark.slow
def test_a_period_is_paid_ahead_by_the_bytes_that_there_are(stage: Stage) -> None:
    """Computed by hand: a root `[[link, link]]` of 88 bytes, two raw blocks of 10 and 300, 128 more for each."""
    for chunk in (bytes(10), bytes(300)):
        assert stage.keep(chunk) == 0
    assert stage.by_tenant(PAY, b"", value=10**9) == 0
    burnt = stage.machine.balance(Address.id(BURNT_FUNDS_ACTOR))
    collect(stage.machine)
    size = len(stage.machine.store.get(stage.state(stage.tenant).head)) + 310 + 3 * 128
    assert size == 88 + 310 + 384
    tenancy = Tenancy(10**9 - size * RATE * PERIOD, size, stage.epoch + PERIOD, graced=False)
    assert stage.tenancy() == tenancy
    assert stage.machine.balance(Address.id(BURNT_FUNDS_ACTOR)) == burnt + size * RATE * PERIOD
    stage.next_epoch(PERIOD - 1)
    collect(stage.machine)
    assert stage.tenancy() == tenancy, "nothing before it is due"
    stage.keep(bytes(7))
    stage.next_epoch()
    collect(stage.machine)
    larger = size + 7 + 128 + 43  # a link more
    assert stage.tenancy() == Tenancy(
        10**9 - (size + larger) * RATE * PERIOD, larger, stage.epoch + PERIOD, graced=False
    )


def test_unpaid_rent_gets_one_grace_and_deposit_refund(stage: Stage) -> None:
    before = stage.machine.balance(Address.id(stage.tenant))
    assert stage.by_tenant(PAY, b"", value=5) == 0
    collect(stage.machine)
    tenancy = stage.tenancy()
    assert tenancy is not None
    assert (tenancy.deposit, tenancy.due, tenancy.graced) == (5, stage.epoch + GRACE, False)
    stage.next_epoch(GRACE)
    collect(stage.machine)
    gone = stage.gone()
    assert gone is not None
    assert (gone.since, gone.size, gone.retained) == (stage.epoch, tenancy.size, False)
    assert stage.machine.balance(Address.id(stage.tenant)) == before
    assert stage.machine.balance(Address.id(RENT)) == 0
    assert stage.tenancy() is None


def test_a_call_of_an_archived_actor_has_an_exit_code_of_its_own(stage: Stage) -> None:
    gone = stage.archive()
    result = stage.send(Address.id(stage.tenant), KEEP, encode([b"x"]))
    assert (result.exit_code, exit_name(result.exit_code)) == (15, "SYS_ACTOR_ARCHIVED")
    assert f"archived since epoch {gone.since}, root " in result.message
    assert stage.send(Address.id(stage.tenant), METHOD_SEND, value=3).exit_code == 0, "money arrives"


def test_proof_resurrects_archived_actor_state(stage: Stage) -> None:
    stage.keep(b"chunk")
    head, code = stage.state(stage.tenant).head, stage.state(stage.tenant).code
    proof = proof_of(stage.machine.store, head)
    gone = stage.archive()
    address = Address.id(stage.tenant).to_bytes()
    rent = gone.size * RATE * PERIOD
    short = stage.ask(RESURRECT, address, proof, value=rent - 1)
    assert short.exit_code == ExitCode.USR_INSUFFICIENT_FUNDS
    back = stage.ask(RESURRECT, address, proof, value=rent + 9)
    assert back.exit_code == 0, back.message
    assert decode_strict(back.return_data) == [stage.epoch + PERIOD]
    assert (stage.state(stage.tenant).head, stage.state(stage.tenant).code) == (head, code)
    assert stage.tenancy() == Tenancy(9, gone.size, stage.epoch + PERIOD, graced=False)
    assert stage.keep(b"more") == 0
    again = stage.ask(RESURRECT, address, proof, value=rent)
    assert (again.exit_code, again.message.endswith("is not archived")) == (ExitCode.USR_ILLEGAL_STATE, True)


def test_exported_car_is_the_proof(stage: Stage) -> None:
    """`hypervisor car export --root` writes the CAR."""
    stage.keep(b"chunk")
    stage.keep(b"chunk")  # the same block twice is in the proof once
    store, head = stage.machine.store, stage.state(stage.tenant).head
    file = BytesIO()
    export_car(store, [head], file)
    assert file.getvalue() == proof_of(store, head)
    assert dict(proven_blocks(head, file.getvalue())).keys() == {head, cid_of(b"chunk", RAW)}


def test_state_too_large_for_proof_is_kept_on_archival(stage: Stage) -> None:
    stage.keep(bytes(MAX_PROVEN))
    head = stage.state(stage.tenant).head
    gone = stage.archive()
    assert (gone.retained, gone.root) == (True, head)
    assert stage.keep(b"x") == ExitCode.SYS_ACTOR_ARCHIVED
    address, rent = Address.id(stage.tenant).to_bytes(), gone.size * RATE * PERIOD
    assert stage.ask(RESURRECT, address, b"proof", value=rent).exit_code == ExitCode.USR_ILLEGAL_ARGUMENT
    assert stage.ask(RESURRECT, address, b"", value=rent).exit_code == 0
    assert stage.state(stage.tenant).head == head


@pytest.mark.parametrize(
    ("method", "fields", "exit_code", "said"),
    [
        (PAY, [Address.id(ActorID(999_999)).to_bytes()], 17, "there is no actor"),
        (PAY, [b"\x00"], 16, "the actor's address"),
        (PAY, [b"\x09" * 21], 16, "the actor's address"),
        (PAY, [b""], 16, "is exempt from rent: only contracts and users' native actors pay"),
        (PAY, [Address.id(ActorID(1)).to_bytes()], 16, "f01 is exempt from rent"),
        (PAY, [Address.id(RENT).to_bytes()], 16, "f021 is exempt from rent"),
        (PAY, [], 21, "expected a list of 1"),
        (PAY, [b"", b""], 21, "expected a list of 1"),
        (OPT_OUT, [], 26, "method 3 does not accept value"),
        (RESURRECT, [Address.id(ActorID(999_999)).to_bytes(), b""], 17, "there is no actor"),
        (RESURRECT, [Address.id(ActorID(1)).to_bytes(), b""], 20, "f01 is not archived"),
        (LOOK, [b""], 26, "method 5 does not accept value"),
        (COLLECT, [], 18, "reserved for the system"),
        (MethodNumber(1), [], 22, "has no method 1"),
        (MethodNumber(7), [], 22, "has no method 7"),
    ],
)
def test_wrong_input_has_an_exit_code(
    stage: Stage, method: MethodNumber, fields: list[bytes], exit_code: int, said: str
) -> None:
    before = stage.state(RENT)
    result = stage.ask(method, *fields, value=5)
    assert (result.exit_code, said in result.message) == (exit_code, True), result
    assert stage.state(RENT) == before


def test_actor_without_rent_cannot_opt_out_or_be_queried(stage: Stage) -> None:
    assert stage.ask(OPT_OUT).exit_code == ExitCode.USR_NOT_FOUND
    assert stage.ask(LOOK, Address.id(ActorID(999_999)).to_bytes()).exit_code == ExitCode.USR_NOT_FOUND


def test_rent_of_unenrolled_actor_cannot_be_paid_by_others(stage: Stage) -> None:
    result = stage.ask(PAY, Address.id(stage.tenant).to_bytes(), value=5)
    assert result.exit_code == ExitCode.USR_FORBIDDEN
    assert stage.by_tenant(PAY, b"") == 0
    assert stage.ask(PAY, Address.id(stage.tenant).to_bytes(), value=5).exit_code == 0
    assert stage.tenancy() == Tenancy(5, 0, stage.epoch, graced=True)


def test_an_archived_actor_takes_no_rent(stage: Stage) -> None:
    stage.archive()
    before = stage.machine.balance(stage.alice)
    result = stage.ask(PAY, Address.id(stage.tenant).to_bytes(), value=5)
    assert (result.exit_code, stage.machine.balance(stage.alice)) == (ExitCode.USR_ILLEGAL_STATE, before)


def test_opt_out_refunds_deposit_and_ends_tenancy(stage: Stage) -> None:
    before = stage.machine.balance(Address.id(stage.tenant))
    assert stage.by_tenant(PAY, b"", value=10**12) == 0
    assert stage.by_tenant(OPT_OUT) == 0
    assert stage.machine.balance(Address.id(stage.tenant)) == before
    stage.next_epoch(100)
    collect(stage.machine)
    assert stage.books().tenancies() == {}
    assert stage.gone() is None


def test_a_deposit_has_a_bound(stage: Stage) -> None:
    """The deposit exceeds the total supply of FIL, so the machine adds it to the account."""
    alice = stage.machine.state_tree.lookup_id(stage.alice)
    assert alice is not None
    stage.machine.state_tree.set_actor(alice, stage.state(alice).with_balance(TokenAmount(1 << 101)))
    assert stage.by_tenant(PAY, b"", value=1) == 0
    address = Address.id(stage.tenant).to_bytes()
    assert stage.ask(PAY, address, value=MAX_DEPOSIT).exit_code == ExitCode.USR_ILLEGAL_ARGUMENT
    assert stage.ask(PAY, address, value=MAX_DEPOSIT - 1).exit_code == 0
    collect(stage.machine)
    tenancy = stage.tenancy()
    assert tenancy is not None
    assert tenancy.due == stage.epoch + PERIOD, "however much there is, a period is paid"


def test_look_reports_rent_of_paying_and_archived_actors(stage: Stage) -> None:
    address = Address.id(stage.tenant).to_bytes()

    def looked() -> list[int]:
        size, deposit, due, since = decode_strict(stage.ask(LOOK, address).return_data)
        return [size, decode_bigint(deposit), due, since]

    assert looked() == [0, 0, 0, 0]
    stage.by_tenant(PAY, b"", value=10**9)
    collect(stage.machine)
    size = size_of(stage.machine.store, stage.state(stage.tenant).head, 10).size
    assert looked() == [size, 10**9 - size * RATE * PERIOD, stage.epoch + PERIOD, 0]
    stage.by_tenant(OPT_OUT)
    gone = stage.archive()
    assert looked() == [gone.size, 0, 0, gone.since]


def test_inspect_reports_archived_actor(stage: Stage) -> None:
    gone = stage.archive()
    machine = stage.machine
    inspector = StateInspector(machine.store, machine.state_tree.flush())
    actor = f"f0{stage.tenant}"
    assert inspector.read_path("", limit=10**6)[actor]["type"] == "archived"
    shown = inspector.read_path(actor)
    assert shown["type"] == "archived"
    assert shown["archived"] == str(gone)
    assert inspector.read_path(f"{actor}/state")["archived_since"] == gone.since
    assert inspector.read_path(f"{actor}/state/root") == show(gone.root)
    with pytest.raises(PathNotFound, match=rf"{actor} is archived since epoch {gone.since}, root bafy"):
        inspector.read_path(f"{actor}/state/contract_state/0")


class TestEpochs:
    def test_the_rest_is_for_the_next_epoch(self, stage: Stage) -> None:
        books = stage.books()
        fake = [ActorID(2_000_000 + place) for place in range(EPOCH_ACTORS * 2 + 50)]
        for actor in fake:  # actors that are gone
            books.plan(actor, Tenancy(3, 0, stage.epoch, graced=True))
        self.put(stage, books, 3 * len(fake))
        left = []
        for _ in range(4):
            collect(stage.machine)
            left.append(len(stage.books().tenancies()))
            stage.next_epoch()
        assert left == [EPOCH_ACTORS + 50, 50, 0, 0]
        assert stage.machine.balance(Address.id(RENT)) == 0, "a deposit of nobody's is burnt"

    def test_large_states_wait_for_each_other(self, stage: Stage) -> None:
        others = [stage.tenant, stage.make(), stage.make()]
        books = stage.books()
        for actor in others:
            books.plan(actor, Tenancy(10**12, 0, stage.epoch, graced=True))
        self.put(stage, books, 3 * 10**12)
        with mock.patch.object(rent_lab, "EPOCH_BLOCKS", 1):
            dues = []
            for _ in range(3):
                collect(stage.machine)
                dues.append(sorted(one.due - stage.epoch for one in stage.books().tenancies().values()))
                stage.next_epoch()
        assert dues == [[1, 1, PERIOD], [1, PERIOD - 1, PERIOD], [PERIOD - 2, PERIOD - 1, PERIOD]]

    def test_an_idle_epoch_applies_no_message(self, stage: Stage) -> None:
        assert stage.by_tenant(PAY, b"", value=10**12) == 0
        collect(stage.machine)
        stage.next_epoch()
        with mock.patch.object(Hypervisor, "apply_implicit", side_effect=AssertionError):
            collect(stage.machine)

    def put(self, stage: Stage, books: RentState, deposits: int) -> None:
        head = books.flush()
        state = stage.state(RENT).with_head(head).with_balance(TokenAmount(deposits))
        stage.machine.state_tree.set_actor(RENT, state)


class TestContracts:
    """Rules under which every actor pays, including contracts that did not opt in."""

    @pytest.fixture
    def network(self) -> Iterator[Network]:
        with Network(rules="lab:rent=all/1000/10/5") as network:
            network.mine()
            yield network

    @pytest.mark.slow
    def test_an_archived_contract_answers_no_call_and_has_no_code(self, network: Network) -> None:
        one, two = (network.deploy(EXAMPLE / "Tenant.json") for _ in range(2))
        two.send("keep", 2)
        rent = network.contract("0xff00000000000000000000000000000000000015", {"abi": _PAY, "bytecode": "0x"})
        rent.send("pay", to_filecoin(two.address).to_bytes(), value=10**12)  # anybody pays for anybody
        network.mine(12)
        assert _actor(network, to_filecoin(one.address)).code == ARCHIVED_CODE
        count = two.interface.encode_call("count")
        assert two.call("forward", one.address, 0, count)[0] is False
        assert two.call("borrow", one.address, count)[0] is False, "its code is part of its state"
        assert two.call("count") == 2
        assert all(_actor(network, account.native).code != ARCHIVED_CODE for account in network.accounts)
        with pytest.raises(CallFailed, match="is archived since epoch"):
            one.send("keep", 1)

    def test_contract_cannot_opt_out_of_rent(self, network: Network) -> None:
        one = network.deploy(EXAMPLE / "Tenant.json")
        with pytest.raises(CallFailed, match="exit="):
            one.send("optOut")

    @pytest.mark.slow
    def test_a_place_for_an_account_that_becomes_a_contract_pays(self, network: Network) -> None:
        """A contract is created at an address with a balance; its ID was first looked up as a placeholder."""
        sender = network.accounts[3]
        state = network.machine.actor(sender.delegated)
        assert state is not None
        place = create_address(sender.address, state.nonce + 1)
        network.send(place, 5, sender=sender)
        network.mine(2)
        books = RentState(network.machine.store, _actor(network, Address.id(RENT)).head)
        actor = network.machine.state_tree.lookup_id(to_filecoin(place))
        assert actor is not None
        assert books.tenancy(actor) is not None
        contract = network.deploy(EXAMPLE / "Tenant.json", sender=sender)
        assert bytes(contract.address) == place
        network.mine(20)
        assert _actor(network, to_filecoin(place)).code == ARCHIVED_CODE


_PAY = [
    {
        "type": "function", "name": "pay", "stateMutability": "payable",
        "inputs": [{"name": "actor", "type": "bytes"}], "outputs": [{"name": "", "type": "uint64"}],
    }
]  # fmt: skip


@pytest.mark.slow
def test_preinstalled_contracts_pay_no_rent() -> None:
    """The CREATE2 deployer remains available for tests and scripts."""
    with Network(rules="lab:rent=all/1000/3/2") as network:
        network.mine(20)
        for address in (CREATE2_DEPLOYER, MULTICALL3):
            actor = network.machine.actor(to_filecoin(address))
            assert actor is not None
            assert archived_actor(network.machine.store, actor) is None


@pytest.mark.slow
def test_the_largest_proof_is_a_message_that_a_block_takes() -> None:
    with Network(rules="lab:rent=all/1000/10/9") as network:
        code = network.machine.install((EXAMPLE / "tenant.wasm").read_bytes())
        tenant = Address.id(network.machine.create(code).id)
        network.chain.keep_changes()
        room = MAX_PROVEN - 2 * BLOCK_BYTES - 46
        network.send_native(tenant, KEEP, encode([bytes(room)]), gas_limit=10**9)
        state = network.machine.actor(tenant)
        assert state is not None
        proof = proof_of(network.machine.store, state.head)
        network.mine(20)
        gone = archived_actor(network.machine.store, network.machine.state_tree.existing(tenant.actor_id() or RENT))
        assert gone is not None
        assert (gone.retained, MAX_PROVEN - 2 < gone.size <= MAX_PROVEN) == (False, True), gone
        params = encode([tenant.to_bytes(), proof])
        sent = network.send_native(RENT_ADDRESS, RESURRECT, params, value=gone.size * 10_000, gas_limit=10**9)
        assert sent.succeeded
        assert sent.gas_used < 400_000_000


@pytest.mark.slow
def test_the_plot_has_a_line_with_and_one_without() -> None:
    samples = Simulation(1, 12_000).run()
    assert samples[-1].epoch == 12_000
    assert samples[-1].archived > 0
    lines = [element for element in ElementTree.fromstring(svg(samples)) if element.tag.endswith("polyline")]
    assert [len(line.attrib["points"].split()) for line in lines] == [len(samples)] * 2


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("some", "expected own or all"),
        ("all/", "expected own or all"),
        ("own/x", "expected own or all"),
        ("own/-1", "expected own or all"),
        ("own/1/2/3/4", "expected own or all"),
        ("own/0", "a rate of 0: expected 1 to"),
        ("own/" + "9" * 20, "a rate of 9"),
        ("own/" + "9" * 30, "expected own or all"),
        ("own/1/0", "a period of 0: expected 1 to 1000000"),
        ("own/1/1000001", "a period of 1000001"),
        ("own/1/1/10000001", "a grace of 10000001: expected 0 to 10000000"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(option: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(f"rent={option}: {said}")):
        Network(rules=f"lab:rent={option}")


def test_options_name_the_terms_from_the_left() -> None:
    assert terms_of("") == (False, RentTerms())
    assert terms_of("all") == (True, RentTerms())
    assert terms_of("all/5/6/7") == (True, RentTerms(((0, 5),), 6, 7))
    assert terms_of("own/5") == (False, RentTerms(((0, 5),)))


def test_rates_are_rows_by_epoch() -> None:
    terms = RentTerms(((0, 10), (100, 20)), period=3)
    assert [terms.rent(7, epoch) for epoch in (0, 99, 100, 10**9)] == [210, 210, 420, 420]


def test_maximum_rent_terms_do_not_overflow() -> None:
    """Signed 128 bits hold the largest product of state size, rate and period."""
    (_, _, rate), (_, _, period), _ = BOUNDS
    largest = STATE_BLOCKS * ((1 << 20) + BLOCK_BYTES)
    assert RentTerms(((0, rate),), period).rent(largest, 0) < 1 << 127


def test_a_state_that_lacks_a_block_is_fatal(stage: Stage) -> None:
    """A missing block is the machine's fault, not the actor's, as for any access to state."""
    assert stage.by_tenant(PAY, b"") == 0
    missing = cid_of(b"nothing has this block", DAG_CBOR)
    stage.machine.state_tree.set_actor(stage.tenant, stage.state(stage.tenant).with_head(missing))
    with pytest.raises(Fatal, match=f"the state of f0{stage.tenant} cannot be read: .* is not in the store"):
        collect(stage.machine)


NESTED = b"\x81" * 300 + b"\x00"
"""Nested lists, which a CBOR decoder would descend into."""


@pytest.mark.parametrize(
    ("method", "params", "exit_code", "said"),
    [
        (PAY, encode([bytes(599_999)]), 16, "600005 bytes of parameters, at most 512"),
        (LOOK, encode([bytes(509)]), 16, "513 bytes of parameters, at most 512"),
        (OPT_OUT, bytes(513), 16, "513 bytes of parameters, at most 512"),
        (RESURRECT, encode([b"", bytes(62_204)]), 16, "62209 bytes of parameters, at most 62208"),
        (RESURRECT, encode([b"", bytes(62_203)]), 20, "is not archived"),
        (PAY, NESTED, 21, "field 1 begins with 0x81: expected an unsigned integer or a byte string"),
        (PAY, b"\x81\x5f" + b"\x40" * 300 + b"\xff", 21, "field 1 begins with 0x5f"),
        (PAY, b"\x81", 21, "field 1 is missing"),
        (PAY, b"\x81\x58\x01\x00", 21, "not in canonical form"),
        (PAY, b"\x81\x42\x00", 21, "not in canonical form"),
        (PAY, b"\x81\x41\x00\x00", 21, "not in canonical form"),
        (PAY, encode([7]), 21, "a field that is not bytes"),
        (INVOKE_EVM, invoke_params(bytes(70_000)), 16, "calldata: 70005 bytes of parameters, at most 62208"),
        (INVOKE_EVM, invoke_params(rent_lab.METHODS[PAY].selector + bytes(600)), 16, "at most 512"),
        (
            INVOKE_EVM,
            b"\x5f" + b"\x40" * 300 + b"\xff",
            21,
            "chunked byte strings are not supported",
        ),
    ],
)
def test_invalid_rent_params_are_rejected_early(
    stage: Stage, method: MethodNumber, params: bytes, exit_code: int, said: str
) -> None:
    """Decoding item by item took 0.4 s for 0.6 million gas."""
    assert stage.by_tenant(PAY, b"") == 0
    refused = stage.send(RENT_ADDRESS, method, params, by=Address.id(stage.tenant))
    assert (refused.exit_code, said in refused.message) == (exit_code, True), refused.message


def test_each_byte_of_parameters_is_paid_before_it_is_read(stage: Stage) -> None:
    """Computed by hand with ten gas per byte; the message itself is implicit, and pays for no byte."""
    long, short = (stage.send(RENT_ADDRESS, PAY, b"\x81" * size).gas_used for size in (500, 100))
    assert long - short == 400 * 10

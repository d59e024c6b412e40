"""Lab `async`.

- Lab `async`: the outbox's invariants over random programs, and each documented rule.
- An outbox with a million entries: posting and delivering cost the documented amounts (lab `async`).
- Traces of implicit messages that have receipts (FIP-0107), if a lab executes further messages between them.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor.errors import Fatal
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.tracing import MessageEnded, MessageStarted, TraceEvent, Tracer
from hypervisor.types import METHOD_SEND, ActorID, ChainEpoch, Gas, MethodNumber, TokenAmount, encode_bigint
from hypervisor_labs import outbox
from hypervisor_labs.outbox import (
    EPOCH_GAS,
    EXPIRED,
    HANDLING_GAS,
    MAX_GAS,
    MAX_PARAMS,
    MAX_WAIT,
    OUTBOX,
    POST,
    POST_SELECTOR,
    RECEIPT,
    OutboxEntry,
    deliver,
    handling_gas,
    post_params,
)
from lab_tests.outbox import EXAMPLE, MISSING, ON_RECEIPT, RUN, run
from localnet import Network
from localnet.ledger.records import Tipset
from localnet.rpc.node import Node
from store.cid import DAG_CBOR, cid_of, show
from store.codec import decode_strict, encode, link
from store.trees.amt import Amt
from tests.conftest import samples
from tests.hypervisor_tools.laboratory.drafts.test_opening import EPOCH, opened, written
from tests.localnet.rpc.conftest import Client

PRICE = 100
MILLION = 1_000_000
FUNDS = TokenAmount(10**24)


@pytest.mark.slow
@pytest.mark.sampled
def test_random_programs_keep_every_invariant() -> None:
    stages, findings = run(7, samples(400), 1)
    assert findings == []
    assert stages["had one in both runtimes"] > samples(400) / 3


class Stage:
    """A machine with the lab at an epoch, an account that posts, and a native relay."""

    def __init__(self, network: Network) -> None:
        self.network, self.machine = network, network.machine
        self.alice, self.bob = network.accounts[0].native, network.accounts[1].native
        code = self.machine.install((EXAMPLE / "relay.wasm").read_bytes())
        self.relay = Address.id(self.machine.create(code, value=FUNDS).id)
        self.epoch = self.machine.context.epoch
        self.next_epoch()

    def next_epoch(self, by: int = 1) -> None:
        """Advance without delivering."""
        self.epoch = ChainEpoch(self.epoch + by)
        self.machine.advance(epoch=self.epoch, base_fee=TokenAmount(PRICE))

    def post(self, params: bytes, value: int = 10**15, sender: Address | None = None) -> ApplyResult:
        return self.machine.apply_implicit(
            Message(Address.id(OUTBOX), sender or self.alice, value=TokenAmount(value), method=POST, params=params)
        )

    def waiting(self) -> list[tuple[int, OutboxEntry]]:
        state = self.machine.state_tree.get_actor(OUTBOX)
        assert state is not None
        found = outbox.entries(self.machine.store, state.head)
        assert state.balance == sum(entry.escrow for _, entry in found)
        return found

    def deliver(self) -> None:
        self.next_epoch()
        deliver(self.machine)


@pytest.fixture(scope="module")
def prepared() -> Iterator[Network]:
    with Network(rules="lab:async") as network:
        network.mine()
        yield network


@pytest.fixture
def stage(prepared: Network) -> Iterator[Stage]:
    before = prepared.machine.snapshot()
    context = prepared.machine.context
    yield Stage(prepared)
    prepared.machine.restore(before)
    prepared.machine.advance(epoch=context.epoch, base_fee=context.base_fee)


def expiry(stage: Stage) -> int:
    return int(stage.epoch) + 10


@pytest.mark.slow
def test_unused_gas_is_refunded_and_rest_is_burnt(stage: Stage) -> None:
    """Computed by hand: value to the receiver; gas used and 30,000,000 for handling at the price of the post."""
    machine, cost = stage.machine, 7 + PRICE * (50 * MILLION + HANDLING_GAS)
    before, burnt = machine.balance(stage.alice), machine.balance(Address.id(ActorID(99)))
    bob = machine.balance(stage.bob)
    posted = stage.post(post_params(stage.bob, METHOD_SEND, value=7, gas=50 * MILLION, expiry=expiry(stage)), cost + 5)
    assert (posted.exit_code, decode_strict(posted.return_data)) == (0, 1)
    assert machine.balance(stage.alice) == before - cost, "5 attoFIL too much came back at once"
    stage.machine.advance(base_fee=TokenAmount(10**9))  # the price is that of the posting
    stage.epoch = ChainEpoch(stage.epoch + 1)
    machine.advance(epoch=stage.epoch)
    deliver(machine)
    plain = machine.call(Message(stage.bob, stage.alice, value=TokenAmount(7), gas_limit=Gas(50 * MILLION)))
    used = machine.balance(Address.id(ActorID(99))) - burnt
    assert used == PRICE * (plain.gas_used + HANDLING_GAS)
    assert machine.balance(stage.bob) == bob + 7
    assert machine.balance(stage.alice) == before - 7 - used
    assert stage.waiting() == []


@pytest.mark.parametrize(
    ("changed", "paid", "said", "exit_code"),
    [
        ({"gas": 0}, 10**18, "the gas budget is 0: expected 1 to", 16),
        ({"gas": MAX_GAS + 1}, 10**18, "the gas budget is", 16),
        ({"expiry": 0}, 10**18, "the expiry is epoch 0", 16),
        ({"expiry": MAX_WAIT * 2}, 10**18, "the expiry is epoch", 16),
        ({"value": -1}, 10**18, "the value is -1 attoFIL", 16),
        ({"value": 1 << 200}, 10**18, "the value is", 16),
        ({"params": bytes(MAX_PARAMS + 1)}, 10**18, "the parameters have 32769 bytes", 16),
        ({"receipt_method": 9}, 10**18, "the gas budget of the receipt is 0", 16),
        ({"receipt_gas": 9}, 10**18, "the receipt has 9 gas but no method", 16),
        ({}, 0, "the message costs 4000000000 attoFIL with its value, but only 0 were sent with it", 19),
        ({}, 3_999_999_999, "but only 3999999999 were sent with it", 19),
        ({"value": 1}, 4_000_000_000, "the message costs 4000000001", 19),
    ],
)
def test_invalid_outbox_post_is_refused(
    stage: Stage, changed: dict[str, Any], paid: int, said: str, exit_code: int
) -> None:
    given: dict[str, Any] = {"gas": 10 * MILLION, "expiry": expiry(stage), **changed}
    before = stage.machine.balance(stage.alice)
    refused = stage.post(post_params(stage.bob, METHOD_SEND, **given), paid)
    assert (refused.exit_code, said in refused.message) == (exit_code, True), refused.message
    assert stage.machine.balance(stage.alice) == before
    assert stage.waiting() == []


@pytest.mark.parametrize(
    ("params", "exit_code"),
    [
        (b"", 21),
        (b"\x00", 21),
        (encode([]), 21),
        (encode([b"", 0, b"", b"", 1, 1, 0]), 21),
        (encode([b"", -1, b"", b"", 1, 1, 0, 0]), 21),
        (encode([b"", 0, b"", b"\x02\x01", 1, 1, 0, 0]), 21),
        (encode([b"", 0, b"", b"", 1.5, 1, 0, 0]), 21),
        (encode([b"", 0, b"", b"", True, 1, 0, 0]), 21),
        (encode([b"\xff\xff", 0, b"", b"", 1, 10**6, 0, 0]), 16),
        (b"\x9f" * 5_000, 21),
        (encode([bytes(600_000)]), 16),
    ],
)
def test_parameters_that_are_none_are_refused(stage: Stage, params: bytes, exit_code: int) -> None:
    assert stage.post(params).exit_code == exit_code


@pytest.mark.parametrize(
    "calldata", [b"", b"\x01", POST_SELECTOR, POST_SELECTOR + bytes(31), POST_SELECTOR + b"\xff" * 400]
)
def test_calldata_that_is_none_is_refused(stage: Stage, calldata: bytes) -> None:
    sent = Message(Address.id(OUTBOX), stage.alice, method=INVOKE_EVM, params=invoke_params(calldata))
    assert stage.machine.apply_implicit(sent).exit_code in (16, 21, 22)


@pytest.mark.parametrize(
    ("params", "exit_code", "said"),
    [
        (
            b"\x88" + b"\x81" * 200 + b"\x00",
            21,
            "field 1 begins with 0x81: expected an unsigned integer or a byte string",
        ),
        (encode([b"", 0, [0] * 30_000, b"", 1, 1, 0, 0]), 21, "field 3 begins with 0x99"),
        (bytes(33_281), 16, "Post: 33281 bytes of parameters, at most 33280"),
        (bytes(33_280), 21, "expected a list of 8"),
    ],
)
def test_invalid_post_params_are_rejected_early(stage: Stage, params: bytes, exit_code: int, said: str) -> None:
    refused = stage.post(params)
    assert (refused.exit_code, said in refused.message) == (exit_code, True), refused.message
    sent = Message(Address.id(OUTBOX), stage.alice, method=INVOKE_EVM, params=b"\x5f" + b"\x40" * 300 + b"\xff")
    assert "chunked byte strings are not supported" in stage.machine.apply_implicit(sent).message


def test_each_byte_of_parameters_is_paid_before_it_is_read(stage: Stage) -> None:
    """Computed by hand with ten gas per byte; the message itself is implicit, and pays for no byte."""
    long, short = (stage.post(b"\x88" * size, value=0).gas_used for size in (500, 100))
    assert long - short == 400 * 10


@pytest.mark.parametrize("method", [1, 3, 4, 5])
def test_outsiders_cannot_deliver_or_settle(stage: Stage, method: int) -> None:
    sent = Message(Address.id(OUTBOX), stage.alice, method=MethodNumber(method), params=encode([10**9]))
    code = stage.machine.apply_implicit(sent).exit_code
    assert code == (ExitCode.USR_FORBIDDEN if method in (3, 4) else ExitCode.USR_UNHANDLED_MESSAGE)


def test_message_to_missing_actor_returns_with_its_value(stage: Stage) -> None:
    before = stage.machine.balance(stage.alice)
    stage.post(
        post_params(MISSING, METHOD_SEND, value=10**12, gas=10 * MILLION, expiry=expiry(stage), receipt_method=9,
                    receipt_gas=MILLION)
    )  # fmt: skip
    stage.deliver()
    ((_, receipt),) = stage.waiting()
    assert (receipt.kind, receipt.about) == (RECEIPT, 1)
    assert decode_strict(receipt.params)[:2] == [1, ExitCode.SYS_INVALID_RECEIVER]
    lost = before - stage.machine.balance(stage.alice)
    assert lost < 10**11 < 10**12, "gas alone"


def test_expired_message_returns_value_with_receipt(stage: Stage) -> None:
    before = stage.machine.balance(stage.alice)
    stage.post(
        post_params(stage.bob, METHOD_SEND, value=10**12, gas=10 * MILLION, expiry=int(stage.epoch) + 1,
                    receipt_method=9, receipt_gas=MILLION)
    )  # fmt: skip
    stage.next_epoch()
    stage.deliver()
    ((_, receipt),) = stage.waiting()
    assert decode_strict(receipt.params) == [1, EXPIRED, 0, None]
    assert before - stage.machine.balance(stage.alice) == PRICE * HANDLING_GAS + receipt.escrow
    stage.deliver()
    assert stage.waiting() == []


def test_outbox_message_of_deleted_poster_burns_its_escrow(stage: Stage) -> None:
    """Its funds are burnt: nothing remains in the outbox, and the total is unchanged."""
    machine, poster = stage.machine, stage.relay.actor_id()
    assert poster is not None
    stage.post(post_params(stage.bob, METHOD_SEND, value=5, gas=MILLION, expiry=expiry(stage)), sender=stage.relay)
    ((_, entry),) = stage.waiting()
    burnt, bob = machine.balance(Address.id(ActorID(99))), machine.balance(stage.bob)
    machine.state_tree.delete_actor(poster)
    stage.deliver()
    assert stage.waiting() == []
    assert machine.balance(Address.id(ActorID(99))) == burnt + entry.escrow
    assert machine.balance(stage.bob) == bob


def test_self_posting_message_advances_one_epoch_per_delivery(stage: Stage) -> None:
    """A loop ends when its prepaid gas does, and uses one entry's gas per epoch."""
    params = encode([1, [], False])
    for depth in range(2, 6):
        again = post_params(stage.relay, RUN, params, gas=200 * MILLION, expiry=int(stage.epoch) + 20)
        params = encode([depth, [[again, encode_bigint(PRICE * 300 * MILLION)]], False])
    stage.post(post_params(stage.relay, RUN, params, gas=200 * MILLION, expiry=expiry(stage)), 10**17)
    for left in range(5):
        assert len(stage.waiting()) == 1, left
        stage.deliver()
    assert stage.waiting() == []


def test_an_epoch_delivers_within_its_gas_oldest_first(stage: Stage) -> None:
    """An account's flood is delivered over several epochs without delaying the system's messages."""
    budget = Gas(EPOCH_GAS // 4 - HANDLING_GAS)
    for _ in range(10):
        stage.post(post_params(stage.bob, METHOD_SEND, gas=budget, expiry=expiry(stage)))
    left = []
    for _ in range(3):
        stage.deliver()
        left.append([number for number, _ in stage.waiting()])
    assert left == [[5, 6, 7, 8, 9, 10], [9, 10], []]


def test_a_message_that_uses_all_of_its_gas_ends_alone(stage: Stage) -> None:
    stage.post(post_params(stage.relay, RUN, encode([1, [], False]), gas=1, expiry=expiry(stage)))
    stage.post(post_params(stage.bob, METHOD_SEND, value=3, gas=10 * MILLION, expiry=expiry(stage)))
    bob = stage.machine.balance(stage.bob)
    stage.deliver()
    assert stage.waiting() == []
    assert stage.machine.balance(stage.bob) == bob + 3


def test_fatal_delivery_burns_its_budget_and_next_one_proceeds(stage: Stage) -> None:
    """The receiver's state is missing: the message is removed completely and does not affect later epochs."""
    machine, broken = stage.machine, stage.relay.actor_id()
    state = None if broken is None else machine.state_tree.get_actor(broken)
    assert broken is not None
    assert state is not None
    machine.state_tree.set_actor(broken, replace(state, head=cid_of(b"a state that nobody has")))
    for to, method in ((stage.relay, RUN), (stage.bob, METHOD_SEND)):
        stage.post(
            post_params(to, method, encode([1, [], False]) if method else b"", value=10**12, gas=10 * MILLION,
                        expiry=expiry(stage), receipt_method=9, receipt_gas=MILLION)
        )  # fmt: skip
    alice, bob = stage.machine.balance(stage.alice), machine.balance(stage.bob)
    stage.deliver()
    results = [decode_strict(entry.params) for _, entry in stage.waiting()]
    assert results[0] == [1, ExitCode.SYS_ASSERTION_FAILED, 10 * MILLION, b""]
    assert results[1][1] == ExitCode.OK
    assert machine.balance(stage.bob) == bob + 10**12
    assert alice + 10**12 <= machine.balance(stage.alice) < alice + 10**12 + 10 * MILLION * PRICE
    assert machine.balance(stage.relay) == FUNDS


def test_a_defect_of_the_machine_that_a_delivery_shows_is_raised(stage: Stage) -> None:
    class OfThisMachine(Fatal):
        """A defect of this machine, such as differing engines."""

    class Failing:
        """A machine in which bob cannot be reached."""

        def __init__(self, machine: Hypervisor) -> None:
            self.machine = machine

        def __getattr__(self, name: str) -> object:
            return getattr(self.machine, name)

        def apply_implicit(self, message: Message) -> ApplyResult:
            result = self.machine.apply_implicit(message)
            return replace(result, fatal=OfThisMachine("they differ")) if message.to == stage.bob else result

    stage.post(post_params(stage.bob, METHOD_SEND, gas=10 * MILLION, expiry=expiry(stage)))
    stage.next_epoch()
    with pytest.raises(OfThisMachine):
        deliver(cast(Hypervisor, Failing(stage.machine)))


@pytest.mark.parametrize(("call", "taken"), [("5f5f365f73{}5afa", 0), ("5f5f365f5f73{}5af1", 1)])
def test_read_only_call_cannot_post_to_outbox(stage: Stage, call: str, taken: int) -> None:
    """STATICCALL and CALL: the bytecode forwards its calldata to the outbox and returns the success flag."""
    # CALLDATACOPY(0, 0, size); MSTORE(0, (STATIC)CALL(gas, outbox, 0, size, 0, 0)); RETURN(0, 32)
    code = "365f5f37" + call.format("ff" + "00" * 18 + "14") + "5f5260205ff3"
    size = len(code) // 2
    made = stage.network.deploy({"abi": [], "bytecode": f"0x60{size:02x}80600b6000396000f3{code}"})
    data = POST_SELECTOR + encode_abi(
        ("bytes", "uint64", "bytes", "uint256", "uint64", "uint64", "uint64", "uint64"),
        (stage.bob.to_bytes(), 0, b"", 0, MILLION, expiry(stage) + 5, 0, 0),
    )
    asked = Message(to_filecoin(made.address), stage.alice, method=INVOKE_EVM, params=invoke_params(data))
    stage.machine.advance(base_fee=TokenAmount(0))  # nothing is to be paid, so nothing else is wrong
    result = stage.machine.apply_implicit(asked)
    assert (result.exit_code, decode_strict(result.return_data)) == (0, taken.to_bytes(32, "big"))
    assert len(stage.waiting()) == taken


class Spent(Tracer):
    """A tracer of the maximum gas of messages to the outbox, by method."""

    def __init__(self) -> None:
        self.most: dict[int, int] = {}
        self._method: int | None = None

    def event(self, event: TraceEvent) -> None:
        if isinstance(event, MessageStarted):
            self._method = int(event.method) if event.to == Address.id(OUTBOX) else None
        elif isinstance(event, MessageEnded) and self._method is not None:
            self.most[self._method] = max(self.most.get(self._method, 0), event.gas_used)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "count"), [(0, 1_000), (MAX_PARAMS, 100)])
def test_handling_payment_covers_handling_gas(stage: Stage, size: int, count: int) -> None:
    for _ in range(count):
        params = post_params(
            stage.bob, METHOD_SEND, bytes(size), gas=MILLION, expiry=int(stage.epoch) + 1,
            receipt_method=9, receipt_gas=MILLION,
        )  # fmt: skip
        posted = stage.post(params)
        assert posted.exit_code == 0, posted.message
    for by, methods in ((1, {outbox.NEXT, outbox.SETTLE}), (4, {outbox.NEXT})):
        stage.next_epoch(by)
        stage.machine.tracer = spent = Spent()
        deliver(stage.machine)
        stage.machine.tracer = None
        assert set(spent.most) == methods, "the second time they have expired"
        assert sum(spent.most.values()) < outbox.handling_gas(size)


@pytest.mark.slow
def test_thousands_of_messages_cost_no_more_each(stage: Stage) -> None:
    """The queue is a tree: a message's gas grows with the logarithm of the queue's length."""
    used = [
        stage.post(post_params(stage.bob, METHOD_SEND, gas=MILLION, expiry=expiry(stage))).gas_used
        for _ in range(3_000)
    ]
    assert max(used[-1_000:]) < 2 * max(used[:100])
    assert len(stage.waiting()) == 3_000


@pytest.mark.slow
def test_outbox_delivers_in_blocks_null_rounds_and_after_reopen(tmp_path: Any) -> None:
    with Network(tmp_path, rules="lab:async") as network:
        network.mine()
        bob = network.accounts[1].native
        before = network.balance(bob)
        params = post_params(bob, METHOD_SEND, value=5, gas=10 * MILLION, expiry=network.block_number + 20)
        sender = network.accounts[0]
        receipt = network.send_native(
            Address.id(OUTBOX), POST, params, value=10**16, sender=sender, gas_limit=1_000_000_000
        )
        assert receipt.succeeded
        assert network.balance(bob) == before
    with Network(tmp_path) as network:
        network.mine(null_rounds=1)
        assert network.balance(bob) == before + 5


def test_the_code_of_the_outbox_is_a_block_of_the_state() -> None:
    with closing(Hypervisor.open(rules="lab:async")) as machine:
        assert machine.registry.names()[outbox.CODE] == outbox.RUNTIME
    with closing(Hypervisor.open()) as machine:
        assert outbox.CODE not in machine.registry.names()


def test_receipts_go_to_the_poster_alone(stage: Stage) -> None:
    forged = Message(stage.relay, stage.alice, method=ON_RECEIPT, params=encode([1, 0, 0, None]), gas_limit=Gas(10**9))
    assert stage.machine.apply_implicit(forged).exit_code == ExitCode.USR_FORBIDDEN


def filled(machine: Hypervisor, sender: Address, count: int) -> None:
    """Add N equal entries to the outbox with their funds, as after as many posts."""
    poster = machine.state_tree.lookup_id(sender)
    state = machine.state_tree.get_actor(OUTBOX)
    assert poster is not None
    assert state is not None
    entry = outbox.OutboxEntry(
        outbox.MESSAGE, poster, sender.to_bytes(), METHOD_SEND, b"", 0, MILLION, PRICE,
        machine.context.epoch, machine.context.epoch + 50_000, 9, MILLION,
    )  # fmt: skip
    block = entry.encode()
    cid = cid_of(block, DAG_CBOR)
    machine.store.put(cid, block)
    queue = Amt(machine.store)
    for number in range(1, count + 1):
        queue.set(number, link(cid))
    head = encode([count + 1, 1, link(queue.flush())])
    machine.store.put(cid_of(head, DAG_CBOR), head)
    full = state.with_head(cid_of(head, DAG_CBOR)).with_balance(TokenAmount(count * entry.escrow))
    machine.state_tree.set_actor(OUTBOX, full)


@pytest.mark.oracle
def test_a_million_messages_hold_up_no_epoch() -> None:
    with Network(rules="lab:async") as network:
        network.mine()
        machine, alice = network.machine, network.accounts[0].native
        machine.advance(base_fee=TokenAmount(PRICE))
        filled(machine, alice, MILLION)
        params = post_params(alice, METHOD_SEND, gas=MILLION, expiry=machine.context.epoch + 9)
        post = Message(Address.id(OUTBOX), alice, value=TokenAmount(10**15), method=POST, params=params)
        posted = machine.apply_implicit(post)
        assert posted.exit_code == 0
        assert posted.gas_used < 11_000_000
        machine.advance(epoch=ChainEpoch(machine.context.epoch + 1))
        started = time.process_time()
        machine.tracer = spent = Spent()
        deliver(machine)
        assert time.process_time() - started < 5
        assert 0 < sum(spent.most.values()) < handling_gas(0), spent.most


RULE = '[rules]\nreceipts = "all"\n'
CRON, REWARD = ("f03", 2), ("f02", 2)


def delivering_tipset(network: Network) -> Tipset:
    """Return a tipset after a null round, at whose cron the outbox delivers a message."""
    network.mine(EPOCH + 1 - network.block_number)
    sender, receiver = network.accounts[0], network.accounts[1].native
    before = network.balance(receiver)
    params = post_params(receiver, METHOD_SEND, value=5, gas=10 * MILLION, expiry=network.block_number + 20)
    network.send_native(Address.id(OUTBOX), POST, params, value=10**16, sender=sender, gas_limit=1_000_000_000)
    tipset = network.mine(null_rounds=1)
    assert network.balance(receiver) == before + 5
    return tipset


@pytest.mark.slow
def test_deliveries_do_not_shift_the_traces_of_rewards_and_cron(tmp_path: Path) -> None:
    with opened(written(tmp_path, RULE), rules="lab:async") as network:
        tipset, client = delivering_tipset(network), Client(Node(network))
        receipts = network.chain.index.implicit_receipts(tipset)
        traces = [client("hypervisor_trace", f"0x{receipt.hash.hex()}")["calls"] for receipt in receipts]
        replays = [
            client("Filecoin.StateReplay", [], {"/": show(receipt.candidate.message.cid())}) for receipt in receipts
        ]
        computed = client("Filecoin.StateCompute", tipset.height, None, [{"/": show(tipset.block)}])["Trace"]
    assert [[(call["to"], call["method"]) for call in calls] for calls in traces] == [[CRON], [REWARD], [CRON]]
    called = ["t03", "t02", "t03"]
    assert [each["ExecutionTrace"]["Msg"]["To"] for each in replays] == called
    assert [each["ExecutionTrace"]["Msg"]["To"] for each in computed] == called
    assert [each["Msg"]["Nonce"] for each in computed] == [tipset.height - 1, tipset.height, tipset.height]

"""Random message sequences per actor, on our actors and the official ones: all results must be equal."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from bridge.filecoin.method_numbers import method_number
from hypervisor import Address
from hypervisor.types import POWER_ACTOR
from store.codec import encode
from tests.conftest import samples
from tests.hypervisor.builtin_actors.official import V18
from tests.hypervisor.builtin_actors.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    FIL,
    OTHER_WORKER,
    STRANGER,
    WORKER,
    amount,
    packed,
    raw,
)
from tests.hypervisor.builtin_actors.test_same_datacap import BYTE, DATACAP, GOVERNOR, REGISTRY
from tests.hypervisor.builtin_actors.test_same_miner import EVENT, Miner, pledge_something
from tests.hypervisor.builtin_actors.test_same_multisig import PROPOSE, Wallet
from tests.hypervisor.builtin_actors.test_same_paymentchannel import COLLECT, SETTLE, Channel
from tests.hypervisor.builtin_actors.twins import Twins

people = st.sampled_from((ALICE, BOB, CAROL, DAVE))
addresses = st.sampled_from((ALICE, BOB, CAROL, DAVE, STRANGER, Address.id(101), Address.id(5), Address.id(9_999)))
small = st.integers(-1, 6)
epochs = st.integers(1, 600)


class Sequences(RuleBasedStateMachine):
    first: Twins

    @initialize()
    def begin(self) -> None:
        self.twins = self.first.fork(kind="random")
        self.epoch = 0
        self.prepare()

    def prepare(self) -> None:
        """Set up the state before the first message."""

    @rule(by=epochs)
    def time_passes(self, by: int) -> None:
        self.epoch += by
        self.twins.advance(epoch=self.epoch)


class Multisigs(Sequences):
    def prepare(self) -> None:
        self.wallet = Wallet(self.twins, [ALICE, BOB, CAROL], 2, 1000, 2000)

    @rule(by=people, to=addresses, value=st.integers(-1, 600))
    def pay(self, by: Address, to: Address, value: int) -> None:
        self.wallet.propose(by, to, value)

    @rule(by=people, method=st.integers(5, 8), who=addresses, other=addresses, flag=st.booleans())
    def govern(self, by: Address, method: int, who: Address, other: Address, flag: bool) -> None:
        params = {7: packed(raw(who), raw(other)), 8: packed(int(flag) + 1)}.get(method, packed(raw(who), flag))
        self.wallet.itself(by, method, params)

    @rule(by=people, start=small, duration=st.integers(-1, 900), value=st.integers(-1, 900))
    def lock(self, by: Address, start: int, duration: int, value: int) -> None:
        self.wallet.itself(by, 9, packed(start, duration, amount(value)))

    @rule(by=people, inner=small)
    def nest(self, by: Address, inner: int) -> None:
        self.wallet.itself(by, PROPOSE, packed(raw(DAVE), amount(inner), 0, b""))
        self.wallet.itself(by, 3, packed(inner, b""))

    @rule(by=people, transaction=st.integers(-1, 12))
    def approve(self, by: Address, transaction: int) -> None:
        self.wallet.approve(by, transaction)

    @rule(by=people, transaction=st.integers(-1, 12))
    def cancel(self, by: Address, transaction: int) -> None:
        self.wallet.cancel(by, transaction)


class Channels(Sequences):
    def prepare(self) -> None:
        self.channel = Channel(self.twins, 1000)

    @rule(data=st.data(), signer=people, sender=people, honest=st.booleans())
    def show(self, data: Any, signer: Address, sender: Address, honest: bool) -> None:
        voucher = self.channel.voucher(
            lane=data.draw(st.integers(0, 9)),
            nonce=data.draw(st.integers(0, 20)),
            amount=data.draw(st.integers(-1, 1200)),
            min_settle_height=data.draw(st.sampled_from((0, 0, 1500, 9000))),
            merges=tuple(data.draw(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20)), max_size=3))),
            from_epoch=data.draw(st.sampled_from((0, 0, 0, 700))),
            to_epoch=data.draw(st.sampled_from((0, 0, 0, 2000))),
        )
        if honest:
            signer, sender = ALICE, BOB
        self.channel.show(voucher, signer, sender)

    @rule(by=people)
    def settle(self, by: Address) -> None:
        self.channel.call(SETTLE, by)

    @rule(by=people)
    def collect(self, by: Address) -> None:
        self.channel.call(COLLECT, by)


class Tokens(Sequences):
    def _call(self, sender: Address | int, name: str, *params: Any) -> None:
        method = method_number(name)
        if isinstance(sender, int):
            self.twins.send_as(sender, DATACAP, method, encode(list(params)))
        else:
            self.twins.send(DATACAP, method, encode(list(params)), 0, sender)

    @rule(to=addresses, tokens=small, operators=st.lists(addresses, max_size=2))
    def mint(self, to: Address, tokens: int, operators: list[Address]) -> None:
        self._call(GOVERNOR, "Mint", raw(to), amount(tokens * BYTE), [raw(operator) for operator in operators])

    @rule(owner=addresses, tokens=small)
    def destroy(self, owner: Address, tokens: int) -> None:
        self._call(GOVERNOR, "Destroy", raw(owner), amount(tokens * BYTE))

    @rule(by=people, tokens=small)
    def burn(self, by: Address, tokens: int) -> None:
        self._call(by, "Burn", amount(tokens * BYTE))

    @rule(by=people, owner=addresses, tokens=small)
    def burn_from(self, by: Address, owner: Address, tokens: int) -> None:
        self._call(by, "BurnFrom", raw(owner), amount(tokens * BYTE))

    @rule(by=people, tokens=small, to=st.sampled_from((REGISTRY, REGISTRY, ALICE)))
    def transfer(self, by: Address, tokens: int, to: Address) -> None:
        self._call(by, "Transfer", raw(to), amount(tokens * BYTE), b"\x82\x80\x80")

    @rule(by=people, owner=addresses, tokens=small)
    def transfer_from(self, by: Address, owner: Address, tokens: int) -> None:
        self._call(by, "TransferFrom", raw(owner), raw(REGISTRY), amount(tokens * BYTE), b"\x82\x80\x80")

    @rule(by=people, operator=addresses, change=small, more=st.booleans())
    def allow(self, by: Address, operator: Address, change: int, more: bool) -> None:
        self._call(by, "IncreaseAllowance" if more else "DecreaseAllowance", raw(operator), amount(change * BYTE))

    @rule(by=people, operator=addresses)
    def revoke(self, by: Address, operator: Address) -> None:
        self._call(by, "RevokeAllowance", raw(operator))


class Miners(Sequences):
    def prepare(self) -> None:
        self.miner = Miner(self.twins)
        pledge_something(self.twins, self.miner.id)

    @rule(wins=st.integers(1, 3), penalty=st.sampled_from((0, 0, FIL, 9 * FIL, 40 * FIL)))
    def win(self, wins: int, penalty: int) -> None:
        self.miner.award(wins, penalty)

    @rule(by=people, wanted=st.sampled_from((-1, 0, 1, FIL, 10**30)))
    def withdraw(self, by: Address, wanted: int) -> None:
        self.miner.send(by, "WithdrawBalance", packed(amount(wanted)))

    @rule(by=people, value=st.sampled_from((0, 0, FIL, 60 * FIL)))
    def repay(self, by: Address, value: int) -> None:
        self.miner.send(by, "RepayDebt", value=value)

    @rule(by=people, control=st.lists(addresses, max_size=3), worker=st.sampled_from((WORKER, OTHER_WORKER, ALICE)))
    def appoint(self, by: Address, control: list[Address], worker: Address) -> None:
        self.miner.send(by, "ChangeWorkerAddress", packed(raw(worker), [raw(address) for address in control]))
        self.miner.send(by, "ConfirmChangeWorkerAddress")

    @rule(by=people, owner=st.integers(100, 103))
    def sell(self, by: Address, owner: int) -> None:
        self.miner.send(by, "ChangeOwnerAddress", encode(raw(Address.id(owner))))

    @rule(by=people, to=people, quota=st.sampled_from((-1, 0, 1, FIL)), until=st.sampled_from((0, 500, 2**40)))
    def favour(self, by: Address, to: Address, quota: int, until: int) -> None:
        self.miner.send(by, "ChangeBeneficiary", packed(raw(to), amount(quota), until))

    @rule(days=st.integers(0, 30), kind=st.integers(-1, 3))
    def end_deadline(self, days: int, kind: int) -> None:
        self.time_passes(days * 2880)
        event = packed(packed(kind), [amount(1 << 191), amount(-5)], [amount(1 << 177), amount(1 << 170)])
        self.twins.send_as(POWER_ACTOR, self.miner.address, EVENT, event)

    @rule()
    def call_getters(self) -> None:
        self.miner.call_getters()


def run(machine: type[Sequences], first: Twins, examples: int) -> None:
    machine.first = first
    few = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=few)


machines = pytest.mark.parametrize(
    "machine",
    [Multisigs, Channels, Tokens, Miners],
    ids=["multisig", "paymentchannel", "datacap", "storageminer"],
)


@pytest.mark.slow
@pytest.mark.sampled
@machines
def test_random_sequences(first_twins: Twins, machine: type[Sequences]) -> None:
    run(machine, first_twins, examples=samples(12))


@pytest.mark.long
@machines
def test_many_random_sequences(first_twins: Twins, machine: type[Sequences]) -> None:
    run(machine, first_twins, examples=300 if first_twins.of is V18 else 30)

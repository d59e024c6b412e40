"""Every method compared with the official actor: its example by every caller, and every bad form of parameters."""

from collections import Counter

import pytest

from hypervisor import Address, Hypervisor, Message
from hypervisor.types import TokenAmount
from store.codec import encode
from tests.hypervisor.builtin_actors import stage
from tests.hypervisor.builtin_actors.bad_forms import bad_forms
from tests.hypervisor.builtin_actors.examples import ACTORS, CALLERS, Example, of_actor
from tests.hypervisor.builtin_actors.official import Official
from tests.hypervisor.builtin_actors.people import ALICE, BOB, DAVE, amount, packed, raw
from tests.hypervisor.builtin_actors.stage import RAW_ACTOR
from tests.hypervisor.builtin_actors.test_same_market import SEAL_2K, VERIFY
from tests.hypervisor.builtin_actors.test_same_multisig import APPROVE, PROPOSE
from tests.hypervisor.builtin_actors.test_same_registry import DAY
from tests.hypervisor.builtin_actors.twins import GAS_LIMIT, Twins


def offered(actor: str, of: Official) -> list[Example]:
    """Return the examples of an actor without methods that its other version lacks."""
    if actor in of.shared:
        pytest.skip(f"{of.name}: both sides have the official {actor}")
    return [example for example in of_actor(actor) if (actor, example.method) not in of.without]


@pytest.mark.slow
@pytest.mark.parametrize("actor", ACTORS)
def test_the_examples_are_good(staged: Twins, actor: str) -> None:
    for example in offered(actor, staged.of):
        for number in example.numbers:
            params = example.encoded(staged.official.manifest)
            result = staged.attempt(example.by, Address.id(example.to), number, params, example.value)
            assert result.exit_code == example.exit_code, (example.method, result.message)


@pytest.mark.slow
@pytest.mark.parametrize("actor", ACTORS)
def test_method_gas_exceeds_official_by_at_most_ten_percent(staged: Twins, actor: str) -> None:
    """Execution times are measured by the bench."""
    for example in offered(actor, staged.of):
        to, by = Address.id(example.to), Address.id(example.by)
        params, value = example.encoded(staged.official.manifest), TokenAmount(example.value)
        message = Message(to, by, 0, value, example.numbers[0], params, gas_limit=GAS_LIMIT)
        official, own = staged.official.call(message).gas_used, staged.own.call(message).gas_used
        assert own <= 1.1 * official, example.method


@pytest.mark.slow
@pytest.mark.parametrize("actor", ACTORS)
def test_every_caller_is_answered_the_same(staged: Twins, actor: str) -> None:
    """Each method is called by each caller, by exported and internal numbers."""
    codes: Counter[int] = Counter()
    for example in offered(actor, staged.of):
        params = example.encoded(staged.official.manifest)
        for number in example.numbers:
            for caller in CALLERS.values():
                result = staged.attempt(caller, Address.id(example.to), number, params, example.value, "caller")
                codes[result.exit_code] += 1
    assert codes[18]


@pytest.mark.slow
@pytest.mark.parametrize("actor", ACTORS)
def test_bad_params_get_same_exit_code_and_change_no_state(staged: Twins, actor: str) -> None:
    for example in offered(actor, staged.of):
        to = Address.id(example.to)
        for number in example.numbers:
            for _, params in bad_forms(example, staged.official.manifest):
                staged.attempt(example.by, to, number, params, example.value, "params")


@pytest.mark.parametrize(
    ("actor", "params"),
    [
        (0, b""), (1, packed("again")), (2, encode(b"")), (3, packed([])), (4, b""), (5, b""), (6, encode(raw(ALICE))),
        (7, encode(raw(ALICE))),
    ],
)  # fmt: skip
def test_singletons_are_constructed_once(staged: Twins, actor: int, params: bytes) -> None:
    assert staged.attempt(0, Address.id(actor), 1, params).exit_code == 20


def test_a_miner_is_not_made_without_its_deposit(staged: Twins) -> None:
    (example,) = (one for one in of_actor("storageminer") if one.method == "Constructor")
    if "storageminer" in staged.of.shared:
        pytest.skip(f"{staged.of.name}: both sides have the official miner")
    twins, actor = staged.fork(), RAW_ACTOR["storageminer"]

    def take_all(machine: Hypervisor) -> None:
        state = machine.state_tree.get_actor(actor)
        assert state is not None
        machine.state_tree.set_actor(actor, state.with_balance(TokenAmount(0)))

    twins.change(take_all)
    assert twins.attempt(1, Address.id(actor), 1, example.encoded(twins.official.manifest)).exit_code == 19


def test_deals_cannot_be_verified_after_their_start(staged: Twins) -> None:
    twins = staged.fork()
    twins.advance(epoch=5001)
    params = packed([[2, SEAL_2K, 1300 * DAY, [1]]])
    assert twins.attempt(stage.MINER, Address.id(5), VERIFY, params).exit_code == 32


def test_the_last_approval_needs_the_money(staged: Twins) -> None:
    twins, wallet = staged.fork(), Address.id(stage.WALLET)
    propose = packed(raw(DAVE), amount(10**30), 0, b"")
    assert twins.send(wallet, PROPOSE, propose, 0, ALICE).exit_code == 0
    assert twins.send(wallet, APPROVE, packed(2, b""), 0, BOB).exit_code == 19

"""Messages to native actors in tests: results, changes, and nested calls."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from localnet import NativeActor, Network
from localnet.testing import ExpectedMessage, MessageTester

TEMPLATE = Path(__file__).parents[3] / "hypervisor" / "builtin_actors" / "template" / "tip_jar"
FIL = 10**18


@pytest.fixture
def vm() -> Iterator[MessageTester]:
    with Network() as network:
        yield MessageTester(network)


@pytest.fixture
def jar(vm: MessageTester) -> NativeActor:
    code = vm._network.actors.install(TEMPLATE / "tip_jar.wasm", TEMPLATE / "interface.ipldsch")
    return vm.create(code, {"owner": vm.accounts(1)[0]})


def test_messages_add_up_and_a_failure_is_an_answer(vm: MessageTester, jar: NativeActor) -> None:
    giver, other = vm.accounts(2)
    before = vm.total_balance()
    assert [vm.apply(giver, jar, "Tip", {"note": "a"}, value=FIL).answer for _ in range(2)] == [1, 2]
    refused = vm.apply(other, jar, "Withdraw", {"amount": FIL})
    assert (refused.exit_code, refused.answer, refused.message) == (18, None, "only the owner withdraws")
    assert vm.state(jar).received == vm.balance(jar) == 2 * FIL
    assert vm.total_balance() == before
    assert vm.balance(giver) == 9_998 * FIL


def test_the_expected_calls_are_those_that_it_makes(vm: MessageTester, jar: NativeActor) -> None:
    owner, giver = vm.state(jar).owner, vm.accounts(1)[0]
    vm.apply(giver, jar, "Tip", ["a"], value=FIL).check(
        ExpectedMessage(jar, "Tip", from_=giver, value=FIL, answer=1, calls=[])
    )
    paid = vm.apply(owner, jar, "Withdraw", {"amount": 5})
    paid.check(
        ExpectedMessage(jar, "Withdraw", params={"amount": 5}, calls=[ExpectedMessage(owner, 0, from_=jar, value=5)])
    )
    for wrong, words in (
        (ExpectedMessage(jar, "Total"), r"the message calls method \d+, expected \d+"),
        (ExpectedMessage(giver, 0), r"the message goes to \d+, expected \d+"),
        (
            ExpectedMessage(jar, "Withdraw", exit_code=18),
            "the message exits with 0, expected 18",
        ),
        (ExpectedMessage(jar, "Withdraw", calls=[]), r"the message makes 1 calls \(f0\d+ method 0\), expected 0"),
        (
            ExpectedMessage(jar, "Withdraw", calls=[ExpectedMessage(owner, 0, value=6)]),
            "call 0 has the value 5, expected 6",
        ),
        (ExpectedMessage(jar, "Withdraw", params={"amount": 6}), "has the parameters '81420005', expected '81420006'"),
    ):
        with pytest.raises(AssertionError, match=words):
            paid.check(wrong)


def test_built_in_actors_and_numbers_are_messages_too(vm: MessageTester) -> None:
    account = vm.accounts(1)[0]
    assert vm.apply(account, "f07", "Name").answer == "DataCap"
    unknown = vm.apply(account, "f07", 12345)
    assert (unknown.exit_code, unknown.answer) == (22, None)
    assert vm.apply(account, account, 0, value=1).exit_code == 0
    with pytest.raises(InvalidInput, match="there is no actor f1"):
        vm.apply("f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za", "f07", "Name")


def test_a_tracer_of_the_machine_stays(vm: MessageTester) -> None:
    before = vm._machine.tracer
    vm.apply(vm.accounts(1)[0], "f07", "Name")
    assert vm._machine.tracer is before

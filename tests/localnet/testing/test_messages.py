"""Messages to native actors in tests: results, changes, and nested calls."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode
from localnet import NativeActor, Network
from localnet.errors import TransactionRefused
from localnet.testing import ExpectedMessage, MessageTester, exits, reverts
from store.keccak import keccak
from tests.localnet.conftest import ARTIFACTS

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


INBOX = ARTIFACTS / "Inbox.json"
TRAPS = "fe"


def test_the_reason_of_a_revert(network: Network) -> None:
    inbox = network.deploy(INBOX)
    with reverts():
        inbox.call("refuse", "no")
    with reverts("no"):
        inbox.call("refuse", "no")
    with pytest.raises(AssertionError, match="expected a revert with 'yes', but the reason is 'no'"), reverts("yes"):
        inbox.call("refuse", "no")


def test_a_transaction_reverts_like_a_call(network: Network) -> None:
    inbox = network.deploy(INBOX)
    with reverts("no"):
        network.send(inbox, 0, inbox.interface.encode_call("refuse", "no"), gas_limit=90_000_000)


def test_a_custom_error_by_its_name_and_with_its_arguments(network: Network) -> None:
    abi = [{"type": "error", "name": "Unauthorized", "inputs": [{"name": "who", "type": "uint256"}]}]
    selector = bytes(keccak(b"Unauthorized(uint256)")[:4]).hex()
    network.set_code(b"\x99" * 20, bytes.fromhex(f"63{selector}60e01b5f52600760045260245ffd"))
    contract = network.contract(b"\x99" * 20, {"abi": abi, "bytecode": "0x00"})
    for reason in ("Unauthorized", "Unauthorized(7)"):
        with reverts(reason, contract):
            network.call(contract)
    with pytest.raises(AssertionError, match=r"but the reason is 'Unauthorized\(7\)'"), reverts("Other", contract):
        network.call(contract)


def test_nothing_that_fails_is_no_revert(network: Network) -> None:
    with pytest.raises(AssertionError, match="expected a revert, but nothing failed"), reverts():
        network.call(network.accounts[0])
    with pytest.raises(AssertionError, match=r"expected exit code 18 \(USR_FORBIDDEN\), but nothing failed"), exits(18):
        network.call(network.accounts[0])


def test_another_failure_is_no_revert(network: Network) -> None:
    network.set_code(b"\x99" * 20, bytes.fromhex(TRAPS))
    with pytest.raises(AssertionError, match="expected a revert, but message execution failed"), reverts():
        network.call(b"\x99" * 20)


def test_expected_exit_codes_are_checked(network: Network) -> None:
    with exits(ExitCode.USR_UNHANDLED_MESSAGE):
        network.send_native("f04", 999_999)
    with pytest.raises(AssertionError, match="expected exit code 18"), exits(18):
        network.send_native("f04", 999_999)


def test_refused_transaction_does_not_satisfy_reverts(network: Network) -> None:
    with pytest.raises(TransactionRefused), reverts():
        network.send(network.accounts[1], 10**30, gas_limit=10_000_000)

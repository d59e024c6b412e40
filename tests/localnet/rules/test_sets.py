"""A rule set is registered once, with its machine part and network part, and is then selectable everywhere."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

import pytest

from bridge.bindings import storagepower
from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor import installation
from hypervisor.errors import InvalidInput
from hypervisor.installation import RULES_GROUP, rule_names
from hypervisor.machine import rules
from hypervisor.machine.executor import ApplyResult, Executor
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import MachineState
from hypervisor.machine.rules import RuleSet, executor_factory, lab, rule_set, rules_with_labs
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import POWER_ACTOR, TokenAmount
from localnet import CallFailed, Network, TransactionFailed, TransactionRefused
from localnet.rules.filecoin import FilecoinMessages, filecoin_rules
from localnet.rules.parts import NetworkRules, exit_text, rules_named
from tests.command import run
from tests.localnet.conftest import ARTIFACTS, network_fixture

CHEAP = TokenAmount(7)


class CheapExecutor:
    """The machine's executor, wrapped as by a third package."""

    def __init__(self, machine: MachineState) -> None:
        self._executor = Executor(machine)

    def apply(self, message: Message, raw_length: int, implicit: bool = False) -> ApplyResult:
        return self._executor.apply(message, raw_length, implicit)


class Impersonal(FilecoinMessages):
    """A network part that accepts no transaction with a value."""

    def check(self, machine: Hypervisor, candidate: Any, base_fee: TokenAmount, *, is_capped: bool = True) -> None:
        if candidate.bare.value:
            raise InvalidInput("no value")
        super().check(machine, candidate, base_fee)


def cheap_rules(hardfork: str = "", gas_limit: int | None = None) -> NetworkRules:
    usual = filecoin_rules(hardfork, gas_limit)
    fees = usual.fees._replace(first_base_fee=CHEAP, premium=CHEAP)
    return replace(usual, name="cheap", chain_id=4711, fees=fees, messages=Impersonal())


CHEAP_SET = RuleSet(machine=f"{__name__}:CheapExecutor", network=f"{__name__}:cheap_rules")


@pytest.fixture
def third_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register a rule set as an installed package would."""
    added = EntryPoint("cheap", f"{__name__}:CHEAP_SET", RULES_GROUP)
    installed = EntryPoints((*entry_points(group=RULES_GROUP), added))
    for module in (installation, rules):
        monkeypatch.setattr(module, "entry_points_of", lambda **given: installed.select(**given))
    known: tuple[Any, ...] = (rule_set, executor_factory, rules_named)
    for function in known:
        function.cache_clear()
    yield
    for function in known:
        function.cache_clear()


def test_the_sets_of_this_project_are_registered() -> None:
    assert rule_names()[:2] == ("filecoin", "ethereum")
    assert {rules_named(name).name for name in ("filecoin", "ethereum")} == {"filecoin", "ethereum"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["filecoin", "ethereum"])
def test_machine_loads_no_part_of_network(name: str) -> None:
    program = (
        "import sys; from hypervisor.machine.machine import Hypervisor\n"
        f"Hypervisor.open(rules={name!r}).close()\n"
        "print(*sorted(module for module in sys.modules if module.split('.')[0] == 'localnet'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.usefixtures("third_set")
def test_a_third_set_is_listed_after_the_machines_own() -> None:
    assert rule_names()[:3] == ("filecoin", "ethereum", "cheap")
    with pytest.raises(InvalidInput, match="rules 'dear' are not known: choose one of filecoin, ethereum, cheap"):
        rules_named("dear")


@pytest.mark.usefixtures("third_set")
def test_a_network_runs_under_a_third_set() -> None:
    with Network(rules="cheap") as network:
        assert type(network.machine.executor) is CheapExecutor
        assert (network.rules.name, network.chain_id, network.rules.fees.premium) == ("cheap", 4711, CHEAP)
        assert network.head.next_base_fee == CHEAP
        receipt = network.send(network.accounts[1])
        assert receipt.succeeded
        with pytest.raises(InvalidInput, match="no value"):
            network.send(network.accounts[1], 1)


@pytest.mark.usefixtures("third_set")
@pytest.mark.parametrize("command", ["node", "test"])
def test_command_line_accepts_only_registered_rules(command: str) -> None:

    refused = run(command, "--rules", "dear")
    assert refused.exit_code == 2
    assert "'dear' is not one of filecoin, ethereum, cheap" in " ".join(refused.output.replace("│", " ").split())


def test_rules_of_another_release_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, third_set: None) -> None:
    points = EntryPoints([EntryPoint("dear", f"{__name__}:cheap_rules", RULES_GROUP)])
    for module in (installation, rules):
        monkeypatch.setattr(module, "entry_points_of", lambda **given: points.select(**given))
    with pytest.raises(InvalidInput, match=r"registered as .*:cheap_rules, which is not a RuleSet"):
        rule_set("dear")


INBOX = ARTIFACTS / "Inbox.json"
MINER_FACTS = ARTIFACTS.parent.parent / "miner-facts" / "MinerFacts.json"

GAS = 5_000_000


network = network_fixture(lambda: Network(rules="ethereum"))


def test_a_failed_transaction_speaks_as_a_failed_call_does(network: Network) -> None:
    inbox = network.deploy(INBOX)
    with pytest.raises(CallFailed) as called:
        inbox.call("refuse", "not today")
    with pytest.raises(TransactionFailed) as sent:
        inbox.send("refuse", "not today", gas_limit=GAS)
    assert str(called.value) == str(sent.value) == "execution reverted: not today"


def test_a_contracts_own_error_is_named(network: Network) -> None:
    facts = network.deploy(MINER_FACTS)
    with pytest.raises(CallFailed) as called:
        facts.call("facts", 7)
    with pytest.raises(TransactionFailed) as sent:
        facts.send("facts", 7, gas_limit=GAS)
    for failure in (called, sent):
        assert str(failure.value).startswith('execution reverted: Refused(7, "MinerRawPower", 16)')


def test_out_of_gas_is_reported(network: Network) -> None:
    inbox = network.deploy(INBOX)
    with pytest.raises(TransactionFailed) as sent:
        inbox.send("greet", "hello", gas_limit=23_000)
    assert str(sent.value) == "out of gas"


def test_reverted_creation_reports_revert(network: Network) -> None:
    code = bytes.fromhex("60006000fd")
    with pytest.raises(TransactionFailed, match=r"^execution reverted$"):
        network.send(None, 0, code, gas_limit=GAS)


def test_own_exit_code_of_native_actor_is_no_failure_of_contracts(network: Network) -> None:
    assert exit_text(network.rules, 33, native=False) == "execution reverted"
    assert exit_text(network.rules, 33, native=True) == ""
    assert exit_text(network.rules, 7, native=True) == "out of gas"


def test_builtin_actor_error_names_exit_code(network: Network) -> None:
    begin = "execution failed: exit 17 USR_NOT_FOUND"
    with pytest.raises(CallFailed) as asked:
        network.ask(Address.id(POWER_ACTOR), storagepower.miner_power(7))
    assert str(asked.value).startswith(begin)
    with pytest.raises(CallFailed) as called:
        network.actors.at("f04").call("MinerPower", 7)
    assert str(called.value).startswith(begin)
    with pytest.raises(TransactionFailed) as sent:
        network.invoke(Address.id(POWER_ACTOR), storagepower.miner_power(7))
    assert str(sent.value).startswith(begin)


UNITS = {"filecoin": "attoFIL", "ethereum": "wei"}


@pytest.mark.parametrize(("rules", "unit"), UNITS.items())
def test_amounts_in_errors_have_the_unit_of_the_rules(rules: str, unit: str) -> None:
    with Network(rules=rules) as network:
        alice, bob, poor = network.accounts[0], network.accounts[1].address, EthAddress(b"\7" * 20)
        for wrong in (
            lambda: network.send(bob, 1, sender=poor, gas_limit=10_000_000),
            lambda: network.send(bob, value=True),  # booleans are no amounts
            lambda: network.set_balance(bob, -1),
            lambda: network.set_next_base_fee(1 << 250),
            lambda: network.set_min_gas_price(1 << 250),
            lambda: network.send_native(bob, value=-1, sender=alice),
            lambda: network.actors.at("f04").call("CurrentTotalPower", value=True),
            lambda: Network(rules=rules, balance=True),
        ):
            with pytest.raises((InvalidInput, TransactionRefused), match=rf"\S {unit}\b"):
                wrong()


@pytest.mark.parametrize(("rules", "text"), [("filecoin", r"f410f[a-z2-7]{39}"), ("ethereum", f"0x{'ab' * 20}")])
def test_delegated_addresses_in_errors_have_the_form_of_the_rules(rules: str, text: str) -> None:
    contract = EthAddress(b"\xab" * 20)
    with Network(rules=rules) as network:
        network.set_code(contract, b"\0")
        with pytest.raises(TransactionFailed, match=f"{text}: the EVM actor has no method 99"):
            network.send_native(to_filecoin(contract), 99)


def test_created_contract_with_reserved_code_has_its_address_in_the_error() -> None:
    """The code begins with 0xEF (EIP-3541); the address is that of the sender's first creation."""
    with Network(rules="ethereum") as network:
        with pytest.raises(TransactionFailed) as failed:
            network.send(None, data=bytes.fromhex("60ef5f5360015ff3"), gas_limit=100_000)
        created = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
        assert failed.value.error_message == f"{created}: code begins with the reserved byte 0xef"


def test_missing_labs_error_names_their_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "entry_points_of", lambda **_: EntryPoints(()))
    for call in (lambda: lab("lanes"), lambda: rules_with_labs([])):
        with pytest.raises(InvalidInput, match=r"no lab is registered: .*pip install ./integrations/labs"):
            call()

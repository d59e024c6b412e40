"""Labs.

- Labs: enabled by name, part of the rules' name, and without effect if disabled.
- Actors of labs by name: methods, parameters and states, typed by schemas that the network stores.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple, replace
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.addresses import to_filecoin
from hypervisor import fil
from hypervisor.errors import InvalidInput
from hypervisor.machine import rules as machine_rules
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import MachineState
from hypervisor.machine.rules import LABS_GROUP, Lab, canonical_rules, labs_of, rule_set, rules_with_labs
from hypervisor.messages.address import Address
from hypervisor.types import ActorID, Gas
from hypervisor.versions.features import with_features
from hypervisor_labs.accounts import NONCES
from hypervisor_labs.outbox import CODE, OUTBOX, entries
from hypervisor_labs.rent import RENT, RentState
from hypervisor_tools.cli.options import rules_of_options
from lab_tests.rent import EXAMPLE
from lab_tests.test_accounts import NOTES, Stage
from localnet import Network
from localnet.ledger.records import TransactionReceipt
from localnet.rpc.node import Node
from localnet.rpc.server.executors import Executors
from localnet.rpc.server.server import serving
from localnet.rules.facts import CallRequest
from localnet.rules.filecoin import FilecoinMessages, FilecoinSettings, FilecoinStateCalls, FilecoinViews
from localnet.rules.parts import CallOutcome, NetworkRules, rules_named
from localnet.state.named_code import stored_interface
from tests.command import run
from tests.localnet.conftest import Clock
from tests.localnet.explorer.conftest import Visitor
from tests.localnet.rpc.asking import ALICE
from tests.localnet.rpc.server.test_short_queries import is_alone
from tests.localnet.test_features import actor_answer, constant_actor, create_actor, forwarder
from tests.packaging import PROJECT

PAGES = PROJECT / "docs" / "labs"
MACHINES: list[MachineState] = []

HALVED = Lab(what="blocks of half the gas", network=f"{__name__}:with_half", machine=f"{__name__}:met")
BARE = Lab(what="nothing")
REPLACING = Lab(what="messages, questions, views and settings of its own", network=f"{__name__}:with_own_parts")
NO_LAB = "a text"


def with_half(rules: NetworkRules) -> NetworkRules:
    return replace(rules, limits=rules.limits._replace(block_gas=Gas(rules.limits.block_gas // 2)))


class OwnMessages(FilecoinMessages):
    def gas_limit(self, machine: Hypervisor) -> Gas:
        return Gas(123_456_789)


class OwnStateCalls(FilecoinStateCalls):
    def call(self, machine: Hypervisor, request: CallRequest, limit: Gas | None = None) -> CallOutcome:
        return replace(super().call(machine, request, limit), data=b"asked")


class OwnViews(FilecoinViews):
    def exit_text(self, exit_code: int) -> str:
        return f"end {exit_code}"

    def receipt_fields(self, receipt: TransactionReceipt) -> dict[str, str]:
        return {"own": "field"}


class OwnSettings(FilecoinSettings):
    def begin(self, machine: Hypervisor) -> None:
        MACHINES.append(machine)


def with_own_parts(rules: NetworkRules) -> NetworkRules:
    messages = OwnMessages()
    return replace(rules, messages=messages, calls=OwnStateCalls(messages), views=OwnViews(), settings=OwnSettings())


def met(machine: MachineState) -> None:
    MACHINES.append(machine)


@pytest.fixture
def third_labs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register labs as another package would."""
    added = [
        EntryPoint(name, f"{__name__}:{value}", LABS_GROUP)
        for name, value in (
            ("halved", "HALVED"),
            ("bare", "BARE"),
            ("broken", "NO_LAB"),
            ("aaa", "REPLACING"),
            ("zzz", "REPLACING"),
        )
    ]
    installed = EntryPoints((*entry_points(group=LABS_GROUP), *added))
    monkeypatch.setattr(machine_rules, "entry_points_of", lambda **given: installed.select(**given))
    for function in (labs_of, rule_set, rules_named):
        function.cache_clear()
    yield
    for function in (labs_of, rule_set, rules_named):
        function.cache_clear()


@pytest.mark.usefixtures("third_labs")
def test_a_lab_of_another_package_is_a_choice() -> None:
    MACHINES.clear()
    with Network(rules="lab:lanes,halved") as network:
        assert network.rules.name == "lab:halved,lanes"
        assert network.rules.limits.block_gas == 5_000_000_000
        assert network.rules.building is not None
        assert MACHINES[0] is network.machine
        receipt = network.send(network.accounts[1], 5)
        assert receipt.succeeded


@pytest.mark.usefixtures("third_labs")
def test_later_lab_wraps_hooks_of_earlier_lab() -> None:
    """`accounts` comes after `aaa`, whose messages, queries and views remain, except for type 4 transactions."""
    MACHINES.clear()
    with Network(rules="lab:aaa,accounts,lanes") as network:
        rules, machine = network.rules, network.machine
        assert [machine] == MACHINES, "the settings of a lab begin a state"
        assert machine.state_tree.get_actor(NONCES) is not None, "and so does each lab's genesis"
        assert rules.messages.gas_limit(machine) == 123_456_789
        assert rules.views.exit_text(7) == "end 7"
        alice, bob = network.accounts[:2]
        request = CallRequest(sender=alice.address, to=bob.address)
        assert rules.calls.call(machine, request).data == b"asked"
        item = bob.sign_authorization(alice.address, 0, 0)
        response = rules.calls.call(machine, request._replace(authorizations=(item,)))
        assert (response.result.exit_code, response.data) == (0, b"")
        receipt = network.send(bob, 5)
        assert receipt.succeeded
        assert rules.views.receipt_fields(receipt) == {"own": "field"}


@pytest.mark.usefixtures("third_labs")
def test_lab_with_own_settings_keeps_genesis_of_other_labs() -> None:
    with Network(rules="lab:accounts,rent,zzz") as network:
        for actor in (NONCES, RENT):
            assert network.machine.state_tree.get_actor(actor) is not None


@pytest.mark.usefixtures("third_labs")
def test_registered_object_that_is_no_lab_is_rejected() -> None:
    with pytest.raises(InvalidInput, match=r"'broken' is registered as .*NO_LAB, which is not a Lab"):
        Network(rules="lab:broken")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("lab", "expected one of accounts, async, facade, lanes, libraries, rent"),
        ("lab:", "expected one of accounts, async, facade, lanes, libraries, rent"),
        ("lab:lanez", "lab 'lanez' is not known: choose one of"),
        ("lab:lanes,lanes", "lab 'lanes' is named twice"),
        ("lab:lanes,", "'' is not a lab"),
        ("lab:Lanes", "'Lanes' is not a lab"),
        ("lab:lanes=" + "9" * 65, "is not a lab"),
        ("lab:lanes=10 40 50", "is not a lab"),
        ("filecoin:lanes", "the rules 'filecoin' do not support labs"),
        ("nothing:lanes", "rules 'nothing' are not known"),
    ],
)
def test_rules_without_valid_labs_are_rejected(rules: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(said)):
        Network(rules=rules)
    with pytest.raises(InvalidInput, match=re.escape(said)):
        Hypervisor.open(rules=rules)


@pytest.mark.usefixtures("third_labs")
def test_an_option_for_a_lab_that_takes_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="lab 'bare' takes no option: omit '=1'"):
        rules_with_labs(["bare=1"])


@pytest.mark.slow
def test_a_folder_keeps_its_labs(tmp_path: Path) -> None:
    with Network(tmp_path, rules="lab:lanes=10/30/60") as network:
        network.send(network.accounts[1], 5)
    with Network(tmp_path) as network:
        assert network.rules.name == "lab:lanes=10/30/60"
    with pytest.raises(InvalidInput, match="under the rules 'lab:lanes=10/30/60', not 'lab:lanes'"):
        Network(tmp_path, rules="lab:lanes")
    with pytest.raises(InvalidInput, match="under the rules 'lab:lanes=10/30/60'"):
        Network(tmp_path, rules="filecoin")


def test_a_name_of_rules_is_its_own_canonical_one() -> None:
    assert canonical_rules("filecoin") == "filecoin"
    assert canonical_rules("lab:lanes") == "lab:lanes"


def test_lab_without_rule_changes_yields_identical_results() -> None:
    """Gas, receipts and state equal those of a network without the lab."""
    ends = []
    for rules in ("filecoin", "lab:lanes"):
        with Network(rules=rules, clock=lambda: 1_700_000_000) as network:
            receipt = network.send(network.accounts[1], 5)
            ends.append((receipt.execution.receipt, network.head.state))
    assert ends[0] == ends[1]


@pytest.mark.slow
def test_a_network_without_labs_imports_none() -> None:
    program = (
        "import sys; from localnet import Network\n"
        "with Network() as network: network.mine()\n"
        "print(*[name for name in sys.modules if name.startswith('hypervisor_labs')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


class TestCommandLine:
    def test_labs_are_for_the_rules_lab(self) -> None:
        done = run("node", "--lab", "lanes")
        assert done.exit_code != 0
        assert "--lab lanes needs --rules lab" in " ".join(done.output.split())

    def test_named_labs_are_enabled(self) -> None:
        assert (
            rules_of_options("lab", ["lanes", "async"]) == rules_of_options("lab", ["lanes,async"]) == "lab:async,lanes"
        )

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--rules", "lab", "--lab", "lanez"], "lab 'lanez' is not known"),
            (["--rules", "lab", "--lab", "LANES"], "there is no lab 'LANES': names are lowercase, such as 'lanes'"),
            (["--rules", "lab:lanes", "--lab", "async"], "passed with both --rules lab:lanes and --lab async"),
        ],
    )
    def test_invalid_labs_option_is_named(self, options: list[str], words: str) -> None:
        done = run("node", *options)
        assert (done.exit_code, words in " ".join(done.stderr.split())) == (2, True), done.stderr

    @pytest.mark.slow
    def test_doctor_names_labs(self) -> None:
        with Network(rules="lab:lanes,rent") as network, serving(network) as url:
            done = run("doctor", "--rpc-url", url)
        assert "Filecoin's rules with the labs lanes, rent" in done.output


class TestPages:
    def test_the_lab_of_the_page_is_one(self, tmp_path: Path) -> None:
        text = (PAGES / "README.md").read_text(encoding="utf-8")
        (source,) = re.findall(r"```python\n(# mylab.*?)```", text, re.S)
        module: dict[str, object] = {}
        exec(source, module)
        assert isinstance(module["LAB"], Lab)
        halved = module["with_half"](rules_named("filecoin"))  # type: ignore[operator]  # a function of the example
        assert halved.limits.block_gas == 5_000_000_000


TO = Address.id(ActorID(99))
RULES = "lab:accounts,async,rent"


def post(network: Network, **changed: Any) -> Any:
    fields = {
        "to": str(TO), "method": 0, "params": "0x", "value": "7", "gas": 10_000_000,
        "expiry": network.block_number + 9, "receipt_method": 0, "receipt_gas": 0,
    } | changed  # fmt: skip
    return network.actors.at(f"f0{OUTBOX}").send("Post", fields, value=10**17)


@pytest.mark.slow
def test_the_outbox_is_called_by_name_and_its_state_is_typed(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", rules="lab:async", clock=Clock()) as network:
        outbox = network.actors.at(f"f0{OUTBOX}")
        receipt = post(network)
        assert receipt.succeeded
        assert outbox.return_value("Post", receipt) == 1
        assert (outbox.state.next, outbox.state.first) == (2, 1)
        actor = network.machine.state_tree.get_actor(OUTBOX)
        assert actor is not None
        ((_, entry),) = entries(network.machine.store, actor.head)
        text = str(network.trace(receipt.hash))
        assert "outbox Post(to=f099, method=0, params=0x, value=7, gas=10000000" in text, text
        visit = Visitor(Node(network))
        assert "outbox" in visit(f"/actor/f0{OUTBOX}").text
        assert "Post" in visit(f"/tx/0x{receipt.hash.hex()}").text
        receipt_block = receipt.block_number
    shown = run("inspect", tmp_path / "chain", f"f0{OUTBOX}/state/queue/1", "--json")
    assert shown.exit_code == 0, shown.output
    fields = json.loads(shown.output)
    assert list(fields) == list(entry.__slots__)
    assert (fields["to"], fields["value"], fields["posted"]) == (str(TO), "7", receipt_block)
    assert len(fields) == len(astuple(entry))


@pytest.mark.slow
def test_rent_actor_reports_contract_payment() -> None:
    with Network(rules="lab:rent=all", clock=Clock()) as network:
        contract = network.deploy(EXAMPLE / "Tenant.json")
        network.mine(10)
        rent, actor = network.actors.at(f"f0{RENT}"), str(contract.address)
        paid = rent.send("Pay", {"actor": actor}, value=fil(1))
        state = network.machine.state_tree.get_actor(RENT)
        found = network.machine.state_tree.lookup_id(to_filecoin(contract.address))
        assert state is not None
        assert found is not None
        tenancy = RentState(network.machine.store, state.head).tenancy(found)
        assert tenancy is not None
        assert rent.return_value("Pay", paid).due == tenancy.due
        looked = rent.call("Look", {"actor": actor})
        assert (looked.deposit, looked.size, looked.archived_since) == (fil(1), tenancy.size, 0)
        assert (rent.state.terms.period, rent.state.terms.rates[0].rate) == (2880, 1_000_000)


def test_the_nonces_of_authorizations_are_a_map_by_address() -> None:
    stage = Stage("fip")
    try:
        stage.lend(stage.bob, NOTES)
        stage.machine.state_tree.flush()
        found = stage.network.inspect("f022/state/nonces").value
        assert found == {f"0x{stage.bob.address.hex()}": 1}
    finally:
        stage.network.close()


@pytest.mark.slow
def test_fork_resolves_interfaces_of_named_codes() -> None:
    with (
        Network(rules=RULES, clock=Clock()) as network,
        serving(network) as url,
        Network.fork(url, clock=Clock()) as forked,
    ):
        assert post(forked).succeeded
        assert forked.actors.at("f022").interface.methods.keys() == {"Constructor"}


def test_nothing_is_stored_without_labs() -> None:
    with Network() as network:
        assert stored_interface(network.machine.base, CODE) is None
        with pytest.raises(InvalidInput, match="there is no actor f020"):
            network.actors.at(f"f0{OUTBOX}")


def test_short_query_under_a_lab_runs_on_the_thread_of_the_event_loop() -> None:
    with Network(rules="lab:rent") as network:
        executors = Executors(Node(network))
        try:
            assert is_alone(executors, "eth_getBalance", ALICE, "latest")
            assert is_alone(executors, "eth_getLogs", {"fromBlock": "earliest"})
        finally:
            executors.stop()


@pytest.mark.slow
def test_folder_keeps_labs_and_features(tmp_path: Path) -> None:
    both = with_features(["m2-native", "upgrade-actor"])
    with Network(tmp_path, rules="lab:async,libraries", overlay=both) as network:
        contract = forwarder(network)
        actor = create_actor(network, contract, constant_actor(b"hello"))
    with Network(tmp_path, rules="lab:async,libraries", overlay=both) as network:
        assert actor_answer(network, actor) == b"hello"
        assert network.rules.name == "lab:async,libraries"

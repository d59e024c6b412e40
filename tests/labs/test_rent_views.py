"""Archived actors in the explorer, JSON-RPC and the command line, before and after their blocks are collected."""

import json
from pathlib import Path

import pytest

from bridge.ethereum.addresses import to_filecoin
from bridge.ethereum.transactions import SET_CODE, Transaction
from hypervisor import fil
from hypervisor.exit_codes import ExitCode
from hypervisor.messages.address import Address
from hypervisor.state.archived import ArchivedActor, archived_actor
from localnet import Network
from localnet.accounts import Account
from localnet.errors import TransactionFailed
from localnet.rpc.node import Node
from store.cid import show
from tests.command import run
from tests.fvm_hypervisor.explorer.conftest import Visitor
from tests.labs.rent_ledger import EXAMPLE
from tests.localnet.rpc.conftest import Client

RULES = "lab:rent=all/1000000/10/5"


@pytest.fixture
def expired(tmp_path: Path) -> tuple[Path, Address, Address, ArchivedActor]:
    """Create a folder with an archived contract and an archived native actor, after a garbage collection."""
    with Network(tmp_path / "chain", rules=RULES) as network:
        contract = network.deploy(EXAMPLE / "Tenant.json")
        contract.send("keep", 2)
        code = network.machine.install((EXAMPLE / "tenant.wasm").read_bytes())
        native = Address.id(network.machine.create(code, value=fil(1)).id)
        network.chain.keep_changes()
        network.mine(10)
        address = to_filecoin(contract.address)
        state = network.machine.actor(address)
        assert state is not None
        gone = archived_actor(network.machine.store, state)
        assert gone is not None
        assert network.machine.store.has(gone.root)
    done = run("gc", tmp_path / "chain", "--states", "1")
    assert done.exit_code == 0, done.output
    with Network(tmp_path / "chain") as network:
        assert not network.machine.store.has(gone.root)
    return tmp_path / "chain", address, native, gone


@pytest.mark.slow
def test_every_view_shows_archival_epoch_and_root(expired: tuple[Path, Address, Address, ArchivedActor]) -> None:
    chain, address, native, gone = expired
    words = f"archived since epoch {gone.since}, root {show(gone.root)}"
    for actor in (address, native):
        shown = run("inspect", chain, actor, "--json")
        fields = json.loads(shown.output)
        assert fields["type"] == "archived"
        assert fields["archived"].startswith("archived since epoch ")
        assert (words in fields["archived"]) == (actor == address)
        assert fields["balance"] == ("0" if actor == address else str(fil(1)))
        shown = run("actor", "inspect", actor, "--state", chain)
        assert shown.exit_code == 0, shown.output
        assert "archived since epoch" in shown.output
    shown = run("inspect", chain, f"{address}/state/contract_state/0")
    assert (shown.exit_code, words in shown.output) == (1, True), shown.output
    verified = run("inspect", chain, address, "--proof", chain.parent / "proof.car")
    assert verified.exit_code == 0, verified.output
    verified = run("inspect", address, "--verify", chain.parent / "proof.car")
    assert words in verified.output, verified.output
    with Network(chain) as network:
        node = Node(network)
        visit = Visitor(node)
        for actor in (address, native):
            for page in ("", "/state", "/call"):
                result = visit(f"/actor/{actor}{page}")
                assert result.status == 200, (page, result.text)
            assert "archived since epoch" in visit(f"/actor/{actor}").text
        assert "archived" in visit("/actors").text


@pytest.mark.slow
def test_json_rpc_has_no_code_and_names_the_exit_code(expired: tuple[Path, Address, Address, ArchivedActor]) -> None:
    chain, address, _, gone = expired
    with Network(chain) as network:
        ask = Client(Node(network))
        ethereum = "0x" + address.to_bytes()[2:22].hex()
        assert ask("eth_getCode", ethereum, "latest") == "0x"
        assert ask("eth_getStorageAt", ethereum, "0x1", "latest") == "0x" + "00" * 32
        assert ask("eth_getBalance", ethereum, "latest") == "0x0"
        assert ask("eth_getTransactionCount", ethereum, "latest") == "0x0"
        head = ask("Filecoin.StateGetActor", str(address), None)["Head"]["/"]
        assert head != show(gone.root)
        state = ask("Filecoin.StateReadState", str(address), None)
        assert state["Balance"] == "0"


def test_an_archived_contract_runs_in_no_accounts_name() -> None:
    """With the lab `accounts`, a formerly valid authorization leads to a contract without code."""
    owner = Account.from_key(bytes(31) + b"\x07")
    with Network(rules="lab:accounts,rent=all/1000/10/5") as network:
        contract = network.deploy(EXAMPLE / "Tenant.json")
        sender, count = network.accounts[0], contract.interface.encode_call("count")
        transaction = Transaction(
            SET_CODE, network.chain_id, network.nonce(sender), owner.address, 0, count, 500_000_000,
            2 * network.base_fee + network.default_premium, network.default_premium,
            authorizations=(owner.sign_authorization(contract.address, 0, network.chain_id),),
        )  # fmt: skip
        assert network.receipt(network.submit(sender.sign(transaction).raw())).succeeded
        network.mine(10)
        with pytest.raises(TransactionFailed) as failed:
            network.send(owner.address, data=count, gas_limit=10**9)
        assert failed.value.exit_code == ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION

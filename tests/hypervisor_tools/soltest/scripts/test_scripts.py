"""`hypervisor script`: compared with forge 1.7.1's records of the same script, and its transactions' effects."""

import json
from collections.abc import Callable
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as SignerAccount

from bridge.ethereum.addresses import checksummed
from hypervisor_tools.soltest.cheatcodes.values import encode
from hypervisor_tools.soltest.scripts import sending
from hypervisor_tools.soltest.scripts.plan import return_values
from localnet import Network
from localnet.accounts import Account
from localnet.fork.node_client import NodeClient, NodeError
from localnet.rpc.server.server import serving
from tests.command import run as run_command
from tests.hypervisor_tools.soltest.contracts import artifact, forge_out
from tests.hypervisor_tools.soltest.scripts.conftest import HERE
from tests.hypervisor_tools.soltest.scripts.script_runs import (
    BROADCAST,
    CHAIN,
    KEY,
    OTHER_KEY,
    SENDER,
    TRANSFER,
    assembled_script,
    edit_record,
    record,
    run,
    vm_call,
    without_gas,
)


@pytest.mark.slow
def test_dry_run_record_matches_forge(project: Path, url: str, network: Network) -> None:
    text = run(project, "--rpc-url", url, "--private-key", KEY)
    found = record(project, folder="dry-run")
    forges = json.loads((HERE / "forge_run.json").read_text(encoding="utf-8"))
    assert without_gas(found["transactions"]) == without_gas(forges)
    assert list(found) == [
        "transactions", "receipts", "libraries", "pending", "returns", "timestamp", "chain", "commit"
    ]  # fmt: skip
    assert (found["receipts"], found["pending"], found["chain"]) == ([], [], CHAIN)
    assert "SIMULATION COMPLETE" in text
    assert (network.head.height, network.nonce(SENDER)) == (0, 0)


@pytest.mark.slow
def test_broadcast_uses_simulated_gas(project: Path, url: str, network: Network) -> None:
    text = run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast", "--sig", "runWith(uint256)", "9")
    found = record(project, "runWith")
    receipts = found["receipts"]
    assert [receipt["status"] for receipt in receipts] == ["0x1"] * 4
    assert [receipt["transactionHash"] for receipt in receipts] == [row["hash"] for row in found["transactions"]]
    for receipt in receipts:
        assert f"gas {int(receipt['gasUsed'], 16):>14,}  limit" in text
    made = [row["contractAddress"] for row in found["transactions"]]
    assert network.call(made[0], bytes.fromhex("8381f58a")) == (50).to_bytes(32, "big")  # number()
    assert network.call(made[2], bytes.fromhex("8381f58a")) == (3).to_bytes(32, "big")
    assert (network.balance(made[0]), network.balance("0x" + "00" * 18 + "dead")) == (5, 123)
    assert found["returns"] == {
        "made": {"internal_type": "contract Counter", "value": found["returns"]["made"]["value"]}
    }
    assert found["returns"]["made"]["value"].lower() == made[0]


@pytest.mark.slow
def test_node_knows_interfaces_of_script_deployments(project: Path, url: str, network: Network) -> None:
    run(project, "--rpc-url", url, "--private-key", KEY)
    assert not list(network.interfaces)
    run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast")
    made = [row["contractAddress"] for row in record(project)["transactions"] if row["transactionType"] != "CALL"]
    assert len(made) == 2
    known = {interface.address: interface for interface in network.interfaces}
    assert [known[address].name for address in made] == ["Counter", "Counter"]
    names = {entry["name"] for entry in known[made[1]].interface.abi if entry["type"] == "function"}
    assert {"add", "number"} <= names


@pytest.mark.slow
def test_a_script_runs_on_a_cached_fork_without_a_node(
    project: Path, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = project / "foundry.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text + '\nrpc_storage_caching = { chains = "all", endpoints = "all" }\n', encoding="utf-8")
    run(project, "--rpc-url", url, "--private-key", KEY)
    (project / "broadcast").rename(tmp_path / "broadcast")
    monkeypatch.setattr(NodeClient, "_request_once", lambda *_: pytest.fail("a request was sent"))
    found = run(project, "--rpc-url", url, "--private-key", KEY, "--offline")
    assert "Script ran successfully" in found
    assert not (project / "broadcast").exists(), "nothing is simulated"
    refused = run(project, "--rpc-url", url, "--private-key", KEY, "--offline", "--broadcast", status=2)
    assert "transactions cannot be sent with --offline" in refused


@pytest.mark.slow
def test_a_script_calls_actors(project: Path, url: str, network: Network) -> None:
    run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast", file="Actors.s.sol")
    file = project / "broadcast" / "Actors.s.sol" / str(CHAIN) / "run-latest.json"
    (row,) = json.loads(file.read_text(encoding="utf-8"))["transactions"]
    assert (row["contractName"], row["transactionType"]) == ("Named", "CREATE")
    assert b"DataCap" in network.call(row["contractAddress"], bytes.fromhex("85bb7d69"))  # answer()


@pytest.mark.slow
def test_a_run_that_was_cut_is_resumed(
    project: Path, url: str, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second receipt is missing; the third and fourth transactions are not sent."""
    receipt, asked = sending.ScriptSender._receipt, []

    def lost(sender: sending.ScriptSender, transaction: str) -> dict[str, Any]:
        asked.append(transaction)
        if len(asked) == 2:
            raise NodeError("the connection is lost")
        return receipt(sender, transaction)

    options = ("--rpc-url", url, "--private-key", KEY, "--broadcast")
    monkeypatch.setattr(sending.ScriptSender, "_receipt", lost)
    assert "the connection is lost" in run(project, *options, "--slow", status=1)
    cut = record(project)
    assert [row["hash"] is None for row in cut["transactions"]] == [False, False, True, True]
    assert (len(cut["receipts"]), cut["pending"]) == (1, [cut["transactions"][1]["hash"]])
    run(project, "--rpc-url", url, "--private-key", KEY, "--resume")
    whole = record(project)
    assert [row["hash"] for row in whole["transactions"]][:2] == [row["hash"] for row in cut["transactions"]][:2]
    assert [one["status"] for one in whole["receipts"]] == ["0x1"] * 4
    assert (network.nonce(SENDER), whole["pending"], whole["timestamp"]) == (4, [], cut["timestamp"])


@pytest.mark.slow
def test_nothing_is_sent_twice_under_a_nonce(project: Path, url: str, network: Network) -> None:
    run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast")
    cut = record(project)
    cut["transactions"][3]["hash"] = None
    edit_record(project, lambda content: content.update(cut, receipts=cut["receipts"][:3]))
    words = run(project, "--rpc-url", url, "--private-key", KEY, "--resume", status=1)
    assert f"nonce 3 of {SENDER} is already used (the next one is 4)" in words
    assert network.nonce(SENDER) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "kind"), [(["--legacy"], "0x0"), (["--skip-simulation"], "0x2"), (["--slow"], "0x2")]
)
def test_broadcast_options_send_successful_transactions(project: Path, url: str, options: list[str], kind: str) -> None:
    run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast", *options)
    receipts = record(project)["receipts"]
    assert [(one["status"], one["type"]) for one in receipts] == [("0x1", kind)] * 4


@pytest.mark.slow
def test_the_node_signs_for_its_own_accounts(project: Path, url: str, network: Network) -> None:
    run(project, "--rpc-url", url, "--sender", SENDER, "--unlocked", "--broadcast")
    assert network.nonce(SENDER) == 4


@pytest.mark.slow
def test_a_script_is_signed_with_a_keystore(project: Path, url: str, network: Network, tmp_path: Path) -> None:
    file, password = tmp_path / "own", tmp_path / "password"
    file.write_text(
        json.dumps(SignerAccount.encrypt(bytes.fromhex(KEY[2:]), "secret", kdf="pbkdf2", iterations=1000)),
        encoding="utf-8",
    )
    password.write_text("secret\n", encoding="utf-8")
    run(project, "--rpc-url", url, "--keystore", str(file), "--password-file", str(password), "--broadcast")
    assert network.nonce(SENDER) == 4


@pytest.mark.slow
def test_a_script_names_its_signer_by_key(project: Path, url: str, network: Network) -> None:
    run(project, "--rpc-url", url, "--broadcast", "--sig", "runAs(uint256)", OTHER_KEY)
    (row,) = record(project, "runAs")["transactions"]
    assert row["transaction"]["from"] == "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
    assert network.nonce("0x70997970C51812dc3A010C7d01b50e0d17dc79C8") == 1


@pytest.mark.slow
def test_reverted_script_sends_nothing_and_reports_location(project: Path, url: str, network: Network) -> None:
    words = run(
        project, "--rpc-url", url, "--private-key", KEY, "--broadcast", "--sig", "runBroken()", status=1
    )  # fmt: skip
    assert "the script failed: never" in words
    assert "Deploy::runBroken()" in words  # as in forge, the trace is shown at every verbosity
    assert "at Deploy.runBroken (script/Deploy.s.sol:" in words
    assert not (project / "broadcast").exists()
    assert network.nonce(SENDER) == 0


@pytest.mark.slow
def test_a_transaction_that_the_network_refuses_is_named(project: Path, url: str, network: Network) -> None:
    words = run(project, "--rpc-url", url, "--sig", "runAs(uint256)", "0x77", "--broadcast", status=1)
    assert "transaction 1 of the script (new Counter) fails" in words
    assert network.head.height == 0


def test_script_runs_without_node(project: Path) -> None:
    text = run(project, "--sig", "runWith(uint256)", "3")
    assert "Script ran successfully." in text
    assert "made: contract Counter 0x5b73C5498c1E3b4dbA84de0F1833c4a029d90519" in text  # as in forge 1.7.1
    assert not (project / "broadcast").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--broadcast"], "pass the node for the transactions with --rpc-url"),
        (["--tc", "Nobody"], "there is no contract Nobody in script/Deploy.s.sol: it has Deploy"),
        (["--lib-paths", "nope"], "there is no folder nope in"),
        (["--sig", "nothing()"], "nothing"),
        (["--sig", "0xzz"], "--sig '0xzz' is not calldata"),
        (["--sender", "f01"], "the sender f01 is not an Ethereum address"),
        (["--ledger", "x"], "--ledger is an option of forge that this command does not have: pass a key with"),
        (["--optimizer-runs", "few"], "command line: optimizer_runs is 'few', expected a number"),
    ],
)
def test_invalid_options_are_named(project: Path, options: list[str], words: str) -> None:
    assert words in " ".join(run(project, *options, status=2).split())


@pytest.mark.slow
def test_missing_key_is_reported_before_sending(project: Path, url: str, network: Network) -> None:
    words = run(project, "--rpc-url", url, "--sender", SENDER, "--broadcast", status=2)
    assert f"no key for {SENDER}: pass it with --private-key" in words
    assert network.head.height == 0


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
@pytest.mark.parametrize("options", [["--broadcast"], ["--broadcast", "--unlocked"]], ids=" ".join)
def test_missing_script_sender_is_rejected(project: Path, rules: str, options: list[str]) -> None:
    with Network(rules=rules) as network, serving(network) as url:
        words = run(project, "--rpc-url", url, *options, status=2, file="Actors.s.sol")
        assert "no sender is given, and the key of Foundry's default sender, 0x1804" in words
        words = run(project, "--rpc-url", url, *options, status=1)
        assert "(OutOfFunds: the caller has 0 of 5 wei" in words
        assert words.rstrip().endswith("use --unlocked --sender if the node signs")
        assert network.head.height == 0


@pytest.mark.slow
def test_dry_run_reports_sender_with_missing_key(project: Path) -> None:
    with Network(rules="ethereum") as network, serving(network) as url:
        assert f"No key is given for {SENDER.lower()}: add --private-key" in run(
            project, "--rpc-url", url, "--sender", SENDER
        )
        assert "No key" not in run(project, "--rpc-url", url, "--private-key", KEY)
        assert "No key" not in run(project, "--rpc-url", url, "--sender", SENDER, "--unlocked")


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--legacy"]], ids=["1559", "legacy"])
def test_underfunded_sender_is_reported_with_balance(project: Path, options: list[str]) -> None:
    with Network(rules="ethereum") as network, serving(network) as url:
        send = ("--rpc-url", url, "--sig", "runAs(uint256)", "0x77", *options)
        words = run(project, *send, "--broadcast", status=1)
        poor = Account.from_key((0x77).to_bytes(32, "big")).address
        assert f"{checksummed(poor)} cannot pay for transaction 1 of the script, which may cost 0.00" in words
        assert "its balance is 0. No transaction was sent. Fund it, then continue with --resume" in words
        assert network.head.height == 0
        network.set_balance(f"0x{poor.hex()}", 10**18)
        run(project, *send, "--resume", "--private-key", "0x" + "77".zfill(64))
        assert network.nonce(f"0x{poor.hex()}") == 1


@pytest.mark.slow
def test_nothing_is_sent_where_a_later_sender_cannot_pay(tmp_path: Path) -> None:
    rich, poor = KEY, (0x77).to_bytes(32, "big")
    other = vm_call("startBroadcast(uint256)", int.from_bytes(poor, "big"))
    stop = vm_call("stopBroadcast()")
    root = assembled_script(tmp_path, BROADCAST, TRANSFER, stop, other, "5f5f5f5f5f73" + "be" * 20 + "5af1")
    with Network(rules="ethereum") as network, serving(network) as url:
        send = ("--rpc-url", url, "--private-key", rich)
        words = run(root, *send, "--broadcast", status=1, file="Own.s.sol")
        address = Account.from_key(poor).address
        assert f"{checksummed(address)} cannot pay for transaction 2 of the script" in words
        assert "its balance is 0." in words
        assert "No transaction was sent" in words
        assert network.nonce(SENDER) == 0
        network.set_balance(f"0x{address.hex()}", 10**18)
        run(root, *send, "--private-key", f"0x{poor.hex()}", "--resume", file="Own.s.sol")
        assert (network.nonce(SENDER), network.nonce(f"0x{address.hex()}")) == (1, 1)


@pytest.mark.slow
def test_a_sender_that_the_script_pays_first_is_not_refused(tmp_path: Path) -> None:
    poor = Account.from_key((0x77).to_bytes(32, "big"))
    paid = f"5f5f5f5f670de0b6b3a764000073{poor.address.hex()}5af1"
    other = vm_call("startBroadcast(uint256)", 0x77)
    root = assembled_script(tmp_path, BROADCAST, paid, vm_call("stopBroadcast()"), other, TRANSFER)
    with Network(rules="ethereum") as network, serving(network) as url:
        run(root, "--rpc-url", url, "--private-key", KEY, "--broadcast", "--slow", file="Own.s.sol")
        assert network.nonce(f"0x{poor.address.hex()}") == 1


@pytest.mark.slow
def test_deal_after_broadcast_leaves_transaction_funds_intact(tmp_path: Path) -> None:
    deal = vm_call("deal(address,uint256)", SENDER, 0)
    root = assembled_script(tmp_path, BROADCAST, TRANSFER, vm_call("stopBroadcast()"), deal)
    with Network(rules="ethereum") as network, serving(network) as url:
        run(root, "--rpc-url", url, "--private-key", KEY, "--broadcast", file="Own.s.sol")
        assert network.nonce(SENDER) == 1


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_a_price_below_the_base_fee_is_refused_before_the_trial(project: Path, rules: str) -> None:
    with Network(rules=rules) as network, serving(network) as url:
        for options in ([], ["--broadcast", "--private-key", KEY]):
            words = run(project, "--rpc-url", url, "--with-gas-price", "1", *options, status=2)
            assert "--with-gas-price 1 is below the base fee of the newest block, " in words
        assert network.nonce(SENDER) == 0


def test_script_reports_unaffordable_contract_creation(tmp_path: Path) -> None:
    settings = '[profile.default]\nsolc = "0.8.30"\n'
    (tmp_path / "foundry.toml").write_text(settings, encoding="utf-8")
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "Pay.s.sol").write_text("contract Pay {}", encoding="utf-8")
    body = [f"5f5f7f{1 << 96:064x}f0", "5f5ffd"]
    forge_out(tmp_path, "script/Pay.s.sol", "contract Pay {}", {"Pay": artifact({"run()": body})})
    words = run(tmp_path, status=1, file="Pay.s.sol")
    assert "the script failed: EvmError: Revert" in words  # forge 1.7.1, which has OutOfFunds in the trace
    assert f".constructor (OutOfFunds: the caller has {(1 << 96) - 1} of {1 << 96} wei (attoFIL))" in words


@pytest.mark.slow
def test_a_record_of_another_chain_is_not_resumed(project: Path, url: str) -> None:
    run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast")
    known = record(project)["receipts"][0]["transactionHash"]
    with Network() as network, serving(network) as other:  # with the same chain ID
        words = run(project, "--rpc-url", other, "--private-key", KEY, "--resume", status=2)
        assert "this node's chain has no transaction" in words
        assert f"has no transaction {known}, whose receipt is in " in words
        assert network.head.height == 0


@pytest.mark.slow
def test_a_record_that_was_moved_to_another_chain_is_refused(project: Path, url: str) -> None:
    run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast")
    folder = project / "broadcast" / "Deploy.s.sol"
    with Network(rules="ethereum") as network, serving(network) as other:
        (folder / str(CHAIN)).rename(folder / "31337")
        words = run(project, "--rpc-url", other, "--private-key", KEY, "--resume", status=2)
        assert f"has transactions of chain {CHAIN}, but the node serves chain 31337" in words


@pytest.mark.slow
def test_a_script_may_be_named_by_its_contract(project: Path) -> None:
    for name, words in (
        ("Nope", "there is no contract Nope: name it as FILE:CONTRACT"),
        ("script", "script is a folder: name a file in it"),
        ("script:Nope", "script is a folder: name a file in it"),
        ("script/Deploy.s.sol:Nope", "there is no contract Nope in script/Deploy.s.sol: it has Deploy"),
    ):
        done = run_command("script", name, "--root", str(project))
        assert (done.exit_code, words in " ".join(done.stderr.split())) == (2, True), done.stderr
    done = run_command("script", "Deploy", "--root", str(project))
    assert done.exit_code == 0, done.stderr
    assert "Script ran successfully." in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "field"),
    [((), "transactions"), ((), "timestamp"), (("transactions", 1), "hash"), (("transactions", 1), "transactionType"),
     (("transactions", 0), "contractAddress"), (("transactions", 1, "transaction"), "nonce"),
     (("receipts", 2), "transactionHash")],
)  # fmt: skip
def test_a_field_that_a_record_lacks_is_named(project: Path, url: str, part: tuple[str | int, ...], field: str) -> None:
    run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast")
    edit_record(project, lambda content: reduce(getitem, part, content).pop(field))
    words = run(project, "--rpc-url", url, "--private-key", KEY, "--resume", status=2)
    assert f"is not a record of a script's run: the field '{field}' is missing" in words


@pytest.mark.slow
def test_resume_reports_nothing_left_to_send(project: Path, url: str, network: Network) -> None:
    run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast")
    text = run(project, "--rpc-url", url, "--private-key", KEY, "--resume")
    assert text.startswith("Nothing is left to send: all 4 transactions of ")
    assert "COMPLETE" not in text
    assert network.nonce(SENDER) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "price"),
    [(["--with-gas-price", "7000000000"], 7 * 10**9), (["--legacy", "--with-gas-price", "300"], 300)],
)
def test_the_amount_is_that_of_the_price_that_is_sent(project: Path, url: str, options: list[str], price: int) -> None:
    text = run(project, "--rpc-url", url, "--private-key", KEY, *options)
    limits = [int(row["transaction"]["gas"], 16) for row in record(project, folder="dry-run")["transactions"]]
    assert f"Estimated amount required: at most {sum(limits) * price / 10**18:.18f} FIL" in text


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--priority-gas-price", "5000"], ["--legacy"]], ids=" ".join)
def test_transactions_offer_at_most_displayed_amount(
    project: Path, url: str, network: Network, options: list[str]
) -> None:
    text = run(project, "--rpc-url", url, "--private-key", KEY, *options, "--broadcast", "--slow")
    with NodeClient(url) as node:
        sent = [node.request("eth_getTransactionByHash", row["hash"]) for row in record(project)["transactions"]]
    offered = sum(int(one["gas"], 16) * int(one.get("maxFeePerGas") or one["gasPrice"], 16) for one in sent)
    amount = float(text.split("at most ")[1].split(" FIL")[0])
    assert offered / 10**18 <= amount * 1.2  # a block's base fee may be an eighth above the previous one's
    assert amount <= offered / 10**18 * 1.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it is not valid JSON"),
        ('{"transactions": [', "it is not valid JSON"),
        ("[]", "a value has another type"),
        ('{"transactions": [5]}', "the field 'receipts' is missing"),
        ('{"transactions": [], "receipts": 5}', "the field 'timestamp' is missing"),
    ],
)
def test_a_record_that_is_none_is_refused(project: Path, url: str, content: str, words: str) -> None:
    file = project / "broadcast" / "Deploy.s.sol" / str(CHAIN) / "run-latest.json"
    assert "nothing to resume" in run(project, "--rpc-url", url, "--resume", status=2)
    file.parent.mkdir(parents=True)
    file.write_text(content, encoding="utf-8")
    remedy = "repair it, or run without --resume"
    expected = f"{file} is not a record of a script's run: {words}; {remedy}"
    assert expected in run(project, "--rpc-url", url, "--resume", status=2)


@pytest.mark.slow
def test_ethereum_rules_node_is_read_by_accounts_and_slots(project: Path) -> None:
    """The run equals forge's on the same kind of node; a second one finds what the first created."""
    with Network(rules="ethereum") as network, serving(network) as url:
        run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast")
        file = project / "broadcast" / "Deploy.s.sol" / "31337" / "run-latest.json"
        found = json.loads(file.read_text(encoding="utf-8"))
        forges = json.loads((HERE / "forge_run.json").read_text(encoding="utf-8"))
        assert without_gas(found["transactions"]) == without_gas(forges)
        assert [receipt["status"] for receipt in found["receipts"]] == ["0x1"] * 4
        words = run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast", status=1)
        assert "the script failed" in words  # its CREATE2 collides
        assert network.nonce(SENDER) == 4


def changed_answers(monkeypatch: pytest.MonkeyPatch, method: str, change: Callable[[Any], Any]) -> None:
    """Change the response of nodes to a method."""
    ask = NodeClient.request

    def other(client: NodeClient, asked: str, *params: Any) -> Any:
        response = ask(client, asked, *params)
        return change(response) if asked == method else response

    monkeypatch.setattr(NodeClient, "request", other)


def without_hash(receipt: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in receipt.items() if name != "transactionHash"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "change", "words"),
    [
        ("eth_chainId", lambda _: None, "eth_chainId: None"),
        ("eth_gasPrice", lambda _: None, "eth_gasPrice: None"),
        ("eth_maxPriorityFeePerGas", lambda _: [], "eth_maxPriorityFeePerGas: []"),
        ("eth_getTransactionCount", lambda _: None, "eth_getTransactionCount: None"),
        ("eth_sendRawTransaction", lambda _: "0x" + "11" * 32, "the transaction's hash is 0x"),
        ("eth_getTransactionReceipt", lambda _: [], "expected an object"),
        ("eth_getTransactionReceipt", without_hash, "transactionHash"),
        ("eth_getTransactionReceipt", lambda receipt: {**receipt, "transactionHash": "0x" + "11" * 32}, "hash is 0x"),
        ("eth_getTransactionReceipt", lambda receipt: {**receipt, "status": None}, "expected text, found"),
    ],
)
def test_an_answer_of_another_shape_is_named(
    project: Path, url: str, monkeypatch: pytest.MonkeyPatch, method: str, change: Callable[[Any], Any], words: str
) -> None:
    changed_answers(monkeypatch, method, change)
    found = run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast", status=1)
    assert f"returned a malformed result of {method}: " in found
    assert words in found


@pytest.mark.slow
def test_lost_response_is_recovered_by_recorded_hash(
    project: Path, url: str, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: Any) -> Any:
        raise NodeError("the connection is lost")

    with monkeypatch.context() as context:
        changed_answers(context, "eth_sendRawTransaction", lost)
        words = run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast", status=1)
    assert "the connection is lost" in words
    first = record(project)["transactions"][0]["hash"]
    assert network.nonce(SENDER) == 1
    run(project, "--rpc-url", url, "--private-key", KEY, "--resume")
    assert record(project)["receipts"][0]["transactionHash"] == first
    assert network.nonce(SENDER) == 4


@pytest.mark.slow
def test_resume_after_failed_transaction_is_refused(project: Path, url: str, network: Network) -> None:
    run(project, "--rpc-url", url, "--private-key", KEY, "--broadcast")
    cut = record(project)
    cut["transactions"][3]["hash"] = None
    failed = {**cut["receipts"][2], "status": "0x0"}
    edit_record(project, lambda content: content.update(cut, receipts=[*cut["receipts"][:2], failed]))
    words = run(project, "--rpc-url", url, "--private-key", KEY, "--resume", status=2)
    assert "failed on the chain: run the script again without --resume" in " ".join(words.split())
    assert network.nonce(SENDER) == 4


def test_calldata_of_no_function_in_the_interface_is_run(project: Path) -> None:
    """The fallback handles it: the ABI lacks the called function."""
    (file,) = (project / "out").rglob("Deploy.json")
    content = json.loads(file.read_text(encoding="utf-8"))
    content["abi"] = [entry for entry in content["abi"] if entry.get("name") != "run"]
    file.write_text(json.dumps(content), encoding="utf-8")
    text = run(project, "--sig", "0xc0406226")  # run()
    assert "Script ran successfully." in text
    assert "== Return ==" not in text


@pytest.mark.slow
@pytest.mark.parametrize("settings", ['eth_rpc_url = "home"', ""])
def test_a_node_is_named_as_the_project_names_it(
    project: Path, url: str, settings: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project / "foundry.toml"
    more = f'{settings}\n[rpc_endpoints]\nhome = "${{OWN_NODE}}"\n'
    file.write_text(f"{file.read_text(encoding='utf-8')}{more}", encoding="utf-8")
    options = () if settings else ("--rpc-url", "home")
    assert "environment variable `OWN_NODE` not found" in run(project, *options, status=2)
    monkeypatch.setenv("OWN_NODE", url)
    assert "SIMULATION COMPLETE" in run(project, *options, "--private-key", KEY)


def test_return_values_have_the_names_of_structs_and_raw_texts_for_records() -> None:
    """Source: the output of `forge script` 1.7.1 for `Own({x: 3, q: L.Q(1, hex"0102")})`, 99999 and an empty string."""
    inner = [{"name": "a", "type": "uint256"}, {"name": "b", "type": "bytes"}]
    own = [
        {"name": "x", "type": "uint8"},
        {"name": "q", "type": "tuple", "components": inner, "internalType": "struct L.Q"},
    ]
    entry = {"outputs": [
        {"name": "o", "type": "tuple", "components": own, "internalType": "struct P.Own"},
        {"name": "", "type": "uint256", "internalType": "uint256"},
        {"name": "", "type": "string", "internalType": "string"},
    ]}  # fmt: skip
    data = encode(("(uint8,(uint256,bytes))", "uint256", "string"), [(3, (1, b"\1\2")), 99_999, ""])
    assert return_values(entry, data) == {
        "o": ("struct P.Own", "(3, (1, 0x0102))", "Own({ x: 3, q: Q({ a: 1, b: 0x0102 }) })"),
        "1": ("uint256", "99999", "99999 [9.999e4]"),
        "2": ("string", "", '""'),
    }
    assert return_values(entry, data[:40]) == {}

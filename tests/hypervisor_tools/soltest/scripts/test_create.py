"""`hypervisor create` and `verify-bytecode` on a project compiled by forge; tests/clients compares with forge."""

import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as SignerAccount

from bridge.ethereum.addresses import create_address, eth_address
from hypervisor_tools.verification.creation_code import CreationCode
from localnet import Network
from localnet.rpc.server.server import serving
from tests.command import run as run_command
from tests.hypervisor_tools.soltest.scripts.conftest import HERE
from tests.hypervisor_tools.soltest.scripts.script_runs import KEY, OTHER_KEY, SENDER, record
from tests.hypervisor_tools.soltest.scripts.script_runs import run as script

pytestmark = pytest.mark.slow

COUNTER = "src/Counter.sol:Counter"
FIRST = "0x5FbDB2315678afecb367f032d93F642f64180aa3"  # the first contract of the first account, on every new chain
NOT_FOUND = "the creation transaction of the contract is unknown"


def run(project: Path, command: str, *options: str, status: int = 0) -> str:
    done = run_command(command, *options, "--root", str(project))
    assert done.exit_code == status, done.output
    return done.stdout if status == 0 else " ".join(done.stderr.split())


def create(project: Path, url: str, *options: str, status: int = 0) -> str:
    return run(project, "create", "--rpc-url", url, *options, status=status)


def verify(project: Path, url: str, address: str, *options: str, status: int = 0) -> str:
    return run(project, "verify-bytecode", address, COUNTER, "--rpc-url", url, *options, status=status)


def changed(project: Path, change: Any) -> None:
    """Replace the compiled code of Counter."""
    (file,) = (project / "out").rglob("Counter.json")
    content = json.loads(file.read_text(encoding="utf-8"))
    for name in ("bytecode", "deployedBytecode"):
        content[name]["object"] = f"0x{change(bytes.fromhex(content[name]['object'][2:])).hex()}"
    file.write_text(json.dumps(content), encoding="utf-8")


def other_metadata(code: bytes) -> bytes:
    """Return code with other metadata, as after a change of a comment: another hash in the CBOR at the end."""
    place = code.rindex(b"ipfs") + 12
    return code[:place] + bytes(byte ^ 0xFF for byte in code[place : place + 20]) + code[place + 20 :]


def other_code(code: bytes) -> bytes:
    return code.replace(bytes.fromhex("8381f58a"), bytes.fromhex("8381f58b"))


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_a_contract_is_deployed_as_forge_create_does(project: Path, rules: str) -> None:
    with Network(rules=rules) as network, serving(network) as url:
        arguments = ("--private-key", KEY, "--value", "7wei", "--broadcast", "--constructor-args", "42")
        found = json.loads(create(project, url, COUNTER, "--json", *arguments))
        assert list(found) == ["deployer", "deployedTo", "transactionHash"]  # forge 1.7.1
        assert (found["deployer"], found["deployedTo"]) == (SENDER, FIRST)
        assert network.call(FIRST, bytes.fromhex("8381f58a")) == (42).to_bytes(32, "big")  # number()
        assert network.balance(FIRST) == 7
        assert [(known.name, known.address) for known in network.interfaces] == [("Counter", FIRST.lower())]
        text = create(project, url, "Counter", "--unlocked", "--from", SENDER, "--broadcast", "--constructor-args", "1")
        lines = [line.partition(": ")[0] for line in text.splitlines()]
        assert lines == ["Deployer", "Deployed to", "Transaction hash"]
        assert network.nonce(SENDER) == 2


def test_a_contract_is_deployed_with_a_keystore(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keystores, password = tmp_path / ".foundry" / "keystores", tmp_path / "password"
    keystores.mkdir(parents=True)
    content = SignerAccount.encrypt(bytes.fromhex(KEY[2:]), "secret", kdf="pbkdf2", iterations=1000)
    (keystores / "own").write_text(json.dumps(content), encoding="utf-8")
    password.write_text("secret\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    with Network() as network, serving(network) as url:
        options = (COUNTER, "--json", "--password-file", str(password), "--broadcast", "--constructor-args", "42")
        found = json.loads(create(project, url, "--keystore", str(keystores / "own"), *options))
        assert (found["deployer"], found["deployedTo"]) == (SENDER, FIRST)
        assert json.loads(create(project, url, "--account", "own", *options))["deployer"] == SENDER
        assert network.nonce(SENDER) == 2
        password.write_text("other", encoding="utf-8")
        assert "wrong password for the keystore" in create(project, url, "--account", "own", *options, status=2)


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_create_without_broadcast_sends_nothing(project: Path, rules: str) -> None:
    with Network(rules=rules) as network, serving(network) as url:
        options = (COUNTER, "--private-key", OTHER_KEY, "--value", "7wei", "--constructor-args", "42")
        found = json.loads(create(project, url, *options, "--json"))
        assert list(found) == ["contract", "transaction", "abi"]
        sent = found["transaction"]
        assert set(sent) == {  # forge 1.7.1
            "from", "to", "maxFeePerGas", "maxPriorityFeePerGas", "gas", "value", "input", "nonce", "chainId"
        }  # fmt: skip
        assert (sent["to"], sent["value"], sent["nonce"]) == (None, "0x7", "0x0")
        assert (sent["chainId"], sent["input"][-64:]) == (hex(network.chain_id), f"{42:064x}")
        assert create(project, url, *options).startswith("Contract: Counter\nTransaction: {\n")
        assert (network.head.height, network.nonce(SENDER)) == (0, 0)


def test_values_go_up_to_the_next_option(project: Path, url: str, network: Network) -> None:
    create(project, url, "--constructor-args", "42", "--private-key", KEY, "--broadcast", COUNTER)
    file = project / "arguments.json"
    file.write_text("[43]", encoding="utf-8")
    create(project, url, COUNTER, "--constructor-args-path", str(file), "--private-key", KEY, "--broadcast")
    file = file.rename(project / "arguments.txt")
    file.write_text("44\n", encoding="utf-8")
    create(project, url, COUNTER, "--constructor-args-path", str(file), "--private-key", KEY, "--broadcast")
    sender = eth_address(bytes.fromhex(SENDER[2:]))
    made = [f"0x{create_address(sender, nonce).hex()}" for nonce in range(3)]
    numbers = [network.call(address, bytes.fromhex("8381f58a"))[-1] for address in made]
    assert numbers == [42, 43, 44]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["Counter"], "no signer: pass --private-key KEY, --keystore FILE or --account NAME, or --unlocked --from"),
        (["Counter", "--private-key", KEY, "--keystore", "own"], "only one key can sign, but --private-key and"),
        (["Counter", "--keystore", "none", "--password", "x"], "none"),
        (["Counter", "--unlocked"], "--unlocked needs an account of the node: pass --from ADDRESS"),
        (["Counter", "--unlocked", "--private-key", KEY], "pass one of them"),
        (["Counter", "--private-key", KEY, "--from", "0x" + "12" * 20], "does not belong to 0x1212"),
        (["Counter", "--private-key", KEY], "the constructor takes 1 arguments (uint256), not 0"),
        (["Counter", "--private-key", KEY, "--constructor-args", "x"], "'x' is not a valid uint256"),
        (["Counter", "--private-key", KEY, "--constructor-args", "1", "--value", "3"], "the amount 3 has no unit"),
        (["Named", "--private-key", KEY, "--value", "1wei"], "the constructor of Named is not payable"),
        (["Nobody", "--private-key", KEY], "there is no contract Nobody: name it as FILE:CONTRACT"),
        (["src/Counter.sol:Nobody", "--private-key", KEY], "there is no contract Nobody in src/Counter.sol"),
        (["src:Counter", "--private-key", KEY], "is a folder"),
        (["src/Counter.sol", "--private-key", KEY], "is not a contract: expected FILE:NAME or NAME"),
        (["Counter", "--private-key", KEY, "--constructor-args-path", "absent"], "absent cannot be read"),
        (["Counter", "--ledger"], "--ledger is an option of forge that this command does not have"),
    ],
)  # fmt: skip
def test_impossible_contract_creation_is_reported(project: Path, url: str, options: list[str], words: str) -> None:
    assert words in create(project, url, *options, "--broadcast", status=2)


def test_failing_constructor_broadcasts_nothing(project: Path, url: str, network: Network) -> None:
    changed(project, lambda code: bytes.fromhex("5f5ffd"))
    for options in ([], ["--broadcast"]):
        words = create(project, url, COUNTER, "--private-key", KEY, "--constructor-args", "1", *options, status=1)
        assert "EVM_CONTRACT_REVERTED" in words
    assert network.nonce(SENDER) == 0


# --- bytecode verification
# ----------------------------------------------------------------------------------------------


@pytest.fixture
def deployed(project: Path, url: str) -> str:
    return str(
        json.loads(
            create(project, url, COUNTER, "--private-key", KEY, "--broadcast", "--json", "--constructor-args", "42")
        )["deployedTo"]
    )


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_code_of_the_project_matches_in_full_and_in_part(project: Path, rules: str) -> None:
    with Network(rules=rules) as network, serving(network) as url:
        create(project, url, COUNTER, "--private-key", KEY, "--broadcast", "--constructor-args", "42")
        both = "Creation code matched with status {0}\nRuntime code matched with status {0}\n"  # forge's message
        assert verify(project, url, FIRST) == both.format("full")
        assert verify(project, url, FIRST, "--constructor-args", "42") == both.format("full")
        assert verify(project, url, FIRST, "--encoded-constructor-args", f"{42:064x}") == both.format("full")
        changed(project, other_metadata)
        assert verify(project, url, FIRST, "--constructor-args", "42") == both.format("partial")
        changed(project, other_code)
        words = verify(project, url, FIRST, status=1)
        assert words.startswith("Creation code did not match - this may be due to varying compiler settings")
        assert "Runtime code did not match" in words


def test_the_answer_is_forges_in_json(project: Path, url: str, deployed: str) -> None:
    assert json.loads(verify(project, url, deployed, "--json")) == [
        {"bytecode_type": "creation", "match_type": "full"}, {"bytecode_type": "runtime", "match_type": "full"}
    ]  # fmt: skip
    done = run_command("verify-bytecode", deployed, "Named", "--rpc-url", url, "--json", "--root", str(project))
    assert (done.exit_code, [row["match_type"] for row in json.loads(done.stdout)]) == (1, [None, None])


def test_verify_fails_if_both_bytecodes_are_ignored(project: Path, url: str, deployed: str) -> None:
    words = verify(project, url, deployed, "--ignore", "runtime", "--ignore", "creation", status=2)
    assert "leave nothing to compare" in words


@pytest.mark.parametrize("ignored", ["creation", "runtime"])
def test_one_of_both_may_be_left_out(project: Path, url: str, deployed: str, ignored: str) -> None:
    (row,) = json.loads(verify(project, url, deployed, "--json", "--ignore", ignored))
    assert row["bytecode_type"] == ({"creation", "runtime"} - {ignored}).pop()


def test_other_arguments_of_the_constructor_are_named(project: Path, url: str, deployed: str) -> None:
    words = verify(project, url, deployed, "--constructor-args", "43", status=1)
    assert f"other constructor arguments: 0x{42:064x}, not 0x{43:064x}" in words


def test_bytes_after_creation_code_must_be_constructor_arguments(project: Path, url: str, deployed: str) -> None:
    (file,) = (project / "out").rglob("Counter.json")
    content = json.loads(file.read_text(encoding="utf-8"))
    (made,) = (entry for entry in content["abi"] if entry["type"] == "constructor")
    made["inputs"] = []
    file.write_text(json.dumps(content), encoding="utf-8")
    assert "no constructor arguments follow it" in verify(project, url, deployed, status=1)


def test_creations_are_found_in_the_records_of_scripts(
    project: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contracts made by CREATE and CREATE2, if the node does not report a contract's creator."""
    script(project, "--rpc-url", url, "--private-key", KEY, "--broadcast")
    rows = record(project)["transactions"]
    monkeypatch.setattr(CreationCode, "hash_from_node", lambda _: None)
    made = [row for row in rows if row["contractName"] == "Counter" and row["transactionType"] != "CALL"]
    assert {row["transactionType"] for row in made} == {"CREATE", "CREATE2"}
    for row in made:
        assert "Creation code matched with status full" in verify(project, url, row["contractAddress"])
        named = ("--creation-transaction", rows[0]["hash"])
        if row is not rows[0]:
            assert NOT_FOUND in verify(project, url, row["contractAddress"], *named, status=2)
    (project / "broadcast").rename(project / "elsewhere")
    assert NOT_FOUND in verify(project, url, made[0]["contractAddress"], status=2)
    verify(project, url, made[0]["contractAddress"], "--creation-transaction", made[0]["hash"])


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--creation-transaction", "0x" + "12" * 32], 2, "the node has no transaction 0x1212"),
        (["--encoded-constructor-args", "zz"], 2, "--encoded-constructor-args 'zz' is not hex"),
        (["--encoded-constructor-args", "", "--constructor-args", "1"], 2, "pass one of them"),
        (["--constructor-args", "1", "2"], 2, "the constructor takes 1 arguments (uint256), not 2"),
        (["--block", "new"], 2, "--block 'new' is not a block"),
        (["--creation-transaction", "0x12"], 2, "is not the hash of a transaction: expected 0x and 64 hex"),
        (["--block", "99"], 2, "99 was requested, the head is 1"),
        (["--block", "0"], 2, f"there is no code at {FIRST.lower()} on http://127.0.0.1"),
        (["--verifier", "x"], 2, "--verifier is an option of forge that this command does not have"),
    ],
)  # fmt: skip
def test_impossible_bytecode_verification_is_reported(
    project: Path, url: str, deployed: str, options: list[str], status: int, words: str
) -> None:
    assert words.lower() in verify(project, url, deployed, *options, status=status).lower()


def test_verify_without_node_compares_nothing(project: Path) -> None:
    assert "no node responds at" in verify(project, "http://127.0.0.1:1", FIRST, status=2)


def made_by(release: tuple[int, int, int]) -> Any:
    """Return code as by another release of solc: its version in the CBOR at the end (the Solidity documentation)."""

    def change(code: bytes) -> bytes:
        place = code.rindex(b"dsolcC") + 6
        return code[:place] + bytes(release) + code[place + 3 :]

    return change


def test_the_compiler_that_made_other_code_is_named(project: Path, url: str, deployed: str) -> None:
    words = "solc 0.8.37 compiled the code at this address and 0.8.30 the artifact: try --use 0.8.37"
    changed(project, made_by((0, 8, 30)))
    assert "status partial" in verify(project, url, deployed)  # only the metadata differs
    changed(project, other_code)
    output = verify(project, url, deployed, status=1)
    assert output.count(words) == 2  # creation and runtime
    changed(project, made_by((0, 8, 37)))
    assert "compiled the code" not in verify(project, url, deployed, status=1)


def test_the_record_of_forge_is_read(project: Path, url: str, deployed: str) -> None:
    """A record of an earlier chain names a missing transaction: the next record is used."""
    rows = json.loads((HERE / "forge_run.json").read_text(encoding="utf-8"))
    folder = project / "broadcast" / "Old.s.sol" / "31415926"
    folder.mkdir(parents=True)
    (folder / "run-latest.json").write_text(json.dumps({"transactions": rows}), encoding="utf-8")
    (folder / "broken.json").write_text("[", encoding="utf-8")
    assert rows[0]["contractAddress"].lower() == deployed.lower()
    assert "status full" in verify(project, url, deployed)

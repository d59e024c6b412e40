"""Proofs of accounts and slots, recorded from anvil 1.7.1 (`anvil.json`, examples/ethereum-proof), and altered."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.patricia import InvalidProof
from hypervisor_tools.laboratory.proofs.ethereum import MAX_SLOTS, proven_state_root, verify_account
from tests.command import json_output, run

EXAMPLE = Path(__file__).parents[4] / "examples" / "ethereum-proof"
BLOCK, CONTRACT = (json.loads((EXAMPLE / f"{name}.json").read_text(encoding="utf-8")) for name in ("block", "proof"))
SENDER, NOBODY = json.loads((Path(__file__).parent / "anvil.json").read_text(encoding="utf-8"))
UNHASHED = ("size", "uncles", "transactions", "withdrawals", "totalDifficulty")
ROOT = bytes.fromhex(BLOCK["stateRoot"][2:])


def refused(answer: Any, root: bytes = ROOT) -> str:
    with pytest.raises(InvalidProof) as caught:
        verify_account(answer, root)
    return str(caught.value)


def altered(answer: dict[str, Any], *path: str | int, to: Any) -> dict[str, Any]:
    changed = deepcopy(answer)
    at: Any = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = to
    return changed


def test_recorded_accounts_and_slots_are_proven() -> None:
    contract = verify_account(CONTRACT, ROOT)
    assert (contract.exists, contract.nonce, contract.balance) == (True, 1, 0)
    assert contract.slots == {0: 0, 1: 0x101, 40: 0x2828, 0x1234: 0}
    sender = verify_account(SENDER, ROOT)
    assert (sender.nonce, sender.slots) == (1, {})
    assert 10**21 < sender.balance < 10**22
    nobody = verify_account(NOBODY, ROOT)
    assert (nobody.exists, nobody.nonce, nobody.balance, nobody.slots) == (False, 0, 0, {1: 0})


def test_header_gives_the_state_root() -> None:
    assert proven_state_root(BLOCK, bytes.fromhex(BLOCK["hash"][2:])) == ROOT


@pytest.mark.parametrize("name", [name for name in BLOCK if name not in UNHASHED])
def test_altered_header_is_refused(name: str) -> None:
    value = BLOCK[name]
    changed = value[:-1] + ("1" if value[-1] != "1" else "2")
    with pytest.raises(InvalidProof):
        proven_state_root({**BLOCK, name: changed}, bytes.fromhex(BLOCK["hash"][2:]))
    with pytest.raises(InvalidProof):
        proven_state_root({key: found for key, found in BLOCK.items() if key != name}, bytes.fromhex(BLOCK["hash"][2:]))


def test_another_block_is_refused() -> None:
    with pytest.raises(InvalidProof, match=f"the hash of the block is {BLOCK['hash']}, not 0x{'11' * 32}"):
        proven_state_root(BLOCK, b"\x11" * 32)


@pytest.mark.parametrize("node", range(3))
def test_each_byte_of_each_node_is_checked(node: int) -> None:
    data = bytes.fromhex(CONTRACT["accountProof"][node][2:])
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        text = refused(altered(CONTRACT, "accountProof", node, to=f"0x{changed.hex()}"))
        assert text.startswith(f"accountProof: node {node}: its hash is 0x")


@pytest.mark.parametrize("slot", range(4))
def test_each_node_of_a_slot_is_checked(slot: int) -> None:
    nodes = CONTRACT["storageProof"][slot]["proof"]
    for index, node in enumerate(nodes):
        changed = node[:-1] + ("1" if node[-1] != "1" else "2")
        text = refused(altered(CONTRACT, "storageProof", slot, "proof", index, to=changed))
        assert text.startswith(f"storageProof[{slot}].proof: node {index}: its hash is 0x")
    text = refused(altered(CONTRACT, "storageProof", slot, "proof", to=nodes[:-1]))
    assert text.startswith(f"storageProof[{slot}].proof: node {len(nodes) - 1} is missing: its hash is 0x")
    text = refused(altered(CONTRACT, "storageProof", slot, "proof", to=[*nodes, nodes[0]]))
    assert text == f"storageProof[{slot}].proof: node {len(nodes)} follows the end of the proof"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (altered(CONTRACT, "nonce", to="0x2"), "nonce is 0x2, but the proof shows 0x1"),
        (altered(CONTRACT, "balance", to="0x1"), "balance is 0x1, but the proof shows 0x0"),
        (altered(CONTRACT, "storageHash", to="0x" + "22" * 32), f"storageHash is 0x{'22' * 32}, but the proof shows"),
        (altered(CONTRACT, "codeHash", to="0x" + "00" * 32), f"codeHash is 0x{'00' * 32}, but the proof shows"),
        (altered(CONTRACT, "storageProof", 0, "value", to="0x102"), "value is 0x102, but the proof shows 0x101"),
        (altered(CONTRACT, "storageProof", 0, "key", to="0x2"), "storageProof[0].proof: node 1: its hash is"),
        (altered(CONTRACT, "address", to=SENDER["address"]), "accountProof: node"),
        (altered(CONTRACT, "accountProof", to=[]), "accountProof: node 0 is missing"),
        (altered(CONTRACT, "accountProof", to=["0x" + "00" * 1025]), "expected at most 1024 bytes, found 1025"),
        (altered(CONTRACT, "accountProof", to=["0x"] * 66), "expected a list of at most 65 nodes"),
        (altered(CONTRACT, "storageProof", to=[{}] * (MAX_SLOTS + 1)), "expected a list of at most 1024 slots"),
        (altered(CONTRACT, "storageProof", to=[7]), "storageProof[0]: expected a JSON object"),
        (altered(NOBODY, "balance", to="0x1"), "balance is 0x1, but the proof shows 0x0"),
        (altered(NOBODY, "codeHash", to="0x" + "11" * 32), "codeHash"),
        (altered(NOBODY, "storageProof", 0, "value", to="0x1"), "value is 0x1, but the proof shows 0x0"),
        (altered(NOBODY, "storageProof", 0, "proof", to=["0xc0"]), "the trie is empty, but the proof has nodes"),
        ({}, "the proof has no field 'address'"),
        ([], "expected a JSON object"),
    ],
)  # fmt: skip
def test_altered_answer_is_refused(answer: Any, reason: str) -> None:
    assert reason in refused(answer)


def test_absent_account_may_have_hashes_of_zeros() -> None:
    zeros = "0x" + "00" * 32
    assert not verify_account({**NOBODY, "storageHash": zeros, "codeHash": zeros}, ROOT).exists


def test_command_proves_and_refuses(tmp_path: Path) -> None:
    proof, block = tmp_path / "proof.json", tmp_path / "block.json"
    proof.write_text(json.dumps({"jsonrpc": "2.0", "id": 1, "result": CONTRACT}), encoding="utf-8")
    block.write_text(json.dumps(BLOCK), encoding="utf-8")
    good = run("verify-proof", "ethereum", proof, "--block", block, "--block-hash", BLOCK["hash"])
    assert good.exit_code == 0, good.output
    assert "slot 0x28: 0x" + "2828".rjust(64, "0") in good.output
    shown = json_output("verify-proof", "ethereum", proof, "--state-root", BLOCK["stateRoot"])
    assert (shown["exists"], shown["nonce"], len(shown["slots"])) == (True, 1, 4)
    bad = run("verify-proof", "ethereum", proof, "--state-root", "0x" + "00" * 32)
    assert (bad.exit_code, bad.stderr[:45]) == (1, "not proven: accountProof: node 0: its hash is")


def test_command_requires_account_and_slots(tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    proof.write_text(json.dumps(CONTRACT), encoding="utf-8")
    command = ["verify-proof", "ethereum", str(proof), "--state-root", BLOCK["stateRoot"]]
    mine = ["--address", CONTRACT["address"].upper().replace("X", "x", 1)]
    assert run(*command, *mine, "--slot", "1", "--slot", "0x28").exit_code == 0
    other = run(*command, "--address", "0x" + "11" * 20)
    assert (
        other.exit_code,
        "address: the proof is for 0x5FbDB2315678afecb367f032d93F642f64180aa3" in other.stderr,
    ) == (
        1,
        True,
    )
    absent = run(*command, *mine, "--slot", "2")
    assert (absent.exit_code, absent.stderr) == (1, "not proven: storageProof: there is no proof of slot 0x2\n")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"error": {"code": -32000, "message": "missing trie node"}}, "the node returned an error: .*trie node"),
        ({**CONTRACT, "address": "0x11"}, "address: expected 20 bytes, found 1"),
        ({**CONTRACT, "nonce": "1"}, "nonce: expected a hex quantity, found '1'"),
        ({**CONTRACT, "storageProof": None}, "storageProof: expected a list of at most 1024 slots"),
        ({**CONTRACT, "accountProof": None}, "accountProof: expected a list of at most 65 nodes"),
    ],
)
def test_malformed_field_is_named(answer: Any, text: str) -> None:
    with pytest.raises(InvalidProof, match=text):
        verify_account(answer, ROOT)


@pytest.mark.usefixtures("high_limit")
@pytest.mark.parametrize("text", ["", "[" * 100_000, "1e999"])
def test_command_names_file_that_is_not_json(tmp_path: Path, text: str) -> None:
    proof = tmp_path / "proof.json"
    proof.write_text(text, encoding="utf-8")
    found = run("verify-proof", "ethereum", proof, "--state-root", BLOCK["stateRoot"])
    assert found.exit_code == 2
    assert f"{proof} is not JSON: " in found.stderr

"""`hypervisor blocktest`: short chains of every fork and transition that go-ethereum accepts, and defects in them.

The chains are made and checked by `python -m tests.oracle.blocktests`.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.laboratory.vectors.blocktest import run_file as run_chain_file
from fvm_hypervisor.laboratory.vectors.blocktest import run_test
from fvm_hypervisor.laboratory.vectors.exception_names import matches
from hypervisor.errors import InvalidInput
from runtimes.evm.ethereum.chain_import import schedule_of
from tests import prepared
from tests.golden_cases import ethereum_cases

CASES = ethereum_cases("blocktests")


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
@pytest.mark.parametrize("name", CASES)
def test_a_chain_that_geth_accepts_passes(name: str, evm: str) -> None:
    assert run_test(CASES[name], evm) == ""


def last(test: dict[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = test["blocks"][-1]
    return block


def drop(field: str, name: str) -> Callable[[dict[str, Any]], None]:
    """Remove `field` of the invalid block that expects this exception."""

    def change(test: dict[str, Any]) -> None:
        (block,) = (each for each in test["blocks"] if name in each.get("expectException", ""))
        del block[field]
        block["blockHeader"] = {"hash": "0x" + "00" * 32}

    return change


DEFECTS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "an invalid block that the test takes for valid": (
        drop("expectException", "INVALID_STATE_ROOT"), "block 6: INVALID_STATE_ROOT: state root 0x",
    ),
    "a transaction that the test takes for valid": (
        drop("expectException", "NONCE_MISMATCH_TOO_LOW"), "block 6: NONCE_MISMATCH_TOO_LOW: transaction 2: nonce ",
    ),
    "a valid block that the test takes for invalid": (
        lambda test: last(test).update(expectException="BlockException.INVALID_GASLIMIT"),
        "block 6 is valid, expected BlockException.INVALID_GASLIMIT",
    ),
    "another exception": (
        lambda test: test["blocks"][5].update(expectException="BlockException.INVALID_GASLIMIT"),
        "block 6: UNKNOWN_PARENT: the parent 0x" + "00" * 32 + " is not known; expected",
    ),
    "another last block": (lambda test: test.update(lastblockhash="0x" + "11" * 32), "last block 6 with hash 0x"),
    "another state": (lambda test: test.update(postStateHash="0x" + "11" * 32), "state root 0x"),
    "other accounts after": (
        lambda test: test.update(postState={"0x" + "aa" * 20: {"balance": "0x1"}}), "account 0x",
    ),
    "other accounts before": (lambda test: test["pre"].popitem(), "genesis: state root 0x"),
    "another hash of a block": (
        lambda test: last(test)["blockHeader"].update(hash="0x" + "11" * 32), "block 6: hash 0x",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), DEFECTS.values(), ids=DEFECTS)
def test_a_planted_defect_is_named_with_its_block(change: Callable[[dict[str, Any]], None], words: str) -> None:
    test = copy.deepcopy(CASES["London chain"])
    change(test)
    assert run_test(test).startswith(words)


def test_nothing_is_kept_of_an_invalid_block() -> None:
    """The block after the invalid ones starts from the parent's state, whatever they did before they failed."""
    test = copy.deepcopy(CASES["Prague chain"])
    assert sum("expectException" in block for block in test["blocks"]) == 11
    test["blocks"] = [block for block in test["blocks"] if "expectException" not in block]
    assert run_test(test) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": "Rotterdam"}, "network 'Rotterdam' is not known: choose a transition such as BerlinToLondonAt5, "),
        ({"network": "LondonToRotterdamAt5"}, "network 'LondonToRotterdamAt5' is not known"),
        ({"_info": {"fixture-format": "blockchain_test_engine"}}, "format 'blockchain_test_engine' is not supported"),
        ({"blocks": [{}]}, "blocks, item 0: the field 'rlp' is missing"),
    ],
)
def test_an_unknown_network_or_form_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = tmp_path / "test.json"
    path.write_text(json.dumps({"one": {**CASES["Merge chain"], **change}}))
    (record,) = run_chain_file(path)
    assert not record["pass"]
    assert record["error"].startswith(words)


@pytest.mark.parametrize(
    ("network", "number", "timestamp", "work", "fork"),
    [
        ("EIP150", 0, 0, 0, "TangerineWhistle"),
        ("BerlinToLondonAt5", 4, 0, 0, "Berlin"),
        ("BerlinToLondonAt5", 5, 0, 0, "London"),
        ("ShanghaiToCancunAtTime15k", 9, 14_999, 0, "Shanghai"),
        ("ShanghaiToCancunAtTime15k", 9, 15_000, 0, "Cancun"),
        ("ArrowGlacierToMergeAtDiffC0000", 9, 0, 0xBFFFF, "ArrowGlacier"),
        ("ArrowGlacierToMergeAtDiffC0000", 9, 0, 0xC0000, "Paris"),
        ("HomesteadToDaoAt5", 5, 0, 0, "Homestead"),
    ],
)
def test_a_network_names_its_forks(network: str, number: int, timestamp: int, work: int, fork: str) -> None:
    assert schedule_of(network).fork_at(number, timestamp, work).name == fork


def test_a_network_with_a_bad_place_is_refused() -> None:
    with pytest.raises(InvalidInput, match="network 'BerlinToLondonAtTimeAk' is not known"):
        schedule_of("BerlinToLondonAtTimeAk")


def test_old_names_of_exceptions_stand_for_todays() -> None:
    assert matches(["INTRINSIC_GAS_TOO_LOW"], "TR_IntrinsicGas")
    assert matches(["INVALID_GAS_USED"], "TransactionException.X|BlockException.INVALID_GAS_USED")
    assert matches(["RLP_STRUCTURES_ENCODING"], "BlockException.RLP_INVALID_ADDRESS")
    assert not matches(["INVALID_GASLIMIT"], "BlockException.RLP_INVALID_ADDRESS")
    assert not matches(["NONCE_IS_MAX"], "TR_NonceTooLow")


@pytest.mark.slow
def test_the_command_reports_each_test_and_the_forks(tmp_path: Path) -> None:
    chains = {name: CASES[name] for name in ("Frontier chain", "EIP158ToByzantiumAt5 chain")}
    broken = {**CASES["Osaka chain"], "lastblockhash": "0x" + "00" * 32}
    (tmp_path / "chains.json").write_text(json.dumps({**chains, "broken": broken}), encoding="utf-8")
    done = prepared.run("blocktest", "--json", "--workers", "1", tmp_path)
    assert done.returncode == 1
    assert [json.loads(line)["pass"] for line in done.stdout.splitlines()] == [True, True, False]
    assert "EIP158ToByzantiumAt5: 1 passed, 0 failed" in done.stderr
    alone = prepared.run("blocktest", "--fork", "frontier", tmp_path)
    assert (alone.returncode, alone.stderr.count("passed")) == (0, 2)
    assert "network 'Fronter' is not known" in prepared.run("blocktest", "--fork", "Fronter", tmp_path).stderr


def test_a_wrong_account_is_shown_as_json() -> None:
    account = {"balance": "0x5", "nonce": "0x0", "code": "0x", "storage": {"0x1": "0x2"}}
    missing = "0x" + "00" * 20
    shown = run_test({**CASES["Osaka chain"], "postState": {missing: account}}).split("; ")
    assert f"account {missing}: null, expected {json.dumps(account)}" in shown
    assert all(line.endswith("}, expected null") and '{"balance": "0x' in line for line in shown[1:])

"""`hypervisor statetest` and `hypervisor t8n`: records, exit codes, bad input, traces."""

import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.laboratory.vectors.ethereum_json import read_accounts
from fvm_hypervisor.laboratory.vectors.statetest import run_file
from runtimes.evm.ethereum.alloc import state_root
from tests import prepared
from tests.conftest import data_file, with_data

EXAMPLE = "vectors/GeneralStateTests/stExample/eip1559.json"
REFUSED = "vectors/GeneralStateTests/stExample/invalidTr.json"
SET_CODE = "vectors/state_tests/prague/eip7702_set_code_tx/test_double_auth.json"


def run(*arguments: str | Path, folder: Path | None = None, text: str = "") -> subprocess.CompletedProcess[str]:
    return prepared.run(*arguments, folder=folder, text=text)


def records(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def load(name: str) -> dict[str, Any]:
    tests: dict[str, Any] = json.loads(data_file(name).read_text(encoding="utf-8"))
    return tests


# --- statetest --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_case_has_one_record_and_all_pass() -> None:
    done = run("statetest", "--json", "--workers", "2", data_file(EXAMPLE), data_file(SET_CODE))
    expected = [
        (name, fork, index)
        for file in (EXAMPLE, SET_CODE)
        for name, test in load(file).items()
        for fork in ("Cancun", "Prague", "Osaka")
        for index in range(len(test["post"].get(fork, ())))
    ]
    found = records(done)
    assert [(record["name"], record["fork"], record["index"]) for record in found] == expected
    assert all(set(record) == {"file", "name", "fork", "index", "pass", "error"} for record in found)
    assert all(record["pass"] and record["error"] == "" for record in found)
    assert done.returncode == 0


@pytest.mark.slow
def test_summary_lists_cases_per_fork_and_five_slowest() -> None:
    done = run("statetest", "--workers", "1", data_file(EXAMPLE), data_file(SET_CODE))
    posts = [test["post"] for file in (EXAMPLE, SET_CODE) for test in load(file).values()]
    forks = [fork for fork in ("Cancun", "Osaka", "Prague") if any(post.get(fork) for post in posts)]
    counts = [f"{fork}: {sum(len(post.get(fork, ())) for post in posts)} passed, 0 failed" for fork in forks]
    lines = done.stderr.splitlines()
    assert lines[1 : 1 + len(counts)] == counts
    seconds = [float(line.split(" s  ")[0]) for line in lines[1 + len(counts) :]]
    assert len(seconds) == 5
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] > 0


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("hash", "0x" + "11" * 32, "state root 0x"),
        ("logs", "0x" + "11" * 32, "logs hash 0x"),
        ("expectException", "TransactionException.NONCE_IS_MAX", "transaction: valid"),
    ],
)
def test_altered_expectation_is_located_and_exits_with_1(field: str, value: str, words: str, tmp_path: Path) -> None:
    tests = load(EXAMPLE)
    (name, test), *_ = tests.items()
    test["post"]["Cancun"][0][field] = value
    (tmp_path / "changed.json").write_text(json.dumps(tests), encoding="utf-8")
    done = run("statetest", tmp_path / "changed.json")
    assert done.returncode == 1
    assert f"FAIL  {name} Cancun 0: {words}" in done.stdout
    assert f"expected {value}" in done.stdout
    assert "1 failed" in done.stderr


def test_unmatched_fork_or_empty_folder_exits_with_2(tmp_path: Path) -> None:
    for arguments in (["--fork", "Osaka", str(data_file(EXAMPLE))], [str(tmp_path)]):
        done = run("statetest", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "no case was found" in done.stderr


def test_an_unknown_fork_is_refused_with_the_known_ones() -> None:
    done = run("statetest", "--fork", "Fronter", data_file(EXAMPLE))
    assert done.returncode == 2
    assert "'Fronter' is not known" in done.stderr


@pytest.mark.parametrize("fork", ["cancun", "CANCUN"])
def test_a_fork_is_selected_in_any_case(fork: str) -> None:
    assert run("statetest", "--fork", fork, data_file(EXAMPLE)).returncode == 0


def test_a_fork_with_a_proposal_is_accepted() -> None:
    done = run("statetest", "--fork", "osaka+8024", data_file(EXAMPLE))
    assert "no case was found" in done.stderr


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("env", "currentNumber"), "x", "env: 'currentNumber' is \"x\", expected a number"),
        (("env", "currentCoinbase"), "0x11", "env: 'currentCoinbase' has 1 bytes, expected 20"),
        (("pre",), [], "'pre' is [], expected an object"),
        (("transaction", "gasLimit"), [], "transaction: 'gasLimit' has no item"),
        (("transaction", "nonce"), None, "transaction: 'nonce' is null, expected a number"),
        (("post", "Cancun", 0, "hash"), "0x00", "post, Cancun, item 0: 'hash' has 1 bytes, expected 32"),
    ],
)
def test_a_malformed_test_fails_with_its_field(
    place: tuple[str | int, ...], value: Any, words: str, tmp_path: Path
) -> None:
    tests = load(EXAMPLE)
    target: Any = next(iter(tests.values()))
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    path = tmp_path / "malformed.json"
    path.write_text(json.dumps(tests), encoding="utf-8")
    (record, *_) = run_file(path)
    assert (record["file"], record["pass"]) == (path.as_posix(), False)
    assert words in record["error"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 200_000, id="deep"),
        "",
        "{",
        "[]",
        "7",
        '{"a": 1}',
        '{"a": {"post": 3}}',
        '{"a": {"post": {"Osaka": 3}}}',
    ],
)
def test_a_file_that_is_no_state_test_fails_in_words(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    (record,) = run_file(path)
    assert not record["pass"]
    assert record["error"]


@pytest.mark.slow
def test_the_trace_ends_in_the_root_and_steps_add_up_to_the_gas(tmp_path: Path) -> None:
    name = "vectors/GeneralStateTests/stExample/basefeeExample.json"
    done = run("statetest", "--trace", "--workers", "1", data_file(name))
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    steps, summaries = [line for line in lines if "pc" in line], [line for line in lines if "stateRoot" in line]
    (test,) = load(name).values()
    assert [line["stateRoot"] for line in summaries] == [case["hash"] for case in test["post"]["Cancun"]]
    assert {"pc", "op", "gas", "gasCost", "memSize", "stack", "depth", "refund", "opName"} <= set(steps[0])
    for before, after in pairwise(steps):
        if before["depth"] == after["depth"] and after["pc"] > before["pc"]:
            assert int(before["gas"], 16) - int(before["gasCost"], 16) == int(after["gas"], 16)


# --- t8n --------------------------------------------------------------------------------------------------------------


def block_of(env: dict[str, Any]) -> dict[str, Any]:
    """Return a state test's environment in the form of go-ethereum's tool."""
    given = {name: value for name, value in env.items() if name != "currentDifficulty"}
    return {"currentRandom": "0x0", **given, "withdrawals": [], "parentBeaconBlockRoot": "0x" + "00" * 32}


def transaction_of(test: dict[str, Any], case: dict[str, Any]) -> dict[str, Any]:
    """Return a case's transaction in the tool's form: unsigned, with a key."""
    fields, indexes = test["transaction"], case["indexes"]
    made = {
        "type": "0x0",
        "chainId": "0x1",
        "nonce": fields["nonce"],
        "to": fields["to"] or None,
        "value": fields["value"][indexes["value"]],
        "input": fields["data"][indexes["data"]],
        "gas": fields["gasLimit"][indexes["gas"]],
        "secretKey": fields["secretKey"],
    }
    made |= {name: fields[name] for name in fields if name.startswith(("max", "gasPrice", "blob", "authorization"))}
    lists = fields.get("accessLists")
    if lists and lists[indexes["data"]] is not None:
        made |= {"type": "0x1", "accessList": lists[indexes["data"]]}
    for kind, name in (("0x2", "maxFeePerGas"), ("0x3", "blobVersionedHashes"), ("0x4", "authorizationList")):
        if name in fields:
            made["type"] = kind
    return made


SAMPLE = [
    (EXAMPLE, "Cancun"),
    (REFUSED, "Cancun"),
    ("vectors/GeneralStateTests/stExample/accessListExample.json", "Cancun"),
    *with_data(
        ("vectors/GeneralStateTests/stLogTests/log4_Caller.json", "Cancun"),
        ("vectors/GeneralStateTests/stCreate2/create2checkFieldsInInitcode.json", "Cancun"),
        ("vectors/GeneralStateTests/stSStoreTest/sstore_0to0.json", "Cancun"),
        ("vectors/GeneralStateTests/stRefundTest/refund_CallA.json", "Cancun"),
        ("vectors/GeneralStateTests/stSystemOperationsTest/doubleSelfdestructTest.json", "Cancun"),
        ("vectors/GeneralStateTests/stPreCompiledContracts/idPrecomps.json", "Cancun"),
    ),
    (SET_CODE, "Prague"),
    *with_data(
        (SET_CODE, "Osaka"),
        ("vectors/state_tests/osaka/eip7939_count_leading_zeros/test_clz_opcode_scenarios.json", "Osaka"),
    ),
    ("vectors/state_tests/cancun/eip4844_blobs/test_blobhash_gas_cost.json", "Osaka"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fork"), SAMPLE, ids=lambda value: Path(value).stem)
def test_t8n_reproduces_the_root_of_a_state_test(name: str, fork: str, tmp_path: Path) -> None:
    test = next(test for test in load(name).values() if fork in test["post"])
    case = test["post"][fork][0]
    stdin = json.dumps({"alloc": test["pre"], "env": block_of(test["env"]), "txs": [transaction_of(test, case)]})
    streams = [f"--input.{part}=stdin" for part in ("alloc", "env", "txs")]
    outputs = ["--output.result=stdout", "--output.alloc=stdout", "--output.body=txs.rlp"]
    done = run("t8n", *streams, *outputs, f"--state.fork={fork}", folder=tmp_path, text=stdin)
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["result"]["stateRoot"] == case["hash"]
    assert "0x" + state_root(read_accounts(out["alloc"], "alloc")).hex() == case["hash"]
    assert out["result"]["logsHash"] == case["logs"]
    assert [item["index"] for item in out["result"].get("rejected", [])] == ([0] if case.get("expectException") else [])
    again = run(
        "t8n", "--input.alloc=stdin", "--input.env=stdin", "--input.txs=txs.rlp", *outputs[:2],
        f"--state.fork={fork}", folder=tmp_path, text=stdin,
    )  # fmt: skip
    assert json.loads(again.stdout)["alloc"] == out["alloc"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({}, 0, ""),
        ({"--state.fork": "Fronter"}, 3, "'Fronter' is not known"),
        ({"--state.fork": "cancun"}, 0, ""),
        ({"--state.fork": "cancun+8024"}, 0, ""),
        ({"--state.fork": ""}, 3, "'' is not known"),
        ({"--output.alloc": "nowhere/x.json"}, 11, "nowhere/x.json cannot be written: its folder does not exist"),
        ({"--state.reward": "-2"}, 3, "reward -2 is out of range"),
        ({"--state.fork": "Frontier+1346"}, 3, "'Frontier+1346' is not known"),
        ({"--input.env": "no-withdrawals.json"}, 3, "'withdrawals' is missing: Cancun requires it"),
        (
            {"--input.alloc": "nowhere.json"},
            11,
            "there is no file nowhere.json: pass a file, or stdin, with --input.alloc",
        ),
        ({"--input.env": "txs.json"}, 10, "txs.json is not an object"),
        ({"--input.txs": "broken.json"}, 10, "broken.json is not valid JSON"),
        ({"--input.txs": "deep.json"}, 10, "deep.json is not valid JSON"),
        ({"--input.alloc": "octets.json"}, 10, "octets.json is not valid JSON"),
        ({"--input.txs": "octets.rlp"}, 10, "'txs' is"),
        ({"--input.env": "no-parent-gas.json"}, 10, "'parentGasLimit' is 1"),
    ],
)
def test_t8n_ends_with_the_status_of_its_kind(change: dict[str, str], status: int, words: str, tmp_path: Path) -> None:
    (test,) = load(EXAMPLE).values()
    for name, value in (("alloc", test["pre"]), ("env", block_of(test["env"])), ("txs", [])):
        (tmp_path / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    (tmp_path / "broken.json").write_text("[", encoding="utf-8")
    (tmp_path / "deep.json").write_text("[" * 200_000, encoding="utf-8")
    for name in ("octets.json", "octets.rlp"):
        (tmp_path / name).write_bytes(b"\xff\xfe")
    given = {name: value for name, value in block_of(test["env"]).items() if name != "currentBaseFee"}
    given |= {"parentBaseFee": "0x7", "parentGasUsed": "0x1", "parentGasLimit": "0x1"}
    (tmp_path / "no-parent-gas.json").write_text(json.dumps(given), encoding="utf-8")
    given = {name: value for name, value in block_of(test["env"]).items() if name != "withdrawals"}
    (tmp_path / "no-withdrawals.json").write_text(json.dumps(given), encoding="utf-8")
    arguments = [f"{name}={value}" for name, value in {"--state.fork": "Cancun", **change}.items()]
    done = run("t8n", *arguments, folder=tmp_path)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_t8n_reports_missing_block_hash(tmp_path: Path) -> None:
    blockhash_of_zero = "0x600040"
    env = {"currentNumber": "0x2", "currentTimestamp": "0x1", "currentBaseFee": "0x0", "currentGasLimit": "0x989680"}
    env = block_of({**env, "currentCoinbase": "0x" + "00" * 20})
    sender = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"
    alloc = {sender: {"balance": "0x10000000"}, "0x" + "22" * 20: {"code": blockhash_of_zero}}
    transaction = {
        "nonce": "0x0", "to": "0x" + "22" * 20, "value": "0x0", "input": "0x", "gas": "0xf000", "gasPrice": "0x1",
        "secretKey": "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8",
    }  # fmt: skip
    text = json.dumps({"alloc": alloc, "env": env, "txs": [transaction]})
    streams = [f"--input.{part}=stdin" for part in ("alloc", "env", "txs")]
    done = run("t8n", *streams, "--state.fork=Cancun", folder=tmp_path, text=text)
    assert done.returncode == 4
    assert "block 0" in done.stderr

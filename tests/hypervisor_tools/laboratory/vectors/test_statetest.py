"""`hypervisor statetest` and `hypervisor t8n`: records, exit codes, bad input, traces."""

import copy
import gzip
import json
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypervisor.errors import InvalidInput
from hypervisor_tools.laboratory.vectors import blocktest, fevm
from hypervisor_tools.laboratory.vectors.blocktest import run_file as run_chain_file
from hypervisor_tools.laboratory.vectors.blocktest import run_test
from hypervisor_tools.laboratory.vectors.ethereum_json import read_accounts
from hypervisor_tools.laboratory.vectors.statetest import matches, run_file
from hypervisor_tools.laboratory.vectors.t8n import transition
from runtimes.evm.blocks.alloc import state_root
from runtimes.evm.blocks.chain_import import schedule_of
from tests import command
from tests.conftest import data_file, samples, with_data
from tests.golden_cases import ethereum_cases

EXAMPLE = "vectors/GeneralStateTests/stExample/eip1559.json"
REFUSED = "vectors/GeneralStateTests/stExample/invalidTr.json"
SET_CODE = "vectors/state_tests/prague/eip7702_set_code_tx/test_double_auth.json"


def run(*arguments: str | Path, folder: Path | None = None, text: str = "") -> subprocess.CompletedProcess[str]:
    return command.run_program(*arguments, folder=folder, text=text)


def records(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def load(name: str) -> dict[str, Any]:
    tests: dict[str, Any] = json.loads(data_file(name).read_text(encoding="utf-8"))
    return tests


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
    forks = [["--fork", fork, str(data_file(EXAMPLE))] for fork in ("Osaka", "osaka+8024")]
    for arguments in (*forks, [str(tmp_path)]):
        done = run("statetest", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "no case was found" in done.stderr


def test_unknown_fork_is_refused_with_the_known_ones() -> None:
    done = run("statetest", "--fork", "Fronter", data_file(EXAMPLE))
    assert done.returncode == 2
    assert "'Fronter' is not known" in done.stderr


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
def test_malformed_test_fails_with_its_field(
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
def test_file_that_is_no_state_test_fails_in_words(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    (record,) = run_file(path)
    assert not record["pass"]
    assert record["error"]


@pytest.mark.slow
def test_trace_ends_in_the_root_and_steps_add_up_to_the_gas(tmp_path: Path) -> None:
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


ACCESS_LIST_EXAMPLE = "vectors/GeneralStateTests/stExample/accessListExample.json"
BLOCKTESTS = Path(__file__).parents[3] / "golden" / "ethereum" / "blocktests.json.gz"

WRONG = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 1 << 70), st.text(max_size=5), st.just([]), st.just({}), st.just([None]),
    st.sampled_from(["0x", "0xzz", "0x" + "ff" * 40, "-1", "0x1_0", "0x" + "00" * 20, "0x" + "11" * 32]),
)  # fmt: skip


@cache
def example(name: str) -> str:
    tests = json.loads(data_file(name).read_text(encoding="utf-8"))
    key = next(iter(tests))
    return json.dumps({key: tests[key]})


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [place for key, child in children for place in ((*at, key), *places(child, (*at, key)))]


@st.composite
def damaged(draw: st.DrawFn, text: str) -> Any:
    value = json.loads(text)
    place = draw(st.sampled_from(places(value)))
    target = value
    for key in place[:-1]:
        target = target[key]
    if draw(st.booleans()) and isinstance(target, dict):
        del target[place[-1]]
    else:
        target[place[-1]] = draw(WRONG)
    return value


QUICK = settings(
    max_examples=samples(150), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.slow
@QUICK
@given(data=st.data())
def test_damaged_state_test_ends_in_a_record(data: st.DataObject, tmp_path: Path) -> None:
    tests = data.draw(damaged(example(data.draw(st.sampled_from([ACCESS_LIST_EXAMPLE, SET_CODE])))))
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(tests), encoding="utf-8")
    for record in run_file(path):
        assert record["pass"] is (record["error"] == "")


@pytest.mark.slow
@QUICK
@given(data=st.data())
def test_damaged_transition_is_run_or_refused_as_invalid(data: st.DataObject) -> None:
    (test,) = json.loads(example(ACCESS_LIST_EXAMPLE)).values()
    fields = test["transaction"]
    made = {
        "type": "0x1", "chainId": "0x1", "nonce": fields["nonce"], "to": fields["to"], "value": fields["value"][0],
        "input": fields["data"][0], "gas": fields["gasLimit"][0], "gasPrice": fields["gasPrice"],
        "secretKey": fields["secretKey"], "accessList": fields["accessLists"][0],
    }  # fmt: skip
    env = {
        **test["env"], "currentDifficulty": "0x0", "currentRandom": "0x0", "blockHashes": {"0x0": "0x" + "11" * 32},
        "withdrawals": [], "parentBeaconBlockRoot": "0x" + "00" * 32,
        "ommers": [{"delta": 1, "address": "0x" + "22" * 20}],
    }  # fmt: skip
    parts = data.draw(damaged(json.dumps({"alloc": test["pre"], "env": env, "txs": [made]})))
    with suppress(InvalidInput):
        done = transition(parts.get("alloc"), parts.get("env"), parts.get("txs"), "Prague")
        assert done.result["stateRoot"].startswith("0x")


@pytest.mark.slow
@QUICK
@given(data=st.data())
def test_damaged_blockchain_test_ends_in_a_record(data: st.DataObject, tmp_path: Path) -> None:
    tests = json.loads(gzip.decompress(BLOCKTESTS.read_bytes()))
    name = data.draw(st.sampled_from(sorted(tests)))
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(data.draw(damaged(json.dumps({name: tests[name]})))), encoding="utf-8")
    for record in blocktest.run_file(path):
        assert record["pass"] is (record["error"] == "")


@pytest.mark.parametrize("run", [run_file, blocktest.run_file])
def test_compressed_fixture_is_named_as_such(run: Callable[[Path], list[dict[str, Any]]]) -> None:
    (record,) = run(BLOCKTESTS)
    assert "is compressed with gzip, expected JSON" in record["error"]


def test_fixture_of_the_other_kind_names_its_command(tmp_path: Path) -> None:
    chain = tmp_path / "chain.json"
    name, test = next(iter(json.loads(gzip.decompress(BLOCKTESTS.read_bytes())).items()))
    chain.write_text(json.dumps({name: test}), encoding="utf-8")
    state = Path(data_file(ACCESS_LIST_EXAMPLE))
    for run, path, other in ((run_file, chain, "blocktest"), (blocktest.run_file, state, "statetest")):
        assert f"with `hypervisor {other}`" in run(path)[0]["error"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a":', "is not valid JSON"),
        pytest.param("[" * 200_000, "is not valid JSON", id="deep"),
        ("{}", "expected an array"),
        ("[1]", "item 0' is 1, expected an object"),
        ('[{"name": "a"}]', "KeyError"),
        ('[{"name": "a", "pre": 3}]', "TypeError"),
    ],
)
def test_file_that_holds_no_fevm_cases_fails_in_words(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    (record,) = fevm.run_file(path, data_file("bundles/v18-devnet.car"), "py-evm")
    assert not record["pass"]
    assert words in record["error"]


CASES = ethereum_cases("blocktests")


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
@pytest.mark.parametrize("name", CASES)
def test_chain_that_geth_accepts_passes(name: str, evm: str) -> None:
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
def test_difference_is_named_with_its_block(change: Callable[[dict[str, Any]], None], words: str) -> None:
    test = copy.deepcopy(CASES["London chain"])
    change(test)
    assert run_test(test).startswith(words)


def test_invalid_block_leaves_no_state() -> None:
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
def test_unknown_network_or_form_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
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
def test_network_names_its_forks(network: str, number: int, timestamp: int, work: int, fork: str) -> None:
    assert schedule_of(network).fork_at(number, timestamp, work).name == fork


def test_former_exception_names_match_current_ones() -> None:
    assert matches(["INTRINSIC_GAS_TOO_LOW"], "TR_IntrinsicGas")
    assert matches(["INVALID_GAS_USED"], "TransactionException.X|BlockException.INVALID_GAS_USED")
    assert matches(["RLP_STRUCTURES_ENCODING"], "BlockException.RLP_INVALID_ADDRESS")
    assert not matches(["INVALID_GASLIMIT"], "BlockException.RLP_INVALID_ADDRESS")
    assert not matches(["NONCE_IS_MAX"], "TR_NonceTooLow")


@pytest.mark.slow
def test_command_reports_each_test_and_the_forks(tmp_path: Path) -> None:
    chains = {name: CASES[name] for name in ("Frontier chain", "EIP158ToByzantiumAt5 chain")}
    broken = {**CASES["Osaka chain"], "lastblockhash": "0x" + "00" * 32}
    (tmp_path / "chains.json").write_text(json.dumps({**chains, "broken": broken}), encoding="utf-8")
    done = command.run_program("blocktest", "--json", "--workers", "1", tmp_path)
    assert done.returncode == 1
    assert [json.loads(line)["pass"] for line in done.stdout.splitlines()] == [True, True, False]
    assert "EIP158ToByzantiumAt5: 1 passed, 0 failed" in done.stderr
    alone = command.run_program("blocktest", "--fork", "frontier", tmp_path)
    assert (alone.returncode, alone.stderr.count("passed")) == (0, 2)
    assert "network 'Fronter' is not known" in command.run_program("blocktest", "--fork", "Fronter", tmp_path).stderr

"""State tests and transitions with a defect at any place: an error message or a failed case, but no crash."""

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fvm_hypervisor.laboratory.vectors import blocktest, fevm
from fvm_hypervisor.laboratory.vectors.statetest import run_file
from fvm_hypervisor.laboratory.vectors.t8n import transition
from hypervisor.errors import InvalidInput
from tests.conftest import data_file, samples

ACCESS_LIST_EXAMPLE = "vectors/GeneralStateTests/stExample/accessListExample.json"
BLOCKTESTS = Path(__file__).parents[1] / "golden" / "ethereum" / "blocktests.json.gz"
SET_CODE = "vectors/state_tests/prague/eip7702_set_code_tx/test_double_auth.json"

WRONG = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 1 << 70), st.text(max_size=5), st.just([]), st.just({}), st.just([None]),
    st.sampled_from(["0x", "0xzz", "0x" + "ff" * 40, "-1", "0x1_0", "0x" + "00" * 20, "0x" + "11" * 32]),
)  # fmt: skip


@cache
def example(name: str) -> str:
    """Return the first test of a file as JSON."""
    tests = json.loads(data_file(name).read_text(encoding="utf-8"))
    key = next(iter(tests))
    return json.dumps({key: tests[key]})


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every place in a JSON value below its top."""
    children = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [place for key, child in children for place in ((*at, key), *places(child, (*at, key)))]


@st.composite
def damaged(draw: st.DrawFn, text: str) -> Any:
    """Return the value with one place replaced or removed."""
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
def test_a_damaged_state_test_ends_in_a_record(data: st.DataObject, tmp_path: Path) -> None:
    tests = data.draw(damaged(example(data.draw(st.sampled_from([ACCESS_LIST_EXAMPLE, SET_CODE])))))
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(tests), encoding="utf-8")
    for record in run_file(path):
        assert record["pass"] is (record["error"] == "")


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
def test_a_damaged_blockchain_test_ends_in_a_record(data: st.DataObject, tmp_path: Path) -> None:
    tests = json.loads(gzip.decompress(BLOCKTESTS.read_bytes()))
    name = data.draw(st.sampled_from(sorted(tests)))
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(data.draw(damaged(json.dumps({name: tests[name]})))), encoding="utf-8")
    for record in blocktest.run_file(path):
        assert record["pass"] is (record["error"] == "")


@pytest.mark.parametrize("run", [run_file, blocktest.run_file])
def test_a_compressed_fixture_is_named_as_such(run: Callable[[Path], list[dict[str, Any]]]) -> None:
    (record,) = run(BLOCKTESTS)
    assert "is compressed with gzip, expected JSON" in record["error"]


def test_a_fixture_of_the_other_kind_names_its_command(tmp_path: Path) -> None:
    chain = tmp_path / "chain.json"
    name, test = next(iter(json.loads(gzip.decompress(BLOCKTESTS.read_bytes())).items()))
    chain.write_text(json.dumps({name: test}), encoding="utf-8")
    state = Path(data_file(ACCESS_LIST_EXAMPLE))
    for run, path, command in ((run_file, chain, "blocktest"), (blocktest.run_file, state, "statetest")):
        assert f"with `hypervisor {command}`" in run(path)[0]["error"]


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
def test_a_file_that_holds_no_fevm_cases_fails_in_words(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    (record,) = fevm.run_file(path, data_file("bundles/v18-devnet.car"), "py-evm")
    assert not record["pass"]
    assert words in record["error"]

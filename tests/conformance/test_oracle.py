"""Comparisons with the reference implementation.

- Comparison with the reference: selection of vectors, descriptions of differences, and missing prerequisites.
- Comparison by random syscalls, with this machine in place of the reference: detected differences and their texts.
- Comparison by whole messages, with this machine in place of the reference, and with the reference itself.
"""

import base64
import copy
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hypervisor import Address, Message
from hypervisor.types import Gas, MethodNumber
from hypervisor_tools.laboratory.vectors.conformance import VectorResult, run_vector
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from store.cid import show
from tests.conformance import oracle_diff, oracle_fuzz, oracle_messages
from tests.conformance.oracle_diff import NOT_RUN, CannotRun, Vectors, by_id, differences, main, sample
from tests.conformance.oracle_fuzz import changed, probes
from tests.conformance.oracle_messages import (
    Answers,
    Reference,
    Run,
    Tally,
    answered_cases,
    smaller,
    vector_of,
)
from tests.conformance.random_messages import RELAY, Relayed
from tests.conftest import bundle_folder, data_file
from tests.golden_cases import MESSAGE_FILES
from tests.harness.recorded import RunRecord
from tests.harness.reference import cached_program
from tests.hypervisor.builtin_actors.people import ALICE


def files() -> list[Vectors]:
    return [by_id(path) for path in MESSAGE_FILES]


@pytest.mark.slow
def test_sample_spans_all_files_and_is_deterministic_per_seed() -> None:
    chosen = sample(files(), 20, 1)
    assert len(chosen) == 20
    assert {name.partition("/")[0] for name in chosen} == {path.name.split(".")[0] for path in MESSAGE_FILES}
    assert list(sample(files(), 20, 1)) == list(chosen)
    assert list(sample(files(), 20, 2)) != list(chosen)


@pytest.mark.slow
def test_one_gas_of_difference_is_named_with_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    def altered(wanted: Vectors) -> Vectors:
        made = copy.deepcopy(wanted)
        vector = next(one for one in made.values() if "postconditions" in one)
        vector["postconditions"]["receipts"][0]["gas_used"] += 1
        return made

    monkeypatch.setattr(sys, "argv", ["oracle-diff"])
    monkeypatch.setattr(oracle_diff, "make_again", lambda wanted: wanted)
    assert main() == 0
    assert "20 of 20 golden vectors made again are equal" in capsys.readouterr().out
    monkeypatch.setattr(oracle_diff, "make_again", altered)
    assert main() == 1
    out = capsys.readouterr().out
    assert "vector.postconditions.receipts[0].gas_used is " in out
    assert "19 of 20 golden vectors made again are equal" in out


@pytest.mark.slow
def test_a_vector_that_is_not_made_any_more_differs() -> None:
    (vector, *_) = sample(files(), 1, 1).values()
    assert next(differences({}, vector)).startswith("vector._meta")


@pytest.mark.slow
def test_missing_rust_is_reported_as_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["oracle-diff"])
    (tmp_path / "bundles").mkdir()
    monkeypatch.setattr(oracle_diff, "fvm_data", lambda: tmp_path)
    assert main() == NOT_RUN
    assert capsys.readouterr().out.startswith("NOT RUN: cargo was not found")
    monkeypatch.setattr(oracle_diff, "fvm_data", lambda: None)
    assert main() == NOT_RUN
    assert capsys.readouterr().out.startswith("NOT RUN: the official bundles are missing")


def as_printed(result: VectorResult) -> str:
    """Return a result in the output format of `oracle run`."""
    receipts = [
        {
            "exit_code": got.exit_code,
            "return": base64.b64encode(got.return_data).decode(),
            "gas_used": got.gas_used,
            "events_root": {"/": show(got.events_root)} if got.events_root else None,
            "penalty": str(got.penalty),
        }
        for got, _ in result.receipts
    ]
    after = {"receipts": receipts, "state_tree": {"root_cid": {"/": show(result.state_root)}}}
    return json.dumps({"id": f"{result.vector}:{result.variant}", "postconditions": after})


@pytest.fixture
def oracle_copies_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the oracle return this machine's results."""
    asking = oracle_fuzz.machine

    def answer(_command: str, path: str) -> str:
        monkeypatch.setattr(oracle_fuzz, "run_vector", lambda *_: run_vector(Path(path), BundleFolder(bundle_folder())))
        lines = [as_printed(result) for result in asking([])]
        monkeypatch.setattr(oracle_fuzz, "run_vector", run_vector)
        return "\n".join(lines)

    monkeypatch.setattr(oracle_fuzz, "oracle", answer)
    monkeypatch.setattr(oracle_fuzz, "IN_A_MESSAGE", 40)
    monkeypatch.setattr(oracle_fuzz, "VERSIONS", (21, 28))
    monkeypatch.setattr(sys, "argv", ["oracle-fuzz", "--count", "160"])


@pytest.mark.slow
@pytest.mark.usefixtures("oracle_copies_machine")
def test_equal_answers_have_no_difference(capsys: pytest.CaptureFixture[str]) -> None:
    assert oracle_fuzz.main() == 0
    assert "160 syscalls in 4 messages, 4 of them to the end: 0 differences" in capsys.readouterr().out


@pytest.mark.slow
def test_missing_oracle_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def lacking(*_: str) -> str:
        raise CannotRun("there is no Rust here")

    monkeypatch.setattr(oracle_fuzz, "oracle", lacking)
    monkeypatch.setattr(sys, "argv", ["oracle-fuzz"])
    assert oracle_fuzz.main() == NOT_RUN
    assert capsys.readouterr().out == "NOT RUN: there is no Rust here\n"


@pytest.mark.parametrize("make", [lambda chance: next(probes(chance)), lambda chance: changed(chance, b"some bytes")])
def test_a_seed_makes_the_same_again(make: Callable[[Random], object]) -> None:
    assert [make(Random(seed)) for seed in range(20)] == [make(Random(seed)) for seed in range(20)]


VERSIONS = (21, 28)


class StandIn:
    """This machine in place of the reference: executes each variant of the written vector on a fresh machine."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "asked.json"
        self.wrong: dict[str, Any] = {}
        """Replacements for fields of the last receipt of each variant."""

    def ask(self, vector: Mapping[str, Any]) -> None:
        variants = [{**one, "postconditions": _nothing(one)} for one in vector["preconditions"]["variants"]]
        asked = {**vector, "preconditions": {**vector["preconditions"], "variants": variants}}
        self._file.write_text(json.dumps(asked), encoding="utf-8")

    def answers(self) -> list[Answers]:
        return [self._answer(result) for result in run_vector(self._file, BundleFolder(bundle_folder()))]

    def _answer(self, result: VectorResult) -> Answers:
        receipts = [
            {"refused": True} if got.exit_code == -1 else {
                "exit_code": got.exit_code, "gas_used": got.gas_used,
                "return": base64.b64encode(got.return_data).decode(),
                "events_root": {"/": show(got.events_root)} if got.events_root else None, "penalty": str(got.penalty),
            }
            for got, _ in result.receipts
        ]  # fmt: skip
        receipts[-1].update(self.wrong)
        return {"receipts": receipts, "state_tree": {"root_cid": {"/": show(result.state_root)}}}


def _nothing(variant: Mapping[str, Any]) -> Answers:
    empty = {"exit_code": 0, "return": "", "gas_used": 0, "events_root": None, "penalty": "0"}
    root = {"/": "bafy2bzaceahdlv3m7h3ozwlwyyv7xoqo2ysalsg3mgz5vqlb4pvlnrdybmkfk"}
    return {"receipts": [empty for _ in variant["apply_messages"]], "state_tree": {"root_cid": root}}


@pytest.fixture(scope="module")
def run() -> Run:
    """Return a run in which both machines are this one, at two network versions."""
    data_file("bundles")
    return Run(StandIn(Path()), VERSIONS)


@pytest.fixture
def stand_in(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setattr(oracle_messages, "FOUND", tmp_path / "found")
    monkeypatch.setattr(oracle_messages, "SEQUENCES", 8)
    stand_in = StandIn(tmp_path)
    run.reference = stand_in
    return stand_in


@pytest.mark.slow
@pytest.mark.usefixtures("stand_in")
def test_equal_results_are_counted_without_findings(run: Run) -> None:
    tally = Tally()
    run.messages(120, 1, tally)
    assert tally.findings == []
    assert tally.messages >= 120
    assert {*tally.versions} == {"nv21", "nv28"}
    assert tally.succeeded > tally.messages / 3
    assert tally.roots >= 16
    assert {0, 7} < {*tally.exit_codes}


@pytest.mark.slow
def test_a_difference_is_made_small_and_written_as_a_vector(run: Run, stand_in: StandIn) -> None:
    (case, _), *_ = answered_cases(run.ground(28), "1:1")
    stand_in.wrong = {"exit_code": 77}
    words = run.finding(case, [])
    assert "message 0: exit_code" in words
    assert "of the reference 77" in words
    (file,) = oracle_messages.FOUND.glob("*.json")
    vector = json.loads(file.read_text(encoding="utf-8"))
    (variant,) = vector["preconditions"]["variants"]
    assert len(variant["apply_messages"]) == 1 <= len(case.messages)
    assert variant["postconditions"]["receipts"][0]["exit_code"] == 77
    assert len(vector["car"]) < len(vector_of([case], "whole")["car"]) / 2


@pytest.mark.slow
def test_reduced_case_keeps_messages_needed_for_difference(run: Run) -> None:
    case = max((case for case, _ in answered_cases(run.ground(28), "1:2")), key=lambda one: len(one.messages))
    wanted = case.messages[1]
    small = smaller(case, lambda one: wanted in one.messages and not {*case.actors()} - {*one.actors()})
    assert small.messages == (wanted,)
    assert small.actors() == case.actors()


@pytest.mark.slow
def test_difference_only_on_used_machine_is_reported_as_such(run: Run, stand_in: StandIn) -> None:
    (case, _), *_ = answered_cases(run.ground(21), "1:3")
    assert not stand_in.wrong
    assert (
        run.finding(case, ["message 0: gas"]) == f"{case.name} differs only after others on its state: message 0: gas"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("stand_in")
def test_a_seed_draws_the_same_again(run: Run) -> None:
    first, again = (answered_cases(run.ground(28), "5:5") for _ in range(2))
    assert [case.messages for case, _ in first] == [case.messages for case, _ in again]
    assert [results for _, results in first] == [results for _, results in again]
    other = answered_cases(run.ground(28), "5:6")
    assert [case.messages for case, _ in other] != [case.messages for case, _ in first]


@pytest.mark.slow
@pytest.mark.usefixtures("stand_in")
def test_relay_makes_requested_call(run: Run) -> None:
    """The return value begins with the send's error number, followed by the callee's exit code."""
    machine = run.ground(28).world(Random(1), 0).machine
    counter = run.ground(28).places["counter"]
    for asked, error, code in (
        (Relayed(ALICE.to_bytes(), value=5), 0, 0),
        (Relayed(ALICE.to_bytes(), value=10**19), 5, 0),
        (Relayed(counter.to_bytes(), 99), 0, 22),
        (Relayed(Address.id(5000).to_bytes(), 2), 6, 0),
    ):
        message = Message(
            Address.id(RELAY), ALICE, method=MethodNumber(2), params=asked.encode(), gas_limit=Gas(10**10)
        )
        result = machine.apply_implicit(message).return_data
        assert (int.from_bytes(result[:4], "little"), int.from_bytes(result[8:12], "little")) == (error, code)


def test_missing_oracle_is_reported_for_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking() -> Reference:
        raise CannotRun("there is no Rust here")

    monkeypatch.setattr(oracle_messages, "Reference", lacking)
    monkeypatch.setattr(sys, "argv", ["oracle-messages"])
    assert oracle_messages.main() == NOT_RUN
    assert capsys.readouterr().out == "NOT RUN: there is no Rust here\n"


@pytest.mark.oracle
def test_the_reference_answers_a_short_run_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs only if tests/oracle is built, which takes minutes: `make oracle` builds it."""
    if not cached_program().exists():
        pytest.skip("tests/oracle is not built: `make oracle` builds it")
    file = tmp_path / "record.json"
    monkeypatch.setattr(sys, "argv", ["oracle-messages", "--count", "500", "--seed", "7", "--record", str(file)])
    monkeypatch.setattr("tests.harness.recorded._module", lambda: "tests.conformance.oracle_messages")
    if oracle_messages.main() == NOT_RUN:
        pytest.skip("there is no Rust here, or no official bundles")
    assert RunRecord.read(file).problems() == []

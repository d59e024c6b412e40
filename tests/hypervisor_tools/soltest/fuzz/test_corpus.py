"""Corpora: inputs that reach new edges are stored in forge's format, run again, and mutated."""

import gzip
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.results import BlockDelay, CaseStatus, TestResult
from hypervisor_tools.soltest.execution.values import Dictionary, packed_words
from hypervisor_tools.soltest.fuzz.corpus import CorpusFolder
from hypervisor_tools.soltest.fuzz.stored_failures import StoredCall
from hypervisor_tools.soltest.project.project import (
    CorpusSettings,
    FuzzSettings,
    InvariantSettings,
    Project,
    load_project,
)
from hypervisor_tools.soltest.report.report import lines_of
from tests.hypervisor_tools.soltest.contracts import artifact, assembled, call_of_cheatcode, counting_suite, runtime
from tests.hypervisor_tools.soltest.drawing import Drawing

Run = Callable[..., dict[str, dict[str, TestResult]]]

OF_FORGE = (
    '[{"sender":"0x1804c8ab1f12e6bbf3894d4083f33e07309d1f38","target":"0x7fa9385be102ac3eac297483dd6233d62b3e1496",'
    '"calldata":"0xCALLDATA"}]'
)
"""A file written by forge."""
NAME_OF_FORGE = "3eaec691-9b34-4ad2-af22-6e37893ee21b-1795379846.json"
NESTED = "testFuzz(uint8,uint8,uint8)"
BLIND = FuzzSettings(runs=5000, seed=3, dictionary_weight=0)
GUIDED = replace(BLIND, corpus_dir="cache/corpus")


def nested() -> list[str]:
    """Return a body that fails for the bytes 0x9b, 0x3d, 0x67: by chance once in 16 million runs.

    Found byte by byte, it takes some thousand runs.
    """
    body: list[str] = []
    for place, byte in ((4, "9b"), (36, "3d"), (68, "67")):
        body += [f"60{place:02x}35", f"60{byte}", "14", f"@more{place}", "57", "00", f"more{place}:"]
    return [*body, "5f5ffd"]


def stored_inputs(root: Path, contract: str = "Suite", test: str = "testFuzz") -> list[Path]:
    return sorted((root / "cache" / "corpus" / contract / test / "worker0" / "corpus").glob("*"))


@pytest.mark.slow
def test_corpus_guided_fuzzing_finds_nested_bytes_blind_misses(run_contracts: Run, tmp_path: Path) -> None:
    def found(settings: FuzzSettings) -> TestResult:
        project = Project(tmp_path, fuzz=settings)
        return run_contracts({"Suite": {NESTED: nested()}}, project=project, evm="fast", seed=2)["Suite"][NESTED]

    chance = found(BLIND)
    assert (chance.status, chance.runs) == (CaseStatus.SUCCESS, 5000)
    assert not (tmp_path / "cache").exists()
    guided = found(GUIDED)
    assert guided.status is CaseStatus.FAILURE
    assert guided.counterexample[0].arguments == "155, 61, 103"
    assert 3 <= len(stored_inputs(tmp_path)) <= 8
    again = found(GUIDED)  # one of the stored inputs is that one
    assert (again.status, again.runs) == (CaseStatus.FAILURE, 0)


@pytest.mark.slow
@pytest.mark.parametrize("report", ["coverage", "coverage-by-test"])
def test_corpus_grows_with_a_report_that_traces_each_instruction(
    run_contracts: Run, tmp_path: Path, report: str
) -> None:
    stored = []
    for evm in ("fast", "py-evm"):
        project = Project(tmp_path / evm, fuzz=replace(GUIDED, runs=1500))
        run_contracts({"Suite": {NESTED: nested()}}, project=project, evm=evm, seed=2, report=report)
        stored.append(len(stored_inputs(tmp_path / evm)))
    assert stored[0] == stored[1] > 1


ASKS_POWER = [
    # DELEGATECALL of call_actor_by_id: method is the argument or 2^24, no parameters, actor 4
    "600435", "6301000000", "17", "5f52", "60c0608052", "600460a052",
    "5f5f60e05f", f"73fe{'00' * 18}05", "5a", "f4", "50", "00",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
def test_corpus_has_inputs_that_reach_new_code_of_actors_only(run_contracts: Run, tmp_path: Path, rules: str) -> None:
    """The actor compares the number of an unknown method with those of its own; the contract does not see it."""
    project = Project(tmp_path, fuzz=replace(GUIDED, runs=40))
    run_contracts({"Suite": {"testFuzz(uint64)": ASKS_POWER}}, project=project, rules=rules, seed=2)
    assert len(stored_inputs(tmp_path)) > 1


def with_argument() -> dict[str, Any]:
    """Return a contract whose constructor sets its argument as an immutable, and jumps."""
    code = runtime({"value()": [f"7f{bytes(32).hex()}", "5f5260205ff3"]})
    place, size, begin = code.index(bytes(32)), len(code), 30
    copies = [f"61{size:04x}", f"61{begin:04x}", "5f39", "6020", f"61{begin + size:04x}", f"61{place:04x}", "39"]
    head = assembled(["6001", "@on", "57", "fe", "on:", *copies, f"61{size:04x}", "5ff3"])
    assert len(head) == begin
    return {
        "abi": [],
        "bytecode": {"object": (head + code).hex()},
        "deployedBytecode": {"object": code.hex(), "immutableReferences": {"7": [{"start": place, "length": 32}]}},
    }


def creating(made: dict[str, Any]) -> list[str]:
    """Return code for `new C(x).value()` with the test's first argument."""
    init_code = bytes.fromhex(made["bytecode"]["object"])
    words = [init_code[at : at + 32].ljust(32, b"\0") for at in range(0, len(init_code), 32)]
    stores = [f"7f{word.hex()}61{32 * place:04x}52" for place, word in enumerate(words)]
    create = f"60043561{len(init_code):04x}5261{len(init_code) + 32:04x}5f5ff0"
    return [*stores, create, f"63{selector('value()').hex()}60e01b5f52", "60205f60045f5f855af150", "00"]


@pytest.mark.parametrize("known", [True, False])
def test_constructor_arguments_add_no_edges(run_contracts: Run, tmp_path: Path, known: bool) -> None:
    made, test = with_argument(), "testFuzz(uint256)"
    contracts = {"Suite": {test: creating(made)}} | ({"Made": made} if known else {})
    project = Project(tmp_path, fuzz=replace(GUIDED, runs=60, show_edge_coverage=True))
    found = run_contracts(contracts, project=project, evm="fast")["Suite"][test]
    assert found.status is CaseStatus.SUCCESS
    # the dispatchers of both contracts and the constructor, each with one jump; unknown code is one
    assert found.edges is not None
    assert found.edges[::2] == (3, 1)
    assert len(stored_inputs(tmp_path)) == 1


@pytest.mark.slow
def test_many_deployments_store_no_inputs(run_contracts: Run, tmp_path: Path) -> None:
    """Each run creates two new codes: init code with the argument, and the contract."""
    made, test = with_argument(), "testFuzz(uint8)"
    contracts = {"Suite": {test: creating(made)}, "Made": made}
    project = Project(tmp_path, fuzz=replace(GUIDED, runs=600))
    found = run_contracts(contracts, project=project, evm="fast")["Suite"][test]
    assert (found.status, found.runs) == (CaseStatus.SUCCESS, 600)
    assert len(stored_inputs(tmp_path)) <= 2  # a contract is not recorded in the call that creates it


@pytest.mark.slow
def test_stored_failure_that_passes_runs_before_corpus(run_contracts: Run, tmp_path: Path) -> None:
    calldata = selector(NESTED) + bytes(96)
    file = tmp_path / "cache" / "fuzz" / "failures" / "Suite" / "testFuzz"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"calldata": f"0x{calldata.hex()}"}), encoding="utf-8")
    project = Project(tmp_path, fuzz=GUIDED)
    found = run_contracts({"Suite": {NESTED: nested()}}, project=project, evm="fast", seed=2)["Suite"][NESTED]
    assert (found.status, found.counterexample[0].arguments) == (CaseStatus.FAILURE, "155, 61, 103")
    assert found.gases[0] == min(found.gases)  # the stored input, which ends at the first comparison
    assert stored_inputs(tmp_path)


@pytest.mark.slow
def test_the_seed_and_the_folder_decide_every_run(run_contracts: Run, tmp_path: Path) -> None:
    ends = []
    for name in ("one", "two"):
        project = Project(tmp_path, fuzz=replace(GUIDED, runs=300, corpus_dir=f"cache/{name}/corpus"))
        found = run_contracts({"Suite": {NESTED: nested()}}, project=project, evm="fast")["Suite"][NESTED]
        names = sorted(file.name[:36] for file in (tmp_path / "cache" / name).rglob("*.json"))
        ends.append((found.status, found.gases, names))
    assert ends[0] == ends[1]
    assert ends[0][2]


@pytest.mark.parametrize("kind", ["fuzz", "invariant"])
def test_corpora_of_both_engines_are_equal(run_contracts: Run, tmp_path: Path, kind: str) -> None:
    counter = artifact(
        {
            "put(uint256)": ["600435601f16", "600101", "again:", "6001900380", "@again", "57", "5f546001015f5500"],
            "count()": ["5f545f5260205ff3"],
        }
    )
    contracts = {"Suite": {NESTED: nested()}} if kind == "fuzz" else {
        "Suite": counting_suite(counter, "6001"), "Counter": counter
    }  # fmt: skip
    ends = []
    for name in ("fast", "py-evm"):
        invariant = InvariantSettings(runs=4, depth=15, corpus_dir=name)
        project = Project(tmp_path, fuzz=replace(GUIDED, runs=60, corpus_dir=name), invariant=invariant)
        run_contracts(contracts, project=project, evm=name)
        ends.append(sorted(file.name[:36] for file in (tmp_path / name).rglob("*.json")))
    assert ends[0] == ends[1]
    assert ends[0]


def test_show_edge_coverage_alone_reports_edges(run_contracts: Run, tmp_path: Path) -> None:
    project = Project(tmp_path, fuzz=replace(BLIND, runs=50, show_edge_coverage=True))
    test = run_contracts({"Suite": {NESTED: nested()}}, project=project, evm="fast")["Suite"][NESTED]
    assert test.edges is not None
    count, features, inputs = test.edges
    assert 0 < count <= features
    assert inputs == 0
    assert f"Edge coverage: {count} edges, {features} features, 0 inputs in the corpus" in list(lines_of(test))
    assert not (tmp_path / "cache").exists()


def test_an_input_of_forges_corpus_is_run_first(run_contracts: Run, tmp_path: Path) -> None:
    calldata = (selector(NESTED) + b"".join(byte.to_bytes(32, "big") for byte in (0x9B, 0x3D, 0x67))).hex()
    place = tmp_path / "cache" / "corpus" / "Suite" / "testFuzz" / "worker3" / "corpus" / NAME_OF_FORGE
    place.parent.mkdir(parents=True)
    place.write_text(OF_FORGE.replace("CALLDATA", calldata), encoding="utf-8")
    project = Project(tmp_path, fuzz=GUIDED)
    test = run_contracts({"Suite": {NESTED: nested()}}, project=project, evm="fast")["Suite"][NESTED]
    assert (test.status, test.runs, test.counterexample[0].arguments) == (CaseStatus.FAILURE, 0, "155, 61, 103")


def test_files_are_of_forges_form(run_contracts: Run, tmp_path: Path) -> None:
    run_contracts({"Suite": {NESTED: nested()}}, project=Project(tmp_path, fuzz=replace(GUIDED, runs=20)), evm="fast")
    files = stored_inputs(tmp_path)
    assert files
    for file in files:
        assert re.fullmatch(
            r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}-\d{10}\.json", file.name
        )
        (row,) = json.loads(file.read_text(encoding="utf-8"))
        (model,) = json.loads(OF_FORGE)
        assert list(row) == list(model)
        assert (row["sender"], row["target"]) == (model["sender"], model["target"])
        assert row["calldata"].startswith(f"0x{selector(NESTED).hex()}")


def calls(count: int) -> list[StoredCall]:
    return [
        StoredCall(b"\x11" * 20, b"\x22" * 20, bytes([number]) * 40, BlockDelay(number, 2 * number))
        for number in range(count)
    ]


@pytest.mark.parametrize(("count", "gzips", "suffix"), [(5, True, ".json"), (60, True, ".gz"), (60, False, ".json")])
def test_long_inputs_are_compressed_unless_they_shall_not(tmp_path: Path, count: int, gzips: bool, suffix: str) -> None:
    settings = CorpusSettings(corpus_dir="corpus", corpus_gzip=gzips)
    CorpusFolder(tmp_path, settings, "A", "testA(uint8)").write(calls(count))
    (file,) = (tmp_path / "corpus" / "A" / "testA" / "worker0" / "corpus").iterdir()
    assert file.suffix == suffix
    assert list(CorpusFolder(tmp_path, settings, "A", "testA(uint8)").read()) == [tuple(calls(count))]
    CorpusFolder(tmp_path, settings, "A", "testA(uint8)").write(calls(count))  # files count only if read


LONG_DELAY = "`warp` or `roll` of call 1 is not a number below 2^64 in hex"
ROW = {"sender": f"0x{'11' * 20}", "target": f"0x{'22' * 20}", "calldata": "0x01020304"}


@pytest.mark.parametrize(
    ("name", "rows", "defect"),
    [(NAME_OF_FORGE, "garbage{", "it is not valid JSON"),
     (NAME_OF_FORGE, [], "it is not a list of calls"),
     (NAME_OF_FORGE, [ROW, 1], "it is not a list of calls"),
     (NAME_OF_FORGE, [ROW, {**ROW, "sender": "0x11"}], "`sender` of call 2 is not an address of 20 bytes in hex"),
     (NAME_OF_FORGE, [{**ROW, "target": 5}], "`target` of call 1 is not an address of 20 bytes in hex"),
     (NAME_OF_FORGE, [{**ROW, "calldata": "0x1g"}], "`calldata` of call 1 is not bytes in hex"),
     (NAME_OF_FORGE, [{**ROW, "warp": 5}], LONG_DELAY),
     (NAME_OF_FORGE, [{**ROW, "roll": hex(1 << 64)}], LONG_DELAY),
     (f"{NAME_OF_FORGE}.gz", [ROW], "it is not a valid gzip file")],
)  # fmt: skip
def test_a_damaged_file_gets_a_notice(tmp_path: Path, name: str, rows: Any, defect: str) -> None:
    file = tmp_path / "corpus" / "A" / "testA" / "worker0" / "corpus" / name
    file.parent.mkdir(parents=True)
    file.write_text(rows if isinstance(rows, str) else json.dumps(rows), encoding="utf-8")
    folder = CorpusFolder(tmp_path, CorpusSettings(corpus_dir="corpus"), "A", "testA(uint8)")
    assert list(folder.read()) == []
    assert folder.notices == (f"the corpus file {file} is skipped: {defect}; repair or remove it",)


def test_notices_about_damaged_files_are_limited(tmp_path: Path) -> None:
    place = tmp_path / "corpus" / "A" / "testA"
    place.mkdir(parents=True)
    for number in range(13):
        (place / NAME_OF_FORGE.replace(NAME_OF_FORGE[:4], f"{number:04x}", 1)).write_text("{", encoding="utf-8")
    folder = CorpusFolder(tmp_path, CorpusSettings(corpus_dir="corpus"), "A", "testA(uint8)")
    assert list(folder.read()) == []
    assert len(folder.notices) == 11
    assert folder.notices[-1] == f"3 more corpus files in {place} are damaged"


def test_results_have_the_notices_of_the_corpus(run_contracts: Run, tmp_path: Path) -> None:
    place = tmp_path / "cache" / "corpus" / "Suite" / "testFuzz" / "worker0" / "corpus" / NAME_OF_FORGE
    place.parent.mkdir(parents=True)
    place.write_text("garbage{", encoding="utf-8")
    project = Project(tmp_path, fuzz=replace(GUIDED, runs=2))
    test = run_contracts({"Suite": {NESTED: nested()}}, project=project, evm="fast")["Suite"][NESTED]
    assert (test.status, test.runs) == (CaseStatus.SUCCESS, 2)
    assert test.notices == (f"the corpus file {place} is skipped: it is not valid JSON; repair or remove it",)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b'{"a": 1}', b"[" * 100_000, b'[{"sender":"0x11"}]', b"\x1f\x8b" + bytes(20),
     gzip.compress(b"[" * 30_000_000, mtime=0)],
    ids=["empty", "cut", "number", "object", "deep", "short", "no gzip", "a bomb"],
)  # fmt: skip
def test_invalid_corpus_input_is_skipped(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "corpus" / "A" / "testA" / "worker0" / "corpus"
    folder.mkdir(parents=True)
    for name in (NAME_OF_FORGE, f"{NAME_OF_FORGE}.gz", "no-name.json"):
        (folder / name).write_bytes(content)
    (folder / NAME_OF_FORGE.replace("3", "4")).symlink_to(folder / NAME_OF_FORGE)
    assert list(CorpusFolder(tmp_path, CorpusSettings(corpus_dir="corpus"), "A", "testA(uint8)").read()) == []


@pytest.mark.parametrize("section", ["fuzz", "invariant"])
def test_the_keys_are_read_and_checked(tmp_path: Path, section: str) -> None:
    file = tmp_path / "foundry.toml"
    file.write_text(
        f'[{section}]\ncorpus_dir = "c"\ncorpus_gzip = false\ncorpus_min_mutations = 7\ncorpus_min_size = 8\n'
        "show_edge_coverage = true\n",
        encoding="utf-8",
    )
    found = getattr(load_project(tmp_path), section)
    assert (found.corpus_dir, found.corpus_gzip, found.show_edge_coverage) == ("c", False, True)
    assert (found.corpus_min_mutations, found.corpus_min_size) == (7, 8)
    file.write_text(f'[{section}]\ncorpus_dir = "../c"\n', encoding="utf-8")
    with pytest.raises(InvalidInput, match=f"{section}.corpus_dir"):
        load_project(tmp_path)


def test_a_comment_before_a_test_names_its_corpus(run_contracts: Run, tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    text = (
        'contract Suite {{\n/// forge-config: default.fuzz.corpus_dir = "{}"\nfunction testFuzz(uint8) public {{}} }}'
    )
    (tmp_path / "test" / "T.t.sol").write_text(text.format("own"), encoding="utf-8")
    project = Project(tmp_path, fuzz=replace(BLIND, runs=5))
    assert run_contracts({"Suite": {"testFuzz(uint8)": ["00"]}}, project=project)
    assert list((tmp_path / "own" / "Suite" / "testFuzz").rglob("*.json"))
    (tmp_path / "test" / "T.t.sol").write_text(text.format("../own"), encoding="utf-8")
    (test,) = run_contracts({"Suite": {"testFuzz(uint8)": ["00"]}}, project=project)["Suite"].values()
    assert "leads to" in (test.reason or "")


# --- sequences --------------------------------------------------------------------------------------------------------

TAKE = "take(uint8,uint8)"


def careful() -> dict[str, Any]:
    """Return a counter that counts only if it is given both bytes."""
    body: list[str] = []
    for place, byte in ((4, "9b"), (36, "3d")):
        body += [f"60{place:02x}35", f"60{byte}", "14", f"@more{place}", "57", "00", f"more{place}:"]
    return artifact({TAKE: [*body, "60015f5500"], "count()": ["5f545f5260205ff3"]})


@pytest.mark.slow
def test_corpus_sequences_are_stored_and_replayed(run_contracts: Run, tmp_path: Path) -> None:
    contracts = {"Suite": counting_suite(careful(), "60015f5110"), "Counter": careful()}  # count() is less than 1

    def found(seed: int) -> TestResult:
        project = Project(tmp_path, invariant=InvariantSettings(runs=200, depth=10, corpus_dir="cache/corpus"))
        return run_contracts(contracts, project=project, evm="fast", seed=seed)["Suite"]["invariantFew()"]

    first = found(17)
    assert (first.status, first.runs > 0) == (CaseStatus.FAILURE, True)
    assert [step.arguments for step in first.counterexample] == ["155, 61"]
    rows = [json.loads(file.read_text(encoding="utf-8")) for file in stored_inputs(tmp_path, "Suite", "invariantFew")]
    assert {row["target"] for sequence in rows for row in sequence} == {first.counterexample[0].address.lower()}
    again = found(7)  # one of the stored sequences is that one
    assert (again.status, again.runs) == (CaseStatus.FAILURE, 0)
    assert [step.arguments for step in again.counterexample] == ["155, 61"]


def test_delays_of_stored_sequences_are_in_their_files(run_contracts: Run, tmp_path: Path) -> None:
    """The call jumps only if the timestamp is above 1,000, which no single delay below 100 leads to."""
    counter = artifact(
        {"note()": ["6103e84211", "@late", "57", "00", "late:", "60015f5500"], "count()": ["5f545f5260205ff3"]}
    )
    settings = InvariantSettings(runs=4, depth=60, max_time_delay=100, corpus_dir="cache/corpus")
    suite = {"Suite": counting_suite(counter, "60015f5110"), "Counter": counter}  # count() is less than 1
    (test,) = run_contracts(suite, project=Project(tmp_path, invariant=settings), evm="fast")["Suite"].values()
    assert test.status is CaseStatus.FAILURE
    files = stored_inputs(tmp_path, "Suite", "invariantFew")
    delays = [
        [int(call.get("warp") or "0", 16) for call in json.loads(file.read_text(encoding="utf-8"))] for file in files
    ]
    assert max(map(sum, delays)) >= 1000
    assert max(map(max, delays)) < 100


WRITE_LINE = call_of_cheatcode("writeLine(string,string)", "lines.txt", "x")
WRITABLE = (("read-write", "."),)


def test_calls_with_effects_outside_are_not_repeated_for_their_edges(run_contracts: Run, tmp_path: Path) -> None:
    """`vm.writeLine` adds one line in each run."""
    project = Project(tmp_path, fuzz=replace(GUIDED, runs=5), fs_permissions=WRITABLE)
    body = [*WRITE_LINE, "00"]
    test = run_contracts({"Suite": {"testFuzz(uint8)": body}}, project=project, evm="fast")["Suite"]["testFuzz(uint8)"]
    assert (test.status, test.runs) == (CaseStatus.SUCCESS, 5)
    assert (tmp_path / "lines.txt").read_text(encoding="utf-8") == "x\n" * 5


@pytest.mark.slow
def test_calls_with_effects_outside_guide_the_search(run_contracts: Run, tmp_path: Path) -> None:
    body = [*call_of_cheatcode("createDir(string,bool)", "made", True), *nested()]
    project = Project(tmp_path, fuzz=GUIDED, fs_permissions=WRITABLE)
    test = run_contracts({"Suite": {NESTED: body}}, project=project, evm="fast", seed=2)["Suite"][NESTED]
    assert (test.status, test.counterexample[0].arguments) == (CaseStatus.FAILURE, "155, 61, 103")


def test_edges_of_sequences_with_effects_outside_are_recorded(run_contracts: Run, tmp_path: Path) -> None:
    counter = artifact({"write()": [*WRITE_LINE, "00"], "count()": ["5f5f5260205ff3"]})
    settings = InvariantSettings(runs=2, depth=3, show_edge_coverage=True)
    project = Project(tmp_path, invariant=settings, fs_permissions=WRITABLE)
    contracts = {"Suite": counting_suite(counter, "5f5115"), "Counter": counter}
    test = run_contracts(contracts, project=project, evm="fast")["Suite"]["invariantFew()"]
    assert (test.status, test.calls) == (CaseStatus.SUCCESS, 6)
    assert test.edges is not None
    assert test.edges[0] == 5  # of the start, the functions' jump destinations, that after the cheatcode, and the end
    (writes,) = (row.calls for row in test.metrics if row.function == "write")
    assert (tmp_path / "lines.txt").read_text(encoding="utf-8") == "x\n" * writes


def test_stored_input_with_effects_outside_is_in_the_next_runs_corpus(run_contracts: Run, tmp_path: Path) -> None:
    body = {"Suite": {"testFuzz(uint8)": [*WRITE_LINE, "00"]}}
    settings = replace(GUIDED, runs=1, show_edge_coverage=True)
    project = Project(tmp_path, fuzz=settings, fs_permissions=WRITABLE)
    for _ in range(2):
        test = run_contracts(body, project=project, evm="fast")["Suite"]["testFuzz(uint8)"]
        assert test.edges is not None
        assert test.edges[2] == 1
    assert len(stored_inputs(tmp_path)) == 1


# --- mutations, by hand --------------------------------------------------------------------------------------------


KINDS = ["uint8", "int16", "bool", "address", "bytes4", "bytes", "string", "uint256[]", "uint8[3]", "bytes[][2]"]


@pytest.mark.slow
def test_changed_arguments_are_of_their_types() -> None:
    inputs: Sequence[Any] = [
        *({"name": "", "type": kind} for kind in KINDS),
        {"name": "", "type": "tuple", "components": [{"name": "", "type": "int256"}, {"name": "", "type": "string"}]},
    ]
    known = Dictionary(packed_words([7, 1 << 200]), packed_words([42]), ("text",))
    corpus = [Drawing(inputs, seed, dictionary=known).arguments() for seed in (1, 2)]
    drawing = Drawing(inputs, 3, dictionary=known, corpus=corpus)
    differing: set[int] = set()
    mutations = 0
    for _ in range(400):
        found = drawing.arguments()
        changed = min(
            ([place for place, value in enumerate(found) if value != input_[place]] for input_ in corpus), key=len
        )
        if len(changed) <= 2:
            mutations += 1
            differing.update(changed)
    assert differing == set(range(len(inputs)))
    assert 240 < mutations < 320  # 70 per cent

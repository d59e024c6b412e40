"""forge's tests and artifacts beside those of `hypervisor test`.

- Recorded results, traces and names of options of forge equal those of the installed forge.
- Recorded results of forge for tests on forks of anvil (`golden.json.xz`) equal those of the installed forge.
- forge's tests and scripts on a fork of a node: contracts run in forge, actors on the node (`FilecoinFork.sol`).
- Tests that forge and `hypervisor test` can use each other's artifacts.
- Sizes of fuzz inputs compared with forge's, by the mean gas of the tests.
- examples/solstice in Solidity: a council and the real f02, under Filecoin's rules.
"""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from hypervisor_tools.soltest.compile.compiling import compiled_sources
from hypervisor_tools.soltest.compile.solc import SolcChoice
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.project.sources import own_sources, read_sources
from localnet.fork.node_client import NodeClient, NodeError
from tests.clients.conftest import EXAMPLE, PROJECT, forge_project, installed, node_process, run, start
from tests.clients.test_foundry import KEY
from tests.docs.forge_names import names_of_program, recorded
from tests.hypervisor_tools.soltest.cheatcodes import golden as cheatcodes
from tests.hypervisor_tools.soltest.forks import chains, golden
from tests.hypervisor_tools.soltest.forks.conftest import CREATION
from tests.hypervisor_tools.soltest.golden import configuration, of_forge
from tests.hypervisor_tools.soltest.isolation import golden as isolation
from tests.hypervisor_tools.soltest.trace import golden as json_traces

pytestmark = pytest.mark.long

CONFIGURATION = configuration("""fs_permissions = [{ access = "read-write", path = "./files" }]
remappings = ["hypervisor/=hypervisor/"]
""")


def test_results_of_the_cheatcode_tests_are_those_of_forge(clients: Path, tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").write_text(CONFIGURATION, encoding="utf-8")
    shutil.copytree(cheatcodes.HERE / "contracts", tmp_path / "test")
    shutil.copytree(PROJECT / "hypervisor_tools" / "soltest" / "solidity", tmp_path / "hypervisor")
    shutil.copytree(cheatcodes.HERE / "broadcast", tmp_path / "broadcast")
    (tmp_path / "files").mkdir()
    home = tmp_path / "home"  # with no names of events of other projects
    home.mkdir()
    start(clients, "forge", "build", "--use", EXAMPLE / "solc.mjs", folder=tmp_path, HOME=str(home))  # learns names
    said: dict[str, Any] = {}
    for chosen in cheatcodes.RUNS:  # steps are recorded from -vvv on
        command = ("forge", "test", "--use", EXAMPLE / "solc.mjs", *chosen, "--json", "-vvv")
        done = start(clients, *command, folder=tmp_path, HOME=str(home))
        # each prompt without a terminal ends a line
        assert done.stdout.lstrip().startswith("{"), done.stdout + done.stderr
        said |= of_forge(json.loads(done.stdout))
    for tests in (*said.values(), *cheatcodes.GOLDEN["forge"].values()):
        for name in ("testDir()", "testMissing()", "testArtifactPaths()"):  # a path is in the words, and paths cost gas
            tests.pop(name, None)
    assert said == cheatcodes.GOLDEN["forge"]


def test_results_with_isolation_are_those_of_forge(clients: Path, tmp_path: Path) -> None:
    home = forge_project(tmp_path, isolation.CONFIGURATION, isolation.HERE / "contracts")
    command = ("forge", "test", "--use", EXAMPLE / "solc.mjs", "--json")
    tests = start(clients, *command, "-vv", folder=tmp_path, HOME=home)
    assert of_forge(json.loads(tests.stdout)) == isolation.GOLDEN["forge"]
    report = start(clients, *command, "--gas-report", "--nmt", "testFuzz", folder=tmp_path, HOME=home)
    assert isolation.gas_of_forge(json.loads(report.stdout)) == isolation.GOLDEN["gas"]


def test_recorded_traces_are_those_of_forge(clients: Path, tmp_path: Path) -> None:
    home = forge_project(tmp_path, json_traces.CONFIGURATION, json_traces.HERE / "contracts")
    done = start(
        clients, "forge", "test", "--use", EXAMPLE / "solc.mjs", "--json", "-vvvvv", folder=tmp_path, HOME=home
    )
    assert json_traces.of_forge(json.loads(done.stdout)) == json_traces.GOLDEN["forge"]


def test_recorded_names_of_options_and_keys_are_those_of_forge(clients: Path) -> None:
    found = names_of_program(str(clients / "node_modules" / ".bin" / "forge"))
    assert found == recorded(), "python -m tests.docs.forge_names FORGE > tests/docs/forge_names.toml"


@contextmanager
def anvil(clients: Path, *options: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (program,) = (clients / "node_modules" / "@foundry-rs").glob("anvil-*-*/bin/anvil*")
    process = subprocess.Popen([program, "--port", str(port), "--silent", *options])
    try:
        url, begin = f"http://127.0.0.1:{port}", monotonic()
        with NodeClient(url) as node:
            while True:
                try:
                    node.request("eth_chainId")
                    break
                except NodeError:
                    assert monotonic() - begin < 60, "anvil does not answer"
                    sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def test_forge_matches_golden_file(tmp_path: Path) -> None:
    clients = installed(PROJECT / "build" / "clients", EXAMPLE)
    home = forge_project(tmp_path, golden.CONFIGURATION, golden.HERE / "contracts")
    with anvil(clients) as first, anvil(clients, "--chain-id", "777") as second:
        hashes = chains.build(first, CREATION, 8601)
        chains.build(second, CREATION, 8602)
        around = {**chains.environment(first, hashes, second), "HOME": home}
        command = ("forge", "test", "--use", EXAMPLE / "solc.mjs", "--json", "-vv")
        options = {
            "forge": ("--nmc", "UrlTest|OwnForks|HostileFork|FilecoinFork|Tipset"),
            "url": ("--mc", "UrlTest", "--fork-url", "first"),
        }
        for name, more in options.items():
            done = start(clients, *command, *more, folder=tmp_path, **around)
            assert of_forge(json.loads(done.stdout)) == golden.GOLDEN[name]


SCRIPT = "contracts/script/Actors.s.sol"
MASKED = "0xff00000000000000000000000000000000000064"  # f0100


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with node_process(tmp_path_factory.mktemp("node")) as found:
        yield found


def forge(clients: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command, *rest = arguments
    return start(clients, "forge", command, "--use", EXAMPLE / "solc.mjs", *rest, folder=clients)


def script(clients: Path, url: str, name: str, *more: str) -> subprocess.CompletedProcess[str]:
    return forge(clients, "script", f"{SCRIPT}:{name}", "--rpc-url", url, "--private-key", KEY, "--broadcast", *more)


def results(done: subprocess.CompletedProcess[str], contract: str, file: str = "Fork") -> dict[str, str]:
    suites = json.loads(done.stdout[done.stdout.index("{") :])
    tests = suites[f"contracts/test/{file}.t.sol:{contract}"]["test_results"]
    return {name.partition("(")[0]: found["status"] for name, found in tests.items()}


def test_forges_tests_call_actors_on_the_node(clients: Path, url: str) -> None:
    before = run(clients, "cast", "block-number", "--rpc-url", url)
    found = results(forge(clients, "test", "--fork-url", url, "--match-contract", "ForkTest", "--json"), "ForkTest")
    assert len(found) == 11
    assert set(found.values()) == {"Success"}, found
    assert run(clients, "cast", "block-number", "--rpc-url", url) == before


def test_one_suite_runs_under_both_runners(clients: Path, url: str) -> None:
    both = {"test_datacap_has_its_name": "Success", "test_own_cheatcodes_are_where_the_machine_is": "Success"}
    select = ("--match-contract", "BothTest", "--json")
    assert results(forge(clients, "test", "--fork-url", url, *select), "BothTest", "Both") == both
    command = Path(sys.executable).with_name("hypervisor")
    done = start(clients, command, "test", "--use", clients / "node_modules" / "solc", *select, folder=clients)
    assert results(done, "BothTest", "Both") == both


def test_missing_fork_url_is_reported(clients: Path) -> None:
    done = forge(clients, "test", "--match-contract", "ForkTest")
    assert "0 tests passed, 1 failed" in done.stdout  # npm's forge exits with 0 all the same
    assert "FilecoinFork: vm.rpc: no active fork URL found" in done.stdout


def test_error_caught_by_contract_still_fails_test(clients: Path, url: str) -> None:
    found = results(forge(clients, "test", "--fork-url", url, "--match-contract", "Nested", "--json"), "NestedTest")
    assert found == {"test_an_actor_calls_a_contract_that_calls_an_actor": "Failure"}


def test_a_script_with_calls_of_actors_is_broadcast(clients: Path, url: str) -> None:
    before = int(run(clients, "cast", "balance", MASKED, "--rpc-url", url))
    done = script(clients, url, "UseActors", "--skip-simulation")
    assert done.returncode == 0, done.stdout + done.stderr
    record = clients / "contracts" / "broadcast" / "Actors.s.sol" / "31415926" / "run-latest.json"
    receipts = json.loads(record.read_text(encoding="utf-8"))["receipts"]
    assert [receipt["status"] for receipt in receipts] == ["0x1"] * 3
    kept = run(clients, "cast", "call", receipts[0]["contractAddress"], "kept()(string)", "--rpc-url", url)
    assert kept == '"DataCap"\n'
    assert int(run(clients, "cast", "balance", MASKED, "--rpc-url", url)) == before + 15 * 10**17


def test_forge_script_limitations_match_documentation(clients: Path, url: str) -> None:
    simulated = script(clients, url, "UseActors")
    assert "Simulated execution failed" in simulated.stdout + simulated.stderr
    alone = script(clients, url, "UseActorsAlone", "--skip-simulation")
    assert "ActorNotFound()" in alone.stdout + alone.stderr


COVERED = Path(__file__).resolve().parent / "covered"
SOURCE, TEST = "src/Till.sol", "test/Till.t.sol"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(COVERED, tmp_path / "covered"))


def add_line(file: Path) -> None:
    file.write_text(file.read_text(encoding="utf-8") + "\n// one line\n", encoding="utf-8")


def passes(clients: Path, project: Path, *options: str) -> str:
    """Return the output of `hypervisor test`, whose tests must all pass."""
    program, solc = Path(sys.executable).with_name("hypervisor"), clients / "node_modules" / "solc"
    done = start(clients, program, "test", "--use", solc, *options, folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def build(clients: Path, project: Path) -> str:
    return run(clients, "forge", "build", "--use", EXAMPLE / "solc.mjs", folder=project)


def test_forge_artifacts_of_several_runs_are_reused(clients: Path, project: Path) -> None:
    build(clients, project)
    add_line(project / TEST)
    build(clients, project)
    assert len(list((project / "out" / "build-info").iterdir())) == 2
    assert "Compiling" not in passes(clients, project)
    add_line(project / TEST)
    assert "Compiling 1 files" in passes(clients, project)
    assert "Compiling" not in passes(clients, project)


def test_forge_has_nothing_to_compile_after_hypervisor_test(clients: Path, project: Path) -> None:
    with (project / "foundry.toml").open("a", encoding="utf-8") as config:
        config.write('remappings = ["sources/=src/"]\n')
    assert "Compiling 4 files" in passes(clients, project)
    assert "No files changed, compilation skipped" in build(clients, project)
    add_line(project / TEST)
    assert "Compiling 1 files" in passes(clients, project)
    assert "Compiling" not in passes(clients, project)
    assert "No files changed, compilation skipped" in build(clients, project)
    add_line(project / SOURCE)
    assert "Compiling 2 files" in build(clients, project)
    assert "Compiling" not in passes(clients, project)


def test_partial_test_run_does_not_hide_changes_from_forge(clients: Path, project: Path) -> None:
    text = (project / TEST).read_text(encoding="utf-8")
    (project / "test" / "Other.t.sol").write_text(
        text.replace("contract TillTest", "contract OtherTest"), encoding="utf-8"
    )
    build(clients, project)
    add_line(project / SOURCE)
    assert "Compiling 2 files" in passes(clients, project, "--match-path", TEST)
    assert "Compiling 1 files" in build(clients, project)  # Other.t.sol
    assert "Compiling" not in passes(clients, project)


def test_forge_compiles_for_itself_where_its_settings_are_others(clients: Path, project: Path) -> None:
    assert "Compiling 4 files" in passes(clients, project)
    with (project / "foundry.toml").open("a", encoding="utf-8") as config:
        config.write("optimizer = true\n")
    assert "Compiling 4 files" in build(clients, project)


@pytest.mark.parametrize("via_ir", [False, True], ids=["legacy", "ir"])
def test_incremental_compilation_yields_same_code_as_full(clients: Path, project: Path, via_ir: bool) -> None:
    """The comparison includes the metadata hash at the end of the code."""
    loaded = load_project(project)
    loaded = replace(loaded, compiler=loaded.compiler._replace(optimizer=True, via_ir=via_ir))
    solc = SolcChoice(loaded, str(clients / "node_modules" / "solc")).solc()

    def codes(cache: str, lines: list[str]) -> dict[tuple[str, str], list[str]]:
        sources = read_sources(loaded, own_sources(loaded))
        found = compiled_sources(replace(loaded, cache=cache), sources, sources.texts, solc, lines.append)
        made = {
            (place.file, place.name): json.loads(place.path.read_bytes())
            for one in found.values()
            for place in one.locations
        }
        return {
            key: [one["bytecode"]["object"], one["deployedBytecode"]["object"], one["rawMetadata"]]
            for key, one in made.items()
        }

    lines: list[str] = []
    codes("kept", lines)
    add_line(project / SOURCE)
    found = codes("kept", lines)
    assert found == codes("empty", lines)
    assert [line.split(" files ")[0] for line in lines] == ["Compiling 4", "Compiling 2", "Compiling 4"]


FUZZED = Path(__file__).resolve().parent / "fuzzed"
OPTIONS = ("--json", "--fuzz-runs", "400", "--fuzz-seed", "1")


def test_variable_length_fuzz_inputs_use_gas_within_30_percent(clients: Path, tmp_path: Path) -> None:
    project = tmp_path / "fuzzed"
    shutil.copytree(FUZZED, project)
    theirs = _means(run(clients, "forge", "test", "--use", EXAMPLE / "solc.mjs", *OPTIONS, folder=project))
    program = Path(sys.executable).with_name("hypervisor")
    ours = _means(run(clients, program, "test", project, "--use", clients / "node_modules" / "solc", *OPTIONS))
    assert ours.keys() == theirs.keys()
    assert len(ours) == 9
    different = {name: (ours[name], theirs[name]) for name in ours if not 0.7 < ours[name] / theirs[name] < 1.3}
    assert different == {}


def _means(text: str) -> dict[str, int]:
    found: dict[str, Any] = json.loads(text)
    return {
        name: test["kind"]["Fuzz"]["mean_gas"]
        for suite in found.values()
        for name, test in suite["test_results"].items()
    }


SOLSTICE = Path(__file__).resolve().parents[2] / "examples" / "solstice"


def outcome_of(clients: Path, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    project = tmp_path / "a" / "b" / "solstice"
    shutil.copytree(SOLSTICE, project)
    program, solc = Path(sys.executable).with_name("hypervisor"), clients / "node_modules" / "solc"
    return start(clients, program, "test", "--rules", "filecoin", "--use", solc, *options, folder=project)


def test_the_council_governs_the_streams_of_network_version_29(clients: Path, tmp_path: Path) -> None:
    done = outcome_of(
        clients, tmp_path, "--network", "nv29", "-vvvv", "--match-test", "testRecipients|testShares|testA|testS"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 tests passed, 0 failed" in done.stdout
    assert "emit write-queued(op=SetWeightRecords, effective-epoch=4, payload={updates=[{id=1, weight=" in done.stdout
    assert "emit claim-payout(stream-id=2, recipient=" in done.stdout


def test_before_it_there_are_no_streams(clients: Path, tmp_path: Path) -> None:
    done = outcome_of(clients, tmp_path, "--network", "nv28")
    assert done.returncode == 1
    assert "vm.governStreams: streams of the block reward require network version 29 or newer" in done.stdout

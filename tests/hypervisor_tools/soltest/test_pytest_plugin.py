"""`pytest --sol-coverage` and `--actor-coverage`, in runs of pytest of its own; contracts are compiled in `views`."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from hypervisor_tools.actor_project import TEMPLATE
from hypervisor_tools.soltest import pytest_plugin
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.project.solidity_text import SourceTexts
from hypervisor_tools.soltest.report.coverage import coverage
from hypervisor_tools.soltest.trace.known_code import KnownCode
from localnet import Network
from runtimes.wasm import parse_module
from tests.hypervisor_tools.soltest.views.compiled import HERE, compiled, trees

PROJECT = Path(__file__).resolve().parents[3]
SOURCE = (HERE / "src" / "Bank.sol").read_text(encoding="utf-8").splitlines()


@pytest.fixture(autouse=True, scope="module")
def everything_is_imported() -> None:
    """Import modules before an in-process run, which forgets its first imports while caches keep their classes."""
    with Network() as network:
        network.mine()


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The artifact of Bank; the project around it is compiled without a compiler."""
    artifacts = compiled(tmp_path)
    session = SimpleNamespace(
        project=load_project(HERE),
        artifacts=artifacts,
        coverage=lambda found: coverage(found, KnownCode(artifacts), trees(), SourceTexts(HERE)),
    )
    monkeypatch.setattr(pytest_plugin, "_compiled_project", lambda start: session)
    return _artifact(artifacts, "Bank")


def _artifact(artifacts: Artifacts, name: str) -> Path:
    return next(place.path for place in artifacts.locations if place.name == name)


TESTS = """
import pytest
from localnet.testing import reverts

@pytest.fixture
def bank(deploy):
    return deploy({bank!r})

def test_join(bank):
    bank.send("join", "a note", value=5)
    assert bank.call("ledger")

def test_stranger(bank, network):
    with reverts("closed"):
        bank.send("withdraw", 1)
    with reverts("closed"):
        bank.send("withdraw", 1, gas_limit={gas})
"""


def run(pytester: pytest.Pytester, bank: Path, *arguments: str, gas: int = 1_000_000_000) -> pytest.RunResult:
    pytester.makepyfile(test_it=TESTS.format(bank=str(bank), gas=gas))
    plugins = ("-p", "no:cacheprovider", "-p", "no:faulthandler")  # see tests/localnet/testing/test_plugin.py
    done = pytester.runpytest_inprocess("-q", *plugins, "-W", "error", *arguments)
    done.assert_outcomes(passed=2)
    return done


def check_records(file: Path) -> None:
    """Check the hits, which follow from the two tests and the source."""
    text = file.read_text(encoding="utf-8")
    assert "SF:src/Bank.sol\n" in text
    hits = dict(line.removeprefix("DA:").split(",") for line in text.splitlines() if line.startswith("DA:"))

    def of(line: str) -> int:
        return int(hits[str(next(number for number, words in enumerate(SOURCE, 1) if line in words))])

    assert of("ledger = new Ledger();") == 2  # one constructor for each test
    assert of("ledger.open(msg.sender, note);") == 1
    assert of("ledger.add(msg.sender, msg.value);") == 1
    assert of("ledger.add(msg.sender, 0);") == 0
    assert of("left = ledger.take(msg.sender, amount);") == 2  # a failed estimate, and a failed transaction
    assert of("uint256 has = accounts[who].balance;") == 0
    assert "FNDA:1,Bank.join\n" in text
    assert "FNDA:2,Bank.withdraw\n" in text
    assert "FNDA:0,Ledger.unused\n" in text


@pytest.mark.slow
@pytest.mark.parametrize(("rules", "gas"), [("filecoin", 1_000_000_000), ("ethereum", 10_000_000)])
def test_lines_have_the_hits_of_transactions_and_calls(
    pytester: pytest.Pytester, bank: Path, rules: str, gas: int
) -> None:
    done = run(pytester, bank, "--sol-coverage-file", "found.info", "--rules", rules, gas=gas)
    check_records(pytester.path / "found.info")
    done.stdout.fnmatch_lines(["*= coverage =*", "| src/Bank.sol *", "written to found.info"])
    assert "optimizer" not in done.stdout.str()


@pytest.mark.slow
def test_workers_send_their_hits_to_the_report(pytester: pytest.Pytester, bank: Path) -> None:
    run(pytester, bank, "-n", "2", "--sol-coverage-file", "found.info")
    check_records(pytester.path / "found.info")


@pytest.mark.slow
def test_nothing_is_counted_without_the_option(pytester: pytest.Pytester, bank: Path) -> None:
    done = run(pytester, bank)
    assert "coverage" not in done.stdout.str()
    assert [*pytester.path.glob("*.info")] == []


def test_a_folder_without_a_project_is_a_usage_error(pytester: pytest.Pytester) -> None:
    done = pytester.runpytest_inprocess("-p", "no:faulthandler", "--sol-coverage")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: --sol-coverage: * is not in a Foundry project (no foundry.toml found)"])


def test_report_in_missing_folder_is_usage_error_before_tests(pytester: pytest.Pytester) -> None:
    done = pytester.runpytest_inprocess("-p", "no:faulthandler", "--sol-coverage-file", "absent/found.info")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: --sol-coverage-file: the folder */absent for the coverage * does not exist: *"])


def test_an_unreadable_project_is_a_usage_error(pytester: pytest.Pytester) -> None:
    (pytester.path / "foundry.toml").write_text("[profile.default]\nsrc = 5\n", encoding="utf-8")
    done = pytester.runpytest_inprocess("-p", "no:faulthandler", "--sol-coverage")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: --sol-coverage: *foundry.toml: *"])


ACTOR_TESTS = """
import pytest

@pytest.fixture
def jar(network):
    code = network.actors.install({module!r}, {schema!r})
    return network.actors.create(code, {{"owner": network.accounts[0].native}})

def test_empty(jar):
    assert jar.call("Total") == {{"tips": 0, "received": 0}}

def test_tip(jar):
    jar.send("Tip", {{"note": "thanks"}}, value=1)
"""


@pytest.mark.slow
def test_functions_of_an_actor_without_lines_are_covered_by_all_workers(pytester: pytest.Pytester) -> None:
    folder = PROJECT / "hypervisor" / "builtin_actors" / "template" / TEMPLATE
    module, schema = folder / f"{TEMPLATE}.wasm", folder / "interface.ipldsch"
    pytester.makepyfile(test_it=ACTOR_TESTS.format(module=str(module), schema=str(schema)))
    plugins = ("-p", "no:cacheprovider", "-p", "no:faulthandler")
    found = []
    for options in (("-k", "empty"), (), ("-n", "2")):
        done = pytester.runpytest_inprocess("-q", *plugins, "-W", "error", "--actor-coverage", *options)
        (row,) = (line for line in done.stdout.lines if line.startswith("| tip_jar "))
        found.append([(int(share[1]), int(share[2])) for share in re.finditer(r"\((\d+)/(\d+)\)", row)])
    one, both, by_workers = found
    assert both == by_workers
    (no_lines, statements, _, functions), more = one, both[1]
    assert no_lines == (0, 0)
    assert 0 < statements[0] < more[0] < more[1]
    assert 0 < functions[0] < functions[1] == len(parse_module(module.read_bytes()).functions)

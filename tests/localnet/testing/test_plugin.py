"""The pytest plugin, in separate runs of pytest."""

import re
from pathlib import Path
from urllib.request import urlopen

import pytest

import localnet
from localnet import Network
from localnet.errors import CallFailed
from tests.localnet.conftest import ARTIFACTS

LOCALNET = Path(localnet.__file__).parent
COUNTING = f"""
from localnet.testing import reverts

COUNTER = {str(ARTIFACTS / "Counter.json")!r}
"""


@pytest.fixture(autouse=True, scope="module")
def everything_is_imported() -> None:
    """Import modules before an in-process run, which forgets its first imports while caches keep their classes."""
    with Network() as network:
        network.set_code(b"\x99" * 20, bytes.fromhex("5f5ffd"))
        with pytest.raises(CallFailed):
            network.call(b"\x99" * 20)


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=COUNTING + tests)
    # Without faulthandler: when an inner run turns it off, the signal handlers from before wasmtime are put back, and
    # the next trap of an actor in this process is an illegal instruction that ends it.
    plugins = ("-p", "no:cacheprovider", "-p", "no:faulthandler")
    return pytester.runpytest_inprocess("-q", *plugins, "-W", "error", *arguments)


@pytest.mark.slow
def test_each_test_begins_with_the_same_network(pytester: pytest.Pytester) -> None:
    done = run(
        pytester,
        """
def test_one(network, accounts, deploy):
    counter = deploy(COUNTER)
    counter.send("increment", sender=accounts[1])
    assert counter.call("number") == 1
    network.automine = False

def test_two(network, accounts):
    assert network.automine
    assert network.block_number == 0
    assert network.nonce(accounts[1]) == 0

def test_three_goes_back_behind_its_beginning(network):
    network.mine(3)
    network.go_back(network.block(0))
    network.set_balance(network.accounts[0], 0)

def test_four(network):
    assert network.balance(network.accounts[0]) > 0
""",
    )
    assert "4 passed" in done.stdout.str(), done.stdout.str()


@pytest.mark.slow
def test_failure_shows_test_line_without_internal_frames(pytester: pytest.Pytester) -> None:
    tests = """
import pytest

def test_it(network):
    network.set_code(b"\\x99" * 20, bytes.fromhex("5f5ffd"))
    network.call(b"\\x99" * 20)

def test_reverts(network):
    with reverts("no"):
        network.send(network.accounts[1], 1)
"""
    done = run(pytester, tests)
    shown = done.stdout.str()
    assert "2 failed" in shown
    assert '>       network.call(b"\\x99" * 20)' in shown
    assert "E       localnet.errors.CallFailed: message execution failed" in shown
    assert '>       with reverts("no"):' in shown
    for line in shown.splitlines():
        assert not line.startswith(str(LOCALNET)), line
    assert str(LOCALNET) in run(pytester, tests, "--full-trace").stdout.str()


@pytest.mark.slow
def test_fixtures_are_listed_with_a_sentence_each(pytester: pytest.Pytester) -> None:
    listed = run(pytester, "", "--fixtures").stdout.str()
    section = listed.partition("fixtures defined from localnet.testing.plugin")[2].partition("\n---")[0]
    found = re.findall(r"^(\w+)(?: \[session scope\])? -- .*\n    ([A-Z].*\.)$", section, re.MULTILINE)
    assert {name for name, _ in found} == {"network", "accounts", "deploy", "network_options", "hypervisor_version"}
    assert len(found) == section.count(" -- ")


@pytest.mark.slow
def test_workers_have_own_networks_and_report_call_trees(pytester: pytest.Pytester) -> None:
    tests = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_it(network, accounts, worker_id, number):
    assert worker_id in ("gw0", "gw1")
    assert network.block_number == 0
    network.send(accounts[1], 10**18)
    assert network.balance(accounts[1]) == 10_001 * 10**18

def test_fails(network):
    network.set_code(b"\\x99" * 20, bytes.fromhex("5f5ffd"))
    network.send(b"\\x99" * 20, gas_limit=100_000_000)
"""
    done = run(pytester, tests, "-n", "2")
    assert "1 failed, 4 passed" in done.stdout.str(), done.stdout.str()
    assert "Call tree of what failed" in done.stdout.str()
    assert "exit 33 EVM_CONTRACT_REVERTED  gas" in done.stdout.str()


@pytest.mark.slow
def test_failure_on_closed_network_is_still_reported(pytester: pytest.Pytester) -> None:
    done = run(
        pytester,
        """
from localnet import Network

def test_it(tmp_path):
    with Network(tmp_path / "chain") as own:
        own.set_code(b"\\x99" * 20, bytes.fromhex("5f5ffd"))
        own.send(b"\\x99" * 20, gas_limit=100_000_000)
""",
    )
    assert done.ret == 1
    assert "TransactionFailed" in done.stdout.str()
    done.stdout.fnmatch_lines(["*Call tree of what failed*", "cannot be shown any more: the store in *chain is closed"])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("gas_limit=100_000_000", "TransactionFailed"),
        pytest.param("", "CallFailed", id="gas estimation fails", marks=pytest.mark.slow),
    ],
)
def test_failed_transaction_is_shown_with_call_tree(pytester: pytest.Pytester, options: str, error: str) -> None:
    done = run(
        pytester,
        f"""
def test_it(network):
    network.set_code(b"\\x99" * 20, bytes.fromhex("5f5ffd"))
    network.send(b"\\x99" * 20, {options})
""",
    )
    assert done.ret == 1
    for text in (error, "Call tree of what failed", "exit 33 EVM_CONTRACT_REVERTED  gas", "contract.fallback"):
        assert text in done.stdout.str()


@pytest.mark.slow
def test_a_failed_tests_network_is_shown_until_enter(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, shown = [], list[bytes]()

    def wait(words: str) -> str:
        pages.append(words)
        with urlopen(words.split("is at ")[1].split(" ")[0]) as page:
            shown.append(page.read())
        return ""

    monkeypatch.setattr("builtins.input", wait)
    tests = """
def test_a_transaction(network):
    network.set_code(b"\\x99" * 20, bytes.fromhex("5f5ffd"))
    network.send(b"\\x99" * 20, gas_limit=100_000_000)

def test_a_call(network):
    network.set_code(b"\\x99" * 20, bytes.fromhex("5f5ffd"))
    network.call(b"\\x99" * 20)

def test_passes(network):
    network.mine()

def test_without_a_network():
    assert False
"""
    done = run(pytester, tests, "--explore")
    assert "3 failed, 1 passed" in done.stdout.str(), done.stdout.str()
    assert [words.split()[0] for words in pages] == ["test_a_transaction", "test_a_call"]
    assert b"Failed." in shown[0]
    assert b"The newest messages" in shown[1] or b"No message yet" in shown[1]
    pages.clear()
    assert "1 failed" in run(pytester, "def test_it(network): assert False\n").stdout.str()
    assert pages == []


@pytest.mark.slow
def test_two_versions_are_compared(pytester: pytest.Pytester) -> None:
    # CLZ (0x1e) is an instruction since network version 28 (FIP-0116).
    done = run(
        pytester,
        """
import pytest

CLZ = bytes.fromhex("60011e5f5260205ff3")

def test_clz(network):
    network.set_code(b"\\x99" * 20, CLZ)
    assert int.from_bytes(network.call(b"\\x99" * 20), "big") == 255

@pytest.mark.parametrize("times", [1, 2])
def test_exit_codes(network, times):
    network.set_code(b"\\x99" * 20, CLZ)
    for _ in range(times):
        try:
            network.send(b"\\x99" * 20, gas_limit=100_000_000)
        except Exception:
            pass

def test_the_same(network, accounts):
    network.send(accounts[1], 1)

def test_without_a_network():
    pass
""",
        "--network",
        "nv27,nv28",
    )
    assert "1 failed, 8 passed" in done.stdout.str(), done.stdout.str()
    output = done.stdout.str().split("what changed: nv27 -> nv28")[1]
    assert "test_it.py::test_clz: failed on nv27, passed on nv28" in output
    assert "test_it.py::test_exit_codes[1]: exit codes [" in output
    assert "test_it.py::test_exit_codes[2]: exit codes [" in output
    assert "test_the_same" not in output


@pytest.mark.slow
def test_equal_versions_report_no_difference(pytester: pytest.Pytester) -> None:
    done = run(pytester, "def test_it(network): network.mine()\n", "--network", "nv27,nv28")
    assert "nothing: 1 tests have the same outcome" in done.stdout.str(), done.stdout.str()


@pytest.mark.slow
def test_network_version_option_is_renamed_beside_ape(pytester: pytest.Pytester) -> None:
    pytester.syspathinsert()
    pytester.makepyfile(ape="")
    assert run(pytester, "def test_it(): pass\n", "--network", "nv28").ret == 4
    done = run(pytester, "def test_it(network): network.mine()\n", "--fvm-network", "nv27,nv28")
    assert "nothing: 1 tests have the same outcome" in done.stdout.str(), done.stdout.str()


def test_network_options_fixture_configures_network(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
import pytest

@pytest.fixture(scope="session")
def network_options():
    return {"account_count": 3, "network": 27}
"""
    )
    done = run(
        pytester,
        """
def test_it(network):
    assert len(network.accounts) == 3
    assert network.machine.context.network.number == 27
""",
    )
    assert "1 passed" in done.stdout.str(), done.stdout.str()


@pytest.mark.parametrize("given", ["28", "nv28,", "nv28,nv28", "nv0", "mainnet"])
def test_invalid_version_option_is_refused(pytester: pytest.Pytester, given: str) -> None:
    done = run(pytester, "def test_it(): pass\n", "--network", given)
    assert done.ret == 4
    assert "--network: '" in done.stderr.str()


def test_unknown_version_is_refused(pytester: pytest.Pytester) -> None:
    done = run(pytester, "def test_it(network): pass\n", "--network", "nv99")
    assert done.ret == 4
    assert "--network: network version nv99 is not known: choose one of nv" in done.stderr.str()


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_the_engine_of_the_tests_is_an_option(pytester: pytest.Pytester, evm: str) -> None:
    source = f"def test_it(network): assert network.machine.registry.options['evm'] == '{evm}'\n"
    run(pytester, source, "--evm", evm).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--evm", "geth", "'geth' is not known: choose one of py-evm, fast, *official, auto*"),
        ("--rules", "eth", "rules 'eth' are not known: choose one of filecoin, ethereum*"),
        ("--bundle", "nope", "bundle nope cannot be read: *"),
    ],
)
def test_missing_resource_is_one_line_usage_error(
    pytester: pytest.Pytester, option: str, value: str, words: str
) -> None:
    done = run(pytester, "def test_it(network): pass\n", option, value)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in done.stderr.lines if line.strip()] == done.stderr.lines[:1]
    done.stderr.fnmatch_lines([f"ERROR: {option}: {words}"])


@pytest.mark.slow
def test_plugin_imports_no_machine_without_network_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            assert "hypervisor.machine.machine" not in sys.modules
            assert "wasmtime" not in sys.modules
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_suite_runs_under_ethereums_rules(pytester: pytest.Pytester) -> None:
    test = """
def test_it(network, accounts):
    assert network.send(accounts[1].address, 5).gas_used == 21_000
"""
    run(pytester, test, "--rules", "ethereum").assert_outcomes(passed=1)

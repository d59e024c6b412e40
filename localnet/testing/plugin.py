"""The pytest plugin: a network for each test, call trees of failures, and comparison of network versions.

Fixtures:

- `network`: a snapshot of one network, reverted after each test.
- `accounts`: its unlocked accounts.
- `deploy`: deploys a compiled contract.
- `network_options`: the options of the network; override it in a conftest.py.

`pytest --network nv27,nv28` runs each test that uses the network on both versions and reports the differences of the
recorded outcomes. If Ape is installed, use `--fvm-network`, because Ape's plugin has an option `--network`. The machine
is imported when a test first requests a network.

The traceback of a failing test has the lines of the test and the reason, without frames of this package: pytest hides
frames of modules with `__tracebackhide__`, unless `--full-trace` is given.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from localnet.accounts import Account
    from localnet.contracts.contract import Contract
    from localnet.errors import CallFailed, TransactionFailed
    from localnet.ledger.candidates import Candidate
    from localnet.ledger.records import Tipset
    from localnet.network import Network

_HERE: Final = Path(__file__).resolve().parents[2]
_PACKAGES: Final = frozenset({"bridge", "hypervisor_tools", "hypervisor", "localnet", "runtimes", "store"})


def hide_frames(error: BaseException, root: Path) -> None:
    """Hide this project's frames from pytest tracebacks, unless `root`, pytest's root folder, is this project's."""
    if root == _HERE:
        return
    todo, seen = [error], set[int]()
    while todo:
        each = todo.pop()
        seen.add(id(each))
        todo += [other for other in (each.__cause__, each.__context__) if other is not None and id(other) not in seen]
        traceback = each.__traceback__
        while traceback is not None:
            module = traceback.tb_frame.f_globals
            package = str(module.get("__name__", "")).partition(".")[0]
            if package in _PACKAGES and _HERE in Path(str(module.get("__file__", ""))).parents:
                module["__tracebackhide__"] = True
            traceback = traceback.tb_next


GAS_TOLERANCE: Final = 0.01
"""Relative difference of gas up to which it is not reported."""

_VERSION_NAME: Final = re.compile(r"nv([1-9][0-9]?)")


def read_versions(text: str) -> tuple[int, ...]:
    """Parse the versions in `nv27,nv28`, in order. Raises ValueError for anything else, and for duplicates."""
    versions = []
    for part in text.split(","):
        match = _VERSION_NAME.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"'{part}' is not a network version: expected nv27, or several as in nv27,nv28")
        versions.append(int(match[1]))
    if len(set(versions)) < len(versions):
        raise ValueError(f"'{text}' names a version twice")
    return tuple(versions)


@dataclass(slots=True)
class RecordedTest:
    """One test on one version: its outcome, the exit code of each transaction in order, and their total gas.

    It watches a network while the test runs (`localnet.chain.watching`).
    """

    outcome: str = ""
    exit_codes: list[int] = field(default_factory=list)
    gas: int = 0
    _network: Network | None = None

    def attach(self, network: Network) -> None:
        """Start watching."""
        self._network = network
        network.chain.watchers.append(self)

    def detach(self, network: Network) -> None:
        """Stop watching."""
        network.chain.watchers.remove(self)
        self._network = None

    def applied(self, tipset: Tipset) -> None:
        """Record the messages of a new tipset."""
        if self._network is None:
            return
        for receipt in self._network.chain.index.receipts(tipset):
            self.exit_codes.append(receipt.exit_code)
            self.gas += receipt.gas_used

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Do nothing: recorded executions stay recorded."""

    def accepted(self, candidate: Candidate) -> None:
        """Do nothing: no message has been executed yet."""


def differences(records: dict[str, dict[str, RecordedTest]], before: str, after: str) -> Iterator[str]:
    """Yield a line for each test that differs between two versions: outcome, exit codes, or gas by more than 1 %."""
    for test, by_version in sorted(records.items()):
        one, other = by_version.get(before), by_version.get(after)
        if one is None or other is None:
            continue
        if one.outcome != other.outcome:
            yield f"{test}: {one.outcome} on {before}, {other.outcome} on {after}"
        if one.exit_codes != other.exit_codes:
            yield f"{test}: exit codes {one.exit_codes} on {before}, {other.exit_codes} on {after}"
        elif one.gas and abs(other.gas - one.gas) > GAS_TOLERANCE * one.gas:
            change = 100 * (other.gas - one.gas) / one.gas
            yield f"{test}: gas {one.gas:,} on {before}, {other.gas:,} on {after} ({change:+.1f} %)"


_RECORDS = pytest.StashKey[dict[str, dict[str, RecordedTest]]]()
_CURRENT: Final = pytest.StashKey[RecordedTest]()
_VERSIONS: Final = pytest.StashKey[tuple[int, ...]]()
_VERSION: Final = "hypervisor_version"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("hypervisor", "a local Filecoin network")
    group.addoption(
        *_network_options(),
        dest="hypervisor_network",
        metavar="nvN[,nvN...]",
        help="network versions to test on; with several, every test that uses the network runs on each of them",
    )
    group.addoption(
        "--bundle", dest="hypervisor_bundle", metavar="CAR|vN", help="a bundle of built-in actors (default: our own)"
    )
    group.addoption(
        "--rules",
        dest="hypervisor_rules",
        metavar="NAME",
        help="whose gas and fees: filecoin (the default), ethereum or others that are installed",
    )
    group.addoption(
        "--actor-logs",
        dest="hypervisor_actor_debugging",
        action="store_true",
        default=None,
        help="let native actors log, for `caplog` and the report of a test that fails; they pay gas for it",
    )
    group.addoption("--evm", dest="hypervisor_evm", metavar="NAME", help="EVM engine (default: the fastest)")


def _network_options() -> tuple[str, ...]:
    """Return the names of the option for network versions. Ape's plugin already has an option `--network`."""
    return ("--fvm-network",) if find_spec("ape") else ("--fvm-network", "--network")


def pytest_configure(config: pytest.Config) -> None:
    """Read the options before anything runs."""
    path = config.getoption("hypervisor_network")
    for name, check in (("evm", _check_evm), ("rules", _check_rules), ("bundle", _check_bundle)):
        value = config.getoption(f"hypervisor_{name}")
        if value is not None:
            try:
                check(value)
            except ValueError as error:
                raise pytest.UsageError(f"--{name}: {error}") from None
    try:
        config.stash[_VERSIONS] = _check_versions(read_versions(path)) if path else ()
    except ValueError as error:
        raise pytest.UsageError(f"--network: {error}") from None
    config.stash[_RECORDS] = {}


def _check_evm(name: str) -> None:
    from hypervisor.machine.opening import EVM_ENGINES

    if name not in EVM_ENGINES:
        raise ValueError(f"'{name}' is not known: choose one of {', '.join(EVM_ENGINES)}")


def _check_rules(name: str) -> None:
    from localnet.rules.parts import rules_named

    rules_named(name)


def _check_bundle(name: str) -> None:
    from hypervisor.bundles.bundle import Bundle

    Bundle.open(name)


def _check_versions(versions: tuple[int, ...]) -> tuple[int, ...]:
    """Parse network versions. Raises InvalidInput (a ValueError) for unknown ones."""
    from hypervisor.versions.network_versions import network_version

    for version in versions:
        network_version(version)
    return versions


# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def network_options(pytestconfig: pytest.Config) -> Mapping[str, Any]:
    """Return the options of `Network`; override it to choose balances, a bundle, or the number of accounts."""
    path = {
        name: pytestconfig.getoption(f"hypervisor_{name}") for name in ("bundle", "evm", "rules", "actor_debugging")
    }
    return {name: value for name, value in path.items() if value is not None}


@pytest.fixture(scope="session")
def hypervisor_version(request: pytest.FixtureRequest) -> int | None:
    """Return the network version that a test runs on; None for the newest."""
    version: int | None = getattr(request, "param", None)
    return version


@pytest.fixture(scope="session")
def _networks(network_options: Mapping[str, Any]) -> Iterator[_Networks]:
    """Provide the networks of this run."""
    networks = _Networks(network_options)
    yield networks
    networks.close()


@pytest.fixture
def network(request: pytest.FixtureRequest, _networks: _Networks, hypervisor_version: int | None) -> Iterator[Network]:
    """Provide a network with ten funded accounts; the test's changes are reverted."""
    found = _networks.open(hypervisor_version)
    snapshot = found.snapshot()
    recorded = request.node.stash[_CURRENT] = RecordedTest()
    recorded.attach(found)
    yield found
    recorded.detach(found)
    found.automine = True
    found.set_block_interval(None)
    if not found.revert(snapshot):  # the test reverted the chain to before the snapshot
        _networks.forget(hypervisor_version)


class _Networks:
    """One network per version, opened on first use."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._open: dict[int | None, Network] = {}

    def open(self, version: int | None) -> Network:
        from localnet.network import Network

        if version not in self._open:
            chosen = {} if version is None else {"network": version}
            self._open[version] = Network(**{**self._options, **chosen})
        return self._open[version]

    def forget(self, version: int | None) -> None:
        self._open.pop(version).close()

    def close(self) -> None:
        for version in list(self._open):
            self.forget(version)


@pytest.fixture
def accounts(network: Network) -> tuple[Account, ...]:
    """Return the network's unlocked accounts."""
    return network.accounts


@pytest.fixture
def deploy(network: Network) -> Callable[..., Contract]:
    """Return a function that deploys: `deploy("out/Counter.sol/Counter.json", *arguments, value=0, sender=None)`."""
    return network.deploy


# --- several versions -------------------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses a network once on each requested version."""
    versions = metafunc.config.stash[_VERSIONS]
    if versions and _VERSION in metafunc.fixturenames:
        metafunc.parametrize(_VERSION, versions, indirect=True, scope="session", ids=[f"nv{each}" for each in versions])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report the call tree of a failed transaction, and the test's changes to its network."""
    if call.excinfo is not None:
        hide_frames(call.excinfo.value, item.config.rootpath)
    report = yield
    if call.when == "call":
        if call.excinfo is not None:
            tree = _call_tree(call.excinfo.value)
            if tree:
                report.sections.append(("Call tree of what failed", tree))
        recorded = item.stash.get(_CURRENT, None)
        version = getattr(getattr(item, "callspec", None), "params", {}).get(_VERSION)
        if recorded is not None and version is not None:
            recorded.outcome = report.outcome
            item.config.stash[_RECORDS].setdefault(_name(item, version), {})[f"nv{version}"] = recorded
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the changes between network versions."""
    versions = [f"nv{version}" for version in config.stash[_VERSIONS]]
    if len(versions) < 2:
        return
    terminalreporter.section(f"what changed: {' -> '.join(versions)}")
    found = False
    for before, after in pairwise(versions):
        for line in differences(config.stash[_RECORDS], before, after):
            terminalreporter.write_line(line)
            found = True
    if not found:
        count = len(config.stash[_RECORDS])
        terminalreporter.write_line(f"nothing: {count} tests have the same outcome and exit codes, and gas within 1 %")


def _name(item: pytest.Item, version: int) -> str:
    """Return a test's name without its network version."""
    mark = f"nv{version}"
    return item.nodeid.replace(f"-{mark}]", "]").replace(f"[{mark}-", "[").replace(f"[{mark}]", "")


def _call_tree(error: BaseException | None) -> str:
    """Return the tree of a failed transaction or call, also as the cause of an error; empty for other errors."""
    if "localnet.errors" not in sys.modules:  # not raised by this package; a project may use the same names
        return ""
    from localnet.errors import CallFailed
    from store.blockstore import StoreClosed

    failure = find_failure(error)
    if failure is None:
        return ""
    try:
        trace = failure.trace if isinstance(failure, CallFailed) else failure.receipt.trace
        return "" if trace is None else "\n".join((*trace.failure_path, str(trace)))
    except StoreClosed as error:  # the test's own network, in a folder: the report must not fail
        return f"cannot be shown any more: {error}"


def find_failure(error: BaseException | None) -> CallFailed | TransactionFailed | None:
    """Return the failed transaction or call of an error, or of its cause; None for other errors."""
    from localnet.errors import CallFailed, TransactionFailed

    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, CallFailed | TransactionFailed):
            return error
        error = error.__cause__ or error.__context__
    return None

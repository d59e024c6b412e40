"""The peers' suites and their known failures.

- Known failures of the peers' suites: a TOML file per suite in `known/`.
- The suites: where each is from, how it is laid out, and how it runs against this project.

Each file is a list of groups with a reason, the source of the reason, and names of tests. A group with `ours` counts
towards the suite's limit; the others fail for the peer too, or because Filecoin's rules differ. A group with
`sometimes` holds tests that depend on the machine's speed: they may pass.

FVM_SUITES names a folder with a checkout of each repository. Copies with this project's fixtures, and the packages that
the suites need, are put into its folder `peers`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from xml.etree import ElementTree

from tests.clients.conftest import node_process
from tests.soltests.runners import PACKAGE
from tests.soltests.stage import PROJECT

FOLDER: Final = Path(__file__).parent / "known"


@dataclass(frozen=True, slots=True)
class Group:
    """Tests that fail for one reason."""

    reason: str
    source: str
    names: tuple[str, ...]
    ours: bool = False
    sometimes: bool = False


def known_failures(suite: str) -> list[Group]:
    """Read the file of a suite. Raises ValueError for a name that is listed twice."""
    content = tomllib.loads((FOLDER / f"{suite}.toml").read_text(encoding="utf-8"))
    groups = [Group(**{**group, "names": tuple(group["names"])}) for group in content["failures"]]
    names = [name for group in groups for name in group.names]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{suite}.toml lists tests twice: {', '.join(sorted(twice))}")
    return groups


def findings(results: Mapping[str, str | None], groups: list[Group], limit: int, least: int) -> Iterator[str]:
    """Yield what is wrong with a run: new failures, listed tests that pass or are gone, too many or too few tests.

    `results` maps each test that ran to the message of its failure, or None. At most `limit` failures may be ours, and
    at least `least` tests must have run.
    """
    if len(results) < least:
        yield f"only {len(results)} tests ran, expected at least {least}"
    listed = {name: group for group in groups for name in group.names}
    for name, message in results.items():
        if message is not None and name not in listed:
            yield f"new failure: {name}: {message}"
    for name, group in listed.items():
        if name not in results:
            yield f"a listed test did not run: {name}"
        elif results[name] is None and not group.sometimes:
            yield f"a listed test passes, so remove it: {name}"
    if (ours := sum(len(group.names) for group in groups if group.ours)) > limit:
        yield f"{ours} listed failures are ours, at most {limit} may be"


Results = dict[str, str | None]
"""Failure messages of the tests that ran, None for those that passed."""

_HERE: Final = Path(__file__).parent
_HYPERVISOR: Final = Path(sys.executable).with_name("hypervisor")
_RPC_NAMES: Final = ("MAINNET", "MAINNET2", "SEPOLIA", "OPTIMISM", "BASE", "ARBITRUM", "POLYGON", "BSC", "ENV_ALIAS")
_WEB3PY_CHAIN_ID: Final = "131277322940537"
_WEB3PY_PACKAGES: Final = (
    "pytest<10", "pytest-asyncio>=1.3,<2", "pytest-mock", "pytest-timeout", "pyunormalize<17", "py-geth",
)  # fmt: skip
_TITANOBOA_PACKAGES: Final = ("vyper==0.4.3", "pytest<9", "pytest-timeout")


class SuiteFailed(RuntimeError):
    """A suite could not be prepared or run."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A peer's suite: `run` gets its checkout and a folder to work in."""

    folder: str
    repository: str
    commit: str
    run: Callable[[Path, Path], Results]
    least: int
    """Number of tests that must run."""
    limit: int = 0
    """Number of failures that may be ours."""


def testdata(checkout: Path, work: Path) -> Results:
    """Foundry's own tests of cheatcodes, with npm's compiler and no network."""
    project = _copy(checkout / "testdata", work / "testdata")
    shutil.rmtree(project / "multi-version")
    for source in project.rglob("*.*"):
        if source.suffix in (".vy", ".vyi") or source.name in ("LaunchFork.t.sol", "DssExecLib.sol"):
            source.unlink()
        elif source.suffix == ".sol":
            text = source.read_text(encoding="utf-8")
            source.write_text(re.sub(r"pragma solidity =?0\.8\.1[78];", "pragma solidity ^0.8.18;", text), "utf-8")
    endpoints = {f"RPC_{name}": "http://127.0.0.1:9" for name in _RPC_NAMES}
    options = ["--use", str(PACKAGE), "--trust", "--json", "--fuzz-seed", "1", "--allow-failure", "--no-isolate"]
    results: Results = {}
    for match, fork in (("--no-match-path", []), ("--match-path", ["--evm-version", "paris"])):  # restricted in forge
        command: list[str | Path] = [_HYPERVISOR, "test", project, *options, *fork, match, "paris/**"]
        printed = json.loads(_output(command, project, endpoints | {"FOUNDRY_OFFLINE": "true"}))
        results |= {
            f"{contract} {test}": _line(end["reason"] or "failed") if end["status"] == "Failure" else None
            for contract, found in printed.items()
            for test, end in found["test_results"].items()
        }
    return results


def edr(checkout: Path, work: Path) -> Results:
    """Hardhat's tests of its network, over JSON-RPC, against nodes under Ethereum's rules."""
    suite = _copy(checkout / "hardhat-tests", work / "edr" / "hardhat-tests", "test", "tsconfig.json")
    package = json.loads((checkout / "hardhat-tests" / "package.json").read_text(encoding="utf-8"))
    needed = {name: wanted for name, wanted in package["devDependencies"].items() if "workspace:" not in wanted}
    (work / "edr" / "package.json").write_text(json.dumps({"private": True, "dependencies": needed}), "utf-8")
    if not (work / "edr" / "node_modules" / "mocha").exists():
        _output(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], work / "edr")
    helpers = suite / "test" / "internal" / "hardhat-network" / "helpers"
    shutil.copy(_HERE / "edr_provider.ts", helpers / "useProvider.ts")
    over_rpc = "for (const all of [PROVIDERS, INTERVAL_MINING_PROVIDERS]) all.splice(0, all.length, ...all.filter((one) => one.isJsonRpc));\n"  # noqa: E501
    with (helpers / "providers.ts").open("a", encoding="utf-8") as providers:
        providers.write(over_rpc)
    tests = suite / "test" / "internal" / "hardhat-network" / "provider"
    left_out = re.compile("utils/|fork|logs|http-headers|hardhat-network-options")
    files = sorted(str(file) for file in tests.rglob("*.ts") if not left_out.match(str(file.relative_to(tests))))
    report = work / "edr" / "report.json"
    mocha = ["../node_modules/mocha/bin/mocha.js", "--require", "ts-node/register", "--file", "test/setup.ts"]
    reporter = ["--reporter", "json", "--reporter-option", f"output={report}", "--timeout", "25000", "--exit"]
    environment = {"FVM_PEER_NODE": str(_HYPERVISOR), "TS_NODE_TRANSPILE_ONLY": "1"}
    _output(["node", *mocha, *reporter, *files], suite, environment, report)
    return _mocha_results(report)


def _mocha_results(report: Path) -> Results:
    results: Results = {}
    content = json.loads(report.read_text(encoding="utf-8"))
    pending = {test["fullTitle"] for test in content["pending"]}
    for test in content["tests"]:
        name, number = test["fullTitle"], 1
        while name in results:  # titles of tests need not differ
            number += 1
            name = f"{test['fullTitle']} #{number}"
        if name not in pending:
            results[name] = _line(test["err"].get("message", "failed")) if test["err"] else None
    return results


def web3py(rules: str) -> Callable[[Path, Path], Results]:
    """Return the run of web3.py's integration tests of geth against a node under these rules."""

    def run(checkout: Path, work: Path) -> Results:
        work /= "web3.py"
        python = _environment(work / "venv", f"{checkout}[tester]", *_WEB3PY_PACKAGES)
        suite = _copy(checkout, work / rules, "tests", "web3", "ens", "conftest.py", "pyproject.toml")
        tests = suite / "tests" / "integration" / "go_ethereum"
        _add_fixtures("web3py_fixtures.py", tests, "from .own_fixtures import *\nfrom .own_fixtures import _prepared\n")
        with node_process(work, "--rules", rules, "--chain-id", _WEB3PY_CHAIN_ID, "-q") as url:
            files = ["test_goethereum_http.py", "test_goethereum_ws/test_async_await_w3.py"]
            return _pytest(python, suite, [str(tests / file) for file in files], 40, {"FVM_PEER_URL": url})

    return run


def titanoboa(checkout: Path, work: Path) -> Results:
    """titanoboa's unit tests in an environment on a network in the same process."""
    work /= "titanoboa"
    python = _environment(work / "venv", str(checkout), *_TITANOBOA_PACKAGES, "--editable", str(PROJECT))
    suite = _copy(checkout, work / "suite", "tests", "pyproject.toml")
    _add_fixtures("titanoboa_fixtures.py", suite / "tests", "from .own_fixtures import *\n")
    left_out = (
        "jupyter", "strategy", "test_coverage", "contracts/vvm", "test_ipython.py", "test_fork_utils.py",
        "utils/test_fork_cache.py",
    )  # fmt: skip
    options = [option for name in left_out for option in ("--ignore", f"tests/unitary/{name}")]
    return _pytest(python, suite, ["tests/unitary", *options], 120)


SUITES: Final[Mapping[str, Suite]] = {
    "testdata": Suite("foundry", "foundry-rs/foundry", "4072e48705af9d93e3c0f6e29e93b5e9a40caed8", testdata, 867, 15),
    "edr": Suite("edr", "NomicFoundation/edr", "a81dc2858a84c109d72f018ce65ed2fd66ea1e33", edr, 590, 12),
    "web3py-ethereum": Suite(
        "web3.py", "ethereum/web3.py", "2f907b87003f026506097d0941b91c3cc71433fe", web3py("ethereum"), 732
    ),
    "web3py-filecoin": Suite(
        "web3.py", "ethereum/web3.py", "2f907b87003f026506097d0941b91c3cc71433fe", web3py("filecoin"), 732
    ),
    "titanoboa": Suite(
        "titanoboa", "vyperlang/titanoboa", "4b1c1011ebf9539b04560857275e38aef1d7798d", titanoboa, 161, 2
    ),
}


def _copy(checkout: Path, to: Path, *names: str) -> Path:
    """Copy a folder, or these parts of it, in place of an earlier copy."""
    shutil.rmtree(to, ignore_errors=True)
    ignored = shutil.ignore_patterns(".git", "node_modules", "out", "cache")
    if not names:
        shutil.copytree(checkout, to, ignore=ignored)
        return to
    to.mkdir(parents=True)
    for name in names:
        if (checkout / name).is_dir():
            shutil.copytree(checkout / name, to / name, ignore=ignored)
        else:
            shutil.copy(checkout / name, to)
    return to


def _add_fixtures(file: str, folder: Path, imports: str) -> None:
    """Put fixtures of this project beside a suite's, after which they replace those of the same names."""
    shutil.copy(_HERE / file, folder / "own_fixtures.py")
    with (folder / "conftest.py").open("a", encoding="utf-8") as fixtures:
        fixtures.write(imports)


def _environment(folder: Path, *packages: str) -> Path:
    """Create a Python environment with packages, if it does not exist, and return its interpreter."""
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        venv.create(folder, clear=True, with_pip=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        _output([python, *install], folder)
        complete.touch()
    return python


def _pytest(
    python: Path, suite: Path, arguments: list[str], seconds: int, environment: Mapping[str, str] = MappingProxyType({})
) -> Results:
    """Run tests with a time limit for each, and return their results."""
    report = suite / "report.xml"
    options = [
        "-q", "-p", "no:cacheprovider", "--tb=line", "-o", "addopts=", "--timeout", str(seconds), "-o",
        "timeout_func_only=true", "--junitxml", str(report),
    ]  # fmt: skip
    _output([python, "-m", "pytest", *options, *arguments], suite, environment, report)
    results: Results = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        ended = [case.find(kind) for kind in ("failure", "error")]
        failed = [element for element in ended if element is not None]
        results[name] = _line(failed[0].get("message") or failed[0].text or "failed") if failed else None
    return results


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


def _output(
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str] = MappingProxyType({}),
    report: Path | None = None,
) -> str:
    """Run a program and return its output. Raises SuiteFailed if it fails and writes no report about tests."""
    if report is not None:
        report.unlink(missing_ok=True)
    given = {**os.environ, **environment}
    done = subprocess.run(list(command), cwd=folder, env=given, capture_output=True, text=True, check=False)
    if done.returncode and not (report and report.exists()):
        raise SuiteFailed(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout

"""The peers' suites and their known failures.

- Known failures of the peers' suites: a TOML file per suite in `known/`.
- The suites: where each is from, how it is laid out, and how it runs against this project. Those that are projects of
  forge are assembled by tests/soltests/stage.py.

Each file is a list of groups with a reason, the source of the reason, and names of tests. A group with `ours` counts
towards the suite's limit; the others fail for the peer too, or because Filecoin's rules differ. A group with
`sometimes` holds tests that depend on the machine's speed: they may pass.

FVM_SUITES names a folder with a checkout of each repository. Copies with this project's fixtures, and the packages that
the suites need, are put into its folder `peers`.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from xml.etree import ElementTree

from tests.clients.conftest import node_process, search_path
from tests.peers.semantic import Runner, network, read_all
from tests.soltests.runners import PACKAGE, SOLC, Chosen, own_results
from tests.soltests.stage import INSTALLED, PROJECT, stage
from tests.soltests.stage import SUITES as FORGE_PROJECTS

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
_NODE: Final = {"PATH": search_path(INSTALLED)}
"""Environment with the Node.js of tests/soltests, which is newer than many a machine's."""
_SAFE_LEFT_OUT: Final = re.compile("eslint|prettier|solhint|husky|rimraf|toolbox")
_SAFE_PLUGINS: Final = (
    "@nomicfoundation/hardhat-ethers", "@nomicfoundation/hardhat-chai-matchers", "@typechain/hardhat",
)  # fmt: skip
_SAFE_PACKAGES: Final = {
    "@nomicfoundation/hardhat-ethers": "^3", "@nomicfoundation/hardhat-chai-matchers": "^2", "@typechain/hardhat": "^9",
    "@typechain/ethers-v6": "^0.5", "typechain": "^8", "ethers": "^6", "chai": "^4",
}  # fmt: skip
_NPM_SOLC: Final = """import { subtask } from "hardhat/config";
import { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } from "hardhat/builtin-tasks/task-names";
subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD).setAction(async () => ({
  version: "0.7.6", longVersion: "0.7.6", compilerPath: require.resolve("solc/soljson.js"), isSolcJs: true,
}));
"""
_HARDHAT_PACKAGES: Final = {
    "ethers": "^6.14.0", "tsx": "^4.23.1", "ethereum-cryptography": "^2.2.1", "zod": "^3.23.8",
}  # fmt: skip
_HARDHAT_NODE: Final = ("--rules", "ethereum", "--chain-id", "31337", "--throw-on-transaction-failures", "-q")
_SAFE_GAS: Final = "100000000"
"""Gas of blocks and transactions in the suite's own network; hardhat-ethers takes it from a network named localhost."""
_TEST_UTILITIES: Final = "@nomicfoundation/hardhat-test-utils"
_CONNECTION: Final = "  const connection = await hre.network.create"
_FRESH_NODE: Final = """  await fetch(process.env.FVM_PEER_URL!, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "hardhat_reset", params: [] }),
  });
"""
_SERVER: Final = """  if (process.env.FVM_PEER_URL !== undefined) {
    const { hostname: address, port } = new URL(process.env.FVM_PEER_URL);
    return { server: { close: async () => {} } as any, port: Number(port), address };
  }
"""
_SOLIDITY_COMPILER: Final = "solc-0.8.28"
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
        results |= _forge_results(printed)
    return results


def forge_project(name: str) -> Callable[[Path, Path], Results]:
    """Return the run of a forge project of tests/soltests, which its own command compares with forge."""

    def run(_checkout: Path, work: Path) -> Results:
        stage(name, work / name)
        return _forge_results(own_results(Chosen(work / name, FORGE_PROJECTS[name], seed=1)))

    return run


def _forge_results(printed: Mapping[str, Any]) -> Results:
    return {
        f"{contract} {test}": _line(end["reason"] or "failed") if end["status"] == "Failure" else None
        for contract, found in printed.items()
        for test, end in found["test_results"].items()
    }


def edr(checkout: Path, work: Path) -> Results:
    """Hardhat's tests of its network, over JSON-RPC, against nodes under Ethereum's rules."""
    suite = _copy(checkout / "hardhat-tests", work / "edr" / "hardhat-tests", "test", "tsconfig.json")
    package = json.loads((checkout / "hardhat-tests" / "package.json").read_text(encoding="utf-8"))
    needed = {name: wanted for name, wanted in package["devDependencies"].items() if "workspace:" not in wanted}
    _npm(work / "edr", needed)
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
    content = json.loads(report.read_text(encoding="utf-8"))
    pending = {test["fullTitle"] for test in content["pending"]}
    return _numbered(
        (test["fullTitle"], _line(test["err"].get("message", "failed")) if test["err"] else None)
        for test in content["tests"]
        if test["fullTitle"] not in pending
    )


def _numbered(ends: Iterable[tuple[str, str | None]]) -> Results:
    """Collect results, with a number after a title that another test has too."""
    results: Results = {}
    for title, end in ends:
        name, number = title, 1
        while name in results:
            number += 1
            name = f"{title} #{number}"
        results[name] = end
    return results


def safe(checkout: Path, work: Path) -> Results:
    """Safe's tests with Hardhat 2, whose network is a node under Ethereum's rules."""
    work /= "safe"
    package = json.loads((checkout / "package.json").read_text(encoding="utf-8"))
    needed = {name: wanted for name, wanted in package["devDependencies"].items() if not _SAFE_LEFT_OUT.search(name)}
    _npm(work, needed | _SAFE_PACKAGES, "--legacy-peer-deps")
    for name in ("contracts", "src", "test", "types"):
        _copy(checkout / name, work / name)
    text = (checkout / "hardhat.config.ts").read_text(encoding="utf-8")
    plugins = "".join(f'import "{plugin}";\n' for plugin in _SAFE_PLUGINS) + _NPM_SOLC
    report = work / "report.json"
    reporter = f'mocha: {{ reporter: "json", reporterOptions: {{ output: "{report}" }},'
    for old, new in (
        ('import "@nomicfoundation/hardhat-toolbox";\n', plugins),
        (
            "custom: {\n                      ...sharedNetworkConfig,\n                      url: NODE_URL",
            f"localhost: {{ gas: {_SAFE_GAS}, url: NODE_URL",
        ),
        ("mocha: {", reporter),
    ):
        if old not in text:
            raise SuiteFailed(f"hardhat.config.ts has no {old.strip()}")
        text = text.replace(old, new)
    (work / "hardhat.config.ts").write_text(text, encoding="utf-8")
    shutil.copy(checkout / "tsconfig.json", work)
    environment = _NODE | {"TS_NODE_TRANSPILE_ONLY": "1"}
    hardhat = ["npx", "--no-install", "hardhat"]
    _output([*hardhat, "compile"], work, environment)
    with node_process(work, *_HARDHAT_NODE, "--hardfork", "prague", "--gas-limit", _SAFE_GAS) as url:
        command = [*hardhat, "test", "--no-compile", "--network", "localhost"]
        _output(command, work, environment | {"NODE_URL": url}, report)
    return _mocha_results(report)


def hardhat_plugin(name: str) -> Callable[[Path, Path], Results]:
    """Return the run of the tests of a plug-in for Hardhat 3, whose network is a node under Ethereum's rules."""

    def run(checkout: Path, work: Path) -> Results:
        work /= "hardhat"
        packages = checkout / "packages"
        version = json.loads((packages / "hardhat" / "package.json").read_text(encoding="utf-8"))["version"]
        _npm(work, _HARDHAT_PACKAGES | {"hardhat": version})
        utilities = _copy(packages / "hardhat-test-utils", work / "node_modules" / _TEST_UTILITIES, "src")
        exports = {"name": _TEST_UTILITIES, "type": "module", "exports": "./src/index.ts"}
        (utilities / "package.json").write_text(json.dumps(exports), encoding="utf-8")
        suite = _copy(packages / name, work / name, "src", "test", "package.json")
        _use_node(suite / "test" / "helpers" / "helpers.ts")
        report = suite / "report.xml"
        files = sorted(
            str(file.relative_to(suite)) for file in (suite / "test").rglob("*.ts") if "helpers" not in file.parts
        )
        options = [
            "--import", "tsx/esm", "--test", "--test-concurrency=1", "--test-timeout=30000", "--test-force-exit",
            "--test-reporter=junit", f"--test-reporter-destination={report}",
        ]  # fmt: skip
        with node_process(suite, *_HARDHAT_NODE, "--accounts", "20") as url:
            _output(["node", *options, *files], suite, _NODE | {"FVM_PEER_URL": url}, report)
        return _numbered(_node_results(ElementTree.parse(report).getroot()))

    return run


def _use_node(helpers: Path) -> None:
    """Let a plug-in's helpers connect to the node that FVM_PEER_URL names, in its first state."""
    node = 'networks: { default: { type: "http" as const, url: process.env.FVM_PEER_URL! }'
    server = "  const hre = await createHardhatRuntimeEnvironment({});\n"
    text = helpers.read_text(encoding="utf-8")
    text = text.replace('networks: { default: { type: "edr-simulated", ...config }', node)
    text = text.replace("    ...config,\n", f"    ...config,\n    {node}, ...config.networks }},\n")
    text = text.replace(_CONNECTION, _FRESH_NODE + _CONNECTION).replace(server, _SERVER + server)
    if node not in text or _FRESH_NODE not in text:
        raise SuiteFailed(f"{helpers} has no network that can be replaced")
    helpers.write_text(text, encoding="utf-8")


def _node_results(element: ElementTree.Element, titles: tuple[str, ...] = ()) -> Iterator[tuple[str, str | None]]:
    """Yield the results in a report of Node.js's test runner, which escapes texts twice."""
    titles = (*titles, unescape(element.get("name", ""))) if element.tag != "testsuites" else titles
    if element.tag == "testcase" and element.find("skipped") is None:
        failure = element.find("failure")
        text = "" if failure is None else unescape(failure.get("message") or failure.text or "failed")
        yield " ".join(titles), None if failure is None else _line(text)
    for child in element.iterfind("*"):
        if child.tag in ("testsuite", "testcase"):
            yield from _node_results(child, titles)


def solidity(rules: str) -> Callable[[Path, Path], Results]:
    """Return the run of Solidity's semantic tests on a network under these rules."""

    def run(checkout: Path, work: Path) -> Results:
        tests = read_all(checkout / "test" / "libsolidity" / "semanticTests")
        lines = "".join(f"{json.dumps(test.compiler_input)}\n" for test in tests.values())
        output = work / f"solidity-{hashlib.sha256(lines.encode()).hexdigest()[:16]}.jsonl"
        if not output.exists():
            environment = _NODE | {"CLIENTS": str(INSTALLED), "SOLC_PACKAGE": _SOLIDITY_COMPILER}
            output.write_text(_output([SOLC, "--lines"], work, environment, given=lines))
        contracts = [json.loads(line).get("contracts") for line in output.read_text(encoding="utf-8").splitlines()]
        with network(rules) as on:
            runner = Runner(on)
            return {
                name: runner.run(test, compiled) if compiled else "not compiled"
                for (name, test), compiled in zip(tests.items(), contracts, strict=True)
            }

    return run


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
    **{
        f"web3py-{rules}": Suite(
            "web3.py", "ethereum/web3.py", "2f907b87003f026506097d0941b91c3cc71433fe", web3py(rules), 732
        )
        for rules in ("ethereum", "filecoin")
    },
    "titanoboa": Suite(
        "titanoboa", "vyperlang/titanoboa", "4b1c1011ebf9539b04560857275e38aef1d7798d", titanoboa, 161, 2
    ),
    "fvm-solidity": Suite(
        "fvm-solidity", "filecoin-project/fvm-solidity", "86f0be499f38f9e164e4a494e68c4803b24d7bb8",
        forge_project("fvm-solidity"), 138,
    ),
    "forge-std": Suite(
        "forge-std", "foundry-rs/forge-std", "257559546b763ec5fa7371fb77fef9102db86446", forge_project("forge-std"), 198
    ),
    "safe": Suite(
        "safe-smart-account", "safe-global/safe-smart-account", "c35264b99a389254a25f589c8271394ba5db7f38", safe, 449, 1
    ),
    **{
        name: Suite(
            "hardhat", "NomicFoundation/hardhat", "aff14bae2a24a788e29e09885a5803f588072c14", hardhat_plugin(name),
            tests, ours,
        )
        for name, tests, ours in (("hardhat-network-helpers", 150, 0), ("hardhat-ethers", 269, 4))
    },
    **{
        f"solidity-{rules}": Suite(
            "solidity", "ethereum/solidity", "a83ea4082740cc2d39238aaf80a8fc8fc93ac260", solidity(rules), 1460
        )
        for rules in ("ethereum", "filecoin")
    },
}  # fmt: skip


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


def _npm(folder: Path, needed: Mapping[str, str], *options: str) -> None:
    """Install packages from npm into a folder, unless it has them."""
    wanted, complete = json.dumps({"private": True, "dependencies": needed}), folder / "complete"
    if complete.exists() and complete.read_text(encoding="utf-8") == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(wanted, encoding="utf-8")
    _output(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *options], folder, _NODE)
    complete.write_text(wanted, encoding="utf-8")


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
    given: str | None = None,
) -> str:
    """Run a program and return its output. Raises SuiteFailed if it fails and writes no report about tests."""
    if report is not None:
        report.unlink(missing_ok=True)
    done = subprocess.run(
        list(command), cwd=folder, env={**os.environ, **environment}, input=given, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode and not (report and report.exists()):
        raise SuiteFailed(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout

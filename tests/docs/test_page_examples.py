"""Examples and tables of the documentation's pages.

- docs/bridge.md: its Python runs on the contracts of the examples.
- Each cheatcode of forge is implemented, or listed as missing.
- The example of the eth-tester page prints the documented output.
- The FIP workbook: its commands have the documented output, and its tables add up.
- The functions that docs/architecture.md names and the tests that the documentation names exist.
- docs/network-versions.md: its tables equal the network version rows, its Python runs, and its files exist.
- Tests of docs/precompiles.md: its code, limits and tables.
- The commands and the Python of docs/proofs.md work, and the first example of docs/vectors.md.
- The page about stateful tests: its test finds the planted bug and prints the documented sequence.
- The tutorial's tests run unchanged in a separate folder.
"""

import re
import shutil
import subprocess
import tomllib
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bridge.bindings import init, multisig
from hypervisor import Address
from hypervisor.machine.rules import PRECOMPILES_GROUP
from hypervisor.migrations.nv29 import DENOM
from hypervisor.precompiles import MAX_MODULE_BYTES, MAX_OUTPUT_BYTES, Precompile, precompiles_of
from hypervisor.types import INIT_ACTOR
from hypervisor.versions.network_versions import NETWORK_VERSIONS, Layouts
from hypervisor.versions.stream_settings import DEVELOPMENT, STREAM_SETTINGS
from hypervisor_tools.soltest.cheatcodes.table import MISSING, name_of, selector, table
from localnet import CallFailed, Network
from runtimes.evm.contracts.precompiles.registered import _STACK, FUEL, MEMORY, SECONDS, wasm_function
from scripts import build_guests
from tests.docs.page_shell import REPLACED, ROOT, Ran, commands, run_page
from tests.hypervisor_tools.soltest.cheatcodes.vm_interface import signatures
from tests.localnet.contracts.test_precompiles import ANSWERS, INVERTS, module
from tests.packaging import PROJECT
from tests.runtimes.evm.assembler import assemble, deployer

CHECKOUT = Path(__file__).parent.parent.parent
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (CHECKOUT / "docs" / "bridge.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy the compiled contract named by the page into the working directory."""
    (tmp_path / "MinerFacts.json").symlink_to(CHECKOUT / "examples" / "miner-facts" / "MinerFacts.json")
    monkeypatch.chdir(tmp_path)


def run(code: str, **names: object) -> None:
    exec(compile(code, "docs/bridge.md", "exec"), names)


@pytest.mark.usefixtures("artifacts")
def test_network_and_deployment_example_runs() -> None:
    assert len(BLOCKS) == 4
    run(BLOCKS[0], Network=Network)


@pytest.mark.usefixtures("artifacts")
def test_actor_call_example_runs() -> None:
    with Network() as network:
        owner = network.accounts[0].native
        code = network.machine.manifest.code("multisig")
        made = network.invoke(
            Address.id(INIT_ACTOR), init.exec(code, multisig.constructor([owner], 1, 0, 0).params), value=10**18
        )
        miner = network.create_miner(sectors=0)
        run(BLOCKS[1], network=network, wallet=made.id_address, to=network.accounts[1].native, miner=miner.address)


@pytest.mark.usefixtures("artifacts")
def test_documented_trace_example_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Network() as network:
        miner = network.create_miner(sectors=0)
        payments = network.deploy(CHECKOUT / "examples" / "provider-payments" / "ProviderPayments.json")
        payments.send("open", miner.id, 1, value=100)
        network.mine()  # gas is estimated at this epoch, where something must be due already
        run(BLOCKS[2], payments=payments, plan=0)
    assert "ProviderPayments pay(plan=0)" in capsys.readouterr().out
    assert "ProviderPayments.pay" in (tmp_path / "pay.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("artifacts")
def test_failed_call_prints_inner_calls(capsys: pytest.CaptureFixture[str]) -> None:
    with Network() as network:
        payments = network.deploy(CHECKOUT / "examples" / "provider-payments" / "ProviderPayments.json")
        run(BLOCKS[3], payments=payments, CallFailed=CallFailed)
    printed = capsys.readouterr().out
    assert "revert reason=[NotAProvider(7, 16)]" in printed
    assert "storagepower MinerRawPower" in printed


SELECTORS = Path(__file__).parent.parent / "hypervisor_tools" / "soltest" / "cheatcodes" / "forge_selectors.txt"
FORGE = frozenset(map(bytes.fromhex, SELECTORS.read_text(encoding="utf-8").split()))
"""The selectors of forge 1.8.0, from crates/cheatcodes/assets/cheatcodes.json at 2a5df2c4 of 2026-08-22.

It also has those of `rollSlot` and `getSlotNumber`, which came later, and contains every function of the interface
`Vm` of forge-std 1.16.1. tests/soltests compares by name.
"""


def test_forges_cheatcodes_are_implemented_or_listed_missing() -> None:
    have = {entry.signature for entry in table().values() if not entry.filecoin}
    assert have.isdisjoint(MISSING)
    assert problems(have | set(MISSING)) == []


def test_unknown_cheatcode_is_reported_with_remedy() -> None:
    every = {entry.signature for entry in table().values() if not entry.filecoin} | set(MISSING)
    (problem,) = problems(every | {"mintGold(uint256)"})
    assert problem.startswith("forge does not have 'mintGold(uint256)': decorate it with filecoin=True")
    (problem,) = problems(every - {"warp(uint256)"})
    assert problem.startswith("the selector 0xe5d6bf02 of forge has")  # of warp(uint256)


def problems(signatures: set[str]) -> list[str]:
    """Return the differences from forge's list, each with a remedy."""
    found = {selector(signature): signature for signature in signatures}
    more = [
        f"forge does not have '{signature}': decorate it with filecoin=True and declare it in "
        "hypervisor_tools/soltest/solidity/FilecoinVm.sol"
        for own, signature in sorted(found.items())
        if own not in FORGE
    ]
    return more + [
        f"the selector 0x{lacking.hex()} of forge has no cheatcode: add it, or list its signature in MISSING "
        "(hypervisor_tools/soltest/cheatcodes/table.py)"
        for lacking in sorted(FORGE - found.keys())
    ]


def test_a_missing_one_is_known_by_its_name() -> None:
    assert name_of(selector("createFork(string)")) == "createFork"
    assert name_of(b"\0\0\0\0") is None


def test_filecoin_vm_interface_lists_exactly_filecoin_cheatcodes() -> None:
    source = PROJECT / "hypervisor_tools" / "soltest" / "solidity" / "FilecoinVm.sol"
    own = {entry.signature for entry in table().values() if entry.filecoin}
    assert signatures(re.sub(r"\b(calldata|memory)\b", "", source.read_text(encoding="utf-8"))) == own


PAGE = (PROJECT / "docs" / "eth-tester.md").read_text(encoding="utf-8")


def test_example_prints_output_stated_in_comment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(PROJECT)
    exec(compile(example, "eth-tester.md", "exec"), {})
    (said,) = re.findall(r"# .*: (\w+)$", example, re.MULTILINE)
    assert capsys.readouterr().out == f"{said}\n"


def test_the_variable_names_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    from eth_tester import EthereumTester

    from localnet.testing.eth_tester_backend import HypervisorBackend

    (name, value) = re.findall(r"`(ETHEREUM_TESTER_\w+)=([\w.]+)`", PAGE)[0]
    monkeypatch.setenv(name, value)
    assert isinstance(EthereumTester().backend, HypervisorBackend)


FIP_WORKBOOK_ROOT = Path(__file__).parent.parent.parent
FIP_WORKBOOK_PAGE = (FIP_WORKBOOK_ROOT / "docs" / "fip-workbook.md").read_text(encoding="utf-8")
WRITE = 86_000


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> list[Ran]:
    return run_page(FIP_WORKBOOK_PAGE, tmp_path_factory.mktemp("workbook") / "page")


def output(followed: list[Ran], command: str, number: int = 0) -> str:
    found = [ran for ran in followed if command in ran.command][number]
    return "\n".join(" ".join(line.split()) for line in found.output.splitlines())


@pytest.mark.slow
def test_fip_workbook_commands_match_documented_output(followed: list[Ran]) -> None:
    for ran in followed:
        ran.check()


@pytest.mark.slow
def test_the_changed_price_is_one_charge_and_86_000_gas_a_write(followed: list[Ran]) -> None:
    text = output(followed, "compare corpus --network")
    (charges,) = re.findall(r"^by charge .*\n((?:\S.*\n)+)", text, re.MULTILINE)
    row = re.fullmatch(r"OnBlockLink ([\d,]+)x \S+ \S+ -([\d,]+)\n", charges)
    assert row is not None, charges
    assert int(row[2].replace(",", "")) == WRITE * int(row[1].replace(",", ""))
    table = re.findall(r"^\| (\S+) \| (\d+) \| ([\d,]+) \| ([\d,]+) \|", output(followed, "table.py"), re.MULTILINE)
    assert {"reward.AwardBlockReward", "evm.InvokeEVM"} <= {name for name, *_ in table}
    saved = [int(before.replace(",", "")) - int(after.replace(",", "")) for _, _, before, after in table]
    assert all(round(each / WRITE) * WRITE - each in (-1, 0, 1) for each in saved)  # rounded to whole gas


@pytest.mark.slow
def test_only_changed_method_differs(followed: list[Ran]) -> None:
    text = output(followed, "compare corpus --actor")
    assert ": 4 differ (gas 4, events 4)" in text
    assert re.findall(r"^by actor .*\n(\S+ 4x) .*\n\n", text, re.MULTILINE) == ["ethaccount 4x"]
    assert text.count("event::emit_event: A calls it 0 times, B 1") == 4
    assert text.count("events: A emits 0, B 1") == 4


NAMED_ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\w+) \| .* \| `([\w/.]+)` \| `([\w.]+)` \|$", re.MULTILINE)


def arrows() -> list[tuple[str, str, str]]:
    """Return (number, file, function) of each row of the page's table."""
    return ROW.findall((NAMED_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))


def resolve(file: str, function: str) -> Any:
    module = import_module(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    found: Any = module
    for name in function.split("."):
        found = getattr(found, name)
    return found


def test_table_has_rows() -> None:
    assert arrows()


@pytest.mark.parametrize(("number", "file", "function"), arrows())
def test_every_arrow_names_a_function_that_exists(number: str, file: str, function: str) -> None:
    assert callable(resolve(file, function)), number


def test_every_test_that_a_page_names_exists() -> None:
    missing = [
        f"{page.name}: {file}::{name}"
        for page in (NAMED_ROOT / "docs").rglob("*.md")
        for file, name in re.findall(r"`(?:tests/)?([\w/]+\.py)::(test_\w+)", page.read_text(encoding="utf-8"))
        if f"def {name}(" not in (NAMED_ROOT / "tests" / file).read_text(encoding="utf-8")
    ]
    assert not missing


CHECKOUT_FOLDER = Path(__file__).resolve().parents[2]
TEXT = (CHECKOUT_FOLDER / "docs" / "network-versions.md").read_text(encoding="utf-8")
STATES = {
    Layouts.UNKNOWN: "unknown",
    Layouts.UNCHANGED: "unchanged",
    Layouts.REWRITTEN: "rewritten",
    Layouts.STREAMS: "streams",
}


def test_every_version_is_listed_as_its_row_is() -> None:
    rows = re.findall(r"^\| nv(\d+) \| (\w+) \| v(\d+) \| (\w+) \| [^|]+ \| (\w+) \|$", TEXT, re.MULTILINE)
    assert rows == [
        (str(row.number), row.name, str(row.actors), row.prices.name.capitalize(), STATES[row.layouts])
        for row in NETWORK_VERSIONS.values()
    ]


def test_the_values_of_the_networks_are_those_of_the_migration() -> None:
    def numbers(name: str) -> list[int]:
        (cells,) = re.findall(rf"^\| {name}[^|]* \| (.+) \|$", TEXT, re.MULTILINE)
        return [int(cell.replace(",", "")) for cell in cells.split(" | ")]

    rows = [*(STREAM_SETTINGS[name] for name in ("mainnet", "calibrationnet", "butterflynet")), DEVELOPMENT]
    assert numbers("timelock") == [row.timelock for row in rows]
    assert numbers("ramp") == [row.ramp for row in rows]
    assert numbers("slope") == [-(-DENOM * 45 // 100 // row.ramp) for row in rows]


@pytest.mark.parametrize("code", re.findall(r"```python\n(?!# )(.*?)```", TEXT, re.DOTALL))
def test_page_python_example_runs(code: str) -> None:
    exec(compile(code, "docs/network-versions.md", "exec"), {})


@pytest.mark.slow
def test_draft_section_commands_have_the_documented_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    section = TEXT.partition("## Draft versions\n")[2].partition("\n## ")[0]
    for ran in run_page(section, tmp_path / "page"):
        ran.check()


PRECOMPILES_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "precompiles.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PRECOMPILES_PAGE, re.MULTILINE | re.DOTALL)


def test_python_blocks_of_page_work_as_documented() -> None:
    names: dict[str, Any] = {}
    first, hook = blocks("python")
    exec(first, names)
    with names["network"] as network:
        at = network.send(None, 0, deployer(assemble(ANSWERS))).contract_address
        adder = bytes.fromhex(names["ADDER"].address[2:]).rjust(32, b"\0")
        numbers = (40).to_bytes(32, "big") + (2).to_bytes(32, "big")
        assert network.call(at, adder + numbers) == (42).to_bytes(32, "big")
        exec(hook, names)
        receiver = network.machine.state_tree.lookup_id(network.accounts[1].delegated)
        to, exit_code, gas = names["hook"].seen[0]
        assert (to in (str(network.accounts[1].delegated), f"f0{receiver}"), exit_code, gas > 0) == (True, 0, True)
        assert network.machine.interceptor is None


def test_the_tables_of_the_page_are_read(tmp_path: Path) -> None:
    table, points = map(tomllib.loads, blocks("toml"))
    (tmp_path / "inverts.wasm").write_bytes(module(INVERTS))
    (row,) = precompiles_of(table["precompiles"], tmp_path)
    assert (row.name, row.gas, row.gas_per_word) == ("inverts", 60, 3)
    assert list(points["project"]["entry-points"]) == [PRECOMPILES_GROUP]


@pytest.mark.slow
def test_the_rust_of_the_page_is_a_precompile(tmp_path: Path) -> None:
    if shutil.which("rustc") is None:
        pytest.skip("needs rustc")
    (source,) = blocks("rust")
    (tmp_path / "inverts.rs").write_text(source)
    command = "rustc --target wasm32-unknown-unknown -O -C strip=symbols inverts.rs"
    assert f"`{command}`" in PRECOMPILES_PAGE
    built = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=False)
    if "may not be installed" in built.stderr:
        pytest.skip("needs Rust's target wasm32-unknown-unknown")
    assert built.returncode == 0, built.stderr
    row = Precompile("inverts", "0x" + "00" * 18 + "0a12", 60, module=(tmp_path / "inverts.wasm").read_bytes())
    assert wasm_function(row)(b"\x00\xff\x0f") == b"\xff\x00\xf0"


def test_bounds_and_fields_are_the_codes() -> None:
    compiling = f"A module may have {MAX_MODULE_BYTES >> 20} MiB and take {SECONDS} seconds to\ncompile"
    running = f"{FUEL:,} instructions", f"{MEMORY >> 20} MiB of memory", f"{_STACK >> 10} KiB of stack"
    for words in (*running, compiling, f"at most {MAX_OUTPUT_BYTES >> 20} MiB"):
        assert words in PRECOMPILES_PAGE
    table = PRECOMPILES_PAGE.split("| field | meaning |")[1].split("\n\n")[0]
    listed = re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()[2:]))
    assert sorted(listed) == sorted(field.name for field in fields(Precompile))


PROOFS_PAGE = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
FIRST_LINES = ("stateRoot: ", "network: ")
"""Starts of the documented outputs, in the order of the commands."""


@pytest.mark.slow
def test_page_commands_produce_documented_output(tmp_path: Path) -> None:
    for ran, first in zip(run_page(PROOFS_PAGE, tmp_path / "page"), FIRST_LINES, strict=True):
        ran.check()
        (shown,) = re.findall(rf"^```text\n({first}.*?)^```$", PROOFS_PAGE, re.MULTILINE | re.DOTALL)
        assert shown in ran.output


@pytest.mark.parametrize(("at", "name"), [(0, "account"), (1, "state")])
def test_python_of_the_page_runs(at: int, name: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PROOFS_PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    exec(blocks[at].replace('"examples/', f'"{ROOT}/examples/'), names)
    assert name in names


@pytest.mark.slow
def test_vector_of_a_new_chain_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "vectors.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^## Create a vector\n(.*?^```console\n.*?^```\n)", page, re.MULTILINE | re.DOTALL)
    ran = list(run_page(example, tmp_path / "page"))
    assert len(ran) == 3
    for command in ran:
        command.check()


STATEFUL_TESTS_PAGE = (PROJECT / "docs" / "stateful-tests.md").read_text(encoding="utf-8")
SOURCE = (PROJECT / "examples" / "escrow" / "FlawedEscrow.sol").read_text(encoding="utf-8")


def test_quoted_lines_are_those_of_the_contract() -> None:
    (quoted,) = re.findall(r"^```solidity\n(.*?)^```$", STATEFUL_TESTS_PAGE, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for line in SOURCE.splitlines()]
    assert [line for line in quoted.splitlines() if line not in lines] == []


@pytest.mark.slow
def test_page_finds_the_bug_and_shrinks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REPLACED, '.venv/bin/pip install "$HOME/hypervisor[hypothesis]" pytest', ":")
    *rest, tested = run_page(STATEFUL_TESTS_PAGE, tmp_path / "page")
    for ran in rest:
        ran.check()
    tested.check()
    assert "1 failed, 1 passed" in tested.output, tested.output
    (documented,) = re.findall(
        r"^```text\nFailing test case:\n(.*?)^```$", STATEFUL_TESTS_PAGE, re.MULTILINE | re.DOTALL
    )
    printed = "\n".join(line.removeprefix("E").strip() for line in tested.output.splitlines())
    assert documented.strip() in re.sub(r"\b(sender|to)=1\b", r"\1=0", printed), (
        tested.output
    )  # either client is minimal


@pytest.mark.slow
def test_strategies_of_the_page_run(tmp_path: Path) -> None:
    written, strategies = re.findall(r"^```python\n(.*?)^```$", STATEFUL_TESTS_PAGE, re.MULTILINE | re.DOTALL)
    machine, mark, test = written.partition("@pytest.mark.parametrize")
    test = test.replace("EscrowMachine.", "WithStrangers.").replace("200", "20").replace(', "FlawedEscrow"', "")
    copying = re.findall(r"^cp .*$", STATEFUL_TESTS_PAGE, re.MULTILINE)[0]
    page = f"```console\n{copying}\n```\n```python\n{machine}{strategies}\n\n{mark}{test}```\n"
    for ran in run_page(f"{page}```console\n.venv/bin/pytest -q   # 1 passed\n```\n", tmp_path / "page"):
        ran.check()


TUTORIAL_ROOT = Path(__file__).parent.parent.parent
TUTORIAL_PAGE = (TUTORIAL_ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
UPGRADE = TUTORIAL_PAGE.partition("\n## An actor that upgrades itself\n")[2].partition("\n## ")[0]
MODULE = "target/wasm32-unknown-unknown/release/tip_jar.wasm"
FILES = dict(re.findall(r"^```python\n# (test_\w+\.py)\n(.*?)^```$", TUTORIAL_PAGE, re.MULTILINE | re.DOTALL))

BEFORE_FOUNDRY = TUTORIAL_PAGE.partition("\n## A deployment with Foundry\n")[0]
"""Part of the page that needs only Python; `tests/clients` executes the whole page."""


def test_every_python_block_is_a_file_of_tests() -> None:
    assert len(FILES) == TUTORIAL_PAGE.count("```python\n") == 5


@pytest.mark.slow
def test_page_commands_produce_documented_output_in_one_shell(tmp_path: Path) -> None:
    every = run_page(BEFORE_FOUNDRY, tmp_path / "page")
    for ran in every:
        ran.check()
    versions = every[-1]
    assert "1 failed, 17 passed" in versions.output, versions.output
    assert "test_leading_zeros_are_counted: failed on nv27, passed on nv28" in versions.output


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace compilation by the committed modules, whose equality `make bundle` checks."""
    for feature in build_guests.FEATURES[build_guests.TEMPLATE]:
        copied = (
            f"mkdir -p {Path(MODULE).parent} && cp {build_guests.module_file(build_guests.TEMPLATE, feature)} {MODULE}"
        )
        monkeypatch.setitem(REPLACED, f"cargo build --release --features {feature}", copied)


@pytest.mark.slow
@pytest.mark.usefixtures("built")
def test_actor_upgrades_itself_as_documented(tmp_path: Path) -> None:
    assert sum(bool(expected) for _, expected in commands(UPGRADE)) == 8
    for ran in run_page(UPGRADE, tmp_path / "page"):
        ran.check()

"""The examples.

- Tests of the quick start, and of the workflows to copy.
- examples/boot.py in its short form: equal steps on our own actors and the official ones.
- Tests of the examples' compiled contracts.
- The notebooks of examples/notebooks run completely in a kernel with the documented output.
"""

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pytest

from tests.command import run
from tests.conftest import data_file, newer_rows
from tests.hypervisor.test_text import Page

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "examples" / "quickstart.sh"
CI = ROOT / "examples" / "ci"


@pytest.mark.long
def test_the_script_ends_with_a_call_tree_over_both_runtimes() -> None:
    done = subprocess.run(
        [SCRIPT], env=os.environ | {"PORT": "0"}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    tree = done.stdout[done.stdout.rindex("\nevm ") :].splitlines()[1:]
    assert re.fullmatch(r"evm  f0\d+ DataCapName keep\(\)  value 0  exit 0  gas [\d,]+", tree[0])
    assert re.fullmatch(r"├── wasm f07 datacap Name\(\)  value 0  exit 0  gas [\d,]+", tree[1])
    assert tree[2:] == ['│   └── -> "DataCap"', '└── event Kept(name="DataCap")']


@pytest.mark.slow
def test_dockerfile_uses_existing_node_options() -> None:
    lines = (CI / "Dockerfile").read_text(encoding="utf-8").splitlines()
    known = run("node", "--help", env={"COLUMNS": "200"}).output
    options = re.findall(r'"(--[a-z-]+)"', lines[-1])
    assert options
    assert all(f"{option} " in known for option in options)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pytest.yml", "forge.yml", "campaign.yml"])
def test_workflow_steps_are_valid_shell_with_known_commands(name: str) -> None:
    text = (CI / name).read_text(encoding="utf-8")
    steps = re.findall(
        r"^      - run: (.*)$|^        run: (?!\|)(.*)$|^        run: \|\n((?:          .*\n)+)", text, re.M
    )
    shell = ["".join(found) for found in steps]
    assert len(shell) >= 3
    for step in shell:
        assert subprocess.run(["sh", "-n", "-c", step], check=False).returncode == 0, step
    used = re.findall(r"^ *(?:- run: )?hypervisor (\w+)(.*)$", "\n".join(shell), re.M)
    expected = {"pytest.yml": {"doctor"}, "forge.yml": {"node", "doctor"}, "campaign.yml": {"campaign"}}
    assert {command for command, _ in used} == expected[name]
    for command, rest in used:
        known = run(command, "--help", env={"COLUMNS": "200"}).output
        assert all(option in known for option in re.findall(r"--[a-z-]+", rest))


PATH = Path(__file__).resolve().parent.parent.parent / "examples" / "boot.py"
OFFICIAL = "bundles/v18-devnet.car"


@pytest.fixture(scope="module")
def boot() -> ModuleType:
    spec = importlib.util.spec_from_file_location("boot", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_both_bundles_have_equal_steps(boot: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--bundle", str(data_file(OFFICIAL)), "--epochs", "10", "--sectors", "0"]
    assert boot.main(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "25 steps, 0 different, 0 failed"
    lines = [line for line in printed if line.startswith("  ")]
    own, official = lines[:25], lines[25:]
    assert own == official
    for actor in ("multisig", "paymentchannel", "eam", "evm", "storageminer", "storagemarket", "datacap"):
        assert any(re.search(rf"\b{actor}\b.* exit 0 ", line) for line in own)


@pytest.mark.slow
def test_networks_of_version_29_are_booted_without_datacap(
    boot: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert boot.main(["--bundle", "own-v19", "--epochs", "10"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "23 steps, 0 different, 0 failed"


@pytest.mark.long
@pytest.mark.parametrize("name", newer_rows())
def test_newer_bundle_has_equal_steps(boot: ModuleType, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert boot.main(["--bundle", name]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "23 steps, 0 different, 0 failed"


@pytest.mark.long
def test_both_bundles_agree_over_a_thousand_epochs(boot: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert boot.main(["--bundle", str(data_file(OFFICIAL))]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "25 steps, 0 different, 0 failed"


def test_boot_difference_is_reported_with_exit_status_1(
    boot: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = iter([[("datacap.Transfer", 0, "80")], [("datacap.Transfer", 18, "")]])
    monkeypatch.setattr(boot, "boot", lambda *_: next(results))
    assert boot.main(["--bundle", "own"]) == 1
    assert "different: ('datacap.Transfer', 0, '80') and ('datacap.Transfer', 18, '')" in capsys.readouterr().out


def test_missing_official_actors_boot_nothing_and_name_remedy(
    boot: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(tmp_path))
    assert boot.main(["--bundle", "v18-devnet"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "`hypervisor bundle fetch v18-devnet` downloads it" in printed.err


PROJECT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = PROJECT / "examples"
FOLDERS = (EXAMPLES, PROJECT / "integrations" / "labs" / "examples")
FILES = sorted(path for folder in FOLDERS for path in folder.glob("*/*.json"))
ARTIFACTS = [path for path in FILES if "abi" in json.loads(path.read_text())]


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.stem)
def test_artifact_matches_adjacent_sources(path: Path) -> None:
    artifact = json.loads(path.read_text())
    sources = {source.name: source.read_bytes() for source in path.parent.glob("*.sol")}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sources.items()}
    assert artifact["sources"] == digests, "run `scripts/examples`"
    assert artifact["packages"] == json.loads((EXAMPLES / "package.json").read_text())["dependencies"]


@pytest.mark.long
def test_the_compiler_makes_the_committed_artifacts() -> None:
    done = subprocess.run([PROJECT / "scripts" / "examples", "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "IDENTICAL"), done.stdout + done.stderr


FOLDER = Path(__file__).resolve().parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="module")
def shown() -> dict[str, list[str]]:
    return {path.name: run_notebook(path) for path in NOTEBOOKS}


def run_notebook(path: Path) -> list[str]:
    """Run in a folder with a short name, since a socket path has at most 107 bytes."""
    with TemporaryDirectory(prefix="nb") as folder:
        places = dict.fromkeys(("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"), folder)
        done = subprocess.run(
            [sys.executable, "-m", "tests.examples.notebook_run", str(path), folder],
            env=os.environ | places | {"JUPYTER_PLATFORM_DIRS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def words(shown: list[str]) -> list[str]:
    return [Page(each).words if each.startswith("<div>") else each for each in shown]


@pytest.mark.slow
def test_notebook_shows_contract_trace_gas_changes_and_prices(shown: dict[str, list[str]]) -> None:
    texts = words(shown["inside-a-message.ipynb"])
    expected = [
        r"Network\(filecoin, network version 29, block 0, 10 accounts\)",
        r"\(Contract\(0x[0-9a-f]{40}\), 'DataCap'\)",
        r"transaction.*block2endok",
        r"evm  f0\d+ DataCapName keep\(\).*wasm f07 datacap Name\(\).*-> \"DataCap\"",
        r"gas by partpartgasblocks[\d,]+",
        r"gas by chargechargegasOnBlockLink[\d,]+",
        r"state changes of 0x.*f0\d+ ethaccountnonce12",
        r"f07/stategovernorf06",
        r"5 entries are shown, and more are there",
        r"exit EVM_CONTRACT_REVERTED",
        r"prices, nv24 and nv25",
        r"gas today, .*OnBlockLink[\d,]+$",
    ]
    assert len(texts) == len(expected)
    for words_of_cell, pattern in zip(texts, expected, strict=True):
        assert re.search(pattern, words_of_cell, re.DOTALL), f"{pattern}: {words_of_cell}"


@pytest.mark.slow
def test_dearer_blocks_change_only_block_link_gas(shown: dict[str, list[str]]) -> None:
    """At twice the price per written byte, OnBlockLink increases by 172,000 gas for each written block."""
    last = shown["inside-a-message.ipynb"][-1]
    totals = re.search(r"<b>([\d,]+) gas today, ([\d,]+) with dearer blocks</b>", last)
    assert totals is not None
    today, dearer, before, after = (
        int(number.replace(",", "")) for number in (*totals.groups(), *re.findall(r">([\d,]+)</td>", last))
    )
    assert dearer - today == after - before
    assert (after - before) % 172_000 == 0


def test_notebooks_are_listed_in_readme_without_stored_output() -> None:
    page = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in NOTEBOOKS if f"(notebooks/{path.name})" not in page] == []
    assert [path.name for path in NOTEBOOKS if '"output_type"' in path.read_text(encoding="utf-8")] == []

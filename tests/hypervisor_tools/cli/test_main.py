"""`hypervisor` without arguments: version, help, and missing data files."""

from __future__ import annotations

import inspect
import io
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from hypervisor import Bundle
from hypervisor.errors import BundleError
from hypervisor_tools.cli.commands import COMMANDS
from hypervisor_tools.cli.main import app
from hypervisor_tools.cli.options import running_line
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from store.cid import cid_of
from tests.command import run
from tests.conftest import data_file

PROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"


def test_version_is_of_project() -> None:
    version = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"]
    found = run("--version")
    assert (found.exit_code, found.output) == (0, f"hypervisor {version}\n")


def test_missing_command_lists_commands() -> None:
    found = run()
    assert found.exit_code == 2
    assert "Run the demo: a Solidity contract and a native WASM actor" in found.output


def test_missing_official_bundle_error_names_fetch_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVM_DATA", str(tmp_path))
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(tmp_path / "bundles"))
    (tmp_path / "cases.json").write_text("{}")
    found = run("fevmtest", str(tmp_path / "cases.json"))
    assert (found.exit_code, "`hypervisor bundle fetch v18-devnet` downloads it" in found.stderr) == (2, True)
    with pytest.raises(BundleError, match="folder of bundles with --bundle-dir"):
        BundleFolder(tmp_path).store(cid_of(b"a manifest that no bundle has"))


def test_state_bundle_is_found_among_downloaded_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official = data_file("bundles/v18-devnet.car")
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(tmp_path))
    (tmp_path / "v18-devnet.car").symlink_to(official)
    manifest = Bundle.from_file(official).manifest
    assert BundleFolder(None).store(manifest.data).has(manifest.code("evm"))


LOADING = """
import gc, sys
from hypervisor_tools.cli.start import main
usual = gc.get_threshold()
sys.argv = ["hypervisor", "--version"]
try:
    main()
except SystemExit:
    pass
print(gc.get_threshold()[0] > usual[0])
kept = [[] for _ in range(300_000)]
print(gc.get_threshold() == usual, gc.get_freeze_count() > 0)
"""


@pytest.mark.slow
def test_garbage_collection_is_deferred_until_command_loads() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["True", "True True"]


@pytest.mark.slow
def test_rows_have_the_first_paragraph_of_their_commands_help() -> None:
    group: Any = typer.main.get_command(app)
    for row in COMMANDS:
        command = group.get_command(None, row.name)
        assert row.summary == inspect.cleandoc(command.help).split("\n\n")[0].replace("\n", " "), row.name


def loaded_by(*arguments: str) -> set[str]:
    program = f"import sys; sys.argv = ['hypervisor', *{arguments!r}]\n"
    program += "import atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    program += "from hypervisor_tools.cli.start import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_imports_no_command_and_few_modules() -> None:
    loaded = loaded_by("--help")
    commands = {f"hypervisor_tools.cli.{row.target.partition(':')[0]}" for row in COMMANDS}
    assert not loaded & {"hypervisor", "store", "rich", "markdown_it", "typer.rich_utils", *commands}
    assert len(loaded) < 200  # usually 147


def test_help_lists_all_commands_with_their_summaries() -> None:
    words = " ".join(run("--help", prog_name="hypervisor").output.split())
    assert all(f"{row.name} {row.summary}" in words for row in COMMANDS)
    assert all(f"{row.panel}:" in words for row in COMMANDS)


@pytest.mark.slow
def test_command_imports_no_other_command() -> None:
    commands = {f"hypervisor_tools.cli.{row.target.partition(':')[0]}" for row in COMMANDS}
    assert loaded_by("wallet", "list") & commands == {"hypervisor_tools.cli.wallet"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["wallet", "list", "--count", "0"], "0 is out of range (1 to 1000); pass a larger number"),
        (["wallet", "list", "--count", "1001"], "1001 is out of range (1 to 1000); pass a smaller number"),
        (["wallet", "list", "--count", str(1 << 70)], f"{1 << 70} is out of range (1 to 1000); pass a smaller number"),
        (["wallet", "list", "--count", "few"], "'few' is not a whole number; expected 1 to 1000"),
        (["wallet", "list", "--count", "1.5"], "'1.5' is not a whole number; expected 1 to 1000"),
        (["node", "--query-time", "0"], "0 is out of range (0.001 or more); pass a larger number"),
        (["node", "--query-time", "long"], "'long' is not a number; expected 0.001 or more"),
        (["node", "--query-time", "nan"], "'nan' is not a number; expected 0.001 or more"),
        (["gc", "DIR", "--seconds", "nan"], "'nan' is not a number; expected 0 or more"),
        (["balance", "f01", "--timeout", "nan"], "'nan' is not a number; expected 0.001 to 86400"),
        (["deploy", "C", "--timeout", "-nan"], "'nan' is not a number; expected 0 or more"),
        (["node", "--port", "-1"], "-1 is out of range (0 to 65535); pass a larger number"),
    ],
)
def test_number_out_of_range_is_reported_with_its_limits(arguments: list[str], text: str) -> None:
    done = run(*arguments, env={"COLUMNS": "200"})
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"Invalid value for '{arguments[-2]}'" in done.stderr
    assert text in done.stderr


def test_other_usage_errors_are_unchanged() -> None:
    done = run("wallet", "new", "--absent")
    assert done.exit_code == 2
    assert "No such option" in done.stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_line_is_overwritten_and_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "48")
    show = running_line()
    assert show is not None
    show([("SlowTest.test_spin()", 2.4)])
    show([("SlowTest.test_spin()", 3.4), ("OtherTest.testFuzz_a(uint256)", 1.2)])
    show(())
    show(())
    assert terminal.getvalue().split("\r") == [
        "",
        "running for 2 s: SlowTest.test_spin()\x1b[K",
        "running for 3 s: SlowTest.test_spin() and 1 mor\x1b[K",
        "\x1b[K",
    ]


def test_no_progress_line_is_written_to_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert running_line() is None

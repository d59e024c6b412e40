"""The output of `hypervisor --help`: typer's text, without the modules that typer's renderer loads."""

import inspect
import subprocess
import sys
from typing import Any

import pytest
import typer
from typer import rich_utils
from typer.core import TyperGroup

from fvm_hypervisor.cli.commands import COMMANDS
from fvm_hypervisor.cli.main import CommandLine, app
from tests.command import run


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.slow
def test_help_is_what_typer_prints_of_all_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "GITHUB_ACTIONS": ""}
    ours = run("--help", env=environment, prog_name="hypervisor").output
    monkeypatch.setattr(CommandLine, "format_help", TyperGroup.format_help)
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 100)
    panels: dict[str, str] = {row.name: row.panel for row in COMMANDS}
    loaded = CommandLine.get_command

    def with_panel(group: CommandLine, ctx: Any, name: str) -> Any:
        command = loaded(group, ctx, name)
        command.rich_help_panel = panels[name]
        return command

    monkeypatch.setattr(CommandLine, "get_command", with_panel)
    theirs = run("--help", env=environment, prog_name="hypervisor").output
    assert words(ours) == words(theirs)


def test_rows_have_the_first_paragraph_of_their_commands_help() -> None:
    group: Any = typer.main.get_command(app)
    for row in COMMANDS:
        command = group.get_command(None, row.name)
        assert row.summary == inspect.cleandoc(command.help).split("\n\n")[0].replace("\n", " "), row.name


def loaded_by(*arguments: str) -> set[str]:
    program = f"import sys; sys.argv = ['hypervisor', *{arguments!r}]\n"
    program += "import atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    program += "from fvm_hypervisor.cli.start import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_imports_no_command_and_no_markdown() -> None:
    loaded = loaded_by("--help")
    assert not loaded & {
        "hypervisor",
        "importlib.metadata",
        "markdown_it",
        "pygments",
        "rich.markdown",
        "rich.traceback",
        "store",
        "typer.rich_utils",
        *(f"fvm_hypervisor.cli.{row.target.partition(':')[0]}" for row in COMMANDS),
    }


@pytest.mark.slow
def test_command_imports_no_other_command() -> None:
    commands = {f"fvm_hypervisor.cli.{row.target.partition(':')[0]}" for row in COMMANDS}
    assert loaded_by("wallet", "list") & commands == {"fvm_hypervisor.cli.wallet"}

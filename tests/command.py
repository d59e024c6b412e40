"""Runs of `hypervisor` commands in the process of the test."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fvm_hypervisor.cli.main import app, main

Command = Callable[..., tuple[int, str]]
"""A function from arguments to the exit status and all output."""


def run(*arguments: object, **options: Any) -> Result:
    """Run a command with these arguments, and options of `CliRunner.invoke`."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


def json_output(*arguments: object) -> Any:
    """Return the output of a successful command with `--json`."""
    found = run(*arguments, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def whole_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs a command with the project's error texts and exit status."""

    def run_main(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["hypervisor", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return run_main

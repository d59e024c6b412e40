"""`hypervisor doctor` without a node: what it says of this installation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fvm_hypervisor.cli import doctor
from fvm_hypervisor.cli.main import app
from store import compiled


def test_the_installation_is_whole() -> None:
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    checks = {check["name"]: check["result"] for check in json.loads(done.stdout)["checks"]}
    assert checks["form"].startswith(compiled.form())
    assert checks["both runtimes"] == "8 steps of the demonstration"


@pytest.mark.parametrize(
    ("has_sources", "remedy"),
    [(True, "`make compiled` makes the compiled form"), (False, "install a wheel that was built for this Python")],
)
def test_an_interpreted_installation_says_how_to_get_the_compiled_form(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_sources: bool, remedy: str
) -> None:
    if has_sources:
        (tmp_path / "hatch_build.py").touch()
    monkeypatch.setattr(compiled, "HOME", tmp_path)
    monkeypatch.setattr(compiled, "compiled_modules", lambda: ())
    monkeypatch.setattr(compiled, "form", lambda: "interpreted")
    assert doctor._form().startswith("interpreted (")
    assert remedy in doctor._form()

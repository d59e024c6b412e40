"""`hypervisor doctor` without a node: checks of the installation."""

import json
import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from hashlib import sha256
from importlib.metadata import FileHash, PackagePath
from pathlib import Path
from types import SimpleNamespace

import pytest

from fvm_hypervisor.cli import doctor, installation
from store import compiled
from tests.command import run


@pytest.mark.slow
def test_the_installation_is_whole() -> None:
    done = run("doctor", "--json")
    assert done.exit_code == 0, done.output
    checks = {check["name"]: check["result"] for check in json.loads(done.stdout)["checks"]}
    assert checks["form"].startswith(compiled.form())
    assert checks["both runtimes"] == "8 steps of the demonstration"


@pytest.mark.parametrize(
    ("has_sources", "remedy"),
    [(True, "`make compiled` makes the compiled form"), (False, "install a compiled wheel")],
)
def test_interpreted_install_explains_how_to_get_compiled_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_sources: bool, remedy: str
) -> None:
    if has_sources:
        (tmp_path / "hatch_build.py").touch()
    monkeypatch.setattr(compiled, "HOME", tmp_path)
    monkeypatch.setattr(compiled, "compiled_modules", lambda: ())
    monkeypatch.setattr(compiled, "form", lambda: "interpreted")
    assert doctor._form().startswith("interpreted (")
    assert remedy in doctor._form()


def program(home: Path, elsewhere: Path) -> subprocess.CompletedProcess[str]:
    """Run the command with packages of `elsewhere` before those of `home`."""
    code = "import sys; sys.argv = ['hypervisor', 'doctor']; from fvm_hypervisor.cli.start import main; main()"
    environment = {**os.environ, "PYTHONPATH": f"{elsewhere}{os.pathsep}{home}"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=elsewhere, env=environment, check=False)


@pytest.mark.parametrize("name", ["store", "localnet", "hypervisor"])
def test_shadowing_package_is_reported_without_traceback(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("ANOTHER = True\n")
    done = program(installation.HOME, tmp_path)
    output = done.stdout + done.stderr
    assert (done.returncode, "Traceback" in output) == (1, False), output
    assert f"the package '{name}' is loaded from {tmp_path / name}" in output
    assert "pip install --force-reinstall --no-deps fvm-hypervisor" in output


def test_files_that_were_overwritten_or_removed_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert installation.damaged_packages() == []
    recorded = []
    for text, name in (("kept", "store"), ("written over", "localnet"), ("removed", "bridge")):
        path = PackagePath(f"{name}/module.py")
        digest = urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()
        path.hash = FileHash(f"sha256={digest}")
        recorded.append(path)
        (tmp_path / name).mkdir()
    (tmp_path / "store/module.py").write_text("kept")
    (tmp_path / "localnet/module.py").write_text("of another")
    monkeypatch.setattr(installation, "distribution", lambda _: SimpleNamespace(files=recorded))
    monkeypatch.setattr(installation, "_import_fault", lambda name, home: None)
    localnet, bridge = sorted(installation.damaged_packages(tmp_path), reverse=True)
    assert localnet.startswith(
        "the package 'localnet' has a file that differs from the installed one, localnet/module.py"
    )
    assert bridge.startswith("the package 'bridge' has no file bridge/module.py")

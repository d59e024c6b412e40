"""User modules that shadow one of our packages cause one error that names the file and the remedy."""

import subprocess
import sys
from pathlib import Path

import pytest

from hypervisor._siblings import SIBLINGS, HiddenPackage, check_siblings
from tests.packaging.project import PACKAGES, PROJECT

REMEDY = "rename that file, or run from another folder"


def test_guard_covers_every_package() -> None:
    assert set(SIBLINGS) == set(PACKAGES) - {"hypervisor"}


@pytest.mark.parametrize("name", SIBLINGS)
@pytest.mark.parametrize("form", ["module", "package"])
def test_a_file_in_the_working_directory_is_named(tmp_path: Path, name: str, form: str) -> None:
    planted = tmp_path / (f"{name}.py" if form == "module" else f"{name}/__init__.py")
    planted.parent.mkdir(exist_ok=True)
    planted.write_text("VALUE = 'the user means this one'\n")
    done = subprocess.run([sys.executable, "-c", "import hypervisor"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("hypervisor._siblings.HiddenPackage: ")
    assert f"{planted} shadows the package '{name}'" in error
    assert REMEDY in error


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bridge", "store"])
def test_a_helper_in_a_users_pytest_project_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("def helper() -> int:\n    return 1\n")
    (tmp_path / "test_user.py").write_text(
        f"from {name} import helper\n\ndef test_it():\n    from hypervisor import Hypervisor\n    assert helper()\n"
    )
    done = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    problem = f"HiddenPackage: {tmp_path / name}.py shadows the package '{name}' of fvm-hypervisor"
    assert f"{problem}: {REMEDY}" in done.stdout


def test_empty_sibling_folders_do_not_shadow_packages(tmp_path: Path) -> None:
    for name in SIBLINGS:
        (tmp_path / name).mkdir()
    done = subprocess.run([sys.executable, "-c", "import hypervisor"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_installed_command_ignores_working_directory(tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported')\n")
    command = Path(sys.executable).with_name("hypervisor")
    done = subprocess.run([command, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypervisor._siblings.find_spec", lambda name: None)
    with pytest.raises(HiddenPackage, match=f"package '{SIBLINGS[0]}' of fvm-hypervisor is not installed next to"):
        check_siblings(str(PROJECT / "hypervisor" / "__init__.py"))

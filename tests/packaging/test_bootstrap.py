"""The script that creates the environment: supported Pythons, and error messages."""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest

from tests.packaging import PROJECT

TOOLS = ("cat", "cmp", "dirname", "grep", "head", "mktemp", "mv", "rm", "sed", "sh", "tail", "uname")
SOURCES = ("hypervisor/builtin_actors/schemas/*.ipldsch", "scripts/actor_bindings/*.py")
INPUTS = [
    *("requirements.lock", "pyproject.toml", "integrations/labs/pyproject.toml"),
    *(str(path.relative_to(PROJECT)) for part in SOURCES for path in sorted(PROJECT.glob(part))),
]
"""Files whose contents the script records in its stamp, in its order."""
BINDINGS = "bridge/bindings/common.py"
LABS = "lib/python3/site-packages/fvm_hypervisor_labs-0.1.0.dist-info"
"""Folder that the labs' installation leaves in an environment."""
THIS_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


class Checkout:
    """A checkout with the script and its inputs, and a PATH with only basic tools."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.path = folder / "path"
        self.path.mkdir(parents=True)
        for name in ("scripts/bootstrap", BINDINGS, *INPUTS):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, self.folder / name)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None, f"{tool} is not on this machine"
            (self.path / tool).symlink_to(found)

    def command(self, name: str, script: str) -> None:
        (self.path / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.path / name).chmod(0o755)

    def python(self, name: str, version: str) -> None:
        """Put a Python on the PATH that only knows its version."""
        self.command(name, f'[ "$1" = -c ] && echo {version}')

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.folder / "scripts/bootstrap", ".venv", *arguments],
            env={"PATH": str(self.path), "HOME": str(self.folder), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **environment) as process:
            stdout, stderr = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def working_python(self, name: str) -> None:
        """Put this Python on the PATH."""
        self.command(name, f'exec {sys.executable} "$@"')

    def python_without_venv(self, name: str) -> None:
        """Put this Python on the PATH without what Debian packages separately."""
        self.command(
            name,
            f'case "$*" in *ensurepip*) exit 1 ;; *sys.executable*) echo {self.path / name} ;; '
            f'*) exec {sys.executable} "$@" ;; esac',
        )

    def uv_that_fails(self, words: str) -> None:
        """Put a uv on the PATH that makes environments, and fails to install with the message `words`."""
        self.command(
            "uv",
            f"case $1 in --version) ;; python) exit 1 ;; venv) {sys.executable} -m venv --without-pip .venv ;; "
            f"*) cat <<'WORDS'; exit 1 ;; esac\n{words}\nWORDS",
        )

    def ready_environment(self) -> None:
        """Create an environment that the script accepts as complete: a Python and the stamp, no packages."""
        venv = self.folder / ".venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        inputs = "".join((self.folder / name).read_text() for name in INPUTS)
        self.stamp.write_text(f"{self.folder.resolve()}\n{inputs}")
        (venv / LABS).mkdir(parents=True)

    @property
    def stamp(self) -> Path:
        """File that marks a complete environment."""
        return self.folder / ".venv" / "installed"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture(scope="module")
def with_pip(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = Checkout(tmp_path_factory.mktemp("pip"))
    subprocess.run([sys.executable, "-m", "venv", checkout.folder / ".venv"], check=True)
    return checkout


@pytest.fixture
def checkout_with_pip(with_pip: Checkout) -> Checkout:
    """Create a checkout whose environment has only pip, made from another lock."""
    with_pip.stamp.write_text(f"{with_pip.folder.resolve()}\nanother lock\n")
    return with_pip


def the_error(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of a failed run, which must be its only error message."""
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert re.search(r"`[^`]+`", last), f"no command that helps: {last}"
    return last


def test_bootstrap_without_python_reports_supported_versions(checkout: Checkout) -> None:
    assert "no Python of 3.11 3.12 3.13 3.14 is on the PATH" in the_error(checkout.run())


def test_pythons_outside_the_claim_are_named_with_their_versions(checkout: Checkout) -> None:
    checkout.python("python3", "3.15")
    checkout.python("python3.11", "3.10")
    error = the_error(checkout.run())
    assert "python3 is 3.15" in error
    assert "python3.11 is 3.10" in error


def test_unsupported_requested_python_gets_no_fallback(checkout: Checkout) -> None:
    checkout.python("python3.15", "3.15")
    checkout.python("python3.13", "3.13")
    assert "PYTHON=python3.15 is Python 3.15" in the_error(checkout.run("python3.15"))


def test_a_wished_python_that_does_not_run_is_named(checkout: Checkout) -> None:
    assert "PYTHON=python3.12 does not run" in the_error(checkout.run("python3.12"))


def test_the_help_names_the_machines_own_package_manager(checkout: Checkout) -> None:
    checkout.command("apt-get", "exit 1")
    assert "`sudo apt-get install" in the_error(checkout.run())


@pytest.mark.slow
def test_python_without_venv_reports_how_to_install_it(checkout: Checkout) -> None:
    checkout.python_without_venv("python3.12")
    checkout.command("apt-get", "exit 1")
    error = the_error(checkout.run())
    assert "python3.12 cannot make environments" in error
    assert f"`sudo apt-get install python{THIS_VERSION}-venv`" in error


@pytest.mark.slow
def test_a_shim_that_exists_but_fails_is_passed_over(checkout: Checkout) -> None:
    checkout.command("python3.13", "echo 'python3.13: command not found' >&2; exit 127")
    checkout.python_without_venv("python3.12")
    assert f"setting up .venv with Python {THIS_VERSION}" in checkout.run().stderr


@pytest.mark.slow
def test_an_index_without_a_wheel_is_one_sentence(checkout_with_pip: Checkout, tmp_path: Path) -> None:
    error = the_error(checkout_with_pip.run(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path)))
    first = (PROJECT / "requirements.lock").read_text().split()[0]
    assert f"the package index has no wheel of {first} for Python {THIS_VERSION} on {os.uname().sysname}" in error


@pytest.mark.slow
def test_unreachable_index_is_not_mistaken_for_missing_wheels(checkout_with_pip: Checkout) -> None:
    error = the_error(checkout_with_pip.run(PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="1"))
    assert "the package index cannot be reached" in error


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "  cause: Because cbrrr==1.0.1 has no usable wheels and you require cbrrr==1.0.1, we can conclude that",
        "  Because cbrrr==1.0.1 has no wheels with a matching Python ABI tag (e.g., `cp312`) and you require",
    ],
)
def test_a_missing_wheel_is_understood_in_the_words_of_uv_too(checkout: Checkout, words: str) -> None:
    checkout.working_python("python3")
    checkout.uv_that_fails(words)
    assert "the package index has no wheel of cbrrr==1.0.1 for Python" in the_error(checkout.run())


@pytest.mark.slow
def test_an_environment_that_is_ready_is_left_alone(checkout: Checkout) -> None:
    checkout.ready_environment()
    done = checkout.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_missing_bindings_are_generated_by_another_installation(checkout: Checkout) -> None:
    checkout.ready_environment()
    checkout.uv_that_fails("because a==1 has no usable wheels")
    (checkout.folder / BINDINGS).unlink()
    assert "setting up .venv" in checkout.run().stderr


@pytest.mark.slow
def test_missing_labs_are_installed(checkout: Checkout) -> None:
    checkout.ready_environment()
    checkout.uv_that_fails("because a==1 has no usable wheels")
    (checkout.folder / ".venv" / LABS).rmdir()
    assert "setting up .venv" in checkout.run().stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml", INPUTS[-1]])
def test_a_changed_lock_or_project_file_makes_it_install_again(checkout: Checkout, name: str) -> None:
    checkout.ready_environment()
    checkout.uv_that_fails("because a==1 has no usable wheels")
    with (checkout.folder / name).open("a") as file:
        file.write("# changed\n")
    assert "setting up .venv" in checkout.run().stderr


@pytest.mark.slow
def test_moved_environment_is_rebuilt(checkout: Checkout, tmp_path: Path) -> None:
    checkout.ready_environment()
    checkout.folder = checkout.folder.rename(tmp_path / "moved")
    assert "no Python of" in the_error(checkout.run())


# What the fake uv does, in the order in which the script asks: each moment is one at which a run is killed.
UV = f"""
kill_at() {{
    if [ "$1" = "$KILL_AT" ]; then kill -9 "$PPID"; exit; fi
}}
case $1 in
    --version) kill_at start ;;
    python) exit 1 ;;
    venv)
        {shutil.which("mkdir")} -p .venv/bin
        {shutil.which("ln")} -s {sys.executable} .venv/bin/python
        kill_at "environment made"
        ;;
    *)
        case "$*" in *requirements.lock*) step=packages ;; *) step=project ;; esac
        echo half >.venv/$step
        kill_at "half of $step"
        echo whole >.venv/$step
        {shutil.which("mkdir")} -p .venv/{LABS}
        kill_at "$step"
        ;;
esac
"""
MOMENTS = ("start", "environment made", "half of packages", "packages", "half of project", "project")


@pytest.mark.slow
@pytest.mark.parametrize("before", ["nothing", "another lock"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_leftovers_of_killed_run_are_rebuilt(checkout: Checkout, moment: str, before: str) -> None:
    checkout.working_python("python3")
    checkout.command("uv", UV)
    if before == "another lock":
        checkout.ready_environment()
        checkout.stamp.write_text(f"{checkout.folder.resolve()}\nanother lock\n")
        (checkout.folder / ".venv" / "packages").write_text("of another lock\n")
    killed = checkout.run(KILL_AT=moment)
    made_here = (before, moment) != ("another lock", "environment made")  # that one is there already
    assert killed.returncode == (-9 if made_here else 0)
    if (checkout.folder / ".venv").exists():
        (checkout.folder / ".venv" / "torn").touch()
    again = checkout.run(KILL_AT="never")
    assert again.returncode == 0, again.stderr
    found = {name: (checkout.folder / ".venv" / name).read_text() for name in ("packages", "project")}
    assert found == dict.fromkeys(found, "whole\n")
    assert (checkout.folder / ".venv" / "torn").exists() == (not made_here)
    assert checkout.run(KILL_AT="start").stderr == ""


@pytest.mark.slow
def test_missing_uv_is_installed_from_the_lock(checkout: Checkout, tmp_path: Path) -> None:
    wheel = tmp_path / "uv-1-py3-none-any.whl"
    with ZipFile(wheel, "w") as file:
        script = ZipInfo("uv-1.data/scripts/uv")
        script.external_attr = 0o100755 << 16
        file.writestr(script, f"#!/bin/sh\n{UV}")
        file.writestr("uv-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 1\n")
        file.writestr("uv-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("uv-1.dist-info/RECORD", "")
    digest = sha256(wheel.read_bytes()).hexdigest()
    (checkout.folder / "requirements.lock").write_text(
        f"uv==1 \\\n    --hash=sha256:{digest}\nz==1 \\\n    --hash=sha256:0\n"
    )
    checkout.working_python("python3")
    done = checkout.run(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path), KILL_AT="never")
    assert done.returncode == 0, done.stderr
    assert (checkout.folder / ".venv" / "packages").read_text() == "whole\n"


@pytest.mark.slow
def test_run_killed_while_removing_environment_leaves_no_stamp(checkout: Checkout) -> None:
    checkout.working_python("python3")
    checkout.command("uv", UV)
    checkout.ready_environment()
    checkout.stamp.write_text("another folder\n")
    remove = (checkout.path / "rm").resolve()
    (checkout.path / "rm").unlink()
    checkout.command("rm", f'case "$1" in -rf) kill -9 "$PPID" ;; *) exec {remove} "$@" ;; esac')
    assert checkout.run(KILL_AT="never").returncode == -9
    assert (checkout.folder / ".venv" / "bin" / "python").exists()
    assert not checkout.stamp.exists()


# A fake uv that writes down what it is asked, and is in the middle of installing until a file `go` is there.
SLOW_UV = f"""
case $1 in
    --version) ;;
    python) exit 1 ;;
    venv)
        {shutil.which("mkdir")} -p .venv/bin
        {shutil.which("ln")} -s {sys.executable} .venv/bin/python
        ;;
    *)
        echo "$*" >>asked
        [ -z "${{KILL:-}}" ] || kill -9 "$PPID"
        while [ ! -e go ]; do {shutil.which("sleep")} 0.05; done
        {shutil.which("mkdir")} -p .venv/{LABS}
        case "$*" in *requirements.lock*) echo whole >.venv/packages ;; esac
        ;;
esac
"""


def the_second_of_two(checkout: Checkout, **first_has: str) -> tuple[int, subprocess.CompletedProcess[str]]:
    """Return the first run's exit code, and the second run, started while the first one installs."""
    checkout.working_python("python3")
    checkout.command("uv", SLOW_UV)
    with checkout.start(**first_has) as first:
        wait_for((checkout.folder / "asked").exists)
        with checkout.start() as second:
            assert second.stdout is not None
            assert second.stderr is not None
            said = second.stderr.readline()
            there = (checkout.folder / ".venv" / "bin" / "python").exists()
            (checkout.folder / "go").touch()
            rest = second.stderr.read()
            done = subprocess.CompletedProcess(second.args, second.wait(60), second.stdout.read(), rest)
    assert (said, there) == ("another run is setting up .venv: waiting until it ends\n", True)
    return first.returncode, done


def wait_for(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_second_bootstrap_waits_and_reuses_result_of_first(checkout: Checkout) -> None:
    first, second = the_second_of_two(checkout)
    assert (first, second.returncode, second.stdout, second.stderr) == (0, 0, "", "")
    assert len((checkout.folder / "asked").read_text().splitlines()) == 2  # the packages and the project, once
    assert (checkout.folder / ".venv" / "packages").read_text() == "whole\n"
    assert checkout.stamp.exists()


@pytest.mark.slow
def test_environment_of_killed_run_is_awaited_and_rebuilt(checkout: Checkout) -> None:
    first, second = the_second_of_two(checkout, KILL="yes")
    assert (first, second.returncode) == (-9, 0)
    assert ".venv was not finished, or not made by this script: it is made anew" in second.stderr
    assert checkout.run().stderr == ""


def test_git_sees_neither_environments_nor_their_locks() -> None:
    if not (PROJECT / ".git").exists():
        pytest.skip("not a checkout of git")
    for name in (".venv/installed", ".venv.lock", ".venv-3.12.lock"):
        assert subprocess.run(["git", "check-ignore", "-q", name], cwd=PROJECT, check=False).returncode == 0, name


def test_the_script_claims_the_pythons_that_the_package_claims() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    claimed = re.search(r"claimed='([^']*)'", (PROJECT / "scripts/bootstrap").read_text())
    assert claimed is not None
    versions = claimed[1].split()
    prefix = "Programming Language :: Python :: "
    assert versions == [name.removeprefix(prefix) for name in project["classifiers"] if name.startswith(prefix)]
    assert project["requires-python"] == f">={versions[0]},<3.{int(versions[-1].split('.')[1]) + 1}"

"""Native compilers: Foundry's, the user's own outside the project, those of the official list by SHA-256."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.compile.compiler import Solc
from hypervisor_tools.soltest.compile.solc import SolcChoice
from hypervisor_tools.soltest.project.project import CompilerSettings, Project
from tests.web_server import Handler, serving

PLATFORM = "linux-amd64"
COMMIT = "a1b79de6"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user without compilers, on a platform of the list; npm is identified by its message."""
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr("hypervisor_tools.soltest.compile.solc.platform_name", lambda: PLATFORM)
    put_program(tmp_path / "bin" / "npm", "echo 'npm error called' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tmp_path / "HOME"


def put_program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def native(version: str, build: str = f"+commit.{COMMIT}.Linux.g++") -> str:
    """Return a program that reports a version, and responds to standard JSON with its environment."""
    return f"""case "$1" in
--version) echo "solc, the solidity compiler commandline interface"; echo "Version: {version}{build}" ;;
*) cat >/dev/null; echo "{{\\"secret\\": \\"$TOKEN\\", \\"at\\": \\"$PWD\\"}}" ;;
esac"""


def foundrys(home: Path, version: str, script: str | None = None) -> Path:
    return put_program(home / ".svm" / version / f"solc-{version}", native(version) if script is None else script)


def project(tmp_path: Path, version: str | None = None) -> Project:
    (tmp_path / "project").mkdir(exist_ok=True)
    return Project(tmp_path / "project", compiler=CompilerSettings(version=version))


def choose(
    wanted: Project, use: str | None = None, notify: Callable[[str], None] = lambda _: None, **texts: str
) -> Solc:
    return SolcChoice(wanted, use, notify).solc(texts.items())


def test_foundrys_compiler_is_taken_and_sees_no_secret(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = foundrys(home, "0.8.20")
    found = choose(project(tmp_path, "0.8.20"), notify=pytest.fail)
    assert found == Solc("0.8.20", program, False, "Foundry's cache")
    monkeypatch.setenv("TOKEN", "secret")
    assert found.start().compile({}) == {"secret": "", "at": str(program.parent)}


def test_newest_solc_admitted_by_pragmas_is_chosen(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foundrys(home, "0.8.20")
    foundrys(home, "0.8.9")
    put_program(tmp_path / "bin" / "solc", native("0.8.25"))
    cache = tmp_path / "XDG_CACHE_HOME" / "fvm-hypervisor" / "solc" / "0.8.999"
    cache.mkdir(parents=True)
    (cache / "soljson.js").write_bytes(b"x")
    (cache / "sha256").write_text(sha256(b"x").hexdigest())
    for pragma, version, origin in (
        ("<0.8.20", "0.8.9", "Foundry's cache"),
        ("<0.8.24", "0.8.20", "Foundry's cache"),
        ("<0.8.30", "0.8.25", "PATH"),
        ("^0.8.0", "0.8.999", "npm"),
    ):
        found = choose(project(tmp_path), A=f"pragma solidity {pragma};")
        assert (found.version, found.origin) == (version, origin)


def test_solc_is_found_in_foundry_xdg_data_folder(tmp_path: Path) -> None:
    put_program(tmp_path / "XDG_DATA_HOME" / "svm" / "0.8.20" / "solc-0.8.20", native("0.8.20"))
    assert choose(project(tmp_path, "0.8.20")).origin == "Foundry's cache"


@pytest.mark.parametrize(
    "build",
    ["-develop.2025.1.1+commit.a1b79de6.Linux.g++", "+commit.a1b79de6.mod.Linux.g++", "", "-nightly+commit.a1b79de6.L"],
)
def test_a_development_build_is_not_the_release(tmp_path: Path, home: Path, build: str) -> None:
    """It writes another version into the metadata, and so another hash at the end of the code."""
    foundrys(home, "0.8.20", native("0.8.20", build))
    put_program(tmp_path / "bin" / "solc", native("0.8.20", build))
    with pytest.raises(InvalidInput, match=r"npm error called"):
        choose(project(tmp_path, "0.8.20"))


def test_binary_of_other_release_than_its_folder_is_not_used(tmp_path: Path, home: Path) -> None:
    foundrys(home, "0.8.20", native("0.8.21"))
    with pytest.raises(InvalidInput, match=r"npm error called"):
        choose(project(tmp_path, "0.8.20"))


def test_project_solc_binary_on_path_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = project(tmp_path, "0.8.20")
    hostile = put_program(wanted.root / "bin" / "solc", f"touch {tmp_path}/ran; {native('0.8.20')}")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "solc").symlink_to(hostile)
    monkeypatch.chdir(wanted.root)
    for entry in (hostile.parent, "bin", "", tmp_path / "links"):
        monkeypatch.setenv("PATH", f"{entry}{os.pathsep}{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
        with pytest.raises(InvalidInput, match=r"npm error called"):
            choose(wanted)
    assert not (tmp_path / "ran").exists()


def test_a_program_that_everybody_may_change_does_not_run(tmp_path: Path, home: Path) -> None:
    program = foundrys(home, "0.8.20", f"touch {tmp_path}/ran; {native('0.8.20')}")
    for place in (program, program.parent, home):
        mode = place.stat().st_mode
        place.chmod(mode | 0o002)
        with pytest.raises(InvalidInput, match=r"npm error called"):
            choose(project(tmp_path, "0.8.20"))
        place.chmod(mode)
    assert not (tmp_path / "ran").exists()
    assert choose(project(tmp_path, "0.8.20")).path == program


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """URL of a server of the files in a folder."""

    class Files(Handler):
        def do_GET(self) -> None:
            file = folder / self.path.lstrip("/")
            self.answer(file.read_bytes()) if file.is_file() else self.answer(b"", 404)

    with serving(Files) as url:
        yield url


def listed(folder: Path, version: str, content: str, digest: str | None = None) -> None:
    """Put a release on the official site: the list, in its format, and the program."""
    name = f"solc-{PLATFORM}-v{version}+commit.{COMMIT}"
    program = put_program(folder / PLATFORM / name, content)
    known = sha256(program.read_bytes()).hexdigest() if digest is None else digest
    build = {"path": name, "version": version, "build": f"commit.{COMMIT}", "sha256": f"0x{known}"}
    nightly = {"path": f"{name}-nightly", "version": version, "sha256": f"0x{'0' * 64}"}
    (folder / PLATFORM / "list.json").write_text(
        json.dumps({"builds": [nightly, build], "releases": {version: name}, "latestRelease": version})
    )


def test_listed_solc_is_downloaded_once_and_verified_per_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(tmp_path / "site", "0.8.20", native("0.8.20"))
    messages: list[str] = []
    with served(tmp_path / "site") as url:
        monkeypatch.setenv("FVM_SOLC_BINARIES", url)
        found = choose(project(tmp_path), notify=messages.append, A="pragma solidity =0.8.20;")
    assert (found.version, found.is_javascript, found.origin) == ("0.8.20", False, "solc-bin")
    assert messages == [f"Installing Solc 0.8.20 for {PLATFORM}"]
    assert "at" in found.start().compile({})
    assert choose(project(tmp_path, "0.8.20"), notify=pytest.fail) == found
    found.path.write_text(found.path.read_text() + f"touch {tmp_path}/ran\n")
    with pytest.raises(
        InvalidInput, match=r"is not solc 0\.8\.20: its SHA-256 is .*Delete .* to download the compiler again"
    ):
        choose(project(tmp_path, "0.8.20"))
    assert not (tmp_path / "ran").exists()


def test_solc_with_unlisted_hash_is_refused_and_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(tmp_path / "site", "0.8.20", native("0.8.20"), digest="ab" * 32)
    with served(tmp_path / "site") as url:
        monkeypatch.setenv("FVM_SOLC_BINARIES", url)
        with pytest.raises(InvalidInput, match=rf"is not solc 0\.8\.20: SHA-256 .*, the list has {'ab' * 32}"):
            choose(project(tmp_path, "0.8.20"))
    assert not [place for place in (tmp_path / "XDG_CACHE_HOME").rglob("*") if place.is_file()]


@pytest.mark.parametrize("case", ["no such release", "no list", "nobody there", "does not run", "a path", "no object"])
def test_npm_is_used_if_official_list_has_no_runnable_solc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    site = tmp_path / "site"
    listed(site, "0.8.19" if case == "no such release" else "0.8.20", "exit 1" if case == "does not run" else "")
    if case == "no list":
        (site / PLATFORM / "list.json").unlink()
    if case == "a path":
        content = json.loads((site / PLATFORM / "list.json").read_text())
        content["releases"]["0.8.20"] = content["builds"][1]["path"] = "../solc"
        (site / PLATFORM / "list.json").write_text(json.dumps(content))
    if case == "no object":
        (site / PLATFORM / "list.json").write_text("[]")
    with served(site) as url:
        monkeypatch.setenv("FVM_SOLC_BINARIES", "http://127.0.0.1:1" if case == "nobody there" else url)
        with pytest.raises(InvalidInput, match=r"npm could not get solc 0\.8\.20: npm error called"):
            choose(project(tmp_path, "0.8.20"))
    assert not [place for place in (tmp_path / "XDG_CACHE_HOME").rglob("*") if place.is_file()]


def test_offline_solc_lookup_makes_no_request(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foundrys(home, "0.8.9")
    monkeypatch.setenv("FVM_SOLC_BINARIES", "http://127.0.0.1:1")
    with pytest.raises(InvalidInput, match=r"--offline .* installed: 0\.8\.9$"):
        choose(replace(project(tmp_path, "0.8.20"), offline=True), notify=pytest.fail)

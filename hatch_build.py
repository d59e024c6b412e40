"""Hatchling build hook that writes the bindings of the built-in actors and compiles modules with mypyc.

The bindings (`bridge/bindings`) are generated from schemas for each sdist, wheel and editable installation. The modules
to compile are listed in `compiled.toml`. A wheel contains the compiled modules next to their sources if this machine
has a C compiler and it succeeds; FVM_COMPILED=1 requires that, and FVM_COMPILED=0 compiles nothing. Editable
installations are not compiled. As a program it compiles in place, and undoes that:

    python hatch_build.py in-place | interpreted | lacking

A record next to `store/compiled.py` lists the compiled modules, their interpreter and the digests of their sources;
that module rejects mismatches.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from contextlib import chdir
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
GROUP = "fvm"
"""Name of the shared library with the code of all modules (fvm__mypyc); a stub next to each source loads it."""
RECORD = "store/compiled.json"
SUFFIX = EXTENSION_SUFFIXES[0]
"""Suffix of a compiled module, which names the interpreter: `.cpython-311-x86_64-linux-gnu.so`."""
BUILD_REQUIREMENTS = ("mypy==2.4.1", "setuptools>=77", "pybind11>=3")


class BuildHook(BuildHookInterface):  # type: ignore[type-arg]  # generic for the type checker only
    """The build hook that hatchling calls before it builds an sdist or a wheel."""

    def dependencies(self) -> list[str]:
        """Return the build requirements besides those of pyproject.toml: none unless modules are compiled."""
        if self.target_name != "wheel" or _choice() == "0" or lacking():
            return []
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return [*BUILD_REQUIREMENTS, *project["dependencies"]]  # mypy reads the types of the latter

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the bindings. Compile for a wheel, and tag it for this interpreter."""
        take_back_outdated(ROOT)
        subprocess.run([sys.executable, "-m", "fvm_hypervisor.bindings.actors.python"], cwd=ROOT, check=True)
        if version != "standard" or self.target_name != "wheel" or _choice() == "0":
            return
        try:
            folder = compile_modules(ROOT)
        except CannotCompile as error:
            if _choice() == "1":
                self.app.abort(f"error: {error}")
            self.app.display_warning(f"The modules are not compiled, so they run slower: {error}")
            return
        _write_record(folder, {SUFFIX: dict.fromkeys(modules(ROOT))})
        files = [path for path in folder.rglob("*") if path.is_file()]
        build_data |= {"pure_python": False, "infer_tag": True}
        build_data["force_include"] |= {str(path): path.relative_to(folder).as_posix() for path in files}


class CannotCompile(Exception):
    """Raised if the C compiler is missing or fails."""


def _choice() -> str:
    """Return FVM_COMPILED: "1", "0", or empty if the presence of a C compiler decides. ValueError for another value."""
    choice = os.environ.get("FVM_COMPILED", "")
    if choice not in ("", "0", "1"):
        raise ValueError(f"FVM_COMPILED={choice} is not 0 or 1")
    return choice


def modules(root: Path) -> list[str]:
    """Return the modules to compile, as paths from the root. ValueError if `compiled.toml` names a missing path."""
    table = tomllib.loads((root / "compiled.toml").read_text(encoding="utf-8"))
    interpreted = {root / path for path in table["interpreted"]}
    listed = {root / path for path in (*table["packages"], *table["files"])}
    if missing := [str(path.relative_to(root)) for path in listed | interpreted if not path.exists()]:
        raise ValueError(f"compiled.toml names {', '.join(missing)}, which does not exist: remove it")
    found = {path for package in table["packages"] for path in (root / package).rglob("*.py")}
    found = {path for path in found if path.name != "__init__.py" and not interpreted & {path, *path.parents}}
    return sorted(path.relative_to(root).as_posix() for path in found | {root / path for path in table["files"]})


def lacking() -> str:
    """Return what this machine lacks to compile, and the remedy; empty if it lacks nothing."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler '{compiler}': install one, or name it in CC"
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        return f"{header} is missing: install the headers of this Python, e.g. python3-dev"
    return ""


def compile_modules(root: Path) -> Path:
    """Compile the modules on all cores; return a folder with the shared libraries at their paths in a wheel.

    Object files of the last complete build are reused if their C source, all generated headers, the tools and their
    settings are unchanged. Raises CannotCompile.
    """
    if lack := lacking():
        raise CannotCompile(lack)
    from mypyc.build import mypycify
    from pybind11.setup_helpers import ParallelCompile
    from setuptools import Distribution
    from setuptools.errors import CCompilerError, ExecError

    work = root / "build" / f"compiled{SUFFIX.removesuffix('.so')}"
    shutil.rmtree(work / "lib", ignore_errors=True)
    with chdir(root):  # mypyc derives module names from relative paths
        sources = mypycify(
            modules(root), multi_file=True, target_dir=str(work), group_name=GROUP, opt_level="1", debug_level="0"
        )
        build = Distribution({"name": GROUP, "ext_modules": sources}).get_command_obj("build_ext")
        build.build_lib, build.build_temp = str(work / "lib"), str(work / "objects")
        build.ensure_finalized()
        inputs, record = _compiler_inputs(work), work / "objects.json"
        previous = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
        record.unlink(missing_ok=True)  # after an incomplete build nothing is reused
        changed = {name for name, digest in inputs.items() if previous.get(name) != digest}
        compiles_all = any(not name.endswith(".c") for name in changed)
        try:
            with ParallelCompile(needs_recompile=lambda _, source: compiles_all or source in changed):
                build.run()
        except (CCompilerError, ExecError) as error:
            raise CannotCompile(f"the C compiler failed: {error!s:.200}") from error
        partial = record.with_suffix(".new")
        partial.write_text(json.dumps(inputs), encoding="utf-8")
        partial.replace(record)
    return work / "lib"


def _compiler_inputs(work: Path) -> dict[str, str]:
    """Return what object files depend on: tools, their settings, and digests of generated C files and headers."""
    settings = {name: os.environ.get(name, "") for name in ("CC", "CFLAGS", "CPPFLAGS", "ARCHFLAGS")}
    settings |= {f"Python's {name}": str(sysconfig.get_config_var(name)) for name in ("CC", "CFLAGS", "INCLUDEPY")}
    settings |= {"Python": sys.version, "mypy": metadata.version("mypy"), "this file": _digest(Path(__file__))}
    return settings | {str(path): _digest(path) for path in work.rglob("*.[ch]")}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build_in_place(root: Path) -> None:
    """Put compiled modules next to their sources. The record is written last: without it they are rejected."""
    sources = {path: _state(root / path) for path in modules(root)}
    if not lacking():
        print(f"compiling {len(sources)} modules, which takes some minutes", flush=True)
    folder = compile_modules(root)
    take_back(root, SUFFIX)
    shutil.copytree(folder, root, dirs_exist_ok=True)
    _write_record(root, _read_record(root) | {SUFFIX: sources})
    print(f"{len(sources)} modules are compiled for {SUFFIX}; `make interpreted` removes them")


def take_back(root: Path, suffix: str = ".so") -> None:
    """Remove compiled modules, the record first, for one interpreter or for all."""
    _write_record(root, {name: sources for name, sources in _read_record(root).items() if not name.endswith(suffix)})
    for package in root.glob("*/__init__.py"):
        for library in package.parent.rglob(f"*{suffix}"):
            if library.with_name(library.name.split(".")[0] + ".py").exists():
                library.unlink()
    for library in root.glob(f"{GROUP}__mypyc*{suffix}"):
        library.unlink()


def take_back_outdated(root: Path) -> None:
    """Remove the compiled modules if a source has changed: the packages could not be imported, not even to build.

    Remove them also if their record is missing, as after a killed build.
    """
    recorded: dict[str, list[object]] = _read_record(root).get(SUFFIX, {})
    if not recorded or any(
        not (root / path).exists() or _state(root / path)[-1] != state[-1] for path, state in recorded.items()
    ):
        take_back(root, SUFFIX)


def _state(source: Path) -> list[object]:
    """Return the properties that `store.compiled` compares."""
    status = source.stat()
    return [status.st_size, status.st_mtime_ns, _digest(source)]


def _read_record(root: Path) -> dict[str, Any]:
    path = root / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _write_record(root: Path, record: dict[str, object]) -> None:
    if record:
        (root / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    else:
        (root / RECORD).unlink(missing_ok=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["in-place"]:
            try:
                build_in_place(ROOT)
            except CannotCompile as error:
                sys.exit(f"error: {error}")
            sys.stdout.flush()
            os._exit(0)  # freeing mypy's syntax trees would take half a minute
        case ["interpreted"]:
            take_back(ROOT)
        case ["lacking"]:
            print(lacking())
        case _:
            sys.exit(f"usage: python {sys.argv[0]} in-place | interpreted | lacking")

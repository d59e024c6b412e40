"""Compiles modules of the packages with mypyc; `compiled.toml` lists them.

This is a build hook of hatchling: with FVM_COMPILED=1 a wheel contains the compiled modules next to their sources;
otherwise nothing is compiled and no compiler is needed. As a program it compiles in place, and undoes that:

    python hatch_build.py in-place | interpreted | lacking

A record next to `store/compiled.py` lists the compiled modules, their interpreter and the digests of their sources;
that module rejects mismatches. Builds are incremental (build/compiled-*): mypyc writes a C file for each module, so an
edit costs its analysis, one C file and the link.

mypyc reads a copy of the sources in which dataclasses have an explicit `__init__`. It would leave generated ones to the
interpreter, where a frozen instance of ten fields takes 1.3 us instead of 0.1 us.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import sys
import sysconfig
import tomllib
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from setuptools import Extension

ROOT = Path(__file__).resolve().parent
GROUP = "fvm"
"""Name of the shared library with the code of all modules (fvm__mypyc); a stub next to each source loads it."""
RECORD = "store/compiled.json"
SUFFIX = EXTENSION_SUFFIXES[0]
"""Suffix of a compiled module, which names the interpreter: `.cpython-311-x86_64-linux-gnu.so`."""
BUILD_REQUIREMENTS = ("mypy==2.4.1", "setuptools>=77")


class CompiledWheel(BuildHookInterface):  # type: ignore[type-arg]
    """The build hook that hatchling calls before it builds a wheel."""

    def dependencies(self) -> list[str]:
        """Return the build requirements besides hatchling: none unless modules are compiled."""
        if not _wanted(self.target_name):
            return []
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return [*BUILD_REQUIREMENTS, *project["dependencies"]]  # mypy reads the types of the latter

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and include the result in the wheel under the tag of this interpreter."""
        if version != "standard" or not _wanted(self.target_name):
            return
        if lack := lacking():
            self.app.abort(f"error: {lack}")
        libraries = compile_modules(ROOT)
        record = _work(ROOT) / "wheel.json"
        record.write_text(json.dumps({SUFFIX: dict.fromkeys(modules(ROOT))}, indent=1), encoding="utf-8")
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"] |= {str(library): place for place, library in libraries.items()}
        build_data["force_include"][str(record)] = RECORD


def _wanted(target: str) -> bool:
    return target == "wheel" and os.environ.get("FVM_COMPILED", "0") not in ("", "0")


# --- which modules ---------------------------------------------------------------------------------------------


def modules(root: Path) -> list[str]:
    """Return the modules to compile, as paths from the root. ValueError if `compiled.toml` names a missing path."""
    table = tomllib.loads((root / "compiled.toml").read_text(encoding="utf-8"))
    interpreted: dict[str, str] = table["interpreted"]
    missing = [path for path in (*table["packages"], *table["files"], *interpreted) if not (root / path).exists()]
    if missing:
        raise ValueError(f"compiled.toml names {', '.join(missing)}, which does not exist: remove it")
    found = (path.relative_to(root) for package in table["packages"] for path in (root / package).rglob("*.py"))
    whole = {path.as_posix() for path in found if path.name != "__init__.py" and not _named(path, interpreted)}
    return sorted(whole | set(table["files"]))


def _named(path: Path, names: Iterable[str]) -> bool:
    return any(path == Path(name) or Path(name) in path.parents for name in names)


# --- compiling -------------------------------------------------------------------------------------------------


def lacking() -> str:
    """Return what this machine lacks to compile, and the remedy; empty if it lacks nothing."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler '{compiler}': install one, or name it in CC"
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        return f"{header} is missing: install the headers of this Python, e.g. python3-dev"
    return ""


def compile_modules(root: Path) -> dict[str, Path]:
    """Return the shared libraries by their paths in a wheel, rebuilding only what has changed."""
    from mypyc.build import mypycify

    with chdir(_write_sources(root)):  # mypyc derives module names from paths relative to this folder
        extensions = mypycify(
            modules(root),
            multi_file=True,
            target_dir=str(_work(root)),
            group_name=GROUP,
            opt_level=_optimization(),
            debug_level="0",
        )
        _mend_runtime(extensions)
        return {_place(extension): library for extension, library in _build(extensions, _work(root))}


def _work(root: Path) -> Path:
    return root / "build" / f"compiled{SUFFIX.removesuffix('.so')}-O{_optimization()}"


def _optimization() -> str:
    return os.environ.get("MYPYC_OPT_LEVEL", "1")  # -O2 takes a third longer to build


def _place(extension: Extension) -> str:
    return str(extension.name).replace(".", "/") + SUFFIX


def _mend_runtime(extensions: Iterable[Extension]) -> None:
    """Patch a leak in mypyc's C code, which never frees the text of ints of 2**62 or more, as in f"{n}"."""
    leaking, mended = "PyObject_Str(CPyTagged_AsObject(n))", "PyObject_Str(CPyTagged_LongAsObject(n))"  # new, borrowed
    for extension in extensions:
        for place, source in enumerate(extension.sources):
            if Path(source).name == "misc_ops.c":
                text = Path(source).read_text(encoding="utf-8")
                if text.count(leaking) != 2:
                    raise ValueError(f"{source} is not from {BUILD_REQUIREMENTS[0]}: check whether it still leaks ints")
                extension.sources[place] = _written(Path(source).parent / "mended.c", text.replace(leaking, mended))


def _written(path: Path, text: str) -> str:
    """Write a file unless it already has this text, which preserves its time stamp; return its path."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return str(path)


def _build(extensions: Iterable[Extension], work: Path) -> Iterator[tuple[Extension, Path]]:
    """Compile and link outdated files on all cores; setuptools alone would recompile everything."""
    from setuptools._distutils.ccompiler import new_compiler
    from setuptools._distutils.sysconfig import customize_compiler

    compiler = new_compiler()
    customize_compiler(compiler)
    includes = [sysconfig.get_path("include")]
    headers = max(path.stat().st_mtime_ns for path in work.rglob("*.h"))

    def compiled(extension: Extension, source: str) -> str:
        (built,) = compiler.object_filenames([source], output_dir=str(work / "objects"))
        newest = max(headers, os.stat(source).st_mtime_ns)
        if not _is_newer(Path(built), newest):
            options = [*extension.extra_compile_args, "-Wno-error"]
            folders = includes + extension.include_dirs
            compiler.compile([source], str(work / "objects"), include_dirs=folders, extra_postargs=options)
            _date(Path(built), newest)
        return str(built)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [(each, [pool.submit(compiled, each, source) for source in each.sources]) for each in extensions]
        for extension, objects in jobs:
            made = [job.result() for job in objects]
            library = work / "lib" / _place(extension)
            newest = max(os.stat(name).st_mtime_ns for name in made)
            if not _is_newer(library, newest):
                compiler.link_shared_object(made, str(library))
                _date(library, newest)
            yield extension, library


def _date(path: Path, newest: int) -> None:
    """Make an output no older than its inputs: mypyc sets the time of its files a second ahead."""
    if path.stat().st_mtime_ns < newest:
        os.utime(path, ns=(newest, newest))


def _is_newer(path: Path, time: int) -> bool:
    return path.exists() and path.stat().st_mtime_ns >= time


# --- sources for mypyc -----------------------------------------------------------------------------------------


def packages(root: Path) -> set[str]:
    """Return the packages that mypyc reads: all with types, including those without compiled modules."""
    return {Path(path).parts[0] for path in modules(root)} | {path.parent.name for path in root.glob("*/py.typed")}


def _write_sources(root: Path) -> Path:
    """Write the sources as mypyc reads them, preserving time stamps of unchanged files; return the folder."""
    folder, compiled = _work(root) / "sources", modules(root)
    sources = {path.relative_to(root) for package in packages(root) for path in (root / package).rglob("*.py")}
    texts = {path: (root / path).read_text(encoding="utf-8") for path in sources | {Path("pyproject.toml")}}
    inherited = {name for path in compiled for name in _bases(texts[Path(path)])}
    texts |= {Path(path): with_initializers(texts[Path(path)], inherited) for path in compiled}
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        _written(folder / path, text)
    for path in folder.glob("*/**/*.py"):
        if path.relative_to(folder) not in sources:
            path.unlink()
    return folder


def _bases(text: str) -> Iterator[str]:
    """Yield the names of the base classes in a module, as written, without their modules."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            yield from (ast.unparse(base).rpartition(".")[2].partition("[")[0] for base in node.bases)


def with_initializers(text: str, inherited: Collection[str] = ()) -> str:
    """Return a module in which plain dataclasses have the `__init__` that the decorator would generate.

    It replaces a blank line after the class, so line numbers do not change. The decorator then generates none, which
    would take a third of its time. `inherited` names base classes, which are not changed: mypyc would call their
    `__init__` with all arguments of the subclass's.
    """
    lines = text.split("\n")
    for node in ast.parse(text).body:
        initializer = _initializer(node) if isinstance(node, ast.ClassDef) and node.name not in inherited else None
        if not isinstance(node, ast.ClassDef) or initializer is None or node.end_lineno is None:
            continue
        if lines[node.end_lineno : node.end_lineno + 1] != [""]:
            continue
        at = node.decorator_list[0].lineno - 1
        lines[at] = lines[at].replace("@dataclass(", "@dataclass(init=False, ")
        lines[node.end_lineno : node.end_lineno + 1] = [initializer, *[""] * (node.end_lineno + 1 == len(lines))]
    return "\n".join(lines)


def _initializer(node: ast.ClassDef) -> str | None:
    """Return the `__init__` of a frozen dataclass as one line, or None.

    None for classes that inherit, define one, or have fields with more than a name, a type and an immutable default.
    """
    if not _is_frozen_dataclass(node):
        return None
    parameters, statements, methods = ["self"], [], set()
    for part in node.body:
        match part:
            case ast.FunctionDef(name):
                methods.add(name)
            case ast.AnnAssign(ast.Name(name), kind, default):
                field = _field(default)
                if field is None or _SPECIAL.search(ast.unparse(kind)):
                    return None
                value = field.get("default")
                preset = "" if value is None else f" = {ast.unparse(value)}"
                if "init" not in field:
                    parameters.append(f"{name}: {ast.unparse(kind)}{preset}")
                    statements.append(f"self.{name} = {name}")
                elif isinstance(value, ast.Constant) or preset == " = ()":
                    statements.append(f"self.{name}{preset}")
                elif value is not None:
                    return None
            case ast.Expr(ast.Constant()):
                pass
            case _:
                return None
    if not statements or "__init__" in methods:
        return None
    if "__post_init__" in methods:
        statements.append("self.__post_init__()")
    # mypy forbids assignments to frozen fields outside the generated method.
    return f"    def __init__({', '.join(parameters)}) -> None: {'; '.join(statements)}  # type: ignore[misc]"


def _is_frozen_dataclass(node: ast.ClassDef) -> bool:
    """Return True if a class has no other decorator, and no option that affects the initializer."""
    match node.decorator_list:
        case [ast.Call(ast.Name("dataclass"), [], words)] if not node.bases and not node.keywords:
            options = {word.arg: ast.unparse(word.value) for word in words}
            return options.get("frozen") == "True" and options.keys() <= {"frozen", "slots", "eq", "order"}
    return False


_SPECIAL = re.compile(r"\b(ClassVar|InitVar|KW_ONLY|Final)\b")


def _field(default: ast.expr | None) -> dict[str | None, ast.expr] | None:
    """Return the options of a field; None if they are not supported."""
    match default:
        case None:
            return {}
        case ast.Call(ast.Name("field"), [], words):
            given = {word.arg: word.value for word in words}
            is_plain = given.keys() <= {"default", "compare", "repr", "hash", "init"}
            return given if is_plain and ("init" not in given or ast.unparse(given["init"]) == "False") else None
        case ast.Constant() | ast.Name() | ast.Tuple(elts=[]) | ast.Call(ast.Name(), [*_], []):
            return {"default": default}
    return None


# --- in place --------------------------------------------------------------------------------------------------


def build_in_place(root: Path) -> None:
    """Put compiled modules next to their sources. The record is written last: without it they are rejected."""
    sources = {path: _state(root / path) for path in modules(root)}
    libraries = compile_modules(root)
    take_back(root, SUFFIX)
    for place, library in libraries.items():
        shutil.copy2(library, root / place)
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


def _state(source: Path) -> list[object]:
    """Return the properties that `store.compiled` compares."""
    status = source.stat()
    return [status.st_size, status.st_mtime_ns, hashlib.sha256(source.read_bytes()).hexdigest()]


def _read_record(root: Path) -> dict[str, object]:
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
            if lack := lacking():
                sys.exit(f"error: {lack}")
            build_in_place(ROOT)
        case ["interpreted"]:
            take_back(ROOT)
        case ["lacking"]:
            print(lacking())
        case _:
            sys.exit(f"usage: python {sys.argv[0]} in-place | interpreted | lacking")

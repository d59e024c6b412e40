"""Compiles modules of the packages with mypyc, from the sources that people read: `compiled.toml` says which.

A build hook of hatchling: with FVM_COMPILED=1 a wheel carries the compiled modules beside their sources; without it
nothing is compiled and no compiler is needed. As a program it builds in place, and takes that back:

    python hatch_build.py in-place | interpreted | lacking

A record beside `store/compiled.py` says what was compiled, for which interpreter and from which sources; that module
refuses what does not fit. What is compiled again is what has changed (build/compiled-*): mypyc writes a file of C for
each module, so that one edit costs its analysis, one file and the link.

mypyc reads a copy of the sources in which dataclasses have an `__init__` of their own. It leaves those that the
decorator makes to the interpreter, where a frozen instance of ten fields takes 1.3 us instead of 0.1.
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
"""One shared library holds the code of all modules (fvm__mypyc); beside each source lies one that leads there."""
RECORD = "store/compiled.json"
SUFFIX = EXTENSION_SUFFIXES[0]
"""`.cpython-311-x86_64-linux-gnu.so`: the interpreter that a module is compiled for."""
BUILD_REQUIREMENTS = ("mypy==2.4.1", "setuptools>=77")


class CompiledWheel(BuildHookInterface):  # type: ignore[type-arg]
    """What hatchling asks before it makes a wheel."""

    def dependencies(self) -> list[str]:
        """What a build needs beside hatchling: nothing where nothing is compiled."""
        if not _wanted(self.target_name):
            return []
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return [*BUILD_REQUIREMENTS, *project["dependencies"]]  # mypy reads the types of the latter

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and let the wheel carry it under the tag of this interpreter."""
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
    """The modules that are compiled, as paths from the root. ValueError if `compiled.toml` names what is not there."""
    table = tomllib.loads((root / "compiled.toml").read_text(encoding="utf-8"))
    interpreted: dict[str, str] = table["interpreted"]
    missing = [path for path in (*table["packages"], *table["files"], *interpreted) if not (root / path).exists()]
    if missing:
        raise ValueError(f"compiled.toml names {', '.join(missing)}, which is not there: take it out")
    found = (path.relative_to(root) for package in table["packages"] for path in (root / package).rglob("*.py"))
    whole = {path.as_posix() for path in found if path.name != "__init__.py" and not _named(path, interpreted)}
    return sorted(whole | set(table["files"]))


def _named(path: Path, names: Iterable[str]) -> bool:
    return any(path == Path(name) or Path(name) in path.parents for name in names)


# --- compiling -------------------------------------------------------------------------------------------------


def lacking() -> str:
    """What this machine lacks to compile, and what to do, in a sentence; empty where it lacks nothing."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler '{compiler}': install one, or name it in CC"
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        return f"{header} is missing: install the headers of this Python, e.g. python3-dev"
    return ""


def compile_modules(root: Path) -> dict[str, Path]:
    """The shared libraries, by their places in a wheel; what has not changed since the last time is there already."""
    from mypyc.build import mypycify

    with chdir(_write_sources(root)):  # mypyc names modules by their paths from here
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
    """Let mypyc's own C free what it forgets: it keeps each int of 2**62 or more that was made text, as by f"{n}"."""
    leaking, mended = "PyObject_Str(CPyTagged_AsObject(n))", "PyObject_Str(CPyTagged_LongAsObject(n))"  # new; borrowed
    for extension in extensions:
        for place, source in enumerate(extension.sources):
            if Path(source).name == "misc_ops.c":
                text = Path(source).read_text(encoding="utf-8")
                if text.count(leaking) != 2:
                    raise ValueError(
                        f"{source} is not that of {BUILD_REQUIREMENTS[0]}: see whether it still leaks ints"
                    )
                extension.sources[place] = _written(Path(source).parent / "mended.c", text.replace(leaking, mended))


def _written(path: Path, text: str) -> str:
    """The path, once it has that text; what has it already keeps its date."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return str(path)


def _build(extensions: Iterable[Extension], work: Path) -> Iterator[tuple[Extension, Path]]:
    """Compile and link what is older than what it is made of, on all cores; setuptools alone would compile it all."""
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
    """Let what was made be no older than what it was made of: mypyc dates what it writes a second ahead."""
    if path.stat().st_mtime_ns < newest:
        os.utime(path, ns=(newest, newest))


def _is_newer(path: Path, time: int) -> bool:
    return path.exists() and path.stat().st_mtime_ns >= time


# --- what mypyc reads ------------------------------------------------------------------------------------------


def packages(root: Path) -> set[str]:
    """The packages that mypyc reads: those that have types, though none of their modules is compiled."""
    return {Path(path).parts[0] for path in modules(root)} | {path.parent.name for path in root.glob("*/py.typed")}


def _write_sources(root: Path) -> Path:
    """The folder with the sources as mypyc reads them; what has not changed keeps its date."""
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
    """The names of the classes that a module's inherit from, as they are written, without their modules."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            yield from (ast.unparse(base).rpartition(".")[2].partition("[")[0] for base in node.bases)


def with_initializers(text: str, inherited: Collection[str] = ()) -> str:
    """A module in which plain dataclasses have the `__init__` that the decorator would give them.

    It takes the place of a blank line behind the class, so all lines keep their numbers. The decorator makes none of
    its own, which would take a third of its time. `inherited` names classes that others inherit from and which are left
    as they are: mypyc would call their `__init__` with all that the other's gets.
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
    """The `__init__` of a frozen dataclass on a line; None for all others.

    So for those that inherit, have one, or have fields that are more than a name, a type and a default of which a
    second one is as good.
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
    # mypy forbids what the class's own may do.
    return f"    def __init__({', '.join(parameters)}) -> None: {'; '.join(statements)}  # type: ignore[misc]"


def _is_frozen_dataclass(node: ast.ClassDef) -> bool:
    """Whether a class has no other decorator, and none of its options is about the initializer."""
    match node.decorator_list:
        case [ast.Call(ast.Name("dataclass"), [], words)] if not node.bases and not node.keywords:
            options = {word.arg: ast.unparse(word.value) for word in words}
            return options.get("frozen") == "True" and options.keys() <= {"frozen", "slots", "eq", "order"}
    return False


_SPECIAL = re.compile(r"\b(ClassVar|InitVar|KW_ONLY|Final)\b")


def _field(default: ast.expr | None) -> dict[str | None, ast.expr] | None:
    """What a field has besides its name and type; None where that is more than is understood here."""
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
    """Put compiled modules beside their sources. The record comes last: without it they are refused."""
    sources = {path: _state(root / path) for path in modules(root)}
    libraries = compile_modules(root)
    take_back(root, SUFFIX)
    for place, library in libraries.items():
        shutil.copy2(library, root / place)
    _write_record(root, _read_record(root) | {SUFFIX: sources})
    print(f"{len(sources)} modules run compiled on {SUFFIX}; `make interpreted` takes it back")


def take_back(root: Path, suffix: str = ".so") -> None:
    """Remove compiled modules, the record first; those of one interpreter, or all."""
    _write_record(root, {name: sources for name, sources in _read_record(root).items() if not name.endswith(suffix)})
    for package in root.glob("*/__init__.py"):
        for library in package.parent.rglob(f"*{suffix}"):
            if library.with_name(library.name.split(".")[0] + ".py").exists():
                library.unlink()
    for library in root.glob(f"{GROUP}__mypyc*{suffix}"):
        library.unlink()


def _state(source: Path) -> list[object]:
    """What `store.compiled` compares."""
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

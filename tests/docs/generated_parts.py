"""Generator of the parts of pages that `make docs` includes: `python -m tests.docs.generated_parts`.

Each part is a file in build/docs-parts. A file is written only if its text changed, so Sphinx reads only changed pages.

An option is supported if `hypervisor test --help` lists it, and a key if an invalid value is refused.
"""

import ast
import inspect
import re
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import groupby, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NewType

from typer.testing import CliRunner

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli import node as node_command
from hypervisor_tools.cli.commands import COMMANDS
from hypervisor_tools.cli.foundry.settings import ALIASES, UNSUPPORTED
from hypervisor_tools.cli.main import app
from hypervisor_tools.soltest.cheatcodes.table import MISSING, Cheatcode, table
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.project.settings import NOT_READ
from hypervisor_tools.soltest.project.tuning import GROUPS
from tests.docs import json_rpc_page
from tests.docs.forge_names import recorded

_PACKAGES: Final = ("hypervisor", "localnet")
_OURS: Final = ("hypervisor", "localnet", "bridge", "store")
_EXAMPLE: Final = re.compile(r"(?:^>>> .*\n(?:^.+\n)*)+", re.MULTILINE)
_QUOTE: Final = "'"
_TAG: Final = re.compile(r"<(?=[a-z])")


@dataclass(frozen=True, slots=True)
class Member:
    """A public method or property of a class, or its constructor."""

    name: str
    signature: str
    docstring: str


@dataclass(frozen=True, slots=True)
class PublicName:
    """A name of a package with its docstring, and the members of a class."""

    package: str
    name: str
    signature: str
    docstring: str
    members: tuple[Member, ...] = ()

    @property
    def full(self) -> str:
        return f"{self.package}.{self.name}"


def public_names(package: ModuleType) -> Iterator[PublicName]:
    """Return the names of a package's `__all__` in order."""
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isclass(value):
            node = _class(value)
            yield PublicName(
                package.__name__, name, _heading(node), _doc(node) + _field_list(node), tuple(_members(value))
            )
        elif isinstance(value, NewType):
            signature = f"{name} = NewType('{name}', {value.__supertype__.__name__})"
            yield PublicName(package.__name__, name, signature, inspect.cleandoc(value.__doc__ or ""))
        else:
            yield _function(package.__name__, name, value)


def _function(package: str, name: str, value: Any) -> PublicName:
    body = _tree(value.__module__).body
    node = next(each for each in body if isinstance(each, ast.FunctionDef) and each.name == name)
    return PublicName(package, name, _signature(node), _doc(node))


def _heading(node: ast.ClassDef) -> str:
    """Return the first line of a class, and the fields of a dataclass."""
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    first = f"class {node.name}({bases}):" if bases else f"class {node.name}:"
    fields = [
        f"    {ast.unparse(each)}"
        for each in node.body
        if isinstance(each, ast.AnnAssign) and not ast.unparse(each.target).startswith("_")
    ]
    return "\n".join([first, *fields]) if fields else first.removesuffix(":")


def _field_list(node: ast.ClassDef) -> str:
    """Return a list of the documented fields of a dataclass, or an empty text."""
    items = [
        f"- `{ast.unparse(field.target)}`: {' '.join(text.value.value.split())}"
        for field, text in pairwise(node.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    ]
    return "\n\n" + "\n".join(items) if items else ""


def _members(kind: type) -> Iterator[Member]:
    """Return the constructor if it has a docstring, then public members, the class's own before inherited ones."""
    seen: set[str] = set()
    for owner in kind.__mro__:
        if owner.__module__.split(".")[0] not in _OURS:
            continue
        for node in _class(owner).body:
            if not isinstance(node, ast.FunctionDef) or node.name in seen:
                continue
            if node.name == "__init__" and owner is kind and _doc(node):
                yield Member(kind.__name__, _signature(node, kind.__name__), _doc(node))
            elif not node.name.startswith("_"):
                yield Member(node.name, _signature(node), _doc(node))
            seen.add(node.name)


def _signature(node: ast.FunctionDef, name: str = "") -> str:
    kinds = {ast.unparse(each) for each in node.decorator_list}
    answer = "" if node.returns is None else f" -> {ast.unparse(node.returns).strip(_QUOTE)}"
    if kinds & {"property", "cached_property"}:
        return f"{node.name}{answer}"
    arguments = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(node.args))
    shown = f"{name or node.name}({arguments}){answer}"
    return f"classmethod {shown}" if "classmethod" in kinds else shown


def _class(kind: type) -> ast.ClassDef:
    body = _tree(kind.__module__).body
    return next(node for node in body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)


@cache
def _tree(module: str) -> ast.Module:
    """Return the syntax tree of a module's source."""
    spec = find_spec(module)
    assert spec is not None
    origin = Path(str(spec.origin))
    return ast.parse(origin.with_name(f"{origin.name.split('.')[0]}.py").read_text(encoding="utf-8"))


def _doc(node: ast.ClassDef | ast.FunctionDef) -> str:
    return ast.get_docstring(node) or ""


# --- the page ---------------------------------------------------------------------------------------------------------


def names_text() -> str:
    """Return the public names of both packages with their docstrings."""
    return "\n".join(line for name in _PACKAGES for line in _package(import_module(name)))


def core_modules() -> str:
    """Return the public modules of the core's packages: those that import-linter lets other packages import."""
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = [one for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "protected"]
    return "\n".join(line for contract in contracts for line in _public_modules(contract))


def _public_modules(contract: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {contract['protected_modules'][0]}\n"
    yield "| module | content |\n|---|---|"
    public = [name for name in contract["ignore_imports"] if name.startswith("** -> ")]
    for name in (line.removeprefix("** -> ") for line in public):
        found = find_spec(name)
        assert found is not None, f"pyproject.toml names {name}, which does not exist"
        assert found.origin is not None
        tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
        yield f"| `{name}` | {(ast.get_docstring(tree) or '').partition(chr(10))[0]} |"
    yield ""


def _package(package: ModuleType) -> Iterator[str]:
    names = list(public_names(package))
    yield f"## {package.__name__}\n"
    yield ", ".join(f"[`{name.name}`](#{name.name.lower()})" for name in names) + "\n"
    for name in names:
        yield f"### {name.name}\n"
        yield f"```text\n{name.signature}\n```\n"
        yield _text(name.docstring) + "\n"
        for member in name.members:
            yield f"**`{member.signature}`**\n"
            yield _text(member.docstring) + "\n"


def _text(docstring: str) -> str:
    """Return a docstring as Markdown, with fenced examples and escaped `f0<id>`."""
    parts = _EXAMPLE.split(f"{docstring}\n")
    texts = (_TAG.sub("&lt;", part) for part in parts)
    examples = [f"```pycon\n{found[0].rstrip()}\n```\n" for found in _EXAMPLE.finditer(f"{docstring}\n")]
    return "".join(map("".join, zip(texts, [*examples, ""], strict=True))).rstrip()


SUPPORTED, PARTIAL, MISSES = "supported", "partial", "missing"


def cheatcodes() -> str:
    return "\n".join(lines())


def lines() -> Iterator[str]:
    """Return the counts, forge's cheatcodes by name, and Filecoin's by signature."""
    entries = list(table().values())
    forge = [entry for entry in entries if not entry.filecoin]
    partial = sum(1 for entry in forge if entry.partial)
    yield (
        f"{len(forge) - partial} of forge's cheatcodes are supported, {partial} are partly supported, and "
        f"{len(MISSING)} are missing, counting overloads.\n"
    )
    yield "| cheatcode | | unsupported parts |"
    yield "|---|---|---|"
    for name, (mark, words) in sorted(names(forge).items()):
        yield f"| `{name}` | {mark} | {words} |"
    yield "\nFilecoin's own (`FilecoinVm.sol`):\n"
    yield from (f"- `{signature}`" for signature in sorted(entry.signature for entry in entries if entry.filecoin))


def names(forge: list[Cheatcode]) -> dict[str, tuple[str, str]]:
    """Return the two table columns of each cheatcode name."""
    have: dict[str, list[Cheatcode]] = defaultdict(list)
    lack: dict[str, list[str]] = defaultdict(list)
    for entry in forge:
        have[entry.name].append(entry)
    for signature in MISSING:
        lack[signature.split("(")[0]].append(signature)
    found = {}
    for name in {*have, *lack}:
        if name not in have:
            found[name] = MISSES, MISSING[lack[name][0]]
            continue
        words = sorted({entry.partial for entry in have[name] if entry.partial})
        words += [f"`{signature}`" for signature in lack[name]]
        found[name] = (PARTIAL if words else SUPPORTED), "; ".join(words)
    return found


_PANEL: Final = re.compile(r"^╭─ (.*?) ─+╮\n(.*?)^╰─+╯$", re.MULTILINE | re.DOTALL)
_COMMAND: Final = re.compile(r"^│ (\w\S*) +\S", re.MULTILINE)
_TERMINAL: Final = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "GITHUB_ACTIONS": ""}


def commands() -> str:
    return "\n".join(sections())


def refused_anvil_options() -> str:
    """Return the table of the anvil options that the node refuses, with their error texts."""
    rows = "".join(f"| `{option}` | {reason} |\n" for option, reason in node_command.UNSUPPORTED.items())
    return f"| option | here |\n|---|---|\n{rows}"


def sections() -> Iterator[str]:
    """Return the commands by panel of `--help`, each with its own help."""
    for panel, rows in groupby(COMMANDS, key=lambda row: row.panel):
        yield f"## {panel}\n"
        for row in rows:
            yield from _command(row.name)


@cache
def help_of(*command: str) -> str:
    """Return the output of `--help` without trailing spaces."""
    shown = CliRunner().invoke(app, [*command, "--help"], env=_TERMINAL, prog_name="hypervisor").output
    return "\n".join(line.rstrip() for line in shown.strip().splitlines())


def _command(*name: str) -> Iterator[str]:
    shown = help_of(*name)
    yield f"### hypervisor {' '.join(name)}\n\n```text\n{shown}\n```\n"
    for title, body in _PANEL.findall(shown):
        if title == "Commands":
            for below in _COMMAND.findall(body):
                yield from _command(*name, below)


ELSEWHERE: Final = {
    "--asc": "no: the order is that of the contracts",
    "--check": "`--snapshot check`, with `--snap FILE`",
    "--desc": "no: the order is that of the contracts",
    "--diff": "`--snapshot diff`, with `--snap FILE`",
    "--diff-sort": "no: sorted by share, smallest first",
    "--exclude-tests": "contracts with tests are left out; `--no-match-coverage` leaves out their files, too",
    "--include-libs": "no: the project's own sources are counted",
    "--lcov-version": "no: the file is of version 1, which all releases of lcov read",
    "--max": "no: all tests are in the file",
    "--min": "no: all tests are in the file",
}
"""Options of `forge coverage` and `forge snapshot` with other names here, or none."""

_IN_PART: Final = {"rpc_storage_caching.chains": "in part: `none` or all chains; a list means all chains"}


def own_options() -> frozenset[str]:
    """Return the options of `hypervisor test`."""
    return frozenset(re.findall(r"--[a-z][a-z0-9-]*", help_of("test")))


def reads(key: str) -> bool:
    """Return True if an invalid value of the key is refused."""
    table, _, inner = key.rpartition(".")
    wrong = '"wrong"' if key == "optimizer_details" else "{ wrong = 1 }"
    with tempfile.TemporaryDirectory() as folder:
        place = f"profile.default.{table}" if table else "profile.default"
        text = f"[{place}]\n{inner} = {wrong}\n" if not key.startswith("[") else f"{key[1:-1]} = 1\n"
        (Path(folder) / "foundry.toml").write_text(text, encoding="utf-8")
        try:
            load_project(Path(folder))
        except InvalidInput:
            return True
    return False


def forge_test_options() -> str:
    """Return the table of the options of `forge test`."""
    return _table((option, _supported(option)) for option in recorded()["test"])


def tuning_options() -> str:
    """Return the table of forge's options and keys for tuning, by group."""
    rows = "".join(
        f"| {group.title} | {_code(group.options)} | {_code(group.keys)} | {group.reason} |\n" for group in GROUPS
    )
    return f"| group | options | keys | here |\n|---|---|---|---|\n{rows}"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def report_options() -> str:
    """Return the table of the options of `forge coverage` and `forge snapshot`."""
    names = recorded()
    return _table((option, ELSEWHERE.get(option, "yes")) for option in [*names["coverage"], *names["snapshot"]])


def keys() -> str:
    return _table((key, _IN_PART.get(key, "yes") if reads(key) else NOT_READ[key]) for key in recorded()["keys"])


_OTHER_MEANING: Final = {
    "--fail-fast": "yes, after the first failing suite",
    "--network": "another meaning: Filecoin's network version; `--rules` selects Ethereum's or Filecoin's rules",
    "--skip": "yes, a glob for each `--skip`",
    "--watch": "yes, without paths: sources, `foundry.toml` and `remappings.txt` are watched",
}


def _supported(option: str) -> str:
    if option in _OTHER_MEANING:
        return _OTHER_MEANING[option]
    reasons: Mapping[str, str] = {**UNSUPPORTED, **{alias: UNSUPPORTED[name] for alias, name in ALIASES.items()}}
    return "yes" if option in own_options() else f"no: {reasons[option]}"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "| name | here |\n|---|---|\n" + "".join(f"| `{name}` | {words} |\n" for name, words in rows)


FOLDER: Final = Path(__file__).resolve().parents[2] / "build" / "docs-parts"
PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "commands": commands,
    "anvil-options": refused_anvil_options,
    "public-names": names_text,
    "core-modules": core_modules,
    "cheatcodes": cheatcodes,
    "forge-test-options": forge_test_options,
    "forge-report-options": report_options,
    "forge-tuning-options": tuning_options,
    "foundry-keys": keys,
    "rpc-methods": json_rpc_page.methods_text,
}
"""Generators by the name of the part."""


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, generate in PARTS.items():
        path, text = folder / f"{name}.md", generate()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        write(FOLDER)
    except AssertionError as error:
        sys.exit(f"error: {error}")

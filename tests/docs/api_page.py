"""Public names of docs/api.md, from their docstrings.

Everything is read from the sources, so that the page does not depend on compiled modules.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NewType

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
        """Return the name with its package."""
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
    """Return the syntax tree of a module's source, even if the module is compiled."""
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

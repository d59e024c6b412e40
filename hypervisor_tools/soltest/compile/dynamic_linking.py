"""Tests that load the contracts of `src` by name instead of containing their code (`dynamic_test_linking`).

In sources of the test and script folders, `new C(...)` becomes `vm.deployCode("src/C.sol:C", ...)` and
`type(C).creationCode` becomes `vm.getCode("src/C.sol:C")`, if `C` is declared in the folder of contracts. A generated
source per contract encodes its constructor's arguments. These stay as they are:

- sources with a contract that inherits one of the folder of contracts (mocks);
- scripts, by folder or by a base `Script`;
- creation code in pure functions and in modifiers.

The text is rewritten without a compiler: comments and strings are blanked, names are resolved along imports. Lines do
not change, and the source maps of the compiled code are those of the project's sources (`Linked.restore_maps`).
Source: foundry at 2a5df2c4, crates/common/src/preprocessor.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, NamedTuple

from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.sources import Sources

_BLANKED: Final = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)
_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_NAME: Final = r"[A-Za-z_$][\w$]*"
_PATH: Final = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_CONTRACT: Final = re.compile(rf"\b(?:contract|library|interface)\s+({_NAME})\s*(?:\bis\b([^{{]*))?{{")
_IMPORT: Final = re.compile(r"""(?:^|[;}])\s*import\b([^"';]*)["'][^"']*["']([^;]*)""", re.MULTILINE)
_ALIAS: Final = re.compile(rf"\bas\s+({_NAME})")
_NEW: Final = re.compile(rf"\bnew\s+({_PATH})\s*(?=[{{(])")
_CONSTANT: Final = re.compile(r"\bconstant\b[^;{}]*;")
_CODE: Final = re.compile(rf"\btype\s*\(\s*({_PATH})\s*\)\s*\.\s*creationCode\b")
_TRY: Final = re.compile(r"\btry\s*$")
_RETURNS: Final = re.compile(r"\s*returns\s*(?=\()")
_FUNCTION: Final = re.compile(r"\b(function|modifier|constructor)\b")
_CLOSING: Final = {"(": ")", "{": "}", "[": "]"}
_LANGUAGE_ERRORS: Final = {"DeclarationError", "DocstringParsingError", "ParserError", "SyntaxError", "TypeError"}
"""Kinds of errors in a line itself; whether the stack is too deep, for example, depends on others."""
_HELPERS: Final = "foundry-pp"
_VM: Final = "0x7109709ECfa91a80626fF3989D68f67F5b1DD12D"
_INTERFACE: Final = """ interface {name} {{
    function deployCode(string memory _artifact) external returns (address);
    function deployCode(string memory _artifact, bytes32 _salt) external returns (address);
    function deployCode(string memory _artifact, bytes memory _args) external returns (address);
    function deployCode(string memory _artifact, bytes memory _args, bytes32 _salt) external returns (address);
    function deployCode(string memory _artifact, uint256 _value) external returns (address);
    function deployCode(string memory _artifact, uint256 _value, bytes32 _salt) external returns (address);
    function deployCode(string memory _artifact, bytes memory _args, uint256 _value) external returns (address);
    function deployCode(string memory _artifact, bytes memory _args, uint256 _value, bytes32 _salt)
        external returns (address);
    function getCode(string memory _artifact) external view returns (bytes memory);
}}"""
_HELPER: Final = """// SPDX-License-Identifier: MIT
pragma solidity >=0.4.0;
import "{path}";
abstract contract DeployHelper{number} is {name} {{
    struct FoundryPpConstructorArgs {{ {fields}; }}
}}
function encodeArgs{number}(DeployHelper{number}.FoundryPpConstructorArgs memory args) pure returns (bytes memory) {{
    return abi.encode({values});
}}
"""


class Edit(NamedTuple):
    """A replacement of a span of a text."""

    start: int
    end: int
    text: str


class Linked(NamedTuple):
    """Sources with rewritten tests and generated helpers, the original sources, and the edits by rewritten source."""

    sources: Sources
    original: Sources
    edits: Mapping[str, Sequence[Edit]] = {}

    def errors_of_project(self, errors: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the errors in the compiler's output that the project's sources have too, with the same text.

        They are errors of the language, in lines without an edit.
        """
        own = (found for found in errors if found.get("type") in _LANGUAGE_ERRORS)
        return [found for found in own if (lines := self._lines(found)) is not None and lines[0] == lines[1]]

    def text_of_project(self, message: Mapping[str, Any]) -> str | None:
        """Return a message in the compiler's output with the project's line; None if it is about a generated source."""
        text = str(message.get("formattedMessage")).rstrip()
        if not message.get("sourceLocation"):
            return text
        lines = self._lines(message)
        return None if lines is None else text.replace(lines[1], lines[0])

    def _lines(self, message: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the first line that a message is about, of the original source and of the rewritten one."""
        place = message.get("sourceLocation") or {}
        text, made = (sources.texts.get(place.get("file", "")) for sources in (self.original, self.sources))
        if text is None or made is None:
            return None
        line = made.encode().count(b"\n", 0, max(place["start"], 0))
        lines, rewritten = text.split("\n"), made.split("\n")
        return (lines[line], rewritten[line]) if line < len(lines) else None

    def restore_maps(self, output: Mapping[str, Any], names: Iterable[str]) -> None:
        """Replace the source maps in the compiler's output for these sources by maps of the original texts.

        Code of generated sources gets no source.
        """
        if not self.edits:
            return
        files = {int(found["id"]): path for path, found in output.get("sources", {}).items()}
        texts, edits = self.original.texts, self.edits
        origins = {n: _Origins(texts[path], edits[path]) for n, path in files.items() if path in edits}
        generated = {number for number, path in files.items() if path.startswith(f"{_HELPERS}/")}
        for name in names:
            if self.edits.keys().isdisjoint(self.sources.closure([name])):
                continue
            for contract in output.get("contracts", {}).get(name, {}).values():
                for code in (contract.get("evm", {}).get(kind, {}) for kind in ("bytecode", "deployedBytecode")):
                    if code.get("sourceMap"):
                        code["sourceMap"] = _original_map(code["sourceMap"], origins, generated)


def _original_map(source_map: str, origins: Mapping[int, _Origins], generated: Collection[int]) -> str:
    last = ["0", "0", "-1"]
    found = []
    for entry in source_map.split(";"):
        parts = entry.split(":")
        last = [new or old for new, old in zip((*parts, "", "", "")[:3], last, strict=True)]
        begin, length, number = map(int, last)
        if number in origins:
            end = origins[number](begin + length)
            begin = origins[number](begin)
            length = end - begin
        place = (begin, length, -1 if number in generated else number)
        found.append(":".join((*map(str, place), *parts[3:])))
    return ";".join(found)


class _Origins:
    """Offsets of a source by those of its rewritten text, in bytes."""

    def __init__(self, text: str, edits: Sequence[Edit]) -> None:
        self._starts: list[int] = []
        self._spans: list[tuple[int, int, int]] = []
        old = new = done = 0
        for start, end, replacement in edits:
            between, size = len(text[done:start].encode()), len(replacement.encode())
            old, new, done = old + between, new + between, end
            replaced = len(text[start:end].encode())
            self._starts.append(new)
            self._spans.append((new + size, old, old + replaced))
            old, new = old + replaced, new + size

    def __call__(self, offset: int) -> int:
        """Return the offset in the source; within a replacement, that of the replaced span."""
        index = bisect_right(self._starts, offset) - 1
        if index < 0:
            return offset
        end, old_start, old_end = self._spans[index]
        return old_start if offset < end else old_end + offset - end


class _Contract(NamedTuple):
    """A contract's declaration: its bases as written, and the span of its body."""

    bases: tuple[str, ...]
    start: int
    end: int


class _Import(NamedTuple):
    """An import: the source, the names by alias (None: all), and the alias of the source."""

    path: str
    names: Mapping[str, str] | None
    alias: str


class _Source:
    """A source text with its contracts and imports."""

    def __init__(self, text: str, targets: Sequence[str]) -> None:
        self.text, self._targets = text, targets

    @cached_property
    def blank(self) -> str:
        """The text with spaces instead of comments and strings."""
        return _BLANKED.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), self.text)

    @cached_property
    def contracts(self) -> dict[str, _Contract]:
        found = {}
        for each in _CONTRACT.finditer(self.blank):
            bases = tuple(_path(base) for base in _split(each[2] or ""))
            end = closing(self.blank, each.end() - 1)
            found[each[1]] = _Contract(bases, each.end(), end)
        return found

    @cached_property
    def imports(self) -> list[_Import]:
        found = []
        clauses = _IMPORT.findall(_COMMENT.sub(" ", self.text))
        for (before, after), path in zip(clauses, self._targets, strict=False):
            names = None
            if "{" in before:
                names = {}
                for item in before.partition("{")[2].partition("}")[0].split(","):
                    name, _, alias = item.partition(" as ")
                    names[(alias or name).strip()] = name.strip()
            alias = None if names is not None else _ALIAS.search(f"{before} {after}")
            found.append(_Import(path, names, alias[1] if alias else ""))
        return found


def _path(text: str) -> str:
    """Return a base without its arguments and without spaces."""
    return "".join(text.partition("(")[0].split())


def closing(blank: str, at: int) -> int:
    """Return the position of the bracket that closes the one at a position; the text's end if there is none."""
    open_, close = blank[at], _CLOSING[blank[at]]
    depth = 0
    for found in re.finditer(f"[{re.escape(open_ + close)}]", blank[at:]):
        depth += 1 if found.group() == open_ else -1
        if not depth:
            return at + found.start()
    return len(blank)


def _split(blank: str) -> list[str]:
    """Split a text at commas outside of brackets; empty for a blank text."""
    parts, depth, begin = [], 0, 0
    for at, letter in enumerate(blank):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append(blank[begin:at])
            begin = at + 1
    return [*parts, blank[begin:]] if blank.strip() else []


def link_dynamically(project: Project, sources: Sources) -> Linked:
    """Return the sources with rewritten tests."""
    return _Linking(project, sources).link()


class _Linking:
    def __init__(self, project: Project, sources: Sources) -> None:
        self._src, self._folders = _prefix(project.src), (_prefix(project.test), _prefix(project.script))
        self._sources = sources
        self._parsed: dict[str, _Source] = {}
        self._helpers: dict[tuple[str, str], tuple[int, int]] = {}
        """Number of the helper and count of the constructor's parameters, by contract."""
        self._created: dict[str, str] = {}

    def link(self) -> Linked:
        edits = {name: found for name in sorted(self._sources.texts) if (found := self._edits_of(name))}
        if not edits:
            return Linked(self._sources, self._sources)
        texts = {name: apply_edits(self._sources.texts[name], found) for name, found in edits.items()}
        imports = dict(self._sources.imports)
        for name in texts:
            imports[name] = (*imports.get(name, ()), *(path for path in self._created if path in texts[name]))
        for (path, _), (number, _) in self._helpers.items():
            imports[_helper_path(number)] = (path,)
        texts = dict(sorted({**self._sources.texts, **texts, **self._created}.items()))
        return Linked(replace(self._sources, texts=texts, imports=imports), self._sources, edits)

    def _source(self, path: str) -> _Source:
        if path not in self._parsed:
            self._parsed[path] = _Source(self._sources.texts.get(path, ""), self._sources.imports.get(path, ()))
        return self._parsed[path]

    def resolve(self, path: str, name: str, seen: frozenset[tuple[str, str]] = frozenset()) -> tuple[str, str] | None:
        """Return the source and the name of the contract that a name means in a source; None if there is none."""
        if (path, name) in seen:
            return None
        seen |= {(path, name)}
        source = self._source(path)
        first, dot, rest = name.partition(".")
        if not dot and name in source.contracts:
            return path, name
        for each in source.imports:
            found = None
            if dot and each.alias == first:
                found = self.resolve(each.path, rest, seen)
            elif each.names is not None and first in each.names:
                found = self.resolve(each.path, f"{each.names[first]}{dot}{rest}", seen)
            elif each.names is None and not each.alias:
                found = self.resolve(each.path, name, seen)
            if found is not None:
                return found
        return None

    def _bases(self, path: str, contract: _Contract) -> Iterator[tuple[str, str]]:
        """Yield the contracts from which a contract inherits."""
        seen, todo = set(), [(path, base) for base in contract.bases]
        while todo:
            found = self.resolve(*todo.pop())
            if found is None or found in seen:
                continue
            seen.add(found)
            yield found
            todo += [(found[0], base) for base in self._source(found[0]).contracts[found[1]].bases]

    def _edits_of(self, path: str) -> list[Edit]:
        if not path.startswith(self._folders) or path.startswith(self._src):
            return []
        source = self._source(path)
        if "new " not in source.blank and "creationCode" not in source.blank:
            return []
        bases = {name: list(self._bases(path, each)) for name, each in source.contracts.items()}
        if any(base.startswith(self._src) for found in bases.values() for base, _ in found):
            return []  # a mock
        if any(each.end == len(source.blank) for each in source.contracts.values()):
            return []  # a closing bracket is missing, so the compiler names the source's end
        edits: list[Edit] = []
        tail = ""
        for number, (name, contract) in enumerate(source.contracts.items()):
            is_script = path.startswith(self._folders[1]) or any(base == "Script" for _, base in bases[name])
            if is_script:
                continue
            unit = _ContractEdits(self, path, source, contract, f"{number}_{_identity(path)}")
            edits += unit.edits
            tail += unit.tail
        if not edits:
            return []
        edits.append(Edit(len(source.text), len(source.text), tail))
        return sorted(edits)

    def of_contracts(self, path: str, name: str) -> tuple[str, str] | None:
        """Return the contract that a name means, if the folder of contracts declares it."""
        found = self.resolve(path, name)
        return found if found is not None and found[0].startswith(self._src) else None

    def helper(self, target: tuple[str, str]) -> tuple[int, int]:
        """Return the number of the helper for a contract's arguments, and their count, which is 0 without a helper."""
        if target in self._helpers:
            return self._helpers[target]
        path, name = target
        source = self._source(path)
        contract = source.contracts[name]
        for found in re.finditer(r"\bconstructor\s*(?=\()", source.blank[contract.start : contract.end]):
            begin = contract.start + found.end()
            parameters = _parameters(source, begin + 1, closing(source.blank, begin))
            if not parameters:
                break
            number = len(self._helpers)
            self._helpers[target] = number, len(parameters)
            values = ", ".join(f"args.{name}" for _, name in parameters)
            fields = "; ".join(text for text, _ in parameters)
            text = _HELPER.format(path=path, number=number, name=name, fields=fields, values=values)
            self._created[_helper_path(number)] = text
            return self._helpers[target]
        return 0, 0


def _helper_path(number: int) -> str:
    return f"{_HELPERS}/DeployHelper{number}.sol"


def _prefix(folder: str) -> str:
    """Return the beginning of the paths in a folder; empty for the project's own."""
    clean = folder.removeprefix("./").strip("/")
    return f"{clean}/" if clean not in ("", ".") else ""


def _identity(path: str) -> str:
    return re.sub(r"\W", "_", path)


def _parameters(source: _Source, start: int, end: int) -> list[tuple[str, str]]:
    """Return the parameters of a constructor as fields of a struct, with their names."""
    found, begin, unnamed = [], start, 0
    for part in _split(source.blank[start:end]):
        text = " ".join(_COMMENT.sub(" ", source.text[begin : begin + len(part)]).split())
        text = re.sub(r" (?:memory|calldata)\b", "", text)
        begin += len(part) + 1
        words = re.findall(rf"{_NAME}$", text)
        is_named = bool(words) and re.search(r"[\s\])]\S+$", text) is not None and words[0] != "payable"
        if not is_named:
            unnamed += 1
            text += f" foundry_pp_ctor_arg{unnamed}"
        found.append((text, words[0] if is_named else f"foundry_pp_ctor_arg{unnamed}"))
    return found


class _ContractEdits:
    """The edits of one contract of a test."""

    def __init__(self, linking: _Linking, path: str, source: _Source, contract: _Contract, number: str) -> None:
        self._linking, self._path, self._source, self._contract, self._number = linking, path, source, contract, number
        self._vm = f"VmContractHelper{number}({_VM})"
        self._tries: dict[str, None] = {}
        self._used: dict[int, None] = {}
        self.edits: list[Edit] = []
        self._skipped: list[tuple[int, int]] = []
        self._find_creations()
        self._find_codes()
        if self._tries:
            text = "".join(
                f" function addressTo{name.replace('.', '_')}{number}(address addr) public pure returns ({name})"
                f" {{ return {name}(addr); }} "
                for name in self._tries
            )
            self.edits.append(Edit(contract.end, contract.end, text))

    @property
    def tail(self) -> str:
        """Text after the source's end that the edits need."""
        if not self.edits:
            return ""
        imports = "".join(
            f'\nimport {{DeployHelper{each}, encodeArgs{each}}} from "{_helper_path(each)}";' for each in self._used
        )
        return f"{imports}\n{_INTERFACE.format(name=f'VmContractHelper{self._number}')}"

    def _find_creations(self) -> None:
        blank = self._source.blank
        for found in _NEW.finditer(blank, self._contract.start, self._contract.end):
            if any(start <= found.start() < end for start, end in self._skipped):
                continue
            target = self._linking.of_contracts(self._path, "".join(found[1].split()))
            if target is not None:
                self._creation(found, target)

    def _creation(self, found: re.Match[str], target: tuple[str, str]) -> None:
        """Replace `new C{value: V, salt: S}(...)`."""
        blank = self._source.blank
        at, options = found.end(), ""
        if blank[at] == "{":
            end = closing(blank, at)
            options = self._options(at + 1, end)
            opening = blank.find("(", end)
        else:
            opening = at
        if opening < 0:
            return
        close, name = closing(blank, opening), "".join(found[1].split())
        helper, count = self._linking.helper(target)
        if len(_split(blank[opening + 1 : close].strip().strip("{}"))) != count:
            return  # the compiler names the error
        before, after = f"{name}(payable(", "})))"
        if _TRY.search(blank, self._contract.start, found.start()):
            self._skipped.append((opening, close))
            returns = _RETURNS.match(blank, close + 1)
            before, after = "", "})"
            if returns and len(_split(blank[returns.end() + 1 : closing(blank, returns.end())])) == 1:
                self._tries[name] = None
                before, after = f"this.addressTo{name.replace('.', '_')}{self._number}(", "}))"
        artifact = ":".join(target)
        text = f'{before}{self._vm}.deployCode({{_artifact: "{artifact}"{options}'
        if not count:
            self._replace(found.start(), close + 1, f"{text}{after}")
            return
        self._used[helper] = None
        encoded = f", _args: encodeArgs{helper}(DeployHelper{helper}.FoundryPpConstructorArgs"
        self._replace(found.start(), opening, f"{text}{encoded}")
        self.edits.append(Edit(close + 1, close + 1, f"){after}"))

    def _options(self, start: int, end: int) -> str:
        found, begin = {}, start
        for part in _split(self._source.blank[start:end]):
            name, _, _ = part.partition(":")
            value = self._source.text[begin + len(name) + 1 : begin + len(part)]
            found[name.strip()] = " ".join(_COMMENT.sub(" ", value).split())
            begin += len(part) + 1
        return "".join(f", _{name}: {found[name]}" for name in ("value", "salt") if name in found)

    def _replace(self, start: int, end: int, text: str) -> None:
        """Replace a span; the lines after it keep their numbers."""
        self.edits.append(Edit(start, end, text + "\n" * self._source.text.count("\n", start, end)))

    def _find_codes(self) -> None:
        blank = self._source.blank
        native = list(self._native_spans())
        for found in _CODE.finditer(blank, self._contract.start, self._contract.end):
            if any(start <= found.start() < end for start, end in native):
                continue
            target = self._linking.of_contracts(self._path, "".join(found[1].split()))
            if target is not None:
                self._replace(found.start(), found.end(), f'{self._vm}.getCode("{":".join(target)}")')

    def _native_spans(self) -> Iterator[tuple[int, int]]:
        """Yield the spans of constants, pure functions and modifiers."""
        blank, at = self._source.blank, self._contract.start
        for constant in _CONSTANT.finditer(blank, at, self._contract.end):
            yield constant.span()
        while (found := _FUNCTION.search(blank, at, self._contract.end)) is not None:
            brace, end = blank.find("{", found.end()), blank.find(";", found.end())
            if brace < 0 or 0 <= end < brace:
                at = found.end()
                continue
            at = closing(blank, brace)
            if found[1] == "modifier" or re.search(r"\bpure\b", blank[found.end() : brace]):
                yield found.start(), at


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """Return a text with replaced spans, which are in order and do not overlap."""
    parts, at = [], 0
    for start, end, new in edits:
        parts += [text[at:start], new]
        at = end
    return "".join((*parts, text[at:]))

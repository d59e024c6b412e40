"""Source text of a contract's wrapper module. It passes mypy's strict mode unchanged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from textwrap import wrap

from fvm_hypervisor.bindings.contracts.declared import (
    RESERVED_IN_DEPLOY,
    RESERVED_IN_TUPLES,
    DeclaredContract,
    DeclaredFunction,
    DeclaredRecord,
    Item,
    Notes,
    members,
)
from localnet.contracts.typed_values import is_hashed, item_of, struct_key


def parameter_type(item: Item, structs: Mapping[str, DeclaredRecord]) -> str:
    """Return the annotation of a function argument: a list may be any sequence, an address any `Target`."""
    kind = item["type"]
    if kind.endswith("]"):
        return f"Sequence[{parameter_type(item_of(item), structs)}]"
    return "Target" if kind == "address" else value_type(item, structs)


def value_type(item: Item, structs: Mapping[str, DeclaredRecord]) -> str:
    """Return the annotation of a return value or of a dataclass field."""
    kind: str = item["type"]
    if is_hashed(item):
        return "bytes"
    if kind.endswith("]"):
        return f"tuple[{value_type(item_of(item), structs)}, ...]"
    if kind == "tuple":
        return structs[struct_key(item)].name
    if kind.startswith(("int", "uint")):
        return "int"
    if kind.startswith(("fixed", "ufixed")):
        return "Decimal"
    return {"address": "EthAddress", "bool": "bool", "string": "str"}.get(kind, "bytes")


WIDTH = 120
_LITERAL_LENGTH = 100
_IMPORTS = (
    ("collections.abc", ("Sequence",)),
    ("dataclasses", ("dataclass",)),
    ("decimal", ("Decimal",)),
    ("json", ("loads",)),
    ("typing", ("Any", "ClassVar", "Final", "NamedTuple", "Self", "overload")),
    ("", ()),
    ("bridge.abi", ("ContractInterface",)),
    ("bridge.addresses", ("EthAddress",)),
    ("localnet.addresses", ("Target",)),
    (
        "localnet.contracts.typed_contract",
        (
            "Chain", "ContractError", "ContractEvent", "ErrorTypes", "EventTypes", "Overloads", "Paying", "Reading",
            "Results", "Sending", "TypedContract",
        ),
    ),
    ("localnet.contracts.typed_values", ("Structs",)),
)  # fmt: skip


def source(contract: DeclaredContract, natspec: Notes) -> str:
    """Return the source text of a contract's module."""
    body = "\n".join([*_records(contract, natspec), *_results(contract), *_contract(contract, natspec)])
    used = set(re.findall(r"\w+", body))
    lines = [
        f'"""{contract.name}, as its compiler describes it.',
        "",
        "Written by `hypervisor bindings`, which writes it anew when the contract changes.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
    ]
    for module, names in _IMPORTS:
        wanted = [name for name in names if name in used]
        if wanted or not module:
            lines.append(_import_line(module, wanted) if module else "")
    space = [""] if body.startswith("_ABI") else ["", ""]
    return "\n".join([*lines, *space, body])


def _import_line(module: str, names: Sequence[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])


# --- structs, events, errors ------------------------------------------------------------------------------------------


def _records(contract: DeclaredContract, natspec: Notes) -> Iterator[str]:
    for record in contract.structs.values():
        yield from _record(contract, record, "", [f"The struct `{record.key}`."], record.entry["components"])
    for record in contract.events:
        about = [f"The event `{record.key}`.", *natspec.events.get(record.key, ())]
        yield from _record(contract, record, "(ContractEvent)", about, record.entry["inputs"])
    for record in contract.errors:
        about = [f"The error `{record.key}`.", *natspec.errors.get(record.key, ())]
        yield from _record(contract, record, "(ContractError)", about, record.entry["inputs"])


def _record(
    contract: DeclaredContract, record: DeclaredRecord, base: str, about: Sequence[str], items: Sequence[Item]
) -> Iterator[str]:
    yield "@dataclass(frozen=True, slots=True)"
    yield f"class {record.name}{base}:"
    yield from _docstring(about, 4)
    if items:
        yield ""
    for name, item in zip(record.fields, items, strict=True):
        yield f"    {name}: {value_type(item, contract.structs)}"
    yield "\n"


def _results(contract: DeclaredContract) -> Iterator[str]:
    for function in contract.functions:
        if function.result is not None:
            outputs = function.entry["outputs"]
            names = members((item["name"] for item in outputs), RESERVED_IN_TUPLES)
            yield f"class {function.result}(NamedTuple):"
            yield from _docstring([f"Return values of `{function.signature}`."], 4)
            yield ""
            for name, item in zip(names, outputs, strict=True):
                yield f"    {name}: {value_type(item, contract.structs)}"
            yield "\n"


# --- the contract -----------------------------------------------------------------------------------------------------


def _contract(contract: DeclaredContract, natspec: Notes) -> Iterator[str]:
    yield from _constant("_ABI", json.dumps(list(contract.abi), separators=(",", ":")))
    if contract.bytecode:
        yield from _constant("_BYTECODE", contract.bytecode.hex())
    yield "\n"
    yield f"class {contract.name}(TypedContract):"
    yield from _docstring(natspec.contract or [f"The contract {contract.name}."], 4)
    yield ""
    yield "    interface = ContractInterface(loads(_ABI))"
    if contract.bytecode:
        yield "    bytecode = bytes.fromhex(_BYTECODE)"
    yield from _table("structs", "Structs", [(record.key, record.name) for record in contract.structs.values()])
    yield from _table("event_types", "EventTypes", [(record.key, record.name) for record in contract.events])
    yield from _table("error_types", "ErrorTypes", [(record.key, record.name) for record in contract.errors])
    named = [(each.signature, each.result) for each in contract.functions if each.result is not None]
    yield from _table("results", "Results", named)
    grouped = _by_method(contract)
    yield from _overloads([group for group in grouped if len(group) > 1])
    if contract.bytecode:
        yield from _deployment(contract, natspec)
    for group in grouped:
        for function in group:
            yield from _method(contract, function, natspec, overloaded=len(group) > 1)
        if len(group) > 1:
            yield ""
            yield f"    def {group[0].method}(self, *arguments: Any, **named: Any) -> Any:"
            yield from _docstring([f"The overload of `{group[0].method}` with the given number of arguments."], 8)
            yield f'        return self._overloaded("{group[0].method}", arguments, named)'
    yield ""


def _constant(name: str, text: str) -> Iterator[str]:
    """Yield the lines of a string constant, split into several literals if it is long."""
    pieces = [text[start : start + _LITERAL_LENGTH] for start in range(0, len(text), _LITERAL_LENGTH)]
    literals = [repr(piece) if '"' in piece else f'"{piece}"' for piece in pieces]
    if len(literals) == 1:
        yield f"{name}: Final = {literals[0]}"
        return
    yield f"{name}: Final = ("
    yield from (f"    {literal}" for literal in literals)
    yield ")"


def _table(name: str, kind: str, rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    if rows:
        yield f"    {name}: ClassVar[{kind}] = {{"
        yield from (f'        "{key}": {value},' for key, value in rows)
        yield "    }"


def _by_method(contract: DeclaredContract) -> list[list[DeclaredFunction]]:
    ordered = sorted(contract.functions, key=lambda function: function.method)
    return [list(group) for _, group in groupby(ordered, key=lambda function: function.method)]


def _overloads(groups: Sequence[Sequence[DeclaredFunction]]) -> Iterator[str]:
    if not groups:
        return
    yield "    overloads: ClassVar[Overloads] = {"
    for group in groups:
        yield f'        "{group[0].method}": ('
        for function in group:
            names = ", ".join(f'"{name}"' for name in function.arguments)
            single = "," if len(function.arguments) == 1 else ""
            yield f'            ("{function.signature}", ({names}{single}), {function.kind}),'
        yield "        ),"
    yield "    }"


def _deployment(contract: DeclaredContract, natspec: Notes) -> Iterator[str]:
    inputs = contract.constructor["inputs"]
    names = members((item["name"] for item in inputs), RESERVED_IN_DEPLOY)
    payable = contract.constructor.get("stateMutability") == "payable"
    parameters = ["cls", "chain: Chain"]
    parameters += [
        f"{name}: {parameter_type(item, contract.structs)}" for name, item in zip(names, inputs, strict=True)
    ]
    parameters += ["*", *(["value: int = 0"] if payable else [])]
    parameters += ["sender: Target | None = None", "gas_limit: int | None = None"]
    yield ""
    yield "    @classmethod"
    yield from _signature("deploy", parameters, "Self")
    unit = ["`value` in attoFIL."] if payable else []
    yield from _docstring(["Deploy the contract.", *natspec.functions.get("constructor", ()), *unit], 8)
    arguments = f"({', '.join(names)}{',' if len(names) == 1 else ''})"
    yield f"        return cls._deployed(chain, {arguments}, {'value' if payable else '0'}, sender, gas_limit)"


def _method(
    contract: DeclaredContract, function: DeclaredFunction, natspec: Notes, *, overloaded: bool
) -> Iterator[str]:
    inputs = zip(function.arguments, function.entry["inputs"], strict=True)
    parameters = ["self", *(f"{name}: {parameter_type(item, contract.structs)}" for name, item in inputs)]
    yield ""
    if overloaded:
        yield "    @overload"
    yield from _signature(function.method, parameters, f"{function.kind}[{_answer(contract, function)}]")
    mutability = {"Reading": "which changes nothing", "Paying": "which takes a value"}.get(function.kind)
    head = f"The function `{function.signature}`{f', {mutability}' if mutability else ''}."
    yield from _docstring([head, *natspec.functions.get(function.signature, ())], 8)
    if not overloaded:
        parts = ["self", f'"{function.signature}"', *function.arguments]
        line = f"        return {function.kind}({', '.join(parts)})"
        if len(line) <= WIDTH:
            yield line
        else:
            yield f"        return {function.kind}("
            yield from (f"            {part}," for part in parts)
            yield "        )"


def _answer(contract: DeclaredContract, function: DeclaredFunction) -> str:
    parts = [value_type(item, contract.structs) for item in function.entry["outputs"]]
    if function.result is not None:
        return function.result
    return "None" if not parts else parts[0] if len(parts) == 1 else f"tuple[{', '.join(parts)}]"


def _signature(name: str, parameters: Sequence[str], answer: str) -> Iterator[str]:
    line = f"    def {name}({', '.join(parameters)}) -> {answer}:"
    if len(line) <= WIDTH:
        yield line
        return
    yield f"    def {name}("
    joined = f"        {', '.join(parameters)}"
    yield from (
        [joined] if len(joined) <= WIDTH and "*" not in parameters else (f"        {each}," for each in parameters)
    )
    yield f"    ) -> {answer}:"


def _docstring(paragraphs: Sequence[str], indent: int) -> Iterator[str]:
    """Yield the lines of a docstring. The text comes from the contract, so it is escaped."""
    space = " " * indent
    safe = [text.replace('"""', "'''").rstrip('"').strip() or "-" for text in paragraphs]
    lines = [line for text in safe for line in ["", *wrap(text, WIDTH - indent - 6, break_on_hyphens=False)]][1:]
    lines = [line.replace("\\", "\\\\") for line in lines]  # when no line is broken any more
    if len(lines) == 1:
        yield f'{space}"""{lines[0]}"""'
        return
    yield f'{space}"""{lines[0]}'
    yield from (f"{space}{line}".rstrip() for line in lines[1:])
    yield f'{space}"""'

"""The declarations of a contract and their Python names, validated from an ABI.

ABIs are untrusted, and names become source code. A name that is not a Solidity identifier is refused. Entries that
cannot be called, such as those of libraries, are skipped. Source: the Solidity ABI specification.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.abi.abi import signature
from hypervisor.errors import InvalidInput
from hypervisor.text import printable
from localnet.contracts.argument_texts import readable_interface
from localnet.contracts.typed_contract import TypedContract, struct_key
from store.untrusted import parse_json

TYPE_NAMES: Final = frozenset(("int", "str", "bytes", "bool", "tuple", "list", "dict", "type", "object", "property"))
"""Names of types in annotations, which a member of the same name would hide."""
MEMBERS: Final = TYPE_NAMES.union(
    (name for name in dir(TypedContract) if not name.startswith("__")), ("address", "chain", "deploy")
)
"""Names that every wrapper class already has."""
MODULE_NAMES: Final = frozenset(
    (
        "Any", "ClassVar", "ContractError", "ContractEvent", "ContractInterface", "Decimal", "EthAddress", "Final",
        "NamedTuple", "None", "Paying", "Reading", "Self", "Sending", "Sent", "Sequence", "Target", "TypedContract",
        "Chain", "ErrorTypes", "EventTypes", "False", "Overloads", "Results", "Structs", "True",
    )
)  # fmt: skip
"""Names that are imported by a generated module or reserved in Python."""

_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


def parse_identifier(name: str) -> str:
    """Return `name` if it is a valid Solidity identifier.

    Raises InvalidInput otherwise, since the name is written into source code.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"'{name[:60]!a}' is not a Solidity identifier")
    return name


def snake(name: str) -> str:
    """Convert a name to snake case: `balanceOf` is `balance_of`, `tokenURI` is `token_uri`, `_to` is `to`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.replace("$", "_")).lower()
    return re.sub(r"_+", "_", words).strip("_")


def member(name: str, number: int, taken: Iterable[str] = TYPE_NAMES) -> str:
    """Return the Python name of a function, argument or field; unnamed ones are named after `number`."""
    found = snake(name)
    if not found or found[0].isdigit():
        found = f"argument_{number}" if not found else f"_{found}"
    return f"{found}_" if keyword.iskeyword(found) or found in taken else found


def members(names: Iterable[str], taken: Iterable[str] = TYPE_NAMES) -> list[str]:
    """Return distinct Python names for arguments or fields."""
    found: list[str] = []
    for number, name in enumerate(names):
        found.append(unique(member(name, number, taken), found))
    return found


def class_name(name: str) -> str:
    """Return a class name, which starts with a capital letter."""
    bare = name.replace("$", "_").strip("_") or "Nameless"
    bare = f"{bare[0].upper()}{bare[1:]}"
    return f"Of{bare}" if bare[0].isdigit() else bare


def unique(name: str, taken: Iterable[str]) -> str:
    """Return `name`, with a number appended if it is already in `taken`."""
    found, number, known = name, 2, set(taken)
    while found in known:
        found, number = f"{name}_{number}", number + 1
    return found


MAX_CHARACTERS: Final = 2_000
"""Maximum number of characters of a note; longer ones are cut."""


@dataclass(frozen=True, slots=True)
class Notes:
    """Descriptions of the contract, and by signature of functions, events and errors; `constructor` is a key too."""

    contract: tuple[str, ...] = ()
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def notes(content: Any) -> Notes:
    """Return the NatSpec notes in a compiler's JSON output as paragraphs; empty if it has none."""
    user, dev = _documents(content)
    return Notes(
        contract=tuple(_paragraphs([user], [dev | {"details": dev.get("details"), "params": None, "returns": None}])),
        functions=_each(user.get("methods"), dev.get("methods")),
        events=_each(user.get("events"), dev.get("events")),
        errors=_each(user.get("errors"), dev.get("errors")),
    )


def _documents(content: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    found = _dict(content)
    metadata = found.get("metadata", found.get("rawMetadata"))
    if isinstance(metadata, str):
        try:
            metadata = parse_json(metadata.encode())
        except ValueError:
            metadata = None
    output = _dict(_dict(metadata).get("output"))
    return (
        _dict(found.get("userdoc")) or _dict(output.get("userdoc")),
        _dict(found.get("devdoc")) or _dict(output.get("devdoc")),
    )


def _each(user: Any, dev: Any) -> dict[str, tuple[str, ...]]:
    users, developers = _dict(user), _dict(dev)
    names = [name for name in {**users, **developers} if isinstance(name, str)]
    return {name: tuple(_paragraphs(_list(users.get(name)), _list(developers.get(name)))) for name in names}


def _paragraphs(user: list[dict[str, Any]], dev: list[dict[str, Any]]) -> Iterator[str]:
    yield from (_clean(each["notice"]) for each in user if isinstance(each.get("notice"), str))
    for each in dev:
        if isinstance(each.get("details"), str):
            yield _clean(each["details"])
        for name, text in _dict(each.get("params")).items():
            if isinstance(text, str):
                yield f"{_clean(name)}: {_clean(text)}"
        for name, text in _dict(each.get("returns")).items():
            if isinstance(text, str):
                yield f"Returns {'' if name.startswith('_') else f'{_clean(name)}: '}{_clean(text)}"


def _clean(text: str) -> str:
    return printable(" ".join(text.split()), MAX_CHARACTERS)


def _dict(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[dict[str, Any]]:
    """Join descriptions of errors, which are lists, because a signature may be declared several times."""
    return [_dict(each) for each in (value if isinstance(value, list) else [value])]


Item = Mapping[str, Any]
RESERVED_IN_TUPLES: Final = TYPE_NAMES | {"count", "index"}
RESERVED_IN_DEPLOY: Final = TYPE_NAMES | {"self", "cls", "chain", "value", "sender", "gas_limit"}
_ENTRY_KEYS: Final = ("type", "name", "stateMutability", "anonymous")
_ITEM_KEYS: Final = ("name", "type", "internalType", "indexed")


@dataclass(frozen=True, slots=True)
class DeclaredFunction:
    """A function: signature, method name, argument names, and the class of multiple named results."""

    entry: Item
    signature: str
    method: str
    arguments: Sequence[str]
    result: str | None

    @property
    def kind(self) -> str:
        """Return the class of `localnet.contracts.typed_contract` for the function's calls."""
        mutability = self.entry.get("stateMutability", "nonpayable")
        return {"view": "Reading", "pure": "Reading", "payable": "Paying"}.get(mutability, "Sending")


@dataclass(frozen=True, slots=True)
class DeclaredRecord:
    """A struct, an event or an error: its class name and field names."""

    entry: Item
    key: str
    name: str
    fields: Sequence[str]


@dataclass(frozen=True, slots=True)
class DeclaredContract:
    """A contract; `bytecode` is its init code, empty if it cannot be deployed.

    `structs` are keyed by `struct_key`, each after the structs that it contains.
    """

    name: str
    abi: Sequence[Item]
    bytecode: bytes
    structs: Mapping[str, DeclaredRecord]
    events: Sequence[DeclaredRecord]
    errors: Sequence[DeclaredRecord]
    functions: Sequence[DeclaredFunction]
    constructor: Item


def parse_contract(content: Any, name: str) -> DeclaredContract:
    """Return the contract described by a compiler's JSON output or a plain ABI. Raises InvalidInput."""
    abi = _abi(content.get("abi") if isinstance(content, Mapping) else content)
    own = class_name(parse_identifier(name))
    names = [*MODULE_NAMES, own]
    structs = _structs(abi, name, names)
    nothing: Item = {"inputs": [], "outputs": []}
    return DeclaredContract(
        name=own,
        abi=abi,
        bytecode=_bytecode(content),
        structs=structs,
        events=_records([entry for entry in _of(abi, "event") if not entry.get("anonymous")], "Event", names),
        errors=_records(list(_of(abi, "error")), "Error", names),
        functions=_functions(list(_of(abi, "function")), names),
        constructor=next((entry for entry in abi if entry["type"] == "constructor"), nothing),
    )


def _abi(abi: Any) -> list[Item]:
    if not isinstance(abi, list):
        raise InvalidInput("there is no ABI: expected a compiler's JSON with the field `abi`, or a list of its entries")
    readable_interface(abi)  # raises for a list that is not an ABI
    return [_entry(entry) for entry in abi if readable_interface([entry]).abi]


def _entry(entry: Item) -> Item:
    parts = {side: [_item(item) for item in entry.get(side, [])] for side in ("inputs", "outputs")}
    return {key: _text(entry[key]) for key in _ENTRY_KEYS if key in entry} | parts


def _item(item: Item) -> Item:
    found = {key: _text(item[key]) for key in _ITEM_KEYS if key in item} | {"name": _text(item.get("name", ""))}
    if item["type"].startswith("tuple"):
        found["components"] = [_item(part) for part in item.get("components", [])]
    if found["name"]:
        parse_identifier(found["name"])
    return found


def _text(value: Any) -> Any:
    return value if isinstance(value, bool) else str(value)


def _of(abi: Sequence[Item], kind: str) -> Iterator[Item]:
    """Yield the ABI entries of a kind, without repeated signatures."""
    seen = set()
    for entry in abi:
        if entry["type"] == kind:
            parse_identifier(entry["name"])
            if signature(entry) not in seen:
                yield entry
            seen.add(signature(entry))


def _bytecode(content: Any) -> bytes:
    """Return the init code; empty without code, or with unlinked libraries."""
    code = content.get("bytecode") if isinstance(content, Mapping) else None
    text = code.get("object") if isinstance(code, Mapping) else code
    if text is None and isinstance(content, Mapping) and isinstance(content.get("evm"), Mapping):
        return _bytecode(content["evm"])
    try:
        return bytes.fromhex(text.removeprefix("0x")) if isinstance(text, str) else b""
    except ValueError:
        return b""


def _structs(abi: Sequence[Item], own: str, names: list[str]) -> dict[str, DeclaredRecord]:
    """Return the structs, each after those that it contains; the contract's own structs are named first."""
    found: dict[str, Item] = {}
    for entry in abi:
        for item in (*entry["inputs"], *entry["outputs"]):
            for inner in _within(item):
                found.setdefault(struct_key(inner), inner)
    named: dict[str, str] = {}
    for key in sorted(found, key=lambda key: not key.startswith(f"{own}.")):
        named[key] = _struct_name(found[key], names)
        names.append(named[key])
    return {key: DeclaredRecord(item, key, named[key], _fields(item["components"])) for key, item in found.items()}


def _within(item: Item) -> Iterator[Item]:
    for part in item.get("components", ()):
        yield from _within(part)
    if item["type"].startswith("tuple"):
        yield item


def _struct_name(item: Item, taken: Sequence[str]) -> str:
    """Return a class name: `struct Market.Offer[]` is `Offer`, or `MarketOffer` if that is taken."""
    key = struct_key(item)
    if key.startswith("("):
        return unique(class_name(snake(item["name"]).title().replace("_", "") or "Struct"), taken)
    parts = [parse_identifier(part) for part in key.split(".")]
    bare = class_name(parts[-1])
    return unique(class_name("".join(parts)) if bare in taken else bare, taken)


def _fields(items: Sequence[Item]) -> list[str]:
    return members(item["name"] for item in items)


def _records(entries: Sequence[Item], suffix: str, names: list[str]) -> list[DeclaredRecord]:
    found = []
    for entry in entries:
        bare = class_name(entry["name"])
        name = unique(f"{bare}{suffix}" if bare in names else bare, names)
        names.append(name)
        found.append(DeclaredRecord(entry, signature(entry), name, _fields(entry["inputs"])))
    return found


def _functions(entries: Sequence[Item], names: list[str]) -> list[DeclaredFunction]:
    """Assign method names.

    Overloads with different numbers of arguments share one name; otherwise the names include the argument types.
    """
    alike = Counter((entry["name"], len(entry["inputs"])) for entry in entries)
    methods: dict[str, str] = {}
    found = []
    for entry in entries:
        base = entry["name"]
        if alike[base, len(entry["inputs"])] > 1:
            base = "_".join([base, *(item["type"].replace("[", "_").replace("]", "s") for item in entry["inputs"])])
        if base not in methods:
            methods[base] = unique(member(base, len(methods), MEMBERS), methods.values())
        result = _result(entry, methods[base], names)
        taken = TYPE_NAMES | {"self"}
        arguments = members((item["name"] for item in entry["inputs"]), taken)
        found.append(DeclaredFunction(entry, signature(entry), methods[base], arguments, result))
    return found


def _result(entry: Item, method: str, names: list[str]) -> str | None:
    outputs = entry["outputs"]
    if len(outputs) < 2 or not all(item["name"] for item in outputs):
        return None
    name = unique(class_name(method.title().replace("_", "") + "Result"), names)
    names.append(name)
    return name

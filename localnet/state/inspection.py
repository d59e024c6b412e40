"""State lookup by path: from a state root to an actor, into its state, and on by the field names of its schema.

    f04/state/claims/f01000/quality_adj_power       an entry of a map of the storage power actor
    0x1234.../state/contract_state/7                a slot of a contract
    f0101/balance                                   a field of the actor itself

Values are JSON: amounts in decimal, addresses as text, byte strings in hexadecimal, links as {"/": CID}. The state of
an actor without a schema, or with a schema that does not match, is shown as undecoded IPLD. Nothing is written. The
result of `Network.inspect` is truncated if long.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Final

from bridge.actors.interfaces import Interface, as_json
from bridge.actors.schemas import ANY, actor_schema, state_types, term_below
from bridge.ethereum.addresses import eth_address, to_filecoin
from hypervisor.bundles.bundle_library import actors_version
from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ARCHIVED, ARCHIVED_CODE, ActorState, ArchivedActor, StateTree, archived_actor
from hypervisor.text import one_line, show_fil, table
from hypervisor.types import SYSTEM_ACTOR, ActorID, whole_number
from localnet.state.actor_interfaces import ActorSchemas, no_schemas
from store.blocks.memory import RecordingBlockstore
from store.blockstore import Blockstore, get_object
from store.cid import Cid, VarintError, read_uvarint, show, write_uvarint
from store.codec import kind_of, unlink
from store.schema import Schema, SchemaError
from store.schema.types import Advanced, Link, List, Map, Term, Type, Union, member_name
from store.trees.paths import Layout, load


class PathNotFound(HypervisorError):
    """Raised for a path that does not resolve; the message names the failing step and the available names."""


@dataclass(frozen=True, slots=True)
class StateValue:
    """A value at the end of a path, with its type and the schema of the type.

    `layout` names the layout of a map or list over several blocks. It is not read yet: `value` is the CID of its root.
    """

    schema: Schema
    term: Term
    value: Any
    layout: str | None = None


@dataclass(frozen=True, slots=True)
class StatePart:
    """A child of a value: its name, its type's name, its content on one line, and whether it has children.

    `cid` is the block that it links, as text.
    """

    name: str
    type: str
    text: str
    deeper: bool
    cid: str | None = None


@dataclass(frozen=True, slots=True)
class StateView:
    """A value and its children. `after` is the key after which the next page starts; `text` is a scalar value."""

    type: str
    parts: tuple[StatePart, ...]
    after: str | None = None
    text: str | None = None
    layout: str | None = None
    cid: str | None = None


class StateInspector:
    """The state below a root. Raises BlockNotFound and StoreCorrupt if blocks are missing or damaged.

    `schemas` returns the schema of a user's actor. `manifest` names built-in actors if
    the store lacks the state's manifest, as the blocks of a proof do.
    """

    def __init__(
        self,
        store: Blockstore,
        root: Cid,
        schemas: ActorSchemas = no_schemas,
        manifest: Manifest | None = None,
    ) -> None:
        self.store = store
        self._store = RecordingBlockstore(store)
        self._schemas = schemas
        self._tree = StateTree(self._store, root)
        self._manifest = manifest or _manifest_of(store, root)  # only for names, so it is not recorded for a proof

    def read_path(self, path: str, limit: int = 100) -> Any:
        """Return the value at a path, ready for JSON. Raises PathNotFound, InvalidInput.

        A map or list over several blocks has at most `limit` entries.
        """
        steps = [step for step in path.split("/") if step]
        if not steps:
            return self._actors(limit)
        actor, state = self._actor(steps[0])
        if len(steps) == 1:
            return self._describe(actor, state)
        if steps[1] != "state":
            fields = self._describe(actor, state)
            if steps[1] not in fields or len(steps) > 2:
                raise PathNotFound(
                    f"an actor has no '{'/'.join(steps[1:])}': expected one of {_names([*fields, 'state'])}"
                )
            return fields[steps[1]]
        return self._render(self.follow_link(self._value_at(state, steps)), limit)

    def read_state_path(self, actor: str, state: ActorState, steps: Sequence[str], limit: int = 100) -> Any:
        """Return the value at a path in an actor's state, which may be uncommitted. Raises like `read_path`."""
        return self._render(self.follow_link(self._value_at(state, [actor, "state", *steps])), limit)

    def browse(self, actor: str, steps: Sequence[str], after: str = "", limit: int = 100) -> StateView:
        """Return one level below a path in an actor's state: up to `limit` entries after the key `after`.

        Raises PathNotFound, InvalidInput.
        """
        _, state = self._actor(actor)
        node = self._value_at(state, [actor, "state", *steps])
        cid = show(unlink(node.value)) if node.layout is None and kind_of(node.value) == "link" else None
        node = self.follow_link(node)
        name, kind = _type_name(node.schema, node.term), node.schema.type_of(node.term)
        if node.layout is not None:
            assert isinstance(kind, Map | List)
            start = _key_from_text(node.schema, kind, after) if after else None
            found = list(islice(Layout(node.layout).items(self._store, node.value, start), limit + 1))
            parts = [(key_text(node.schema, kind, key), value) for key, value in found]
            entries = [(key, value_of_entry(node.schema, kind, value)) for key, value in parts]
        elif isinstance(node.value, dict | list):
            pairs = node.value.items() if isinstance(node.value, dict) else enumerate(node.value)
            start = int(after) + 1 if after.isdecimal() and isinstance(node.value, list) else 0
            entries = [
                (str(key), StateValue(node.schema, child_term(node, str(key)), value))
                for key, value in islice(pairs, start, start + limit + 1 if isinstance(node.value, list) else None)
            ]
        else:
            return StateView(name, (), text=value_text(node), cid=cid)
        shown = entries if isinstance(node.value, dict) and node.layout is None else entries[:limit]
        last = shown[-1][0] if len(entries) > len(shown) else None
        return StateView(name, tuple(_part(*entry) for entry in shown), last, None, node.layout, cid)

    def _value_at(self, state: ActorState, steps: Sequence[str]) -> StateValue:
        """Resolve a path: the actor, `state`, and the steps below."""
        archived = archived_actor(self._store, state)
        if archived is None:
            node = self.state_value(state)
        else:
            node = StateValue(_plain(), ANY, _archived_fields(archived))
            if any(step not in node.value for step in steps[2:3]):
                raise PathNotFound(f"{steps[0]} is {archived}; its remaining fields are {_names(node.value)}")
        for number, step in enumerate(steps[2:], 3):
            try:
                node = self._enter(node, step)
            except PathNotFound as error:
                raise PathNotFound(f"{'/'.join(steps[: number - 1])}: {error}") from None
        return node

    def proof(self) -> list[tuple[Cid, bytes]]:
        """Return the blocks read since the last call. They prove the values found, from the root on."""
        return self._store.take()

    # --- actors -----------------------------------------------------------------------------------------------

    def _actors(self, limit: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for actor, state in sorted(islice(self._tree.actors(), limit)):
            shown[str(Address.id(actor))] = {"type": self.type_of(state.code), "balance": str(state.balance)}
        return shown

    def _actor(self, text: str) -> tuple[ActorID, ActorState]:
        address = parse_address(text)
        actor = self._tree.lookup_id(address)
        state = None if actor is None else self._tree.get_actor(actor)
        if actor is None or state is None:
            raise PathNotFound(f"there is no actor {text}")
        return actor, state

    def type_of(self, code: Cid) -> str:
        """Return the name of a built-in actor's code, "archived", or the CID of other code."""
        if code == ARCHIVED_CODE:
            return ARCHIVED
        return (self._manifest and self._manifest.name_of(code)) or show(code)

    def _describe(self, actor: ActorID, state: ActorState) -> dict[str, Any]:
        archived = archived_actor(self._store, state)
        fields = {
            "id": str(Address.id(actor)),
            "type": self.type_of(state.code),
            "code": _link(state.code),
            "head": _link(state.head),
            "nonce": state.nonce,
            "balance": str(state.balance),
            "delegated_address": None if state.delegated_address is None else str(state.delegated_address),
        }
        return fields if archived is None else fields | {ARCHIVED: str(archived)}

    def interface(self, actor: str) -> Interface | None:
        """Return the known interface of an actor. Raises PathNotFound, InvalidInput."""
        _, state = self._actor(actor)
        name = self._manifest and self._manifest.name_of(state.code)
        return Interface.built_in(name) if name else self._schemas(state).interface()

    def schema_fault(self, actor: str) -> str:
        """Return why the state of an actor is shown undecoded although it has a schema; empty otherwise.

        Raises PathNotFound, InvalidInput.
        """
        _, state = self._actor(actor)
        if (self._manifest and self._manifest.name_of(state.code)) or archived_actor(self._store, state) is not None:
            return ""
        known = self._schemas(state)
        if known.text is not None and self.state_value(state).term == ANY:
            return f"the state of {actor} does not match a state type of its schema {show(known.key or state.code)}"
        return known.fault

    def _schema(self, actor: ActorState) -> Schema | None:
        name = self._manifest and self._manifest.name_of(actor.code)
        if name:
            return actor_schema(name)
        known = self._schemas(actor)
        interface = Interface.built_in("evm") if known.is_contract else known.interface()
        return None if interface is None else interface.schema

    def state_value(self, actor: ActorState) -> StateValue:
        """Return the state of an actor, by its schema if it has one."""
        data = load(self._store, actor.head)
        schema = self._schema(actor)
        if schema is None:
            return StateValue(_plain(), ANY, data)
        version = None if self._manifest is None else actors_version(self._manifest)
        for layout in state_types(schema, version):
            try:
                return StateValue(schema, layout, schema.read(layout, data))
            except SchemaError:  # another version's layout
                continue
        return StateValue(_plain(), ANY, data)

    # --- steps ------------------------------------------------------------------------------------------------

    def follow_link(self, node: StateValue) -> StateValue:
        """Follow a link; the root of an ADL is not read."""
        if node.layout is not None or kind_of(node.value) != "link":
            return node
        kind = node.schema.type_of(node.term)
        expected = kind.expected if isinstance(kind, Link) else ANY
        cid = unlink(node.value)
        layout = _layout(node.schema.type_of(expected))
        if layout is not None:
            return StateValue(node.schema, expected, cid, layout)
        return StateValue(node.schema, expected, node.schema.read(expected, load(self._store, cid)))

    def _enter(self, node: StateValue, step: str) -> StateValue:
        node = self.follow_link(node)
        kind = node.schema.type_of(node.term)
        if node.layout is not None:
            assert isinstance(kind, Map | List)
            found, value = Layout(node.layout).get(self._store, node.value, _key_from_text(node.schema, kind, step))
            if not found:
                raise PathNotFound(f"there is no entry {step}")
            return value_of_entry(node.schema, kind, value)
        value = node.value
        if isinstance(value, dict):
            if step not in value:
                raise PathNotFound(f"there is no '{step}', only {_names(value)}")
            return StateValue(node.schema, term_below(node.schema, node.term, step), value[step])
        if isinstance(value, list):
            if not step.isdecimal() or int(step) >= len(value):
                raise PathNotFound(f"there is no entry {step} in a list of {len(value)}")
            return StateValue(node.schema, term_below(node.schema, node.term, step), value[int(step)])
        raise PathNotFound(f"there is no '{step}' in {_with_article(kind_of(value))}")

    # --- values -----------------------------------------------------------------------------------------------

    def _render(self, node: StateValue, limit: int) -> Any:
        if node.layout is None:
            return as_json(node.schema, node.term, node.value)
        kind = node.schema.type_of(node.term)
        assert isinstance(kind, Map | List)
        entries = islice(Layout(node.layout).items(self._store, node.value), limit)
        shown = {}
        for key, value in entries:
            entry = value_of_entry(node.schema, kind, value)
            shown[key_text(node.schema, kind, key)] = as_json(entry.schema, entry.term, entry.value)
        return shown


def _archived_fields(archived: ArchivedActor) -> dict[str, Any]:
    """Return the fields of an archived actor. The root is text, because its block may be missing."""
    code = archived.name or show(archived.code)
    return {
        "archived_since": archived.since,
        "code": code,
        "root": show(archived.root),
        "size": archived.size,
        "kept": archived.retained,
    }


def _manifest_of(store: Blockstore, root: Cid) -> Manifest | None:
    system = StateTree(store, root).get_actor(SYSTEM_ACTOR)
    if system is None:
        return None
    (data,) = get_object(store, system.head)
    return Manifest.load(store, unlink(data))


def _part(name: str, node: StateValue) -> StatePart:
    """Describe a child of a value. Links are not followed."""
    is_link = kind_of(node.value) == "link"
    deeper = is_link or bool(isinstance(node.value, dict | list) and node.value)
    cid = show(unlink(node.value)) if is_link else None
    return StatePart(name, _type_name(node.schema, node.term), "" if is_link else value_text(node), deeper, cid)


def value_text(node: StateValue) -> str:
    """Return a value on one line: text as it is, everything else as JSON."""
    shown = as_json(node.schema, node.term, node.value)
    return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)


def child_term(node: StateValue, step: str) -> Term:
    """Return the type one step below a node in the same block."""
    kind = node.schema.type_of(node.term)
    if isinstance(kind, Union):
        return next((member for member in kind.members.values() if member_name(member) == step), ANY)
    return term_below(node.schema, node.term, step)


def _type_name(schema: Schema, term: Term) -> str:
    """Return a type as a schema writes it: its name, or its composition."""
    match term:
        case str():
            return "" if term == ANY else term
        case Link(expected):
            return f"&{expected if isinstance(expected, str) else _type_name(schema, expected)}"
        case List(value):
            return f"[{_type_name(schema, value)}]"
        case Map(key, value):
            return f"{{{key}: {_type_name(schema, value)}}}"
        case _:
            return ""


def parse_address(text: str) -> Address:
    """Parse an actor's address in any of its forms: f0 to f4 (t too), 0x and 40 digits. Raises InvalidInput."""
    if text.startswith("0x"):
        try:
            return to_filecoin(eth_address(bytes.fromhex(text[2:])))
        except ValueError as error:
            raise InvalidInput(f"'{text}' is not an Ethereum address: {error}") from None
    return Address.parse(text)


@cache
def _plain() -> Schema:
    return Schema({})


def _layout(kind: Type) -> str | None:
    """Return the layout over several blocks of a type."""
    if isinstance(kind, Map) and isinstance(kind.representation, Advanced):
        return kind.representation.name
    return kind.advanced if isinstance(kind, List) else None


def value_of_entry(schema: Schema, kind: Map | List, value: Any) -> StateValue:
    """Return an entry of a layout, by the type of its values."""
    if isinstance(kind.value, str):
        value = schema.read(kind.value, value)
    return StateValue(schema, kind.value, value)


# --- keys and values by the names of their types ----------------------------------------------------------------------


def _zigzag(number: int) -> bytes:
    return write_uvarint(number * 2 if number >= 0 else -number * 2 - 1)


def _unzigzag(key: bytes) -> str:
    number = read_uvarint(key)[0]
    return str(number // 2 if number % 2 == 0 else -(number + 1) // 2)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _from_hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _slot(text: str) -> bytes:
    return int(text, 0).to_bytes(32, "big")


def _number(text: str) -> bytes:
    """Return the varint of a number, or of the actor ID in an ID address."""
    return write_uvarint(int(text.removeprefix("f0").removeprefix("t0")))


def _address(data: bytes) -> str:
    return str(Address.from_bytes(data)) if data else ""


_NUMBER: Final = (_number, lambda key: str(read_uvarint(key)[0]))
_SIGNED: Final = (lambda text: _zigzag(int(text)), _unzigzag)

_KEYS: Final[Mapping[str, tuple[Callable[[str], bytes], Callable[[bytes], str]]]] = {
    "Address": (lambda text: parse_address(text).to_bytes(), _address),
    "ActorID": (_number, lambda key: str(Address.id(read_uvarint(key)[0]))),
    "SectorNumber": _NUMBER, "DealID": _NUMBER, "AllocationID": _NUMBER,
    "ChainEpoch": _SIGNED, "TxnID": _SIGNED,
    "U256": (_slot, _hex),
}  # fmt: skip
"""Conversions of HAMT keys from and to text, by key type (builtin_actors/schemas/common.ipldsch)."""


def _key_from_text(schema: Schema, kind: Map | List, text: str) -> bytes | int:
    try:
        if isinstance(kind, List):
            return int(text)
        name = schema.name_of(kind.key)
        return _KEYS[name][0](text) if name in _KEYS else _from_hex(text)
    except (ValueError, OverflowError) as error:
        expected = "an index" if isinstance(kind, List) else f"a key of the type {kind.key}"
        raise InvalidInput(f"'{text}' is not {expected}: {error}") from None


def key_text(schema: Schema, kind: Map | List, key: bytes | int) -> str:
    """Return the text of a key of a map or a list over several blocks, by the name of its type."""
    if isinstance(key, int) or isinstance(kind, List):
        return str(key)
    name = schema.name_of(kind.key)
    try:
        return _KEYS[name][1](key) if name in _KEYS else _hex(key)
    except (VarintError, HypervisorError):
        return _hex(key)


def _link(cid: Cid) -> dict[str, str]:
    return {"/": show(cid)}


def _names(names: Mapping[str, Any] | list[str]) -> str:
    return ", ".join(names) or "nothing"


def _with_article(kind: str) -> str:
    return {"bytes": kind, "null": kind, "int": "a number"}.get(kind, f"a {kind}")


@dataclass(frozen=True, slots=True)
class InspectedState:
    """A value of the state, ready for JSON: amounts in decimal attoFIL, links as CIDs.

    `complete` is True if it has all entries of a map or list.
    """

    path: str
    value: Any
    complete: bool = True

    @classmethod
    def at(cls, machine: Hypervisor, path: str, limit: int, schemas: ActorSchemas) -> InspectedState:
        """Return the value at a path of the state, at most `limit` entries. Raises PathNotFound, InvalidInput.

        `schemas` returns those of users' actors.
        """
        whole_number(limit, "a number of entries", 1)
        inspector = StateInspector(machine.store, machine.root, schemas)
        found = inspector.read_path(path, limit + 1)
        long = isinstance(found, dict | list) and len(found) > limit
        if isinstance(found, dict) and long:
            found = {key: found[key] for key in list(found)[:limit]}
        return cls(path, found[:limit] if isinstance(found, list) and long else found, not long)

    def __getitem__(self, step: str | int) -> Any:
        return self.value[step]

    def __repr__(self) -> str:
        count = f"{len(self.value)} entries" if isinstance(self.value, dict | list) else _text(self.value)
        return one_line("InspectedState", self.path or "actors", count, "" if self.complete else "more are there")

    def _repr_html_(self) -> str:
        more = ""
        if not self.complete:
            command = f"hypervisor inspect DIR {self.path}".rstrip()
            more = (
                f"{len(self.value):,} entries are shown, and more are there: `network.inspect({self.path!r}, most=N)` "
                f"has N of them, and so has `{command} --limit N` of a chain in a folder."
            )
        return table(self.path or "actors", (), self._rows(), more)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        match self.value:
            case dict() if not self.path.strip("/"):
                for actor, each in self.value.items():
                    yield actor, each["type"], show_fil(int(each["balance"]))
            case dict():
                yield from ((str(key), _text(each)) for key, each in self.value.items())
            case list():
                yield from ((str(index), _text(each)) for index, each in enumerate(self.value))
            case _:
                yield "", _text(self.value)


def _text(value: Any) -> str:
    match value:
        case str():
            return value
        case {"/": str(cid)} if len(value) == 1:
            return cid
        case _:
            return json.dumps(value, ensure_ascii=False)

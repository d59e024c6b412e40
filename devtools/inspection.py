"""Looking into state by path: from a state root to an actor, into its state, and on by the names of its schema.

    f04/state/claims/f01000/quality_adj_power       an entry of a map of the storage power actor
    0x1234.../state/contract_state/7                a slot of a contract
    f0101/balance                                   a field of the actor itself

Values come out as JSON: amounts in decimal, addresses as text, byte strings in hexadecimal digits, links as
{"/": CID}. The state of an actor without a schema, or one that its schema does not fit, is shown as it is in the data
model. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Final

from bridge.actor_schemas import ANY, actor_schema, state_types, term_below
from bridge.addresses import eth_address, to_filecoin
from bridge.interfaces import Interface, as_json
from hypervisor.address import Address
from hypervisor.bundle_library import actors_version
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.manifest import Manifest
from hypervisor.state_tree import ActorState, StateTree
from hypervisor.types import SYSTEM_ACTOR, ActorID
from store.blockstore import Blockstore, get_object
from store.cid import Cid, show
from store.codec import kind_of, unlink
from store.layouts import Layout
from store.paths import load
from store.recorder import RecordingBlockstore
from store.schema import Schema, SchemaError
from store.schema.types import Advanced, Link, List, Map, Term, Type
from store.varint import VarintError, read_uvarint, write_uvarint


class NothingAtPath(HypervisorError):
    """A path that leads to nothing; the text says at which step, and what there is instead."""


@dataclass(frozen=True, slots=True)
class StatePlace:
    """A value that a path led to: its type, and the schema that the type is from.

    A map or a list that is spread over blocks is not read yet: then `layout` is its name and `value` its root's CID.
    """

    schema: Schema
    term: Term
    value: Any
    layout: str | None = None


class StateInspector:
    """The state below a root. Raises BlockNotFound and StoreCorrupt where blocks are missing or damaged.

    `interfaces` knows the interface of users' actors by their code CID, where there is one.
    """

    def __init__(
        self, store: Blockstore, root: Cid, interfaces: Callable[[Cid], Interface | None] = lambda _code: None
    ) -> None:
        self._store = RecordingBlockstore(store)
        self._interfaces = interfaces
        self._tree = StateTree(self._store, root)
        system = StateTree(store, root).get_actor(SYSTEM_ACTOR)  # for names alone, so no part of a proof
        self._manifest: Manifest | None = None
        if system is not None:
            (data,) = get_object(store, system.head)
            self._manifest = Manifest.load(store, unlink(data))

    def look(self, path: str, most: int = 100) -> Any:
        """What is at a path, ready for JSON; of maps and lists that are spread over blocks `most` entries at most.

        Raises NothingAtPath, InvalidInput.
        """
        steps = [step for step in path.split("/") if step]
        if not steps:
            return self._actors(most)
        actor, state = self._actor(steps[0])
        if len(steps) == 1:
            return self._describe(actor, state)
        if steps[1] != "state":
            fields = self._describe(actor, state)
            if steps[1] not in fields or len(steps) > 2:
                raise NothingAtPath(f"an actor has no '{'/'.join(steps[1:])}': there are {_names([*fields, 'state'])}")
            return fields[steps[1]]
        place = self._state(state)
        for number, step in enumerate(steps[2:], 3):
            try:
                place = self._enter(place, step)
            except NothingAtPath as error:
                raise NothingAtPath(f"{'/'.join(steps[: number - 1])}: {error}") from None
        return self._render(self._follow_link(place), most)

    def proof(self) -> list[tuple[Cid, bytes]]:
        """The blocks that show, from the root on, what was found since the last time."""
        return self._store.take()

    # --- actors -----------------------------------------------------------------------------------------------

    def _actors(self, most: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for actor, state in sorted(islice(self._tree.actors(), most)):
            shown[str(Address.id(actor))] = {"type": self._type(state.code), "balance": str(state.balance)}
        return shown

    def _actor(self, text: str) -> tuple[ActorID, ActorState]:
        address = parse_address(text)
        actor = self._tree.lookup_id(address)
        state = None if actor is None else self._tree.get_actor(actor)
        if actor is None or state is None:
            raise NothingAtPath(f"there is no actor {text}")
        return actor, state

    def _type(self, code: Cid) -> str:
        return (self._manifest and self._manifest.name_of(code)) or show(code)

    def _describe(self, actor: ActorID, state: ActorState) -> dict[str, Any]:
        return {
            "id": str(Address.id(actor)),
            "type": self._type(state.code),
            "code": _link(state.code),
            "head": _link(state.head),
            "nonce": state.nonce,
            "balance": str(state.balance),
            "delegated_address": None if state.delegated_address is None else str(state.delegated_address),
        }

    def interface(self, actor: str) -> Interface | None:
        """What is known of an actor's methods. Raises NothingAtPath, InvalidInput."""
        _, state = self._actor(actor)
        name = self._manifest and self._manifest.name_of(state.code)
        return Interface.built_in(name) if name else self._interfaces(state.code)

    def _schema(self, code: Cid) -> Schema | None:
        name = self._manifest and self._manifest.name_of(code)
        if name:
            return actor_schema(name)
        interface = self._interfaces(code)
        return None if interface is None else interface.schema

    def _state(self, actor: ActorState) -> StatePlace:
        data = load(self._store, actor.head)
        schema = self._schema(actor.code)
        if schema is None:
            return StatePlace(_plain(), ANY, data)
        version = None if self._manifest is None else actors_version(self._manifest)
        for layout in state_types(schema, version):
            try:
                return StatePlace(schema, layout, schema.read(layout, data))
            except SchemaError:  # another version's layout
                continue
        return StatePlace(_plain(), ANY, data)

    # --- steps ------------------------------------------------------------------------------------------------

    def _follow_link(self, place: StatePlace) -> StatePlace:
        """What a link leads to, if the place is one; a layout's root stays unread."""
        if place.layout is not None or kind_of(place.value) != "link":
            return place
        kind = place.schema.type_of(place.term)
        expected = kind.expected if isinstance(kind, Link) else ANY
        cid = unlink(place.value)
        layout = _layout(place.schema.type_of(expected))
        if layout is not None:
            return StatePlace(place.schema, expected, cid, layout)
        return StatePlace(place.schema, expected, place.schema.read(expected, load(self._store, cid)))

    def _enter(self, place: StatePlace, step: str) -> StatePlace:
        place = self._follow_link(place)
        kind = place.schema.type_of(place.term)
        if place.layout is not None:
            assert isinstance(kind, Map | List)
            found, value = Layout(place.layout).get(self._store, place.value, _key_from_text(place.schema, kind, step))
            if not found:
                raise NothingAtPath(f"there is no entry {step}")
            return _entry(place.schema, kind, value)
        value = place.value
        if isinstance(value, dict):
            if step not in value:
                raise NothingAtPath(f"there is no '{step}', only {_names(value)}")
            return StatePlace(place.schema, term_below(place.schema, place.term, step), value[step])
        if isinstance(value, list):
            if not step.isdecimal() or int(step) >= len(value):
                raise NothingAtPath(f"there is no entry {step} in a list of {len(value)}")
            return StatePlace(place.schema, term_below(place.schema, place.term, step), value[int(step)])
        raise NothingAtPath(f"there is no '{step}' in {_article(kind_of(value))}")

    # --- values -----------------------------------------------------------------------------------------------

    def _render(self, place: StatePlace, most: int) -> Any:
        if place.layout is None:
            return as_json(place.schema, place.term, place.value)
        kind = place.schema.type_of(place.term)
        assert isinstance(kind, Map | List)
        entries = islice(Layout(place.layout).items(self._store, place.value), most)
        shown = {}
        for key, value in entries:
            entry = _entry(place.schema, kind, value)
            shown[_key_as_text(place.schema, kind, key)] = as_json(entry.schema, entry.term, entry.value)
        return shown


def parse_address(text: str) -> Address:
    """An actor's address in any of its forms: f0 to f4 (t too), 0x and 40 digits. InvalidInput."""
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
    """The layout over several blocks that a type asks for."""
    if isinstance(kind, Map) and isinstance(kind.representation, Advanced):
        return kind.representation.name
    return kind.advanced if isinstance(kind, List) else None


def _entry(schema: Schema, kind: Map | List, value: Any) -> StatePlace:
    """An entry of a layout, by the type of its values."""
    if isinstance(kind.value, str):
        value = schema.read(kind.value, value)
    return StatePlace(schema, kind.value, value)


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
    """The varint of a number, or of the actor that an ID address names."""
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
"""How keys of maps over several blocks are written (actors/schemas/common.ipldsch), as text and as bytes."""


def _key_from_text(schema: Schema, kind: Map | List, text: str) -> bytes | int:
    try:
        if isinstance(kind, List):
            return int(text)
        name = schema.name_of(kind.key)
        return _KEYS[name][0](text) if name in _KEYS else _from_hex(text)
    except (ValueError, OverflowError) as error:
        expected = "an index" if isinstance(kind, List) else f"a key of the type {kind.key}"
        raise InvalidInput(f"'{text}' is not {expected}: {error}") from None


def _key_as_text(schema: Schema, kind: Map | List, key: bytes | int) -> str:
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


def _article(kind: str) -> str:
    return {"bytes": kind, "null": kind, "int": "a number"}.get(kind, f"a {kind}")

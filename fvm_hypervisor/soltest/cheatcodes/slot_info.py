"""Names, types and decoded values of storage slots by a contract's storage layout, as forge 1.7.1 shows them.

Like forge, this shows a slot with several variables as the first of them, whose value is the whole word. Slots of
enums, contracts and user-defined types are not named, nor are elements of dynamic arrays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fvm_hypervisor.soltest.cheatcodes.state import MappingSlots
from fvm_hypervisor.soltest.value_text import value_text
from store.keccak import keccak

Layout = Mapping[str, Any]
Values = Mapping[int, tuple[int, int]]
"""Values of slots before and after a change."""
_WORD: Final = 32
_TYPE: Final = re.compile(r"(?:(?:u?int|bytes)\d*|address|bool|string)(?:\[\d*\])*")
"""Types that have a name in the ABI."""
_ARRAY: Final = re.compile(r"(.*)\[(\d+)\]")
_STRUCT: Final = "struct "
_MAX_DEPTH: Final = 10
_MAX_WORDS: Final = 256
"""Maximum number of slots of a text or of bytes that are shown."""


@dataclass(slots=True)
class SlotInfo:
    """A variable, an element or a member in a slot. `type` is the compiler's label, `kind` the type in the ABI."""

    label: str
    type: str
    kind: str
    offset: int
    slot: int
    members: list[SlotInfo] | None = None
    decoded: tuple[str, str] | None = None
    keys: Sequence[str] = ()

    def decode(self, slot: int, before: int, after: int, values: Values) -> None:
        """Decode the slot's value before and after; `values` are the slots changed by the same call."""
        if self.members is None:
            self._set(_decode(self.kind, before), _decode(self.kind, after))
        for member in self.members or ():
            size = _size(member.kind)
            shift, mask = 8 * member.offset, (1 << 8 * size) - 1
            fits = member.offset + size <= _WORD
            parts = ((before >> shift) & mask, (after >> shift) & mask) if fits else (0, 0)
            member._set(_decode(member.kind, parts[0]), _decode(member.kind, parts[1]))
        if self.kind in ("bytes", "string") and slot in values:
            self._set(*(self._text(slot, word, values, at) for at, word in enumerate(values[slot])))

    def _set(self, before: str | None, after: str | None) -> None:
        if before is not None and after is not None:
            self.decoded = before, after

    def _text(self, slot: int, word: int, values: Values, at: int) -> str | None:
        """Return the text or the bytes of a slot, from the slots of its data if it is long."""
        if not word & 1:
            return _decode(self.kind, word)
        length = word >> 1
        start = _data_start(slot)
        shown = range(start, start + min(-(-length // _WORD), _MAX_WORDS))
        self.members = [
            SlotInfo(f"{self.label}[{index}]", self.type, "bytes32", 0, place) for index, place in enumerate(shown)
        ] or self.members
        data = b"".join(_bytes(values[place][at]) for place in shown if place in values)
        return _data_text(self.kind, data[:length])

    def json(self) -> dict[str, Any]:
        """Return forge's JSON."""
        found: dict[str, Any] = {"label": self.label, "type": self.type, "offset": self.offset, "slot": str(self.slot)}
        if self.members is not None:
            found["members"] = [member.json() for member in self.members]
        if self.decoded is not None:
            found["decoded"] = {"previousValue": self.decoded[0], "newValue": self.decoded[1]}
        if len(self.keys) > 1:
            found["keys"] = list(self.keys)
        elif self.keys:
            found["key"] = self.keys[0]
        return found


def slot_info(layout: Layout, slot: int, mappings: MappingSlots | None, values: Values) -> SlotInfo | None:
    """Return what a slot holds, or None if the layout does not say; `values` are the slots changed by the same call."""
    types = layout.get("types") or {}
    for row in layout.get("storage") or ():
        found = _of_row(types, row, slot, mappings)
        if found is not None:
            return found
    for row in layout.get("storage") or ():
        first, kind = int(row["slot"]), types[row["type"]]
        if kind["encoding"] == "bytes" and first in values and values[first][1] & 1:
            index = slot - _data_start(first)
            if 0 <= index < -(-(values[first][1] >> 1) // _WORD):
                return SlotInfo(f"{row['label']}[{index}]", kind["label"], "bytes32", 0, slot)
    return None


def _of_row(types: Layout, row: Layout, slot: int, mappings: MappingSlots | None) -> SlotInfo | None:
    label, first, kind, offset = row["label"], int(row["slot"]), types[row["type"]], row["offset"]
    abi = _abi_type(kind["label"])
    if abi is not None and slot == first:
        return SlotInfo(label + "[0]" * len(_lengths(abi)), kind["label"], abi, offset, slot)
    if kind["encoding"] == "mapping":
        return None if mappings is None else _of_mapping(types, row, slot, mappings)
    if kind["encoding"] != "inplace":
        return None
    if abi is not None and _lengths(abi) and first <= slot < first - (-int(kind["numberOfBytes"]) // _WORD):
        inner = _lengths(abi)[1:]
        index = slot - first
        indices = f"[{index // inner[0]}][{index % inner[0]}]" if inner else f"[{index}]"
        return SlotInfo(label + indices, kind["label"], abi, 0, slot)
    if kind["label"].startswith(_STRUCT):
        return _of_struct(types, label, kind, slot, first, offset)
    return None


def _of_struct(
    types: Layout, label: str, kind: Layout, slot: int, first: int, offset: int, depth: int = 0
) -> SlotInfo | None:
    """Return the member of a struct that begins in a slot; all members of a struct that occupies one slot only."""
    members = kind.get("members")
    if members is None or depth > _MAX_DEPTH:
        return None
    begun = next((member for member in members if member["slot"] == "0"), None)
    if first == slot and begun is not None:
        if all(member["slot"] == "0" for member in members):
            return _packed(types, label, kind, slot, offset)
        members = [begun]
    for member in members:
        place, found = first + int(member["slot"]), types[member["type"]]
        name = f"{label}.{member['label']}"
        if found["label"].startswith(_STRUCT):
            inner = _of_struct(types, name, found, slot, place, member["offset"], depth + 1)
            if inner is not None or place == slot:
                return inner
        elif place == slot:
            abi = _abi_type(found["label"])
            return None if abi is None else SlotInfo(name, found["label"], abi, member["offset"], slot)
    return None


def _packed(types: Layout, label: str, kind: Layout, slot: int, offset: int) -> SlotInfo:
    members = [
        SlotInfo(member["label"], types[member["type"]]["label"], abi, member["offset"], slot)
        for member in kind["members"]
        if (abi := _abi_type(types[member["type"]]["label"])) is not None
    ]
    kinds = ",".join(member.kind for member in members)
    return SlotInfo(label, kind["label"], f"({kinds})", offset, slot, members or None)


def _of_mapping(types: Layout, row: Layout, slot: int, mappings: MappingSlots) -> SlotInfo | None:
    """Return the value of a mapping whose keys were hashed to this slot."""
    words: list[bytes] = []
    at = slot
    while at in mappings.keys and len(words) <= len(mappings.keys):
        word, at = mappings.keys[at]
        words.insert(0, word)
        if at == int(row["slot"]):
            break
    else:
        return None
    kind = types[row["type"]]
    keys: list[str] = []
    value = kind
    for word in words:
        key = _abi_type(types[value["key"]]["label"]) if value["encoding"] == "mapping" else None
        if key is None or key in ("bytes", "string"):  # the slot has the hash of a text or bytes
            keys.append(f"0x{word.hex()}")
        else:
            keys.append(_text(key, word))
        value = types[value["value"]] if value["encoding"] == "mapping" else value
    while value["encoding"] == "mapping":
        value = types[value["value"]]
    label = row["label"] + "".join(f"[{key}]" for key in keys)
    return SlotInfo(label, kind["label"], _abi_type(value["label"]) or "bytes", row["offset"], slot, keys=keys)


def _abi_type(label: str) -> str | None:
    """Return the compiler's label of a type if it is one of the ABI's."""
    return label if _TYPE.fullmatch(label) else None


def _lengths(kind: str) -> list[int]:
    """Return the lengths of an array of fixed size, outermost first; empty if the outermost is dynamic."""
    found = []
    while array := _ARRAY.fullmatch(kind):
        kind = array[1]
        found.append(int(array[2]))
    return found


def _size(kind: str) -> int:
    """Return the size of a struct's member in bytes."""
    if kind.startswith(("uint", "int")):
        return int(kind.lstrip("uint")) // 8 if _TYPE.fullmatch(kind) and not kind.endswith("]") else _WORD
    if kind.startswith("bytes") and kind[5:].isdecimal():
        return int(kind[5:])
    return {"address": 20, "bool": 1}.get(kind, _WORD)


def _decode(kind: str, word: int) -> str | None:
    """Return the text of a word as a value of a type; of an array of fixed size, as its element."""
    while array := _ARRAY.fullmatch(kind):
        kind = array[1]
    data = _bytes(word)
    if kind in ("bytes", "string"):
        return None if word & 1 else _data_text(kind, data[: data[-1] >> 1])
    if kind.endswith("]"):
        return None if word else "[]"
    if kind == "()":
        return kind
    if kind.startswith("("):
        return None
    return _text(kind, data)


def _text(kind: str, data: bytes) -> str:
    value: Any = int.from_bytes(data, "big", signed=kind.startswith("int"))
    if kind == "address":
        value = data[-20:]
    elif kind == "bool":
        value = value != 0
    elif kind.startswith("bytes"):
        value = data[: int(kind[5:])]
    return value_text({"type": kind}, value, raw=True)


def _data_text(kind: str, data: bytes) -> str:
    if kind == "bytes":
        return f"0x{data.hex()}"
    try:
        return value_text({"type": kind}, data.decode(), raw=True)
    except UnicodeDecodeError:
        return ""


def _data_start(slot: int) -> int:
    return int.from_bytes(keccak(_bytes(slot)), "big")


def _bytes(word: int) -> bytes:
    return word.to_bytes(_WORD, "big")

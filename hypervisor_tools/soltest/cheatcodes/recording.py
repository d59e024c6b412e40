"""Recorded accesses, logs and state diffs, with the names and types of storage slots.

A state diff has calls, creations and slots, as `stopAndReturnStateDiff` returns them. As in forge, slots of failed
calls are left out, and so are calls that are still running.

Names, types and decoded values of slots follow a contract's storage layout, as forge 1.7.1 shows them. Like forge, this
shows a slot with several variables as the first of them, whose value is the whole word. Slots of enums, contracts and
user-defined types are not named, nor are elements of dynamic arrays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, checksummed, create2_address
from hypervisor_tools.soltest.cheatcodes.context import CallOperations, Context
from hypervisor_tools.soltest.cheatcodes.failures import HALTS, check_size
from hypervisor_tools.soltest.cheatcodes.state import (
    CREATE2_DEPLOYER,
    AccountAccess,
    MappingSlots,
    State,
    StorageAccess,
)
from hypervisor_tools.soltest.cheatcodes.table import cheatcode, selector
from hypervisor_tools.soltest.cheatcodes.values import decode
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation
from hypervisor_tools.soltest.value_text import value_text
from runtimes.evm import OPCODE_NUMBERS, CallKind, SubcallOutcome
from runtimes.evm.revm import Access, AccessKind, CheatContext, Executed, InterceptedCall, ObservedCall
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


_KINDS: Final = {CallKind.CALL: 0, CallKind.DELEGATECALL: 1, CallKind.CALLCODE: 2, CallKind.STATICCALL: 3, None: 4}
RESUME: Final = 6
_SELFDESTRUCT: Final = "SELFDESTRUCT"
_OPCODES: Final = {_SELFDESTRUCT: 5, "BALANCE": 7, "EXTCODESIZE": 8, "EXTCODEHASH": 9, "EXTCODECOPY": 10}
_KIND_OF_OPCODE: Final = {OPCODE_NUMBERS[name]: kind for name, kind in _OPCODES.items()}
_SELFDESTRUCT_NUMBER: Final = OPCODE_NUMBERS[_SELFDESTRUCT]


def open_accesses(
    state: State,
    request: InterceptedCall,
    payer: EthAddress | None,
    sender: EthAddress | None,
    operations: CallOperations,
) -> list[tuple[InterceptedCall, AccountAccess]]:
    """Record a call before it is made; CREATE2 by the default deployer is a call of it, in which it creates."""
    calls = [(request, sender)]
    if request.second and sender == CREATE2_DEPLOYER != request.caller:
        data, made = request.salt + request.data, create2_address(CREATE2_DEPLOYER, request.salt, request.data)
        deployer = CREATE2_DEPLOYER
        calls = [
            (request._replace(kind=CallKind.CALL, target=deployer, receiver=deployer, data=data, second=False), payer),
            (request._replace(target=made, receiver=made, depth=request.depth + 1), sender),
        ]
    return [(call, _open_access(state, call, accessor, operations)) for call, accessor in calls]


def _open_access(
    state: State, request: InterceptedCall, sender: EthAddress | None, operations: CallOperations
) -> AccountAccess:
    """Record a call before it is made; a creation's address is set afterwards."""
    assert state.diff is not None
    ledger = operations.ledger
    assert isinstance(ledger, ObservedCall), "state diffs require Ethereum's rules"
    exists, balance, nonce = (True, 0, 0) if request.kind is None else ledger.look_up(request.receiver)
    access = AccountAccess(
        chain=operations.chain_id,
        kind=_KINDS[request.kind],
        account=request.target,
        accessor=sender or request.sender or request.caller,
        initialized=exists,
        old_balance=balance,
        new_balance=0,
        deployed=b"",
        value=request.value,
        data=request.data,
        reverted=False,
        depth=request.depth,
        old_nonce=nonce,
        new_nonce=0,
    )
    state.diff.append(access)
    state.open_diffs.append(access)
    return access


def close_access(
    state: State, access: AccountAccess, request: InterceptedCall, outcome: SubcallOutcome, operations: CallOperations
) -> None:
    """Complete the record of a call; if it reverted, nested ones are marked too. As in forge, a halt marks none."""
    ledger = operations.ledger
    if access in state.open_diffs:
        state.open_diffs.remove(access)
    if request.kind is None and outcome.created is not None:
        access.account, access.deployed = outcome.created, ledger.code(outcome.created)
    holder = access.account if request.kind is None else request.receiver
    access.new_balance, access.new_nonce = ledger.balance(holder), ledger.nonce(holder)
    if outcome.success or outcome.exit_code in HALTS or state.diff is None:
        return
    start = next((at for at, known in enumerate(state.diff) if known is access), len(state.diff))
    for below in state.diff[start:]:
        if below is access or below.depth > access.depth:
            below.reverted = True
            for slot in below.slots:
                slot.reverted = True


def take_accesses(state: State, run: ObservedCall) -> Access | None:
    """Record what instructions of a call in a session have accessed since the last time; return the last access."""
    access = None
    if not (state.recording or state.diff is not None or state.mappings is not None or state.hooks is not None):
        return access
    for access in run.accesses():
        if access.kind == AccessKind.ACCOUNT:
            _note_accessed(state, run, access)
        elif access.kind == AccessKind.HASH:
            if state.mappings is not None:
                slots = state.mappings.setdefault(access.account, MappingSlots())
                slots.hashes[access.third] = _bytes(access.first), access.second
            if state.hooks is not None:
                state.hooks.note_hash(access.account, _bytes(access.first), access.second, access.third)
        else:
            is_write = access.kind == AccessKind.WRITE
            if state.recording:
                state.note_accesses([(access.account, access.first, is_write)])
            if state.mappings is not None and is_write:
                state.mappings.setdefault(access.account, MappingSlots()).record_write(access.first)
            if state.diff is not None:
                note_slot(state, access.account, access.first, is_write, access.second, access.third)
    return access


def _note_accessed(state: State, run: ObservedCall, access: Access) -> None:
    """Record an opcode that has accessed an account."""
    if state.diff is None:
        return
    depth, opcode = divmod(access.place, 1 << 8)
    if opcode == _SELFDESTRUCT_NUMBER and not state.diff:
        return  # the contract that started the recording
    address, exists = access.accessed
    balance, nonce = access.second, access.third
    state.diff.append(AccountAccess(
        run.chain_id, _KIND_OF_OPCODE[opcode], address, access.account, exists, balance, balance + access.fourth, b"",
        access.fourth, b"", False, depth + 1, nonce, nonce,
    ))  # fmt: skip


def note_slot(state: State, account: EthAddress, slot: int, written: bool, before: int, after: int) -> None:
    """Record a slot access of the current call, in a new row if other calls were recorded since it began."""
    assert state.diff is not None
    if not state.open_diffs:
        return
    row = state.open_diffs[-1]
    last = state.diff[-1]
    if last is not row:
        if last.kind == RESUME and (last.account, last.depth) == (row.account, row.depth):
            row = last
        else:
            row = AccountAccess(
                row.chain, RESUME, row.account, row.accessor, row.initialized, 0, 0, b"", 0, b"", False, row.depth, 0, 0
            )
            state.diff.append(row)
    row.slots.append(StorageAccess(account, slot, written, before, after))


SLOT = "(address,bytes32,bool,bytes32,bytes32,bool)"
_CHAIN = "(uint256,uint256)"
_ACCESS = (
    f"({_CHAIN},uint8,address,address,bool,uint256,uint256,bytes,uint256,bytes,bool,{SLOT}[],uint64,uint64,uint64)"
)


# --- logs -----------------------------------------------------------------------------------------------------------


@cheatcode("getRecordedLogsJson()", returns="string")
def _recorded_logs_json(context: Context) -> str:
    called = CheatContext(context.caller, context.origin, context.depth, None)
    executed = context.cheats.interception.execute(called, selector("getRecordedLogs()"))
    assert isinstance(executed, Executed), "it cannot fail"
    (logs,) = decode(("(bytes32[],bytes,address)[]",), executed.output)
    return json.dumps(
        [
            {
                "topics": [f"0x{topic.hex()}" for topic in topics],
                "data": f"0x{data.hex()}",
                "emitter": checksummed(emitter),
            }
            for topics, data, emitter in logs
        ],
        separators=(",", ":"),
    )


# --- slots ----------------------------------------------------------------------------------------------------------


def note_write(context: Context, account: EthAddress, slot: int, word: int) -> None:
    """Record a slot that a cheatcode is about to write."""
    if context.state.diff is not None:
        note_slot(context.state, account, slot, True, context.ledger.load(account, slot), word)


@cheatcode("record()")
def _record(context: Context) -> None:
    context.require_ethereum("recording of slots")
    context.state.recording = True
    context.state.reads.clear()
    context.state.writes.clear()


@cheatcode("stopRecord()")
def _stop_record(context: Context) -> None:
    context.state.recording = False


@cheatcode("accesses(address)", returns="bytes32[],bytes32[]")
def _accesses(context: Context, account: EthAddress) -> tuple[list[bytes], list[bytes]]:
    state = context.state
    return [*map(_bytes, state.reads.get(account, []))], [*map(_bytes, state.writes.get(account, []))]


@cheatcode("startStateDiffRecording()")
def _start_diff(context: Context) -> None:
    context.require_ethereum("recording of state diffs")
    context.state.diff = []
    context.state.open_diffs = []
    if context.state.reads_mappings:  # observing every instruction is slow
        _start_mappings(context)


@cheatcode("stopAndReturnStateDiff()", returns=f"{_ACCESS}[]")
def _stop_diff(context: Context) -> Sequence[Any]:
    diff, context.state.diff = context.state.diff, None
    context.state.open_diffs = []
    return [_row(access) for access in diff or ()]


def _row(access: AccountAccess) -> tuple[Any, ...]:
    slots = [_slot_row(slot) for slot in access.slots]
    return (
        (0, access.chain), access.kind, access.account, access.accessor, access.initialized, access.old_balance,
        access.new_balance, access.deployed, access.value, access.data, access.reverted, slots, access.depth,
        access.old_nonce, access.new_nonce,
    )  # fmt: skip


def _slot_row(slot: StorageAccess) -> tuple[Any, ...]:
    return slot.account, _bytes(slot.slot), slot.written, _bytes(slot.before), _bytes(slot.after), slot.reverted


# --- mappings -------------------------------------------------------------------------------------------------------


@cheatcode("startMappingRecording()")
def _start_mappings(context: Context) -> None:
    context.require_ethereum("recording of mappings")
    if context.state.mappings is None:
        context.state.mappings = {}


@cheatcode("stopMappingRecording()")
def _stop_mappings(context: Context) -> None:
    context.state.mappings = None


def _mapping(context: Context, account: EthAddress) -> MappingSlots:
    return (context.state.mappings or {}).get(account) or MappingSlots()


@cheatcode("getMappingLength(address,bytes32)", returns="uint256")
def _mapping_length(context: Context, account: EthAddress, slot: bytes) -> int:
    return len(_mapping(context, account).children.get(int.from_bytes(slot, "big"), ()))


@cheatcode("getMappingSlotAt(address,bytes32,uint256)", returns="bytes32")
def _mapping_slot(context: Context, account: EthAddress, slot: bytes, index: int) -> bytes:
    slots = _mapping(context, account).children.get(int.from_bytes(slot, "big"), [])
    return _bytes(slots[index]) if index < len(slots) else bytes(32)


@cheatcode("getMappingKeyAndParentOf(address,bytes32)", returns="bool,bytes32,bytes32")
def _mapping_parent(context: Context, account: EthAddress, slot: bytes) -> tuple[bool, bytes, bytes]:
    known = _mapping(context, account)
    found = known.keys.get(int.from_bytes(slot, "big")) or known.hashes.get(int.from_bytes(slot, "big"))
    return (False, bytes(32), bytes(32)) if found is None else (True, found[0], _bytes(found[1]))


_ROW_SIZE = 300
"""Estimated maximum number of characters of a slot's change in JSON."""


@dataclass(slots=True)
class _Changes:
    """Changes of an account: first and last values."""

    balance: tuple[int, int] | None = None
    nonce: tuple[int, int] | None = None
    slots: dict[int, tuple[int, int]] = field(default_factory=dict)
    infos: dict[int, SlotInfo] = field(default_factory=dict)
    named: bool = False
    """True if forge looks up the contract's name."""
    layout: Layout | None = None
    """Storage layout of the contract, once a slot was written."""


@cheatcode("getStorageAccesses()", returns=f"{SLOT}[]")
def _accessed_slots(context: Context) -> Sequence[Any]:
    return [_slot_row(slot) for access in context.state.diff or () for slot in access.slots]


@cheatcode("getStateDiff()", returns="string")
def _struct_text(context: Context) -> str:
    parts = []
    for account, changes in _changes(context):
        label, contract = context.state.labels.get(account), _contract(context, account, changes)
        lines = [checksummed(account)]
        lines += [f"label: {label}"] if label else []
        lines += [f"contract: {contract}"] if contract else []
        lines += [f"- balance diff: {changes.balance[0]} → {changes.balance[1]}"] if changes.balance else []
        lines += [f"- nonce diff: {changes.nonce[0]} → {changes.nonce[1]}"] if changes.nonce else []
        lines += ["- state diff:"] if changes.slots else []
        lines += [_slot_text(slot, *words, changes.infos.get(slot)) for slot, words in sorted(changes.slots.items())]
        parts += [*lines, "\n"]
    return "\n".join(parts).replace("\n\n\n", "\n\n")


@cheatcode("getStateDiffJson()", returns="string")
def _json(context: Context) -> str:
    found = {
        f"0x{account.hex()}": {
            "label": context.state.labels.get(account),
            "contract": _contract(context, account, changes),
            "balanceDiff": changes.balance and _pair(hex(changes.balance[0]), hex(changes.balance[1])),
            "nonceDiff": changes.nonce and _pair(*changes.nonce),
            "stateDiff": {
                _word_text(slot): _pair(*map(_word_text, words))
                | (info.json() if (info := changes.infos.get(slot)) else {})
                for slot, words in sorted(changes.slots.items())
            },
        }
        for account, changes in _changes(context)
    }
    return json.dumps(found, separators=(",", ":"))


def _changes(context: Context) -> list[tuple[EthAddress, _Changes]]:
    """Return the changes by account, in the order of addresses."""
    found: dict[EthAddress, _Changes] = {}
    state = context.state
    for access in state.diff or ():
        if not any(access is known for known in state.open_diffs):
            _note(found, access)
        values = {slot.slot: (slot.before, slot.after) for slot in access.slots if slot.written and not slot.reverted}
        if access.slots:
            found.setdefault(access.account, _Changes()).named = True
        for slot in access.slots:
            if slot.written and not slot.reverted:
                account = found.setdefault(slot.account, _Changes())
                account.named = True
                _note_write(context, account, slot, values)
    check_size(_ROW_SIZE * sum(1 + len(changes.slots) for changes in found.values()))
    return sorted((key, value) for key, value in found.items() if value.balance or value.nonce or value.slots)


def _note_write(context: Context, account: _Changes, write: StorageAccess, values: Values) -> None:
    """Record a written slot, and what it holds; `values` are the slots changed by the same call."""
    slot, state = write.slot, context.state
    if not account.slots:
        found = _artifact(context, write.account)
        account.layout = None if found is None else context.settings.layouts.get((found.file, found.name))
    if slot not in account.slots and account.layout is not None:
        info = slot_info(account.layout, slot, (state.mappings or {}).get(write.account), values)
        if info is not None:
            account.infos[slot] = info
    before, _ = account.slots.get(slot, (write.before, 0))
    account.slots[slot] = before, write.after
    if slot in account.infos:
        account.infos[slot].decode(slot, before, write.after, values)


def _note(found: dict[EthAddress, _Changes], access: AccountAccess) -> None:
    account = found.setdefault(access.account, _Changes())
    if access.old_balance != access.new_balance:
        before, _ = account.balance or (access.old_balance, 0)
        account.balance, account.named = (before, access.new_balance), True
    if access.old_nonce != access.new_nonce:
        before, _ = account.nonce or (access.old_nonce, 0)
        account.nonce = before, access.new_nonce


def _contract(context: Context, account: EthAddress, changes: _Changes) -> str | None:
    """Return the source and name of the contract at an address."""
    found = _artifact(context, account) if changes.named else None
    return None if found is None else f"{found.file}:{found.name}"


def _artifact(context: Context, account: EthAddress) -> ArtifactLocation | None:
    code = context.ledger.code(account)
    return context.settings.contracts(code, False) if code else None


def _slot_text(slot: int, before: int, after: int, info: SlotInfo | None) -> str:
    if info is None:
        return f"@ {_word_text(slot)}: {_word_text(before)} → {_word_text(after)}"
    texts = info.decoded or (_word_text(before), _word_text(after))
    return f"@ {_word_text(slot)} ({info.label}, {info.kind}): {texts[0]} → {texts[1]}"


def _pair(before: object, after: object) -> dict[str, object]:
    return {"previousValue": before, "newValue": after}


def _word_text(number: int) -> str:
    return f"0x{number:064x}"

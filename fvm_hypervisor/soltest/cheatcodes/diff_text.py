"""Text and JSON of a state diff during its recording: accessed slots and changes.

As in forge, slots of failed calls are left out, and so are calls that are still running.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.ethereum.addresses import EthAddress, checksummed
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.limits import check_size
from fvm_hypervisor.soltest.cheatcodes.recording import SLOT
from fvm_hypervisor.soltest.cheatcodes.slot_info import Layout, SlotInfo, Values, _bytes, slot_info
from fvm_hypervisor.soltest.cheatcodes.state import AccountAccess, StorageAccess
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from fvm_hypervisor.soltest.compile.artifact import ArtifactLocation

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
    return [
        (slot.account, _bytes(slot.slot), slot.written, _bytes(slot.before), _bytes(slot.after), slot.reverted)
        for access in context.state.diff or ()
        for slot in access.slots
    ]


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

"""Recording cheatcodes: logs, slots, state diffs, mappings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bridge.ethereum.addresses import EthAddress, checksummed
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.diffs import note_slot
from fvm_hypervisor.soltest.cheatcodes.state import AccountAccess, MappingSlots
from fvm_hypervisor.soltest.cheatcodes.step_watch import unwatch, watch
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode

SLOT = "(address,bytes32,bool,bytes32,bytes32,bool)"
_CHAIN = "(uint256,uint256)"
_ACCESS = (
    f"({_CHAIN},uint8,address,address,bool,uint256,uint256,bytes,uint256,bytes,bool,{SLOT}[],uint64,uint64,uint64)"
)


# --- logs -----------------------------------------------------------------------------------------------------------


@cheatcode("recordLogs()")
def _record_logs(context: Context) -> None:
    context.state.logs = []


@cheatcode("getRecordedLogs()", returns="(bytes32[],bytes,address)[]")
def _recorded_logs(context: Context) -> Sequence[Any]:
    logs, context.state.logs = context.state.logs or [], None if context.state.logs is None else []
    return [(list(log.topics), log.data, log.emitter) for log in logs]


@cheatcode("getRecordedLogsJson()", returns="string")
def _recorded_logs_json(context: Context) -> str:
    return json.dumps(
        [
            {
                "topics": [f"0x{topic.hex()}" for topic in topics],
                "data": f"0x{data.hex()}",
                "emitter": checksummed(emitter),
            }
            for topics, data, emitter in _recorded_logs(context)
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
    context.ethereum("recording of slots")
    context.state.recording = True
    context.state.reads.clear()
    context.state.writes.clear()


@cheatcode("stopRecord()")
def _stop_record(context: Context) -> None:
    context.state.recording = False


@cheatcode("accesses(address)", returns="bytes32[],bytes32[]")
def _accesses(context: Context, account: EthAddress) -> tuple[list[bytes], list[bytes]]:
    reads = [slot.to_bytes(32, "big") for slot in context.state.reads.get(account, [])]
    writes = [slot.to_bytes(32, "big") for slot in context.state.writes.get(account, [])]
    return reads, writes


@cheatcode("startStateDiffRecording()")
def _start_diff(context: Context) -> None:
    context.ethereum("recording of state diffs")
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
    slots = [
        (slot.account, _word(slot.slot), slot.written, _word(slot.before), _word(slot.after), slot.reverted)
        for slot in access.slots
    ]
    return (
        (0, access.chain), access.kind, access.account, access.accessor, access.initialized, access.old_balance,
        access.new_balance, access.deployed, access.value, access.data, access.reverted, slots, access.depth,
        access.old_nonce, access.new_nonce,
    )  # fmt: skip


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


# --- mappings -------------------------------------------------------------------------------------------------------


@cheatcode("startMappingRecording()")
def _start_mappings(context: Context) -> None:
    context.ethereum("recording of mappings")
    watch(context.cheats, context.calls, context.caller, context.depth)
    if context.state.mappings is None:
        context.state.mappings = {}


@cheatcode("stopMappingRecording()")
def _stop_mappings(context: Context) -> None:
    context.state.mappings = None
    unwatch(context.cheats, context.calls)


def _mapping(context: Context, account: EthAddress) -> MappingSlots:
    return (context.state.mappings or {}).get(account) or MappingSlots()


@cheatcode("getMappingLength(address,bytes32)", returns="uint256")
def _mapping_length(context: Context, account: EthAddress, slot: bytes) -> int:
    return len(_mapping(context, account).children.get(int.from_bytes(slot, "big"), ()))


@cheatcode("getMappingSlotAt(address,bytes32,uint256)", returns="bytes32")
def _mapping_slot(context: Context, account: EthAddress, slot: bytes, index: int) -> bytes:
    slots = _mapping(context, account).children.get(int.from_bytes(slot, "big"), [])
    return _word(slots[index]) if index < len(slots) else bytes(32)


@cheatcode("getMappingKeyAndParentOf(address,bytes32)", returns="bool,bytes32,bytes32")
def _mapping_parent(context: Context, account: EthAddress, slot: bytes) -> tuple[bool, bytes, bytes]:
    known = _mapping(context, account)
    found = known.keys.get(int.from_bytes(slot, "big")) or known.hashes.get(int.from_bytes(slot, "big"))
    return (False, bytes(32), bytes(32)) if found is None else (True, found[0], _word(found[1]))

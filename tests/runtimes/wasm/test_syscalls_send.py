"""Sending, as a guest meets it: what comes back, what is refused, and what read-only means."""

from __future__ import annotations

import struct

import pytest

from hypervisor.address import Address
from hypervisor.machine import Hypervisor
from store.cid import EMPTY_ARRAY_CID
from tests.runtimes.wasm.guests import (
    FIRST_ID,
    ILLEGAL_ARGUMENT,
    INSUFFICIENT_FUNDS,
    INVALID_HANDLE,
    NOT_FOUND,
    OK,
    READ_ONLY,
    answer,
    call,
    data,
    guest,
    place,
    probe,
    run,
)


def send(
    to: int = 0, length: int = 3, method: int = 2, params: int = 0, value: int = 0, gas: int = -1, flags: int = 0
) -> str:
    return (
        f"(call $send (i32.const 0) (i32.const {to}) (i32.const {length}) (i64.const {method}) (i32.const {params})"
        f" (i64.const {value >> 64}) (i64.const {value & (1 << 64) - 1}) (i64.const {gas}) (i64.const {flags}))"
    )


CALLEE = FIRST_ID + 1
RECIPIENT = data(300, Address.id(CALLEE).to_bytes())


def test_a_send_brings_back_the_callees_exit_and_block(machine: Hypervisor) -> None:
    place(machine, probe("(call $enabled (i32.const 0))", "debug.enabled", fields=data(0, b"hi"), show=(0, 2)), CALLEE)
    shown = answer(machine, send(300), "send.send", fields=RECIPIENT, show=(0, 20))
    assert shown == (OK, struct.pack("<IIQI", 1000, 1, 0x55, 2))


@pytest.mark.parametrize(
    ("call_text", "expected"),
    [
        (send(300, length=4), ILLEGAL_ARGUMENT),
        (send(300, flags=2), ILLEGAL_ARGUMENT),
        (send(300, flags=-1), ILLEGAL_ARGUMENT),
        (send(300, params=5), INVALID_HANDLE),
        (send(300, value=1), INSUFFICIENT_FUNDS),
        (send(300, value=1 << 90), INSUFFICIENT_FUNDS),
        (send(300, value=1, flags=1), READ_ONLY),
        (send(65534), ILLEGAL_ARGUMENT),
        (send(310), NOT_FOUND),
        (send(300, method=0), OK),
    ],
)
def test_a_send_refuses(machine: Hypervisor, call_text: str, expected: int) -> None:
    place(machine, guest("(i32.const 0)"), CALLEE)
    fields = RECIPIENT + data(310, Address.id(9999).to_bytes())
    assert answer(machine, call_text, "send.send", fields=fields)[0] == expected


def test_value_reaches_the_callee_and_comes_back_if_it_fails(machine: Hypervisor) -> None:
    caller = guest(f"(drop {send(300, value=40)}) (i32.const 0)", "send.send", fields=RECIPIENT)
    for body, received in [("(i32.const 0)", 40), ("unreachable", 0)]:
        place(machine, guest(body), CALLEE)
        assert call(machine, place(machine, caller, balance=100)).exit_code == 0
        callee = machine.actor(Address.id(CALLEE))
        assert callee is not None
        assert callee.balance == received


def test_callee_exhausting_own_gas_returns_exit_code_to_caller(machine: Hypervisor) -> None:
    place(machine, guest("(loop (br 0)) (i32.const 0)"), CALLEE)
    shown = answer(machine, send(300, gas=1_000_000), "send.send", fields=RECIPIENT, show=(0, 4))
    assert shown == (OK, struct.pack("<I", 7))
    zero = answer(machine, send(300, gas=0), "send.send", fields=RECIPIENT, show=(0, 4))
    assert zero == (OK, struct.pack("<I", 7))


def test_callee_exhausting_all_gas_fails_the_caller(machine: Hypervisor) -> None:
    place(machine, guest("(loop (br 0)) (i32.const 0)"), CALLEE)
    module = probe(send(300), "send.send", fields=RECIPIENT)
    result = run(machine, module, gas_limit=10_000_000)
    assert (result.exit_code, result.gas_used) == (7, 10_000_000)


READ_ONLY_CALLS = {
    "self.set_root": "(call $set_root (i32.const 100))",
    "self.self_destruct": "(call $self_destruct (i32.const 1))",
    "event.emit_event": "(call $emit_event" + " (i32.const 0)" * 6 + ")",
}


@pytest.mark.parametrize("name", READ_ONLY_CALLS)
def test_read_only_call_cannot_change_state(machine: Hypervisor, name: str) -> None:
    fields = data(100, EMPTY_ARRAY_CID)
    place(machine, probe(READ_ONLY_CALLS[name], name, fields=fields), CALLEE)
    shown = answer(machine, send(300, flags=1), "send.send", fields=RECIPIENT, show=(0, 4))
    assert shown == (OK, struct.pack("<I", READ_ONLY))


def test_read_only_flag_is_inherited_and_visible_to_callee(machine: Hypervisor) -> None:
    last = FIRST_ID + 2
    place(machine, probe("(call $message_context (i32.const 0))", "vm.message_context", show=(72, 8)), last)
    middle = probe(send(300), "send.send", fields=data(300, Address.id(last).to_bytes()), show=(0, 20))
    place(machine, middle, CALLEE)
    read = "(call $block_read (i32.const 400) (i32.const 1) (i32.const 0) (i32.const 500) (i32.const 20))"
    shown = answer(
        machine,
        read,
        "send.send",
        "ipld.block_read",
        before=f"(drop {send(300, flags=1)})",
        fields=RECIPIENT,
        show=(500, 20),
    )
    assert struct.unpack("<IIQI", shown[1]) == (1000, 1, 0x55, 8)

"""Every syscall as a guest meets it: results in its memory, bad pointers, refusals, charges counted by hand.

Layouts and error numbers are those of facts on the host 3.2-3.8.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import replace

import coincurve
import pytest

from hypervisor.address import Address
from hypervisor.context import MachineContext
from hypervisor.machine import Hypervisor
from hypervisor.message import Message
from hypervisor.network_versions import network_version
from hypervisor.proofs import AcceptProofs
from hypervisor.state_tree import ActorState
from hypervisor.tracing import DebugLog, GasCharged, Recorder
from hypervisor.types import ActorID, ChainEpoch, Gas, MethodNumber, TokenAmount
from store.cid import DAG_CBOR, EMPTY_ARRAY_CID, RAW, cid_of
from store.codec import encode, link
from tests.runtimes.wasm.guests import FIRST_ID, IMPORTS, call, data, guest, place, probe, run, wasm

OK, ILLEGAL_ARGUMENT, ILLEGAL_OPERATION, LIMIT_EXCEEDED, INSUFFICIENT_FUNDS, NOT_FOUND = (
    1000,
    1001,
    1002,
    1003,
    1005,
    1006,
)
INVALID_HANDLE, ILLEGAL_CID, ILLEGAL_CODEC, FORBIDDEN, BUFFER_TOO_SMALL, READ_ONLY = 1007, 1008, 1009, 1011, 1012, 1013
PAGE = 65536
SYSTEM_GAS = 75_000 + 26_214.4


def answer(machine: Hypervisor, *args: str, **options: object) -> tuple[int, bytes]:
    """Exit code (1000 + error number) and the shown memory of a probe."""
    result = run(machine, probe(*args, **options))  # type: ignore[arg-type]
    return result.exit_code, result.return_data


# --- vm ---------------------------------------------------------------------------------------------------------


def test_vm_message_context(machine: Hypervisor) -> None:
    module = probe("(call $message_context (i32.const 64))", "vm.message_context", show=(64, 80))
    to = place(machine, module)
    result = machine.apply_implicit(
        Message(to, Address.id(2), method=MethodNumber(1 << 40), value=TokenAmount(7), gas_limit=Gas(10**9), nonce=5)
    )
    fields = struct.unpack("<QQQQQQQQQQ", result.return_data)
    assert fields == (2, 5, 2, FIRST_ID, 1 << 40, 7, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, 0), (1, 9), (7, 9), (15, 9), (16, 16), (33, 33), (-1, 0xFFFF_FFFF)],
)
def test_vm_exit_keeps_a_users_code_and_replaces_a_systems(machine: Hypervisor, code: int, expected: int) -> None:
    body = f"""(drop (call $block_create (i32.const 0) (i64.const 0x55) (i32.const 8) (i32.const 3)))
        (drop (call $exit (i32.const {code}) (i32.const 1) (i32.const 8) (i32.const 3))) unreachable"""
    result = run(machine, guest(body, "vm.exit", "ipld.block_create", fields=data(8, b"why")))
    assert (result.exit_code, result.return_data) == (expected, b"why")
    if expected != 9:
        assert result.message == "why"


def exits(block: int, offset: int, length: int) -> bytes:
    numbers = f"(i32.const 16) (i32.const {block}) (i32.const {offset}) (i32.const {length})"
    return guest(f"(drop (call $exit {numbers})) unreachable", "vm.exit", fields=data(0, b"\xffab" + b"x" * 3000))


def test_vm_exit_with_a_block_that_is_not_there_is_fatal(machine: Hypervisor) -> None:
    result = run(machine, exits(5, 0, 0), gas_limit=10**9)
    assert (result.exit_code, result.gas_used) == (10, 10**9)
    assert result.fatal is not None


@pytest.mark.parametrize(
    ("offset", "length", "message"),
    [
        (0, 0, "actor aborted"),
        (0, 3, "\N{REPLACEMENT CHARACTER}ab"),
        (PAGE, 5, "failed to extract error message: buffer 65536 (length 5) out of bounds: 65536 bytes"),
        (3, 2000, "x" * 512 + " ... (skipped 976 bytes) ... " + "x" * 512),
    ],
)
def test_vm_exit_words(machine: Hypervisor, offset: int, length: int, message: str) -> None:
    assert run(machine, exits(0, offset, length)).message == message


# --- ipld -------------------------------------------------------------------------------------------------------


def test_blocks_are_made_linked_opened_and_read(machine: Hypervisor) -> None:
    content = b"\x83\x01\x02\x03"
    cid = cid_of(content, DAG_CBOR)
    before = """(drop (call $block_create (i32.const 0) (i64.const 0x71) (i32.const 100) (i32.const 4)))
        (drop (call $block_link (i32.const 4) (i32.const 1) (i64.const 0xb220) (i32.const 32) (i32.const 200)
            (i32.const 100)))
        (drop (call $block_open (i32.const 8) (i32.const 200)))
        (drop (call $block_stat (i32.const 24) (i32.load (i32.const 16))))"""
    names = ("ipld.block_link", "ipld.block_open", "ipld.block_stat", "ipld.block_read")
    read = "(call $block_read (i32.const 36) (i32.const 2) (i32.const 1) (i32.const 40) (i32.const 2))"
    shown = answer(machine, read, *names, before=before, fields=data(100, content), show=(0, 48))
    created, linked, codec, handle, size, codec_again, size_again, left = struct.unpack("<IIQIIQIi", shown[1][:40])
    assert shown[0] == OK
    assert (created, linked, codec, handle, size, codec_again, size_again) == (1, len(cid), 0x71, 2, 4, 0x71, 4)
    assert (left, shown[1][40:44]) == (1, b"\x01\x02\0\0")
    assert machine.store.get(cid) == content


@pytest.mark.parametrize(
    ("offset", "length", "left"),
    [(0, 4, 0), (0, 10, -6), (2, 1, 1), (4, 0, 0), (9, 0, -5)],
)
def test_block_read_tells_what_is_left(machine: Hypervisor, offset: int, length: int, left: int) -> None:
    read = f"(call $block_read (i32.const 0) (i32.const 1) (i32.const {offset}) (i32.const 8) (i32.const {length}))"
    before = "(drop (call $block_create (i32.const 0) (i64.const 0x55) (i32.const 100) (i32.const 4)))"
    shown = answer(machine, read, "ipld.block_read", before=before, fields=data(100, b"abcd"), show=(0, 4))
    assert shown == (OK, struct.pack("<i", left))


@pytest.mark.parametrize(
    ("syscall", "expected"),
    [
        ("block_open (i32.const 0) (i32.const 100)", NOT_FOUND),  # a real CID, out of reach
        ("block_open (i32.const 0) (i32.const 50)", ILLEGAL_ARGUMENT),  # no CID
        ("block_open (i32.const 0) (i32.const 65536)", ILLEGAL_ARGUMENT),
        ("block_open (i32.const 0) (i32.const 65535)", ILLEGAL_ARGUMENT),
        ("block_create (i32.const 0) (i64.const 0x70) (i32.const 0) (i32.const 0)", ILLEGAL_CODEC),
        ("block_create (i32.const 0) (i64.const 0x55) (i32.const 0) (i32.const 65537)", ILLEGAL_ARGUMENT),
        ("block_create (i32.const 0) (i64.const 0x55) (i32.const 65536) (i32.const 0)", OK),
        ("block_create (i32.const 0) (i64.const 0x55) (i32.const 65537) (i32.const 0)", ILLEGAL_ARGUMENT),
        ("block_create (i32.const 0) (i64.const 0x55) (i32.const -1) (i32.const -1)", ILLEGAL_ARGUMENT),
        ("block_create (i32.const 0) (i64.const 0x71) (i32.const 200) (i32.const 2)", 1010),  # not DAG-CBOR
        ("block_stat (i32.const 0) (i32.const 9)", INVALID_HANDLE),
        ("block_stat (i32.const 0) (i32.const 0)", INVALID_HANDLE),
        ("block_stat (i32.const 0) (i32.const -1)", INVALID_HANDLE),
        ("block_read (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 1)", INVALID_HANDLE),
        ("block_read (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 65000) (i32.const 999)", ILLEGAL_ARGUMENT),
        ("block_read (i32.const 0) (i32.const 1) (i32.const 0x7fffffff) (i32.const 8) (i32.const 1)", ILLEGAL_ARGUMENT),
        ("block_link (i32.const 0) (i32.const 1) (i64.const 0xb220) (i32.const 32) (i32.const 8) (i32.const 37)",
         BUFFER_TOO_SMALL),
        ("block_link (i32.const 0) (i32.const 1) (i64.const 0x12) (i32.const 32) (i32.const 8) (i32.const 99)",
         ILLEGAL_CID),
        ("block_link (i32.const 0) (i32.const 1) (i64.const 0xb220) (i32.const 31) (i32.const 8) (i32.const 99)",
         ILLEGAL_CID),
        ("block_link (i32.const 0) (i32.const 7) (i64.const 0xb220) (i32.const 32) (i32.const 8) (i32.const 99)",
         INVALID_HANDLE),
        ("block_link (i32.const 0) (i32.const 7) (i64.const 0xb220) (i32.const 32) (i32.const 65500) (i32.const 99)",
         ILLEGAL_ARGUMENT),
    ],
)  # fmt: skip
def test_blocks_refuse(machine: Hypervisor, syscall: str, expected: int) -> None:
    before = "(drop (call $block_create (i32.const 0) (i64.const 0x55) (i32.const 300) (i32.const 4)))"
    fields = data(100, EMPTY_ARRAY_CID) + data(200, b"\x82\x01")
    names = ("ipld.block_open", "ipld.block_stat", "ipld.block_read", "ipld.block_link")
    assert answer(machine, f"(call ${syscall})", *names, before=before, fields=fields)[0] == expected


def test_a_block_of_more_than_1_mib_is_refused(machine: Hypervisor) -> None:
    before = "(drop (memory.grow (i32.const 17)))"
    create = "(call $block_create (i32.const 0) (i64.const 0x55) (i32.const 0) (i32.const {size}))"
    assert answer(machine, create.format(size=1 << 20), before=before)[0] == OK
    assert answer(machine, create.format(size=(1 << 20) + 1), before=before)[0] == LIMIT_EXCEEDED


# --- self -------------------------------------------------------------------------------------------------------

LINK_AND_SET = """(drop (call $block_create (i32.const 0) (i64.const 0x71) (i32.const 100) (i32.const 1)))
    (drop (call $block_link (i32.const 4) (i32.const 1) (i64.const 0xb220) (i32.const 32) (i32.const 200)
        (i32.const 100)))"""


def test_the_state_root_is_read_and_changed(machine: Hypervisor) -> None:
    content = b"\x05"
    names = ("self.root", "self.set_root", "ipld.block_link")
    before = LINK_AND_SET + "(local.set $errno (call $set_root (i32.const 200)))"
    module = probe(
        "(call $root (i32.const 0) (i32.const 8) (i32.const 38))",
        *names,
        before=before,
        fields=data(100, content),
        show=(0, 46),
    )
    # a non-zero exit takes the change back, so this one ends with 0
    result = run(machine, module.replace(b"\x41\xe8\x07", b"\x41\x80\x00"))
    assert result.exit_code == 0
    assert result.return_data == struct.pack("<II", 38, 38) + cid_of(content, DAG_CBOR)
    actor = machine.actor(Address.id(FIRST_ID))
    assert actor is not None
    assert actor.head == cid_of(content, DAG_CBOR)


@pytest.mark.parametrize(
    ("syscall", "expected"),
    [
        ("root (i32.const 0) (i32.const 8) (i32.const 37)", BUFFER_TOO_SMALL),
        ("root (i32.const 0) (i32.const 65500) (i32.const 38)", ILLEGAL_ARGUMENT),
        ("set_root (i32.const 300)", NOT_FOUND),  # a CID that was never seen
        ("set_root (i32.const 65530)", ILLEGAL_ARGUMENT),
        ("self_destruct (i32.const 0)", OK),
    ],
)
def test_self_refuses(machine: Hypervisor, syscall: str, expected: int) -> None:
    names = ("self.root", "self.set_root", "self.self_destruct")
    fields = data(300, cid_of(b"\x06", DAG_CBOR))
    assert answer(machine, f"(call ${syscall})", *names, fields=fields)[0] == expected


def test_balances_are_128_bit_little_endian(machine: Hypervisor) -> None:
    balance = (3 << 64) + 5
    own = probe("(call $current_balance (i32.const 0))", "self.current_balance", show=(0, 16))
    result = call(machine, place(machine, own, balance=balance))
    assert result.return_data == struct.pack("<QQ", 5, 3)
    other = probe("(call $balance_of (i32.const 0) (i64.const 1000))", "actor.balance_of", show=(0, 16))
    result = call(machine, place(machine, other, FIRST_ID + 1))
    assert result.return_data == struct.pack("<QQ", 5, 3)


def test_an_actor_with_money_is_deleted_only_if_it_burns_it(machine: Hypervisor) -> None:
    destroy = "(call $self_destruct (i32.const {burn}))"
    names = ("self.self_destruct", "self.root")
    kept = place(machine, probe(destroy.format(burn=0), *names), balance=9)
    assert call(machine, kept).exit_code == ILLEGAL_OPERATION
    gone = guest(f"(drop {destroy.format(burn=1)}) (i32.const 0)", *names)
    assert call(machine, place(machine, gone, balance=9)).exit_code == 0
    assert machine.actor(Address.id(FIRST_ID)) is None
    after = probe(
        "(call $root (i32.const 0) (i32.const 8) (i32.const 99))",
        *names,
        before=f"(drop {destroy.format(burn=1)})",
    )
    assert call(machine, place(machine, after, balance=9)).exit_code == ILLEGAL_OPERATION


# --- actor ------------------------------------------------------------------------------------------------------


def test_addresses_are_resolved(machine: Hypervisor) -> None:
    resolve = "(call $resolve_address (i32.const 0) (i32.const 8) (i32.const {length}))"
    name = "actor.resolve_address"
    echoed = answer(machine, resolve.format(length=3), name, fields=data(8, Address.id(8000).to_bytes()), show=(0, 8))
    assert echoed == (OK, struct.pack("<Q", 8000))
    unknown = Address.secp256k1(b"\x04" + bytes(64)).to_bytes()
    assert answer(machine, resolve.format(length=21), name, fields=data(8, unknown))[0] == NOT_FOUND
    for bad in (b"\x00", b"\x00\x80\x00", b"\x05\x01", b"\x01\x02"):
        assert answer(machine, resolve.format(length=len(bad)), name, fields=data(8, bad))[0] == ILLEGAL_ARGUMENT


def test_code_cids_and_types(machine: Hypervisor) -> None:
    names = ("actor.get_actor_code_cid", "actor.get_builtin_actor_type", "actor.get_code_cid_for_type")
    get = "(call $get_actor_code_cid (i32.const 0) (i64.const {actor}) (i32.const 8) (i32.const {length}))"
    init = machine.manifest.code("init")
    shown = answer(machine, get.format(actor=1, length=99), *names, show=(0, 46))
    assert shown == (OK, struct.pack("<II", len(init), 0) + init)
    assert answer(machine, get.format(actor=1, length=8), *names)[0] == BUFFER_TOO_SMALL
    assert answer(machine, get.format(actor=77_777, length=99), *names)[0] == NOT_FOUND
    kind = "(call $get_builtin_actor_type (i32.const 0) (i32.const 8))"
    assert answer(machine, kind, *names, fields=data(8, init), show=(0, 4)) == (OK, struct.pack("<i", 2))
    foreign = data(8, cid_of(b"x", RAW))
    assert answer(machine, kind, *names, fields=foreign, show=(0, 4)) == (OK, struct.pack("<i", 0))
    code = "(call $get_code_cid_for_type (i32.const 0) (i32.const {kind}) (i32.const 8) (i32.const 99))"
    assert answer(machine, code.format(kind=2), *names, show=(8, 38)) == (OK, bytes(init))
    for unknown in (0, 17, -1):
        assert answer(machine, code.format(kind=unknown), *names)[0] == ILLEGAL_ARGUMENT


def test_delegated_addresses(machine: Hypervisor) -> None:
    lookup = "(call $lookup_delegated_address (i32.const 0) (i64.const {actor}) (i32.const 8) (i32.const {length}))"
    name = "actor.lookup_delegated_address"
    delegated = Address.delegated(10, b"\x11" * 20)
    account = ActorState(machine.manifest.code("ethaccount"), delegated_address=delegated)
    machine.state_tree.set_actor(ActorID(500), account)
    raw = delegated.to_bytes()
    shown = answer(machine, lookup.format(actor=500, length=22), name, show=(0, 30))
    assert shown == (OK, struct.pack("<II", 22, 0) + raw)
    assert answer(machine, lookup.format(actor=500, length=21), name)[0] == BUFFER_TOO_SMALL
    assert answer(machine, lookup.format(actor=1, length=22), name, show=(0, 4)) == (OK, bytes(4))
    assert answer(machine, lookup.format(actor=77_777, length=22), name)[0] == NOT_FOUND


def test_the_next_actors_address_is_the_hash_of_origin_nonce_and_count(machine: Hypervisor) -> None:
    ask = "(call $next_actor_address (i32.const 0) (i32.const 8) (i32.const {length}))"
    name = "actor.next_actor_address"
    shown = answer(machine, ask.format(length=21), name, show=(8, 21))
    preimage = b"\x42\x00\x00" + bytes(16)  # CBOR byte string of f00, nonce 0, no actor created
    assert shown == (OK, b"\x02" + hashlib.blake2b(preimage, digest_size=20).digest())
    assert answer(machine, ask.format(length=20), name)[0] == BUFFER_TOO_SMALL


def test_only_the_init_actor_creates_actors(machine: Hypervisor) -> None:
    create = "(call $create_actor (i64.const 999) (i32.const 8) (i32.const 0) (i32.const 0))"
    fields = data(8, machine.manifest.code("account"))
    assert answer(machine, create, "actor.create_actor", fields=fields)[0] == FORBIDDEN
    assert answer(machine, create, "actor.create_actor")[0] == ILLEGAL_ARGUMENT


# --- send -------------------------------------------------------------------------------------------------------


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


def test_a_callee_that_runs_out_of_its_own_gas_is_an_exit_for_the_caller(machine: Hypervisor) -> None:
    place(machine, guest("(loop (br 0)) (i32.const 0)"), CALLEE)
    shown = answer(machine, send(300, gas=1_000_000), "send.send", fields=RECIPIENT, show=(0, 4))
    assert shown == (OK, struct.pack("<I", 7))
    zero = answer(machine, send(300, gas=0), "send.send", fields=RECIPIENT, show=(0, 4))
    assert zero == (OK, struct.pack("<I", 7))


def test_a_callee_that_runs_out_of_everything_takes_the_caller_along(machine: Hypervisor) -> None:
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
def test_a_read_only_call_changes_nothing(machine: Hypervisor, name: str) -> None:
    fields = data(100, EMPTY_ARRAY_CID)
    place(machine, probe(READ_ONLY_CALLS[name], name, fields=fields), CALLEE)
    shown = answer(machine, send(300, flags=1), "send.send", fields=RECIPIENT, show=(0, 4))
    assert shown == (OK, struct.pack("<I", READ_ONLY))


def test_read_only_is_sticky_and_told_to_the_callee(machine: Hypervisor) -> None:
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


# --- network, rand ----------------------------------------------------------------------------------------------


def test_the_network_context(machine: Hypervisor) -> None:
    machine.advance(epoch=ChainEpoch(77), timestamp=1234, base_fee=TokenAmount((2 << 64) + 1))
    shown = answer(machine, "(call $context (i32.const 0))", "network.context", show=(0, 44))
    assert shown == (OK, struct.pack("<qQQQQI", 77, 1234, 1, 2, 31_415_926, 28))


def test_the_circulating_supply(machine: Hypervisor) -> None:
    machine.advance(circulating_supply=TokenAmount(2 * 10**27))
    shown = answer(
        machine, "(call $total_fil_circ_supply (i32.const 0))", "network.total_fil_circ_supply", show=(0, 16)
    )
    assert shown == (OK, (2 * 10**27).to_bytes(16, "little"))


def test_tipset_cids(machine: Hypervisor) -> None:
    machine.advance(epoch=ChainEpoch(10))
    ask = "(call $tipset_cid (i32.const 0) (i64.const {epoch}) (i32.const 8) (i32.const {length}))"
    shown = answer(machine, ask.format(epoch=9, length=99), "network.tipset_cid", show=(8, 38))
    assert shown == (OK, bytes(machine.externs.tipset_cid(ChainEpoch(9))))
    for epoch in (-1, 10, 11):
        assert answer(machine, ask.format(epoch=epoch, length=99), "network.tipset_cid")[0] == ILLEGAL_ARGUMENT
    assert answer(machine, ask.format(epoch=9, length=37), "network.tipset_cid")[0] == BUFFER_TOO_SMALL


def test_randomness_is_the_digest_of_an_epoch(machine: Hypervisor) -> None:
    machine.advance(epoch=ChainEpoch(10))
    for source in ("chain", "beacon"):
        ask = f"(call $get_{source}_randomness (i32.const 0) (i64.const {{epoch}}))"
        digest = getattr(machine.externs, f"{source}_randomness")(ChainEpoch(7))
        shown = answer(machine, ask.format(epoch=7), f"rand.get_{source}_randomness", show=(0, 32))
        assert shown == (OK, digest)
        assert answer(machine, ask.format(epoch=11), f"rand.get_{source}_randomness")[0] == 7  # out of gas


# --- crypto -----------------------------------------------------------------------------------------------------

DIGESTS = [
    # RFC 7693 and FIPS 180 for "abc"; the RIPEMD-160 paper; Ethereum's keccak of "abc"
    (0x12, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (0xB220, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"),
    (0x1053, "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
    (0x1B, "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    (0xB240, "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
             "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "digest"), DIGESTS)
@pytest.mark.parametrize("room", [4, 64])
def test_hashes(machine: Hypervisor, code: int, digest: str, room: int) -> None:
    hash_ = (
        f"(call $hash (i32.const 0) (i64.const {code}) (i32.const 100) (i32.const 3) (i32.const 8) (i32.const {room}))"
    )
    shown = answer(machine, hash_, "crypto.hash", fields=data(100, b"abc"), show=(0, 72))
    expected = bytes.fromhex(digest)[:room]
    assert shown == (OK, struct.pack("<II", len(expected), 0) + expected.ljust(64, b"\0"))


@pytest.mark.parametrize(
    "arguments",
    [
        "(i64.const 0x99) (i32.const 0) (i32.const 3) (i32.const 8) (i32.const 32)",
        "(i64.const 0x12) (i32.const 65535) (i32.const 3) (i32.const 8) (i32.const 32)",
        "(i64.const 0x12) (i32.const 0) (i32.const 3) (i32.const 65530) (i32.const 32)",
    ],
)
def test_hashes_refuse(machine: Hypervisor, arguments: str) -> None:
    assert answer(machine, f"(call $hash (i32.const 0) {arguments})", "crypto.hash")[0] == ILLEGAL_ARGUMENT


SECRET = coincurve.PrivateKey(b"\x07" * 32)
SIGNER = Address.secp256k1(SECRET.public_key.format(compressed=False))


def verify(kind: int, plaintext: bytes, signature: bytes, signer: Address) -> tuple[str, str]:
    raw = signer.to_bytes()
    text = (
        f"(call $verify_signature (i32.const 0) (i32.const {kind}) (i32.const 100) (i32.const {len(signature)})"
        f" (i32.const 300) (i32.const {len(raw)}) (i32.const 400) (i32.const {len(plaintext)}))"
    )
    return text, data(100, signature) + data(300, raw) + data(400, plaintext)


def test_signatures_are_verified(machine: Hypervisor) -> None:
    plaintext = b"plain"
    signature = SECRET.sign_recoverable(hashlib.blake2b(plaintext, digest_size=32).digest(), hasher=None)
    for text, verdict in [(plaintext, 0), (b"other", -1)]:
        ask, fields = verify(1, text, signature, SIGNER)
        assert answer(machine, ask, "crypto.verify_signature", fields=fields, show=(0, 4)) == (
            OK,
            struct.pack("<i", verdict),
        )
    for kind, signer in [(3, SIGNER), (0, SIGNER), (1, Address.id(100))]:
        ask, fields = verify(kind, plaintext, signature, signer)
        assert answer(machine, ask, "crypto.verify_signature", fields=fields)[0] == ILLEGAL_ARGUMENT


def test_public_keys_are_recovered(machine: Hypervisor) -> None:
    digest = hashlib.sha256(b"message").digest()
    signature = SECRET.sign_recoverable(digest, hasher=None)
    recover = "(call $recover_secp_public_key (i32.const 0) (i32.const 100) (i32.const 200))"
    fields = data(100, digest) + data(200, signature)
    shown = answer(machine, recover, "crypto.recover_secp_public_key", fields=fields, show=(0, 65))
    assert shown == (OK, SECRET.public_key.format(compressed=False))
    bad = data(100, digest) + data(200, b"\xff" * 65)
    assert answer(machine, recover, "crypto.recover_secp_public_key", fields=bad)[0] == ILLEGAL_ARGUMENT


def bls_case(count: int) -> tuple[bytes, bytes, list[bytes]]:
    """An aggregate, its keys, its plaintexts, made with another interface of the library than the machine's."""
    from py_arkworks_bls12381 import G1Point, G2Point, Scalar

    from hypervisor.signatures import BLS_DOMAIN

    keys, total, plaintexts = b"", G2Point.identity(), []
    for number in range(count):
        secret = Scalar(number + 5)
        plaintexts.append(b"text %d" % number)
        keys += bytes((G1Point() * secret).to_compressed_bytes())
        total = total + G2Point.hash_to_curve(plaintexts[-1], BLS_DOMAIN) * secret
    return bytes(total.to_compressed_bytes()), keys, plaintexts


def test_bls_aggregates_are_verified(machine: Hypervisor) -> None:
    aggregate, keys, plaintexts = bls_case(3)
    ask = (
        "(call $verify_bls_aggregate (i32.const 0) (i32.const 3) (i32.const 100) (i32.const 200) (i32.const 400)"
        " (i32.const 600))"
    )
    lengths = b"".join(len(text).to_bytes(4, "little") for text in plaintexts)
    for texts, verdict in [(plaintexts, 0), ([b"other!", *plaintexts[1:]], -1)]:
        fields = data(100, aggregate) + data(200, keys) + data(400, b"".join(texts)) + data(600, lengths)
        shown = answer(machine, ask, "crypto.verify_bls_aggregate", fields=fields, show=(0, 4))
        assert shown == (OK, struct.pack("<i", verdict))


def test_bls_aggregates_refuse_what_does_not_fit(machine: Hypervisor) -> None:
    name = "crypto.verify_bls_aggregate"
    ask = (
        "(call $verify_bls_aggregate (i32.const 0) (i32.const {n}) (i32.const 96) (i32.const 200) (i32.const 8)"
        " (i32.const 8))"
    )
    assert answer(machine, ask.format(n=0), name, show=(0, 4)) == (OK, struct.pack("<i", 0))
    assert answer(machine, ask.format(n=2_000), name)[0] == ILLEGAL_ARGUMENT  # 96,000 bytes of keys
    assert answer(machine, ask.format(n=100_000_000), name)[0] == ILLEGAL_ARGUMENT  # over 2^32
    lengths = data(8, struct.pack("<II", 0xFFFF_FFFF, 2))
    assert answer(machine, ask.format(n=2), name, fields=lengths)[0] == ILLEGAL_ARGUMENT
    assert answer(machine, ask.format(n=1), name, show=(0, 4)) == (OK, struct.pack("<i", -1))  # zeros are no points


@pytest.fixture
def trusting() -> Iterator[Hypervisor]:
    """A machine that takes every proof."""
    with Hypervisor.open(proofs=AcceptProofs()) as machine:
        yield machine


PAIR = "(i32.const 100) (i32.const {length})"


CID = link(cid_of(b"", RAW))
REPLICA_UPDATE = encode([4, CID, CID, CID, [1, 2, 3]])
AGGREGATE = encode([1000, 8, 0, b"proof", [[1, b"r", b"i", CID, CID]]])
SEAL = [8, [1000, 1], [5, 6], b"r" * 32, b"i" * 32, b"proof", CID, CID]
WINDOW_PROOF = encode([b"r" * 32, [[13, b"proof"]], [[13, 1, CID]], 1000])


@pytest.mark.parametrize(
    ("name", "info"),
    [
        ("verify_replica_update", REPLICA_UPDATE),
        ("verify_aggregate_seals", AGGREGATE),
        ("verify_post", WINDOW_PROOF),
    ],
)
def test_proofs_are_taken_where_the_machine_trusts(trusting: Hypervisor, name: str, info: bytes) -> None:
    ask = f"(call ${name} (i32.const 0) (i32.const 100) (i32.const {{length}}))"
    fields = data(100, info)
    shown = answer(trusting, ask.format(length=len(info)), f"crypto.{name}", fields=fields, show=(0, 4))
    assert shown == (OK, bytes(4))
    for length in (0, len(info) - 1, 99_999):
        assert answer(trusting, ask.format(length=length), f"crypto.{name}", fields=fields)[0] == ILLEGAL_ARGUMENT


def test_no_fault_is_all_zeros(trusting: Hypervisor) -> None:
    ask = "(call $verify_consensus_fault (i32.const 0)" + " (i32.const 64) (i32.const 0)" * 3 + ")"
    fields = data(0, b"\xff" * 24)
    shown = answer(trusting, ask, "crypto.verify_consensus_fault", fields=fields, show=(0, 24))
    assert shown == (OK, bytes(20) + b"\xff" * 4)


def test_a_batch_of_seals_answers_a_byte_each(trusting: Hypervisor) -> None:
    seals = encode([SEAL, SEAL])
    ask = f"(call $batch_verify_seals (i32.const 100) (i32.const {len(seals)}) (i32.const {{result}}))"
    fields = data(100, seals)
    shown = answer(trusting, ask.format(result=0), "crypto.batch_verify_seals", fields=fields, show=(0, 4))
    assert shown == (OK, b"\x01\x01\0\0")
    assert answer(trusting, ask.format(result=65535), "crypto.batch_verify_seals", fields=fields)[0] == ILLEGAL_ARGUMENT


def test_a_machine_without_a_verifier_does_not_pretend(machine: Hypervisor) -> None:
    ask = f"(call $verify_replica_update (i32.const 0) (i32.const 100) (i32.const {len(REPLICA_UPDATE)}))"
    result = run(machine, probe(ask, "crypto.verify_replica_update", fields=data(100, REPLICA_UPDATE)))
    assert result.exit_code == 10
    assert result.fatal is not None


def test_the_commitment_of_an_empty_sector(machine: Hypervisor) -> None:
    # Z(2 KiB): 32-byte zeros folded six times with sha256, two top bits cleared each time
    node = bytes(32)
    for _ in range(6):
        node = hashlib.sha256(node + node).digest()
        node = node[:31] + bytes([node[31] & 0x3F])
    ask = (
        "(call $compute_unsealed_sector_cid (i32.const 0) (i64.const {kind}) (i32.const 100) (i32.const 1)"
        " (i32.const 8) (i32.const 99))"
    )
    name, fields = "crypto.compute_unsealed_sector_cid", data(100, b"\x80")
    shown = answer(machine, ask.format(kind=0), name, fields=fields, show=(8, 39))
    assert shown == (OK, bytes.fromhex("0181e203922020") + node)
    assert answer(machine, ask.format(kind=20), name, fields=fields)[0] == ILLEGAL_ARGUMENT


# --- event ------------------------------------------------------------------------------------------------------


def test_an_event_in_three_buffers(machine: Hypervisor) -> None:
    headers = struct.pack("<QQII", 3, 0x55, 2, 3) + struct.pack("<QQII", 0, 0x51, 1, 1)
    fields = data(100, headers) + data(300, b"abc") + data(400, b"xyz\x01")
    emit = (
        "(call $emit_event (i32.const 100) (i32.const 2) (i32.const 300) (i32.const 3) (i32.const 400) (i32.const 4))"
    )
    module = guest(f"(drop {emit}) (i32.const 0)", "event.emit_event", fields=fields)
    result = run(machine, module)
    (event,) = result.events
    assert event.emitter == FIRST_ID
    assert [(entry.flags, entry.key, entry.codec, entry.value) for entry in event.entries] == [
        (3, "ab", 0x55, b"xyz"),
        (0, "c", 0x51, b"\x01"),
    ]


def test_an_event_beyond_memory_is_refused(machine: Hypervisor) -> None:
    emit = "(call $emit_event (i32.const {at}) (i32.const {count})" + " (i32.const 0)" * 4 + ")"
    for at, count in [(65_530, 1), (0, 2731), (0, 0x0FFF_FFFF), (0, -1)]:
        assert answer(machine, emit.format(at=at, count=count), "event.emit_event")[0] == ILLEGAL_ARGUMENT


# --- gas, debug -------------------------------------------------------------------------------------------------


def test_gas_is_charged_by_name_and_told_rounded_down() -> None:
    recorder = Recorder()
    with Hypervisor.open() as machine:
        machine.tracer = recorder
        charge = "(call $charge (i32.const 100) (i32.const 3) (i64.const 5000))"
        module = probe(charge, "gas.charge", fields=data(100, b"fee"))
        assert run(machine, module).exit_code == OK
        assert GasCharged("fee", 5_000_000) in recorder.events
        for bad in ("(i32.const 65535) (i32.const 3)", "(i32.const 200) (i32.const 1)"):
            refused = probe(f"(call $charge {bad} (i64.const 1))", "gas.charge", fields=data(200, b"\xff"))
            assert run(machine, refused).exit_code == ILLEGAL_ARGUMENT
        greedy = probe("(call $charge (i32.const 0) (i32.const 0) (i64.const -1))", "gas.charge")
        assert run(machine, greedy, gas_limit=10**9).exit_code == 7


def test_available_gas_is_what_a_hand_count_leaves(machine: Hypervisor) -> None:
    # invoke 75,000; a page 26,214.4; thunk 56; the syscall itself 14,000; and the whole body in advance, since calls
    # do not end a block: const, call; four const, call; const, load
    module = guest(
        """(drop (call $available (i32.const 0)))
        (drop (call $block_create (i32.const 16) (i64.const 0x55) (i32.const 0) (i32.const 8)))
        (i32.load (i32.const 16))""",
        "gas.available",
        "ipld.block_create",
    )
    limit = 1_000_000
    result = run(machine, module, gas_limit=limit)
    used = 75_000 + 26_214.4 + 56 + 4 * (1 + 1 + 4 + 1 + 1 + 1) + 14_000
    assert int.from_bytes(result.return_data, "little") == int(limit - used)


def test_debug_is_silent_unless_the_machine_listens(machine: Hypervisor) -> None:
    assert answer(machine, "(call $enabled (i32.const 0))", "debug.enabled", show=(0, 4)) == (OK, b"\xff" * 4)
    # not even the memory is looked at
    for quiet in ("(call $log (i32.const -1) (i32.const -1))", "(call $store_artifact" + " (i32.const -1)" * 4 + ")"):
        assert answer(machine, quiet, "debug.log", "debug.store_artifact")[0] == OK


def test_debug_tells_the_tracer() -> None:
    recorder = Recorder()
    with Hypervisor.open(actor_debugging=True) as machine:
        machine.tracer = recorder
        assert answer(machine, "(call $enabled (i32.const 0))", "debug.enabled", show=(0, 4)) == (OK, bytes(4))
        fields = data(100, b"hello") + data(200, b"../x") + data(300, b"\xff")
        log = "(call $log (i32.const {at}) (i32.const 5))"
        assert answer(machine, log.format(at=100), "debug.log", fields=fields)[0] == OK
        assert answer(machine, log.format(at=300), "debug.log", fields=fields)[0] == ILLEGAL_ARGUMENT
        assert answer(machine, log.format(at=65535), "debug.log", fields=fields)[0] == ILLEGAL_ARGUMENT
        store = "(call $store_artifact (i32.const {at}) (i32.const {length}) (i32.const 100) (i32.const 5))"
        names = "debug.store_artifact"
        assert answer(machine, store.format(at=100, length=5), names, fields=fields)[0] == OK
        for at, length in [(200, 4), (100, 0), (0, 257), (65535, 3)]:
            assert answer(machine, store.format(at=at, length=length), names, fields=fields)[0] == ILLEGAL_ARGUMENT
    logs = [event.text for event in recorder.events if isinstance(event, DebugLog)]
    assert logs == ["hello", "artifact hello: 5 bytes"]


# --- the order of things around every syscall -------------------------------------------------------------------

WITH_RESULT = sorted(name for name, letters in IMPORTS.items() if letters[:1] == "I" and name not in {
    "vm.exit", "self.set_root", "self.self_destruct", "crypto.batch_verify_seals", "event.emit_event", "gas.charge",
    "debug.log", "debug.store_artifact",
})  # fmt: skip


@pytest.mark.parametrize("name", WITH_RESULT)
@pytest.mark.parametrize("pointer", [65536, 65533, -1])
def test_a_result_that_does_not_fit_into_memory_is_refused_before_all_else(
    machine: Hypervisor, name: str, pointer: int
) -> None:
    constants = {"i": "(i32.const 0)", "I": "(i32.const 0)", "q": "(i64.const 0)", "Q": "(i64.const 0)"}
    arguments = " ".join(constants[letter] for letter in IMPORTS[name][1:])
    function = name.split(".")[1]
    assert answer(machine, f"(call ${function} (i32.const {pointer}) {arguments})", name)[0] == ILLEGAL_ARGUMENT


def gas_of_one_syscall(machine: Hypervisor, pointer: int) -> float:
    module = guest(f"(drop (call $enabled (i32.const {pointer}))) (i32.const 0)", "debug.enabled")
    return run(machine, module).gas_used


def test_a_bad_pointer_for_the_result_has_the_work_before_it_charged_twice(machine: Hypervisor) -> None:
    # thunk 56, then const, call, drop, const = 12: charged at the syscall, and again at the end where nobody told the
    # guest what was left (facts on the host 3.1)
    work = 56 + 12
    assert gas_of_one_syscall(machine, 0) == -(-(SYSTEM_GAS + work + 14_000) // 1)
    assert gas_of_one_syscall(machine, 65_536) == -(-(SYSTEM_GAS + 2 * work + 14_000) // 1)


def test_an_exit_has_the_work_before_it_charged_once(machine: Hypervisor) -> None:
    module = guest(
        "(drop (call $exit (i32.const 16) (i32.const 0) (i32.const 0) (i32.const 0))) unreachable", "vm.exit"
    )
    assert run(machine, module).gas_used == -(-(SYSTEM_GAS + 56 + 20 + 14_000) // 1)


# --- machine version 3 ------------------------------------------------------------------------------------------


@pytest.fixture
def machine_v3() -> Iterator[Hypervisor]:
    """The embedded bundle under the rules of network version 18."""
    with Hypervisor.open(context=MachineContext(network=network_version(18), epoch=ChainEpoch(1000))) as machine:
        yield machine


def test_randomness_was_drawn_by_the_host(machine_v3: Hypervisor) -> None:
    module = wasm(f"""(module
        (import "rand" "get_beacon_randomness" (func $draw (param i32 i64 i64 i32 i32) (result i32)))
        (import "ipld" "block_create" (func $block_create (param i32 i64 i32 i32) (result i32)))
        (memory (export "memory") 1) {data(100, b"entropy")}
        (func (export "invoke") (param i32) (result i32)
            (drop (call $draw (i32.const 0) (i64.const 5) (i64.const 900) (i32.const 100) (i32.const 7)))
            (drop (call $block_create (i32.const 64) (i64.const 0x55) (i32.const 0) (i32.const 32)))
            (i32.load (i32.const 64))))""")
    digest = machine_v3.externs.beacon_randomness(ChainEpoch(900))
    drawn = (5).to_bytes(8, "big") + digest + (900).to_bytes(8, "big") + b"entropy"
    result = run(machine_v3, module)
    assert result.return_data == hashlib.blake2b(drawn, digest_size=32).digest()


def test_events_came_as_cbor_and_self_destruct_named_an_heir(machine_v3: Hypervisor) -> None:
    event = bytes.fromhex("81" + "84" + "03" + "6161" + "1855" + "4178")  # [[3, "a", 0x55, h'78']]
    heir = Address.id(99).to_bytes()
    module = wasm(f"""(module (import "event" "emit_event" (func $emit (param i32 i32) (result i32)))
        (import "self" "self_destruct" (func $destroy (param i32 i32) (result i32)))
        (memory (export "memory") 1) {data(100, event)} {data(200, heir)}
        (func (export "invoke") (param i32) (result i32)
            (if (call $emit (i32.const 100) (i32.const {len(event)})) (then unreachable))
            (if (call $destroy (i32.const 200) (i32.const {len(heir)})) (then unreachable))
            (i32.const 0)))""")
    result = call(machine_v3, place(machine_v3, module, balance=50))
    assert result.exit_code == 0
    assert [(entry.key, entry.value) for entry in result.events[0].entries] == [("a", b"x")]
    burnt = machine_v3.actor(Address.id(99))
    assert burnt is not None
    assert burnt.balance == 50
    assert machine_v3.actor(Address.id(FIRST_ID)) is None


def test_a_module_of_the_other_revision_is_fatal(machine: Hypervisor, machine_v3: Hypervisor) -> None:
    module = guest("(i32.const 0)", "crypto.verify_bls_aggregate")
    assert run(machine, module).exit_code == 0
    result = run(machine_v3, module)
    assert result.exit_code == 10
    assert result.fatal is not None
    assert "verify_bls_aggregate" in str(result.fatal)


def test_the_context_of_the_machine_is_what_the_tests_think(machine: Hypervisor) -> None:
    assert machine.context == replace(MachineContext(), network=network_version(28))

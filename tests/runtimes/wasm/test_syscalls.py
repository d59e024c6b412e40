"""Syscalls of the actor itself, of other actors and of the chain, as a guest meets them.

Layouts and error numbers are ref-fvm's (shared/src/sys, shared/src/error).
"""

from __future__ import annotations

import hashlib
import struct

import pytest

from hypervisor.address import Address
from hypervisor.machine import Hypervisor
from hypervisor.message import Message
from hypervisor.state_tree import ActorState
from hypervisor.types import ActorID, ChainEpoch, Gas, MethodNumber, TokenAmount
from store.cid import DAG_CBOR, RAW, cid_of
from tests.runtimes.wasm.guests import (
    BUFFER_TOO_SMALL,
    FIRST_ID,
    FORBIDDEN,
    ILLEGAL_ARGUMENT,
    ILLEGAL_OPERATION,
    NOT_FOUND,
    OK,
    answer,
    call,
    data,
    guest,
    place,
    probe,
    run,
)

# --- vm -------------------------------------------------------------------------------------------------------------


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
        (65536, 5, "failed to extract error message: buffer 65536 (length 5) out of bounds: 65536 bytes"),
        (3, 2000, "x" * 512 + " ... (skipped 976 bytes) ... " + "x" * 512),
    ],
)
def test_vm_exit_words(machine: Hypervisor, offset: int, length: int, message: str) -> None:
    assert run(machine, exits(0, offset, length)).message == message


# --- self -----------------------------------------------------------------------------------------------------------


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


# --- actor ----------------------------------------------------------------------------------------------------------


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


def test_next_actor_address_is_hash_of_origin_nonce_and_count(machine: Hypervisor) -> None:
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


# --- network, rand --------------------------------------------------------------------------------------------------


def test_the_network_context(machine: Hypervisor) -> None:
    machine.advance(epoch=ChainEpoch(77), timestamp=1234, base_fee=TokenAmount((2 << 64) + 1))
    shown = answer(machine, "(call $context (i32.const 0))", "network.context", show=(0, 44))
    assert shown == (OK, struct.pack("<qQQQQI", 77, 1234, 1, 2, 31_415_926, 29))


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


# --- event ----------------------------------------------------------------------------------------------------------


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

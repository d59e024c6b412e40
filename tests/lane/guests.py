"""Hostile code: native modules as text, contracts as bytes."""

from functools import cache

from hypervisor.messages.address import Address
from tests.endless import ENDLESS
from tests.hypervisor.builtin_actors.contracts import call_data
from tests.runtimes.wasm.guests import guest

MEBIBYTE = 1 << 20


@cache
def spin() -> bytes:
    """A guest that loops forever."""
    return guest("(loop $on (br $on)) unreachable")


@cache
def trap() -> bytes:
    """A guest that always traps."""
    return guest("unreachable")


@cache
def liar() -> bytes:
    """A guest that returns a nonexistent block."""
    return guest("(i32.const 77)")


@cache
def glutton() -> bytes:
    """A guest that allocates memory until it fails, then loops forever."""
    return guest(
        """(loop $more (br_if $more (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))
        (loop $on (br $on)) unreachable"""
    )


@cache
def windbag() -> bytes:
    """A guest that returns a mebibyte."""
    return guest(
        f"""(drop (call $block_create (i32.const 0) (i64.const 0x55) (i32.const 64) (i32.const {MEBIBYTE})))
        (i32.load (i32.const 0))""",
        "ipld.block_create",
        pages="20",
    )


@cache
def flood() -> bytes:
    """A guest that emits events of eight kibibytes until its gas is used up."""
    return guest(
        """(i64.store (i32.const 0) (i64.const 3)) (i64.store (i32.const 8) (i64.const 0x55))
        (i32.store (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 8000))
        (i32.store8 (i32.const 100) (i32.const 97))
        (loop $on
          (drop (call $emit_event (i32.const 0) (i32.const 1) (i32.const 100) (i32.const 1) (i32.const 200)
            (i32.const 8000)))
          (br $on))
        unreachable""",
        "event.emit_event",
    )


@cache
def deluge() -> bytes:
    """A guest that emits two hundred events of eight kibibytes and succeeds."""
    return guest(
        """(i64.store (i32.const 0) (i64.const 3)) (i64.store (i32.const 8) (i64.const 0x55))
        (i32.store (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 8000))
        (i32.store8 (i32.const 100) (i32.const 97))
        (local.set $left (i32.const 200))
        (loop $on
          (drop (call $emit_event (i32.const 0) (i32.const 1) (i32.const 100) (i32.const 1) (i32.const 200)
            (i32.const 8000)))
          (br_if $on (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (i32.const 0)""",
        "event.emit_event",
        locals_="(local $left i32)",
    )


@cache
def storm() -> bytes:
    """A guest that repeatedly sends its parameters to the address in them: to itself, an endless tree."""
    return guest(
        """(if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
        (drop (call $block_read (i32.const 0) (local.get 0) (i32.const 3) (i32.const 100) (i32.const 20)))
        (loop $on
          (drop (call $send (i32.const 0) (i32.const 100) (i32.load8_u (i32.const 99)) (i64.const 2) (local.get 0)
            (i64.const 0) (i64.const 0) (i64.const 0x7fffffffffffffff) (i64.const 0)))
          (br $on))
        unreachable""",
        "ipld.block_read",
        "send.send",
        fields=f'(data (i32.const 99) "{chr(92)}03")',
    )


@cache
def vanishing() -> bytes:
    """A guest that deletes itself and burns its balance on method 2, and accepts all other calls."""
    return guest(
        """(if (local.get 0) (then (drop (call $self_destruct (i32.const 1))))) (i32.const 0)""", "self.self_destruct"
    )


# --- contracts --------------------------------------------------------------------------------------------------------

SPIN = ENDLESS
REFUSE = bytes.fromhex("5f5ffd")
VANISH = bytes.fromhex("33ff")
RECURSE = bytes.fromhex("5f5f5f5f5f305af15f5260205ff3")
"""Code that calls itself with all gas and returns the success flag."""
WINDBAG = bytes.fromhex("620fff005ff3")
CALL_ACTOR_ID = b"\xfe" + bytes(18) + b"\x05"
"""Precompile for calls of actors by ID; only by DELEGATECALL."""


def times(count: int, body: bytes) -> bytes:
    """A loop around code that leaves the stack unchanged; the remaining count is on top."""
    return b"\x61" + count.to_bytes(2, "big") + b"\x5b" + body + bytes.fromhex("6001900380600357" + "00")


FLOOD = times(0xFFFF, bytes.fromhex("6110005fa0"))
BLOAT = times(300, bytes.fromhex("808055"))


def paying(targets: list[Address]) -> bytes:
    """Code that sends an attoFIL to each of these actors twice: by an EVM call to its masked ID, and by method 0."""
    code = b""
    for target in targets:
        actor = target.actor_id()
        assert actor is not None
        masked = b"\xff" + bytes(11) + actor.to_bytes(8, "big")
        code += bytes.fromhex("5f5f5f5f6001") + b"\x73" + masked + bytes.fromhex("5af150")
        plain = call_data(actor, 0, value=1)
        for place in range(0, len(plain), 32):
            code += b"\x7f" + plain[place : place + 32] + bytes([0x60, place, 0x52])
        code += bytes([0x5F, 0x5F, 0x60, len(plain), 0x5F, 0x73]) + CALL_ACTOR_ID + bytes.fromhex("5af450")
    return code + b"\x00"

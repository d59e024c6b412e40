"""A native actor that executes a script in its parameters: sends, events, state changes, any kind of exit.

A script is a sequence of steps (see `Script`); as CBOR it is wrapped in a byte string with a two-byte length. The actor
returns the results of its sends for comparison.
"""

from functools import cache
from typing import Final

from hypervisor.messages.address import Address
from store.cid import CBOR
from tests.runtimes.wasm.guests import imports, wasm

OUT, PARAMS, SCRATCH = 0x1000, 0x8000, 0x100
"""Memory offsets of the output (after the head of a byte string), the parameters and the syscall results."""
SHOWN: Final = 96
"""Number of bytes kept of a callee's return data."""
_SYSCALLS = (
    "vm.exit", "ipld.block_create", "ipld.block_read", "ipld.block_stat", "ipld.block_link", "self.set_root",
    "self.current_balance", "event.emit_event", "send.send",
)  # fmt: skip


class Script:
    """Steps as bytes: the step's number and its arguments."""

    def __init__(self) -> None:
        self.code = b""

    def send(
        self, to: Address, method: int, params: bytes | None, codec: int, value: int = 0, read_only: bool = False
    ) -> None:
        """Append step 1: a send without a gas limit."""
        address = to.to_bytes()
        head = bytes([1, len(address)]) + address.ljust(24, b"\0") + _u64(method) + _u64(value) + _u64(int(read_only))
        self.code += head + _u64(codec if params is not None else 0) + _counted(params or b"")

    def emit(self, key: bytes, value: bytes) -> None:
        """Append step 2: an event with one CBOR entry, indexed by key and value."""
        head = _u64(3) + _u64(CBOR) + len(key).to_bytes(4, "little") + len(value).to_bytes(4, "little")
        self.code += bytes([2, len(key)]) + head + key + _counted(value)

    def store(self, block: bytes) -> None:
        """Append step 3: set the state root to a DAG-CBOR block."""
        self.code += b"\x03" + _counted(block)

    def balance(self) -> None:
        """Append step 5: add the actor's balance to the result."""
        self.code += b"\x05"

    def abort(self, exit_code: int, data: bytes) -> None:
        """Append step 4: exit with a code and data."""
        self.code += b"\x04" + exit_code.to_bytes(4, "little") + _counted(data)

    def trap(self) -> None:
        """Append step 6: an illegal instruction."""
        self.code += b"\x06"

    def raw(self) -> bytes:
        """Return the terminated script for parameters with a codec other than CBOR."""
        return self.code + b"\0"

    def wrapped(self) -> bytes:
        """Return the script as CBOR."""
        script = self.raw()
        return b"\x59" + len(script).to_bytes(2, "big") + script


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(2, "little") + data


@cache
def puppet() -> bytes:
    """Return the compiled module."""
    return wasm(f"""(module
      {imports(*_SYSCALLS)}
      (memory (export "memory") 4)
      (global $at (mut i32) (i32.const {PARAMS}))
      (global $out (mut i32) (i32.const {OUT + 3}))
      (func $byte (result i32)
        (i32.load8_u (global.get $at)) (global.set $at (i32.add (global.get $at) (i32.const 1))))
      (func $skip (param $length i32) (result i32)
        (global.get $at) (global.set $at (i32.add (global.get $at) (local.get $length))))
      (func $length (result i32) (i32.load16_u (call $skip (i32.const 2))))
      (func $word (result i64) (i64.load (call $skip (i32.const 8))))
      (func $say (param $number i32)
        (i32.store (global.get $out) (local.get $number))
        (global.set $out (i32.add (global.get $out) (i32.const 4))))
      (func $block (param $codec i64) (result i32) (local $size i32)
        (local.set $size (call $length))
        (if (i64.eqz (local.get $codec)) (then (drop (call $skip (local.get $size))) (return (i32.const 0))))
        (call $say (call $block_create (i32.const {SCRATCH}) (local.get $codec)
          (call $skip (local.get $size)) (local.get $size)))
        (i32.load (i32.const {SCRATCH})))
      (func $do_send (local $to i32) (local $size i32) (local $method i64) (local $value i64) (local $flags i64)
          (local $params i32)
        (local.set $size (call $byte))
        (local.set $to (call $skip (i32.const 24)))
        (local.set $method (call $word)) (local.set $value (call $word)) (local.set $flags (call $word))
        (local.set $params (call $block (call $word)))
        (i64.store (i32.const {SCRATCH}) (i64.const 0))
        (call $say (call $send (i32.const {SCRATCH}) (local.get $to) (local.get $size) (local.get $method)
          (local.get $params) (i64.const 0) (local.get $value) (i64.const 0x7fffffffffffffff) (local.get $flags)))
        (call $say (i32.load (i32.const {SCRATCH})))
        (if (i32.load offset=4 (i32.const {SCRATCH})) (then (call $answer))))
      (func $answer (local $block i32)
        (local.set $block (i32.load offset=4 (i32.const {SCRATCH})))
        (call $say (i32.wrap_i64 (i64.load offset=8 (i32.const {SCRATCH}))))
        (call $say (i32.load offset=16 (i32.const {SCRATCH})))
        (drop (call $block_read (i32.const {SCRATCH}) (local.get $block) (i32.const 0) (global.get $out)
          (i32.const {SHOWN})))
        (global.set $out (i32.add (global.get $out) (i32.const {SHOWN}))))
      (func $do_emit (local $size i32) (local $entries i32) (local $key i32) (local $values i32)
        (local.set $size (call $byte))
        (local.set $entries (call $skip (i32.const 24)))
        (local.set $key (call $skip (local.get $size)))
        (local.set $values (call $length))
        (call $say (call $emit_event (local.get $entries) (i32.const 1) (local.get $key) (local.get $size)
          (call $skip (local.get $values)) (local.get $values))))
      (func $do_store
        (call $say (call $block_link (i32.const {SCRATCH}) (call $block (i64.const 0x71)) (i64.const 0xb220)
          (i32.const 32) (i32.const {SCRATCH + 64}) (i32.const 64)))
        (call $say (call $set_root (i32.const {SCRATCH + 64}))))
      (func $do_abort (local $code i32)
        (local.set $code (i32.load (call $skip (i32.const 4))))
        (drop (call $exit (local.get $code) (call $block (i64.const {CBOR})) (i32.const 0) (i32.const 0))))
      (func $do_balance
        (drop (call $current_balance (global.get $out)))
        (global.set $out (i32.add (global.get $out) (i32.const 16))))
      (func $returned (result i32) (local $size i32)
        (local.set $size (i32.sub (global.get $out) (i32.const {OUT + 3})))
        (i32.store8 (i32.const {OUT}) (i32.const 0x59))
        (i32.store8 (i32.const {OUT + 1}) (i32.shr_u (local.get $size) (i32.const 8)))
        (i32.store8 (i32.const {OUT + 2}) (local.get $size))
        (drop (call $block_create (i32.const {SCRATCH}) (i64.const {CBOR}) (i32.const {OUT})
          (i32.add (local.get $size) (i32.const 3))))
        (i32.load (i32.const {SCRATCH})))
      (func (export "invoke") (param $params i32) (result i32) (local $step i32)
        (if (i32.eqz (local.get $params)) (then (return (i32.const 0))))
        (drop (call $block_stat (i32.const {SCRATCH}) (local.get $params)))
        (if (i64.eq (i64.load (i32.const {SCRATCH})) (i64.const {CBOR})) (then (drop (call $skip (i32.const 3)))))
        (drop (call $block_read (i32.const {SCRATCH}) (local.get $params) (i32.const 0) (i32.const {PARAMS})
          (i32.const 0x20000)))
        (loop $next
          (local.set $step (call $byte))
          (if (i32.eq (local.get $step) (i32.const 1)) (then (call $do_send) (br $next)))
          (if (i32.eq (local.get $step) (i32.const 2)) (then (call $do_emit) (br $next)))
          (if (i32.eq (local.get $step) (i32.const 3)) (then (call $do_store) (br $next)))
          (if (i32.eq (local.get $step) (i32.const 4)) (then (call $do_abort)))
          (if (i32.eq (local.get $step) (i32.const 5)) (then (call $do_balance) (br $next)))
          (if (i32.eq (local.get $step) (i32.const 6)) (then unreachable)))
        (call $returned)))""")

"""A small actor that replaces a built-in one, with parameters for its costs; it needs no Rust toolchain.

Each call runs a loop, writes blocks to the state, emits an event and returns nothing, for every method number. It is
written as text in the machine's instructions and syscalls.
"""

from dataclasses import dataclass
from pathlib import Path

from hypervisor.bundles.bundle import Bundle
from hypervisor_tools.bundles import build
from tests.runtimes.wasm.guests import data, guest

NAME = "datacap"
"""The built-in actor that it replaces: f07, which these tests do not need otherwise."""
ADDRESS = "f07"
METHOD = 2
_IMPORTS = ("ipld.block_create", "ipld.block_link", "self.set_root", "event.emit_event")
_ENTRY, _KEY, _VALUE, _BLOCK, _CID, _ID = 0, 100, 200, 300, 400, 500


@dataclass(frozen=True)
class SmallActor:
    """Parameters: iterations of the loop, number of written blocks, and the event's value."""

    turns: int = 100
    blocks: int = 1
    said: bytes = b"hello"

    def module(self) -> bytes:
        entry = (3).to_bytes(8, "little") + (0x55).to_bytes(8, "little")
        entry += len(b"kind").to_bytes(4, "little") + len(self.said).to_bytes(4, "little")
        fields = data(_ENTRY, entry) + data(_KEY, b"kind") + data(_VALUE, self.said)
        fields += "".join(data(_BLOCK + 2 * number, bytes([0x81, number])) for number in range(self.blocks))
        writes = "".join(
            f"""(drop (call $block_create (i32.const {_ID}) (i64.const 0x71) (i32.const {_BLOCK + 2 * number})
                    (i32.const 2)))
                (drop (call $block_link (i32.const {_ID + 8}) (i32.load (i32.const {_ID})) (i64.const 0xb220)
                    (i32.const 32) (i32.const {_CID}) (i32.const 40)))"""
            for number in range(self.blocks)
        )
        body = f"""
            (local.set $turn (i32.const {self.turns}))
            (loop $again (br_if $again (local.tee $turn (i32.sub (local.get $turn) (i32.const 1)))))
            {writes}
            (drop (call $set_root (i32.const {_CID})))
            (drop (call $emit_event (i32.const {_ENTRY}) (i32.const 1) (i32.const {_KEY}) (i32.const 4)
                (i32.const {_VALUE}) (i32.const {len(self.said)})))
            (i32.const 0)"""
        return guest(body, *_IMPORTS, fields=fields, locals_="(local $turn i32)")

    def bundle(self, file: Path) -> Path:
        file.write_bytes(build(Bundle.embedded("v19"), {NAME: self.module()}))
        return file

"""Cost of one syscall: a guest per syscall that makes it many times, as vectors that both machines run.

The time of a message whose guest only loops is subtracted, and the rest divided by the number of calls. Syscalls work
on small data (a state of three numbers, 32 bytes to hash, an event of one entry), so the overhead of a syscall
dominates.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from dataclasses import dataclass
from pathlib import Path

from wasmtime import wat2wasm

from hypervisor import Address, Bundle, Hypervisor, Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import SYSTEM_ACTOR, ActorID, Gas, MethodNumber
from runtimes.wasm.syscalls.abi import SYSCALL_REVISIONS
from runtimes.wasm.syscalls.table import EVENT_ENTRY
from store.car.files import write_car
from store.cid import RAW, cid_of, show
from store.codec import encode
from store.links import blocks_below

CALLS = 200
NETWORK_VERSION = 28

# Addresses in the guest's memory: results, a CID or digest, a state of three numbers, an address, an event.
_RESULT, _CID, _DATA, _ADDRESS, _ENTRY, _KEY = 0x200, 0x300, 0x400, 0x500, 0x600, 0x700
_MADE = f"(drop (call $block_create (i32.const {_RESULT}) (i64.const 0x71) (i32.const {_DATA}) (i32.const 4)))"
_ROOT = f"(drop (call $root (i32.const {_RESULT}) (i32.const {_CID}) (i32.const 100)))"
_HANDLE = f"(i32.load (i32.const {_RESULT}))"
_ELSEWHERE = _RESULT + 0x40
_UNKNOWN = {"exit_code": 0, "return": "", "gas_used": 0}
"""Placeholder for a receipt, which is not compared: the message is only timed."""
_TYPES = {"i": "i32", "I": "i32", "q": "i64", "Q": "i64"}


@dataclass(frozen=True, slots=True)
class Probe:
    """One syscall: its arguments, the guest's preparation, and the syscalls that this imports."""

    name: str
    arguments: tuple[int | str, ...]
    before: str = ""
    helper: str = ""


PROBES = (
    Probe("vm.message_context", (_RESULT,)),
    Probe("network.context", (_RESULT,)),
    Probe("network.total_fil_circ_supply", (_RESULT,)),
    Probe("gas.available", (_RESULT,)),
    Probe("gas.charge", (_KEY, 3, 1)),
    Probe("debug.enabled", (_RESULT,)),
    Probe("self.root", (_RESULT, _CID, 100)),
    Probe("self.set_root", (_CID,), _ROOT, "self.root"),
    Probe("self.current_balance", (_RESULT,)),
    Probe("ipld.block_open", (_RESULT, _CID), _ROOT, "self.root"),
    Probe("ipld.block_create", (_RESULT, 0x71, _DATA, 4)),
    Probe("ipld.block_stat", (_ELSEWHERE, _HANDLE), _MADE, "ipld.block_create"),
    Probe("ipld.block_read", (_ELSEWHERE, _HANDLE, 0, _CID, 4), _MADE, "ipld.block_create"),
    Probe("ipld.block_link", (_ELSEWHERE, _HANDLE, 0xB220, 32, _CID, 100), _MADE, "ipld.block_create"),
    Probe("actor.resolve_address", (_RESULT, _ADDRESS, 2)),
    Probe("actor.balance_of", (_RESULT, 1)),
    Probe("actor.get_actor_code_cid", (_RESULT, 1, _CID, 100)),
    Probe("actor.get_code_cid_for_type", (_RESULT, 3, _CID, 100)),
    Probe("crypto.hash", (_RESULT, 0xB220, _DATA, 32, _CID, 32)),
    Probe("rand.get_beacon_randomness", (_RESULT, 1)),
    Probe("event.emit_event", (_ENTRY, 1, _KEY, 3, _DATA, 4)),
    Probe("send.send", (_RESULT, _ADDRESS, 2, 0, 0, 0, 0, -1, 0)),
)
"""Syscalls dominated by call overhead; verifying signatures and proofs is different work."""


def write_vectors(path: Path, bundle: Path) -> None:
    """Write a vector for each probe, with the syscall's name as id, and one that only loops, `loop`."""
    opened = Bundle.from_car(bundle.read_bytes())
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        for name, text in {"loop": _guest(None), **{probe.name: _guest(probe) for probe in PROBES}}.items():
            lines.write(json.dumps(_vector(name, bytes(wat2wasm(text)), opened)) + "\n")


def _guest(probe: Probe | None) -> str:
    syscalls = SYSCALL_REVISIONS["v4"]
    imports, call, before = "", "", ""
    if probe is not None:
        before = probe.before
        for name in filter(None, (probe.name, probe.helper)):
            module, function = name.split(".")
            params = " ".join(_TYPES[letter] for letter in syscalls[module, function].letters)
            imports += f'(import "{module}" "{function}" (func ${function} (param {params}) (result i32)))\n'
        module, function = probe.name.split(".")
        letters = syscalls[module, function].letters
        arguments = [
            value if isinstance(value, str) else f"({_TYPES[letter]}.const {value})"
            for letter, value in zip(letters, probe.arguments, strict=True)
        ]
        call = f"(if (call ${function} {' '.join(arguments)}) (then (unreachable)))"
    return f"""(module {imports}
      (memory (export "memory") 1)
      (data (i32.const {_DATA}) "{_text(encode([1, 2, 3]))}")
      (data (i32.const {_ADDRESS}) "{_text(Address.id(1).to_bytes())}")
      (data (i32.const {_ENTRY}) "{_text(EVENT_ENTRY.pack(3, RAW, 3, 4))}")
      (data (i32.const {_KEY}) "key")
      (func (export "invoke") (param i32) (result i32) (local i32)
        {before}
        (local.set 1 (i32.const {CALLS}))
        (loop $again
          {call}
          (br_if $again (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
        (i32.const 0)))"""


def _text(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


def _vector(name: str, module: bytes, bundle: Bundle) -> dict[str, object]:
    with Hypervisor.open(bundle=bundle, network=NETWORK_VERSION) as machine:
        code = cid_of(module, RAW)
        machine.store.put(code, module)
        guest = ActorID(machine.state_tree.init_state().next_id)
        machine.state_tree.set_actor(guest, ActorState(code))
        root = machine.root
        built_in = {cid for cid, _ in bundle.blocks}
        car = io.BytesIO()
        blocks = blocks_below(machine.store, [root])
        write_car(car, [root], ((cid, data) for cid, data in blocks if cid not in built_in))
    message = Message(Address.id(guest), Address.id(SYSTEM_ACTOR), method=MethodNumber(2), gas_limit=Gas(10**13))
    return {
        "class": "message",
        "_meta": {"id": name},
        "bundle": {"/": show(bundle.manifest.data)},
        "car": base64.b64encode(gzip.compress(car.getvalue())).decode(),
        "preconditions": {
            "variants": [{"id": "nv28", "epoch": 100, "nv": NETWORK_VERSION}],
            "timestamp": 3000,
            "basefee": 100,
            "chain_id": 314,
            "state_tree": {"root_cid": {"/": show(root)}},
        },
        "apply_messages": [{"bytes": base64.b64encode(message.to_cbor()).decode(), "implicit": True}],
        "postconditions": {"receipts": [_UNKNOWN], "state_tree": {"root_cid": {"/": show(root)}}},
    }

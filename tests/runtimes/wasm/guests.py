"""Guests for the tests, written as text, and machines to run them on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wasmtime import wat2wasm

from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import ActorID, Gas, MethodNumber, TokenAmount
from store.car.files import read_car
from store.cid import RAW, cid_of

FIRST_ID = 1000
GAS_LIMIT = 10_000_000_000

# What a probe exits with, by the error number that it saw.
OK, ILLEGAL_ARGUMENT, ILLEGAL_OPERATION, LIMIT_EXCEEDED = 1000, 1001, 1002, 1003
INSUFFICIENT_FUNDS, NOT_FOUND, INVALID_HANDLE, ILLEGAL_CID, ILLEGAL_CODEC = 1005, 1006, 1007, 1008, 1009
SERIALIZATION, FORBIDDEN, BUFFER_TOO_SMALL, READ_ONLY = 1010, 1011, 1012, 1013

_VALUE_TYPES = {"i": "i32", "I": "i32", "q": "i64", "Q": "i64"}

# The signatures of the syscalls that the tests' guests import, by hand (ref-fvm sdk/src/sys).
IMPORTS = {
    "vm.exit": "IIII", "vm.message_context": "I", "network.context": "I", "network.tipset_cid": "IqII",
    "network.total_fil_circ_supply": "I", "ipld.block_open": "II", "ipld.block_create": "IQII",
    "ipld.block_read": "IIIII", "ipld.block_stat": "II", "ipld.block_link": "IIQIII", "self.root": "III",
    "self.set_root": "I", "self.current_balance": "I", "self.self_destruct": "I", "actor.resolve_address": "III",
    "actor.lookup_delegated_address": "IQII", "actor.get_actor_code_cid": "IQII",
    "actor.get_builtin_actor_type": "II", "actor.get_code_cid_for_type": "IiII", "actor.next_actor_address": "III",
    "actor.create_actor": "QIII", "actor.install_actor": "I", "actor.upgrade_actor": "III",
    "actor.balance_of": "IQ", "crypto.verify_signature": "IIIIIIII",
    "crypto.verify_bls_aggregate": "IIIIII", "crypto.recover_secp_public_key": "III", "crypto.hash": "IQIIII",
    "crypto.compute_unsealed_sector_cid": "IqIIII", "crypto.verify_post": "III",
    "crypto.verify_consensus_fault": "IIIIIII", "crypto.verify_aggregate_seals": "III",
    "crypto.verify_replica_update": "III", "crypto.batch_verify_seals": "III", "event.emit_event": "IIIIII",
    "rand.get_chain_randomness": "Iq", "rand.get_beacon_randomness": "Iq", "gas.charge": "IIQ", "gas.available": "I",
    "send.send": "IIIQIQQQQ", "debug.enabled": "I", "debug.log": "II", "debug.store_artifact": "IIII",
}  # fmt: skip


def wasm(text: str) -> bytes:
    return bytes(wat2wasm(text))


def imports(*names: str) -> str:
    """Return import declarations; `ipld.block_open` is called as `$block_open`."""
    lines = []
    for name in names:
        module, function = name.split(".")
        params = " ".join(_VALUE_TYPES[letter] for letter in IMPORTS[name])
        lines.append(f'(import "{module}" "{function}" (func ${function} (param {params}) (result i32)))')
    return "\n".join(lines)


def guest(body: str, *names: str, fields: str = "", pages: str = "1", locals_: str = "") -> bytes:
    """Return an actor whose `invoke` is `body` (its parameter is local 0, the block of the message's parameters)."""
    return wasm(f"""(module
        {imports(*names)}
        (memory (export "memory") {pages})
        {fields}
        (func (export "invoke") (param i32) (result i32) {locals_} {body}))""")


def probe(call: str, *names: str, show: tuple[int, int] = (0, 0), fields: str = "", before: str = "") -> bytes:
    """Return an actor that makes one syscall and exits with 1000 + its error number and a slice of its memory."""
    offset, length = show
    body = f"""{before}
        (local.set $errno {call})
        (drop (call $block_create (i32.const 65000) (i64.const 0x55) (i32.const {offset}) (i32.const {length})))
        (drop (call $exit (i32.add (i32.const 1000) (local.get $errno)) (i32.load (i32.const 65000))
            (i32.const 0) (i32.const 0)))
        unreachable"""
    names = tuple(dict.fromkeys(("vm.exit", "ipld.block_create", *names)))
    return guest(body, *names, fields=fields, locals_="(local $errno i32)")


def probe_result(machine: Hypervisor, *args: str, **options: Any) -> tuple[int, bytes]:
    """Return exit code (1000 + error number) and the returned memory of a probe."""
    result = install_and_call(machine, probe(*args, **options))
    return result.exit_code, result.return_data


def data(offset: int, content: bytes) -> str:
    return f'(data (i32.const {offset}) "{"".join(f"{chr(92)}{byte:02x}" for byte in content)}")'


def install_actor(machine: Hypervisor, module: bytes, actor: int = FIRST_ID, balance: int = 0) -> Address:
    """Install an actor with this module without its constructor."""
    code = cid_of(module, RAW)
    machine.store.put(code, module)
    machine.state_tree.set_actor(ActorID(actor), ActorState(code, balance=TokenAmount(balance)))
    return Address.id(actor)


def install_and_call(
    machine: Hypervisor, module: bytes, params: bytes = b"", gas_limit: int = GAS_LIMIT, method: int = 2
) -> ApplyResult:
    """Install an actor and call it once, as an implicit message of the system actor."""
    return call(machine, install_actor(machine, module), params, gas_limit, method)


def call(
    machine: Hypervisor, to: Address, params: bytes = b"", gas_limit: int = GAS_LIMIT, method: int = 2
) -> ApplyResult:
    """Call an actor as an implicit message of the system actor."""
    message = Message(to, Address.id(0), method=MethodNumber(method), params=params, gas_limit=Gas(gas_limit))
    return machine.apply_implicit(message)


def bundle_modules(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for _, block in read_car(file):
            if block.startswith(b"\0asm"):
                yield block

"""Syscalls at the boundary between guest and kernel.

- The steps around every syscall: charges counted by hand, bad pointers, and both revisions of the ABI.
- Error texts of `vm.exit`; the golden vectors cover all other results of syscalls.
- Half a gibibyte in a guest's hand: nothing is copied out of its memory before it is checked and paid for.

A copy of that size takes a tenth of a second, and a refusal costs a syscall's price.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hypervisor.context import MachineContext
from hypervisor.kernel import proofs
from hypervisor.kernel.blocks import MAX_BLOCK_SIZE
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import MAX_ADDRESS, Address
from hypervisor.proofs.verifier import read_proof_input
from hypervisor.tracing import DebugLog, GasCharged, Recorder
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import network_version
from runtimes.wasm.syscalls.invocation import GuestMemory
from store.codec import encode
from tests.runtimes.wasm.guests import (
    FIRST_ID,
    ILLEGAL_ARGUMENT,
    IMPORTS,
    LIMIT_EXCEEDED,
    OK,
    call,
    data,
    guest,
    install_actor,
    install_and_call,
    probe,
    probe_result,
    wasm,
)

PAGE = 65536
SYSTEM_GAS = 75_000 + 26_214.4

# --- gas, debug -----------------------------------------------------------------------------------------------------


def test_gas_charge_is_named_and_rounded_down() -> None:
    recorder = Recorder()
    with Hypervisor.open() as machine:
        machine.tracer = recorder
        charge = "(call $charge (i32.const 100) (i32.const 3) (i64.const 5000))"
        module = probe(charge, "gas.charge", fields=data(100, b"fee"))
        assert install_and_call(machine, module).exit_code == OK
        assert GasCharged("fee", 5_000_000) in recorder.events
        for bad in ("(i32.const 65535) (i32.const 3)", "(i32.const 200) (i32.const 1)"):
            refused = probe(f"(call $charge {bad} (i64.const 1))", "gas.charge", fields=data(200, b"\xff"))
            assert install_and_call(machine, refused).exit_code == ILLEGAL_ARGUMENT
        greedy = probe("(call $charge (i32.const 0) (i32.const 0) (i64.const -1))", "gas.charge")
        assert install_and_call(machine, greedy, gas_limit=10**9).exit_code == 7


def test_available_gas_matches_hand_computed_value(machine: Hypervisor) -> None:
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
    result = install_and_call(machine, module, gas_limit=limit)
    used = 75_000 + 26_214.4 + 56 + 4 * (1 + 1 + 4 + 1 + 1 + 1) + 14_000
    assert int.from_bytes(result.return_data, "little") == int(limit - used)


def test_debug_is_silent_unless_the_machine_listens(machine: Hypervisor) -> None:
    assert probe_result(machine, "(call $enabled (i32.const 0))", "debug.enabled", show=(0, 4)) == (OK, b"\xff" * 4)
    # not even the memory is looked at
    for quiet in ("(call $log (i32.const -1) (i32.const -1))", "(call $store_artifact" + " (i32.const -1)" * 4 + ")"):
        assert probe_result(machine, quiet, "debug.log", "debug.store_artifact")[0] == OK


def test_debug_syscalls_report_to_tracer() -> None:
    recorder = Recorder()
    with Hypervisor.open(actor_debugging=True) as machine:
        machine.tracer = recorder
        assert probe_result(machine, "(call $enabled (i32.const 0))", "debug.enabled", show=(0, 4)) == (OK, bytes(4))
        fields = data(100, b"hello") + data(200, b"../x") + data(300, b"\xff")
        log = "(call $log (i32.const {at}) (i32.const 5))"
        assert probe_result(machine, log.format(at=100), "debug.log", fields=fields)[0] == OK
        assert probe_result(machine, log.format(at=300), "debug.log", fields=fields)[0] == ILLEGAL_ARGUMENT
        assert probe_result(machine, log.format(at=65535), "debug.log", fields=fields)[0] == ILLEGAL_ARGUMENT
        store = "(call $store_artifact (i32.const {at}) (i32.const {length}) (i32.const 100) (i32.const 5))"
        names = "debug.store_artifact"
        assert probe_result(machine, store.format(at=100, length=5), names, fields=fields)[0] == OK
        for at, length in [(200, 4), (100, 0), (0, 257), (65535, 3)]:
            assert (
                probe_result(machine, store.format(at=at, length=length), names, fields=fields)[0] == ILLEGAL_ARGUMENT
            )
    logs = [event.text for event in recorder.events if isinstance(event, DebugLog)]
    assert logs == ["hello", "artifact hello: 5 bytes"]


def test_base_fee_above_128_bits_is_named_as_the_reason(machine: Hypervisor) -> None:
    machine.advance(base_fee=TokenAmount(1 << 128))
    result = install_and_call(machine, guest("(call $context (i32.const 0))", "network.context"))
    assert f"an amount of {1 << 128} attoFIL does not fit in 128 bits" in result.message


# --- the order of things around every syscall -----------------------------------------------------------------------


WITH_RESULT = sorted(name for name, letters in IMPORTS.items() if letters[:1] == "I" and name not in {
    "vm.exit", "self.set_root", "self.self_destruct", "crypto.batch_verify_seals", "event.emit_event", "gas.charge",
    "debug.log", "debug.store_artifact", "actor.install_actor", "actor.upgrade_actor",  # these need a feature
})  # fmt: skip


@pytest.mark.parametrize("name", WITH_RESULT)
@pytest.mark.parametrize("pointer", [65536, 65533, -1])
def test_result_pointer_out_of_memory_is_refused_first(machine: Hypervisor, name: str, pointer: int) -> None:
    constants = {"i": "(i32.const 0)", "I": "(i32.const 0)", "q": "(i64.const 0)", "Q": "(i64.const 0)"}
    arguments = " ".join(constants[letter] for letter in IMPORTS[name][1:])
    function = name.split(".")[1]
    assert probe_result(machine, f"(call ${function} (i32.const {pointer}) {arguments})", name)[0] == ILLEGAL_ARGUMENT


def gas_of_one_syscall(machine: Hypervisor, pointer: int) -> float:
    module = guest(f"(drop (call $enabled (i32.const {pointer}))) (i32.const 0)", "debug.enabled")
    return install_and_call(machine, module).gas_used


def test_bad_result_pointer_charges_prior_work_twice(machine: Hypervisor) -> None:
    # thunk 56, then const, call, drop, const = 12: charged at the syscall, and again at the end where nobody told the
    # guest what was left
    work = 56 + 12
    assert gas_of_one_syscall(machine, 0) == -(-(SYSTEM_GAS + work + 14_000) // 1)
    assert gas_of_one_syscall(machine, 65_536) == -(-(SYSTEM_GAS + 2 * work + 14_000) // 1)


def test_an_exit_has_the_work_before_it_charged_once(machine: Hypervisor) -> None:
    module = guest(
        "(drop (call $exit (i32.const 16) (i32.const 0) (i32.const 0) (i32.const 0))) unreachable", "vm.exit"
    )
    assert install_and_call(machine, module).gas_used == -(-(SYSTEM_GAS + 56 + 20 + 14_000) // 1)


# --- machine version 3 ----------------------------------------------------------------------------------------------


@pytest.fixture
def machine_v3() -> Iterator[Hypervisor]:
    """The embedded bundle under the rules of network version 18, which it is not made for: guests of the tests are."""
    with Hypervisor.open() as machine:
        machine.context = replace(machine.context, network=network_version(18), epoch=ChainEpoch(1000))
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
    result = install_and_call(machine_v3, module)
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
    result = call(machine_v3, install_actor(machine_v3, module, balance=50))
    assert result.exit_code == 0
    assert [(entry.key, entry.value) for entry in result.events[0].entries] == [("a", b"x")]
    burnt = machine_v3.actor(Address.id(99))
    assert burnt is not None
    assert burnt.balance == 50
    assert machine_v3.actor(Address.id(FIRST_ID)) is None


def test_a_module_of_the_other_revision_is_fatal(machine: Hypervisor, machine_v3: Hypervisor) -> None:
    module = guest("(i32.const 0)", "crypto.verify_bls_aggregate")
    assert install_and_call(machine, module).exit_code == 0
    result = install_and_call(machine_v3, module)
    assert result.exit_code == 10
    assert result.exit_code == 10
    assert "verify_bls_aggregate" in result.message


def test_machine_context_matches_test_assumptions(machine: Hypervisor) -> None:
    assert machine.context == replace(MachineContext(), network=network_version(29))


@pytest.mark.parametrize(
    ("offset", "length", "message"),
    [
        (0, 0, "actor aborted"),
        (0, 3, "\N{REPLACEMENT CHARACTER}ab"),
        (65536, 5, "failed to extract error message: buffer 65536 (length 5) out of bounds: 65536 bytes"),
        (3, 2000, "x" * 512 + " ... (skipped 976 bytes) ... " + "x" * 512),
    ],
)
def test_exit_message_is_read_from_memory(machine: Hypervisor, offset: int, length: int, message: str) -> None:
    arguments = f"(i32.const 16) (i32.const 0) (i32.const {offset}) (i32.const {length})"
    module = guest(f"(drop (call $exit {arguments})) unreachable", "vm.exit", fields=data(0, b"\xffab" + b"x" * 3000))
    assert install_and_call(machine, module).message == message


LONG = 4 << 20
GROW = "(drop (memory.grow (i32.const 63)))"


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of everything that is copied out of guests' memories (the plain boundary copies all it looks at)."""
    lengths: list[int] = []
    read = GuestMemory.read

    def counted(memory: GuestMemory, offset: int, length: int, most: int = LONG) -> bytes:
        lengths.append(min(length, most))
        return read(memory, offset, length, most)

    monkeypatch.setattr(GuestMemory, "read", counted)
    return lengths


def numbers(*values: int) -> str:
    return " ".join(f"(i32.const {value})" for value in values)


@pytest.mark.parametrize(
    ("call", "syscall", "refusal"),
    [
        (f"(call $block_create (i32.const 0) (i64.const 0x55) {numbers(0, LONG)})", "ipld.block_create",
         LIMIT_EXCEEDED),
        (f"(call $emit_event {numbers(0, 100_000, 0, 0, 0, 0)})", "event.emit_event", LIMIT_EXCEEDED),
        (f"(call $emit_event {numbers(0, 1, 0, 0, 0, LONG)})", "event.emit_event", LIMIT_EXCEEDED),
        (f"(call $hash (i32.const 0) (i64.const 0x99) {numbers(0, LONG, 8, 32)})", "crypto.hash", ILLEGAL_ARGUMENT),
        (f"(call $verify_signature (i32.const 0) {numbers(3, 0, LONG, 100, 2, 0, LONG)})", "crypto.verify_signature",
         ILLEGAL_ARGUMENT),
        (f"(call $verify_signature (i32.const 0) {numbers(1, 0, LONG, 0, LONG, 0, LONG)})", "crypto.verify_signature",
         ILLEGAL_ARGUMENT),
    ],
    ids=["a block", "entries", "values", "an unknown hash", "an unknown signature", "a signer that is not an address"],
)  # fmt: skip
def test_rejected_syscall_data_is_not_copied(
    machine: Hypervisor, copied: list[int], call: str, syscall: str, refusal: int
) -> None:
    copied.clear()
    fields = data(100, b"\0\x01")  # f01
    assert probe_result(machine, call, syscall, fields=fields, before=GROW)[0] == refusal
    assert max(copied, default=0) <= max(MAX_BLOCK_SIZE + 1, MAX_ADDRESS + 1)
    if syscall != "ipld.block_create":
        assert max(copied, default=0) <= 255 * 24


def test_a_batch_of_seals_is_decoded_once(machine: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []

    def counted(infos: bytes, shape: Any) -> Any:
        decoded.append(infos)
        return read_proof_input(infos, shape)

    monkeypatch.setattr(proofs, "read_proof_input", counted)
    none = encode([])
    call = f"(call $batch_verify_seals {numbers(100, len(none), 0)})"
    assert probe_result(machine, call, "crypto.batch_verify_seals", fields=data(100, none))[0] == OK
    assert decoded == [none]

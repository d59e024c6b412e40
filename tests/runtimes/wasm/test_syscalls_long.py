"""Half a gibibyte in a guest's hand: nothing is copied out of its memory before it is checked and paid for.

A copy of that size takes a tenth of a second, and a refusal costs a syscall's price.
"""

from typing import Any

import pytest

from hypervisor.kernel import proofs
from hypervisor.kernel.blocks import MAX_BLOCK_SIZE
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import MAX_ADDRESS
from hypervisor.proofs.inputs import read_proof_input
from runtimes.wasm.syscalls.memory import GuestMemory
from store.codec import encode
from tests.runtimes.wasm.guests import ILLEGAL_ARGUMENT, LIMIT_EXCEEDED, OK, data, probe_result

LONG = 4 << 20
GROW = "(drop (memory.grow (i32.const 63)))"


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of everything that is copied out of guests' memories (the plain boundary copies all it looks at)."""
    lengths: list[int] = []
    read = GuestMemory.read

    def counted(memory: GuestMemory, offset: int, length: int) -> bytes:
        lengths.append(length)
        return read(memory, offset, length)

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

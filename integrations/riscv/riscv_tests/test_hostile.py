"""Hostile blobs: mutations, endless loops, deep calls, and blobs that break a rule of the installation."""

from collections import Counter
from types import SimpleNamespace

import pytest

from bridge.ethereum.addresses import EthAddress
from hypervisor.errors import InvalidModule
from hypervisor.versions.features import with_features
from hypervisor_riscv import guest as guests
from hypervisor_riscv.engine import HOST_FUNCTIONS, Halt, RiscvEngine
from hypervisor_riscv.guest import MAX_REUSED_PAGES, SENTINEL, Guest, Stop, Stopped, guest
from localnet import CallFailed, Network
from riscv_tests.contracts import call, create, forms, with_data, word
from riscv_tests.hostile import run_all, with_length
from runtimes.evm import Status

COUNTER = forms("Counter").riscv
MOVE, ECALL = b"\x64\x00", b"\x0a\x07"
"""Instructions of the set revive_v1: `move_reg` and `ecalli 7`."""


def test_mutated_blobs_are_refused_or_fail() -> None:
    found = Counter(run_all(60, 1))
    assert found["refused"] > 20
    assert found.total() == 60


def test_rule_that_a_blob_breaks_is_named() -> None:
    with Network() as network:
        for blob, rule in (
            (COUNTER[:4] + b"\1" + COUNTER[5:], "instruction set is latest32, not revive_v1"),
            (COUNTER[:4] + b"\x63" + COUNTER[5:], "not a valid blob"),
            (with_length(COUNTER[:-20]), "not a valid blob"),
            (COUNTER + b"\0", "states a length"),
            (COUNTER.replace(b"seal_return", b"seal_retune"), "imports 'seal_retune', which is not"),
            (COUNTER.replace(b"deploy", b"depley"), "does not export deploy"),
            (assembled([MOVE] * 1_001), "a basic block has 1002 instructions, more than 1000"),
            (assembled([bytes([2])]), "an invalid instruction at 0"),
            (assembled([ECALL]), "calls import 7 at 0, but has 0 imports"),
            (assembled([MOVE], stack=2 << 20), "memory has .* bytes, more than 1572864"),
            (assembled([MOVE] * 600_000), "has .* bytes, more than 1048576"),
        ):
            with pytest.raises(InvalidModule, match=rule):
                network.actors.install(blob)


def test_text_of_a_refusal_is_bounded() -> None:
    with Network() as network, pytest.raises(InvalidModule, match="imports 'xxx") as refused:
        network.actors.install(assembled([MOVE], imports=b"x" * 60_000))
    assert len(str(refused.value)) < 500


def test_frame_is_traced_after_its_program_was_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    running, address = Guest(), EthAddress(bytes(20))
    frame = running.start(running.load(COUNTER, traces=True), False, address, address, 0, b"")
    assert running.run(frame, 1_000, None, (), False).reason == Stop.STEP
    before = running.instruction(frame)
    monkeypatch.setattr(guests, "MAX_PROGRAM_BYTES", 1)
    running.load(forms("Child").riscv)
    running.load(forms("Leaf").riscv)
    assert running.instruction(frame) == before
    assert before[1]


@pytest.mark.parametrize(
    ("function", "registers", "size"),
    [
        ("call", (1 << 32, 0, 0, 0, 0, 0), 20 + 32),  # forwards its input
        ("call", (16 << 32, 0, 0, 0, 0, 0), 20 + 32),  # static without re-entrance
        ("call", (0, 0, 0, 0, 4 << 32, 0), 20 + 32 + 4),  # with input, but without re-entrance
        ("delegate_call", (8 << 32, 0, 0, 0, 0, 0), 20),
        ("set_storage", (0, 0, 31, 0, 32, 0), 31 + 32),
        ("set_storage", (0, 0, 33, 0, 32, 0), 33 + 32),
        ("set_storage", (0, 0, SENTINEL, 0, 31, 0), 32 + 31),
        ("get_storage", (0, 0, 31, 0, 0, 0), 31),
    ],
)
def test_argument_that_resolc_does_not_use_is_a_trap(function: str, registers: tuple[int, ...], size: int) -> None:
    engine = RiscvEngine(False)
    engine._frame = SimpleNamespace(static=False)  # type: ignore[assignment]  # a stand-in
    with pytest.raises(Halt) as halted:
        HOST_FUNCTIONS[function](engine, Stopped(Stop.CALLED, 0, 0, registers, bytes(size)))
    assert halted.value.outcome.status is Status.INVALID_INSTRUCTION


def assembled(instructions: list[bytes], stack: int = 4096, imports: bytes = b"") -> bytes:
    """Return a blob with two exports and at most one import (`ProgramBlob` in polkavm-common)."""
    code = b"".join(instructions) + b"\0"  # ends with a trap
    starts, at = bytearray(-(-len(code) // 8)), 0
    for instruction in (*instructions, b"\0"):
        starts[at // 8] |= 1 << at % 8
        at += len(instruction)
    exports = b"\2\0\6deploy\0\4call"
    body = b"\0\0" + varint(len(code)) + code + bytes(starts)
    sections = [(1, b"\0\0" + varint(stack)), (5, exports), (6, body)]
    if imports:
        sections.insert(1, (4, b"\1\0\0\0\0" + imports))
    parts = b"".join(bytes([number]) + varint(len(data)) + data for number, data in sections)
    return with_length(b"PVM\0\0" + bytes(8) + parts + b"\0")


def varint(number: int) -> bytes:
    """Return a number in PolkaVM's form: the first byte's leading ones count the bytes that follow."""
    size = next(size for size in range(5) if number < 1 << 7 * (size + 1))
    rest = number & ((1 << 8 * size) - 1)
    return bytes([(0xFF00 >> size) & 0xFF | number >> 8 * size]) + rest.to_bytes(size, "little")


def test_blob_of_the_assembler_is_accepted() -> None:
    with Network() as network:
        network.actors.install(assembled([MOVE] * 999))


def test_endless_loop_ends_with_the_gas_and_the_caller_goes_on() -> None:
    with Network() as network:
        counter, caller = create(network, "Counter"), create(network, "Caller")
        spin = call("spin(uint256)", 1 << 255)
        found = network.call(caller, with_data("call(address,uint256,bytes)", network.address(counter), 0, data=spin))
        assert found[:32] == word(0)
        with pytest.raises(CallFailed, match="OUT_OF_GAS"):
            network.call(counter, spin)
        network.call(counter, call("count()"))
        assert guest().frames == 0  # those that an error has ended are dropped, too


def test_deep_recursion_is_bounded_in_depth_and_memory() -> None:
    """A contract that calls itself until the machine's limit of 1,024 calls; each frame waits in the guest."""
    with Network(overlay=with_features(["code-formats"])) as network:
        address = network.send(None, 0, forms("Node").riscv).contract_address
        assert address is not None
        program = b""
        for _ in range(120):  # calldata is copied by each level, so that memory is quadratic
            program = bytes([0, 0]) + EthAddress(address) + len(program).to_bytes(2, "big") + program
        assert len(network.call(address, program)) == 32
        running = guest()
        assert running.frames == 0
        assert running._pages <= MAX_REUSED_PAGES

"""The whole machine: messages to guests that execute arbitrary syscalls.

A message ends with an exit code within its gas, and a failing one leaves the state unchanged. Reverting a message
restores the state.
"""

from collections.abc import Iterator
from functools import cache
from random import Random

from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.state.state_tree import StateTree
from tests.fuzz.programs import BUFFER, CONTENT, GUEST, NAMES, SELF, START, changed, guest, operation, read, write
from tests.fuzz.target import MACHINE, Target
from tests.planting import replace_attribute
from tests.runtimes.wasm.guests import call, install_actor

GAS = (2_000_000, 20_000_000, 100_000_000, 300_000_000)
ENTERED = 141_000
"""Gas used by an invocation before the guest's first instruction."""
COMPARED = GAS[0]
"""Maximum gas of inputs that run over both boundaries: the plain one is slow, and more gas allows deep nesting."""
FATAL = ("has no verifier for", "exited with a block that does not exist", "burning the balance")
"""Fatal errors that a guest can cause: verify a proof without a verifier, exit with an unknown block, delete itself
with too little gas to burn its balance."""


def run(data: bytes) -> bool:
    if not data:
        return False
    machine, start = _machine()
    limit = GAS[data[0] % len(GAS)]
    written = len(machine.store.pending)
    result = call(machine, GUEST, data[1:], limit, 2)
    _check(result, limit)
    if limit <= COMPARED:
        _compare(data[1:], limit, result)
    if machine.root != start.root:
        assert result.exit_code == 0, f"exit {result.exit_code} has changed the state"
        machine.restore(start)
        assert machine.root == start.root
    machine.store.forget_after(written)
    return len(read(data[1:])) > 0 and result.gas_used > ENTERED


def _compare(program: bytes, limit: int, result: ApplyResult) -> None:
    """Compare with the plain boundary, which uses no pointers."""
    machine, start = _machine("plain")
    written = len(machine.store.pending)
    plain = call(machine, GUEST, program, limit, 2)
    assert plain.receipt == result.receipt, (
        f"{result.receipt} over the raw boundary, {plain.receipt} over the plain one"
    )
    assert (plain.fatal is None) == (result.fatal is None)
    if machine.root != start.root:
        machine.restore(start)
    machine.store.forget_after(written)


def _check(result: ApplyResult, limit: int) -> None:
    assert 0 <= result.exit_code < 2**32
    assert 0 <= result.gas_used <= limit
    assert len(result.return_data) <= 1 << 20
    if result.fatal is not None:  # what the network answers with the end of the message, too
        assert (result.exit_code, result.gas_used) == (10, limit)
        assert any(words in str(result.fatal) for words in FATAL), result.fatal


@cache
def _machine(boundary: str = "raw") -> tuple[Hypervisor, Snapshot]:
    machine = Hypervisor.open(options={"boundary": boundary})
    install_actor(machine, guest(), balance=10**18)
    return machine, machine.snapshot()


def seeds() -> Iterator[bytes]:
    send = (BUFFER, SELF, 3, 2)
    block = operation("ipld.block_create", BUFFER, 0x71, CONTENT, 3)
    link = operation("ipld.block_link", BUFFER, 2, 0xB220, 32, BUFFER, 64)
    root = operation("self.root", BUFFER, BUFFER + 8, 100)
    opened = operation("ipld.block_open", BUFFER, BUFFER + 8)
    new_address = operation("actor.next_actor_address", BUFFER, BUFFER + 8, 64)
    programs = [
        *([operation(name, BUFFER)] for name in NAMES),
        [block, link, operation("self.set_root", BUFFER), operation("vm.exit", 33, 0, SELF, 3)],
        [operation("send.send", *send, 1, 0, 0, 0, 0)],
        *([operation("send.send", *send, 1, 0, 0, 2**64 - 1, 0)] for _ in GAS),
        [root, opened, operation("ipld.block_read", 8, 2, 0, 100, 9)],
        [operation("event.emit_event", CONTENT, 1, CONTENT, 10, CONTENT, 10)],
        [operation("grow", 100), operation("grow", 2**31), operation("fill", 0, 255, 2**32 - 1)],
        [new_address, operation("actor.create_actor", 2000, BUFFER, SELF, 3)],
        [operation("self.self_destruct", 1), operation("send.send", *send, 0, 1, 0, 0, 1)],
        *([operation(name, number)] for name, number in (("recurse", 10_000), ("loop", 0), ("jump", 0))),
        [operation("indirect", 1, 1)],
        [operation("gas.charge", SELF, 3, 2**63)],
        [operation("ipld.block_create", BUFFER, 0x55, START, 60), operation("send.send", *send, 2, 0, 0, 10**8, 0)],
    ]
    for gas, program in enumerate(programs):
        yield bytes((gas % len(GAS),)) + write(program)


def mutate(data: bytes, rng: Random) -> bytes:
    """Return other instructions and arguments."""
    gas = data[:1] if data and rng.random() < 0.7 else bytes((rng.randrange(len(GAS)),))
    return gas + write(changed(read(data[1:]), rng))


def forgetful() -> None:
    """Plant: a failed call keeps its changes."""
    replace_attribute(StateTree, "rollback", lambda tree, _mark: tree.commit())


TARGET = Target(
    run, seeds, mutate, share=20, longest=3000, memory=MACHINE, plants={"a failure is not taken back": forgetful}
)

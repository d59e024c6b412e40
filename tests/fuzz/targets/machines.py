"""The machine: guests that execute arbitrary syscalls, EVM bytecode, and WASM modules."""

from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from random import Random

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor import builtin_actors
from hypervisor.bundles.genesis import Genesis
from hypervisor.errors import InvalidModule
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import Gas, TokenAmount
from runtimes.wasm.module.encode import instrument
from runtimes.wasm.module.parser import parse_module
from runtimes.wasm.validate import validate_module
from runtimes.wasmtime.engine import guest_engine
from store.car.files import read_car
from store.cid import RAW, cid_of
from store.trees.kamt import Kamt
from tests.conftest import fvm_data
from tests.fuzz import trees
from tests.fuzz.programs import BUFFER, CONTENT, GUEST, NAMES, SELF, START, changed, guest, operation, read, write
from tests.fuzz.target import MACHINE, Target
from tests.fuzz.trees import CONTRACT, OPCODES, program, push
from tests.fuzz.wasm_modules import generated
from tests.runtimes.wasm.guests import call, install_actor
from tests.runtimes.wasm.guests import guest as guest_module
from tests.runtimes.wasm.guests import install_and_call as run_on

GAS = (2_000_000, 20_000_000, 100_000_000, 300_000_000)
ENTERED = 141_000
"""Gas used by an invocation before the guest's first instruction."""
COMPARED = GAS[0]
"""Maximum gas of inputs that run over both boundaries: the plain one is slow, and more gas allows deep nesting."""
FATAL = ("has no verifier for", "exited with a block that does not exist", "burning the balance")
"""Fatal errors that a guest can cause: verify a proof without a verifier, exit with an unknown block, delete itself
with too little gas to burn its balance."""


def run_machine(data: bytes) -> bool:
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
    if result.exit_code == 10:  # what the network answers with the end of the message, too
        assert result.gas_used == limit
        assert any(words in result.message for words in FATAL), result.message


@cache
def _machine(boundary: str = "raw") -> tuple[Hypervisor, Snapshot]:
    machine = Hypervisor.open(options={"boundary": boundary})
    install_actor(machine, guest(), balance=10**18)
    return machine, machine.snapshot()


def machine_seeds() -> Iterator[bytes]:
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
    for gas, instructions in enumerate(programs):
        yield bytes((gas % len(GAS),)) + write(instructions)


def mutate_machine(data: bytes, rng: Random) -> bytes:
    """Return other instructions and arguments."""
    gas = data[:1] if data and rng.random() < 0.7 else bytes((rng.randrange(len(GAS)),))
    return gas + write(changed(read(data[1:]), rng))


MACHINE_TARGET = Target(
    run_machine,
    machine_seeds,
    mutate_machine,
    share=20,
    longest=3000,
    memory=MACHINE,
)


SENDER = to_filecoin(EthAddress(bytes(range(1, 21))))
BYTECODE_GAS = (3_000_000, 30_000_000, 200_000_000)


def run_bytecode(data: bytes) -> bool:
    """Run an input: [gas, length of the calldata, calldata, code]."""
    if len(data) < 2:
        return False
    limit, length = BYTECODE_GAS[data[0] % len(BYTECODE_GAS)], data[1]
    calldata, code = data[2 : 2 + length], data[2 + length :]
    machine, start = _evm_machine()
    _put(machine, code)
    placed = machine.root
    message = Message(
        Address.id(CONTRACT),
        SENDER,
        method=INVOKE_EVM,
        params=invoke_params(calldata),
        gas_limit=Gas(limit),
        value=TokenAmount(data[0] // 128),
    )
    result = machine.apply_implicit(message)
    assert result.fatal is None, result.fatal
    assert 0 <= result.gas_used <= limit
    assert result.exit_code == 0 or machine.root == placed, f"exit {result.exit_code} has changed the state"
    assert len(result.return_data) <= 1 << 20
    machine.restore(start)
    return len(code) > 0 and result.gas_used > 0


@cache
def _evm_machine() -> tuple[Hypervisor, Snapshot]:
    machine = Hypervisor.open(genesis=Genesis(accounts={SENDER: TokenAmount(10**24)}))
    return machine, machine.snapshot()


def _put(machine: Hypervisor, code: bytes) -> None:
    """Install a contract with this code without its constructor."""
    from store.keccak import keccak

    cid = cid_of(code, RAW)
    machine.store.put(cid, code)
    state = EvmState(cid, bytes(keccak(code)), Kamt(machine.store).flush(), None, 1, None).encode()
    machine.store.put(cid_of(state), state)
    actor = ActorState(machine.manifest.code("evm"), cid_of(state), balance=TokenAmount(10**18))
    machine.state_tree.set_actor(CONTRACT, actor)


def _input(rng: Random, code: bytes) -> bytes:
    calldata = rng.randbytes(rng.choice((0, 0, 4, 36, 100)))
    return bytes((rng.randrange(256), len(calldata))) + calldata + code


def bytecode_seeds() -> Iterator[bytes]:
    rng = Random(5)
    for opcode in OPCODES:
        yield _input(rng, b"".join(push(rng) for _ in range(7)) + bytes((opcode,)))
    forever = bytes.fromhex("5b600056")
    calls_itself = bytes.fromhex("5f5f5f5f5f305af1")
    destroys = bytes.fromhex("30ff")
    large = bytes.fromhex("6160015ff3")
    for code in (forever, calls_itself, destroys, large):
        yield b"\2\0" + code


def mutate_bytecode(data: bytes, rng: Random) -> bytes:
    """Return a new program, or a known one with some bytes changed."""
    if rng.random() < 0.6 or len(data) < 3:
        return _input(rng, program(rng))
    length = data[1]
    return data[: 2 + length] + trees.scrambled(data[2 + length :], rng)


BYTECODE_TARGET = Target(
    run_bytecode,
    bytecode_seeds,
    mutate_bytecode,
    share=20,
    longest=2000,
    memory=MACHINE,
)


LARGEST = 110_000
MODULE_GAS = 20_000_000
RUNS = 100
"""Number of modules that a machine runs before it is replaced, since it caches compiled modules."""


def install_and_call(data: bytes) -> bool:
    engine = guest_engine()
    try:
        module = parse_module(data)
        facts = validate_module(module)
        engine.validate(data)
        instrumented = instrument(module)
    except InvalidModule:
        return False
    engine.validate(instrumented)
    if facts.has_entry and len(data) < 5000 and blake2b(data).digest()[0] % 8 == 0:
        _execute(data)
    return True


def _execute(data: bytes) -> None:
    _counted[0] += 1
    if _counted[0] % RUNS == 0:
        _compiling_machine.cache_clear()
    machine = _compiling_machine()
    start = machine.snapshot()
    result = run_on(machine, data, gas_limit=MODULE_GAS)
    assert result.fatal is None, result.fatal
    assert 0 <= result.gas_used <= MODULE_GAS
    machine.restore(start)
    assert machine.root == start.root


_counted = [0]


@cache
def _compiling_machine() -> Hypervisor:
    return Hypervisor.open()


@cache
def _real() -> list[bytes]:
    """Return modules of our bundle and, if available, of an official one."""
    files = [Path(builtin_actors.__file__).parent / "bundle.car"]
    folder = fvm_data()
    if folder is not None:
        files.append(folder / "bundles" / "v18-devnet.car")
    modules = []
    for path in files:
        with path.open("rb") as file:
            modules += [block for _, block in read_car(file) if block.startswith(b"\0asm") and len(block) < LARGEST]
    return modules


def module_seeds() -> Iterator[bytes]:
    yield guest_module("(i32.const 0)")
    yield guest_module("(loop (br 0)) unreachable", pages="17 100")
    yield guest_module("(call $exit (i32.const 16) (i32.const 0) (i32.const 0) (i32.const 0))", "vm.exit")
    yield guest_module("(call_indirect (result i32) (i32.const 0))", fields="(table 2 funcref) (elem (i32.const 0) 0)")
    yield from (generated(Random(seed)) for seed in range(12))
    yield from _real()


def mutate_module(data: bytes, rng: Random) -> bytes:
    """Return a new module; one in five is a known one with a few bytes changed."""
    if rng.random() < 0.8:
        return generated(rng)
    return trees.scrambled(data, rng)


MODULE_TARGET = Target(
    install_and_call,
    module_seeds,
    mutate_module,
    share=10,
    longest=LARGEST,
    memory=MACHINE,
)

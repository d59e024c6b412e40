"""EVM bytecode: any program and input end with an exit code within their gas; failures leave the state unchanged."""

from collections.abc import Iterator
from functools import cache
from random import Random

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.parameters import INVOKE_EVM, invoke_params
from hypervisor.bundles.genesis import Genesis
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import Gas, TokenAmount
from store.cid import RAW, cid_of
from store.trees.kamt import Kamt
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target
from tests.fuzz.targets.machine import forgetful
from tests.fuzz.trees import CONTRACT, OPCODES, program, push

SENDER = to_filecoin(EthAddress(bytes(range(1, 21))))
GAS = (3_000_000, 30_000_000, 200_000_000)


def run(data: bytes) -> bool:
    """Run an input: [gas, length of the calldata, calldata, code]."""
    if len(data) < 2:
        return False
    limit, length = GAS[data[0] % len(GAS)], data[1]
    calldata, code = data[2 : 2 + length], data[2 + length :]
    machine, start = _machine()
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
def _machine() -> tuple[Hypervisor, Snapshot]:
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


def seeds() -> Iterator[bytes]:
    rng = Random(5)
    for opcode in OPCODES:
        yield _input(rng, b"".join(push(rng) for _ in range(7)) + bytes((opcode,)))
    forever = bytes.fromhex("5b600056")
    calls_itself = bytes.fromhex("5f5f5f5f5f305af1")
    destroys = bytes.fromhex("30ff")
    large = bytes.fromhex("6160015ff3")
    for code in (forever, calls_itself, destroys, large):
        yield b"\2\0" + code


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a new program, or a known one with some bytes changed."""
    if rng.random() < 0.6 or len(data) < 3:
        return _input(rng, program(rng))
    length = data[1]
    return data[: 2 + length] + trees.scrambled(data[2 + length :], rng)


TARGET = Target(
    run, seeds, mutate, share=20, longest=2000, memory=MACHINE, plants={"a failure is not taken back": forgetful}
)

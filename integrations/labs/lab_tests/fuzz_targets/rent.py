"""Messages to the rent actor (lab `rent`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from random import Random

from eth_abi.abi import encode as encode_abi

from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ARCHIVED_CODE, archived_actor
from hypervisor.types import BURNT_FUNDS_ACTOR, ActorID, ChainEpoch, MethodNumber, TokenAmount
from hypervisor_labs.rent import (
    LOOK,
    METHODS,
    OPT_OUT,
    PAY,
    RENT,
    RESURRECT,
    RentState,
    collect,
    proof_of,
)
from lab_tests.random_programs import LabNetwork
from lab_tests.rent import GRACE, KEEP, car, world
from store.car.files import CarError, read_car
from store.codec import CodecError, decode, encode
from store.links import blocks_below
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target

VALUE = 10**12
_ABI = 0xFF
"""First byte of an input that is calldata."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Two archived tenants, one of each runtime, with their proofs, and two paying tenants."""

    world: LabNetwork
    start: Snapshot
    epoch: int
    proofs: tuple[tuple[ActorID, bytes], ...]

    @property
    def machine(self) -> Hypervisor:
        return self.world.machine


@cache
def _stage() -> Stage:
    here = world()
    machine = here.machine
    machine.restore(here.start)
    for native in here.natives:
        for chunk in (b"one", b"two"):
            keep = Message(Address.id(native), Address.id(here.account), method=KEEP, params=encode([chunk]))
            assert machine.apply_implicit(keep).exit_code == 0
    for epoch in range(here.epoch, here.epoch + 1 + GRACE):
        machine.advance(epoch=ChainEpoch(epoch), base_fee=TokenAmount(100))
        if epoch == here.epoch:
            for place, actor in enumerate(here.actors):
                message = Message(
                    Address.id(RENT), Address.id(actor), value=TokenAmount(place % 2 * VALUE), method=PAY,
                    params=encode([b""]),
                )  # fmt: skip
                assert machine.apply_implicit(message).exit_code == 0
        collect(machine)
    proofs = []
    for actor in here.actors:
        gone = archived_actor(machine.store, machine.state_tree.existing(actor))
        if gone is not None:
            proofs.append((actor, proof_of(machine.store, gone.root)))
    assert len(proofs) == 2
    return Stage(here, machine.snapshot(), epoch, tuple(proofs))


def run_rent(data: bytes) -> bool:
    stage = _stage()
    here, machine = stage.world, stage.machine
    machine.restore(stage.start)
    machine.advance(epoch=ChainEpoch(stage.epoch), base_fee=TokenAmount(100))
    if not data:
        return False
    method, params = (INVOKE_EVM, invoke_params(data[1:])) if data[:1] == b"\xff" else (int(data[0]), data[1:])
    if method in (0, 6):  # a bare send; what is the system's is refused, as a test of the lab has it
        return False
    money, root = _money(machine, here), machine.state_tree.current_root()
    message = Message(
        Address.id(RENT), Address.id(here.account), value=TokenAmount(_value(data)), method=MethodNumber(method),
        params=params,
    )  # fmt: skip
    result = machine.apply_implicit(message)
    assert result.fatal is None, result.fatal
    assert result.exit_code in (0, 16, 17, 18, 19, 20, 21, 22, 26), result
    assert _money(machine, here) == money
    if result.exit_code:
        assert machine.state_tree.current_root() == root
        return result.exit_code not in (21, 22)
    for actor, proof in stage.proofs:
        state = machine.state_tree.existing(actor)
        if state.code != ARCHIVED_CODE:
            assert proof_of(machine.store, state.head) == proof
            assert proof in bytes(data) or data[0] == _ABI
    for later in range(stage.epoch + 1, stage.epoch + 9):
        machine.advance(epoch=ChainEpoch(later))
        collect(machine)
    assert _money(machine, here) == money
    return True


def _value(data: bytes) -> int:
    """Return the value of a message: mostly zero for the read-only method."""
    looks = data[0] == LOOK or data[1:5] == METHODS[LOOK].selector
    return 0 if looks and len(data) % 8 else VALUE


def _money(machine: Hypervisor, here: LabNetwork) -> int:
    """Return attoFIL of all participants; the rent actor holds exactly the deposits."""
    rent = machine.state_tree.existing(RENT)
    deposits = sum(one.deposit for one in RentState(machine.store, rent.head).tenancies().values())
    assert rent.balance == deposits
    actors = (*here.actors, here.account, BURNT_FUNDS_ACTOR, RENT)
    return sum(int(machine.balance(Address.id(actor))) for actor in actors)


def rent_seeds() -> Iterator[bytes]:
    stage = _stage()
    for actor, proof in stage.proofs:
        address = Address.id(actor).to_bytes()
        yield bytes([RESURRECT]) + encode([address, proof])
        yield bytes([_ABI]) + METHODS[RESURRECT].selector + encode_abi(("bytes", "bytes"), (address, proof))
        yield bytes([RESURRECT]) + encode([address, b""])
    for actor in stage.world.actors:
        address = Address.id(actor).to_bytes()
        for method in (PAY, LOOK):
            yield bytes([method]) + encode([address])
            yield bytes([_ABI]) + METHODS[method].selector + encode_abi(("bytes",), (address,))
    yield bytes([OPT_OUT])
    yield bytes([_ABI]) + METHODS[OPT_OUT].selector


@cache
def _formed() -> list[bytes]:
    return [*rent_seeds()]


def mutate_rent(data: bytes, rng: Random) -> bytes:
    if not data or rng.random() < 0.5:
        data = rng.choice(_formed())
    if data[:1] == bytes([_ABI]):
        return data[:1] + trees.scrambled(data[1:], rng)
    try:
        fields = decode(data[1:])
        if data[0] == RESURRECT and rng.random() < 0.7 and isinstance(fields, list) and len(fields) == 2:
            return data[:1] + encode([fields[0], _other_proof(fields[1], rng)])
        return data[:1] + encode(trees.mutated(fields, rng))
    except (CodecError, CarError, ValueError, TypeError, OverflowError, IndexError):
        return rng.choice(_formed())


def _other_proof(proof: bytes, rng: Random) -> bytes:
    """Return a CAR with missing, duplicate or reordered blocks, of another actor, or truncated."""
    reader = read_car(BytesIO(proof))
    roots, blocks = list(reader.roots), list(reader)
    stage, kind = _stage(), rng.randrange(7)
    if kind == 0 and blocks:
        del blocks[rng.randrange(len(blocks)) :]
    elif kind == 1 and blocks:
        blocks.insert(rng.randrange(len(blocks) + 1), rng.choice(blocks))
    elif kind == 2:
        rng.shuffle(blocks)
    elif kind == 3:
        others = list(read_car(BytesIO(rng.choice(stage.proofs)[1])))
        blocks.insert(rng.randrange(len(blocks) + 1), rng.choice(others))
    elif kind == 4:
        return rng.choice(stage.proofs)[1]
    elif kind == 5:
        return trees.scrambled(proof, rng)
    else:
        root = next(iter(blocks_below(stage.machine.store, [stage.machine.state_tree.existing(RENT).head])))
        roots = [rng.choice([root[0], *roots])]
    return car(roots[0], blocks)


RENT_TARGET = Target(run_rent, rent_seeds, mutate_rent, share=3, longest=16_384, memory=MACHINE)

"""Messages to ApplyAndCall (lab `accounts`)."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from random import Random

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.messages import APPLY_AND_CALL, ApplyAndCallParams
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.message import Message
from hypervisor.types import ActorID, Gas, TokenAmount
from hypervisor_labs.accounts import VARIANTS
from localnet import Network
from localnet.accounts import accounts
from localnet.state.controls import code_of, set_code
from store.codec import CodecError, decode, encode
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target
from tests.runtimes.evm.assembler import assemble

KEYS = accounts(count=3)
APPLY_AND_CALL_CODE = EthAddress(bytes([0xA0] * 20))
LOOP = EthAddress(bytes([0xA1] * 20))
PRECOMPILE, NATIVE, NOBODY = EthAddress(bytes(19) + b"\4"), masked_id(ActorID(7)), EthAddress(bytes(20))
NAMES = tuple(VARIANTS)
GAS = Gas(300_000_000)
DELEGATES = (APPLY_AND_CALL_CODE, LOOP, PRECOMPILE, NATIVE, NOBODY, *(key.address for key in KEYS))


@cache
def _stage(variant: str) -> tuple[Hypervisor, Snapshot]:
    machine = Network(rules=f"lab:accounts={variant}").machine
    set_code(machine, APPLY_AND_CALL_CODE, assemble("CALLER 1 SSTORE CALLVALUE 2 SSTORE"))
    calls = " ".join(f"0 0 0 0 1 0x{key.address.hex()} GAS CALL POP" for key in KEYS)
    set_code(machine, LOOP, assemble(calls))
    return machine, machine.snapshot()


def run_apply_and_call(data: bytes) -> bool:
    machine, start = _stage(NAMES[data[0] % len(NAMES)] if data else NAMES[0])
    machine.restore(start)
    actors = [*(key.delegated for key in KEYS), *map(to_filecoin, (APPLY_AND_CALL_CODE, LOOP, PRECOMPILE))]
    params, money = data[1:], sum(int(machine.balance(actor)) for actor in actors)
    try:
        read = ApplyAndCallParams.decode(params)
        actors += [to_filecoin(read.to)] if to_filecoin(read.to) not in actors else []
        money = sum(int(machine.balance(actor)) for actor in actors)
        assert ApplyAndCallParams.decode(read.encode()) == read
        value = read.value if read.value < 10**22 else 0
    except ParamsError:
        value = 0
    alice, codes = (
        KEYS[0].delegated,
        [code_of(machine, to_filecoin(contract)) for contract in (APPLY_AND_CALL_CODE, LOOP)],
    )
    message = Message(alice, alice, value=TokenAmount(value), method=APPLY_AND_CALL, params=params, gas_limit=GAS)
    result = machine.apply_implicit(message)
    assert result.fatal is None, result.fatal
    assert result.exit_code in (0, 6, 7, 16, 21), result
    assert [code_of(machine, to_filecoin(contract)) for contract in (APPLY_AND_CALL_CODE, LOOP)] == codes
    assert sum(int(machine.balance(actor)) for actor in actors) == money
    for key in KEYS:
        actor = machine.actor(key.delegated)
        assert actor is not None
        assert machine.manifest.name_of(actor.code) in ("placeholder", "ethaccount")
    return result.exit_code not in (16, 21)


def apply_and_call_seeds() -> Iterator[bytes]:
    for variant in (b"\0", b"\1"):
        for delegate in (APPLY_AND_CALL_CODE, LOOP, PRECOMPILE, NATIVE, NOBODY, KEYS[0].address, KEYS[1].address):
            items = tuple(key.sign_authorization(delegate, 0, 0) for key in KEYS[1:])
            for to in (KEYS[1].address, LOOP):
                yield variant + ApplyAndCallParams(items, to, 5, b"\1").encode()
        chain = tuple(key.sign_authorization(KEYS[at - 1].address, int(at == 0), 0) for at, key in enumerate(KEYS))
        yield variant + ApplyAndCallParams(chain, KEYS[0].address, 0, b"").encode()
        yield variant + ApplyAndCallParams(chain * 30, KEYS[0].address, 0, b"").encode()
    for delegate in DELEGATES:
        for to in (KEYS[1].address, LOOP):
            items = (KEYS[0].sign_authorization(delegate, 0, 0),)
            yield b"\2" + ApplyAndCallParams(items, to, 5, b"\1").encode()
    yield from (b"", b"\0", b"\1\x80", b"\2\x80")


def mutate_apply_and_call(data: bytes, rng: Random) -> bytes:
    try:
        read = ApplyAndCallParams.decode(data[1:])
        if rng.random() < 0.3:
            return data[:1] + encode(trees.mutated(decode(data[1:]), rng))
        items, place = list(read.authorizations), rng.randrange(len(read.authorizations) + 1)
        signed = rng.choice(KEYS).sign_authorization(rng.choice(DELEGATES), rng.randrange(3), rng.choice((0, 0, 314)))
        items[place : place + rng.randrange(2)] = [signed] if rng.random() < 0.8 else items[place : place + 1] * 2
        to = rng.choice((read.to, *DELEGATES))
        return rng.choice((b"\0", b"\1", b"\1", b"\2")) + replace(read, authorizations=tuple(items), to=to).encode()
    except (CodecError, ValueError, TypeError, OverflowError):
        return rng.choice([*apply_and_call_seeds()])


APPLY_AND_CALL_TARGET = Target(
    run_apply_and_call,
    apply_and_call_seeds,
    mutate_apply_and_call,
    share=3,
    longest=16_384,
    memory=MACHINE,
)

"""Messages to ApplyAndCall (lab `accounts`): refused with an exit code, or authorizations are applied and a call made.

The first byte selects the variant. The sum of all balances never changes, non-accounts are unchanged, and decoded
parameters re-encode to the same meaning.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.messages import APPLY_AND_CALL, ApplyAndCallParams
from fvm_hypervisor.laboratory.profiles.accounts import VARIANTS, AccountCalls
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.message import Message
from hypervisor.types import ActorID, Gas, TokenAmount
from localnet import Network
from localnet.accounts import accounts
from localnet.state.contract_state import code_of
from localnet.state.controls import set_code
from store.codec import CodecError, decode, encode
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target
from tests.planting import replace_attribute
from tests.runtimes.evm.assembler import assemble

KEYS = accounts(count=3)
CODE = EthAddress(bytes([0xA0] * 20))
LOOP = EthAddress(bytes([0xA1] * 20))
PRECOMPILE, NATIVE, NOBODY = EthAddress(bytes(19) + b"\4"), masked_id(ActorID(7)), EthAddress(bytes(20))
NAMES = tuple(VARIANTS)
GAS = Gas(300_000_000)
DELEGATES = (CODE, LOOP, PRECOMPILE, NATIVE, NOBODY, *(key.address for key in KEYS))


@cache
def _stage(variant: str) -> tuple[Hypervisor, Snapshot]:
    machine = Network(rules=f"lab:accounts={variant}").machine
    set_code(machine, CODE, assemble("CALLER 1 SSTORE CALLVALUE 2 SSTORE"))
    calls = " ".join(f"0 0 0 0 1 0x{key.address.hex()} GAS CALL POP" for key in KEYS)
    set_code(machine, LOOP, assemble(calls))
    return machine, machine.snapshot()


def run(data: bytes) -> bool:
    machine, start = _stage(NAMES[data[0] % len(NAMES)] if data else NAMES[0])
    machine.restore(start)
    actors = [*(key.delegated for key in KEYS), *map(to_filecoin, (CODE, LOOP, PRECOMPILE))]
    params, money = data[1:], sum(int(machine.balance(actor)) for actor in actors)
    try:
        read = ApplyAndCallParams.decode(params)
        actors += [to_filecoin(read.to)] if to_filecoin(read.to) not in actors else []
        money = sum(int(machine.balance(actor)) for actor in actors)
        assert ApplyAndCallParams.decode(read.encode()) == read
        value = read.value if read.value < 10**22 else 0
    except ParamsError:
        value = 0
    alice, codes = KEYS[0].delegated, [code_of(machine, to_filecoin(contract)) for contract in (CODE, LOOP)]
    message = Message(alice, alice, value=TokenAmount(value), method=APPLY_AND_CALL, params=params, gas_limit=GAS)
    result = machine.apply_implicit(message)
    assert result.fatal is None, result.fatal
    assert result.exit_code in (0, 6, 7, 16, 21), result
    assert [code_of(machine, to_filecoin(contract)) for contract in (CODE, LOOP)] == codes
    assert sum(int(machine.balance(actor)) for actor in actors) == money
    for key in KEYS:
        actor = machine.actor(key.delegated)
        assert actor is not None
        assert machine.manifest.name_of(actor.code) in ("placeholder", "ethaccount")
    return result.exit_code not in (16, 21)


def seeds() -> Iterator[bytes]:
    for variant in (b"\0", b"\1"):
        for delegate in (CODE, LOOP, PRECOMPILE, NATIVE, NOBODY, KEYS[0].address, KEYS[1].address):
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


def mutate(data: bytes, rng: Random) -> bytes:
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
        return rng.choice([*seeds()])


def _money_for_signing() -> None:
    """Credit an authority with an attoFIL per authorization."""
    authorize = AccountCalls._authorize

    def generous(self: Any, calls: Any, authority: EthAddress, item: Any) -> None:
        authorize(self, calls, authority, item)
        actor = calls.tree.lookup_id(to_filecoin(authority))
        state = None if actor is None else calls.tree.get_actor(actor)
        if state is not None:
            calls.tree.set_actor(actor, state.with_balance(state.balance + 1))

    replace_attribute(AccountCalls, "_authorize", generous)


TARGET = Target(
    run, seeds, mutate, share=3, longest=16_384, memory=MACHINE, plants={"money for signing": _money_for_signing}
)

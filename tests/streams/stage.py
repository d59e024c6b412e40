"""A machine of network version 29 whose reward actor is put into any state by hand, and messages to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from bridge.bindings import reward, storagepower
from hypervisor import Address, Genesis, Hypervisor, Message
from hypervisor.bundles.bundle import Bundle
from hypervisor.integers import decode_bigint, encode_bigint
from hypervisor.machine.executor import ApplyResult
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    POWER_ACTOR,
    REWARD_ACTOR,
    SYSTEM_ACTOR,
    ActorID,
    ChainEpoch,
    MethodNumber,
    TokenAmount,
)
from store.blockstore import put_object
from store.codec import decode, encode, link, unlink

FIRST: Final = 100
PEOPLE: Final = 200
"""Accounts, from f0100 on: the authority, two writers, recipients."""
AUTHORITY, ONE_WRITER, OTHER_WRITER, RECIPIENT = FIRST, FIRST + 1, FIRST + 2, FIRST + 3
OWNER: Final = FIRST + PEOPLE - 1
MINER: Final = FIRST + PEOPLE
NO_ACTOR: Final = 5_000
_REWARD: Final = Address.id(REWARD_ACTOR)
_BUNDLES: Final = {28: None, 29: "v19"}
_FUNDS: Final = TokenAmount(10**18)


def id_bytes(actor: int) -> bytes:
    return Address.id(ActorID(actor)).to_bytes()


@dataclass(frozen=True, slots=True)
class RewardState:
    """The parts of f02's state that the tests check: amounts in attoFIL, the block of streams decoded."""

    minted: int
    burnt: int
    explicit: int
    accrued: list[Any]
    streams: list[Any]

    @property
    def accrued_cbor(self) -> bytes:
        return encode(self.accrued)

    @property
    def streams_cbor(self) -> bytes:
        return encode(self.streams)


class Stage:
    """A fork of the one machine, at an epoch; `epoch` moves it."""

    def __init__(self, machine: Hypervisor) -> None:
        self.machine = machine

    # --- state ------------------------------------------------------------------------------------------------

    def put(
        self, streams: list[Any], accrued: list[Any], epoch_reward: int, *, timelock: int = 0, balance: int = 10**27
    ) -> None:
        """Give f02 a state with these streams, of a network that has minted nothing yet."""
        none, estimate = encode_bigint(0), [encode_bigint(1 << 128), encode_bigint(0)]
        root = put_object(self.machine.store, streams)
        head = put_object(
            self.machine.store,
            [
                none, none, 0, encode_bigint(1), encode_bigint(epoch_reward), estimate, encode_bigint(1), 0,
                none, none, none, timelock, id_bytes(AUTHORITY), accrued, link(root),
            ],
        )  # fmt: skip
        self._set(head=head, balance=TokenAmount(balance))

    def change(self, streams: list[Any], accrued: list[Any]) -> None:
        """Replace streams and accruals, as a defect of the actor would."""
        fields = self._fields()
        fields[13], fields[14] = accrued, link(put_object(self.machine.store, streams))
        self._set(head=put_object(self.machine.store, fields))

    def credit(self, amount: int) -> None:
        """Give f02 what the block's messages tipped."""
        self._set(balance=TokenAmount(self.balance(REWARD_ACTOR) + amount))

    def _set(self, **changes: Any) -> None:
        state = self.machine.state_tree.get_actor(REWARD_ACTOR)
        assert state is not None
        self.machine.state_tree.set_actor(REWARD_ACTOR, replace(state, **changes))

    def _fields(self) -> list[Any]:
        fields: list[Any] = decode(self.head())
        return fields

    def head(self) -> bytes:
        """The bytes of f02's state."""
        state = self.machine.state_tree.get_actor(REWARD_ACTOR)
        assert state is not None
        return self.machine.store.get(state.head)

    def state(self) -> RewardState:
        fields = self._fields()
        streams = decode(self.machine.store.get(unlink(fields[14])))
        minted, burnt, explicit = map(decode_bigint, fields[8:11])
        return RewardState(minted, burnt, explicit, fields[13], streams)

    def balance(self, actor: int) -> int:
        return self.machine.balance(Address.id(ActorID(actor)))

    def burnt(self) -> int:
        return self.balance(BURNT_FUNDS_ACTOR)

    @property
    def epoch(self) -> int:
        return self.machine.context.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.machine.advance(epoch=ChainEpoch(epoch))

    # --- messages ---------------------------------------------------------------------------------------------

    def send(self, sender: int, method: int, params: bytes) -> ApplyResult:
        """A message to f02 that pays no gas."""
        message = Message(_REWARD, Address.id(ActorID(sender)), method=MethodNumber(method), params=params)
        applied = self.machine.apply_implicit(message)
        if applied.fatal is not None:
            raise applied.fatal
        return applied

    def award(self, gas: int = 0) -> ApplyResult:
        """The reward of a block, whose tips f02 has got."""
        call = reward.award_block_reward(Address.id(ActorID(MINER)), 0, gas, 1)
        return self.send(SYSTEM_ACTOR, call.method, call.params)


@contextmanager
def stage(epoch: int = 100, network: int = 29) -> Iterator[Stage]:
    """A fresh one; of version 28 it has no streams."""
    with _machine(network).fork() as machine:
        found = Stage(machine)
        found.epoch = epoch
        yield found


@lru_cache(maxsize=2)
def _machine(network: int) -> Hypervisor:
    people = [Address.from_bytes(b"\x03" + bytes([place + 1]) * 48) for place in range(PEOPLE)]
    genesis = Genesis(accounts=dict.fromkeys(people, _FUNDS))
    machine = Hypervisor.open(genesis=genesis, bundle=Bundle.embedded(_BUNDLES[network]), network=network)
    owner = people[OWNER - FIRST]
    creation = storagepower.create_miner(owner, owner, 10, b"", [])
    power = Address.id(POWER_ACTOR)
    made = machine.apply_implicit(Message(power, owner, value=_FUNDS, method=creation.method, params=creation.params))
    assert (made.exit_code, machine.actor(Address.id(ActorID(MINER))) is None) == (0, False), made.message
    machine.flush()
    return machine

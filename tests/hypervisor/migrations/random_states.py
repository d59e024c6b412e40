"""Random states of built-in actors at network versions 18 to 28, in the layout of each version.

Layouts: the crates `fil_actor_*_state`. The states are decodable but not consistent: a claim may belong to no miner.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

from hypervisor.bundles.manifest import ACTOR_NAMES, Manifest
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState, InitState, StateTree
from hypervisor.types import ActorID, TokenAmount, encode_bigint
from hypervisor.versions.stream_settings import STREAM_SETTINGS
from store.blockstore import Blockstore, put_object
from store.cid import Cid, cid_of, parse_cid
from store.codec import link
from store.trees.amt import Amt
from store.trees.hamt import Hamt

EPOCHS: Final[Mapping[int, int]] = {
    19: 2_809_800, 21: 3_469_380, 22: 3_855_360, 23: 4_154_640, 24: 4_461_240, 25: 4_878_840, 27: 5_348_280,
    28: 6_052_800, 29: 6_470_279,
}  # fmt: skip
"""Upgrade epochs of the main network by network version."""
ACTORS: Final[Mapping[int, int]] = {19: 10, 21: 11, 22: 12, 23: 13, 24: 14, 25: 15, 27: 16, 28: 17, 29: 18}
"""Version of the actors before the upgrade, by network version."""
_DEADLINES: Final = 48
_RESERVE: Final = ActorID(90)
_SINGLETONS: Final = {
    "system": 0, "init": 1, "reward": 2, "cron": 3, "storagepower": 4, "storagemarket": 5, "verifiedregistry": 6,
    "datacap": 7, "eam": 10,
}  # fmt: skip


def random_state(store: Blockstore, version: int, manifest: Manifest, seed: int) -> Cid:
    """Return the root of a state before the upgrade to network version `version`."""
    return States(store, version, manifest, Random(f"{version} {seed}")).root()


def manifest_of(store: Blockstore, codes: Mapping[str, str]) -> Manifest:
    """Write the list of actors with these code CIDs by name, and return the manifest."""
    entries = [[name, link(parse_cid(codes[name]))] for name in ACTOR_NAMES]
    return Manifest.load(store, put_object(store, entries))


class States:
    """A state under construction."""

    def __init__(self, store: Blockstore, version: int, manifest: Manifest, random: Random) -> None:
        self.store, self.manifest, self.random = store, manifest, random
        self.actors, self.epoch = ACTORS[version], EPOCHS[version]
        self.tree = StateTree.empty(store)
        self.deals: dict[int, Address] = {}
        """Provider by deal."""

    def root(self) -> Cid:
        miners = [ActorID(1000 + number * 7) for number in range(self.random.randrange(1, 6))]
        addresses = Hamt(self.store)
        settings = STREAM_SETTINGS["mainnet"]
        contracts = [settings.authority, settings.writer, settings.recipient] if self.actors == 18 else []
        for number, address in enumerate(contracts):
            addresses.set(address.to_bytes(), 5000 + number)
            self.put(ActorID(5000 + number), "evm", self.contract(), address)
        init = InitState(addresses.flush(), 9000, "mainnet").fields()
        states: dict[str, Any] = {"system": [link(self.manifest.data)], "init": init, "reward": self.reward()}
        for miner in miners:
            self.put(miner, "storageminer", self.miner(miner))
        states |= {"storagepower": self.power(miners), "storagemarket": self.market()}
        for name, number in _SINGLETONS.items():
            self.put(ActorID(number), name, states.get(name, []))
        reserve = self.random.choice(["multisig", "account"])
        self.put(_RESERVE, reserve, [b"\0\x5a"] if reserve == "account" else [[], 1, 0, b"", 0, 0, self.link()])
        for number in range(self.random.randrange(40)):
            self.put(ActorID(2000 + number), self.random.choice(["account", "evm", "ethaccount", "placeholder"]), None)
        return self.tree.flush()

    def put(self, actor: ActorID, name: str, state: Any, delegated: Address | None = None) -> None:
        if state is None:
            state = self.contract() if name == "evm" else [] if name != "account" else [Address.id(actor).to_bytes()]
        balance = TokenAmount(self.random.choice([0, 1, self.random.randrange(10**24)]))
        head = put_object(self.store, state)
        nonce = self.random.randrange(5)
        self.tree.set_actor(actor, ActorState(self.manifest.code(name), head, nonce, balance, delegated))

    # --- states of actors -------------------------------------------------------------------------------------

    def miner(self, actor: ActorID) -> list[Any]:
        infos = {number: self.sector(actor, number) for number in self.numbers(30)}
        deadlines = [self.deadline(infos) for _ in range(3)]
        due = [link(self.random.choice(deadlines)) for _ in range(_DEADLINES)]
        funds = [[self.some_epoch(), self.amount()] for _ in range(self.random.randrange(4))]
        vesting: Any = link(put_object(self.store, [funds]))
        if self.actors >= 16:
            vesting = [funds[0], link(put_object(self.store, funds[1:]))] if funds else None
        sectors = self.array(infos, 5)
        return [
            link(put_object(self.store, self.info())), self.amount(), self.amount(), vesting, self.amount(),
            self.amount(), self.link(), self.link(), self.link(), link(sectors), self.some_epoch(),
            self.random.randrange(_DEADLINES), link(put_object(self.store, [due])), b"", self.random.random() < 0.5,
        ]  # fmt: skip

    def info(self) -> list[Any]:
        choice = self.random.choice
        change = choice([None, [self.id(), self.some_epoch()]])
        term = choice([None, [self.id(), self.amount(), self.some_epoch(), True, False]])
        return [
            self.id(), self.id(), [self.id()] * self.random.randrange(3), change, b"peer", [b"multi", b""],
            self.proof(), 34_359_738_368, 2349, self.some_epoch(), choice([None, self.id()]), self.id(),
            [self.amount(), self.amount(), self.some_epoch()], term,
        ]  # fmt: skip

    def proof(self) -> int:
        return self.random.randrange(5, 15) if self.actors == 10 else self.random.randrange(10, 15)

    def sector(self, actor: ActorID, number: int) -> list[Any]:
        activation = self.random.randrange(self.epoch)
        deals = self.numbers(3) if self.random.random() < 0.5 else []
        deals = [deal for deal in deals if deal not in self.deals]
        self.deals |= dict.fromkeys(deals, Address.id(actor))
        age, simple = self.random.randrange(activation + 1), self.random.random() < 0.5
        flags: Any = simple if self.actors <= 11 else int(simple)
        fee = [self.amount()] if self.actors >= 16 else []
        return [
            number, self.random.choice([5, 8, 13]), self.link(), deals, activation, self.some_epoch(), self.amount(),
            self.amount(), self.amount(), self.amount(), self.amount(), age, self.amount(),
            self.random.choice([None, self.link()]), flags, *fee,
        ]  # fmt: skip

    def deadline(self, infos: Mapping[int, list[Any]]) -> Cid:
        partitions = {number: self.partition() for number in range(self.random.randrange(3))}
        snapshot = {number: info for number, info in infos.items() if self.random.random() < 0.5}
        power = [[self.amount(), self.amount()], self.amount()] if self.actors >= 16 else []
        fields = [
            link(self.array(partitions, 3)), self.link(), b"", b"", 5, 9, [self.amount(), self.amount()], self.link(),
            link(self.array(snapshot, 5)), self.link(), self.link(), *power,
        ]  # fmt: skip
        return put_object(self.store, fields)

    def partition(self) -> list[Any]:
        power = [[self.amount(), self.amount()] for _ in range(4)]
        fees = [b""] if self.actors >= 16 else []
        return [b"", b"", b"", b"", b"", self.link(), self.link(), *power, *fees]

    def power(self, miners: list[ActorID]) -> list[Any]:
        claims = Hamt(self.store)
        for miner in [*miners, *(ActorID(3000 + number) for number in range(self.random.randrange(40)))]:
            claims.set(Address.id(miner).to_bytes(), [self.proof(), self.amount(), self.amount()])
        ramp = [self.some_epoch(), 1_051_200] if self.actors >= 15 else []
        totals = [self.amount() for _ in range(8)]
        smoothed, queue = [self.amount(), self.amount()], [self.link(), self.some_epoch()]
        return [*totals, smoothed, 3, 2, *ramp, *queue, link(claims.flush()), self.random.choice([None, self.link()])]

    def market(self) -> list[Any]:
        proposals, states = {}, {}
        for deal in sorted({*self.deals, *self.numbers(9)}):
            proposals[deal] = self.proposal(self.deals.get(deal, Address.id(ActorID(1000))))
            if self.random.random() < 0.8:
                state = [self.random.choice([-1, 5]), 7, self.random.choice([-1, -1, 9])]
                states[deal] = [*state, self.random.randrange(9)] if self.actors <= 12 else [4, *state]
        fields = [
            link(self.array(proposals, 5)), link(self.array(states, 6)), self.link(), self.link(), self.link(), 99,
            self.link(), self.some_epoch(), self.amount(), self.amount(), self.amount(), self.link(),
        ]  # fmt: skip
        return fields if self.actors <= 12 else [*fields, self.link()]

    def proposal(self, provider: Address) -> list[Any]:
        label = self.random.choice(["label", b"label", ""])
        epochs = [self.some_epoch(), self.some_epoch()]
        amounts = [self.amount() for _ in range(3)]
        return [self.link(), 2048, self.random.random() < 0.5, self.id(), provider.to_bytes(), label, *epochs, *amounts]

    def contract(self) -> list[Any]:
        transient = [None] if self.actors >= 16 else []
        code_hash, tombstone = self.random.randbytes(32), self.random.choice([None, [1001, 3]])
        return [self.link(), code_hash, self.link(), *transient, self.random.randrange(9), tombstone]

    def reward(self) -> list[Any]:
        amounts = [self.amount() for _ in range(2)]
        smoothed = [self.amount(), self.amount()]
        totals = [self.amount() for _ in range(3)]
        return [*amounts, self.some_epoch(), self.amount(), self.amount(), smoothed, self.amount(), 7, *totals]

    # --- values -----------------------------------------------------------------------------------------------

    def array(self, values: Mapping[int, Any], bit_width: int) -> Cid:
        array = Amt(self.store, None, bit_width)
        for index, value in values.items():
            array.set(index, value)
        return array.flush()

    def numbers(self, most: int) -> list[int]:
        """Return up to `most` numbers, small and large."""
        limit = self.random.choice([40, 1 << 40])
        return sorted({self.random.randrange(limit) for _ in range(self.random.randrange(most))})

    def some_epoch(self) -> int:
        """Return an epoch near the upgrade's: before it, equal to it or after it."""
        return self.epoch + self.random.choice([-1, 0, 1, self.random.randrange(-9000, 9000)])

    def amount(self) -> bytes:
        return encode_bigint(self.random.choice([0, 1, self.random.randrange(1 << 90)]))

    def id(self) -> bytes:
        return Address.id(ActorID(self.random.choice([100, 1000, 1 << 40]))).to_bytes()

    def link(self) -> Any:
        """Return a link to a block that is not in the store."""
        return link(cid_of(self.random.randbytes(9)))


def official_codes(file: Path) -> dict[int, dict[str, str]]:
    """Return the code CIDs of the main network's actors by version, from forest's `build/manifest.json`."""
    found = {}
    for entry in json.loads(file.read_text(encoding="utf-8")):
        if entry["network"]["type"] == "mainnet":
            number = int(entry["version"].lstrip("v").split(".")[0])
            found[number] = {name: code for name, _, code in entry["manifest"]["actors"]}
    return found

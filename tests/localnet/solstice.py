"""A network of version 28 with all that FIP-0118 changes, and calls of its actors before and after the upgrade."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bridge.actors.binding import Call
from bridge.bindings import datacap, reward, storagemarket, storageminer, storagepower, verifiedregistry
from hypervisor import Address, Message
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.signatures import sign_secp256k1
from hypervisor.types import (
    ATTO_PER_FIL,
    DATACAP_ACTOR,
    MARKET_ACTOR,
    POWER_ACTOR,
    REWARD_ACTOR,
    VERIFIED_REGISTRY_ACTOR,
    ActorID,
    ChainEpoch,
    MethodNumber,
    TokenAmount,
)
from localnet import Network
from localnet.accounts import Account
from localnet.miners.onboarding import allocate, unsealed_cid
from localnet.miners.policy import DATACAP_PER_BYTE, PROVING_PERIOD
from store.blockstore import get_object
from store.codec import unlink
from store.trees.bitfield import encode_members
from store.trees.hamt import Hamt
from tests.localnet.conftest import ARTIFACTS

REWARD, POWER, MARKET = Address.id(REWARD_ACTOR), Address.id(POWER_ACTOR), Address.id(MARKET_ACTOR)
REGISTRY, DATACAP = Address.id(VERIFIED_REGISTRY_ACTOR), Address.id(DATACAP_ACTOR)
SIZE = 2048
DEAL_START, DEAL_EPOCHS = 50_000, 180 * PROVING_PERIOD
PRICE, COLLATERAL = 1000, ATTO_PER_FIL // 2

Answer = tuple[int, bytes]
"""Exit code and return value."""


@dataclass(frozen=True)
class Question:
    """A method of an actor, called by an account; `name` is that of the documentation."""

    name: str
    to: Address
    method: int
    params: bytes
    sender: Address

    @classmethod
    def of(cls, name: str, to: Address, call: Call[Any], sender: Address) -> "Question":
        return cls(name, to, call.method, call.params, sender)


class Life:
    """Two miners with live sectors, one of them the producer; a verified client, a verified deal, open allocations."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.client, self.stranger = network.accounts[2], network.accounts[5]
        self.counter = network.deploy(ARTIFACTS / "Counter.json")
        self.miner = network.create_miner(network.accounts[1], sectors=2)
        self.claimer = network.create_miner(network.accounts[3], sectors=1, claims=True)
        network.set_producer(self.miner.address)
        self.allocation = allocate(network, self.client, self.miner.id, [1024])[0].allocation
        self.deal = self._publish()
        self.counter.send("increment")
        network.mine(3)

    @property
    def client_id(self) -> ActorID:
        found = self.network.machine.state_tree.lookup_id(self.client.native)
        assert found is not None
        return found

    def _publish(self) -> int:
        """Publish a verified deal: the market takes its client's DataCap for an allocation until the deal starts."""
        network, provider = self.network, self.miner.owner
        network.grant_datacap(self.client.native, 8192)
        for party, payer in ((self.client.native, self.client), (self.miner.address, provider)):
            network.invoke(MARKET, storagemarket.add_balance(party), value=2 * ATTO_PER_FIL, sender=payer)
        publish = storagemarket.publish_storage_deals([self.proposal(b"a file")])
        return network.invoke(MARKET, publish, sender=provider).ids[0]

    def proposal(self, content: bytes) -> storagemarket.ClientDealProposal:
        """Return the proposal signed by the client."""
        wanted = storagemarket.DealProposal(
            unsealed_cid(content), SIZE, True, self.client.native, self.miner.address, "a file", ChainEpoch(DEAL_START),
            ChainEpoch(DEAL_START + DEAL_EPOCHS), TokenAmount(PRICE), TokenAmount(COLLATERAL), TokenAmount(0),
        )  # fmt: skip
        return storagemarket.ClientDealProposal(wanted, _signed(self.client, wanted.encode()))

    def questions(self) -> Iterator[Question]:
        """Return all public methods, and the calls that FIP-0118 removes."""
        me, client, owner = self.stranger.native, self.client.native, self.miner.owner.native
        miner, deal = self.miner.address, self.deal
        yield Question.of("reward.ThisEpochReward", REWARD, reward.this_epoch_reward(), me)
        yield Question.of("reward.Claim", REWARD, reward.claim(2, [me]), me)
        yield Question.of("storagepower.CurrentTotalPower", POWER, storagepower.current_total_power(), me)
        yield Question.of("storagepower.MinerPower", POWER, storagepower.miner_power(self.miner.id), me)
        yield Question.of("storagepower.MinerPower of claims", POWER, storagepower.miner_power(self.claimer.id), me)
        yield Question.of("storagepower.MinerCount", POWER, storagepower.miner_count(), me)
        yield Question.of("storageminer.InitialPledge", miner, storageminer.initial_pledge(), me)
        yield Question.of("storageminer.GetAvailableBalance", miner, storageminer.get_available_balance(), me)
        yield Question.of("storageminer.GetVestingFunds", miner, storageminer.get_vesting_funds(), me)
        yield Question.of("storageminer.GetOwner", miner, storageminer.get_owner(), me)
        yield Question.of("storageminer.GenerateSectorLocation", miner, storageminer.generate_sector_location(0), me)
        yield Question.of(
            "storageminer.GetNominalSectorExpiration", miner, storageminer.get_nominal_sector_expiration(0), me
        )
        yield Question.of("storageminer.UpgradeSectorQuality", miner, self._quality(), owner)
        yield Question.of("storagemarket.GetBalance", MARKET, storagemarket.get_balance(client), me)
        yield Question.of("storagemarket.GetDealTerm", MARKET, storagemarket.get_deal_term(deal), me)
        yield Question.of("storagemarket.GetDealVerified", MARKET, storagemarket.get_deal_verified(deal), me)
        yield Question.of("storagemarket.GetDealTotalPrice", MARKET, storagemarket.get_deal_total_price(deal), me)
        yield Question.of(
            "storagemarket.VerifyDealsForActivation", MARKET, storagemarket.verify_deals_for_activation([]), miner
        )
        yield Question.of(
            "storagemarket.BatchActivateDeals", MARKET, storagemarket.batch_activate_deals([], False), miner
        )
        claims = verifiedregistry.get_claims(self.claimer.id, [1])
        yield Question.of("verifiedregistry.GetClaims", REGISTRY, claims, me)
        expired = verifiedregistry.remove_expired_allocations(self.client_id, [])
        yield Question.of("verifiedregistry.RemoveExpiredAllocations", REGISTRY, expired, me)
        terms = verifiedregistry.extend_claim_terms([])
        yield Question.of("verifiedregistry.ExtendClaimTerms", REGISTRY, terms, client)
        yield Question.of("datacap.Name", DATACAP, datacap.name(), me)
        yield Question.of("datacap.TotalSupply", DATACAP, datacap.total_supply(), me)
        yield Question.of("datacap.Balance", DATACAP, datacap.balance(client), me)
        yield Question.of("datacap.Allowance", DATACAP, datacap.allowance(client, MARKET), me)
        burn = datacap.burn(256 * DATACAP_PER_BYTE)
        yield Question.of("datacap.Burn", DATACAP, burn, client)
        allowance = datacap.increase_allowance(me, 1)
        yield Question.of("datacap.IncreaseAllowance", DATACAP, allowance, client)

    def _quality(self) -> Call[None]:
        place = self.miner.sector(0)
        wanted = storageminer.SectorQualityUpgrade(place.deadline, place.partition, encode_members([0]), None)
        return storageminer.upgrade_sector_quality([wanted])


def _signed(account: Account, data: bytes) -> bytes:
    return b"\x01" + sign_secp256k1(account.private_key, data)


def answers(machine: Hypervisor, questions: list[Question]) -> dict[str, Answer]:
    """Return the results of the actors' methods without effect."""
    found = {}
    for asked in questions:
        message = Message(asked.to, asked.sender, method=MethodNumber(asked.method), params=asked.params)
        result = machine.call(message)
        assert result.fatal is None, result.fatal
        found[asked.name] = (int(result.exit_code), bytes(result.return_data))
    return found


def fields_of(machine: Hypervisor, actor: int) -> list[Any]:
    """Return the fields of an actor's state."""
    state = machine.state_tree.get_actor(ActorID(actor))
    assert state is not None
    fields: list[Any] = get_object(machine.store, state.head)
    return fields


def waiting_allocations(machine: Hypervisor) -> list[int]:
    """Return the allocations of deals that are not active yet, of a market at nv28."""
    tree = Hamt(machine.store, unlink(fields_of(machine, MARKET_ACTOR)[11]), 5)
    return [allocation for _, allocation in tree.items()]


def total(machine: Hypervisor) -> int:
    """Return the sum of all balances in attoFIL."""
    machine.state_tree.flush()
    return sum(state.balance for _, state in machine.state_tree.actors())

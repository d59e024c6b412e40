"""`Miner`: a storage miner of a local network, whose sectors are never sealed.

On this project's bundle, sectors are created with development-only methods of the miner actor. On an official bundle
they are created with the network's own messages (`localnet.miners.onboarding`), and proofs are accepted without
verification. In both cases sectors become faulty unless they are proven once a day (`prove`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.actors.binding import Call, R
from bridge.bindings import storageminer, storagepower
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import (
    ATTO_PER_FIL,
    POWER_ACTOR,
    ActorID,
    ChainEpoch,
    MethodNumber,
    TokenAmount,
    decode_bigint,
    whole_number,
)
from localnet.accounts import BLS_ACCOUNT, Account
from localnet.ledger.index import miners_entries
from localnet.miners import onboarding
from localnet.miners.onboarding import MinerNetwork, NewSector, Piece, allocate
from localnet.miners.policy import DEADLINE, MAX_SECTORS, PROVING_PERIOD, SECTORS_REMEDY
from store.blockstore import get_object
from store.codec import encode
from store.trees import bitfield

WINDOW_PROOF: Final = 10
SECTOR_SIZE: Final = 2048
"""Default sector size: 2 KiB, which all development networks have."""

WINDOW_PROOFS: Final = {SECTOR_SIZE: WINDOW_PROOF, 8 << 20: 11, 512 << 20: 12, 32 << 30: 13, 64 << 30: 14}
"""Mapping from sector sizes in bytes to the types of their window PoSt proofs (V1P1)."""
_V1P1_AFTER_V1: Final = 5
"""Difference between the numbers of a V1P1 proof and the V1 proof of the same size."""
_V1P1_SINCE: Final = 19

LIFETIME: Final = 540 * PROVING_PERIOD
"""Default lifetime of a sector in epochs."""

FUNDS: Final = TokenAmount(10**18)
"""attoFIL that a miner gets for its deposit and fees, in addition to its sectors' pledge."""

_PLEDGED_SIZE: Final = (32 << 30) // 10
"""Sector size in bytes per FIL of maximum pledge, at full quality: 1 FIL per 32 GiB and quality 10."""

_LOCKED: Final = 2
_PERIOD_START: Final = 10
"""Fields of a miner's state."""
_MAX_PARTITIONS: Final = 3
"""Maximum number of partitions in one proof."""

_MESSAGE_SECTORS: Final = 256
"""Maximum number of sectors in one message (builtin-actors miner, policy)."""


@dataclass(frozen=True, slots=True)
class SectorState:
    """State of a sector (`dead`, `active` or `faulty`) and its position; both indexes are -1 if it has none."""

    status: str
    deadline: int
    partition: int


class Miner:
    """A storage miner and its sectors. Power is in bytes, amounts in attoFIL, time in epochs.

    Calls rejected by the miner actor raise TransactionFailed; unknown sectors raise InvalidInput.

    >>> from localnet import Network
    >>> with Network() as network:
    ...     miner = network.create_miner(sectors=2)
    ...     miner.power()[0], miner.sector(miner.sectors[0]).status
    (4096, 'active')
    """

    def __init__(self, network: MinerNetwork, actor: ActorID, owner: Account, sector_size: int = SECTOR_SIZE) -> None:
        self.network, self.id, self.owner, self.sector_size = network, actor, owner, sector_size
        self.sectors: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"Miner(f0{self.id}, {len(self.sectors)} sectors)"

    @property
    def address(self) -> Address:
        """ID address (f0)."""
        return Address.id(self.id)

    @property
    def _window_proof(self) -> int:
        return window_proof(self.network, self.sector_size)

    def sector(self, number: int) -> SectorState:
        """Return a sector as the miner actor describes it."""
        answer = self._call(storageminer.generate_sector_location(number))
        location = storageminer.SectorLocation.decode(answer.aux_data)
        return SectorState(("dead", "active", "faulty")[answer.status], location.deadline, location.partition)

    def power(self) -> tuple[int, int]:
        """Return the claimed power in bytes: raw, and quality-adjusted."""
        claim = self.network.ask(Address.id(POWER_ACTOR), storagepower.miner_power(self.id))
        return claim.raw_byte_power, claim.quality_adj_power

    def pledge(self) -> TokenAmount:
        """Return the pledge of its sectors in attoFIL."""
        return self._call(storageminer.initial_pledge())

    def invoke(self, call: Call[R], value: int = 0) -> R:
        """Send a message from the owner to a method of the miner. Raises TransactionFailed, TransactionRefused."""
        return self.network.invoke(self.address, call, value=value, sender=self.owner)

    def prove(self) -> None:
        """Prove all sectors once, mining up to a day of null rounds until each deadline has been open."""
        for deadline, partitions in self._due():
            opening = self.opening(deadline)
            if opening - 1 > self.network.block_number:
                self.network.mine(null_rounds=opening - 2 - self.network.block_number)
            if self._has(storageminer.DEVELOPMENT_ONLY_PROVE_DEADLINE):
                self.invoke(storageminer.development_only_prove_deadline())
                continue
            for first in range(0, len(partitions), _MAX_PARTITIONS):
                before = ChainEpoch(self.network.block_number)
                ticket = self.network.machine.externs.chain_randomness(before)
                chosen = partitions[first : first + _MAX_PARTITIONS]
                self.invoke(onboarding.window_post(self._window_proof, deadline, chosen, before, ticket))

    def declare_faults(self, *numbers: int) -> None:
        """Declare sectors faulty.

        Raises TransactionFailed during their deadline and 70 epochs before it, InvalidInput for an unknown or removed
        sector.
        """
        locations = {number: self.sector(number) for number in numbers}
        dead = [number for number, location in locations.items() if location.status == "dead"]
        if dead:
            raise InvalidInput(f"{self.address} has no sector {dead[0]}")
        faults = [
            storageminer.SectorDeclaration(location.deadline, location.partition, bitfield.encode_members([number]))
            for number, location in locations.items()
        ]
        self.invoke(storageminer.declare_faults(faults))

    # --- bringing sectors in ------------------------------------------------------------------------------------

    def commit(self, count: int, *, claims: bool = False, expiration: int | None = None) -> None:
        """Add sectors with power; with `claims` each contains a verified piece of the owner.

        `expiration` is an epoch; official actors accept 180 to 1278 days from now. With an official bundle this mines
        until each sector is proven, at most a day. Raises InvalidInput unless `count` is 1 to 10,000.
        """
        remedy = f"commit at most {MAX_SECTORS:,} sectors per call"
        whole_number(count, "a number of sectors", 1, MAX_SECTORS, reason=remedy)
        until = self.network.block_number + LIFETIME if expiration is None else expiration
        whole_number(until, "the epoch at which sectors expire", None)
        groups = [
            self._pieces(min(_MESSAGE_SECTORS, count - done), claims) for done in range(0, count, _MESSAGE_SECTORS)
        ]
        if not self._has(storageminer.DEVELOPMENT_ONLY_COMMIT_SECTORS):
            self._onboard(groups, until)
            return
        for pieces in groups:
            wanted = [(_allocation(piece),) if piece else () for piece in pieces]
            self.sectors += self.invoke(storageminer.development_only_commit_sectors(wanted, until))

    def _pieces(self, count: int, claims: bool) -> Sequence[Piece | None]:
        """Return the pieces of the next sectors."""
        return allocate(self.network, self.owner, self.id, [self.sector_size] * count) if claims else [None] * count

    def _onboard(self, groups: Sequence[Sequence[Piece | None]], until: int) -> None:
        """Onboard sectors with the network's own messages, one per group."""
        promised, first = [], len(self.sectors)
        for pieces in groups:
            promised.append([NewSector(first + index, piece) for index, piece in enumerate(pieces)])
            first += len(pieces)
        for sectors in promised:
            self.invoke(onboarding.pre_commit(self.id, self._window_proof, sectors, self.network.block_number, until))
        self.network.mine(null_rounds=onboarding.PROVE_COMMIT_DELAY)
        for sectors in promised:
            self.invoke(onboarding.prove_commit(sectors))
            self.sectors += tuple(sector.number for sector in sectors)
        self.network.mine(null_rounds=DEADLINE)
        self.prove()

    def _due(self) -> Iterator[tuple[int, Sequence[int]]]:
        """Deadlines with live sectors and their partitions, soonest first."""
        locations: dict[int, set[int]] = {}
        for number in self.sectors:
            location = self.sector(number)
            if location.status != "dead":
                locations.setdefault(location.deadline, set()).add(location.partition)
        for deadline in sorted(locations, key=self.opening):
            yield deadline, sorted(locations[deadline])

    def opening(self, deadline: int) -> int:
        """Return the first epoch of a deadline's next window; the next epoch, if the window is open."""
        start = int(_state(self.network, self.address)[_PERIOD_START])
        return onboarding.next_opening(start, deadline, self.network.block_number + 1)

    # --- asking -------------------------------------------------------------------------------------------------

    def _call(self, call: Call[R]) -> R:
        return self.network.ask(self.address, call, sender=self.owner)

    def _has(self, method: MethodNumber) -> bool:
        """Return True if the miner actor has the method: it refuses wrong parameters, but not the number."""
        probe = Message(self.address, self.owner.native, method=method, params=encode("no parameters of any method"))
        return self.network.machine.call(probe).exit_code != ExitCode.USR_UNHANDLED_MESSAGE


def window_proof(network: MinerNetwork, sector_size: int) -> int:
    """Return the type of window PoSt proofs: V1P1, or V1 before network version 19 (FIP-0061)."""
    return WINDOW_PROOFS[sector_size] - (_V1P1_AFTER_V1 if network.version < _V1P1_SINCE else 0)


def create_miner(
    network: MinerNetwork,
    owner: Account,
    sectors: int,
    *,
    sector_size: int = SECTOR_SIZE,
    claims: bool = False,
    expiration: int | None = None,
) -> Miner:
    """Create a miner of an account, with N sectors. Raises TransactionFailed, TransactionRefused, InvalidInput."""
    whole_number(sectors, "a number of sectors", 0, MAX_SECTORS, reason=SECTORS_REMEDY)
    if whole_number(sector_size, "a sector size") not in WINDOW_PROOFS:
        sizes = ", ".join(map(str, WINDOW_PROOFS))
        raise InvalidInput(f"{sector_size} bytes is not a sector size: expected one of {sizes}")
    if expiration is not None:
        whole_number(expiration, "the epoch at which sectors expire")
    pledge = sectors * sector_size * ATTO_PER_FIL // _PLEDGED_SIZE
    network.send_native(BLS_ACCOUNT, sender=owner)
    creation = storagepower.create_miner(owner.native, BLS_ACCOUNT, window_proof(network, sector_size), b"", [])
    created = network.invoke(Address.id(POWER_ACTOR), creation, value=FUNDS + pledge, sender=owner)
    actor = created.id_address.actor_id()
    assert actor is not None, "the power actor answers an f0 address"
    miner = Miner(network, actor, owner, sector_size)
    _report_deposit(network, miner)
    if sectors:
        miner.commit(sectors, claims=claims, expiration=expiration)
    return miner


def create_first_miners(network: MinerNetwork) -> None:
    """Create a network's initial miners in its first blocks, all or none; the first accounts own them.

    If the process ends before all are created, the next one that opens the folder repeats the creation. Raises the
    errors of `create_miner` and closes the network.
    """
    chain, miners = network.chain, network.chain.index.planned_miners()
    first = chain.index.tipset(chain.index.first)
    try:
        if chain.head != first:
            chain.go_back(first)
        for owner, sectors in zip(network.accounts, miners, strict=False):
            create_miner(network, owner, sectors)
        network.machine.base.commit((), {}, miners_entries(()))
    except BaseException:
        network.close()
        raise


def _state(network: MinerNetwork, actor: Address) -> list[Any]:
    return _state_on(network.machine, actor)


def _state_on(machine: Hypervisor, actor: Address) -> list[Any]:
    state = machine.actor(actor)
    assert state is not None, "miners are never deleted"
    fields: list[Any] = get_object(machine.store, state.head)
    return fields


def _report_deposit(network: MinerNetwork, miner: Miner) -> None:
    """Add a new miner's deposit to the power actor's total of pledges, without a message.

    The actors subtract the deposit as it vests but never add it. On a network with little other pledge, the total would
    become negative, and the miner's cron events would fail and remove its claim.
    """
    report_deposit(network.machine, miner.address)
    network.chain.keep_changes()


def report_deposit(machine: Hypervisor, miner: Address) -> None:
    """Report the deposit on a machine's state only. Raises InvalidInput."""
    call = storagepower.update_pledge_total(decode_bigint(_state_on(machine, miner)[_LOCKED]))
    report = Message(Address.id(POWER_ACTOR), miner, method=call.method, params=call.params)
    result = machine.apply_implicit(report)
    if result.exit_code:
        raise InvalidInput(f"power refuses a deposit with exit code {result.exit_code}: {result.message}")


def _allocation(piece: Piece) -> storageminer.SectorAllocation:
    return storageminer.SectorAllocation(piece.client, piece.allocation, piece.cid, piece.size)

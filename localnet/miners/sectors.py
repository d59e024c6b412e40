"""Sectors of a miner, read from its state: deadlines, partitions, initial pledge, and the facts for mining a block.

Layouts: the IPLD schema of the miner actor. Sets of sectors are those of builtin-actors `partition_state.rs`.

The pledge is computed like the miner actor does, with estimates in Q.128 numbers: the expected reward of 20 days plus a
share of three tenths of the circulating supply, at most 1 FIL per 32 GiB. Every division rounds down. Source:
builtin-actors miner `monies.rs`, `expected_reward` and `initial_pledge_for_power` (FIP-0081), math
`extrapolated_cum_sum_of_ratio`.

Facts for mining a block are the lookback, and the sector of a miner's winning PoSt. Sources: lotus
chain/stmgr/actors.go (`MinerGetBaseInfo`) and utils.go (`GetLookbackTipSetForRound`), rust-fil-proofs
storage-proofs-post (`generate_sector_challenge`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.actors.schemas import actor_schema
from hypervisor.context import draw
from hypervisor.errors import InvalidInput
from hypervisor.proofs.consensus_faults import CHAIN_FINALITY
from hypervisor.proofs.verifier import prover_id
from hypervisor.types import ATTO_PER_FIL, ActorID, ChainEpoch, TokenAmount
from localnet.ledger.blocks import beacon_digest
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset
from localnet.miners.policy import PROVING_PERIOD
from store.blockstore import Blockstore, get_object
from store.cid import Cid
from store.codec import encode, unlink
from store.trees.amt import MAX_INDEX, Amt
from store.trees.bitfield import BitfieldError, decode_members

_MAX_PARTITION_SECTORS: Final = 10_000
"""Maximum number of sectors of a partition; more are not read. The network's largest has 2,349."""
_MAX_PARTITIONS: Final = 1 << 16
"""Maximum number of partitions of a deadline in a bitfield; more are not read."""


@dataclass(frozen=True, slots=True)
class Partition:
    """The sectors of a partition by state, and its place: index of the deadline, and index in it."""

    deadline: int
    index: int
    expirations: Cid
    """Root of the queue of sectors by the epoch of their expiration."""
    all: frozenset[int]
    terminated: frozenset[int]
    faulty: frozenset[int]
    recovering: frozenset[int]
    unproven: frozenset[int]

    @property
    def live(self) -> frozenset[int]:
        """Sectors that are not terminated."""
        return self.all - self.terminated

    @property
    def active(self) -> frozenset[int]:
        """Sectors that are live, proven and not faulty."""
        return self.live - self.faulty - self.unproven


def deadlines(store: Blockstore, state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the fields of a miner's deadlines, by the names of the schema; `state` has the miner's fields."""
    schema = actor_schema("storageminer")
    for due in schema.read("Deadlines", get_object(store, unlink(state["deadlines"])))["due"]:
        yield schema.read("Deadline", get_object(store, unlink(due)))


def partitions(store: Blockstore, state: dict[str, Any], only: int | None = None) -> Iterator[Partition]:
    """Yield a miner's partitions, or those of one deadline. Raises InvalidInput for sets that cannot be read."""
    for number, deadline in enumerate(deadlines(store, state)):
        if only is None or number == only:
            yield from _partitions_of(store, deadline, number)


def _partitions_of(store: Blockstore, deadline: dict[str, Any], number: int) -> Iterator[Partition]:
    schema = actor_schema("storageminer")
    for index, raw in Amt(store, unlink(deadline["partitions"])).items():
        fields = schema.read("Partition", raw)
        names = ("sectors", "terminated", "faults", "recoveries", "unproven")
        sets = [_members(fields[name], _MAX_PARTITION_SECTORS) for name in names]
        yield Partition(number, index, unlink(fields["expirations_epochs"]), *sets)


def sector_expiration(store: Blockstore, state: dict[str, Any], number: int) -> tuple[int | None, int | None]:
    """Return a sector's on-time and early expiration epochs from its partition's expiration queue.

    Both are None for a sector that is in no queue, because it was terminated or never existed. Raises InvalidInput.
    """
    for partition in partitions(store, state):
        if number in partition.all:
            queue = list(Amt(store, partition.expirations).items())
            on_time, early = (
                next((epoch for epoch, sets in queue if number in _members(sets[kind], _MAX_PARTITION_SECTORS)), None)
                for kind in (0, 1)
            )
            return on_time, early
    return None, None


def active_sectors(store: Blockstore, state: dict[str, Any]) -> list[int]:
    """Return the numbers of a miner's active sectors; `state` has its fields. Raises InvalidInput."""
    return sorted(number for partition in partitions(store, state) for number in partition.active)


def posted_partitions(deadline: dict[str, Any]) -> frozenset[int]:
    """Return the partitions of a deadline that were proven in its current window. Raises InvalidInput."""
    return _members(deadline["partitions_posted"], _MAX_PARTITIONS)


def _members(data: bytes, limit: int) -> frozenset[int]:
    try:
        return frozenset(decode_members(data, limit))
    except BitfieldError as error:
        raise InvalidInput(f"a set in the miner's state cannot be read: {error}") from None


def sector_info(store: Blockstore, state: dict[str, Any], number: int) -> dict[str, Any] | None:
    """Return a sector's information on chain by the names of the schema; None if there is none."""
    return next(sector_infos(store, state, (number,)), None)


def sector_infos(
    store: Blockstore, state: dict[str, Any], numbers: Iterable[int] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the information of the sectors with these numbers, by default of all in ascending order."""
    schema, table = actor_schema("storageminer"), Amt(store, unlink(state["sectors"]))
    if numbers is None:
        found = (value for _, value in table.items())
    else:
        found = (table.get(number) for number in numbers if number <= MAX_INDEX)
    yield from (schema.read("SectorOnChainInfo", value) for value in found if value is not None)


_DIGITS: Final = 128
_PROJECTION: Final = 20 * PROVING_PERIOD
_RAMP: Final = 300
"""Share of the pledge target, in thousandths, that depends on the network's power only after the ramp (FIP-0081)."""
_MAX_PLEDGE_PER_BYTE: Final = ATTO_PER_FIL // (32 << 30)
_STANDSTILL: Final = 302231454903657293676544
"""Square of the velocity below which the network's power is treated as constant."""
_LN_2: Final = 235865763225513294137944142764154484399
_LN_NUMERATOR: Final = (
    261417938209272870992496419296200268025,
    7266615505142943436908456158054846846897,
    32458783941900493142649393804518050491988,
    17078670566130897220338060387082146864806,
    -35150353308172866634071793531642638290419,
    -20351202052858059355702509232125230498980,
    -1563932590352680681114104005183375350999,
)
_LN_DENOMINATOR: Final = (
    49928077726659937662124949977867279384,
    2508163877009111928787629628566491583994,
    21757751789594546643737445330202599887121,
    53400635271583923415775576342898617051826,
    41248834748603606604000911015235164348839,
    9015227820322455780436733526367238305537,
    340282366920938463463374607431768211456,
)
"""Coefficients of ln(x) for x of 1 to 2, as a quotient of polynomials, from the highest power down."""

Estimate = tuple[int, int]
"""Position and velocity."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Network values from the reward and power actors.

    `ramp`: epochs since the ramp began, and how many it has; None before FIP-0081, whose power actor has no ramp.
    """

    reward: Estimate
    power: Estimate
    baseline: int
    supply: int
    ramp: tuple[int, int] | None


def sector_power(size: int, duration: int, verified: int) -> int:
    """Return the quality-adjusted power of a sector of `size` bytes: verified bytes count tenfold."""
    spacetime = size * duration
    weighted = (spacetime - verified * duration) * 10 + verified * duration * 100
    quality = ((weighted << 20) // spacetime) // 10
    return size * quality >> 20


def pre_commit_deposit(network: Conditions, power: int) -> TokenAmount:
    """Return the deposit in attoFIL for the commitment of a sector with this quality-adjusted power."""
    return TokenAmount(max(1, _expected_reward(network.reward, network.power, power)))


def initial_pledge(network: Conditions, power: int) -> TokenAmount:
    """Return the pledge in attoFIL for new quality-adjusted power."""
    storage = pre_commit_deposit(network, power)
    smoothed = network.power[0] >> _DIGITS
    skew = _skew(network)
    simple, baseline = max(smoothed, power), max(smoothed, network.baseline, power)
    target = network.supply * 3 * power
    consensus = (1000 - skew) * target // (baseline * 10_000) + skew * target // (simple * 10_000)
    return TokenAmount(min(storage + consensus, _MAX_PLEDGE_PER_BYTE * power))


def _skew(network: Conditions) -> int:
    if network.ramp is None or network.ramp[0] < 0:
        return 0
    age, epochs = network.ramp
    return _RAMP if epochs == 0 or age >= epochs else age * _RAMP // epochs


def _expected_reward(reward: Estimate, network: Estimate, power: int) -> int:
    if network[0] >> _DIGITS == 0:
        return reward[0] >> _DIGITS
    return max(0, power * _sum_of_ratio(reward, network) >> _DIGITS)


def _sum_of_ratio(above: Estimate, below: Estimate) -> int:
    """Return the sum over the epochs of the projection of one estimate divided by another."""
    time = _PROJECTION << _DIGITS
    squared = _product(below[1], below[1])
    if squared <= _STANDSTILL:
        middle = _product(above[1], time >> 1) + above[0]
        return middle * time // below[0]
    first, last = _logarithm(below[0]), _logarithm(_product(below[1], time) + below[0])
    of_position = (last - first) * above[0] * below[1] >> _DIGITS
    of_velocity = ((first - last) * below[0] + below[1] * time) * above[1] >> _DIGITS
    return (of_velocity + of_position) // squared


def _logarithm(x: int) -> int:
    power = x.bit_length() - 1 - _DIGITS
    normal = x >> power if power > 0 else x << -power
    return (_at(_LN_NUMERATOR, normal) << _DIGITS) // _at(_LN_DENOMINATOR, normal) + power * _LN_2


def _at(coefficients: Sequence[int], index: int) -> int:
    total = 0
    for coefficient in coefficients:
        total = _product(total, index) + coefficient
    return total


def _product(a: int, b: int) -> int:
    return a * b >> _DIGITS


_WINNING_POST_SEED: Final = 3
"""Domain of randomness (`WinningPoStChallengeSeed`)."""


def lookback_tipset(index: ChainIndex, base: Tipset, epoch: int) -> Tipset:
    """Return the tipset whose state determines power and worker of a block at `epoch` after `base`.

    Raises InvalidInput if `base` is older than that.
    """
    lookback = max(0, epoch - CHAIN_FINALITY)
    if lookback >= base.height:
        if base.height == index.first:
            return base
        raise InvalidInput(
            f"the lookback of epoch {epoch} is epoch {lookback}, which is not before the tipset of epoch {base.height}:"
            " pass a later tipset"
        )
    found = index.tipset_before(max(lookback, index.first))
    assert found is not None, "the chain has a first tipset"
    return found


def winning_post_seed(miner: bytes, epoch: ChainEpoch) -> bytes:
    """Return the randomness that selects the sector of a block's winning PoSt; `miner` is the address in binary."""
    return draw(_WINNING_POST_SEED, beacon_digest(epoch), epoch, encode(miner))


def winning_sector(miner: ActorID, seed: bytes, count: int) -> int:
    """Return the index of the sector that a winning PoSt has to prove, among `count` active ones in ascending order."""
    challenge = seed[:31] + bytes([seed[31] & 0x3F])  # an element of the scalar field of BLS12-381
    digest = hashlib.sha256(prover_id(miner) + challenge + bytes(8)).digest()
    return int.from_bytes(digest[:8], "little") % count

"""Random pending messages, and the blocks that the lab `lanes` fills from them, as a recorded run.

The invariants of docs/labs/lanes.md are checked for each block, and the block is compared with a literal implementation
of the rule.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Final, cast

from bridge.ethereum.addresses import EthAddress
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.types import ActorID, Gas, TokenAmount
from hypervisor_labs.lanes import Lane, LaneBuilding
from lab_tests.random_programs import RandomPrograms, Shown
from localnet.chain.mempool import Mempool
from localnet.ledger.candidates import IMPERSONATED, Candidate
from localnet.rules.parts import Rank

NAMES: Final = ("system", "providers", "users")
BASE_FEE: Final = 60
STAGES: Final = ("kept every invariant", "left a message out")
NO_MACHINE: Final = cast(Hypervisor, None)


class GivenLanes(LaneBuilding):
    """Lanes by the receiver's ID instead of its state."""

    def lane_of(self, machine: Hypervisor, candidate: Candidate) -> int:
        return (candidate.bare.to.actor_id() or 0) % 3


def message(sender: int, nonce: int, lane: int, premium: int, limit: int, cap: int) -> Candidate:
    bare = Message(
        Address.id(ActorID(300 + lane)), Address.id(ActorID(sender)), nonce, gas_limit=Gas(limit),
        gas_fee_cap=TokenAmount(cap), gas_premium=TokenAmount(premium),
    )  # fmt: skip
    signed = SignedMessage(bare, Signature(SignatureType.DELEGATED, b""))
    return Candidate(b"%d %d" % (sender, nonce), IMPERSONATED, signed, EthAddress(bytes(20)), None)


def word_by_word(
    building: LaneBuilding, queues: Sequence[Sequence[Candidate]], rank: Rank, room: int
) -> list[Candidate]:
    """Select messages by a literal implementation of the documented rule."""
    waiting, chosen = [list(queue) for queue in queues], list[Candidate]()
    left = [room * lane.share // 100 for lane in building.lanes]
    for shared in (True, False):
        skipped = set[int]()
        while True:
            heads = [(rank(queue[0]), at) for at, queue in enumerate(waiting) if queue and at not in skipped]
            if not heads:
                break
            at = min(heads)[1]
            one = waiting[at][0]
            lane, limit = building.lane_of(NO_MACHINE, one), one.bare.gas_limit
            if limit > (left[lane] if shared else room):
                skipped.add(at)
                continue
            left[lane] -= limit
            room -= limit
            chosen.append(waiting[at].pop(0))
    return chosen


def play(seed: int) -> tuple[list[str], bool]:
    """Run one program; return its findings, and True if its block had no space for all messages."""
    random = Random(seed)
    cuts = sorted(random.sample(range(1, 100), 2))
    building = GivenLanes(
        [Lane(*pair) for pair in zip(NAMES, (cuts[0], cuts[1] - cuts[0], 100 - cuts[1]), strict=True)]
    )
    room, queues_seen = random.randrange(20, 250), list[list[Candidate]]()

    def choose(queues: Sequence[Sequence[Candidate]], rank: Rank, given: int) -> list[Candidate]:
        queues_seen.extend(map(list, queues))
        return building.choose(NO_MACHINE, queues, rank, given)

    mempool = Mempool(choose)
    mempool.first_come = random.random() < 0.3
    waiting = [(sender, nonce) for sender in range(1, 9) for nonce in range(random.randrange(6))]
    random.shuffle(waiting)
    alone = {sender: random.choice((None, 0, 1, 2)) for sender in range(1, 9)}
    for sender, nonce in waiting:
        own = alone[sender]
        lane = random.randrange(3) if own is None else own
        fees = random.randrange(5), random.choice((5, 10, 40)), random.choice((50, 100, 100))
        mempool.add(message(sender, nonce, lane, *fees), 0)
    came = {one.hash: place for place, one in enumerate(mempool)} if mempool.first_come else None
    chosen = mempool.select(lambda _: 0, BASE_FEE, room)
    plain = word_by_word(building, queues_seen, lambda one: came[one.hash] if came else -one.bare.gas_premium, room)
    findings = [*broken(building, queues_seen, chosen, room)]
    findings += ["rule: another block than the rule's" for _ in range(chosen != plain)]
    return findings, len(chosen) < sum(map(len, queues_seen))


def broken(
    building: LaneBuilding, queues: Sequence[Sequence[Candidate]], chosen: Sequence[Candidate], room: int
) -> list[str]:
    """Return the documented invariants that a block violates."""
    findings, used = [], Counter[int]()
    for one in chosen:
        used[building.lane_of(NO_MACHINE, one)] += one.bare.gas_limit
    if sum(used.values()) > room:
        findings.append("room: the block is over its gas")
    if any(one.bare.gas_fee_cap < BASE_FEE for one in chosen):
        findings.append("fee: a message cannot pay the base fee")
    for queue in queues:
        mine = [one for one in chosen if one.bare.from_ == queue[0].bare.from_] if queue else []
        if mine != list(queue)[: len(mine)]:
            findings.append("nonce: a sender's messages are not in order")
        elif len(mine) < len(queue):
            head = queue[len(mine)]
            if head.bare.gas_limit <= room - sum(used.values()):
                findings.append("leftover: a message would have fit")
            lanes = {building.lane_of(NO_MACHINE, one) for one in queue[: len(mine) + 1]}
            lane = building.lane_of(NO_MACHINE, head)
            if len(lanes) == 1 and used[lane] + head.bare.gas_limit <= room * building.lanes[lane].share // 100:
                findings.append("share: a lane did not get its share")
    return findings


def _shown(seed: int) -> Shown:
    findings, is_full = play(seed)
    return findings, (is_full,)


PROGRAMS: Final = RandomPrograms(STAGES, _shown)
run = PROGRAMS.run

if __name__ == "__main__":
    sys.exit(PROGRAMS.main(__doc__))

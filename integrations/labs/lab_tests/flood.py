"""A flood of users' messages before a miner's deadline, with and without the lab `lanes`, as a recorded run.

Users offer a hundred times the miner's premium for messages to a contract and native actors (with --system, to the
reward actor only, whose messages count as the system's), until N messages are executed. The base fee is constant, so
that no message becomes too cheap. The miner's proof is sent once, when its deadline opens. Without lanes it waits for
the end of the flood.
"""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from bridge.actors.binding import Call
from bridge.bindings import storageminer
from bridge.ethereum.addresses import to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor.exit_codes import ExitCode
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import METHOD_SEND, REWARD_ACTOR, ChainEpoch, Gas, MethodNumber, TokenAmount
from localnet import Network
from localnet.errors import TransactionRefused
from localnet.ledger.records import TransactionReceipt
from localnet.miners import onboarding
from localnet.miners.miner import WINDOW_PROOF, Miner
from localnet.miners.policy import DEADLINE, PROVING_PERIOD
from tests.harness.recorded import RunRecord, finish, options
from tests.localnet.conftest import ARTIFACTS, START

STAGES: Final = ("was taken", "was executed")
GAS_LIMIT: Final = Gas(50_000_000)
"""Gas limit of a user's message: 200 of them fill a block."""
CHEAP, DEAR = TokenAmount(100), TokenAmount(10_000)
"""The miner's premium, and the minimum of the users' premiums, which decrease so that no nonce gap arises."""
CAP: Final = TokenAmount(1_000_000)
_USERS: Final = 20
_PROVE_REPLICA: Final = MethodNumber(5)
"""Method SubmitWindowedPoSt, sent to the miner by a user who is not its worker."""
_Kind = tuple[Address, MethodNumber, bytes]
"""Receiver, method and parameters."""
_TO_SYSTEM: Final[_Kind] = (Address.id(REWARD_ACTOR), MethodNumber(2), b"")
"""Method AwardBlockReward, which only the system actor may call."""


@dataclass(frozen=True, slots=True)
class Flood:
    """The result of a flood. `waited` is the number of blocks between the proof's arrival and its inclusion."""

    taken: int
    executed: int
    blocks: int
    waited: int
    proof: TransactionReceipt
    closes: int
    """Epoch after the deadline's last."""

    @property
    def in_time(self) -> bool:
        """True if the proof landed and was accepted by the miner actor while its deadline was open."""
        return self.proof.succeeded and self.proof.block_number < self.closes


def flood(rules: str, count: int, bundle: Path | None = None, *, system: bool = False) -> Flood:
    """Run N users' messages beside a miner's proof under the named rules, with a bundle's actors or our own.

    With `system`, all of them go to the reward actor, f02, which refuses them.
    """
    with Network(rules=rules, bundle=bundle, account_count=_USERS + 1, clock=lambda: START) as network:
        counter = network.deploy(ARTIFACTS / "Counter.json")
        miner = network.create_miner(sectors=2)
        sector = miner.sector(miner.sectors[0])
        opens = miner.opening(sector.deadline)
        if opens < network.block_number + 2:  # it is open, and proven: on official actors sectors begin so
            opens += PROVING_PERIOD
        network.mine(null_rounds=opens - network.block_number - 2)
        network.automine = False
        data = invoke_params(counter.interface.encode_call("increment"))
        kinds: tuple[_Kind, ...] = (
            (to_filecoin(counter.address), INVOKE_EVM, data),
            (network.accounts[1].native, METHOD_SEND, b""),
            (miner.address, _PROVE_REPLICA, b""),
        )
        pending = deque(_messages(network, (_TO_SYSTEM,) if system else kinds, count))
        first, base_fee, sent = network.block_number, network.base_fee, _send_some(network, pending)
        proof = _prove(network, miner, sector.deadline, sector.partition)
        while len(network.mempool):
            network.set_next_base_fee(base_fee)
            network.mine()
            sent += _send_some(network, pending)
            proof = proof or _prove(network, miner, sector.deadline, sector.partition)
        receipt = None if proof is None else network.receipt(proof)
        assert receipt is not None, "what waits for a block gets one in the end"
        tipsets = [network.chain.index.tipset(height) for height in range(first + 1, network.block_number + 1)]
        executed = sum(len(tipset.transactions) for tipset in tipsets) - 1
        waited = receipt.block_number - first - 1
        return Flood(sent, executed, len(tipsets), waited, receipt, opens + DEADLINE)


def _messages(network: Network, kinds: Sequence[_Kind], count: int) -> Iterator[Message]:
    users = [account.native for account in network.accounts[1:]]
    states = [network.machine.actor(user) for user in users]
    nonces = [0 if state is None else state.nonce for state in states]
    for number in range(count):
        user = number % _USERS
        to, method, params = kinds[number // _USERS % len(kinds)]
        yield Message(
            to, users[user], nonces[user], method=method, params=params, gas_limit=GAS_LIMIT, gas_fee_cap=CAP,
            gas_premium=TokenAmount(DEAR + count - number),
        )  # fmt: skip
        nonces[user] += 1


def _send_some(network: Network, pending: deque[Message]) -> int:
    """Fill the mempool's slots for users; return the number of messages."""
    sent = 0
    while pending:
        try:
            network.submit_unsigned(pending[0])
        except TransactionRefused as refused:
            if refused.reason != "full":
                raise
            break
        pending.popleft()
        sent += 1
    return sent


def _prove(network: Network, miner: Miner, deadline: int, partition: int) -> bytes | None:
    """Send the proof of a deadline at the minimum premium; return its hash, or None if the mempool is full."""
    owner = miner.owner.native
    call: Call[Any] = storageminer.development_only_prove_deadline()
    unknown = network.machine.call(Message(miner.address, owner, method=call.method, params=b"\x00"))
    if unknown.exit_code == ExitCode.USR_UNHANDLED_MESSAGE:  # an official bundle
        before = ChainEpoch(network.block_number)
        ticket = network.machine.externs.chain_randomness(before)
        call = onboarding.window_post(WINDOW_PROOF, deadline, [partition], before, ticket)
    actor = network.machine.actor(owner)
    assert actor is not None, "the miner's owner has sent messages"
    proof = Message(
        miner.address, owner, actor.nonce, method=call.method, params=call.params, gas_limit=Gas(10**9),
        gas_fee_cap=CAP, gas_premium=CHEAP,
    )  # fmt: skip
    try:
        return network.submit_unsigned(proof)
    except TransactionRefused as refused:
        if refused.reason != "full":
            raise
        return None


def main() -> int:
    """Run the requested flood and return the exit code."""
    parser = options(__doc__, 100_000)
    parser.add_argument("--system", action="store_true", help="flood the reward actor, f02")
    chosen = parser.parse_args()
    started = monotonic()
    with_lanes = flood("lab:lanes", chosen.count, system=chosen.system)
    without = flood("filecoin", min(chosen.count, 20_000), system=chosen.system)
    findings = [] if with_lanes.in_time else ["the proof came too late"]
    findings += [f"the proof waited {with_lanes.waited} blocks" for _ in range(with_lanes.waited > 0)]
    stages = {STAGES[0]: with_lanes.taken, STAGES[1]: with_lanes.executed}
    details = {
        "with lanes": {"blocks": with_lanes.blocks, "blocks waited": with_lanes.waited, "in time": with_lanes.in_time},
        "without": {"blocks": without.blocks, "blocks waited": without.waited, "in time": without.in_time},
    }
    return finish(RunRecord(chosen.seed, chosen.count, stages, findings, details), chosen, started)


if __name__ == "__main__":
    sys.exit(main())

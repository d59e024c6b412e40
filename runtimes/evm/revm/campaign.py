"""A campaign in the guest: it draws the calls of a fuzz or invariant test (`guests/revm/src/campaign`).

A session makes its calls in the guest, one after the other (`ObservedCall.run`). Otherwise Python asks for each call
(`next`), makes it, and gives its outcome (`take`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.receipts import Log
from hypervisor.errors import Fatal
from runtimes.evm.revm.guest import Guest, GuestFailure, data_message, list_message
from runtimes.evm.revm.protocol import (
    CAMPAIGN_CALL,
    CAMPAIGN_FIGURES,
    CAMPAIGN_OUTCOME,
    CAMPAIGN_SETTINGS,
    CAMPAIGN_TARGET,
    COUNT,
    COVERAGE_FIGURES,
    LOG_HEAD,
    REACHED,
    SHRINKING,
    TARGET_FIGURES,
    CampaignFigures,
    CampaignRequest,
    Command,
    CoverageFigures,
    TargetFigures,
)

_NO_EMITTER = EthAddress(bytes(20))


class CampaignStep(NamedTuple):
    """A call of a target, by its number, and the time and the blocks that pass before it."""

    sender: EthAddress
    target: int
    data: bytes
    seconds: int = 0
    blocks: int = 0
    success: bool = False
    """True if it has succeeded in the sequence."""

    def encode(self) -> bytes:
        """Return its message."""
        size = len(self.data)
        head = CAMPAIGN_CALL.pack_values(self.sender, self.target, self.seconds, self.blocks, self.success, size)
        return head + self.data


class CampaignTarget(NamedTuple):
    """A function that is called; `parameters` is a message for each parameter."""

    address: EthAddress
    selector: bytes
    parameters: Sequence[bytes] = ()

    def encode(self) -> bytes:
        """Return its message."""
        head = CAMPAIGN_TARGET.pack_values(self.address, int.from_bytes(self.selector, "big"))
        return head + list_message(self.parameters)


@dataclass(frozen=True, slots=True)
class CampaignPlan:
    """Targets and settings of a campaign.

    A fuzz test's calls are not kept: each begins in the same state. `depth` is the number of calls of a sequence.
    Without `senders` they are random.
    """

    seed: str
    keeps: bool
    depth: int
    targets: Sequence[CampaignTarget]
    senders: Sequence[EthAddress]
    dictionary: bytes = bytes(24)
    """The message of a dictionary: a limit of words and five lists, all empty by default."""
    max_rejects: int = (1 << 64) - 1
    weight: int = 40
    learns: bool = True
    has_storage: bool = True
    """True if it learns the words of slots."""
    max_seconds: int = 0
    max_blocks: int = 0
    fails_on_revert: bool = False
    excluded: Iterable[EthAddress] = ()
    shows_logs: bool = True
    """True if all logs of kept calls are shown, otherwise those with the topics in `shown`, or with none."""
    shown: Iterable[bytes] = ()
    contract_of: Callable[[bytes], Hashable | None] | None = None
    """Returns the contract of a code, None if it is unknown; without it, what calls reach is not recorded."""
    max_inputs: int = 0
    """Maximum number of inputs in the corpus."""
    min_mutations: int = 0
    """Mutations that reach nothing new, after which an input is the first to leave the corpus."""

    def encode(self) -> bytes:
        """Return its message."""
        settings = CAMPAIGN_SETTINGS.pack_values(
            sha256(self.seed.encode()).digest(), self.keeps, min(self.depth, (1 << 64) - 1), self.max_rejects,
            self.weight, self.learns, self.has_storage, self.max_seconds, self.max_blocks,
            self.fails_on_revert, self.shows_logs, self.max_inputs, min(self.min_mutations, (1 << 32) - 1),
        )  # fmt: skip
        targets = (target.encode() for target in self.targets)
        lists = map(list_message, (targets, self.senders, sorted(self.excluded), self.shown))
        return b"".join((settings, self.dictionary, *lists))


class Campaign:
    """The calls of one test. Raises Fatal if the guest has failed."""

    def __init__(self, guest: Guest, plan: CampaignPlan) -> None:
        self.guest, self.plan = guest, plan
        guest.has_campaign = True
        self.records_jumps = False
        """True if what the sequence's calls reach is recorded."""
        self._contracts: dict[Hashable, int] = {}
        found = self._ask(CampaignRequest.BEGIN, plan.encode())
        self.senders = [EthAddress(found[at : at + 20]) for at in range(0, len(found), 20)]
        """The senders of its calls: random ones if the plan names none."""

    def close(self) -> None:
        """Forget the campaign, so that the guest may be used for anything else."""
        if not self.is_lost:
            self._ask(CampaignRequest.END)
            self.guest.has_campaign = False

    @property
    def is_lost(self) -> bool:
        """True if the guest has failed."""
        return self.guest.is_closed

    def _ask(self, request: int, message: bytes = b"") -> bytes:
        if self.is_lost:
            raise Fatal("the EVM engine has failed, and the inputs of the test are lost with its memory")
        try:
            self.guest.call(Command.CAMPAIGN, COUNT.pack_values(request) + message)
        except GuestFailure as failure:
            raise Fatal(f"the EVM engine failed while it drew inputs: {failure}") from failure
        return self.guest.output()

    def number_of(self, code: bytes) -> int:
        """Return the number of a code's contract, 0 for all code that is unknown."""
        contract = None if self.plan.contract_of is None else self.plan.contract_of(code)
        return 0 if contract is None else self._contracts.setdefault(contract, len(self._contracts) + 1)

    # --- calls ----------------------------------------------------------------------------------------------------

    def begin(self, queue: Iterable[CampaignStep] = (), *, is_replay: bool = False, is_covered: bool = True) -> None:
        """Begin a sequence with the calls of a queue, or perhaps of an earlier sequence; then others are drawn.

        Calls that are replayed are neither counted nor learnt from, and no others are drawn. What calls reach is noted
        only if `is_covered`.
        """
        self.records_jumps = is_covered and self.plan.contract_of is not None
        self._ask(
            CampaignRequest.SEQUENCE, COUNT.pack_values(is_replay) + list_message(step.encode() for step in queue)
        )

    def queue(self, step: CampaignStep) -> None:
        """Make a call before others are drawn."""
        self._ask(CampaignRequest.QUEUE, step.encode())

    def next(self) -> CampaignStep | None:
        """Return the next call, which stays the same until its outcome is taken; None at the end of the sequence."""
        found = self._ask(CampaignRequest.NEXT)
        return next(_steps(found), None)

    def take(
        self, *, success: bool, rejected: bool, gas: int, output: bytes, logs: Sequence[Log], words: bytes
    ) -> None:
        """Take the outcome of the next call, with the words of the slots that it touched."""
        listed = (
            b"".join((LOG_HEAD.pack_values(_NO_EMITTER, len(log.topics)), *log.topics, data_message(log.data)))
            for log in logs
        )
        head = CAMPAIGN_OUTCOME.pack_values(success, rejected, gas, len(output))
        self._ask(
            CampaignRequest.TAKE,
            b"".join((head, output, list_message(listed), COUNT.pack_values(len(words) // 32), words)),
        )

    def cover(self, has_new: bool, jumps: array[int] | None = None) -> None:
        """Note what the next call has reached, which has ended and was not rejected: recorded jumps, or the given ones.

        `has_new` is true if it has reached something new besides. Not needed if the campaign has taken its outcome.
        """
        listed = b"" if jumps is None else COUNT.pack_values(len(jumps)) + jumps.tobytes()
        self._ask(CampaignRequest.COVER, REACHED.pack(has_new=has_new, has_jumps=jumps is not None) + listed)

    # --- inputs ---------------------------------------------------------------------------------------------------

    def end_sequence(self) -> list[list[CampaignStep]]:
        """End the sequence, and return the new inputs of the corpus since the last time, except replayed ones."""
        found, at, inputs = self._ask(CampaignRequest.INPUTS), 0, []
        while at < len(found):
            count, at = COUNT.read(found, at).count, at + COUNT.size
            steps = []
            for _ in range(count):
                step, at = _step(found, at)
                steps.append(step)
            inputs.append(steps)
        return inputs

    def simpler(self, target: int, data: bytes) -> bytes:
        """Return the first simpler calldata of a failing call; empty if there is none."""
        message = SHRINKING.pack(begins=True, fails=False, target=target)
        return self._ask(CampaignRequest.SIMPLER, message + data_message(data))

    def still_simpler(self, fails: bool) -> bytes:
        """Return the next simpler calldata after one that fails or does not; empty at the end."""
        return self._ask(CampaignRequest.SIMPLER, SHRINKING.pack(begins=False, fails=fails, target=0))

    # --- figures --------------------------------------------------------------------------------------------------

    @property
    def figures(self) -> CampaignFigures:
        """Numbers of the sequence's calls, of reverted and of rejected ones; gas of all, at least LEAST_GAS each.

        `reached` is the number of calls since `begin` that have reached something new.
        """
        return CAMPAIGN_FIGURES.read(self._ask(CampaignRequest.FIGURES))

    @property
    def coverage(self) -> CoverageFigures:
        """Numbers of edges, of edges with each class of executions, and of inputs in the corpus."""
        return COVERAGE_FIGURES.read(self._ask(CampaignRequest.COVERAGE))

    @property
    def targets(self) -> list[TargetFigures]:
        """Numbers of all calls of each target, of those that reverted, and of rejected ones."""
        found = self._ask(CampaignRequest.TARGETS)
        return list(TARGET_FIGURES.read_all(found, 0, len(self.plan.targets)))

    @property
    def steps(self) -> list[CampaignStep]:
        """The calls of the sequence that were not rejected; of a fuzz test, the last one."""
        return list(_steps(self._ask(CampaignRequest.STEPS)))

    @property
    def gases(self) -> tuple[int, ...]:
        """Gas of each run of a fuzz test, of a million at most."""
        return tuple(array("Q", self._ask(CampaignRequest.GASES)))


def _steps(data: bytes) -> Iterator[CampaignStep]:
    at = 0
    while at < len(data):
        step, at = _step(data, at)
        yield step


def _step(data: bytes, at: int) -> tuple[CampaignStep, int]:
    """Return a call at a position of a message, and the position after it."""
    sender, target, seconds, blocks, success, size = CAMPAIGN_CALL.unpack_from(data, at)
    begin = at + CAMPAIGN_CALL.size
    end = begin + size
    return CampaignStep(EthAddress(sender), target, data[begin:end], seconds, blocks, bool(success)), end

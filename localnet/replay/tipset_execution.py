"""Execution of a tipset with several blocks: cron of null rounds, messages, rewards, and the tipset's cron.

Used for tipsets of other chains and vectors, with election wins and penalties. `localnet.chain.execution` executes
this network's own tipsets, which have one block. The rules supply rewards and cron (`localnet.rules.filecoin`).

Source: lotus chain/consensus/compute_state.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from hypervisor.errors import InvalidInput
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Receipt
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import Receipts
from localnet.ledger.blocks import put_receipts
from localnet.ledger.headers import IncludedMessage
from localnet.rules.filecoin import award_block, tick_cron
from localnet.rules.parts import ImplicitResult
from store.blocks.memory import BufferedStore, MemoryStore
from store.cid import Cid

if TYPE_CHECKING:
    from hypervisor.machine.parallel import Parallel, ParallelBlock

MAX_NULL_ROUNDS: Final = 100_000
"""Maximum number of null rounds before a tipset (five weeks), since each is executed and headers are untrusted."""


def null_epochs(parent: int, epoch: int) -> Iterator[ChainEpoch]:
    """Yield the epochs between a tipset and its parent. Raises InvalidInput for none or too many."""
    if parent >= epoch:
        raise InvalidInput(f"the tipset of epoch {epoch} has a parent at epoch {parent}: expected an earlier one")
    if epoch - parent - 1 > MAX_NULL_ROUNDS:
        raise InvalidInput(
            f"{epoch - parent - 1:,} null rounds lie before epoch {epoch}, at most {MAX_NULL_ROUNDS:,} are executed: "
            "name another epoch"
        )
    return map(ChainEpoch, range(parent + 1, epoch))


@dataclass(frozen=True, slots=True)
class MinedBlock:
    """A block: its producer, the number of wins, and its messages in order of execution."""

    producer: Address
    win_count: int
    messages: tuple[IncludedMessage, ...]


@dataclass(frozen=True, slots=True)
class NullRoundBefore:
    """A null round before a tipset, with the time of its cron in Unix seconds."""

    epoch: ChainEpoch
    timestamp: int


@dataclass(frozen=True, slots=True)
class TipsetWork:
    """Messages of a tipset and the null rounds before it. Unix seconds, attoFIL per gas."""

    epoch: ChainEpoch
    timestamp: int
    base_fee: TokenAmount
    blocks: tuple[MinedBlock, ...]
    null_rounds: tuple[NullRoundBefore, ...] = ()

    def messages(self) -> Iterator[IncludedMessage]:
        """Yield the messages to execute, each once, in order."""
        seen: set[Cid] = set()
        for block in self.blocks:
            yield from new_messages(block, seen)


@dataclass(frozen=True, slots=True)
class TipsetOutcome:
    """Results of a tipset in order, including rewards and cron, and its receipts on chain."""

    results: tuple[ApplyResult, ...]
    receipts: tuple[Receipt, ...]
    receipts_root: Cid
    state: Cid


Supply = Callable[[Hypervisor, ChainEpoch], TokenAmount]
"""Callback that computes the circulating supply in attoFIL at an epoch from the machine's state."""


def execute_tipset(
    machine: Hypervisor, work: TipsetWork, supply: Supply, parallel: Parallel | None = None
) -> TipsetOutcome:
    """Execute a tipset on its parent's state, with the machine's network version and chain ID.

    With `parallel`, workers execute some messages ahead of their turn, with the same results. Raises Fatal
    if a reward, cron or a message cannot be executed; MessageError for a malformed message.
    """
    steps = [*tipset_steps(machine, work, supply, parallel=parallel)]
    receipts = tuple(step.receipt for step in steps if step.receipt is not None)
    return TipsetOutcome(tuple(step.result for step in steps), receipts, receipts_root(receipts), machine.root)


@dataclass(frozen=True, slots=True)
class TipsetStep:
    """The result of one message of a tipset; `included` is a block's message, or None for a reward or cron.

    `receipt` is its receipt on chain. It is None for a reward or cron that has no receipt (`NetworkVersion.receipts`).
    """

    included: IncludedMessage | None
    result: ApplyResult
    receipt: Receipt | None


def tipset_steps(
    machine: Hypervisor,
    work: TipsetWork,
    supply: Supply,
    before: Cid | None = None,
    parallel: Parallel | None = None,
    watch: Callable[[IncludedMessage], None] = lambda _included: None,
) -> Iterator[TipsetStep]:
    """Execute a tipset step by step. It ends before the message with the CID `before`, which is next on the machine.

    `watch` is called before each message, which is next on the machine then. `parallel` and what it raises are as in
    `execute_tipset`.
    """
    machine.advance(base_fee=work.base_fee)
    for null in work.null_rounds:
        _advance(machine, null.epoch, null.timestamp, supply)
        yield _implicit_step(machine, tick_cron(machine))
    _advance(machine, work.epoch, work.timestamp, supply)
    seen: set[Cid] = set()
    with ExitStack() as stack:
        block_run = None if parallel is None else stack.enter_context(_parallel_block(machine, work, parallel))
        number = 0
        for block in work.blocks:
            penalty = tips = 0
            for included in new_messages(block, seen):
                if before in (included.cid, included.message.cid()):
                    return
                watch(included)
                result = (
                    apply_included(machine, included) if block_run is None else _unless_fatal(block_run.apply(number))
                )
                number += 1
                penalty, tips = penalty + result.gas.miner_penalty, tips + result.gas.miner_tip
                yield TipsetStep(included, result, receipt_on_chain(machine, included, result))
            yield _implicit_step(machine, award_block(machine, block.producer, penalty, tips, block.win_count))
    yield _implicit_step(machine, tick_cron(machine))


def receipt_on_chain(machine: Hypervisor, included: IncludedMessage, result: ApplyResult) -> Receipt:
    """Return the receipt on chain of a message of a block."""
    is_linked = machine.context.network.receipts is Receipts.ALL
    return result.receipt_with_message(included.cid) if is_linked else result.receipt


def _implicit_step(machine: Hypervisor, done: ImplicitResult) -> TipsetStep:
    has_receipt = machine.context.network.receipts is Receipts.ALL
    return TipsetStep(None, done.result, done.result.receipt_with_message(done.message.cid()) if has_receipt else None)


def _parallel_block(machine: Hypervisor, work: TipsetWork, parallel: Parallel) -> ParallelBlock:
    """Return the messages of all blocks of a tipset, for workers to execute."""
    from hypervisor.machine.parallel import BlockMessage, ParallelBlock

    messages = [
        BlockMessage(
            partial(machine.apply, included.message, included.length),
            included.message.from_,
            included.message.to,
            included.message.value > 0,
        )
        for included in work.messages()
    ]
    return ParallelBlock(machine, messages, parallel)


def apply_included(machine: Hypervisor, included: IncludedMessage) -> ApplyResult:
    """Apply a message of a block. Raises as `execute_tipset`."""
    return _unless_fatal(machine.apply(included.message, included.length))


def _unless_fatal(result: ApplyResult) -> ApplyResult:
    if result.fatal is not None:
        raise result.fatal
    return result


def new_messages(block: MinedBlock, seen: set[Cid]) -> Iterator[IncludedMessage]:
    """Yield the messages of a block that are in no earlier block; `seen` holds those, by CID without signature."""
    for included in block.messages:
        cid = included.message.cid()
        if cid not in seen:
            seen.add(cid)
            yield included


def receipts_root(receipts: Iterable[Receipt]) -> Cid:
    """Return the root of these receipts in the next tipset's headers."""
    return put_receipts(BufferedStore(MemoryStore()), receipts)


def _advance(machine: Hypervisor, epoch: ChainEpoch, timestamp: int, supply: Supply) -> None:
    machine.advance(epoch=epoch, timestamp=timestamp, circulating_supply=supply(machine, epoch))

"""Block production of a network: transactions, blocks, snapshots, upgrades, and the pending block.

`Network` adds accounts and a public interface (`localnet.network`). `localnet.ledger.upgrades` defines upgrades, and
`localnet.chain.streams` the streams of the block reward that a planned upgrade may request.

The pending block is what the next block would contain if it were built now on the head. Under Ethereum's rules the
block tag `pending` refers to it, as in anvil. Under Filecoin's rules the tag refers to the head, as in Lotus.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.blobs import BlobTransaction
from bridge.ethereum.transactions import GAS_PER_BLOB, Transaction
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, SignedMessage
from hypervisor.types import ChainEpoch, octets, whole_number
from hypervisor.versions.stream_settings import StreamSettings
from localnet.addresses import Target, filecoin_address
from localnet.chain import admission
from localnet.chain.admission import Verdict
from localnet.chain.chain import Chain
from localnet.chain.clock import ChainClock, TimeTravel
from localnet.chain.execution import block_order
from localnet.chain.mempool import Mempool
from localnet.chain.reading import NetworkReader
from localnet.chain.streams import check_streams, has_streams
from localnet.chain.view import ChainPoint, ChainReader
from localnet.errors import TransactionRefused
from localnet.ledger.blocks import NO_PRODUCER
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Execution, Tipset, TransactionReceipt
from localnet.ledger.upgrades import UpgradePlan, Upgrades, upgrades_of_plan
from localnet.rules.facts import SAME_BLOCK, BlockOverride
from localnet.state.controls import nonce_of
from store.blocks.memory import BufferedStore
from store.blockstore import StoreError


def plan_upgrades(chain: Chain, plan: UpgradePlan, streams: StreamSettings | None) -> None:
    """Plan upgrades at the head of a chain or after it.

    `streams` belong to the upgrade that adds them, or equal the network's current or planned ones. Raises BundleError,
    and InvalidInput if no upgrade here accepts them.
    """
    before, overlay = chain.record.upgrades, chain.record.overlay
    upgrades, bundles = upgrades_of_plan(plan, before, streams, overlay)
    if streams is not None and all(upgrade.streams is None for upgrade in upgrades):
        to_come = None if has_streams(chain.machine) else before.of_streams(overlay)
        if to_come is None:
            check_streams(chain.machine, streams)
        else:
            to_come.check_same(streams)
    chain.plan(upgrades, bundles)


_LOG = logging.getLogger(__name__)

MAX_SNAPSHOTS: Final = 1_000
"""Maximum number of snapshots, each of which holds the states before and after its block."""
MAX_MINED: Final = 10_000_000
"""Maximum number of blocks, and of null rounds before each, that one call mines: 9.5 years of 30-second epochs."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    number: int
    tipset: Tipset
    upgrades: Upgrades
    producer: Address
    travel: TimeTravel


class BlockProduction(NetworkReader):
    """A chain, its mempool, and its clock."""

    chain: Chain
    mempool: Mempool

    def __init__(self, chain: Chain, clock: ChainClock) -> None:
        self.chain = chain
        self.mempool = _mempool(chain)
        self.automine = True
        self._clock = clock
        self._snapshots: list[_Snapshot] = []
        self._last_snapshot = 0

    # --- clock ------------------------------------------------------------------------------------------------

    @property
    def next_timestamp(self) -> int:
        """Timestamp that a block mined now would have."""
        return self._clock.after(self.chain.head.timestamp)

    def timestamp_after(self, head: Tipset) -> int:
        """Return the timestamp that a block mined now on `head` would have. Safe to call from other threads."""
        return self._clock.after(head.timestamp)

    # --- transactions -----------------------------------------------------------------------------------------

    def submit(self, raw: bytes | BlobTransaction) -> bytes:
        """Add a signed Ethereum transaction to the mempool and return its hash. Raises TransactionRefused.

        A blob transaction must be in the network form, or a result of `admission.verify_blobs`.
        """
        if isinstance(raw, BlobTransaction):
            return self._admit(admission.from_blobs(self.machine, raw))
        return self._admit(admission.from_raw(self.chain.machine, octets(raw, "a transaction")))

    def submit_together(self, transactions: Iterable[bytes | Callable[[], bytes]]) -> list[bytes | Exception]:
        """Add a client's batch of signed Ethereum transactions; return a hash or an error for each.

        A callable signs its transaction once the previous ones are pending, so that it can use the next nonce. With
        automine the batch shares a block. A transaction that needs the effects of earlier ones gets a later block, so
        results equal those of consecutive `submit` calls.
        """
        automine, self.automine = self.automine, False
        answers: list[bytes | Exception] = []
        failed: dict[bytes, Exception] = {}
        try:
            for transaction in transactions:
                try:
                    raw = transaction if isinstance(transaction, bytes) else transaction()
                except Exception as error:  # noqa: BLE001  # the result of this one; the others continue
                    answers.append(error)
                    continue
                try:
                    answers.append(self.submit(raw))
                except TransactionRefused as refused:
                    answers.append(self._retry_after_block(raw, refused, answers, failed) if automine else refused)
            if automine:
                self._mine_all(answers, failed)
                failed |= self._newly_refused(answers)
        finally:
            self.automine = automine
        return [failed.get(outcome, outcome) if isinstance(outcome, bytes) else outcome for outcome in answers]

    def _pending(self, answers: Iterable[bytes | Exception]) -> list[Candidate]:
        """Return the messages of a batch that are pending."""
        waiting = (self.mempool.get(outcome) for outcome in answers if isinstance(outcome, bytes))
        return [candidate for candidate in waiting if candidate is not None]

    def _newly_refused(self, answers: Iterable[bytes | Exception]) -> dict[bytes, Exception]:
        """Drop pending messages that new blocks invalidate, and return them with the reasons."""
        refused: dict[bytes, Exception] = {}
        for candidate in self._pending(answers):
            try:
                admission.check(self.machine, candidate, self.base_fee, self.chain.head.next_settings.min_gas_price)
            except TransactionRefused as error:
                refused[candidate.hash] = error
                self.mempool.drop(candidate)
        return refused

    def _retry_after_block(
        self, raw: bytes, refused: Exception, answers: list[bytes | Exception], failed: dict[bytes, Exception]
    ) -> bytes | Exception:
        """Submit a transaction again after a block of the pending ones; return `refused` if there is no such block."""
        if not self._mine_all(answers, failed):
            return refused
        try:
            return self.submit(raw)
        except TransactionRefused as again:
            return again

    def _mine_all(self, answers: list[bytes | Exception], failed: dict[bytes, Exception]) -> bool:
        """Mine blocks until no pending message can be executed; return True if any was.

        Records failed executions. If a block cannot be committed, for example on a full disk, the batch's pending
        messages are dropped and recorded with the error, because their client gets no hash.
        """
        made = False
        while True:
            chosen, fee = self.chosen(), self.min_fee_cap
            if not any(admission.preflight(self.machine, candidate, fee).is_executable for candidate in chosen):
                return made
            try:
                if not self._produce(chosen, keeps_unpayable=True).transactions:  # `_newly_refused` has the reasons
                    return True
                made = True
            except Exception as error:  # noqa: BLE001  # reported to the client of each transaction
                broken = self._failed_message  # no longer in the mempool
                if broken is None:
                    pending = self._pending(answers)
                    if not pending:  # a block of other clients' messages, so no client gets the error
                        _log_failed_block(error)
                    for candidate in pending:
                        self.mempool.drop(candidate)
                        failed[candidate.hash] = error
                    return made
                failed[broken.hash] = error

    def submit_native(self, signed: SignedMessage) -> bytes:
        """Add a signed Filecoin message to the mempool and return its Ethereum hash. Raises TransactionRefused."""
        return self._admit(admission.from_native(self.machine, signed))

    def submit_unsigned(self, message: Message) -> bytes:
        """Add an unsigned message of any sender to the mempool and return its hash. Raises TransactionRefused.

        An account pays gas and increments its nonce as usual. Any other actor pays no gas, but its next message has
        the next nonce.
        """
        return self._admit(admission.from_impersonated(self.machine, message))

    def submit_unsigned_transaction(self, transaction: Transaction, sender: EthAddress) -> bytes:
        """Add an unsigned transaction of any sender to the mempool like `submit_unsigned`; return its hash."""
        return self._admit(admission.from_unsigned(self.machine, transaction, sender))

    def waiting(self, transaction_hash: bytes) -> Candidate | None:
        """Return a transaction that has no receipt yet: it is pending, or its execution is deferred."""
        waiting = self.mempool.get(transaction_hash)
        executed = self.chain.index.receipt(transaction_hash) if waiting is None else None
        if executed is None or executed.block_number <= self.executed_head.height:
            return waiting
        return executed.candidate

    def _admit(self, candidate: Candidate) -> bytes:
        head = self.chain.head
        min_price = head.next_settings.min_gas_price
        verdict = admission.check(self.chain.machine, candidate, head.next_base_fee, min_price)
        if self.chain.index.receipt(candidate.hash) is not None:
            raise TransactionRefused("known", "already known")
        nonce = 0 if verdict.sender is None else verdict.sender.nonce
        if self.chain.rules.features.has_geth_pool and not self.mempool.is_empty():
            ready = self.mempool.ready_of(candidate.bare.from_, nonce)
            admission.check_queue(self.machine, candidate, verdict.sender, ready)
        self.mempool.add(candidate, nonce)
        for watcher in tuple(self.chain.watchers):
            watcher.accepted(candidate)
        if self.automine:
            try:
                self._mine_ready(candidate, verdict, nonce)
            except BaseException as error:
                # A later block may have failed, whose message waited for this one.
                if isinstance(error, Exception) and self.chain.index.receipt(candidate.hash) is not None:
                    _log_failed_block(error)
                    return candidate.hash
                self.mempool.drop(candidate)  # the client gets the error, so no later block may include it
                raise
        return candidate.hash

    def _mine_ready(self, admitted: Candidate, verdict: Verdict, nonce: int) -> None:
        """Mine a block for each pending message of a sender, as far as nonces, funds and fee caps allow.

        `verdict` is that of the `admitted` one before the first block, and `nonce` the sender's next one.
        """
        for mined, candidate in enumerate(self.mempool.ready_of(admitted.bare.from_, nonce)):
            if mined or candidate is not admitted:
                verdict = admission.preflight(self.machine, candidate, self.min_fee_cap)
            if not verdict.is_executable:
                return
            self._produce([candidate])

    # --- blocks -----------------------------------------------------------------------------------------------

    def mine(self, blocks: int = 1, *, null_rounds: int = 0) -> Tipset:
        """Mine blocks of pending messages, each after `null_rounds` null rounds, and return the new head.

        Raises InvalidInput.
        """
        whole_number(blocks, "a number of blocks", 0, MAX_MINED)
        whole_number(null_rounds, "a number of null rounds", 0, MAX_MINED)
        for _ in range(blocks):
            self._produce(self.chosen(), null_rounds)
        return self.head

    def chosen(self) -> list[Candidate]:
        """Return the pending messages that the next block will include."""
        limit, blobs = self.chain.rules.limits.block_gas, self.chain.rules.blobs
        blob_limit = 0 if blobs is None else blobs.maximum * GAS_PER_BLOB
        return self.mempool.select(
            lambda sender: nonce_of(self.machine, sender), self.min_fee_cap, limit, self.blob_base_fee, blob_limit
        )

    @property
    def _failed_message(self) -> Candidate | None:
        """The message at which the last block failed."""
        return None if self.chain.building is None else self.chain.building.executing

    def _produce(self, candidates: list[Candidate], null_rounds: int = 0, *, keeps_unpayable: bool = False) -> Tipset:
        try:
            tipset = self.chain.produce(candidates, self.next_timestamp, null_rounds)
        except Exception:
            # Drop a message that raised a fatal error, so that it does not stop the next block.
            if (broken := self._failed_message) is not None:
                self.mempool.drop(broken)
            raise
        building = self.chain.building
        assert building is not None, "it was produced"
        for candidate, refused in building.refused:
            self.mempool.drop(candidate)
            _LOG.warning("transaction 0x%s is dropped: %s", candidate.hash.hex(), refused)
        self._clock.record_block(tipset.timestamp)
        self.mempool.drop_executed(tipset.transactions)
        rules = self.chain.rules
        drops_unpayable = rules.features.has_geth_pool and not keeps_unpayable
        for candidate in self.mempool.drop_passed(partial(rules.messages.sender, self.chain.machine), drops_unpayable):
            _LOG.warning("transaction 0x%s is dropped: its sender lacks funds", candidate.hash.hex())
        if _LOG.isEnabledFor(logging.INFO):
            for receipt in self.chain.index.receipts(tipset):
                _LOG.info("%s", receipt)
        return tipset

    def set_producer(self, miner: Target | int) -> None:
        """Set the storage miner that produces later blocks and receives their reward; `blocks.NO_PRODUCER` unsets it.

        `miner` is the miner, its address, or its actor ID (`Miner.id`). Blocks record their producer. Raises
        InvalidInput for any other actor: user code must not run in implicit messages.
        """
        if isinstance(miner, int):
            miner = Address.id(whole_number(miner, "a miner's actor ID"))
        address = filecoin_address(miner)
        actor = self.machine.actor(address)
        kind = None if actor is None else self.machine.manifest.name_of(actor.code)
        if kind != "storageminer" and address != NO_PRODUCER:
            raise InvalidInput(f"{address} is {kind or 'no built-in actor'}: only a storage miner produces blocks")
        self.chain.producer = address

    def upgrade(
        self, version: int, bundle: Bundle | str | Path | None = None, streams: StreamSettings | None = None
    ) -> Tipset:
        """Upgrade the network after the head, and make an empty block, the first of the new version.

        Built-in actors get the code of `bundle` (a bundle, or an argument of `Bundle.open`) and retain their states.
        Without a bundle only the rules change. At the network's own version the bundle replaces its actors.

        Network version 29 rewrites states. Its default bundle is this project's actors v19, and its default `streams`
        are the network's own.

        Raises InvalidInput for an invalid upgrade, for unknown changes of states' layouts, and for a state that cannot
        be upgraded.
        """
        whole_number(version, "a network version", None)
        before = self.chain.record.upgrades
        plan_upgrades(self.chain, {self.head.height: version if bundle is None else (version, bundle)}, streams)
        try:
            return self._produce([])
        except BaseException:
            self.chain.forget_plan(before)
            raise

    @property
    def snapshot_tipsets(self) -> tuple[Tipset, ...]:
        """Tipsets of the snapshots."""
        return tuple(snapshot.tipset for snapshot in self._snapshots)

    # --- going back -------------------------------------------------------------------------------------------

    def snapshot(self) -> int:
        """Take a snapshot of the chain and return its number for `revert`, which no other snapshot gets.

        Above `MAX_SNAPSHOTS`, the oldest one is deleted.
        """
        self.chain.states.hold(self.head)
        if len(self._snapshots) == MAX_SNAPSHOTS:
            self.chain.states.release(self._snapshots.pop(0).tipset)
        self._last_snapshot += 1
        self._snapshots.append(
            _Snapshot(self._last_snapshot, self.head, self.chain.record.upgrades, self.producer, self._clock.travel)
        )
        return self._last_snapshot

    def revert(self, snapshot: int) -> bool:
        """Revert to a snapshot and delete it with all later ones. Return False if it does not exist.

        Pending transactions are dropped.
        """
        wanted = whole_number(snapshot, "a snapshot", None)
        place = next((place for place, taken in enumerate(self._snapshots) if taken.number == wanted), None)
        if place is None:
            return False
        remembered = self._snapshots[place]
        self._go_back(remembered.tipset, remembered.travel, remembered.upgrades, place)
        self.chain.producer = remembered.producer
        return True

    def go_back(self, tipset: Tipset, travel: TimeTravel | None = None) -> None:
        """Make an earlier tipset the head. Later snapshots and pending transactions are dropped.

        `travel` replaces the clock's offset; None keeps it.
        """
        left = bisect_right(self._snapshots, tipset.height, key=lambda snapshot: snapshot.tipset.height)
        self._go_back(tipset, travel, None, left)

    def _go_back(self, tipset: Tipset, travel: TimeTravel | None, upgrades: Upgrades | None, left: int) -> None:
        """Revert to a tipset and keep the first `left` snapshots; the tipset may belong to a deleted snapshot."""
        remembered = any(snapshot.tipset is tipset for snapshot in self._snapshots[left:])
        self.chain.go_back(tipset, upgrades, remembered=remembered)
        self.forget_snapshots(left)
        self.mempool.clear()
        self._clock.go_back(self._clock.travel if travel is None else travel)

    def forget_snapshots(self, left: int = 0) -> None:
        """Delete all snapshots but the first `left`."""
        while len(self._snapshots) > left:
            self.chain.states.release(self._snapshots.pop().tipset)


def _log_failed_block(error: Exception) -> None:
    """Log the error of a block that no client gets, with a traceback if it is a defect."""
    is_defect = not isinstance(error, HypervisorError | StoreError)
    _LOG.error("no further block was made: %s", error, exc_info=error if is_defect else None)


def _mempool(chain: Chain) -> Mempool:
    """Create the mempool of a chain. Rules may replace the selection of messages (`building`)."""
    building, is_geth = chain.rules.building, chain.rules.features.has_geth_pool
    if building is None:
        return Mempool(is_geth=is_geth)
    return Mempool(partial(building.choose, chain.machine), partial(building.pool_class, chain.machine), is_geth)


@dataclass(frozen=True, slots=True)
class PendingBlock:
    """A pending block, and the machine in the state after it."""

    machine: Hypervisor
    tipset: Tipset
    executions: tuple[Execution, ...]

    def receipts(self) -> list[TransactionReceipt]:
        """Return the executed transactions of the block, in order."""
        found, events, gas = list[TransactionReceipt](), 0, 0
        for index, execution in enumerate(self.executions):
            found.append(TransactionReceipt(execution, self.tipset, index, events, self.machine.context.chain_id, gas))
            events += len(execution.events)
            gas += execution.receipt.gas_used
        return found


def has_pending(network: NetworkReader) -> bool:
    """Return True if the tag `pending` refers to a pending block, and not to the head."""
    return network.rules.features.has_pending_block and not network.chain.deferred


def next_block(network: NetworkReader, timestamp: int) -> BlockOverride:
    """Return number, time (`timestamp`) and base fee of the pending block; no override if the rules have none."""
    if not has_pending(network):
        return SAME_BLOCK
    head = network.head
    return BlockOverride(ChainEpoch(head.height + 1), timestamp, head.next_base_fee)


@dataclass(frozen=True, slots=True)
class PendingPlan:
    """Inputs of the pending block, which any thread can execute.

    `timestamp` is in Unix seconds; `retained` is the first height with a retained state at creation.
    """

    point: ChainPoint
    timestamp: int
    candidates: tuple[Candidate, ...]
    retained: int


class PendingPlans:
    """Plans of the pending block, cached until the pending messages or the time change."""

    def __init__(self, network: BlockProduction) -> None:
        self._network = network
        self._cached: tuple[tuple[object, ...], PendingPlan] | None = None

    def plan(self) -> PendingPlan:
        """Return the current plan. For the chain's own thread."""
        network, mempool = self._network, self._network.mempool
        point, timestamp = network.chain.point(), network.next_timestamp
        origin = point, timestamp, mempool.changes, mempool.first_come, network.chain.index.retained
        if self._cached is None or self._cached[0] != origin:
            plan = PendingPlan(point, timestamp, tuple(network.chosen()), network.chain.index.retained)
            self._cached = origin, plan
        return self._cached[1]


class PendingBlocks:
    """The pending block of a chain, executed again only when its plan changes."""

    def __init__(self, chain: ChainReader) -> None:
        self._chain = chain
        self._cached: tuple[PendingPlan, PendingBlock] | None = None

    def block(self, plan: PendingPlan) -> PendingBlock:
        """Return the pending block on a separate machine, which readers must not change.

        The chain is at the plan's point. Raises Fatal.
        """
        if self._cached is None or self._cached[0] != plan:
            self._cached = None  # release the previous machine before creating the next one
            self._cached = plan, _make(self._chain, plan)
        return self._cached[1]

    def forget(self) -> None:
        """Discard the block: its machine now belongs to another thread, and the next reader executes it again."""
        self._cached = None


def _make(chain: ChainReader, plan: PendingPlan) -> PendingBlock:
    head = chain.head
    machine = chain.machine_before(head, head.state)
    block = chain.next_block(machine, head, ChainEpoch(head.height + 1), plan.timestamp)
    block.begin()
    block.run_all(block_order(plan.candidates))
    block.end()
    return PendingBlock(machine, block.assemble(BufferedStore(machine.base)), tuple(block.executions))

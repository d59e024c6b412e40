"""Blocks of a node as cases: each transaction that reaches some contracts is one, on the state before it.

That state is the node's after the parent block, with the block's earlier transactions executed under the network's own
rules. So both sides begin with the state that the network had, and no difference carries over to a later transaction.
A transaction is compared only if its execution under the network's rules gives the node's receipt. Anything else is
reported: blocks whose state the node does not have, and transactions with other results.

An Ethereum node is read account by account (`localnet.fork.remote_chain`), a Filecoin node block by block
(`localnet.replay.sources`). Responses are cached like those of forks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol, cast

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.block import ETHEREUM, EthereumBlock
from bridge.ethereum.execution import EthereumExecution, RefusedTransaction
from bridge.ethereum.transactions import SignedTransaction
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.installation import AUTO
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import Tracer
from hypervisor.types import Gas, TokenAmount
from hypervisor.versions.changes import version_changes
from hypervisor_tools.laboratory.compare.contract_calls import CalledBlock, ContractCalls, NodeReceipt
from hypervisor_tools.laboratory.compare.explanation import Explanation
from hypervisor_tools.laboratory.compare.jobs import (
    MessageOutcome,
    NotCompared,
    RecordedCase,
    Run,
    fatal_outcome,
)
from hypervisor_tools.laboratory.compare.message_reasons import SourcePlaces, explain_charges, explain_transaction
from hypervisor_tools.laboratory.compare.tally import MessageCost, names_of
from hypervisor_tools.laboratory.sides import Side
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.forks.tipsets import block_context
from localnet.addresses import canonical_address
from localnet.chain.ethereum_start import base_state
from localnet.fork.account_origin import AccountBlocks
from localnet.fork.ethereum_fork import EthereumFork, EthereumForkPoint
from localnet.fork.forking import ForkSource
from localnet.fork.node_client import FORK_REQUESTS, OFFLINE, NodeError, as_unfit_node
from localnet.fork.remote_chain import RemoteChain
from localnet.fork.remote_history import ReadTransaction
from localnet.ledger.headers import IncludedMessage
from localnet.replay.sources import NodeSource, SourceSupply, machine_for, read_past_tipset
from localnet.replay.tipset_execution import tipset_steps
from localnet.rules.parts import rules_named, rules_of
from localnet.state.controls import set_balance
from runtimes.evm.blocks.block_run import BlockRun
from store.blocks.memory import MemoryStore, RemoteStore
from store.blockstore import StoreError

MAX_BLOCKS: Final = 10_000
NO_TRACES: Final = (
    "the node has neither trace_block nor debug_traceBlockByNumber, so calls without an event are not found"
)
MAX_GAS: Final = 1 << 28
"""Maximum gas limit of a transaction under Ethereum's rules, since a node can name any."""


def contract_address(text: str) -> EthAddress:
    """Return the Ethereum address of a contract, given as 0x... or f410f... Raises InvalidInput."""
    address = canonical_address(text)
    if not isinstance(address, bytes):
        raise InvalidInput(f"--contract {text:.66}: expected the contract's Ethereum address (0x...), or f410f...")
    return address


@dataclass(frozen=True, slots=True)
class NodeContracts:
    """Contracts on the network of a node, and the rules under which their transactions are compared."""

    url: str
    contracts: tuple[EthAddress, ...]
    sides: tuple[Side, Side]
    offline: bool = False
    code: Artifacts = field(default_factory=lambda: Artifacts(Path(), (), {}), compare=False)
    """Compiled contracts, whose instructions are named by source line."""

    def chain(self) -> RemoteChain:
        """Return a client of the node. Raises InvalidInput for an invalid URL."""
        options = OFFLINE if self.offline else FORK_REQUESTS
        return RemoteChain(self.url, ForkSource(self.url, options=options).is_cached, options)

    def jobs(self, blocks: int) -> list[NodeJob]:
        """Return the jobs for the newest `blocks` blocks, oldest first. Raises InvalidInput, UnfitNode."""
        if not 1 <= blocks <= MAX_BLOCKS:
            raise InvalidInput(f"--blocks is {blocks}: expected 1 to {MAX_BLOCKS:,}")
        with self.chain() as chain, as_unfit_node():
            newest = chain.block_number()
        return [NodeJob(self, number, newest) for number in range(max(1, newest - blocks + 1), newest + 1)]


@dataclass(frozen=True, slots=True)
class NodeJob:
    """A job: one block of a node."""

    wanted: NodeContracts
    number: int
    newest: int

    @property
    def name(self) -> str:
        return f"block {self.number}"

    def cases(self) -> Iterator[RecordedCase]:
        """Yield the transactions to compare, and one that cannot be compared for an error."""
        name = self.name
        try:
            reader = _reader(self.wanted, self.newest)
            found = reader.calls.block(self.number)
            if found is not None:
                yield from reader.cases(name, found)
            if not reader.calls.has_traces:
                yield _FailedCase("calls inside other contracts", NO_TRACES)
        except (HypervisorError, StoreError) as error:
            yield _FailedCase(name, str(error))


@dataclass(frozen=True, slots=True)
class _FailedCase:
    """A block, or the rest of one, that cannot be compared."""

    name: str
    reason: str

    def begin(self, side: Side, tracer: Tracer | None) -> Run:
        """Raise NotCompared."""
        raise NotCompared(self.reason)


class _Reader(Protocol):
    calls: ContractCalls

    def cases(self, name: str, block: CalledBlock) -> Iterator[RecordedCase]: ...


_OPEN: dict[tuple[object, ...], tuple[_Reader, ExitStack]] = {}
"""The reader of this process, which keeps its connections and the state that it has read."""


def _reader(wanted: NodeContracts, newest: int) -> _Reader:
    hardfork = wanted.sides[0].hardfork
    key = wanted.url, wanted.contracts, wanted.offline, hardfork
    if key not in _OPEN:
        close_readers()
        with ExitStack() as undo:
            chain = undo.enter_context(wanted.chain())
            kind = _EthereumBlocks if hardfork else _Tipsets
            _OPEN[key] = kind(chain, wanted, newest, undo), undo.pop_all()
    return _OPEN[key][0]


def close_readers() -> None:
    """Close the connections and files of this process. Worker processes close them at their end."""
    while _OPEN:
        _OPEN.popitem()[1][1].close()


@dataclass(frozen=True, slots=True)
class _NodeRun:
    """A transaction on a machine of its own, at the state before it."""

    machine: Hypervisor = field(repr=False)
    sent: ReadTransaction | IncludedMessage
    label: str

    def steps(self) -> Iterator[MessageOutcome]:
        try:
            yield _apply(self.machine, self.sent, self.label)
        except (NodeError, StoreError) as error:
            raise NotCompared(f"{self.label}: {error}") from None


def _apply(machine: Hypervisor, sent: ReadTransaction | IncludedMessage, label: str) -> MessageOutcome:
    """Execute a transaction or message. Raises NodeError or StoreError if state is missing."""
    try:
        result = _result(machine, sent)
    except RefusedTransaction as error:
        return MessageOutcome(label, refused=f"refused: {error}")
    if result.fatal is not None:
        outcome = fatal_outcome(label, result.fatal, result.receipt)
        if outcome.lacks_block:
            raise NodeError(f"the node lacks state: {result.fatal}")
        return outcome
    return MessageOutcome(label, result.receipt)


def _result(machine: Hypervisor, sent: ReadTransaction | IncludedMessage) -> ApplyResult:
    if isinstance(sent, IncludedMessage):
        return machine.apply(sent.message, sent.length)
    signed = SignedTransaction(sent.transaction, *sent.signature)
    return cast(EthereumExecution, machine.executor).apply_signed(signed, sent.sender)


@dataclass(frozen=True, slots=True)
class _TransactionCase:
    """A case: a transaction or message, and a machine at the state before it, under the network's rules."""

    name: str
    before: Hypervisor = field(repr=False)
    sent: ReadTransaction | IncludedMessage
    label: str
    places: SourcePlaces = field(repr=False)

    def begin(self, side: Side, tracer: Tracer | None) -> Run:
        """Start a run on a separate machine."""
        before, context = self.before, self.before.context
        if isinstance(context.block, EthereumBlock):
            context = replace(context, block=replace(context.block, fork=side.hardfork))
        else:
            context = replace(context, network=side.row(context.network))
        if side.changes_code:
            base = side.base_store(before.base, [before.manifest])
            machine = Hypervisor.at(
                base, before.root, context, evm=AUTO, externs=before.externs, proofs=before.proofs
            )  # fmt: skip
        else:
            machine = before.fork(context=context)
        machine.tracer = None if tracer is None else rules_of(machine).calls.adapt_tracer(tracer)
        return _NodeRun(machine, self.sent, self.label)

    def with_enough_gas(self, side: Side) -> Run:
        """Start a run with the highest gas limit and enough funds for it."""
        machine, sent = self.begin(side, None).machine, self.sent
        rules = rules_of(machine)
        limit = rules.messages.gas_limit(machine)
        if isinstance(sent, IncludedMessage):
            sender, fee = sent.message.from_, sent.message.gas_fee_cap
            sent = replace(sent, message=replace(sent.message, gas_limit=limit))
        else:
            sender, fee, limit = (
                to_filecoin(sent.sender),
                TokenAmount(sent.transaction.max_fee),
                Gas(min(limit, MAX_GAS)),
            )
            sent = replace(sent, transaction=replace(sent.transaction, gas_limit=limit))
        funds = min(machine.balance(sender) + limit * fee, rules.limits.balance)
        set_balance(machine, sender, TokenAmount(funds), rules.limits.balance)
        return _NodeRun(machine, sent, self.label)

    def explain(self, sides: tuple[Side, Side], costs: tuple[list[MessageCost], list[MessageCost]]) -> Explanation:
        """Return the instructions or charges that differ, with the proposals that change them."""
        first, second = sides
        if first.hardfork:
            runs = self.begin(first, None), self.begin(second, None)
            return explain_transaction(runs, (first.hardfork, second.hardfork), self.places)
        network = self.before.context.network
        changes = version_changes(first.row(network), second.row(network))
        return explain_charges(costs, names_of(self.before.manifest), changes)


class _EthereumBlocks:
    """Blocks of an Ethereum node. Accounts are read from the node after the parent block."""

    def __init__(self, chain: RemoteChain, wanted: NodeContracts, newest: int, undo: ExitStack) -> None:
        self.calls, self._places = ContractCalls(chain, wanted.contracts), SourcePlaces(wanted.code)
        self._hardfork = wanted.sides[0].hardfork
        blocks = AccountBlocks()
        self._fork = EthereumFork(EthereumForkPoint(wanted.url, chain.chain_id, chain.block(newest)), chain, blocks)
        self._machine = undo.enter_context(
            Hypervisor.open(store=RemoteStore(MemoryStore(), blocks), rules=ETHEREUM, externs=self._fork)
        )
        rules_named(ETHEREUM, self._hardfork).settings.prepare(self._machine)
        self._fork.base = base_state(self._machine)

    def cases(self, name: str, found: CalledBlock) -> Iterator[RecordedCase]:
        """Yield the transactions that reach the contracts, until one has another result than on the network."""
        machine = self._machine_before(found)
        BlockRun(machine).start(found.beacon_root, found.parent_hash)
        transactions = found.transactions()
        while transactions and transactions[-1].hash not in found.reaching:
            transactions.pop()
        for sent in transactions:
            label = f"0x{sent.hash.hex()}"
            _check_bounds(sent, label, rules_of(machine).features.transaction_types)
            is_wanted = sent.hash in found.reaching
            case = _TransactionCase(name, machine.fork(), sent, label, self._places) if is_wanted else None
            _check_receipt(_apply(machine, sent, label), found)
            if case is not None:
                yield case

    def _machine_before(self, found: CalledBlock) -> Hypervisor:
        """Return a machine in the context of a block, at the state after its parent, under the network's rules."""
        block, fork = self._fork.block(found.number), self._fork
        point, own = replace(fork.point, block=block), self._machine
        context = block_context(own.context, block, fork.point.chain_id)
        assert isinstance(context.block, EthereumBlock)
        settings = replace(
            context.block,
            fork=point.hardfork or self._hardfork,
            gas_limit=point.gas_limit,
            randomness=block.randomness,
            slot_number=found.slot_number,
        )
        origin = fork.origin(own.manifest, found.number - 1)
        machine = own.fork(fork.base, replace(context, block=settings), origin=origin)
        fee = rules_of(machine).blob_base_fee(settings.excess_blob_gas)  # the network's, under both sides
        machine.advance(block=replace(settings, blob_base_fee=fee))
        return machine


def _check_bounds(sent: ReadTransaction, label: str, types: Sequence[int]) -> None:
    """Raise InvalidInput for a transaction that cannot be executed here."""
    transaction = sent.transaction
    if transaction.type not in types:
        raise InvalidInput(f"{label} has the type {transaction.type:#x}, which the network's rules do not have here")
    if transaction.gas_limit > MAX_GAS:
        raise InvalidInput(f"{label} has a gas limit of {transaction.gas_limit:,}, at most {MAX_GAS:,} is executed")


class _Tipsets:
    """Tipsets of a Filecoin node."""

    def __init__(self, chain: RemoteChain, wanted: NodeContracts, newest: int, undo: ExitStack) -> None:
        self.calls = ContractCalls(chain, wanted.contracts, has_null_rounds=True)
        self._places = SourcePlaces(wanted.code)
        self._source = undo.enter_context(closing(NodeSource(wanted.url, chain=chain)))

    def cases(self, name: str, found: CalledBlock) -> Iterator[RecordedCase]:
        """Yield the messages that reach the contracts, until one has another result than on the network."""
        source = self._source
        reaching = {source.message_cid(f"0x{each.hex()}"): each for each in found.reaching}
        past = read_past_tipset(source, source.tipset_at(found.number))
        machine, supply = machine_for(source, past), SourceSupply(source, past.headers)
        waiting: list[_TransactionCase] = []
        left = len(reaching)

        def watch(included: IncludedMessage) -> None:
            if included.cid in reaching:
                machine.flush()
                label = f"0x{reaching[included.cid].hex()}"
                waiting.append(_TransactionCase(name, machine.fork(), included, label, self._places))

        for step in tipset_steps(machine, past.work, supply, watch=watch):
            for case in waiting:
                _check_receipt(MessageOutcome(case.label, step.result.receipt), found)
                yield case
                left -= 1
            waiting.clear()
            if not left:
                return
        raise InvalidInput(f"{left} of {len(reaching)} messages that reach the contracts are not in the tipset")


def _check_receipt(outcome: MessageOutcome, block: CalledBlock) -> None:
    """Raise InvalidInput if an execution under the network's rules did not give the node's receipt."""
    stated, done = block.receipts.get(bytes.fromhex(outcome.label[2:])), outcome.receipt
    if done is None:
        here = outcome.end()
    else:
        result = NodeReceipt(done.exit_code == 0, done.gas_used)
        if result == stated:
            return
        here = f"{outcome.end()}, {result}"
    raise InvalidInput(
        f"{outcome.label} is not reproduced under the network's rules: {here}; the node's receipt: {stated}. Name the "
        "network's rules first in --rules; else the node returned another state"
    )

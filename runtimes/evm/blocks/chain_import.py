"""Import of Ethereum blocks, and the forks of a chain by block number, timestamp or total difficulty.

Each block is checked, executed on its parent's state, and compared with its header. An invalid block raises
InvalidBlock and is not added to the chain. The head is the block with the highest total difficulty under proof of work,
and the last imported block under proof of stake. Rules: the execution specifications' `state_transition` and
`apply_body`.

Networks are named as in Ethereum's test fixtures: a fork, or a transition between two forks at block 5
(`BerlinToLondonAt5`), at a timestamp (`ShanghaiToCancunAtTime15k`), or at a total difficulty
(`ArrowGlacierToParisAtDiffC0000`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bridge.ethereum.block import ETHEREUM, BlockAccessList, EthereumBlock
from bridge.ethereum.patricia import list_root
from bridge.ethereum.transactions import (
    BLOB,
    GAS_PER_BLOB,
    SET_CODE,
    SignedTransaction,
    TransactionError,
    parse_transaction,
)
from bridge.filecoin.receipts import bloom
from hypervisor.context import ExternError, MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.machine.machine_state import MachineState, Snapshot
from hypervisor.types import ChainEpoch, TokenAmount
from runtimes.evm.blocks.alloc import StateRoots, move_dao_balances
from runtimes.evm.blocks.block_run import BlockRun, requests_hash
from runtimes.evm.blocks.headers import (
    OMMER_GENERATIONS,
    Header,
    RawBlock,
    block_hash_cid,
    check_access_list,
    check_block,
    check_header,
    check_ommers,
    parse_block,
)
from runtimes.evm.forks.forks import Fork, find_fork, list_forks
from runtimes.evm.forks.validation import InvalidBlock, InvalidTransaction, RejectionReason, mismatch
from store.cid import Cid

_TRANSITION: Final = re.compile(r"(?P<before>\w+?)To(?P<after>\w+?)At(?P<kind>Time|Diff|)(?P<place>[0-9A-Fa-f]+k?)")
_DAO: Final = "Dao"


@dataclass(frozen=True, slots=True)
class ForkSchedule:
    """The forks of a chain: `first`, and optionally `later`.

    `later` applies from a block number, a timestamp, or a total difficulty of the parent. `dao_block` is the number of
    the block that moves the DAO's balances, or None.
    """

    first: Fork
    later: Fork | None = None
    at_block: int | None = None
    at_time: int | None = None
    at_difficulty: int | None = None
    dao_block: int | None = None

    def fork_at(self, number: int, timestamp: int, total_difficulty: int) -> Fork:
        """Return the fork of a block. `total_difficulty` is that of its parent."""
        if self.later is None:
            return self.first
        is_later = (
            (self.at_block is not None and number >= self.at_block)
            or (self.at_time is not None and timestamp >= self.at_time)
            or (self.at_difficulty is not None and total_difficulty >= self.at_difficulty)
        )
        return self.later if is_later else self.first


def schedule_of(network: str) -> ForkSchedule:
    """Return the schedule of a network by its name in fixtures. Raises InvalidInput for an unknown name."""
    fork = find_fork(network)
    if fork is not None:
        return ForkSchedule(fork)
    match = _TRANSITION.fullmatch(network)
    before = None if match is None else find_fork(match["before"])
    if match is None or before is None:
        raise _unknown_network(network)
    kind, place = match["kind"], match["place"]
    is_dao = match["after"] == _DAO and not kind
    after = find_fork(match["after"])
    if after is None and not is_dao:
        raise _unknown_network(network)
    try:
        if is_dao:
            return ForkSchedule(before, dao_block=int(place))
        if kind == "Diff":
            return ForkSchedule(before, after, at_difficulty=int(place, 16))
        number = int(place.removesuffix("k")) * (1000 if place.endswith("k") else 1)
    except ValueError:
        raise _unknown_network(network) from None
    return ForkSchedule(before, after, at_time=number) if kind else ForkSchedule(before, after, at_block=number)


def _unknown_network(network: str) -> InvalidInput:
    return InvalidInput(
        f"network '{network}' is not known: choose a transition such as BerlinToLondonAt5, ShanghaiToCancunAtTime15k or"
        f" HomesteadToDaoAt5, or one of {list_forks()}"
    )


_BLOCK_HASHES: Final = 256
_MALFORMED: Final = (
    "RLP_STRUCTURES_ENCODING",
    "INCORRECT_BLOCK_FORMAT",
    "RLP_INVALID_VALUE",
    "TYPE_NOT_SUPPORTED",
    "INVALID_SIGNATURE_VRS",
)
"""Exception names for a transaction that cannot be parsed; fixtures expect different ones."""
_MALFORMED_TYPE: Final = {
    BLOB: ("TYPE_3_TX_WITH_FULL_BLOBS", "TYPE_3_TX_CONTRACT_CREATION"),
    SET_CODE: (
        "TYPE_4_INVALID_AUTHORIZATION_FORMAT",
        "TYPE_4_INVALID_AUTHORITY_SIGNATURE",
        "TYPE_4_INVALID_AUTHORITY_SIGNATURE_S_TOO_HIGH",
        "TYPE_4_TX_CONTRACT_CREATION",
    ),
}
"""Further exception names for such a transaction, by its type."""
_MAX_NUMBER: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class ImportedBlock:
    """A valid block and the state after it. `total_difficulty` includes its ancestors; `ommers` are hashes."""

    header: Header
    hash: bytes
    total_difficulty: int
    fork: Fork
    ommers: frozenset[bytes]
    state: Snapshot


class AncestorHashes:
    """Externs for the execution of a block: its randomness or difficulty, and the hashes of its ancestors."""

    def __init__(self, random: bytes, parent: bytes, blocks: dict[bytes, ImportedBlock]) -> None:
        self._random = random
        self._parent = parent
        self._blocks = blocks
        self._ancestors: dict[int, bytes] | None = None
        """Hashes of the ancestors by number, collected on first use."""

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the block's randomness, or its difficulty under proof of work."""
        return self._random

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the block's randomness, or its difficulty under proof of work."""
        return self._random

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        """Return the hash of an ancestor as a CID. Raises ExternError for other numbers."""
        if self._ancestors is None:
            self._ancestors = self._collect_ancestors()
        if epoch not in self._ancestors:
            raise ExternError(f"block {epoch} is not an ancestor")
        return block_hash_cid(self._ancestors[epoch])

    def state_root(self, epoch: ChainEpoch) -> Cid:
        """Raise ExternError: no opcode reads an earlier state."""
        raise ExternError(f"the state of block {epoch} is not kept")

    def _collect_ancestors(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        block_hash = self._parent
        while block_hash in self._blocks and len(found) < _BLOCK_HASHES:
            header = self._blocks[block_hash].header
            found[header.number] = block_hash
            block_hash = header.parent_hash
        return found


class ChainImport:
    """The blocks of a chain and its side chains, on a machine that holds the state of the genesis block at first."""

    def __init__(
        self,
        machine: MachineState,
        genesis: Header,
        schedule: ForkSchedule,
        chain_id: int = 1,
        roots: StateRoots | None = None,
    ) -> None:
        """`genesis` is trusted: its state root is not compared with the machine's state."""
        self._machine = machine
        self._schedule = schedule
        self._chain_id = chain_id
        self._roots = StateRoots() if roots is None else roots
        fork = schedule.fork_at(genesis.number, genesis.timestamp, 0)
        first = ImportedBlock(genesis, genesis.hash(), genesis.difficulty, fork, frozenset(), machine.snapshot())
        self._blocks = {first.hash: first}
        self._current: bytes | None = first.hash
        """Hash of the block whose state the machine holds; None while a block is executed, or if that failed."""
        self.head = first

    def import_block(self, raw: bytes, access_list: BlockAccessList | None = None) -> ImportedBlock:
        """Check a block, execute it on its parent's state, and add it to the chain. Raises InvalidBlock.

        `access_list` is the list that its producer published, which an error compares with the block's accesses.
        """
        block = parse_block(raw)
        header = block.header
        if block.hash in self._blocks:
            return self._blocks[block.hash]
        parent = self._blocks.get(header.parent_hash)
        if parent is None:
            names = ("UNKNOWN_PARENT", "UNKNOWN_PARENT_ZERO")
            raise InvalidBlock(f"the parent 0x{header.parent_hash.hex()} is not known", *names)
        if header.number > _MAX_NUMBER:
            raise InvalidBlock(f"number {header.number} exceeds the limit, {_MAX_NUMBER}", "INVALID_BLOCK_NUMBER")
        fork = self._schedule.fork_at(header.number, header.timestamp, parent.total_difficulty)
        dao_block = self._schedule.dao_block
        check_block(block, parent.header, fork, parent.fork, dao_block)
        self._check_ommers(block)
        transactions = _transactions(block)
        if self._current != parent.hash:
            self._machine.restore(parent.state)
        self._current = None
        self._execute(block, parent, fork, transactions, access_list)
        imported = ImportedBlock(
            header,
            block.hash,
            parent.total_difficulty + header.difficulty,
            fork,
            frozenset(ommer.hash() for ommer in block.ommers),
            self._machine.snapshot(),
        )
        self._blocks[block.hash] = imported
        self._current = block.hash
        if fork.proof_of_stake or imported.total_difficulty > self.head.total_difficulty:
            self.head = imported
        return imported

    def reset_to_head(self) -> None:
        """Set the machine to the state of the head."""
        if self._current != self.head.hash:
            self._machine.restore(self.head.state)
            self._current = self.head.hash

    # --- checks -----------------------------------------------------------------------------------------------

    def _check_ommers(self, block: RawBlock) -> None:
        if not block.ommers:
            return
        ancestors: dict[bytes, Header] = {}
        known: set[bytes] = set()
        block_hash = block.header.parent_hash
        for _ in range(OMMER_GENERATIONS):
            found = self._blocks.get(block_hash)
            if found is None:
                break
            ancestors[block_hash] = found.header
            known |= found.ommers
            block_hash = found.header.parent_hash
        for ommer, parent in check_ommers(block, ancestors, known):
            before = self._blocks[ommer.parent_hash]
            fork = self._schedule.fork_at(ommer.number, ommer.timestamp, before.total_difficulty)
            check_header(ommer, parent, fork, before.fork, self._schedule.dao_block)

    def _check_results(self, block: RawBlock, run: BlockRun) -> None:
        header = block.header
        root = list_root(block.transactions)
        if root != header.transactions_root:
            message = mismatch("transactions root", header.transactions_root, root)
            raise InvalidBlock(message, "INVALID_TRANSACTIONS_ROOT")
        if run.gas_used != header.gas_used:
            raise InvalidBlock(f"gas used {header.gas_used}, expected {run.gas_used}", "INVALID_GAS_USED")
        if run.fork.beacon_root and run.blob_gas_used != header.blob_gas_used:
            names, limit = ["INCORRECT_BLOB_GAS_USED"], GAS_PER_BLOB * run.fork.blobs.maximum
            if (header.blob_gas_used or 0) > limit:
                names.insert(0, "BLOB_GAS_USED_ABOVE_LIMIT")
            raise InvalidBlock(f"blob gas used {header.blob_gas_used}, expected {run.blob_gas_used}", *names)
        logs = [log for applied in run.applied for log in applied.logs()]
        pairs = (
            ("bloom", header.bloom, bloom(logs), "INVALID_LOG_BLOOM"),
            (
                "receipts root",
                header.receipts_root,
                list_root(applied.receipt() for applied in run.applied),
                "INVALID_RECEIPTS_ROOT",
            ),
            ("state root", header.state_root, self._roots.root(self._machine), "INVALID_STATE_ROOT"),
        )
        for what, found, expected, name in pairs:
            if found != expected:
                raise InvalidBlock(mismatch(what, found, expected), name)
        if run.requests is not None and requests_hash(run.requests) != header.requests_hash:
            message = mismatch("requests hash", header.requests_hash or b"", requests_hash(run.requests))
            raise InvalidBlock(message, "INVALID_REQUESTS")

    # --- execution --------------------------------------------------------------------------------------------

    def _execute(
        self,
        block: RawBlock,
        parent: ImportedBlock,
        fork: Fork,
        transactions: Iterable[SignedTransaction],
        access_list: BlockAccessList | None,
    ) -> None:
        machine, header = self._machine, block.header
        random = header.mix_hash if fork.proof_of_stake else header.difficulty.to_bytes(32, "big")
        machine.context = MachineContext(
            epoch=ChainEpoch(header.number),
            timestamp=header.timestamp,
            base_fee=TokenAmount(header.base_fee or 0),
            chain_id=self._chain_id,
            rules=ETHEREUM,
            block=EthereumBlock(
                fork=fork.name,
                coinbase=header.coinbase,
                gas_limit=header.gas_limit,
                excess_blob_gas=header.excess_blob_gas or 0,
                filecoin_addresses=False,
                randomness=random,
                slot_number=header.slot_number or 0,
            ),
        )
        machine.externs = AncestorHashes(random, parent.hash, self._blocks)
        if self._schedule.dao_block == header.number:
            move_dao_balances(machine)
        run = BlockRun(machine, roots=self._roots)
        run.start(header.beacon_root, parent.hash)
        for index, transaction in enumerate(transactions):
            try:
                run.apply(transaction)
            except InvalidTransaction as error:
                names = _names_of(error, run, transaction)
                raise InvalidBlock(f"transaction {index}: {error.details}", *names) from None
            except TransactionError as error:
                raise InvalidBlock(f"transaction {index}: {error}", "INVALID_SIGNATURE_VRS") from None
        if not fork.proof_of_stake:
            ommers = [(header.number - ommer.number, ommer.coinbase) for ommer in block.ommers]
            run.pay_rewards(fork.block_reward, ommers)
        run.finish(block.withdrawals or ())
        self._check_results(block, run)
        check_access_list(header, run.access_list, access_list)


def _names_of(error: InvalidTransaction, run: BlockRun, transaction: SignedTransaction) -> list[str]:
    """Return the names of all rules that a transaction breaks, because clients check them in different orders."""
    names = [error.refusal.name]
    if error.refusal is not RejectionReason.INVALID_SIGNATURE_VRS:
        names += run.refusals(transaction)
    return names


def _transactions(block: RawBlock) -> list[SignedTransaction]:
    parsed = []
    for index, raw in enumerate(block.transactions):
        try:
            parsed.append(parse_transaction(raw))
        except TransactionError as error:
            names = [*_MALFORMED, *_MALFORMED_TYPE.get(raw[0] if raw else 0, ())]
            raise InvalidBlock(f"transaction {index}: {error}", *names) from None
    return parsed

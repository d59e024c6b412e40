"""The transition tool: executes a block's transactions on accounts, and returns receipts and the new accounts.

The JSON is that of go-ethereum's `evm t8n` and of the execution specifications' tool, which test generators and fuzzers
use. This module works on JSON values; `t8n_files` reads and writes the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.ethereum import rlp
from bridge.ethereum.transactions import (
    ACCESS_LIST,
    ALL_TYPES,
    BLOB,
    LEGACY,
    SET_CODE,
    SignedTransaction,
    Transaction,
    TransactionError,
    check_type,
    parse_transaction,
    read_v,
)
from fvm_hypervisor.laboratory.vectors.ethereum_json import (
    BadFixture,
    read_access_list,
    read_accounts,
    read_address,
    read_authorization,
    read_bytes,
    read_field,
    read_list,
    read_number,
    read_object,
    within,
)
from fvm_hypervisor.laboratory.vectors.statetest import FixtureExterns, base_machine
from fvm_hypervisor.laboratory.vectors.t8n_env import Environment, read_environment
from fvm_hypervisor.laboratory.vectors.t8n_output import alloc_json, body_item, result_json
from fvm_hypervisor.laboratory.vectors.t8n_refusals import rejection_text
from hypervisor.installation import OWN_EVM
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import StepRecorder
from hypervisor.types import ChainEpoch
from runtimes.evm.ethereum import (
    LATEST_FORK,
    BlockRun,
    ForkSchedule,
    InvalidBlock,
    InvalidTransaction,
    block_hash_cid,
    install_alloc,
    move_dao_balances,
    read_alloc,
    schedule_of,
)
from store.cid import Cid

_GETH_TYPES: Final = {BLOB: "BlobTx", SET_CODE: "SetCodeTx"}
"""go-ethereum's names of the transaction types that cannot create a contract."""


class MissingBlockHash(BadFixture):
    """Raised if a contract reads the hash of a block that the environment does not contain."""


@dataclass(frozen=True, slots=True)
class Transition:
    """Output of the tool. `trace` has the events of each applied transaction, if requested."""

    result: dict[str, Any]
    alloc: dict[str, Any]
    body: str
    traces: list[tuple[int, SignedTransaction, StepRecorder]] = field(default_factory=list)


class EnvironmentExterns(FixtureExterns):
    """Externs of the environment: its randomness and its block hashes."""

    def __init__(self, random: bytes, hashes: Mapping[int, bytes]) -> None:
        super().__init__(random)
        self._hashes = hashes
        self.missing = ""
        """Error text for a block hash that was read but is missing; empty if there is none."""

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        if epoch not in self._hashes:
            self.missing = f"'blockHashes' has no hash of block {epoch}, which a contract reads"
        return block_hash_cid(self._hashes.get(epoch, bytes(32)))


def transition(
    alloc: Any,
    env: Any,
    txs: Any,
    fork_name: str,
    chain_id: int = 1,
    evm: str = OWN_EVM,
    trace: bool = False,
    reward: int = 0,
) -> Transition:
    """Run a block. `txs` is a list of transactions, or the hex of their RLP. Raises InvalidInput, naming the field.

    `fork_name` is a fork or a transition, as in fixtures (default: the latest fork). `reward` is the block reward in
    wei; with -1 the coinbase is not touched either.

    The result of an invalid block has the field `blockException`, as in the execution specifications' tool.
    """
    schedule = schedule_of(fork_name) if fork_name else ForkSchedule(LATEST_FORK)
    machine = base_machine(evm).fork()
    with within("env"):
        block = read_environment(read_object(env, "env"), schedule, chain_id)
    machine.context = block.context
    machine.externs = externs = EnvironmentExterns(block.random, block.hashes or {})
    install_alloc(machine, read_accounts(alloc, "alloc"))
    run = BlockRun(machine)
    if block.is_dao_block:
        move_dao_balances(machine)
    parent = machine.context.epoch - 1
    run.start(block.beacon_root, None if block.hashes is None else block.hashes.get(parent, bytes(32)))
    rejected, traces = _apply_all(machine, run, txs, trace, block)
    if externs.missing:
        raise MissingBlockHash(externs.missing)
    if reward >= 0:
        run.pay_rewards(reward, block.ommers)
    exception = ""
    try:
        run.finish((block.withdrawals or ()) if block.fork.withdrawals else ())
    except InvalidBlock as error:
        exception = str(error)
    after = dict(read_alloc(machine))
    result = result_json(run, block, rejected, after)
    if exception:
        result["blockException"] = exception
    body = rlp.encode([body_item(applied.signed.raw()) for applied in run.applied])
    return Transition(result, alloc_json(after), "0x" + body.hex(), traces)


def _apply_all(
    machine: Hypervisor, run: BlockRun, txs: Any, trace: bool, block: Environment
) -> tuple[list[dict[str, Any]], list[tuple[int, SignedTransaction, StepRecorder]]]:
    rejected, traces = [], []
    for index, item in enumerate(_items(txs)):
        recorder = machine.tracer = StepRecorder() if trace else None
        try:
            with within(f"txs, item {index}"):
                transaction = _read_transaction(item, block)
            run.apply(transaction)
        except InvalidTransaction as error:
            rejected.append({"index": index, "error": rejection_text(run, transaction, error)})
        except TransactionError as error:
            rejected.append({"index": index, "error": str(error)})
        else:
            if recorder is not None:
                traces.append((index, transaction, recorder))
    machine.tracer = None
    return rejected, traces


# --- input ------------------------------------------------------------------------------------------------------------


def _items(txs: Any) -> Sequence[Any]:
    """Return the individual transactions, as JSON objects or encoded bytes."""
    if isinstance(txs, str):
        try:
            items = rlp.read_list(rlp.decode(read_bytes(txs, "txs")))
        except rlp.RlpError as error:
            raise BadFixture(f"'txs' is not an RLP list: {error}") from None
        return [item if isinstance(item, bytes) else rlp.encode(item) for item in items]
    return read_list(txs, "txs")


def _read_transaction(item: Any, block: Environment) -> SignedTransaction:
    if isinstance(item, bytes):
        parsed = parse_transaction(item)
        if parsed.transaction.type in _GETH_TYPES and parsed.transaction.to is None:  # as go-ethereum's decoder
            name = _GETH_TYPES[parsed.transaction.type]
            raise TransactionError(
                f"rlp: input string too short for common.Address, decoding into (types.Transaction)(types.{name}).To"
            )
        return parsed
    transaction = _transaction(read_object(item, "transaction"))
    if item.get("secretKey") is not None and not read_number(item.get("r") or 0, "r"):
        return _sign(transaction, read_bytes(item["secretKey"], "secretKey", 32))
    v = read_number(item.get("yParity", item.get("v")), "v")
    parity = read_v(v)[1] if transaction.type == LEGACY else v
    return SignedTransaction(transaction, parity, read_number(item.get("r"), "r"), read_number(item.get("s"), "s"))


def _sign(transaction: Transaction, key: bytes) -> SignedTransaction:
    try:
        return transaction.sign(key)
    except TransactionError:
        raise
    except ValueError as error:
        raise BadFixture(f"'secretKey' is not a valid private key: {error}") from None


def _transaction(item: Any) -> Transaction:
    kind = read_number(item.get("type") or 0, "type")
    check_type(kind, ALL_TYPES)
    is_legacy = kind <= ACCESS_LIST
    fee = read_number(item.get("gasPrice" if is_legacy else "maxFeePerGas"), "gasPrice or maxFeePerGas")
    v = read_number(item.get("v") or 0, "v")
    chain_id: int | None = read_number(item.get("chainId") or 0, "chainId")
    if kind == LEGACY:
        protected = v >= 35 or (item.get("protected", True) and v == 0 and item.get("secretKey") is not None)
        chain_id = ((v - 35) // 2 if v >= 35 else chain_id or 1) if protected else None
    blobs = read_list(item.get("blobVersionedHashes"), "blobVersionedHashes")
    authorizations = read_list(item.get("authorizationList"), "authorizationList")
    return Transaction(
        type=kind,
        nonce=read_number(read_field(item, "nonce"), "nonce"),
        to=read_address(item["to"], "to") if item.get("to") else None,
        value=read_number(read_field(item, "value"), "value"),
        data=read_bytes(item.get("input", item.get("data", "")), "input"),
        gas_limit=read_number(item.get("gas", item.get("gasLimit")), "gas"),
        max_fee=fee,
        max_priority_fee=fee if is_legacy else read_number(item.get("maxPriorityFeePerGas"), "maxPriorityFeePerGas"),
        chain_id=chain_id,
        access_list=read_access_list(item.get("accessList")),
        max_fee_per_blob_gas=read_number(item.get("maxFeePerBlobGas") or 0, "maxFeePerBlobGas"),
        blob_hashes=tuple(read_bytes(each, "blobVersionedHashes", 32) for each in blobs),
        authorizations=tuple(read_authorization(each) for each in authorizations),
    )

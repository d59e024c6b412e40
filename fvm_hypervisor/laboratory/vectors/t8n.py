"""The transition tool: executes a block's transactions on accounts, and returns receipts and the new accounts.

The JSON is that of `evm t8n` of go-ethereum and of the execution specifications' tool, which test generators and
fuzzers use. This module works on values; the command line reads and writes the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge import rlp
from bridge.ethereum_block import EthereumBlock, next_base_fee
from bridge.transaction_parsing import parse_transaction, read_v
from bridge.transactions import (
    ACCESS_LIST,
    ALL_TYPES,
    LEGACY,
    SignedTransaction,
    Transaction,
    TransactionError,
    check_type,
)
from fvm_hypervisor.laboratory.vectors import t8n_output as output
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
from fvm_hypervisor.laboratory.vectors.statetest import EXCESS_BITS, RULES, FixtureExterns, base_machine
from hypervisor.context import MachineContext
from hypervisor.machine import Hypervisor
from hypervisor.opening import OWN_EVM
from hypervisor.tracing import StepRecorder
from hypervisor.types import ChainEpoch, TokenAmount
from runtimes.evm.ethereum import (
    BlockRun,
    Fork,
    ForkBlobs,
    InvalidBlock,
    InvalidTransaction,
    Withdrawal,
    fork_named,
    install_alloc,
    read_alloc,
)
from store.cid import Cid


class MissingBlockHash(BadFixture):
    """Raised if a contract reads the hash of a block that the environment does not contain."""


@dataclass(frozen=True, slots=True)
class Transition:
    """Output of the tool. `trace` has the events of each applied transaction, if requested."""

    result: dict[str, Any]
    alloc: dict[str, Any]
    body: str
    traces: list[tuple[int, SignedTransaction, StepRecorder]] = field(default_factory=list)


class GivenHashes(FixtureExterns):
    """The chain described by the environment."""

    def __init__(self, random: bytes, hashes: Mapping[int, bytes]) -> None:
        super().__init__(random)
        self._hashes = hashes

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        if epoch not in self._hashes:
            raise MissingBlockHash(f"'blockHashes' does not name block {epoch}, whose hash is asked for")
        return self.block_cid(self._hashes[epoch])


def transition(
    alloc: Any, env: Any, txs: Any, fork_name: str, chain_id: int = 1, evm: str = OWN_EVM, trace: bool = False
) -> Transition:
    """Run a block. `txs` is a list of transactions, or the hex of their RLP. Raises InvalidInput, naming the field.

    A block that may not be has a `blockException` in its result, as the execution specifications' own tool says it.
    """
    fork = fork_named(fork_name)
    machine = base_machine(evm).fork()
    env = read_object(env, "env")
    with within("env"):
        hashes, withdrawals = (
            _hashes(env),
            [_withdrawal(item) for item in read_list(env.get("withdrawals"), "withdrawals")],
        )
        random = read_number(env.get("currentRandom") or 0, "currentRandom").to_bytes(32)
        root = env.get("parentBeaconBlockRoot")
        beacon_root = None if root is None else read_bytes(root, "parentBeaconBlockRoot", 32)
        machine.context = _context(env, fork, chain_id)
    machine.externs = GivenHashes(random, hashes)
    install_alloc(machine, read_accounts(alloc, "alloc"))
    run = BlockRun(machine)
    run.start(beacon_root, hashes.get(machine.context.epoch - 1))
    rejected, traces = _apply_all(machine, run, txs, trace)
    exception = ""
    try:
        run.finish(withdrawals)
    except InvalidBlock as error:
        exception = str(error)
    after = dict(read_alloc(machine))
    result = output.result(run, rejected, after, None if env.get("withdrawals") is None else withdrawals)
    if exception:
        result["blockException"] = exception
    body = rlp.encode([output.body_item(applied.signed.raw()) for applied in run.applied])
    return Transition(result, output.alloc(after), "0x" + body.hex(), traces)


def _apply_all(
    machine: Hypervisor, run: BlockRun, txs: Any, trace: bool
) -> tuple[list[dict[str, Any]], list[tuple[int, SignedTransaction, StepRecorder]]]:
    rejected, traces = [], []
    for index, item in enumerate(_items(txs)):
        recorder = machine.tracer = StepRecorder() if trace else None
        try:
            with within(f"txs, item {index}"):
                transaction = _read_transaction(item)
            run.apply(transaction)
        except (InvalidTransaction, TransactionError) as error:
            rejected.append({"index": index, "error": str(error)})
        else:
            if recorder is not None:
                traces.append((index, transaction, recorder))
    machine.tracer = None
    return rejected, traces


# --- in ---------------------------------------------------------------------------------------------------------------


def _context(env: Any, fork: Fork, chain_id: int) -> MachineContext:
    return MachineContext(
        epoch=ChainEpoch(read_number(read_field(env, "currentNumber"), "currentNumber", 63)),
        timestamp=read_number(read_field(env, "currentTimestamp"), "currentTimestamp", 64),
        base_fee=TokenAmount(_base_fee(env)),
        chain_id=chain_id,
        rules=RULES,
        block=EthereumBlock(
            fork=fork.name,
            coinbase=read_address(read_field(env, "currentCoinbase"), "currentCoinbase"),
            gas_limit=read_number(read_field(env, "currentGasLimit"), "currentGasLimit"),
            excess_blob_gas=_excess_blob_gas(env, fork),
            filecoin_addresses=False,
        ),
    )


def _base_fee(env: Any) -> int:
    """Return the block's base fee, or compute it from the parent block."""
    if env.get("currentBaseFee") is not None:
        return read_number(env["currentBaseFee"], "currentBaseFee")
    if env.get("parentBaseFee") is None:
        raise BadFixture("one of the fields 'currentBaseFee' and 'parentBaseFee' is needed")
    fee, used, limit = (_parent(env, name) for name in ("parentBaseFee", "parentGasUsed", "parentGasLimit"))
    if limit < 2:
        raise BadFixture(f"'parentGasLimit' is {limit}: half of it, which a base fee aims at, is nothing")
    return next_base_fee(fee, used, limit)


def _excess_blob_gas(env: Any, fork: Fork) -> int:
    if env.get("currentExcessBlobGas") is not None:
        return read_number(env["currentExcessBlobGas"], "currentExcessBlobGas", EXCESS_BITS)
    if env.get("parentExcessBlobGas") is None:
        return 0
    excess = read_number(env["parentExcessBlobGas"], "parentExcessBlobGas", EXCESS_BITS)
    used = read_number(env.get("parentBlobGasUsed") or 0, "parentBlobGasUsed", EXCESS_BITS)
    fee = read_number(env.get("parentBaseFee") or 0, "parentBaseFee")
    return ForkBlobs(fork).next_excess(excess, used, fee)


def _parent(env: Any, name: str) -> int:
    return read_number(read_field(env, name), name)


def _hashes(env: Any) -> dict[int, bytes]:
    found = read_object(env.get("blockHashes") or {}, "blockHashes")
    return {read_number(key, "blockHashes"): read_bytes(value, "blockHashes", 32) for key, value in found.items()}


def _withdrawal(item: Any) -> Withdrawal:
    return Withdrawal(
        index=read_number(read_field(item, "index"), "index"),
        validator=read_number(read_field(item, "validatorIndex"), "validatorIndex"),
        address=read_address(read_field(item, "address"), "address"),
        amount=read_number(read_field(item, "amount"), "amount"),
    )


def _items(txs: Any) -> Sequence[Any]:
    """Return the individual transactions, as JSON objects or encoded bytes."""
    if isinstance(txs, str):
        try:
            items = rlp.read_list(rlp.decode(read_bytes(txs, "txs")))
        except rlp.RlpError as error:
            raise BadFixture(f"'txs' is not an RLP list: {error}") from None
        return [item if isinstance(item, bytes) else rlp.encode(item) for item in items]
    return read_list(txs, "txs")


def _read_transaction(item: Any) -> SignedTransaction:
    if isinstance(item, bytes):
        return parse_transaction(item)
    transaction = _transaction(read_object(item, "transaction"))
    if item.get("secretKey") is not None and not read_number(item.get("r") or 0, "r"):
        return _signed_here(transaction, read_bytes(item["secretKey"], "secretKey", 32))
    v = read_number(item.get("yParity", item.get("v")), "v")
    parity = read_v(v)[1] if transaction.type == LEGACY else v
    return SignedTransaction(transaction, parity, read_number(item.get("r"), "r"), read_number(item.get("s"), "s"))


def _signed_here(transaction: Transaction, key: bytes) -> SignedTransaction:
    try:
        return transaction.sign(key)
    except TransactionError:
        raise
    except ValueError as error:
        raise BadFixture(f"'secretKey' is not a key: {error}") from None


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

"""The transition tool: executes a block's transactions on accounts, and returns receipts and the new accounts.

Files, streams, exit codes and JSON are those of go-ethereum's `evm t8n` and of the execution specifications' tool,
which test generators and fuzzers use. The environment is the block's context; some values are computed from its parent.
If a value that the fork requires is missing, MissingValue is raised, with exit code 3.

Test generators compare the error texts of rejected transactions. If a transaction breaks several rules, the text is
that of the rule which go-ethereum checks first. Sources: go-ethereum v1.17.10, core/state_transition.go, core/error.go
and core/types.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress, checksummed
from bridge.ethereum.block import EthereumBlock, Withdrawal, next_base_fee
from bridge.ethereum.patricia import list_root
from bridge.ethereum.transactions import (
    ACCESS_LIST,
    ALL_TYPES,
    BLOB,
    GAS_PER_BLOB,
    LEGACY,
    SET_CODE,
    SignedTransaction,
    Transaction,
    TransactionError,
    check_type,
    parse_transaction,
    read_v,
)
from bridge.evm_steps import instructions, line
from bridge.filecoin.receipts import EmittedLog, bloom
from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.installation import OWN_EVM
from hypervisor.machine.machine import Hypervisor
from hypervisor.state.undo_map import Journal
from hypervisor.tracing import StepRecorder
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor_tools.laboratory.vectors.ethereum_json import (
    BadFixture,
    read_access_list,
    read_accounts,
    read_address,
    read_authorization,
    read_bytes,
    read_field,
    read_json,
    read_list,
    read_number,
    read_object,
    within,
)
from hypervisor_tools.laboratory.vectors.statetest import EXCESS_BITS, RULES, FixtureExterns, base_machine
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc, move_dao_balances, read_alloc, state_root
from runtimes.evm.blocks.block_run import AppliedTransaction, BlockRun, logs_hash, requests_hash
from runtimes.evm.blocks.chain_import import ForkSchedule, schedule_of
from runtimes.evm.blocks.headers import EMPTY_OMMERS, FIRST_BASE_FEE, block_difficulty, block_hash_cid
from runtimes.evm.forks import (
    LATEST_FORK,
    Fork,
    ForkBlobs,
    InvalidBlock,
    InvalidTransaction,
    floor_gas,
    intrinsic_gas,
    with_case,
)
from runtimes.evm.revm import Accounts
from store.cid import Cid

_MAX_OMMER_DISTANCE = 8


class MissingValue(BadFixture):
    """Raised if a value that the fork requires is missing, or if a value is not allowed in the fork."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A block's environment.

    `base_fee` is the value for the output; before London it is copied from the input, or None. `ommers` are pairs of
    the distance in blocks and the coinbase. `difficulty` is None under proof of stake.
    """

    fork: Fork
    context: MachineContext
    base_fee: int | None
    random: bytes
    difficulty: int | None
    hashes: Mapping[int, bytes] | None
    beacon_root: bytes | None
    withdrawals: list[Withdrawal] | None
    ommers: list[tuple[int, EthAddress]]
    has_blob_fee: bool
    is_dao_block: bool


def read_environment(env: Any, schedule: ForkSchedule, chain_id: int) -> Environment:
    """Parse the environment. Raises BadFixture and MissingValue."""
    number = read_number(read_field(env, "currentNumber"), "currentNumber", 63)
    timestamp = read_number(read_field(env, "currentTimestamp"), "currentTimestamp", 64)
    fork = schedule.fork_at(number, timestamp, 0)
    is_first = fork.has_base_fee and not schedule.fork_at(number - 1, timestamp, 0).has_base_fee
    base_fee = _base_fee(env, fork, number, is_first)
    withdrawals = env.get("withdrawals")
    if fork.withdrawals and withdrawals is None:
        raise MissingValue(f"'withdrawals' is missing: {fork.name} requires it")
    difficulty = _difficulty(env, fork, number, timestamp)
    random = _number(env, "currentRandom") if fork.proof_of_stake else difficulty
    if fork.proof_of_stake and env.get("currentRandom") is None:
        raise MissingValue(f"'currentRandom' is missing: {fork.name} requires it")
    root = env.get("parentBeaconBlockRoot")
    if fork.beacon_root and root is None:
        raise MissingValue(f"'parentBeaconBlockRoot' is missing: {fork.name} requires it")
    excess = _excess_blob_gas(env, fork)
    randomness = random.to_bytes(32, "big")
    return Environment(
        fork=fork,
        context=MachineContext(
            epoch=ChainEpoch(number),
            timestamp=timestamp,
            base_fee=TokenAmount(base_fee),
            chain_id=chain_id,
            rules=RULES,
            block=EthereumBlock(
                fork=fork.name,
                coinbase=read_address(read_field(env, "currentCoinbase"), "currentCoinbase"),
                gas_limit=read_number(read_field(env, "currentGasLimit"), "currentGasLimit"),
                excess_blob_gas=excess or 0,
                filecoin_addresses=False,
                randomness=randomness,
                slot_number=read_number(env.get("slotNumber") or 0, "slotNumber", 64),
            ),
        ),
        base_fee=base_fee if fork.has_base_fee else _optional_number(env, "currentBaseFee"),
        random=randomness,
        difficulty=None if fork.proof_of_stake else difficulty,
        hashes=_hashes(env),
        beacon_root=None if root is None or not fork.beacon_root else read_bytes(root, "parentBeaconBlockRoot", 32),
        withdrawals=None
        if withdrawals is None
        else [_withdrawal(item) for item in read_list(withdrawals, "withdrawals")],
        ommers=[_ommer(item) for item in read_list(env.get("ommers"), "ommers")],
        has_blob_fee=excess is not None,
        is_dao_block=schedule.dao_block == number,
    )


def _number(env: Any, name: str) -> int:
    return read_number(env.get(name) or 0, name)


def _base_fee(env: Any, fork: Fork, number: int, is_first: bool) -> int:
    """Return the base fee of the input, or compute it from the parent; 0 before London.

    `is_first` is True for the first block with a base fee.
    """
    if not fork.has_base_fee:
        return 0
    value = _optional_number(env, "currentBaseFee")
    if value is not None:
        return value
    if env.get("parentBaseFee") is None or number == 0:
        raise MissingValue("one of the fields 'currentBaseFee' and 'parentBaseFee' is needed")
    if is_first:
        return FIRST_BASE_FEE
    fee, used, limit = (_number(env, name) for name in ("parentBaseFee", "parentGasUsed", "parentGasLimit"))
    if limit < 2:
        raise BadFixture(f"'parentGasLimit' is {limit}: expected at least 2")
    return next_base_fee(fee, used, limit)


def _optional_number(env: Any, name: str) -> int | None:
    return None if env.get(name) is None else _number(env, name)


def _difficulty(env: Any, fork: Fork, number: int, timestamp: int) -> int:
    """Return the difficulty of the input, or compute it from the parent; 0 under proof of stake."""
    value = env.get("currentDifficulty")
    if fork.proof_of_stake:
        if value is not None and _number(env, "currentDifficulty"):
            raise MissingValue(f"'currentDifficulty' is {value}: expected 0 or none in {fork.name}")
        return 0
    if value is not None:
        return _number(env, "currentDifficulty")
    if env.get("parentDifficulty") is None:
        raise MissingValue("one of the fields 'currentDifficulty' and 'parentDifficulty' is needed")
    before = _number(env, "parentTimestamp")
    if number == 0:
        raise MissingValue("'currentDifficulty' is missing: it is required for block 0, which has no parent")
    if timestamp <= before:
        raise MissingValue(f"'currentTimestamp' is {timestamp}: expected a time after 'parentTimestamp', {before}")
    # as in go-ethereum, a parent has no ommers if their hash is missing
    ommers = read_bytes(env.get("parentUncleHash") or "", "parentUncleHash")
    has_ommers = any(ommers) and ommers != EMPTY_OMMERS
    return block_difficulty(fork, _number(env, "parentDifficulty"), number, timestamp - before, has_ommers)


def _excess_blob_gas(env: Any, fork: Fork) -> int | None:
    """Return the excess blob gas of the input, or compute it from the parent; None if both are missing."""
    if not fork.beacon_root:
        return None
    if env.get("currentExcessBlobGas") is not None:
        return read_number(env["currentExcessBlobGas"], "currentExcessBlobGas", EXCESS_BITS)
    if env.get("parentExcessBlobGas") is None:
        return None
    excess = read_number(env["parentExcessBlobGas"], "parentExcessBlobGas", EXCESS_BITS)
    used = read_number(env.get("parentBlobGasUsed") or 0, "parentBlobGasUsed", EXCESS_BITS)
    return ForkBlobs(fork).next_excess(excess, used, _number(env, "parentBaseFee"))


def _hashes(env: Any) -> dict[int, bytes] | None:
    if env.get("blockHashes") is None:
        return None
    found = read_object(env["blockHashes"], "blockHashes")
    return {read_number(key, "blockHashes"): read_bytes(value, "blockHashes", 32) for key, value in found.items()}


def _ommer(item: Any) -> tuple[int, EthAddress]:
    distance = read_number(read_field(item, "delta"), "delta", 64)
    if distance > _MAX_OMMER_DISTANCE:
        raise BadFixture(f"'delta' is {distance}: expected at most {_MAX_OMMER_DISTANCE}")
    return distance, read_address(read_field(item, "address"), "address")


def _withdrawal(item: Any) -> Withdrawal:
    return Withdrawal(
        index=read_number(read_field(item, "index"), "index"),
        validator=read_number(read_field(item, "validatorIndex"), "validatorIndex"),
        address=read_address(read_field(item, "address"), "address"),
        amount=read_number(read_field(item, "amount"), "amount"),
    )


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


def _items(txs: Any) -> Sequence[Any]:
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


_BLOCK_HASH: Final = "0x1337" + "00" * 30
"""Block hash in the output of go-ethereum's tool."""


def result_json(
    run: BlockRun, block: Environment, rejected: list[dict[str, Any]], after: Mapping[EthAddress, AllocAccount]
) -> dict[str, Any]:
    """Return the result of a block, with go-ethereum's fields."""
    logs = [log for applied in run.applied for log in applied.logs()]
    fields: dict[str, Any] = {
        "stateRoot": _hex(state_root(after)),
        "txRoot": _hex(list_root(applied.signed.raw() for applied in run.applied)),
        "receiptsRoot": _hex(list_root(applied.receipt() for applied in run.applied)),
        "logsHash": _hex(logs_hash((emitted.address, emitted.log) for emitted in logs)),
        "logsBloom": _hex(bloom(logs)),
        "receipts": _receipts(run, block),
        "currentDifficulty": None if block.difficulty is None else hex(block.difficulty),
        "gasUsed": hex(run.gas_used),
        "requests": None,
    }
    if rejected:
        fields["rejected"] = rejected
    if block.base_fee is not None:
        fields["currentBaseFee"] = hex(block.base_fee)
    if block.withdrawals is not None:
        fields["withdrawalsRoot"] = _hex(list_root(withdrawal.rlp() for withdrawal in block.withdrawals))
    if block.has_blob_fee:
        fields["currentExcessBlobGas"] = hex(run.excess_blob_gas)
        fields["blobGasUsed"] = hex(run.blob_gas_used)
    if run.requests is not None:
        fields["requestsHash"] = _hex(requests_hash(run.requests))
        fields["requests"] = [_hex(request) for request in run.requests]
    if run.access_list is not None:
        fields["blockAccessList"] = _hex(run.access_list.rlp())
        fields["blockAccessListHash"] = _hex(run.access_list.hash())
    return fields


def _receipts(run: BlockRun, block: Environment) -> list[dict[str, Any]]:
    receipts, first_log = [], 0
    for index, applied in enumerate(run.applied):
        position = {
            "transactionHash": _hex(applied.signed.hash()),
            "transactionIndex": hex(index),
            "blockHash": _BLOCK_HASH,
            "blockNumber": hex(block.context.epoch),
        }
        receipts.append(_receipt(run, applied, position, first_log))
        first_log += len(applied.result.logs)
    return receipts


def _receipt(run: BlockRun, applied: AppliedTransaction, position: Mapping[str, str], first_log: int) -> dict[str, Any]:
    result, transaction = applied.result, applied.signed.transaction
    fields: dict[str, Any] = {
        "root": _hex(applied.state_root or b""),
        "status": hex(int(result.success)),
        "cumulativeGasUsed": hex(applied.cumulative_gas),
        "logsBloom": _hex(bloom(applied.logs())),
        "logs": [_log(run, first_log + index, log, position) for index, log in enumerate(applied.logs())],
        "contractAddress": _hex(applied.creates or bytes(20)),
        "gasUsed": hex(result.gas_used),
        "effectiveGasPrice": None,
        **position,
    }
    if transaction.type:
        fields["type"] = hex(transaction.type)
    if transaction.blob_gas:
        fields |= {"blobGasUsed": hex(transaction.blob_gas), "blobGasPrice": hex(run.blob_base_fee)}
    return fields


def _log(run: BlockRun, index: int, emitted: EmittedLog, position: Mapping[str, str]) -> dict[str, Any]:
    return {
        "address": _hex(emitted.address),
        "topics": [_hex(topic) for topic in emitted.log.topics],
        "data": _hex(emitted.log.data),
        "blockTimestamp": hex(run.machine.context.timestamp),
        "logIndex": hex(index),
        "removed": False,
        **position,
    }


def alloc_json(accounts: Mapping[EthAddress, AllocAccount]) -> dict[str, Any]:
    """Return accounts as JSON by address."""
    return {_hex(address): _account(account) for address, account in accounts.items()}


def _account(account: AllocAccount) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if account.code:
        fields["code"] = _hex(account.code)
    if account.storage:
        slots = sorted(account.storage.items())
        fields["storage"] = {_hex(key.to_bytes(32, "big")): _hex(word.to_bytes(32, "big")) for key, word in slots}
    fields["balance"] = hex(account.balance)
    if account.nonce:
        fields["nonce"] = hex(account.nonce)
    return fields


def body_item(raw: bytes) -> rlp.Item:
    """Return a transaction as a block body item: a list if it is legacy, else a byte string."""
    return rlp.decode(raw) if raw[0] > 0x7F else raw


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejected transaction with its block and the account of its sender."""

    run: BlockRun
    transaction: Transaction
    sender: EthAddress
    nonce: int
    balance: int
    code_size: int

    @property
    def address(self) -> str:
        """The sender's address in checksum form."""
        return checksummed(self.sender)

    @property
    def cost(self) -> int:
        sent = self.transaction
        return sent.gas_limit * sent.max_fee + sent.value + sent.blob_gas * sent.max_fee_per_blob_gas


def _nonce(text: str) -> Callable[[Rejection], str]:
    return lambda at: f"{text}: address {at.address}, tx: {at.transaction.nonce} state: {at.nonce}"


def _blobs(at: Rejection) -> str:
    used = at.run.blob_gas_used + at.transaction.blob_gas
    return f"blob gas ({used}) would exceed maximum allowance {GAS_PER_BLOB * at.run.fork.blobs.maximum}"


def _bad_hash(at: Rejection) -> str:
    bad = next(index for index, each in enumerate(at.transaction.blob_hashes) if each[:1] != b"\1")
    return f"blob {bad} has invalid hash version"


_NO_TYPE: Final = "transaction type not supported"
_TEXTS: Final[Mapping[str, Callable[[Rejection], str]]] = MappingProxyType({
    **{f"TYPE_{kind}_TX_PRE_FORK": lambda _: _NO_TYPE for kind in range(1, 5)},
    "INVALID_CHAINID": lambda at: (
        f"invalid chain id for signer: have {at.transaction.chain_id} want {at.run.machine.context.chain_id}"
    ),
    "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED": _blobs,
    "NONCE_MISMATCH_TOO_HIGH": _nonce("nonce too high"),
    "NONCE_MISMATCH_TOO_LOW": _nonce("nonce too low"),
    "NONCE_IS_MAX": lambda at: f"nonce has max value: address {at.address}, nonce: {at.nonce}",
    "GAS_LIMIT_EXCEEDS_MAXIMUM": lambda at: (
        f"transaction gas limit too high (cap: {at.run.fork.transaction_gas_cap}, tx: {at.transaction.gas_limit})"
    ),
    "SENDER_NOT_EOA": lambda at: f"sender not an eoa: address {at.address}, len(code): {at.code_size}",
    "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS": lambda at: (
        f"max priority fee per gas higher than max fee per gas: address {at.address}, "
        f"maxPriorityFeePerGas: {at.transaction.max_priority_fee}, maxFeePerGas: {at.transaction.max_fee}"
    ),
    "INSUFFICIENT_MAX_FEE_PER_GAS": lambda at: (
        f"max fee per gas less than block base fee: address {at.address}, "
        f"maxFeePerGas: {at.transaction.max_fee}, baseFee: {at.run.machine.context.base_fee:d}"
    ),
    "TYPE_3_TX_CONTRACT_CREATION": lambda _: "blob transaction of type create",
    "TYPE_3_TX_ZERO_BLOBS": lambda _: "blob transaction missing blob hashes",
    "TYPE_3_TX_BLOB_COUNT_EXCEEDED": lambda _: "blob transaction has too many blobs",
    "TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH": _bad_hash,
    "INSUFFICIENT_MAX_FEE_PER_BLOB_GAS": lambda at: (
        f"max fee per blob gas less than block blob gas fee: address {at.address} "
        f"blobGasFeeCap: {at.transaction.max_fee_per_blob_gas}, blobBaseFee: {at.run.blob_base_fee}"
    ),
    "TYPE_4_TX_CONTRACT_CREATION": lambda at: (
        f"EIP-7702 transaction cannot be used to create contract (sender {at.address})"
    ),
    "TYPE_4_EMPTY_AUTHORIZATION_LIST": lambda at: f"EIP-7702 transaction with empty auth list (sender {at.address})",
    "INITCODE_SIZE_EXCEEDED": lambda at: (
        f"max initcode size exceeded: code size {len(at.transaction.data)} limit {at.run.fork.init_code_limit}"
    ),
    "GAS_ALLOWANCE_EXCEEDED": lambda _: "gas limit reached",
    "INSUFFICIENT_ACCOUNT_FUNDS": lambda at: (
        f"insufficient funds for gas * price + value: address {at.address} have {at.balance} want {at.cost}"
        if at.cost >> 256 == 0
        else f"insufficient funds for gas * price + value: address {at.address} required balance exceeds 256 bits"
    ),
    "INTRINSIC_GAS_TOO_LOW": lambda at: (
        f"intrinsic gas too low: have {at.transaction.gas_limit}, "
        f"want {intrinsic_gas(at.transaction, at.run.fork, at.sender)}"
    ),
    "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST": lambda at: (
        f"insufficient gas for floor data gas cost: have {at.transaction.gas_limit}, "
        f"want {floor_gas(at.transaction, at.run.fork, at.sender)}"
    ),
    "EXECUTION_GAS_CAP_EXCEEDED": lambda at: (
        "insufficient gas for floor data gas cost: "
        f"intrinsic cost {intrinsic_gas(at.transaction, at.run.fork, at.sender)}, "
        f"floor: {floor_gas(at.transaction, at.run.fork, at.sender)}"
    ),
})  # fmt: skip
"""Texts by exception name, in the order of go-ethereum's checks."""


def rejection_text(run: BlockRun, signed: SignedTransaction, error: InvalidTransaction) -> str:
    """Return go-ethereum's text for a transaction that the block cannot contain."""
    if error.refusal.name not in _TEXTS:
        return str(error)
    names = {error.refusal.name, *run.refusals(signed)}
    sender = signed.sender()
    accounts = Accounts(run.machine, Journal(), filecoin_addresses=False)
    actor = accounts.find(sender)
    at = Rejection(
        run,
        signed.transaction,
        sender,
        0 if actor is None else accounts.nonce(actor),
        accounts.balance(actor),
        len(accounts.code(actor)),
    )
    return next(text(at) for name, text in _TEXTS.items() if name in names)


CONFIG_ERROR: Final = 3
MISSING_BLOCK_HASH: Final = 4
JSON_ERROR: Final = 10
IO_ERROR: Final = 11
_STREAMS: Final = ("stdout", "stderr")
_NO_REWARD: Final = -1


@dataclass(frozen=True, slots=True)
class Request:
    """Options of the command. Inputs and outputs are names: a file, `stdin`, `stdout`, `stderr`, or empty."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    folder: Path
    fork: str | None
    chain_id: int
    reward: int
    evm: str
    trace: bool


def run(request: Request) -> int:
    """Run the tool on its input and output files; return the exit code. Errors are printed to standard error."""
    fork = LATEST_FORK.name if request.fork is None else with_case(request.fork)
    try:
        schedule_of(fork)
    except InvalidInput as error:
        return _failure(CONFIG_ERROR, str(error))
    if request.reward < _NO_REWARD:
        return _failure(CONFIG_ERROR, f"reward {request.reward} is out of range: expected wei, or -1 for none")
    try:
        alloc, env, txs = _read(request.inputs)
        done = transition(alloc, env, txs, fork, request.chain_id, request.evm, request.trace, request.reward)
        _write(request, done)
    except MissingValue as error:
        return _failure(CONFIG_ERROR, str(error))
    except MissingBlockHash as error:
        return _failure(MISSING_BLOCK_HASH, str(error))
    except InvalidInput as error:
        return _failure(JSON_ERROR, str(error))
    except FileNotFoundError as error:
        named = next((name for name, location in request.inputs.items() if location == error.filename), None)
        if named is None:
            return _failure(IO_ERROR, f"{error.filename} cannot be written: its folder does not exist")
        return _failure(IO_ERROR, f"there is no file {error.filename}: pass a file, or stdin, with --input.{named}")
    except OSError as error:
        return _failure(IO_ERROR, f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return 0


def _failure(code: int, text: str) -> int:
    sys.stderr.write(f"error: {text}\n")
    return code


def _read(inputs: Mapping[str, str]) -> tuple[Any, Any, Any]:
    stream: Any = None
    if "stdin" in inputs.values():
        stream = read_json(sys.stdin.buffer.read(), "stdin")
    values = []
    for name, location in inputs.items():
        if location == "stdin":
            values.append(read_field(stream, "txsRlp" if name == "txs" and "txsRlp" in stream else name))
        else:
            values.append(_parse(Path(location).read_bytes(), location))
    alloc, env, txs = values
    if not isinstance(env, Mapping):
        raise BadFixture(f"{inputs['env']} is not an object")
    return alloc, env, txs


def _parse(data: bytes, location: str) -> Any:
    if location.endswith(".rlp"):
        return data.decode(errors="replace").strip().strip('"')
    return read_json(data, location)


def _write(request: Request, done: Transition) -> None:
    values = {"alloc": done.alloc, "result": done.result, "body": done.body}
    streams: dict[str, dict[str, Any]] = {}
    for name, location in request.outputs.items():
        if location in _STREAMS:
            streams.setdefault(location, {})[name] = values[name]
        elif location:
            request.folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(values[name], indent=2)
            (request.folder / location).write_text(text + "\n", encoding="utf-8")
    for location, fields in streams.items():
        (sys.stdout if location == "stdout" else sys.stderr).write(json.dumps(fields, indent=2) + "\n")
    for index, transaction, recorder in done.traces:
        lines = [json.dumps(line(instruction)) for instruction in instructions(recorder.events)]
        path = request.folder / f"trace-{index}-0x{transaction.hash().hex()}.jsonl"
        path.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")

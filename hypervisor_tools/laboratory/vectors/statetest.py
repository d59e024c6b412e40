"""Runs Ethereum state tests on the machine.

Accounts are converted to actors, and the transaction runs under Ethereum's rules. The resulting state is converted back
to accounts to compute Ethereum's state root.

A file maps test names to tests. A test has a block (`env`), accounts (`pre`), and a transaction with lists of data, gas
limits and values. For each fork, `post` lists outcomes; each selects list items by index and is one case. Format: the
documentation of ethereum/tests, "State Tests".

A fixture names one or more exceptions (`TransactionException.A|BlockException.B`). Each name in older fixtures
corresponds to one or more current names. Sources: the exceptions of execution-spec-tests and of the generator of
ethereum/tests.
"""

from __future__ import annotations

import heapq
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TextIO

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import ACCESS_LIST, BLOB, DYNAMIC_FEE, LEGACY, SET_CODE, Transaction
from bridge.evm_steps import instructions, line, summary
from bridge.filecoin.parameters import unwrap_return
from hypervisor.context import ExternError, MachineContext
from hypervisor.errors import HypervisorError
from hypervisor.installation import OWN_EVM
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
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
from hypervisor_tools.laboratory.vectors.files import files_of
from runtimes.evm.blocks.alloc import install_alloc, read_alloc, state_root
from runtimes.evm.blocks.block_run import logs_hash
from runtimes.evm.blocks.headers import block_hash_cid
from runtimes.evm.forks import ALIASES, Fork, InvalidTransaction, find_fork, fork_named, list_forks
from runtimes.evm.revm import EthereumExecutor, TransactionResult
from store.cid import Cid
from store.keccak import keccak

RULES = "ethereum"
EXCESS_BITS = 32
"""Maximum bits of the excess blob gas. Above it, the blob base fee exceeds any supply and takes too long to compute."""

_DEFAULT_BASE_FEE = 10


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a test: its indexes and the expected outcome."""

    file: str
    name: str
    fork: str
    index: int
    indexes: tuple[int, int, int]
    root: bytes
    logs: bytes
    exception: str


@dataclass(frozen=True, slots=True)
class CaseResult:
    """Result of a case; it passed if there is no error."""

    case: Case
    error: str
    seconds: float = 0.0

    def record(self) -> dict[str, Any]:
        """Return the result, with its duration, as the JSON object that the CLI prints."""
        case = self.case
        return {
            "file": case.file,
            "name": case.name,
            "fork": case.fork,
            "index": case.index,
            "pass": not self.error,
            "error": self.error,
            SECONDS: self.seconds,
        }


class FixtureExterns:
    """Externs of a state test: the block's `currentRandom`, and block hashes derived from block numbers."""

    def __init__(self, random: bytes) -> None:
        self._random = random

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._random

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._random

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        return block_hash_cid(keccak(str(epoch).encode()))

    def state_root(self, epoch: ChainEpoch) -> Cid:
        raise ExternError(f"a state test has no state of block {epoch}")


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the JSON files in files and folders, without duplicates. Raises InvalidInput for a missing path.

    Hidden folders are skipped: the index of a fixture release is in one (`.meta`).
    """
    inputs = [*paths]
    hidden = {file for path in inputs if path.is_dir() for file in path.glob("**/.*/**/*.json")}
    return [file for file in files_of(inputs, "**/*.json") if file not in hidden]


def run_file(
    path: Path, fork: str | None = None, evm: str = OWN_EVM, trace: TextIO | None = None
) -> list[dict[str, Any]]:
    """Return the records of a file's cases for a fork (None: all known forks). Used in worker processes.

    Writes EIP-3155 lines to `trace`, with a summary line after each case.
    """
    try:
        tests = read_object(read_json(path.read_bytes(), path.name), path.name)
    except (OSError, BadFixture) as error:
        return [_unreadable(path, "", error)]
    records: list[dict[str, Any]] = []
    for name, test in tests.items():
        try:
            results = run_test(path.as_posix(), name, test, fork, evm, trace)
            records.extend(result.record() for result in results)  # keeps the results before an error
        except HypervisorError as error:
            records.append(_unreadable(path, name, error))
    return records


def run_test(
    file: str, name: str, test: Any, fork: str | None = None, evm: str = OWN_EVM, trace: TextIO | None = None
) -> Iterator[CaseResult]:
    """Run every case of one test."""
    if isinstance(test, Mapping) and "post" not in test and "blocks" in test:
        raise BadFixture("the test has blocks and no 'post': run blockchain tests with `hypervisor blocktest`")
    posts = read_object(read_field(test, "post"), "post")
    for fork_name, outcomes in posts.items():
        named = ALIASES.get(fork_name, fork_name)
        if fork is not None and named != ALIASES.get(fork, fork):
            continue
        if find_fork(named) is None:
            raise BadFixture(f"fork '{fork_name}' is not known: choose one of {list_forks()}")
        if outcomes := read_list(outcomes, fork_name):
            runner = TestRunner(test, fork_name, evm, trace)
            for index, outcome in enumerate(outcomes):
                with within(f"post, {fork_name}, item {index}"):
                    case = read_case(file, name, fork_name, index, outcome)
                begun = time.perf_counter()
                error = runner.run(case)
                yield CaseResult(case, error, time.perf_counter() - begun)


class TestRunner:
    """A test under one fork. Its accounts are converted to actors once, and each case starts from them."""

    def __init__(self, test: Any, fork: str, evm: str = OWN_EVM, trace: TextIO | None = None) -> None:
        self._trace = trace
        env = read_object(read_field(test, "env"), "env")
        self._transaction = read_object(read_field(test, "transaction"), "transaction")
        self._machine = base_machine(evm).fork()
        with within("env"):
            random = read_randomness(env, fork_named(fork))
            self._machine.context = read_context(env, read_object(test.get("config", {}), "config"), fork)
        self._machine.externs = FixtureExterns(random)
        install_alloc(self._machine, read_accounts(read_field(test, "pre"), "pre"))
        self._coinbase = read_address(read_field(env, "currentCoinbase"), "currentCoinbase")
        self._clears_empty = fork_named(fork).clears_empty
        self._before: Snapshot = self._machine.snapshot()

    def run(self, case: Case) -> str:
        """Run one case. Return the differences from the expected outcome as text; empty if the case passed."""
        self._machine.restore(self._before)
        recorder = self._machine.tracer = None if self._trace is None else StepRecorder()
        executor = EthereumExecutor(self._machine)
        refused: list[str] = []
        result = None
        try:
            with within("transaction"):
                transaction = read_transaction(self._transaction, case.indexes)
            sender = read_sender(self._transaction)
            result = executor.apply_transaction(transaction, sender)
        except InvalidTransaction as error:
            refused = [error.refusal.name, *executor.refusals(transaction, sender)]
        if refused or not self._clears_empty:
            executor.pay([(self._coinbase, 0)])  # fixtures have a block reward of 0, which touches the coinbase
        root = state_root(dict(read_alloc(self._machine)))
        differences = [*_compare_exception(refused, case.exception), *_compare(case, root, result)]
        if recorder is not None and self._trace is not None:
            _write_trace(self._trace, recorder, case, root, result, "; ".join(differences))
        return "; ".join(differences)


def _compare(case: Case, root: bytes, result: TransactionResult | None) -> Iterator[str]:
    logs = logs_hash(() if result is None else result.logs)
    if logs != case.logs:
        yield f"logs hash 0x{logs.hex()}, expected 0x{case.logs.hex()}"
    if root != case.root:
        yield f"state root 0x{root.hex()}, expected 0x{case.root.hex()}"


def write_steps(out: TextIO, recorder: StepRecorder) -> None:
    """Write the recorded instructions as EIP-3155 lines."""
    for instruction in instructions(recorder.events):
        out.write(json.dumps(line(instruction)) + "\n")


def _write_trace(
    out: TextIO, recorder: StepRecorder, case: Case, root: bytes, result: TransactionResult | None, error: str
) -> None:
    write_steps(out, recorder)
    output, gas = (b"", 0) if result is None else (unwrap_return(result.output), result.gas_used)
    out.write(json.dumps(summary(root, output, gas, not error, case.fork, error)) + "\n")


def _compare_exception(refused: list[str], expected: str) -> Iterator[str]:
    """Compare the rules that a transaction breaks with the exceptions that the case expects."""
    if bool(refused) != bool(expected) or (refused and not matches(refused, expected)):
        yield f"transaction: {refused[0] if refused else 'valid'}, expected {expected or 'valid'}"


def read_case(file: str, name: str, fork: str, index: int, outcome: Any) -> Case:
    """Parse one outcome of `post` into a case."""
    indexes = read_field(outcome, "indexes")
    return Case(
        file=file,
        name=name,
        fork=fork,
        index=index,
        indexes=(
            read_number(read_field(indexes, "data"), "data"),
            read_number(read_field(indexes, "gas"), "gas"),
            read_number(read_field(indexes, "value"), "value"),
        ),
        root=read_bytes(read_field(outcome, "hash"), "hash", 32),
        logs=read_bytes(read_field(outcome, "logs"), "logs", 32),
        exception=str(outcome.get("expectException") or ""),
    )


def read_context(env: Any, config: Any, fork: str) -> MachineContext:
    """Return the machine context of a test's block."""
    base_fee = 0
    if fork_named(fork).has_base_fee:
        base_fee = read_number(env.get("currentBaseFee", _DEFAULT_BASE_FEE), "currentBaseFee")
    return MachineContext(
        epoch=ChainEpoch(read_number(read_field(env, "currentNumber"), "currentNumber", 63)),
        timestamp=read_number(read_field(env, "currentTimestamp"), "currentTimestamp", 64),
        base_fee=TokenAmount(base_fee),
        chain_id=read_number(config.get("chainid", 1), "chainid"),
        rules=RULES,
        block=EthereumBlock(
            fork=fork,
            coinbase=read_address(read_field(env, "currentCoinbase"), "currentCoinbase"),
            gas_limit=read_number(read_field(env, "currentGasLimit"), "currentGasLimit"),
            excess_blob_gas=read_number(env.get("currentExcessBlobGas", 0), "currentExcessBlobGas", EXCESS_BITS),
            filecoin_addresses=False,
        ),
    )


def read_randomness(env: Any, fork: Fork) -> bytes:
    """Return the value of PREVRANDAO in a block, or of DIFFICULTY before Paris."""
    name = "currentRandom" if fork.proof_of_stake else "currentDifficulty"
    return read_number(env.get(name) or 0, name).to_bytes(32)


def read_transaction(fields: Any, indexes: tuple[int, int, int]) -> Transaction:
    """Return the transaction with the data, gas limit and value of a case."""
    data, gas, value = indexes
    to = read_field(fields, "to")
    lists = read_list(fields.get("accessLists"), "accessLists")
    listed = _pick(fields, "accessLists", data) if lists else None
    blobs, authorizations = fields.get("blobVersionedHashes"), fields.get("authorizationList")
    priority = fields.get("maxPriorityFeePerGas")
    price = read_number(fields.get("maxFeePerGas", fields.get("gasPrice", 0)), "gasPrice")
    if authorizations is not None:
        kind = SET_CODE
    elif blobs is not None:
        kind = BLOB
    elif priority is not None:
        kind = DYNAMIC_FEE
    else:
        kind = LEGACY if listed is None else ACCESS_LIST
    return Transaction(
        type=kind,
        chain_id=None,
        nonce=read_number(read_field(fields, "nonce"), "nonce"),
        to=read_address(to, "to") if to else None,
        value=read_number(_pick(fields, "value", value), "value", bits=None),
        data=read_bytes(_pick(fields, "data", data), "data"),
        gas_limit=read_number(_pick(fields, "gasLimit", gas), "gasLimit"),
        max_fee=price,
        max_priority_fee=price if priority is None else read_number(priority, "maxPriorityFeePerGas"),
        access_list=read_access_list(listed),
        max_fee_per_blob_gas=read_number(fields.get("maxFeePerBlobGas", 0), "maxFeePerBlobGas"),
        blob_hashes=tuple(
            read_bytes(item, "blobVersionedHashes", 32) for item in read_list(blobs, "blobVersionedHashes")
        ),
        authorizations=tuple(read_authorization(item) for item in read_list(authorizations, "authorizationList")),
    )


def read_sender(fields: Any) -> EthAddress:
    """Return the field `sender`, or derive the address from `secretKey` if it is absent."""
    if "sender" in fields:
        return read_address(fields["sender"], "sender")
    from hypervisor.messages.signatures import public_key

    secret = read_bytes(read_field(fields, "secretKey"), "secretKey", 32)
    try:
        key = public_key(secret)
    except ValueError as error:
        raise BadFixture(f"'secretKey' is not a key: {error}") from None
    return EthAddress(keccak(key[1:])[12:])


def _pick(fields: Any, name: str, index: int) -> Any:
    items = read_list(read_field(fields, name), name)
    if index >= len(items):
        raise BadFixture(f"'{name}' has no item {index}")
    return items[index]


@lru_cache(maxsize=1)
def base_machine(evm: str) -> Hypervisor:
    """Return the machine that every test forks, which has only built-in actors. Cached per process."""
    return Hypervisor.open(evm=evm)


def _unreadable(path: Path, name: str, error: Exception) -> dict[str, Any]:
    return {"file": path.as_posix(), "name": name, "fork": "", "index": 0, "pass": False, "error": str(error)}


_PREFIXES: Final = ("TransactionException.", "BlockException.")

_ENCODING: Final = "RLP_STRUCTURES_ENCODING"
_RLP: Final = "RLP_"
_NO_TYPE: Final = "TYPE_NOT_SUPPORTED TYPE_1_TX_PRE_FORK TYPE_2_TX_PRE_FORK TYPE_3_TX_PRE_FORK TYPE_4_TX_PRE_FORK"

_OLD: Final[Mapping[str, str]] = MappingProxyType({
    # transactions
    "TR_IntrinsicGas": "INTRINSIC_GAS_TOO_LOW INTRINSIC_GAS_BELOW_FLOOR_GAS_COST",
    "IntrinsicGas": "INTRINSIC_GAS_TOO_LOW INTRINSIC_GAS_BELOW_FLOOR_GAS_COST",
    "TR_NoFunds": "INSUFFICIENT_ACCOUNT_FUNDS RLP_INVALID_VALUE",
    "TR_NoFundsX": "INSUFFICIENT_ACCOUNT_FUNDS RLP_INVALID_VALUE",
    "TR_NoFundsOrGas": "INSUFFICIENT_ACCOUNT_FUNDS INTRINSIC_GAS_TOO_LOW",
    "TR_NoFundsValue": "INSUFFICIENT_ACCOUNT_FUNDS RLP_INVALID_VALUE",
    "TR_GasLimitReached": "GAS_ALLOWANCE_EXCEEDED",
    "BlockGasLimitReached": "GAS_ALLOWANCE_EXCEEDED",
    "TR_TipGtFeeCap": "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS",
    "TR_FeeCapLessThanBlocks": "INSUFFICIENT_MAX_FEE_PER_GAS",
    "TR_FeeCapLessThanBlocksORNoFunds": "INSUFFICIENT_MAX_FEE_PER_GAS INSUFFICIENT_ACCOUNT_FUNDS",
    "TR_FeeCapLessThanBlocksORGasLimitReached": "INSUFFICIENT_MAX_FEE_PER_GAS GAS_ALLOWANCE_EXCEEDED",
    "TR_NonceTooLow": "NONCE_MISMATCH_TOO_LOW",
    "TR_NonceTooHigh": "NONCE_MISMATCH_TOO_HIGH",
    "TR_NonceHasMaxValue": "NONCE_IS_MAX",
    "TR_TypeNotSupported": _NO_TYPE,
    "TR_TypeNotSupportedBlob": _NO_TYPE,
    "TYPE_NOT_SUPPORTED": _NO_TYPE,
    # one name for both in the first fixtures of EIP-7623
    "INTRINSIC_GAS_TOO_LOW": "INTRINSIC_GAS_TOO_LOW INTRINSIC_GAS_BELOW_FLOOR_GAS_COST EXECUTION_GAS_CAP_EXCEEDED",
    # go-ethereum's error for both
    "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST": "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST EXECUTION_GAS_CAP_EXCEEDED",
    "GASLIMIT_PRICE_PRODUCT_OVERFLOW": "INSUFFICIENT_ACCOUNT_FUNDS",
    "NONCE_OVERFLOW": "NONCE_IS_MAX RLP_STRUCTURES_ENCODING",
    "NONCE_TOO_BIG": "NONCE_IS_MAX RLP_STRUCTURES_ENCODING",
    "ADDRESS_TOO_LONG": "RLP_STRUCTURES_ENCODING",
    "ADDRESS_TOO_SHORT": "RLP_STRUCTURES_ENCODING",
    "EC_RECOVERY_FAIL": "INVALID_SIGNATURE_VRS",
    "TR_InitCodeLimitExceeded": "INITCODE_SIZE_EXCEEDED",
    "SenderNotEOA": "SENDER_NOT_EOA",
    "SenderNotEOAorNoCASH": "SENDER_NOT_EOA INSUFFICIENT_ACCOUNT_FUNDS",
    "TR_BLOBCREATE": "TYPE_3_TX_CONTRACT_CREATION RLP_STRUCTURES_ENCODING",
    "TR_BLOBVERSION_INVALID": "TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH",
    "TR_EMPTYBLOB": "TYPE_3_TX_ZERO_BLOBS",
    "TR_BLOBLIST_OVERSIZE": "TYPE_3_TX_BLOB_COUNT_EXCEEDED TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED",
    "TR_RLP_WRONGVALUE": "RLP_INVALID_VALUE RLP_STRUCTURES_ENCODING",
    # headers
    "InvalidGasLimit": "INVALID_GASLIMIT GASLIMIT_TOO_BIG INVALID_GAS_USED_ABOVE_LIMIT",
    "InvalidGasLimit2": "INVALID_GASLIMIT GASLIMIT_TOO_BIG INVALID_GAS_USED_ABOVE_LIMIT",
    "InvalidGasLimit3": "INVALID_GASLIMIT GASLIMIT_TOO_BIG INVALID_GAS_USED_ABOVE_LIMIT",
    "InvalidTimestamp": "INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT",
    "InvalidTimestampEqualParent": "INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT",
    "InvalidTimestampOlderParent": "INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT",
    "InvalidNumber": "INVALID_BLOCK_NUMBER",
    "InvalidDifficulty": "INVALID_DIFFICULTY",
    "InvalidDifficulty2": "INVALID_DIFFICULTY",
    "InvalidDifficulty_TooLarge": "INVALID_DIFFICULTY",
    # seals of proof of work are not verified, but these blocks have another defect as well
    "InvalidBlockNonce": "INVALID_BLOCK_NONCE INVALID_STATE_ROOT",
    "InvalidBlockMixHash": "INVALID_BLOCK_NONCE INVALID_STATE_ROOT",
    "ExtraDataTooBig": "EXTRA_DATA_TOO_BIG",
    "ExtraDataIncorrectDAO": "EXTRA_DATA_INVALID_DAO",
    "InvalidStateRoot": "INVALID_STATE_ROOT INVALID_GAS_USED INVALID_RECEIPTS_ROOT INVALID_LOG_BLOOM",
    "InvalidGasUsed": "INVALID_GAS_USED",
    "TooMuchGasUsed": "INVALID_GAS_USED_ABOVE_LIMIT INVALID_GASLIMIT INVALID_GAS_USED GAS_ALLOWANCE_EXCEEDED",
    "UnknownParent": "UNKNOWN_PARENT",
    "UnknownParent2": "UNKNOWN_PARENT UNKNOWN_PARENT_ZERO",
    "InvalidTransactionsRoot": "INVALID_TRANSACTIONS_ROOT",
    "InvalidReceiptsStateRoot": "INVALID_RECEIPTS_ROOT INVALID_GAS_USED INVALID_LOG_BLOOM",
    "InvalidLogBloom": "INVALID_LOG_BLOOM",
    "InvalidWithdrawals": "INVALID_WITHDRAWALS_ROOT",
    "1559BlockImportImpossible_BaseFeeWrong": "INVALID_BASEFEE_PER_GAS",
    "1559BlockImportImpossible_HeaderIsLegacy": "IMPORT_IMPOSSIBLE_LONDON_WRONG_PARENT",
    "1559BlockImportImpossible_TargetGasLow": "INVALID_GASLIMIT",
    "1559BlockImportImpossible_InitialGasLimitInvalid": "INVALID_GASLIMIT",
    "LegacyBlockImportImpossible": "IMPORT_IMPOSSIBLE_LEGACY",
    "LegacyBlockImportImpossible2": "IMPORT_IMPOSSIBLE_LEGACY_WRONG_PARENT",
    "ParisBlockImportImpossible": "IMPORT_IMPOSSIBLE_PARIS_OVER_SHANGHAI",
    "ShanghaiBlockImportImpossible": "IMPORT_IMPOSSIBLE_SHANGHAI",
    "3675PoWBlockRejected": "IMPORT_IMPOSSIBLE_PARIS_WRONG_POW",
    "3675PoSBlockRejected": "IMPORT_IMPOSSIBLE_PARIS_WRONG_POS",
    "3675PreParis1559BlockRejected": "IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS",
    "PostParisUncleHashIsNotEmpty": "IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS",
    "PostParisDifficultyIsNot0": "IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS",
    "INPUT_UNMARSHAL_ERROR": "RLP_STRUCTURES_ENCODING",
    "INPUT_UNMARSHAL_ADDRESS_ERROR": "RLP_STRUCTURES_ENCODING RLP_INVALID_ADDRESS",
    "RLP_ExpectedAsList": "RLP_STRUCTURES_ENCODING RLP_WITHDRAWALS_NOT_READ",
    # ommers
    "InvalidUnclesHash": "INVALID_UNCLES_HASH",
    "InvalidUncleParentHash": "UNCLE_PARENT_INCORRECT UNCLE_UNKNOWN_PARENT UNCLE_IS_ANCESTOR",
    "UncleParentIsNotAncestor": "UNCLE_PARENT_INCORRECT",
    "UncleTooOld": "UNCLE_PARENT_INCORRECT",
    "UncleIsAncestor": "UNCLE_IS_ANCESTOR",
    "UncleInChain": "UNCLE_IN_CHAIN",
    "UncleIsBrother": "UNCLE_IS_BROTHER",
    "TooManyUncles": "TOO_MANY_UNCLES",
})  # fmt: skip
"""Current names by the names in older fixtures."""


def accepted_names(expected: str) -> set[str]:
    """Return the current names of the exceptions that a fixture accepts, without prefixes."""
    names: set[str] = set()
    for part in expected.split("|"):
        name = part.strip()
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix)
        names |= {*_OLD[name].split()} if name in _OLD else {name}
    return names


def matches(names: Iterable[str], expected: str) -> bool:
    """Return True if a fixture accepts one of an error's names. An empty `expected` accepts any error.

    An encoding error matches all names that begin with `RLP_`, because decoders check the encoding in different orders.
    """
    if not expected:
        return True
    wanted, found = accepted_names(expected), {*names}
    return not wanted.isdisjoint(found) or (_ENCODING in found and any(name.startswith(_RLP) for name in wanted))


SECONDS = "seconds"
SLOWEST = 5


class Tally:
    """Collects the durations of a run's records, and removes them from the records."""

    def __init__(self) -> None:
        self._passed: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._slowest: list[tuple[float, str]] = []

    def watch(self, records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the records without their durations."""
        for record in records:
            seconds = record.pop(SECONDS, 0.0)
            (self._passed if record["pass"] else self._failed)[record["fork"]] += 1
            case = f"{record['name']} {record['fork']} {record['index']}"
            heapq.heappush(self._slowest, (seconds, case))
            if len(self._slowest) > SLOWEST:
                heapq.heappop(self._slowest)
            yield record

    def lines(self) -> Iterator[str]:
        """Return one line per fork, then the slowest cases in descending order, in seconds on this machine."""
        for fork in sorted({*self._passed, *self._failed}):
            yield f"{fork or 'no fork'}: {self._passed[fork]} passed, {self._failed[fork]} failed"
        for seconds, case in sorted(self._slowest, reverse=True):
            yield f"{seconds:8.2f} s  {case}"

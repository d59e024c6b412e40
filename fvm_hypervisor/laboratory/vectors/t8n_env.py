"""The environment of the transition tool: the block's context, and the values computed from its parent.

If a value that the fork requires is missing, MissingValue is raised; the exit code is 3, as in go-ethereum's `evm t8n`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import EthereumBlock, next_base_fee
from fvm_hypervisor.laboratory.vectors.ethereum_json import (
    BadFixture,
    read_address,
    read_bytes,
    read_field,
    read_list,
    read_number,
    read_object,
)
from fvm_hypervisor.laboratory.vectors.statetest import EXCESS_BITS, RULES
from hypervisor.context import MachineContext
from hypervisor.types import ChainEpoch, TokenAmount
from runtimes.evm.ethereum import (
    EMPTY_OMMERS,
    FIRST_BASE_FEE,
    Fork,
    ForkBlobs,
    ForkSchedule,
    Withdrawal,
    block_difficulty,
)

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

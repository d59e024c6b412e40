"""Names of refusals: what Ethereum's state tests (EEST) expect of a transaction that is invalid in one way, by fork.

Sources of the names: execution-spec-tests, ethereum_test_exceptions and the tests of each EIP: eip4844_blobs
(test_invalid_tx_blob_count), eip7594_peerdas (test_invalid_max_blobs_per_tx), eip7623, eip7702, eip7825, eip3860.
"""

from dataclasses import replace

import pytest

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import (
    ACCESS_LIST,
    BLOB,
    DYNAMIC_FEE,
    GAS_PER_BLOB,
    LEGACY,
    SET_CODE,
    Authorization,
    Transaction,
)
from runtimes.evm.ethereum.forks import FORKS, Fork
from runtimes.evm.ethereum.validation import BlockLimits, InvalidTransaction, RejectionReason, check, required_gas

CHAIN = 1
SENDER = EthAddress(b"\xcc" * 20)
PLAIN = Transaction(DYNAMIC_FEE, CHAIN, 0, EthAddress(b"\xaa" * 20), 0, b"", 100_000, 10**9, 1)
HASH = b"\x01" + bytes(31)
BLOBS = replace(PLAIN, type=BLOB, blob_hashes=(HASH,), max_fee_per_blob_gas=10**9)
AUTHORIZATION = Authorization(CHAIN, EthAddress(b"\xbb" * 20), 0, 0, 1, 1)
DELEGATES = replace(PLAIN, type=SET_CODE, authorizations=(AUTHORIZATION,))

EEST = frozenset((
    "INVALID_SIGNATURE_VRS", "TYPE_1_TX_PRE_FORK", "TYPE_2_TX_PRE_FORK",
    "SENDER_NOT_EOA", "NONCE_MISMATCH_TOO_HIGH", "NONCE_MISMATCH_TOO_LOW", "NONCE_IS_MAX", "GASLIMIT_OVERFLOW",
    "RLP_INVALID_VALUE", "INVALID_CHAINID", "INSUFFICIENT_ACCOUNT_FUNDS", "INSUFFICIENT_MAX_FEE_PER_GAS",
    "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS", "INSUFFICIENT_MAX_FEE_PER_BLOB_GAS", "INTRINSIC_GAS_TOO_LOW",
    "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST", "INITCODE_SIZE_EXCEEDED", "TYPE_3_TX_PRE_FORK",
    "TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH", "TYPE_3_TX_BLOB_COUNT_EXCEEDED", "TYPE_3_TX_CONTRACT_CREATION",
    "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED", "GAS_ALLOWANCE_EXCEEDED", "GAS_LIMIT_EXCEEDS_MAXIMUM",
    "TYPE_3_TX_ZERO_BLOBS", "TYPE_4_EMPTY_AUTHORIZATION_LIST", "TYPE_4_TX_CONTRACT_CREATION", "TYPE_4_TX_PRE_FORK",
))  # fmt: skip
"""The names in EEST's list that this set of rules may report."""


def with_blobs(count: int) -> Transaction:
    return replace(BLOBS, blob_hashes=(HASH,) * count)


WITH_BLOBS = [fork for fork in FORKS.values() if fork.blobs.maximum]
EVERY_FORK: dict[str, Transaction] = {
    "INTRINSIC_GAS_TOO_LOW": replace(PLAIN, gas_limit=14_999),
    "NONCE_IS_MAX": replace(PLAIN, nonce=2**64 - 1),
    "GASLIMIT_OVERFLOW": replace(PLAIN, gas_limit=2**64),
    "RLP_INVALID_VALUE": replace(PLAIN, value=2**256),
    "INITCODE_SIZE_EXCEEDED": replace(PLAIN, to=None, data=bytes(131_073), gas_limit=10_000_000),
    "INVALID_CHAINID": replace(PLAIN, chain_id=2),
    "INSUFFICIENT_MAX_FEE_PER_GAS": replace(PLAIN, max_fee=6),
    "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS": replace(PLAIN, max_priority_fee=10**9 + 1),
    "TYPE_3_TX_ZERO_BLOBS": with_blobs(0),
    "TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH": replace(BLOBS, blob_hashes=(HASH, b"\x02" + bytes(31))),
    "TYPE_3_TX_CONTRACT_CREATION": replace(BLOBS, to=None),
    "INSUFFICIENT_MAX_FEE_PER_BLOB_GAS": replace(BLOBS, max_fee_per_blob_gas=0),
}
COUNT, ALLOWANCE = "TYPE_3_TX_BLOB_COUNT_EXCEEDED", "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED"
LEGACY_ONE = replace(PLAIN, type=LEGACY, max_priority_fee=10**9)
OF_A_FORK: list[tuple[str, str, Transaction]] = [
    ("Istanbul", "TYPE_1_TX_PRE_FORK", replace(LEGACY_ONE, type=ACCESS_LIST)),
    ("Berlin", "", replace(LEGACY_ONE, type=ACCESS_LIST)),
    ("Berlin", "TYPE_2_TX_PRE_FORK", PLAIN),
    ("London", "", PLAIN),
    ("Shanghai", "TYPE_3_TX_PRE_FORK", BLOBS),
    ("Paris", "", replace(PLAIN, to=None, data=bytes(49_153), gas_limit=10_000_000)),
    ("Frontier", "", replace(LEGACY_ONE, to=None, gas_limit=21_000)),
    ("Homestead", "INTRINSIC_GAS_TOO_LOW", replace(LEGACY_ONE, to=None, gas_limit=52_999)),
    ("Petersburg", "INTRINSIC_GAS_TOO_LOW", replace(LEGACY_ONE, data=b"\x01", gas_limit=21_067)),
    ("Istanbul", "", replace(LEGACY_ONE, data=b"\x01", gas_limit=21_016)),
    ("Cancun", "", with_blobs(6)),
    ("Cancun", COUNT, with_blobs(7)),
    ("Cancun", COUNT, with_blobs(20)),
    ("Cancun", "TYPE_4_TX_PRE_FORK", DELEGATES),
    ("Cancun", "", replace(PLAIN, data=b"\x01" * 1000, gas_limit=37_100)),
    ("Prague", "", with_blobs(9)),
    ("Prague", COUNT, with_blobs(10)),
    ("Prague", "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST", replace(PLAIN, data=b"\x01" * 1000, gas_limit=37_100)),
    ("Prague", "TYPE_4_TX_CONTRACT_CREATION", replace(DELEGATES, to=None)),
    ("Prague", "TYPE_4_EMPTY_AUTHORIZATION_LIST", replace(DELEGATES, authorizations=())),
    ("Prague", "", replace(PLAIN, gas_limit=16_777_217)),
    ("Osaka", "", with_blobs(6)),
    ("Osaka", COUNT, with_blobs(7)),
    ("Osaka", COUNT, with_blobs(9)),
    ("Osaka", ALLOWANCE, with_blobs(10)),
    ("Osaka", "GAS_LIMIT_EXCEEDS_MAXIMUM", replace(PLAIN, gas_limit=16_777_217)),
    ("Osaka", "INTRINSIC_GAS_TOO_LOW", replace(PLAIN, gas_limit=20_999)),
    ("Osaka", "INITCODE_SIZE_EXCEEDED", replace(PLAIN, to=None, data=bytes(49_153), gas_limit=10_000_000)),
    ("Amsterdam", "", replace(PLAIN, gas_limit=15_000)),
    ("Amsterdam", "", replace(PLAIN, gas_limit=16_777_217)),
    ("Amsterdam", "GAS_LIMIT_EXCEEDS_MAXIMUM", replace(PLAIN, gas_limit=1 << 32)),
    ("Amsterdam", "EXECUTION_GAS_CAP_EXCEEDED", replace(PLAIN, data=bytes(262_144), gas_limit=30_000_000)),
    ("Amsterdam", "", replace(PLAIN, to=None, data=bytes(131_072), gas_limit=10_000_000)),
]


def refusal(transaction: Transaction, fork: Fork, gas: int = 36_000_000, blobs: int | None = None) -> str:
    """Return the name of an error in a block with this gas and space for blobs; empty for a valid transaction."""
    room = GAS_PER_BLOB * (fork.blobs.maximum if blobs is None else blobs)
    try:
        check(transaction, fork, BlockLimits(gas, room, 7, 1, CHAIN), required_gas(transaction, fork, SENDER))
    except InvalidTransaction as refused:
        return refused.refusal.name
    return ""


@pytest.mark.parametrize("fork", WITH_BLOBS, ids=lambda fork: fork.name)
@pytest.mark.parametrize(("name", "transaction"), EVERY_FORK.items())
def test_a_refusal_has_the_state_tests_name(fork: Fork, name: str, transaction: Transaction) -> None:
    assert refusal(transaction, fork) == name


@pytest.mark.parametrize(("fork", "name", "transaction"), OF_A_FORK)
def test_a_refusal_has_the_name_of_its_fork(fork: str, name: str, transaction: Transaction) -> None:
    assert refusal(transaction, FORKS[fork]) == name


@pytest.mark.parametrize("fork", WITH_BLOBS, ids=lambda fork: fork.name)
def test_insufficient_remaining_block_gas_is_allowance_error(fork: Fork) -> None:
    assert refusal(with_blobs(3), fork, blobs=2) == ALLOWANCE
    assert refusal(PLAIN, fork, gas=99_999) == "GAS_ALLOWANCE_EXCEEDED"


def test_rejection_reasons_use_only_eest_names() -> None:
    """One reason has no name there: its text in go-ethereum is that of the floor, so it matches the floor's name."""
    assert {reason.name for reason in RejectionReason} - EEST == {"EXECUTION_GAS_CAP_EXCEEDED"}

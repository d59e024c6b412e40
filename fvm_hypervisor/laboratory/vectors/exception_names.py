"""Exception names in Ethereum's test fixtures, and their comparison with errors.

A fixture names one or more exceptions (`TransactionException.A|BlockException.B`). Each name in older fixtures
corresponds to one or more current names. Sources: the exceptions of execution-spec-tests and of the generator of
ethereum/tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

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

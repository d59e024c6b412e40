"""Rules of Ethereum's forks: opcodes, refusals, and requests.

- Forks of Ethereum are table rows: a new row works everywhere.
- Names of refusals: what Ethereum's state tests (EEST) expect of a transaction that is invalid in one way, by fork.
- Requests at a block's end: a missing or failing request contract invalidates the block (EIP-7002, EIP-7251).

Sources of the names: execution-spec-tests, ethereum_test_exceptions and the tests of each EIP: eip4844_blobs
(test_invalid_tx_blob_count), eip7594_peerdas (test_invalid_max_blobs_per_tx), eip7623, eip7702, eip7825, eip3860.

Expected: the EIPs ("the corresponding block MUST be marked invalid"), and EIP-7685's list format.
"""

from dataclasses import replace

import pytest

import runtimes.evm.forks.forks
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import EthereumBlock
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
from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor_tools.cli.node import _HARDFORK
from hypervisor_tools.laboratory.vectors.t8n import transition
from localnet import Network
from localnet.rules.parts import rules_named
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from runtimes.evm.blocks.block_run import CONSOLIDATION_REQUESTS, WITHDRAWAL_REQUESTS, BlockRun
from runtimes.evm.forks.forks import ALIASES, FORKS, LATEST_FORK, Fork, code_limits, fork_named, fork_names
from runtimes.evm.forks.validation import (
    BlockLimits,
    InvalidBlock,
    InvalidTransaction,
    RejectionReason,
    check,
    required_gas,
)
from tests.runtimes.evm.assembler import assemble


def test_later_forks_than_default_only_change_blobs() -> None:
    assert fork_named("") is LATEST_FORK
    later = [fork for fork in [*FORKS.values()][fork_names().index(LATEST_FORK.name) + 1 :] if not fork.draft_date]
    assert [fork._replace(name=LATEST_FORK.name, blobs=LATEST_FORK.blobs) for fork in later] == [LATEST_FORK] * 2


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_both_spellings_name_the_same_fork(alias: str, name: str) -> None:
    assert fork_named(alias) is FORKS[name]
    assert rules_named("ethereum", alias.lower()).hardfork == name


@pytest.mark.parametrize("limit", [24_576, 1000])
def test_blocks_own_code_limit_overrides_the_forks(limit: int) -> None:
    """Amsterdam's limit is higher (EIP-7954); that of init code is twice as high (EIP-3860)."""
    amsterdam = fork_named("Amsterdam")
    assert code_limits(EthereumBlock("Amsterdam"), amsterdam) == (amsterdam.code_limit, amsterdam.init_code_limit)
    assert code_limits(EthereumBlock("Amsterdam", code_limit=limit), amsterdam) == (limit, 2 * limit)


def test_unknown_fork_names_the_known_ones() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"'Fronter' is not known: choose one of Frontier, .*\(EIP150\).* Amsterdam, BPO3, BPO4; with a proposal",
    ):
        fork_named("Fronter")


def test_unknown_proposal_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"proposal 9999 of the fork .* is not known: .* 2780, .* 7708, .* 8282\)$"):
        fork_named("Osaka+7708+9999")


def test_the_help_of_the_node_names_the_forks() -> None:
    """The command's module repeats the names: importing the table would add half a second to each start."""
    names = ", ".join(fork.name.lower() + (" (draft)" if fork.draft_date else "") for fork in FORKS.values())
    expected = f"With --rules ethereum: {names} (default: {LATEST_FORK.name.lower()})."
    assert expected == _HARDFORK, f"let the help of --hardfork be '{expected}' in hypervisor_tools/cli/node.py"


def test_a_fork_that_is_added_as_a_row_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    added = LATEST_FORK.successor("Nextfork", transaction_gas_cap=100_000)
    monkeypatch.setattr(runtimes.evm.forks.forks, "FORKS", {**FORKS, added.name: added})
    with Network(rules="ethereum", hardfork="nextfork") as network:
        sender, receiver = network.accounts[:2]
        assert network.send(receiver, 5, sender=sender).succeeded
        assert network.rules.messages.gas_limit(network.machine) == 100_000  # the row's fact
    env = {
        "currentNumber": "0x1", "currentTimestamp": "0x1", "currentBaseFee": "0x7", "currentGasLimit": "0x1000000",
        "currentCoinbase": "0x" + "11" * 20, "currentRandom": "0x00", "blockHashes": {"0x0": "0x" + "00" * 32},
        "withdrawals": [], "parentBeaconBlockRoot": "0x" + "00" * 32,
    }  # fmt: skip
    assert transition({}, env, [], "Nextfork").result["gasUsed"] == "0x0"


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
    "GASLIMIT_PRICE_PRODUCT_OVERFLOW",
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


NOTHING = assemble("STOP")
NEEDED = {"withdrawals": [], "parentBeaconBlockRoot": "0x" + "00" * 32}
"""Environment fields of blocks from Cancun on."""
ONE = assemble("0xabcd 0 MSTORE 2 30 RETURN")
REFUSAL, HALT = assemble("0 0 REVERT"), assemble("INVALID")
KEEPERS = [WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS]


def finished(codes: dict[EthAddress, bytes], fork: str = "Prague") -> BlockRun:
    machine = Hypervisor.open(rules="ethereum")
    machine.advance(block=EthereumBlock(fork=fork, filecoin_addresses=False))
    install_alloc(machine, {address: AllocAccount(1, 1, code) for address, code in codes.items()})
    run = BlockRun(machine)
    run.finish()
    return run


def test_request_contract_output_becomes_typed_requests() -> None:
    assert finished(dict.fromkeys(KEEPERS, ONE)).requests == [b"\x01\xab\xcd", b"\x02\xab\xcd"]
    assert finished({WITHDRAWAL_REQUESTS: NOTHING, CONSOLIDATION_REQUESTS: ONE}).requests == [b"\x02\xab\xcd"]
    assert finished(dict.fromkeys(KEEPERS, NOTHING)).requests == []


@pytest.mark.parametrize("missing", KEEPERS, ids=["withdrawals", "consolidations"])
def test_missing_request_contract_invalidates_block(missing: EthAddress) -> None:
    codes = dict.fromkeys(KEEPERS, NOTHING)
    del codes[missing]
    for absent in (codes, codes | {missing: b""}):
        with pytest.raises(InvalidBlock, match=f"requires a contract at 0x{missing.hex()}, which does not exist"):
            finished(absent)


@pytest.mark.parametrize("code", [REFUSAL, HALT], ids=["refuses", "halts"])
@pytest.mark.parametrize("failing", KEEPERS, ids=["withdrawals", "consolidations"])
def test_a_contract_that_fails_makes_the_block_invalid(failing: EthAddress, code: bytes) -> None:
    with pytest.raises(InvalidBlock, match=f"call of 0x{failing.hex()} failed"):
        finished(dict.fromkeys(KEEPERS, NOTHING) | {failing: code})


def test_pre_prague_blocks_have_no_requests() -> None:
    assert finished({}, "Cancun").requests is None


def test_transition_tool_reports_block_exception() -> None:
    env = {
        "currentNumber": "0x1", "currentTimestamp": "0x1", "currentCoinbase": "0x" + "00" * 20,
        "currentGasLimit": "0x1000000", "currentBaseFee": "0x7", "currentRandom": "0x00", **NEEDED,
    }  # fmt: skip
    alone = {f"0x{WITHDRAWAL_REQUESTS.hex()}": {"balance": "0x1", "nonce": "0x1", "code": f"0x{ONE.hex()}"}}
    both = {f"0x{keeper.hex()}": {"balance": "0x1", "nonce": "0x1", "code": f"0x{ONE.hex()}"} for keeper in KEEPERS}
    done = transition(alone, env, [], "Prague").result
    assert "0x0000bbddc7ce488642fb579f8b00f3a590007251, which does not exist" in done["blockException"]
    assert done["requests"] is None
    done = transition(both, env, [], "Prague").result
    assert done["requests"] == ["0x01abcd", "0x02abcd"]
    assert "blockException" not in done


@pytest.mark.parametrize(("given", "number"), [("0x0", 0), ("0x123", 0x123), ("0x" + "ab" * 32, int("ab" * 32, 16))])
def test_the_transition_tool_takes_randomness_as_a_number(given: str, number: int) -> None:
    """geth's tool accepts a number of any length, too; the first contract returns PREVRANDAO."""
    results = assemble("PREVRANDAO 0 MSTORE 32 0 RETURN")
    codes = {WITHDRAWAL_REQUESTS: results, CONSOLIDATION_REQUESTS: assemble("STOP")}
    env = {
        "currentNumber": "0x1", "currentTimestamp": "0x1", "currentCoinbase": "0x" + "00" * 20,
        "currentGasLimit": "0x1000000", "currentBaseFee": "0x7", "currentRandom": given, **NEEDED,
    }  # fmt: skip
    alloc = {
        f"0x{at.hex()}": {"balance": "0x1", "nonce": "0x1", "code": f"0x{code.hex()}"} for at, code in codes.items()
    }
    assert transition(alloc, env, [], "Prague").result["requests"] == [f"0x01{number:064x}"]

"""Requests at a block's end: a missing or failing request contract invalidates the block (EIP-7002, EIP-7251).

Expected: the EIPs ("the corresponding block MUST be marked invalid"), and EIP-7685's list format.
"""

import pytest

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import EthereumBlock
from fvm_hypervisor.laboratory.vectors.t8n import transition
from hypervisor.machine.machine import Hypervisor
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc
from runtimes.evm.ethereum.block_errors import InvalidBlock
from runtimes.evm.ethereum.block_run import CONSOLIDATION_REQUESTS, WITHDRAWAL_REQUESTS, BlockRun
from tests.runtimes.evm.assembler import assemble

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

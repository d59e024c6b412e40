"""Block-level access lists (EIP-7928) of the transition tool and of `hypervisor blocktest`.

The lists of go-ethereum are recorded by `python -m tests.oracle.access_lists`.
"""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import AccountAccess, BlockAccessList, first_difference
from fvm_hypervisor.laboratory.vectors.blocktest import read_block_access_list, run_test
from fvm_hypervisor.laboratory.vectors.ethereum_json import BadFixture
from fvm_hypervisor.laboratory.vectors.t8n import transition
from runtimes.evm.ethereum.block_errors import InvalidBlock
from runtimes.evm.ethereum.headers import check_access_list
from store.keccak import keccak
from tests.golden_cases import ethereum_cases
from tests.oracle.blocktests import NOTHING, fixture

ACCESS_LIST_CASES = ethereum_cases("access_lists")


def _list(data: str) -> BlockAccessList:
    return BlockAccessList.decode(bytes.fromhex(data[2:]))


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
@pytest.mark.parametrize("name", ACCESS_LIST_CASES)
def test_a_list_is_that_of_go_ethereum(name: str, evm: str) -> None:
    case = ACCESS_LIST_CASES[name]
    result = transition(case["alloc"], case["env"], case["txs"], case["fork"], evm=evm).result
    assert first_difference(_list(result["blockAccessList"]), _list(case["expected"])) == ""
    assert result["blockAccessList"] == case["expected"]
    assert result["blockAccessListHash"] == f"0x{keccak(bytes.fromhex(case['expected'][2:])).hex()}"


@pytest.mark.slow
def test_go_ethereum_s_bytes_are_ours() -> None:
    for case in ACCESS_LIST_CASES.values():
        assert f"0x{_list(case['expected']).rlp().hex()}" == case["expected"]


@pytest.mark.slow
def test_a_fork_without_lists_has_none() -> None:
    case = next(iter(ACCESS_LIST_CASES.values()))
    assert "blockAccessList" not in transition(case["alloc"], case["env"], case["txs"], "Osaka").result


# --- import -----------------------------------------------------------------------------------------------------------


@cache
def chain() -> str:
    return json.dumps(fixture("Osaka+7928"))


def test_a_chain_with_lists_passes() -> None:
    assert run_test(json.loads(chain())) == ""


def with_hash(access_list_hash: bytes, *, published: Any = None) -> dict[str, Any]:
    """Return the chain; the header of its last block has another hash of the access list."""
    test: dict[str, Any] = json.loads(chain())
    block = test["blocks"][-1]
    parts = rlp.read_list(rlp.decode(bytes.fromhex(block["rlp"][2:])))
    parts[0] = [*rlp.read_list(parts[0])[:-1], access_list_hash]
    block["rlp"] = f"0x{rlp.encode(parts).hex()}"
    if published is not None:
        block["blockAccessList"] = published
    return test


def test_wrong_access_list_is_refused_with_first_difference() -> None:
    test = with_hash(BlockAccessList().hash(), published=[])
    words = (
        f"block 6: INVALID_BAL_HASH: published block access list: account 0x{'00' * 19}04 is missing"  # WORK calls it
    )
    assert run_test(test) == words


def test_a_wrong_hash_is_refused() -> None:
    assert run_test(with_hash(bytes(32))).startswith(
        f"block 6: INVALID_BAL_HASH: hash of the block access list 0x{'00' * 32}, expected 0x"
    )


def test_a_header_without_the_hash_is_refused() -> None:
    test = json.loads(chain())
    block = test["blocks"][-1]
    parts = rlp.read_list(rlp.decode(bytes.fromhex(block["rlp"][2:])))
    block["rlp"] = f"0x{rlp.encode([rlp.read_list(parts[0])[:-1], *parts[1:]]).hex()}"
    assert "a header of Osaka+7928 needs access_list_hash" in run_test(test)


def test_a_list_above_the_gas_limit_is_refused() -> None:
    """With 2,000 gas per item, a limit of 5,000 gas allows two."""
    header = replace(NOTHING, gas_limit=5000, access_list_hash=_THREE.hash())
    with pytest.raises(InvalidBlock, match="has 3 addresses and slots, the limit is 2"):
        check_access_list(header, _THREE, None)


_THREE = BlockAccessList({EthAddress(bytes(20)): AccountAccess(reads={1}, writes={2: {1: 1}})})


def test_a_list_is_read_in_the_form_of_go_ethereum() -> None:
    """The fields are those of go-ethereum's core/types/bal/bal_encoding.go."""
    slot = {"slot": "0x2", "slotChanges": [{"blockAccessIndex": "0x1", "postValue": "0x3"}]}
    item = {
        "address": "0x" + "11" * 20,
        "storageChanges": [slot],
        "storageReads": ["0x4"],
        "balanceChanges": [{"blockAccessIndex": "0x1", "postBalance": "0x5"}],
        "nonceChanges": [{"blockAccessIndex": "0x1", "postNonce": "0x6"}],
        "codeChanges": [{"blockAccessIndex": "0x1", "newCode": "0x07"}],
    }
    access = AccountAccess({2: {1: 3}}, {4}, {1: 5}, {1: 6}, {1: b"\x07"})
    assert read_block_access_list([item]) == BlockAccessList({EthAddress(b"\x11" * 20): access})


@pytest.mark.parametrize("item", [5, {"address": "0x11"}, {}, {"address": "0x" + "11" * 20, "storageReads": ["x"]}])
def test_a_malformed_list_is_refused(item: Any) -> None:
    with pytest.raises(BadFixture):
        read_block_access_list([item])

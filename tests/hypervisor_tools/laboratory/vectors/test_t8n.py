"""Transition tool compared with go-ethereum's: accounts, roots, receipts, difficulty, fees and rejection texts.

The inputs and go-ethereum's output are recorded by `python -m tests.oracle.transitions`.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

import pytest

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import AccountAccess, BlockAccessList, first_difference
from hypervisor.errors import InvalidInput
from hypervisor_tools.laboratory.vectors.blocktest import read_block_access_list, run_test
from hypervisor_tools.laboratory.vectors.ethereum_json import BadFixture
from hypervisor_tools.laboratory.vectors.t8n import MissingValue, transition
from runtimes.evm.blocks.headers import check_access_list
from runtimes.evm.forks.proposals import AMSTERDAM as NUMBERS
from runtimes.evm.forks.validation import InvalidBlock
from store.keccak import keccak
from tests.golden_cases import ethereum_cases
from tests.oracle.blocktests import NOTHING, fixture
from tests.oracle.random_blocks import without_access_list

CASES = ethereum_cases("transitions")


@pytest.mark.parametrize("name", CASES)
def test_output_equals_that_of_go_ethereum(name: str) -> None:
    case = CASES[name]
    done = transition(case["alloc"], case["env"], case["txs"], case["fork"], reward=case["reward"])
    assert {"alloc": done.alloc, "result": done.result, "body": done.body} == case["expected"]


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_opcodes_of_proposals_are_those_of_go_ethereum(evm: str) -> None:
    case = CASES["Cancun+8024+7843"]
    done = transition(case["alloc"], case["env"], case["txs"], case["fork"], evm=evm)
    assert done.result == case["expected"]["result"]
    assert {receipt["status"] for receipt in done.result["receipts"]} == {"0x0", "0x1"}


@pytest.mark.parametrize("fork", ["Osaka+9", "Osaka+", "Osaka+8024+1346", "Fronter+8024", "Osaka+" + "1" * 5000])
def test_unknown_proposal_is_refused_with_the_known_ones(fork: str) -> None:
    with pytest.raises(InvalidInput, match=r"is not known: .*as in Osaka\+8024 \(1153, 1344, .*8024.*\)"):
        transition({}, {}, [], fork)


@pytest.mark.parametrize(("number", "other"), [(8037, 8038), (8038, 8037)])
def test_proposals_with_common_prices_require_each_other(number: int, other: int) -> None:
    """go-ethereum's EIPs 8037 and 8038 enable the same set of rules (core/vm/eips.go)."""
    with pytest.raises(InvalidInput, match=rf"^EIP-{number} requires EIP-{other}: use Osaka\+7708\+8037\+8038$"):
        transition({}, {}, [], f"Osaka+7708+{number}")


def test_recorded_blocks_accept_and_reject() -> None:
    result = CASES["BPO2"]["expected"]["result"]
    assert len(result["receipts"]) == 6
    assert len({item["error"].split(":")[0] for item in result["rejected"]}) == 12


@pytest.mark.parametrize(
    ("fork", "changes", "words"),
    [
        ("London", {"parentBaseFee": None}, "one of the fields 'currentBaseFee' and 'parentBaseFee' is needed"),
        ("London", {"parentDifficulty": None}, "one of the fields 'currentDifficulty' and 'parentDifficulty'"),
        (
            "London",
            {"parentTimestamp": "0xffff"},
            "'currentTimestamp' is 15000: expected a time after 'parentTimestamp', 65535",
        ),
        ("Merge", {"currentRandom": None}, "'currentRandom' is missing: Paris requires it"),
        ("Merge", {"currentDifficulty": "0x1"}, "'currentDifficulty' is 0x1: expected 0 or none in Paris"),
        ("Shanghai", {"withdrawals": None}, "'withdrawals' is missing: Shanghai requires it"),
        ("Cancun", {"parentBeaconBlockRoot": None}, "'parentBeaconBlockRoot' is missing: Cancun requires it"),
    ],
)
def test_value_that_the_fork_needs_is_named(fork: str, changes: dict[str, Any], words: str) -> None:
    case = CASES[fork]
    with pytest.raises(MissingValue, match=words):
        transition(case["alloc"], {**case["env"], **changes}, [], fork)


AMSTERDAM_CASES = ethereum_cases("amsterdam")
BLOCK: Final = "proposals"


def amsterdam_as_proposals(*omitted: int) -> str:
    """Return the name of Amsterdam's rules as a fork with proposals, without some of them."""
    return "+".join(("BPO2", *(str(number) for number in NUMBERS if number not in omitted)))


def run(name: str, fork: str, evm: str) -> Mapping[str, Any]:
    case = AMSTERDAM_CASES[name]
    done = transition(case["alloc"], case["env"], case["txs"], fork, evm=evm)
    return {"alloc": done.alloc, "result": done.result, "body": done.body}


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("name", AMSTERDAM_CASES)
def test_block_is_that_of_go_ethereum(name: str, evm: str) -> None:
    assert run(name, amsterdam_as_proposals(), evm) == AMSTERDAM_CASES[name]["expected"]


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("name", AMSTERDAM_CASES)
def test_block_without_access_list_is_that_of_go_ethereum(name: str, evm: str) -> None:
    expected = json.loads(json.dumps(AMSTERDAM_CASES[name]["expected"]))
    without_access_list(expected)
    assert run(name, amsterdam_as_proposals(7928), evm) == expected


def test_floor_above_the_execution_gas_cap_has_go_ethereums_text() -> None:
    """300,000 bytes for the sender itself: 12,000 for the transaction, and 16 or, for the floor, 64 per byte."""
    case = AMSTERDAM_CASES[BLOCK]
    to_itself = case["txs"][2]
    assert int(to_itself["gas"], 16) == 11_999
    sent = {**to_itself, "nonce": "0x0", "gas": hex(1 << 25), "input": "0x" + "01" * 300_000}
    done = transition(case["alloc"], case["env"], [sent], "Amsterdam")
    text = "insufficient gas for floor data gas cost: intrinsic cost 4812000, floor: 19212000"  # go-ethereum 1.17.10
    assert done.result["rejected"] == [{"index": 0, "error": text}]


ACCESS_LIST_CASES = ethereum_cases("access_lists")


def _list(data: str) -> BlockAccessList:
    return BlockAccessList.decode(bytes.fromhex(data[2:]))


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["fast", "py-evm"])
@pytest.mark.parametrize("name", ACCESS_LIST_CASES)
def test_list_is_that_of_go_ethereum(name: str, evm: str) -> None:
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
def test_fork_without_lists_has_none() -> None:
    case = next(iter(ACCESS_LIST_CASES.values()))
    assert "blockAccessList" not in transition(case["alloc"], case["env"], case["txs"], "Osaka").result


@cache
def chain() -> str:
    return json.dumps(fixture("Osaka+7928"))


@pytest.mark.slow
def test_chain_with_lists_passes() -> None:
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


@pytest.mark.slow
def test_wrong_access_list_is_refused_with_first_difference() -> None:
    test = with_hash(BlockAccessList().hash(), published=[])
    words = (
        f"block 6: INVALID_BAL_HASH: published block access list: account 0x{'00' * 19}04 is missing"  # WORK calls it
    )
    assert run_test(test) == words


@pytest.mark.slow
def test_wrong_hash_is_refused() -> None:
    assert run_test(with_hash(bytes(32))).startswith(
        f"block 6: INVALID_BAL_HASH: hash of the block access list 0x{'00' * 32}, expected 0x"
    )


def test_header_without_the_hash_is_refused() -> None:
    test = json.loads(chain())
    block = test["blocks"][-1]
    parts = rlp.read_list(rlp.decode(bytes.fromhex(block["rlp"][2:])))
    block["rlp"] = f"0x{rlp.encode([rlp.read_list(parts[0])[:-1], *parts[1:]]).hex()}"
    assert "a header of Osaka+7928 needs access_list_hash" in run_test(test)


def test_list_above_the_gas_limit_is_refused() -> None:
    """With 2,000 gas per item, a limit of 5,000 gas allows two."""
    header = replace(NOTHING, gas_limit=5000, access_list_hash=_THREE.hash())
    with pytest.raises(InvalidBlock, match="has 3 addresses and slots, the limit is 2"):
        check_access_list(header, _THREE, None)


_THREE = BlockAccessList({EthAddress(bytes(20)): AccountAccess(reads={1}, writes={2: {1: 1}})})


def test_list_is_read_in_the_form_of_go_ethereum() -> None:
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
def test_malformed_list_is_refused(item: Any) -> None:
    with pytest.raises(BadFixture):
        read_block_access_list([item])

"""Every test on forks ends as in forge on forks of anvil: the same status, messages and logs, and mostly the gas.

Expected values are the output of forge (`golden.json.xz`); `make clients` compares them with forge again.
The networks here are this project's own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from hypervisor.messages.address import Address
from hypervisor.types import ActorID
from hypervisor_tools.soltest.execution.results import TestResult
from localnet import Network
from localnet.fork.response_values import read_header
from localnet.rpc.server.server import serving
from store.keccak import keccak
from tests.hypervisor_tools.soltest.forks.golden import GOLDEN
from tests.hypervisor_tools.soltest.forks.running import run

OTHER_GAS: Final = {
    "test_roll()": "a fork that was rolled begins cold",
    "test_transact()": "after a transaction of the network all slots are cold",
    "test_exec()": "the receiver, which the transaction makes, is cold behind it",
    "test_zeroStays()": "slots of a fork that setUp has written are cold in a test",
    "test_overZero()": "writing a slot is priced by what setUp left in it, in forge by what the network has in it",
    "testBurns()": "slots of a fork that setUp has written are cold in a test",
    "testWords()": "slots of a fork that setUp has written are cold in a test",
}  # fmt: skip
OTHER_WORDS: Final = {
    "test_rpcError()": "a node has words of its own for an unknown method",
    "test_execBad()": "bytes that are no transaction are refused in this project's words",
    "test_execPoor()": "so is a transaction that its sender cannot pay",
}
"""Tests that fail with other messages."""


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("contract", sorted(GOLDEN["forge"]))
def test_forks_end_as_in_forge(contract: str, evm: str, networks: Mapping[str, str], tmp_path: Path) -> None:
    _compare(GOLDEN["forge"][contract], run(tmp_path, f"^{contract}$", networks, evm=evm)[contract])


@pytest.mark.slow
def test_tests_that_begin_on_a_fork_end_as_in_forge(networks: Mapping[str, str], tmp_path: Path) -> None:
    found = run(tmp_path, "^UrlTest$", networks, fork_url=networks["FIRST_URL"], fork_number=7)
    _compare(GOLDEN["url"]["UrlTest"], found["UrlTest"])


OTHER_RULES = {"test_evm()", "test_evm3()"}
"""Tests that set an EVM version with other rules."""


def _compare(wanted: dict[str, dict[str, object]], found: dict[str, TestResult]) -> None:
    ours = {name: (test.status.value, test.reason or "", list(test.logs)) for name, test in found.items()}
    said = {name: (test["status"], test["reason"], test["logs"]) for name, test in wanted.items()}
    for name in OTHER_RULES & ours.keys():
        assert "has other rules than" in ours.pop(name)[1]
        del said[name]
    for name in OTHER_WORDS.keys() & ours.keys():
        assert ours.pop(name)[0] == said.pop(name)[0]
    assert ours == said
    gas = {name for name, test in wanted.items() if test["gas"] and test["gas"] != found[name].gas}
    assert gas <= OTHER_GAS.keys() | OTHER_WORDS.keys() | OTHER_RULES


def test_a_header_has_the_hash_of_its_block() -> None:
    block = GOLDEN["block"]
    header = read_header(block)
    assert f"0x{keccak(header).hex()}" == block["hash"]  # anvil's hash
    with pytest.raises(ValueError, match=r"the header's hash is 0x.* the block was changed"):
        read_header({**block, "gasUsed": "0x1"})
    with pytest.raises(KeyError, match="stateRoot"):
        read_header({name: value for name, value in block.items() if name != "stateRoot"})


def test_every_gas_that_differs_belongs_to_a_test() -> None:
    names = {name for tests in GOLDEN["forge"].values() for name in tests}
    assert OTHER_GAS.keys() | OTHER_WORDS.keys() <= names


@pytest.mark.slow
def test_intentional_differences_from_forge(networks: Mapping[str, str], tmp_path: Path) -> None:
    reasons = {name: test.reason or "" for name, test in run(tmp_path, "^OwnForks$", networks)["OwnForks"].items()}
    assert reasons.pop("test_deadNode()").startswith("vm.createSelectFork: no node responds at http://127.0.0.1:9 ")
    assert "the parameters are not JSON" in reasons.pop("test_badParameters()")
    assert "the parameters are not a JSON array" in reasons.pop("test_noArray()")
    assert "the block was changed, or the network's headers differ" in reasons.pop("test_header()")
    assert reasons.pop("test_json()") == "vm.rpcJson: no active fork URL found"
    assert set(reasons.values()) == {""}


@pytest.mark.slow
def test_reverted_first_fork_selection_is_rolled_back(networks: Mapping[str, str], tmp_path: Path) -> None:
    (test,) = run(tmp_path, "^OwnForksFirst$", networks)["OwnForksFirst"].values()
    assert test.reason is None


@pytest.mark.slow
def test_a_fork_under_filecoins_rules_has_the_networks_actors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The second run is offline."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Network() as there:
        counter = there.deploy(GOLDEN["artifacts"]["test/Counter.sol:Counter"])
        assert counter.send("set", 42).succeeded
        known = {
            "COUNTER": f"0x{counter.address.hex()}",
            "EPOCH": str(there.block_number),
            "CHAIN": str(there.chain_id),
            "REWARD": str(int(there.balance(Address.id(ActorID(2))))),
        }
        with serving(there) as url:
            number = there.block_number
            found = _filecoin_fork(tmp_path / "online", {**known, "FIRST_URL": url}, number, rpc_cache="all")
    assert [test.reason for test in found.values()] == [None, None, None]
    found = _filecoin_fork(tmp_path / "offline", {**known, "FIRST_URL": url}, number, forks_offline=True)
    assert [test.reason for test in found.values()] == [None, None, None]


def _filecoin_fork(folder: Path, environment: Mapping[str, str], number: int, **job: Any) -> Mapping[str, TestResult]:
    folder.mkdir()
    url = environment["FIRST_URL"]
    return run(folder, "^FilecoinFork$", environment, rules="filecoin", fork_url=url, fork_number=number, **job)[
        "FilecoinFork"
    ]

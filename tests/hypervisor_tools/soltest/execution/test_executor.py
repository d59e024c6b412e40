"""State of Solidity tests: changes made for one deployment are reverted after it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.ethereum.addresses import EthAddress
from hypervisor.installation import FILECOIN
from hypervisor.tracing import CallTrees
from hypervisor_tools.soltest.cheatcodes.context import Settings
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.cheatcodes.state import DEFAULT_SENDER, BlockValues, State
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.execution.executor import ExecutorSettings, TestExecutor
from hypervisor_tools.soltest.execution.stage import SuiteStage
from tests.hypervisor_tools.soltest.contracts import PASS, artifact, call_of_cheatcode, write

CODE_OF_24577_BYTES = bytes.fromhex("6160015ff3")
"""Init code that returns one byte more than EIP-170 allows."""
CREATES_ONE = bytes.fromhex("646160015ff35f526005601b5ff05f5260205ff3")
"""Code that creates it and returns its address, or 0 on failure."""


def test_only_deployed_test_contract_may_exceed_code_limit() -> None:
    executor = TestExecutor(ExecutorSettings(rules=FILECOIN), Cheatcodes())
    usual = executor.machine.context
    for init_code in (CODE_OF_24577_BYTES, bytes.fromhex("5f5ffd")):  # one that is created, and one that reverts
        executor.deploy(init_code, DEFAULT_SENDER)
        assert executor.machine.context == usual
    copied = bytes([0x60, len(CREATES_ONE), 0x80, 0x60, 0x0A, 0x5F, 0x39, 0x5F, 0xF3, 0x00]) + CREATES_ONE
    creator, _ = executor.deploy(copied, DEFAULT_SENDER)
    assert isinstance(creator, bytes)
    outcome = executor.call(DEFAULT_SENDER, EthAddress(creator), b"")
    assert (outcome.success, int.from_bytes(outcome.output, "big")) == (True, 0)


def test_test_contracts_have_any_size() -> None:
    executor = TestExecutor(ExecutorSettings(evm="fast", code_limit=24576), Cheatcodes())
    made, outcome = executor.deploy(CODE_OF_24577_BYTES, DEFAULT_SENDER)
    assert (made, outcome.success, executor.nonce(DEFAULT_SENDER)) == (executor.accounts()[-1], True, 2)
    made, outcome = executor.deploy(CREATES_ONE, DEFAULT_SENDER)
    assert made is not None
    assert dict(executor.contracts())[made] == bytes(32)  # the inner contract has the limit
    made, outcome = executor.deploy(bytes.fromhex("5f5ffd"), DEFAULT_SENDER)
    assert (made, outcome.success, executor.nonce(DEFAULT_SENDER)) == (None, False, 4)
    executor.machine.close()


@pytest.mark.parametrize("change", [
    lambda state: state.labels.update({DEFAULT_SENDER: "sender"}),
    lambda state: state.persistent.clear(),
    lambda state: setattr(state, "uses_broadcasts", True),
    lambda state: setattr(state, "has_failed", True),
    lambda state: setattr(state, "block", BlockValues(gas_price=7)),
    lambda state: state.forks.changes.append(None),
    lambda state: None,
])  # fmt: skip
def test_restored_snapshot_has_no_later_state_of_cheatcodes(change: Callable[[State], None]) -> None:
    executor = TestExecutor(ExecutorSettings(), Cheatcodes())
    here = executor.snapshot()
    for _ in range(2):
        change(executor.cheatcodes.state)
        executor.restore(here)
        assert executor.cheatcodes.state == State()


def test_traced_sender_without_account_has_its_own_address() -> None:
    sender, executor = EthAddress(b"\xa7" * 20), TestExecutor(ExecutorSettings(evm="fast"), Cheatcodes())
    contract, _ = executor.deploy(bytes.fromhex("60015ff3"), DEFAULT_SENDER)
    assert contract is not None
    executor.machine.tracer = trees = CallTrees()
    assert executor.call(sender, contract, b"").success
    assert executor.address_of(trees.roots[0].start.from_) == sender


def test_libraries_of_other_tests_files_are_not_deployed(tmp_path: Path) -> None:
    """A filter leaves these files out, and the number of actors affects gas under Filecoin's rules."""
    test = artifact({"testLoads()": call_of_cheatcode("getCode(string)", "C.sol:C")})
    user, library = artifact({"f()": PASS}), artifact({"g()": PASS})
    user["bytecode"]["object"] += "00" * 20
    link = {"start": len(user["bytecode"]["object"]) // 2 - 21, "length": 20}
    made = {"T": ("test/T.t.sol", test)}
    for name, file in (("Own", "src/Own.sol"), ("Base", "test/Base.t.sol"), ("Other", "test/Other.t.sol")):
        links = {file: {f"{name}Lib": [link]}}
        made[name] = file, {**user, "bytecode": {**user["bytecode"], "linkReferences": links}}
        made[f"{name}Lib"] = file, library
    folder = write(tmp_path, {name: content for name, (_, content) in made.items()})
    places = [ArtifactLocation(file, name, folder / f"{name}.json") for name, (file, _) in made.items()]
    files = {"test/T.t.sol": frozenset({"test/T.t.sol", "test/Base.t.sol"})}
    artifacts = Artifacts(tmp_path, places, {}, files)
    executor = TestExecutor(ExecutorSettings(rules="filecoin"), Cheatcodes(Settings()))
    try:
        stage = SuiteStage(executor, artifacts, artifacts.get("test/T.t.sol", "T"))
        stage.build()
    finally:
        executor.close()
    assert {name for _, name in stage.libraries} == {"OwnLib", "BaseLib"}

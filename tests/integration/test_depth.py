"""Call depth of 1,024 and one more: native only, contracts only, and alternating."""

from _thread import start_new_thread
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.ethereum.addresses import to_filecoin
from bridge.filecoin.parameters import INVOKE_EVM, invoke_params, invoke_return, method_number
from fvm_hypervisor.cli.demo.scenario import DemoStage, contract
from hypervisor import Address, Message, threads
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.types import Gas, MethodNumber
from store.codec import decode, encode

LIMIT = 1024
AMPLE = Gas(9_000_000_000_000_000)


@pytest.fixture(scope="module")
def depth_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoStage]:
    ready = DemoStage(tmp_path_factory.mktemp("depth") / "state")
    ready.create_counter()
    ready.deploy("Recursion")
    yield ready
    ready.machine.close()


def run(stage: DemoStage, to: Address, method: MethodNumber, params: bytes, gas: Gas = AMPLE) -> ApplyResult:
    return stage.machine.call(Message(to, stage.eth_account, method=method, params=params, gas_limit=gas))


def native(stage: DemoStage, depth: int, gas: Gas = AMPLE) -> ApplyResult:
    return run(stage, Address.id(stage.counter), method_number("Recurse"), encode(depth), gas)


def contracts(stage: DemoStage, function: str, *arguments: int, gas: Gas = AMPLE) -> ApplyResult:
    calldata = invoke_params(contract("Recursion").interface.encode_call(function, *arguments))
    return run(stage, to_filecoin(stage.contracts["Recursion"]), INVOKE_EVM, calldata, gas)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "levels", "error"),
    [
        (LIMIT - 1, LIMIT, 0),
        (LIMIT, LIMIT, -ErrorNumber.LIMIT_EXCEEDED),
        (3 * LIMIT, LIMIT, -ErrorNumber.LIMIT_EXCEEDED),
    ],
)
def test_native_calls_nest_to_limit_then_return_error_number(
    depth_stage: DemoStage, asked: int, levels: int, error: int
) -> None:
    result = native(depth_stage, asked)
    assert (result.exit_code, decode(result.return_data)) == (ExitCode.OK, [levels, error])


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "reached"), [(LIMIT - 1, True), (LIMIT, False), (3 * LIMIT, False)])
def test_contract_calls_nest_to_the_limit_and_then_fail(depth_stage: DemoStage, asked: int, reached: bool) -> None:
    result = contracts(depth_stage, "dive", asked)
    answer = contract("Recursion").interface.decode_result("dive", invoke_return(result.return_data))
    assert answer == (LIMIT, reached)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "error"), [(LIMIT - 1, 0), (LIMIT, -ErrorNumber.LIMIT_EXCEEDED), (3 * LIMIT, -ErrorNumber.LIMIT_EXCEEDED)]
)
def test_contracts_and_native_actors_nest_to_the_same_limit(depth_stage: DemoStage, asked: int, error: int) -> None:
    result = contracts(depth_stage, "ping", depth_stage.counter, asked)
    answer = contract("Recursion").interface.decode_result("ping", invoke_return(result.return_data))
    assert answer == (LIMIT, error)


@pytest.mark.parametrize("method", ["Spin", "Trap"])
def test_endless_or_trapping_guest_ends_with_its_exit_code(depth_stage: DemoStage, method: str) -> None:
    before = depth_stage.machine.root
    result = run(depth_stage, Address.id(depth_stage.counter), method_number(method), b"", Gas(1_000_000_000))
    expected = {"Spin": ExitCode.SYS_OUT_OF_GAS, "Trap": ExitCode.SYS_ILLEGAL_INSTRUCTION}
    assert result.exit_code == expected[method]
    assert depth_stage.machine.root == before


def test_recursion_ends_out_of_gas_before_depth_limit(depth_stage: DemoStage) -> None:
    result = native(depth_stage, LIMIT, Gas(50_000_000))
    assert result.exit_code == ExitCode.SYS_OUT_OF_GAS
    assert result.gas_used == 50_000_000


def test_thread_exhaustion_reverts_the_message(depth_stage: DemoStage, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def few(*arguments: Any) -> None:
        started.append(arguments)
        if len(started) > 3:
            raise RuntimeError("can't start new thread")
        start_new_thread(*arguments)

    before = depth_stage.machine.root
    depth_stage.machine.stacks.dismiss()
    monkeypatch.setattr(threads, "start_new_thread", few)
    with pytest.raises(MemoryError):
        native(depth_stage, 100)
    assert depth_stage.machine.root == before
    monkeypatch.undo()
    assert native(depth_stage, 100).exit_code == ExitCode.OK

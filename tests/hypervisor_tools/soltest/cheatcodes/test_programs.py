"""Programs of `ffi` end with all their children, and their output is limited; files that cheatcodes write."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from eth_abi.abi import encode

from bridge.ethereum.addresses import EthAddress, masked_id
from hypervisor.types import INIT_ACTOR
from hypervisor_tools.soltest.cheatcodes.context import Permission, Settings
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, check_size
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.cheatcodes.state import DEFAULT_SENDER, VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.executor import ExecutorSettings, TestExecutor
from hypervisor_tools.soltest.programs import run_program
from hypervisor_tools.soltest.project.consent import Consent, Grant
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from tests.patience import slowness
from tests.runtimes.evm.assembler import assemble

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def test_a_program_has_its_status_and_both_of_its_outputs(tmp_path: Path) -> None:
    done = run_program(["sh", "-c", "pwd; echo no >&2; exit 3"], tmp_path, ENVIRONMENT, check_size)
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{tmp_path}\n".encode(), b"no\n")


@pytest.mark.slow
def test_child_holding_program_output_is_killed_with_it(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        run_program(["sh", "-c", "sleep 30 & echo $! > pid; echo 00"], tmp_path, ENVIRONMENT, check_size, seconds=1.0)
    assert time.monotonic() - begun < 15 * slowness()
    status = Path("/proc") / (tmp_path / "pid").read_text().strip() / "stat"
    for _ in range(100):
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the program's child lives on")


def test_output_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheatcodeFailure, match="exceeds the limit of 16777216 bytes"):
        run_program(["yes"], tmp_path, ENVIRONMENT, check_size)


def call_vm(signature: str, types: tuple[str, ...] = (), *values: object) -> tuple[EthAddress, bytes]:
    return VM_ADDRESS, selector(signature) + encode(types, values)


def ffi(text: str) -> tuple[EthAddress, bytes]:
    """Return a call that notes the text in the file `ran` and has it as its output."""
    return call_vm("ffi(string[])", ("string[]",), ["sh", "-c", f"echo {text} >> ran; echo {text}"])


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_program_runs_once_in_a_call_that_begins_again_twice(evm: str, tmp_path: Path) -> None:
    native = EthAddress(masked_id(INIT_ACTOR)), b""  # the call begins again for the kernel
    steps = call_vm("startDebugTraceRecording()")  # and again to watch instructions
    calldata, code = b"", "{} 0 0 CALLDATACOPY"
    for number, (address, data) in enumerate((ffi("first"), native, ffi("second"), steps, ffi("third"))):
        code += f" 0 0 {len(data)} {len(calldata)} 0 0x{address.hex()} GAS CALL POP"
        code += f" RETURNDATASIZE 0 {4096 + 96 * number} RETURNDATACOPY"
        calldata += data
    settings = Settings(tmp_path, ffi=True, consent=Grant(frozenset({Consent.FFI})))
    made, to = TestExecutor(ExecutorSettings(evm=evm), Cheatcodes(settings)), EthAddress(bytes([0xC0]) * 20)
    program = assemble(f"{code.format(len(calldata))} {5 * 96} 4096 RETURN")
    install_alloc(made.machine, {to: AllocAccount(0, 1, program)})
    try:
        output = made.call(DEFAULT_SENDER, to, calldata).output
    finally:
        made.close()
    assert (tmp_path / "ran").read_text().split() == ["first", "second", "third"]
    texts = [output[at : at + 96] for at in range(0, len(output), 96)]
    assert [texts[number][64:].rstrip(b"\0") for number in (0, 2, 4)] == [b"first", b"second", b"third"]


def test_dumped_state_has_no_account_with_slots_alone(tmp_path: Path) -> None:
    """An account without nonce, balance and code is empty (EIP-161), so forge leaves it out."""
    settings = Settings(tmp_path, permissions=[Permission("read-write", tmp_path)])
    made, to = TestExecutor(ExecutorSettings(), Cheatcodes(settings)), EthAddress(bytes([0xC0]) * 20)
    slots, funded = (EthAddress(bytes([byte]) * 20) for byte in (0xD0, 0xD1))
    store = ("store(address,bytes32,bytes32)", ("address", "bytes32", "bytes32"))
    calls = [
        call_vm(*store, f"0x{slots.hex()}", bytes(32), bytes([1]) * 32),
        call_vm(*store, f"0x{funded.hex()}", bytes(32), bytes([1]) * 32),
        call_vm("deal(address,uint256)", ("address", "uint256"), f"0x{funded.hex()}", 5),
        call_vm("dumpState(string)", ("string",), "dump.json"),
    ]
    install_alloc(made.machine, {to: AllocAccount(0, 1, assemble("CALLDATASIZE 0 0 CALLDATACOPY 0 0 CALLDATASIZE 0 0 "
        f"0x{VM_ADDRESS.hex()} GAS CALL"))})  # fmt: skip
    try:
        assert all(made.call(DEFAULT_SENDER, to, data).success for _, data in calls)
    finally:
        made.close()
    found = json.loads((tmp_path / "dump.json").read_text())
    assert f"0x{funded.hex()}" in found
    assert f"0x{slots.hex()}" not in found

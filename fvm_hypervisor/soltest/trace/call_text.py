"""Text of one call in a trace: function, arguments and result, as forge prints them.

Native actors' methods and values are decoded by the actors' schemas. Rules: Foundry's `CallTraceDecoder` and
revm-inspectors' `TraceWriter` (forge 1.7.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bridge.abi.abi import AbiMismatch, ContractInterface
from bridge.ethereum.addresses import checksummed
from fvm_hypervisor.soltest.precompile_text import precompile_arguments, precompile_result
from fvm_hypervisor.soltest.redaction import UNNAMED, redacted_arguments, redacted_result, redactions, url_redactions
from fvm_hypervisor.soltest.signatures import CallSignature, read, unknown_selector
from fvm_hypervisor.soltest.trace.frames import CallFrame
from fvm_hypervisor.soltest.trace.trace_names import CREATE2_DEPLOYER, MAX_LENGTH, PRECOMPILES, VM, Names, is_precompile
from fvm_hypervisor.soltest.value_text import MAX_TEXT, arguments_text, plain, value_text
from hypervisor.exit_codes import ExitCode, exit_name, numbered_exit
from hypervisor.text import printable
from localnet.contracts.registered_precompiles import PrecompileCall
from localnet.traces.console_log import CONSOLE, log_signatures
from localnet.traces.trace_report import describe

_SELECTOR: Final = 4
_HALTS: Final[Mapping[int, str]] = {
    ExitCode.SYS_OUT_OF_GAS: "OutOfGas",
    ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION: "InvalidFEOpcode",
    ExitCode.EVM_CONTRACT_UNDEFINED_INSTRUCTION: "OpcodeNotFound",
    ExitCode.EVM_CONTRACT_STACK_UNDERFLOW: "StackUnderflow",
    ExitCode.EVM_CONTRACT_STACK_OVERFLOW: "StackOverflow",
    ExitCode.EVM_CONTRACT_BAD_JUMPDEST: "InvalidJump",
    ExitCode.USR_READ_ONLY: "StateChangeDuringStaticCall",
}
SUCCESSES: Final[Mapping[int, str]] = {0x00: "Stop", 0xF3: "Return", 0xFF: "SelfDestruct"}


def call_texts(frame: CallFrame, names: Names) -> tuple[str, str]:
    """Return the function and the arguments of a call other than a creation."""
    if frame.is_actors:
        text = describe(names.native_call(frame), [])
        return text.function, text.arguments[1:-1]
    data = frame.input
    number = int.from_bytes(frame.target, "big")
    if number in PRECOMPILES:
        decoded = precompile_arguments(number, data)
        return PRECOMPILES[number], hex_text(data) if decoded is None else decoded
    own = names.precompile(frame)
    if own is not None:
        inputs = PrecompileCall(own.signature, data, None).inputs
        return own.name, hex_text(data) if inputs is None else arguments_text(*inputs, names.address)
    if frame.target == CONSOLE:
        return "log", _log_text(data)
    if frame.target == CREATE2_DEPLOYER:
        return "create2", ""
    if frame.target == VM:
        return _cheatcode_text(data, names)
    return _contract_text(frame, names)


def _contract_text(frame: CallFrame, names: Names) -> tuple[str, str]:
    data, signature = frame.input, names.signature(frame)
    if signature.entry is not None:
        inputs = signature.entry["inputs"]
        values = read(inputs, data[_SELECTOR:])
        shown = "" if values is None else arguments_text(inputs, values, names.address)
        return str(signature.name), shown
    if signature.special is not None:
        return signature.special, hex_text(data)
    if len(data) >= _SELECTOR:
        return data[:_SELECTOR].hex(), hex_text(data[_SELECTOR:]).removeprefix("0x")
    return "fallback", data.hex()


def _cheatcode_text(data: bytes, names: Names) -> tuple[str, str]:
    found = names.cheatcode(data)
    if found is None:
        return data[:_SELECTOR].hex() or "fallback", hex_text(data[_SELECTOR:]).removeprefix("0x")
    entry, values = found
    name, inputs = str(entry["name"]), entry["inputs"]
    if name == "expectRevert" and (not values or isinstance(values[0], bytes)):
        rest = arguments_text(inputs[1:], values[1:], names.address)
        return name, ", ".join(part for part in (names.revert(values[0] if values else data), rest) if part)
    secrets = {**redactions(name, inputs), **url_redactions(name, values)}
    named = plain if name in UNNAMED else names.address
    shown = (
        f'"{secrets[index]}"' if index in secrets else value_text(entry, value, named)
        for index, (entry, value) in enumerate(zip(inputs, values, strict=True))
    )
    return name, redacted_arguments(name, inputs) or ", ".join(shown)


def _log_text(data: bytes) -> str:
    """Return the arguments of a `console.log` call."""
    entries = [{"name": "", "type": kind} for kind in log_signatures().get(data[:_SELECTOR], ())]
    log = {"type": "function", "name": "log", "inputs": entries, "outputs": []}
    try:
        found = ContractInterface([log]).read_call(data)
    except AbiMismatch:
        found = None
    return hex_text(data) if found is None else arguments_text(entries, found[1])


def result_text(frame: CallFrame, names: Names) -> str:
    """Return how a call ended and what it returned."""
    data = frame.output
    if not frame.succeeded:
        return _failure(frame, names)
    if frame.is_actors:
        found = describe(names.native_call(frame), []).result
        return f"[Return] {found}".rstrip()
    status = status_text(frame, names)
    if frame.creates:
        return f"[{status}] {_deployed_size(frame, names)} bytes of code"
    number = int.from_bytes(frame.target, "big")
    if number in PRECOMPILES:
        return f"[{status}] {precompile_result(number, data) or hex_text(data) or '0x'}"
    own = names.precompile(frame)
    if own is not None:
        outputs = PrecompileCall(own.signature, frame.input, data).outputs
        return f"[{status}] {(hex_text(data) or '0x') if outputs is None else arguments_text(*outputs, names.address)}"
    return f"[{status}] {_return_text(frame, data, names)}".rstrip()


def status_text(frame: CallFrame, names: Names) -> str:
    """Return forge's name for the outcome of a call, such as `Return` or `Revert`."""
    end = frame.end
    if end is None:
        return "FATAL"
    if frame.succeeded:
        return "Return" if frame.is_actors else _success(frame, names)
    own = names.precompile(frame)
    if own is not None:
        return "PrecompileOOG" if end.error or end.message.startswith(f"{own.name}: out of gas") else "PrecompileError"
    if frame.is_native or frame.is_refused:
        return end.error or f"Exit {numbered_exit(end.exit_code, native=True)}"
    if end.exit_code == ExitCode.EVM_CONTRACT_REVERTED:
        return "Revert"
    if is_precompile(frame.target) and not frame.code:
        return "PrecompileOOG" if "gas" in end.message else "PrecompileError"
    return _HALTS.get(end.exit_code) or end.error or exit_name(end.exit_code)


def _success(frame: CallFrame, names: Names) -> str:
    """Return the halt reason of a successful frame: from its last opcode, if instructions were traced."""
    opcode = None if frame.creates else frame.last_opcode
    if opcode is not None:
        return SUCCESSES.get(opcode, "Return")
    if frame.target == VM or frame.creates or frame.output or is_precompile(frame.target):
        return "Return"
    return "Return" if frame.code and names.by_ir else "Stop"


def _deployed_size(frame: CallFrame, names: Names) -> int:
    if frame.deployed is not None:
        return len(frame.deployed)
    contract = names.known.of(frame)
    return 0 if contract is None else len(contract.runtime.code)


def _return_text(frame: CallFrame, data: bytes, names: Names) -> str:
    if frame.target == CREATE2_DEPLOYER:
        return hex_text(data)
    signature = names.signature(frame)
    if signature.is_unsupported or signature.entry is None:
        return hex_text(data)
    if frame.target == VM:
        found = names.cheatcode(frame.input)
        secret = None if found is None else redacted_result(str(found[0]["name"]))
        if secret is not None and data:
            return secret
    values = read(signature.entry["outputs"], data)
    return arguments_text(signature.entry["outputs"], values, names.address) if values else hex_text(data)


def _failure(frame: CallFrame, names: Names) -> str:
    end, status = frame.end, f"[{status_text(frame, names)}]"
    if end is None:
        return f"{status} execution was aborted by an internal error"
    if names.precompile(frame) is not None or frame.is_native or frame.is_refused:
        text = printable(end.message, MAX_LENGTH)
    elif end.exit_code == ExitCode.EVM_CONTRACT_REVERTED:
        text = hex_text(frame.output) if frame.creates else _revert_text(frame, names)
    elif is_precompile(frame.target) and not frame.code:
        text = "0x"
    elif end.exit_code in _HALTS:
        text = "" if frame.creates else f"EvmError: {_HALTS[end.exit_code]}"
    else:
        text = printable(frame.exit_message, MAX_LENGTH)
    return f"{status} {text}".rstrip()


def _revert_text(frame: CallFrame, names: Names) -> str:
    text = names.revert(frame.output)
    is_silent = not frame.output or "EvmError: Revert" in text
    if is_silent and CallSignature(names.signatures, frame, names.contract(frame)).is_unsupported:
        return unknown_selector(checksummed(frame.target), frame.input)
    return text


def hex_text(data: bytes) -> str:
    """Return bytes in hex, up to the maximum length of one value; the empty string for no bytes."""
    shown = data[: MAX_TEXT // 2]
    return f"0x{shown.hex()}{f'... ({len(data)} bytes)' if len(data) > len(shown) else ''}" if data else ""

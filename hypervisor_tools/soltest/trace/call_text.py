"""Text of one call in a trace: function, arguments and result, as forge prints them.

Native actors' methods and values are decoded by the actors' schemas. Rules: Foundry's `CallTraceDecoder` and
revm-inspectors' `TraceWriter` (forge 1.7.1). Keys, environment variables and file contents are redacted, as in forge.

Calls of precompiles have decoded numbers and bytes; input of an unexpected length is shown as raw bytes. Layouts: the
Ethereum yellow paper, appendix E; EIP-152, EIP-198, EIP-2537, EIP-4844.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from bridge.abi.abi import AbiMismatch, ContractInterface
from bridge.ethereum.addresses import checksummed
from hypervisor.exit_codes import ExitCode, exit_name, numbered_exit
from hypervisor.text import printable
from hypervisor.tracing import CallNode
from hypervisor_tools.soltest.cheatcodes.failures import HALTS
from hypervisor_tools.soltest.trace import frames
from hypervisor_tools.soltest.trace.identities import CallSignature, read, unknown_selector
from hypervisor_tools.soltest.trace.trace_names import (
    CREATE2_DEPLOYER,
    MAX_LENGTH,
    PRECOMPILES,
    VM,
    Names,
    is_precompile,
)
from hypervisor_tools.soltest.value_text import MAX_TEXT, arguments_text, plain, value_text
from localnet.contracts.registered_precompiles import PrecompileCall
from localnet.traces.console_log import CONSOLE, log_signatures

_WORD: Final = 32
_MAX_WORDS: Final = 512
"""Maximum number of words decoded from a list; longer input is shown as bytes."""


def precompile_arguments(number: int, data: bytes) -> str | None:
    """Return the decoded arguments of a call, or None to show the raw bytes."""
    read = _ARGUMENTS.get(number)
    return None if read is None else read(data)


def precompile_result(number: int, data: bytes) -> str | None:
    """Return the decoded result of a call, or None to show the raw bytes."""
    if number == 1 and len(data) == _WORD:
        return checksummed(data[12:])
    if number in (6, 7) and len(data) == 2 * _WORD:
        return f"({', '.join(map(str, _numbers(data)))})"
    if number == 8 and len(data) == _WORD:
        return "true" if any(data) else "false"
    return None


def _numbers(data: bytes, size: int = _WORD) -> Iterator[int]:
    return (int.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size))


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"


def _ecrecover(data: bytes) -> str | None:
    if len(data) != 4 * _WORD:
        return None
    return ", ".join([_hex(data[:_WORD]), *map(str, _numbers(data[_WORD:]))])


def _of_words(count: int) -> Callable[[bytes], str | None]:
    def read(data: bytes) -> str | None:
        return ", ".join(map(str, _numbers(data))) if len(data) == count * _WORD else None

    return read


def _modexp(data: bytes) -> str | None:
    if len(data) < 3 * _WORD:
        return None
    sizes = list(_numbers(data[: 3 * _WORD]))
    if sum(sizes) > len(data) - 3 * _WORD:
        return None
    parts, at = [], 3 * _WORD
    for size in sizes:
        parts.append(_hex(data[at : at + size]))
        at += size
    return ", ".join([*map(str, sizes), *parts])


def _pairing(data: bytes) -> str | None:
    if len(data) % (6 * _WORD) or len(data) > _MAX_WORDS * _WORD:
        return None
    pairs = (data[at : at + 6 * _WORD] for at in range(0, len(data), 6 * _WORD))
    return ", ".join(f"[{', '.join(map(str, _numbers(pair)))}]" for pair in pairs)


def _blake2f(data: bytes) -> str | None:
    if len(data) != 213:
        return None
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(4, 212, 8)]
    lists = (f"[{', '.join(map(str, part))}]" for part in (words[:8], words[8:24], words[24:]))
    return ", ".join([str(int.from_bytes(data[:4], "big")), *lists, str(data[212])])


def _of_bytes(*sizes: int) -> Callable[[bytes], str | None]:
    def read(data: bytes) -> str | None:
        if len(data) != sum(sizes):
            return None
        parts, at = [], 0
        for size in sizes:
            parts.append(_hex(data[at : at + size]))
            at += size
        return ", ".join(parts)

    return read


_ARGUMENTS: Final[Mapping[int, Callable[[bytes], str | None]]] = {
    1: _ecrecover,
    5: _modexp,
    6: _of_words(4),
    7: _of_words(3),
    8: _pairing,
    9: _blake2f,
    10: _of_bytes(32, 32, 32, 48, 48),
    11: _of_bytes(128, 128),
    13: _of_bytes(256, 256),
}


_KEY: Final = "<pk>"
_NONCE: Final = "<nonce>"
"""A signature's nonce, which reveals the key together with the digest and the signature."""
_MNEMONIC: Final = "<mnemonic>"
_URL: Final = "<rpc url>"
_OF_NODES: Final = ("createFork", "createSelectFork", "rpc")
_OF_KEYS: Final = frozenset({
    "addr", "createEd25519Key", "createWallet", "deriveKey", "publicKeyEd25519", "publicKeyP256", "rememberKey"
})  # fmt: skip
"""Cheatcodes whose arguments are redacted entirely."""
_BY_KEY: Final = ("broadcast", "startBroadcast", "getNonce")
"""Cheatcodes whose arguments are redacted if the first one is a key or a wallet."""
_SECRETS: Final[Mapping[str, Mapping[int, str]]] = {
    "sign": {0: _KEY},
    "signCompact": {0: _KEY},
    "signP256": {0: _KEY},
    "signWithNonceUnsafe": {0: _KEY, 2: _NONCE},
    "signDelegation": {1: _KEY},
    "signAndAttachDelegation": {1: _KEY},
    "signEd25519": {2: _KEY},
    "rememberKeys": {0: _MNEMONIC},
}
"""Redacted arguments by position. Digests and addresses of signers at a key's position are shown."""
UNNAMED: Final = ("signDelegation", "signAndAttachDelegation")
"""Cheatcodes whose addresses forge shows without labels."""
_ANSWERS: Final = {"createEd25519Key": _KEY, "createWallet": _KEY, "deriveKey": _KEY, "readFile": "<file>"}


def redacted_arguments(name: str, inputs: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the replacement of all arguments of a cheatcode; None if they are handled one by one."""
    by_key = bool(inputs) and inputs[0]["type"] in ("uint256", "tuple")
    return _KEY if name in _OF_KEYS or (name in _BY_KEY and by_key) else None


def redactions(name: str, inputs: Sequence[Mapping[str, Any]]) -> Mapping[int, str]:
    """Return the replacements of single arguments, by position."""
    found = _SECRETS.get(name, {})
    is_other = found.get(0) == _KEY and inputs[0]["type"] not in ("uint256", "tuple")
    return {} if is_other else found


def url_redactions(name: str, values: Sequence[Any]) -> Mapping[int, str]:
    """Return the replacements of URLs, which may contain a token; aliases of `rpc_endpoints` are shown."""
    first = values[0] if values else None
    named = name in _OF_NODES and isinstance(first, str)
    return {0: _URL} if named and str(first).startswith(("http", "ws")) else {}


def redacted_result(name: str) -> str | None:
    """Return the replacement of a cheatcode's return value; None if it may be shown."""
    if name.startswith("env") and name != "envExists":
        return "<env var value>"
    return _URL if name.startswith("rpcUrl") else _ANSWERS.get(name)


_SELECTOR: Final = 4
SUCCESSES: Final[Mapping[int, str]] = {0x00: "Stop", 0xF3: "Return", 0xFF: "SelfDestruct"}


def call_texts(frame: CallNode, names: Names) -> tuple[str, str]:
    """Return the function and the arguments of a call other than a creation."""
    if frames.is_actors(frame):
        text = names.native_text(frame)
        return text.function, text.arguments[1:-1]
    data, target = frames.input_of(frame), frames.target_of(frame)
    number = int.from_bytes(target, "big")
    if number in PRECOMPILES:
        decoded = precompile_arguments(number, data)
        return PRECOMPILES[number], hex_text(data) if decoded is None else decoded
    own = names.precompile(frame)
    if own is not None:
        inputs = PrecompileCall(own.signature, data, None).inputs
        return own.name, hex_text(data) if inputs is None else arguments_text(*inputs, names.address)
    if target == CONSOLE:
        logged = _log_text(data)
        return _unknown_text(data) if logged is None else ("log", logged)
    if target == CREATE2_DEPLOYER:
        return "create2", ""
    if target == VM:
        return _cheatcode_text(data, names)
    return _contract_text(frame, names)


def _contract_text(frame: CallNode, names: Names) -> tuple[str, str]:
    data, signature = frames.input_of(frame), names.signature(frame)
    if signature.entry is not None:
        inputs = signature.entry["inputs"]
        values = read(inputs, data[_SELECTOR:])
        shown = "" if values is None else arguments_text(inputs, values, names.address)
        return str(signature.name), shown
    if signature.special is not None:
        return signature.special, hex_text(data)
    return _unknown_text(data)


def _unknown_text(data: bytes) -> tuple[str, str]:
    """Return the selector and the rest of calldata, or the data of a fallback function."""
    if len(data) >= _SELECTOR:
        return data[:_SELECTOR].hex(), hex_text(data[_SELECTOR:]).removeprefix("0x")
    return "fallback", data.hex()


def _cheatcode_text(data: bytes, names: Names) -> tuple[str, str]:
    found = names.cheatcode(data)
    if found is None:
        return _unknown_text(data)
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


def _log_text(data: bytes) -> str | None:
    """Return the arguments of a `console.log` call; None if it matches no signature."""
    entries = [{"name": "", "type": kind} for kind in log_signatures().get(data[:_SELECTOR], ())]
    log = {"type": "function", "name": "log", "inputs": entries, "outputs": []}
    try:
        found = ContractInterface([log]).read_call(data)
    except AbiMismatch:
        found = None
    return None if found is None else arguments_text(entries, found[1])


def result_text(frame: CallNode, names: Names) -> str:
    """Return how a call ended and what it returned."""
    data = frames.output_of(frame)
    if not frame.succeeded:
        return _failure(frame, names)
    if frames.is_actors(frame):
        found = names.native_text(frame).result
        return f"[Return] {found}".rstrip()
    status = status_text(frame, names)
    if frames.creates(frame):
        return f"[{status}] {_deployed_size(frame, names)} bytes of code"
    number = int.from_bytes(frames.target_of(frame), "big")
    if number in PRECOMPILES:
        return f"[{status}] {precompile_result(number, data) or hex_text(data) or '0x'}"
    own = names.precompile(frame)
    if own is not None:
        outputs = PrecompileCall(own.signature, frames.input_of(frame), data).outputs
        return f"[{status}] {(hex_text(data) or '0x') if outputs is None else arguments_text(*outputs, names.address)}"
    return f"[{status}] {_return_text(frame, data, names)}".rstrip()


def status_text(frame: CallNode, names: Names) -> str:
    """Return forge's name for the outcome of a call, such as `Return` or `Revert`."""
    end = frame.end
    if end is None:
        return "FATAL"
    if frame.succeeded:
        return "Return" if frames.is_actors(frame) else _success(frame, names)
    own = names.precompile(frame)
    if own is not None:
        return "PrecompileOOG" if end.error or end.message.startswith(f"{own.name}: out of gas") else "PrecompileError"
    if frames.is_native(frame) or frames.is_refused(frame):
        return end.error or f"Exit {numbered_exit(end.exit_code, native=True)}"
    if end.exit_code == ExitCode.EVM_CONTRACT_REVERTED:
        return "Revert"
    if is_precompile(frames.target_of(frame)) and not frames.code_of(frame):
        return "PrecompileOOG" if "gas" in end.message else "PrecompileError"
    return HALTS.get(end.exit_code) or end.error or exit_name(end.exit_code)


def _success(frame: CallNode, names: Names) -> str:
    """Return the halt reason of a successful frame: from its last opcode, if instructions were traced."""
    opcode = None if frames.creates(frame) else frames.last_opcode(frame)
    if opcode is not None:
        return SUCCESSES.get(opcode, "Return")
    target = frames.target_of(frame)
    if target == VM or frames.creates(frame) or frames.output_of(frame) or is_precompile(target):
        return "Return"
    return "Return" if frames.code_of(frame) and names.by_ir else "Stop"


def _deployed_size(frame: CallNode, names: Names) -> int:
    deployed = frames.deployed_code(frame)
    if deployed is not None:
        return len(deployed)
    contract = names.known.of(frame)
    return 0 if contract is None else len(contract.runtime.code)


def _return_text(frame: CallNode, data: bytes, names: Names) -> str:
    if frames.target_of(frame) == CREATE2_DEPLOYER:
        return hex_text(data)
    signature = names.signature(frame)
    if signature.is_unsupported or signature.entry is None:
        return hex_text(data)
    if frames.target_of(frame) == VM:
        found = names.cheatcode(frames.input_of(frame))
        secret = None if found is None else redacted_result(str(found[0]["name"]))
        if secret is not None and data:
            return secret
    values = read(signature.entry["outputs"], data)
    return arguments_text(signature.entry["outputs"], values, names.address) if values else hex_text(data)


def _failure(frame: CallNode, names: Names) -> str:
    end, status = frame.end, f"[{status_text(frame, names)}]"
    if end is None:
        return f"{status} execution was aborted by an internal error"
    if names.precompile(frame) is not None or frames.is_native(frame) or frames.is_refused(frame):
        text = printable(end.message, MAX_LENGTH)
    elif end.exit_code == ExitCode.EVM_CONTRACT_REVERTED:
        text = hex_text(frames.output_of(frame)) if frames.creates(frame) else _revert_text(frame, names)
    elif is_precompile(frames.target_of(frame)) and not frames.code_of(frame):
        text = "0x"
    elif end.exit_code in HALTS:
        text = "" if frames.creates(frame) else f"EvmError: {HALTS[end.exit_code]}"
    else:
        text = printable(frames.exit_message(frame), MAX_LENGTH)
    return f"{status} {text}".rstrip()


def _revert_text(frame: CallNode, names: Names) -> str:
    text = names.revert(frames.output_of(frame))
    is_silent = not frames.output_of(frame) or "EvmError: Revert" in text
    if is_silent and CallSignature(names.signatures, frame, names.contract(frame)).is_unsupported:
        return unknown_selector(checksummed(frames.target_of(frame)), frames.input_of(frame))
    return text


def hex_text(data: bytes) -> str:
    """Return bytes in hex, up to the maximum length of one value; the empty string for no bytes."""
    shown = data[: MAX_TEXT // 2]
    return f"0x{shown.hex()}{f'... ({len(data)} bytes)' if len(data) > len(shown) else ''}" if data else ""

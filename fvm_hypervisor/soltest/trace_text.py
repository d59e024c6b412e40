"""Call trees of tests as text, in forge's form, across both runtimes.

A line has the gas, who is called, the function, the arguments; under it are calls, events and changed slots in order,
and what came back. Native actors' methods and values are decoded by the actors' schemas. What the look follows: the
Foundry book, understanding traces.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar

from bridge.abi import AbiMismatch, ContractInterface
from bridge.actor_schemas import actor_schema
from bridge.addresses import EthAddress, checksummed, unmask_id
from bridge.evm_steps import PrecompileRefusal
from fvm_hypervisor.soltest.cheatcodes.console import log_interface
from fvm_hypervisor.soltest.cheatcodes.failures import said
from fvm_hypervisor.soltest.cheatcodes.state import DEFAULT_SENDER
from fvm_hypervisor.soltest.frames import CallFrame, InternalCall, SlotChange, TypedValue, log_of, parts_of
from fvm_hypervisor.soltest.known_code import KnownCode, KnownContract
from fvm_hypervisor.soltest.precompile_text import precompile_arguments, precompile_result
from fvm_hypervisor.soltest.value_text import arguments_text, plain, value_text
from fvm_hypervisor.soltest.withheld import UNNAMED, all_withheld, answer_withheld, withheld, withheld_urls
from hypervisor.events import EventEntry
from hypervisor.exit_codes import ExitCode, exit_name
from hypervisor.manifest import Manifest
from hypervisor.precompiles import Precompile, PrecompileTable
from hypervisor.printable import printable
from hypervisor.tracing import EventEmitted
from localnet.contracts.registered_precompiles import PrecompileCall
from localnet.traces.console_log import CONSOLE, log_signatures
from localnet.traces.trace_words import describe, native_words
from store.keccak import keccak

VM: Final = EthAddress(bytes(keccak(b"hevm cheat code"))[12:])
MOST_LINES: Final = 20_000
_Key = TypeVar("_Key", bound=Hashable)
_SMALL: Final = 0xFFFF
_HALTS: Final[Mapping[int, str]] = {
    ExitCode.SYS_OUT_OF_GAS: "OutOfGas",
    ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION: "InvalidFEOpcode",
    ExitCode.EVM_CONTRACT_UNDEFINED_INSTRUCTION: "OpcodeNotFound",
    ExitCode.EVM_CONTRACT_STACK_UNDERFLOW: "StackUnderflow",
    ExitCode.EVM_CONTRACT_STACK_OVERFLOW: "StackOverflow",
    ExitCode.EVM_CONTRACT_BAD_JUMPDEST: "InvalidJump",
    ExitCode.USR_READ_ONLY: "StateChangeDuringStaticCall",
}
_SENDERS: Final = {DEFAULT_SENDER: "DefaultSender"}
_MOST_BYTES: Final = 4_096
_PRECOMPILES: Final = {
    1: "ecrecover", 2: "sha256", 3: "ripemd", 4: "identity", 5: "modexp", 6: "ecadd", 7: "ecmul", 8: "ecpairing",
    9: "blake2f", 10: "pointEvaluation", 11: "bls12G1Add", 12: "bls12G1Msm", 13: "bls12G2Add", 14: "bls12G2Msm",
    15: "bls12PairingCheck", 16: "bls12MapFpToG1", 17: "bls12MapFp2ToG2", 256: "p256Verify",
}  # fmt: skip


@dataclass
class Names:
    """What addresses and codes are called. `labels` are those of `vm.label`; `cheatcodes` is the interface at VM."""

    known: KnownCode
    manifest: Manifest
    cheatcodes: ContractInterface
    labels: Mapping[EthAddress, str] = field(default_factory=dict)
    precompiles: PrecompileTable | None = None
    """Users' own."""
    _seen: dict[EthAddress, str] = field(default_factory=dict)

    def learn(self, address: EthAddress, code: bytes, creates: bool = False) -> None:
        """Remember whose code is at an address, for its later mentions."""
        if address not in self._seen and code:
            contract = self.known.find(code, creates)
            if contract is not None:
                self._seen[address] = contract.name

    def learn_frame(self, frame: CallFrame) -> None:
        """Remember whose code a frame ran."""
        if not frame.is_delegated:
            self.learn(frame.address, frame.code, frame.creates)

    def address(self, address: EthAddress) -> str:
        """An address in an argument: `Vault: [0x...]`, or as it stands."""
        name = self.labels.get(address) or self._seen.get(address) or _SENDERS.get(address)
        return f"{name}: [{checksummed(address)}]" if name else checksummed(address)

    def callee(self, frame: CallFrame) -> str:
        """Who is called."""
        if frame.address in self.labels:
            return self.labels[frame.address]
        contract = self.known.of(frame)
        if contract is not None:
            return contract.name
        if frame.address == VM:
            return "VM"
        if frame.address == CONSOLE:
            return "console"
        actor = unmask_id(frame.address)
        kind = self.actor(frame)
        if actor is not None or frame.is_native:
            return f"f0{frame.actor if actor is None else actor} {kind}".rstrip()
        if int.from_bytes(frame.address, "big") in _PRECOMPILES or self.precompile(frame) is not None:
            return "PRECOMPILES"
        return self._seen.get(frame.address) or checksummed(frame.address)

    def precompile(self, frame: CallFrame) -> Precompile | None:
        """The user's precompile that was called, None for all else."""
        if self.precompiles is None or frame.creates or frame.is_delegated:
            return None
        return self.precompiles.by_address.get(frame.address)

    def fallback(self, frame: CallFrame) -> str:
        """What takes a call without a function: `receive` of a known contract where it is one without data."""
        return "receive" if not frame.input and frame.address in self._seen else "fallback"

    def actor(self, frame: CallFrame) -> str:
        """The name of the built-in actor that was called, `actor` for a user's."""
        if frame.actor_code is None:
            return ""
        return self.manifest.name_of(frame.actor_code) or "actor"

    def method(self, frame: CallFrame) -> str:
        """The name of a native call's method."""
        return describe(self.native_call(frame), []).function

    def native_call(self, frame: CallFrame) -> dict[str, Any]:
        """A native call as `localnet.traces.trace_words` reads it."""
        start, end = frame.start, frame.end
        return {
            "actor": self.actor(frame),
            "method": start.method,
            "params": f"0x{start.params.hex()}",
            "paramsCodec": start.params_codec,
            "return": f"0x{end.return_data.hex()}" if end else "0x",
            "exitCode": end.exit_code if end else ExitCode.SYS_ASSERTION_FAILED,
            "error": end.error if end else "FATAL",
            "words": end.message if end else "",
            "address": None,
            "events": [],
        }

    @cached_property
    def errors(self) -> dict[bytes, ContractInterface]:
        """Interfaces by the selectors of their custom errors: a revert may have come from anywhere."""
        return self._interfaces(lambda contract: contract.errors)

    @cached_property
    def functions(self) -> dict[bytes, ContractInterface]:
        """Interfaces by the selectors of their functions: by these, unknown code is called."""
        return self._interfaces(lambda contract: contract.functions)

    def interface(self, frame: CallFrame) -> ContractInterface | None:
        """The interface that a contract is called by."""
        if frame.address == VM:
            return self.cheatcodes
        contract = self.known.of(frame)
        return self.functions.get(frame.input[:4]) if contract is None else contract.interface

    def _interfaces(self, keys: Callable[[KnownContract], Iterable[_Key]]) -> dict[_Key, ContractInterface]:
        """Interfaces by what their contracts are known by; of several, the first."""
        found: dict[_Key, ContractInterface] = {}
        for contract in self.known.all:
            for key in keys(contract):
                found.setdefault(key, contract.interface)
        return found

    def revert(self, data: bytes, contract: KnownContract | None) -> str:
        """Revert data in words, by the contract's own errors or those of others."""

        def known(data: bytes) -> str | None:
            own = None if contract is None else contract.interface.read_error(data)
            other = self.errors.get(data[:4])
            read = own or (None if other is None else other.read_error(data))
            return None if read is None else f"{read[0]['name']}({arguments_text(read[0]['inputs'], read[1])})"

        return printable(said(data, known), _MOST_BYTES)


def trace_text(roots: Sequence[CallFrame], names: Names) -> str:
    """The lines of call trees, each indented by two."""
    lines: list[str] = []
    todo: list[tuple[CallFrame | _Inside | str, str, str]] = [(root, "  ", "  ") for root in reversed(roots)]
    while todo and len(lines) < MOST_LINES:
        item, first, rest = todo.pop()
        parts: list[CallFrame | _Inside | str]
        if isinstance(item, str):
            lines += [first + item.split("\n", 1)[0], *(rest + line for line in item.split("\n")[1:])]
            continue
        if isinstance(item, CallFrame):
            names.learn_frame(item)
            lines.append(first + _head(item, names))
            parts = [*_parts(item, names), f"← {result_words(item, names)}"]
        else:
            lines.append(f"{first}[{item.call.gas}] {function_head(item.call, names)}")
            parts = [*_parts(item.frame, names, item.call), f"← {_function_result(item.call, names)}"]
        inner = "    " if rest == "  " else rest
        for place in reversed(range(len(parts))):
            last = place == len(parts) - 1
            todo.append((parts[place], inner + ("└─ " if last else "├─ "), inner + ("    " if last else "│   ")))
    if todo:
        lines.append(f"  ... cut after {MOST_LINES:,} lines")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Inside:
    """A function of a frame."""

    frame: CallFrame
    call: InternalCall


def function_head(call: InternalCall, names: Names) -> str:
    """A function within a contract with its arguments."""
    return f"{call.name}({_values(call.arguments, names)})"


def _function_result(call: InternalCall, names: Names) -> str:
    """What a function has returned; nothing of one that returns nothing, as in forge."""
    return "[Revert]" if call.result is None else _values(call.result, names)


def _values(values: Sequence[TypedValue], names: Names) -> str:
    return ", ".join(
        str(one.value) if one.entry is None else value_text(one.entry, one.value, names.address) for one in values
    )


def _parts(frame: CallFrame, names: Names, call: InternalCall | None = None) -> list[CallFrame | _Inside | str]:
    """What happened in a frame, or in a function of it, in order; the slots that a frame changed come last."""
    parts: list[CallFrame | _Inside | str] = []
    for item in parts_of(frame, call):
        match item:
            case CallFrame():
                parts.append(item)
            case InternalCall():
                parts.append(_Inside(frame, item))
            case EventEmitted():
                parts.append(_event(item, frame, names))
            case PrecompileRefusal():
                parts.append(f"refused by {item.name} at {checksummed(item.address)}: {printable(item.reason)}")
            case SlotChange():
                pass
    return parts if call is not None else [*parts, *_slots(frame)]


def _slots(frame: CallFrame) -> list[str]:
    """The slots that a frame changed."""
    slots: dict[int, tuple[int | None, int]] = {}
    for item in frame.items:
        if isinstance(item, SlotChange):
            slots[item.slot] = (slots[item.slot][0] if item.slot in slots else item.before), item.after
    changed = {slot: words for slot, words in slots.items() if words[0] != words[1]}
    if changed:
        lines = (
            f"@ {_word(slot)}: {'?' if before is None else _word(before)} → {_word(after)}"
            for slot, (before, after) in changed.items()
        )
        return ["\n".join([" storage changes:", *lines])]
    return []


def _head(frame: CallFrame, names: Names) -> str:
    gas = f"[{frame.gas_used}] "
    if frame.creates:
        contract = names.known.of(frame)
        return f"{gas}→ new {contract.name if contract else '<unknown>'}@{checksummed(frame.address)}"
    value = f"{{value: {frame.start.value}}}" if frame.start.value else ""
    function, arguments = call_words(frame, names)
    kind = " [delegatecall]" if frame.is_delegated else " [staticcall]" if frame.start.read_only else ""
    if frame.is_actors:
        kind = f" [native{', read-only' if frame.start.read_only else ''}]"
    return f"{gas}{names.callee(frame)}::{function}{value}({arguments}){kind}"


def call_words(frame: CallFrame, names: Names) -> tuple[str, str]:
    """Function and arguments."""
    if frame.is_actors:
        words = describe(names.native_call(frame), [])
        return words.function, words.arguments[1:-1]
    data = frame.input
    if frame.address == CONSOLE:
        return "log", _log_text(data)
    number = int.from_bytes(frame.address, "big")
    if number in _PRECOMPILES:
        decoded = precompile_arguments(number, data)
        return _PRECOMPILES[number], _hex(data) if decoded is None else decoded
    own = names.precompile(frame)
    if own is not None:
        inputs = PrecompileCall(own.signature, data, None).inputs
        return own.name, _hex(data) if inputs is None else arguments_text(*inputs, names.address)
    contract = names.known.of(frame)
    interface = names.interface(frame)
    try:
        read = None if interface is None else interface.read_call(data)
    except AbiMismatch:
        read = None
    if read is not None:
        entry, values = read
        if frame.address == VM and entry["name"] == "expectRevert" and values and isinstance(values[0], bytes):
            return "expectRevert", names.revert(values[0], None)
        name, inputs = str(entry["name"]), entry["inputs"]
        if frame.address != VM:
            return name, arguments_text(inputs, values, names.address)
        secrets = {**withheld(name, inputs), **withheld_urls(name, values)}
        named = plain if name in UNNAMED else names.address
        shown = (
            f'"{secrets[place]}"' if place in secrets else value_text(entry, value, named)
            for place, (entry, value) in enumerate(zip(inputs, values, strict=True))
        )
        return name, all_withheld(name, inputs) or ", ".join(shown)
    if contract is None:
        name, rest = (data[:4].hex(), data[4:]) if len(data) >= 4 else (names.fallback(frame), data)
        return name, _hex(rest).removeprefix("0x")
    return "fallback" if data else "receive", _hex(data)


def _log_text(data: bytes) -> str:
    """The arguments of `console.log`."""
    entries = [{"name": "", "type": kind} for kind in log_signatures().get(data[:4], ())]
    log = {"type": "function", "name": "log", "inputs": entries, "outputs": []}
    try:
        read = ContractInterface([log]).read_call(data)
    except AbiMismatch:
        read = None
    return _hex(data) if read is None else arguments_text(entries, read[1])


def _event(event: EventEmitted, frame: CallFrame, names: Names) -> str:
    log = log_of(event)
    if log is None:
        entries = [EventEntry(*entry) for entry in event.entries]
        words = native_words(actor_schema(names.actor(frame)), entries)
        plain_words = ", ".join(f"{key}=0x{value.hex()}" for _, key, _, value in entries)
        return f"emit {printable(words or plain_words, _MOST_BYTES)}"
    found = None if not log.topics else names.known.events.get((log.topics[0], len(log.topics)))
    read = log_interface().read_log(log) or (None if found is None else found.read_log(log))
    if read is None:
        parts = [(f"topic {place}", f"0x{topic.hex()}") for place, topic in enumerate(log.topics)]
        lines = [f"{name:>12}: {value}" for name, value in [*parts, ("data", _hex(log.data) or "0x")]]
        return "\n".join([f" emit {lines[0].lstrip()}" if parts else f"  {lines[0]}", *lines[1:]])
    entry, values = read
    fields = ", ".join(
        f"{item['name']}: {_field(item, value, names)}" for item, value in zip(entry["inputs"], values, strict=True)
    )
    return f"emit {entry['name']}({fields})"


def _field(item: Mapping[str, Any], value: Any, names: Names) -> str:
    """An argument of an event; of an indexed dynamic one only the hash is there."""
    if item["indexed"] and isinstance(value, bytes) and not str(item["type"]).startswith("bytes"):
        return f"0x{value.hex()}"
    return value_text(item, value, names.address)


def result_words(frame: CallFrame, names: Names) -> str:
    """What came back."""
    contract = names.known.of(frame)
    data = frame.output
    if not frame.succeeded:
        return _failure(frame, names, contract, data)
    if frame.is_actors:
        found = describe(names.native_call(frame), []).result
        return f"[Return] {found}".rstrip()
    if frame.creates:
        size = len(contract.runtime.code) if contract is not None else 0
        return f"[Return] {size} bytes of code"
    number = int.from_bytes(frame.address, "big")
    if number in _PRECOMPILES and not frame.creates and not frame.code:
        return f"[Return] {precompile_result(number, data) or _hex(data) or '0x'}"
    own = names.precompile(frame)
    if own is not None:
        outputs = PrecompileCall(own.signature, frame.input, data).outputs
        return f"[Return] {(_hex(data) or '0x') if outputs is None else arguments_text(*outputs, names.address)}"
    if not data:
        return "[Return]" if frame.address == VM else "[Stop]"
    interface = names.interface(frame)
    try:
        read = None if interface is None else interface.read_call(frame.input)
        if interface is not None and read is not None:
            entry, _ = read
            secret = answer_withheld(entry["name"]) if frame.address == VM else None
            if secret is not None:
                return f"[Return] {secret}"
            if not entry["outputs"]:
                return f"[Return] {_hex(data)}"
            return f"[Return] {arguments_text(entry['outputs'], interface.read_result(entry, data), names.address)}"
    except AbiMismatch:
        pass  # as it stands
    return f"[Return] {_hex(data)}"


def _failure(frame: CallFrame, names: Names, contract: KnownContract | None, data: bytes) -> str:
    end = frame.end
    if end is None:
        return "[FATAL] the machine could not go on"
    own = names.precompile(frame)
    if own is not None:
        kind = "PrecompileOOG" if end.error or end.message.startswith(f"{own.name}: out of gas") else "PrecompileError"
        return f"[{kind}] {printable(end.message, _MOST_BYTES)}".rstrip()
    if frame.is_native or frame.is_refused:
        words = end.error or f"Exit {end.exit_code} {exit_name(end.exit_code)}"
        return f"[{words}] {printable(end.message, _MOST_BYTES)}".rstrip()
    if end.exit_code == ExitCode.EVM_CONTRACT_REVERTED:
        return f"[Revert] {names.revert(data, contract)}".rstrip()
    if int.from_bytes(frame.address, "big") in _PRECOMPILES and not frame.code:
        return f"[{'PrecompileOOG' if 'gas' in end.message else 'PrecompileError'}] 0x"
    halt = _HALTS.get(end.exit_code)
    if halt:
        return f"[{halt}] EvmError: {halt}"
    return f"[{end.error or exit_name(end.exit_code)}] {printable(frame.exit_words, _MOST_BYTES)}".rstrip()


def _word(word: int) -> str:
    return str(word) if word <= _SMALL else f"0x{word:064x}"


def _hex(data: bytes) -> str:
    shown = data[:_MOST_BYTES]
    return f"0x{shown.hex()}{f'... ({len(data)} bytes)' if len(data) > _MOST_BYTES else ''}" if data else ""

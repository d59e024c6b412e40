"""Functions, events and errors for decoding traces, in forge's order of preference.

A selector may belong to several functions. Those of the console and the cheatcodes come first, then those of the
project's artifacts. The first one whose parameters match the calldata is used. Rules: Foundry's `CallTraceDecoder`
(forge 1.7.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from bridge.abi.abi import AbiMismatch, ContractInterface, decode_values, selector_of, signature
from bridge.filecoin.receipts import Log
from fvm_hypervisor.soltest.cheatcodes.console import log_interface
from fvm_hypervisor.soltest.trace.frames import CallFrame
from fvm_hypervisor.soltest.trace.identities import sort_contracts
from fvm_hypervisor.soltest.trace.known_code import KnownCode, KnownContract
from localnet.traces.console_log import log_signatures

Entry = Mapping[str, Any]
"""An entry of an ABI."""
_SELECTOR: Final = 4
_WORD: Final = 32


class Signatures:
    """Functions, events and errors of a project and of forge, by selector and topic."""

    def __init__(self, known: KnownCode, cheatcodes: ContractInterface) -> None:
        self._known = known
        self._cheatcodes = cheatcodes

    @cached_property
    def _interfaces(self) -> list[ContractInterface]:
        return [contract.interface for contract in sort_contracts(self._known.all)]

    @cached_property
    def _functions(self) -> dict[bytes, list[Entry]]:
        logs = [
            {"type": "function", "name": "log", "inputs": [{"name": "", "type": kind} for kind in types], "outputs": []}
            for types in log_signatures().values()
        ]
        return _by_selector("function", [ContractInterface(logs), self._cheatcodes, *self._interfaces])

    @cached_property
    def _errors(self) -> dict[bytes, list[Entry]]:
        return _by_selector("error", self._interfaces)

    @cached_property
    def _events(self) -> dict[tuple[bytes, int], list[ContractInterface]]:
        found: dict[tuple[bytes, int], list[ContractInterface]] = {}
        for contract in sort_contracts(self._known.all):
            for key in contract.events:
                found.setdefault(key, []).append(contract.interface)
        return found

    def functions(self, calldata: bytes) -> Sequence[Entry]:
        """Return the functions that calldata may call, best match first; empty for data that is not ABI-encoded."""
        if not is_encoded_call(calldata):
            return ()
        found = self._functions.get(calldata[:_SELECTOR], [])
        if len(found) > 1:
            for entry in found:
                if read(entry["inputs"], calldata[_SELECTOR:]) is not None:
                    return [entry]
        return found

    def error(self, data: bytes) -> tuple[Entry, tuple[Any, ...]] | None:
        """Return the custom error of revert data and its arguments; None if no interface declares it."""
        for entry in self._errors.get(data[:_SELECTOR], ()):
            values = read(entry["inputs"], data[_SELECTOR:])
            if values is not None:
                return entry, values
        return None

    def event(self, log: Log) -> tuple[Entry, list[Any]] | None:
        """Return the event of a log and its arguments; None if no interface declares it."""
        if not log.topics:
            return None
        interfaces = [log_interface(), *self._events.get((log.topics[0], len(log.topics)), ())]
        return next((found for interface in interfaces if (found := interface.read_log(log)) is not None), None)


class CallSignature:
    """The function that a frame calls; `contract` is None if the contract at the address is unknown. Rules: forge's."""

    def __init__(self, signatures: Signatures, frame: CallFrame, contract: KnownContract | None) -> None:
        data = frame.input
        self.functions = signatures.functions(data)
        self.is_unsupported = contract is not None and is_encoded_call(data) and not _takes(contract, data)
        """True if the contract has neither this function nor a fallback function."""
        self.entry = self.functions[0] if self.functions else None
        own = None if contract is None else _special(contract, data)
        has_own = contract is None or data[:_SELECTOR] in contract.functions
        self.special = own if self.entry is None or not (has_own or self.is_unsupported) else None
        """`receive` or `fallback`, if that handles the call."""

    @property
    def name(self) -> str | None:
        """The function's name; None if it is unknown."""
        return self.special or (None if self.entry is None else str(self.entry["name"]))

    @property
    def text(self) -> str | None:
        """The function's signature; None if it is unknown."""
        if self.special is not None:
            return f"{self.special}()"
        return None if self.entry is None else signature(self.entry)


def is_encoded_call(data: bytes) -> bool:
    """Return True if data may be calldata with a selector: whole words follow, or zeros after the last one."""
    rest = (len(data) - _SELECTOR) % _WORD
    return len(data) >= _SELECTOR and (not rest or not any(data[-rest:]))


def read(items: Sequence[Entry], data: bytes) -> tuple[Any, ...] | None:
    """Return the values for the types of ABI items; None if the data does not encode them."""
    try:
        return decode_values(items, data, "values", strict=False)
    except AbiMismatch:
        return None


def unknown_selector(address: str, data: bytes) -> str:
    """Return forge's message for a call of a contract that has neither this function nor a fallback function."""
    return (
        f"unrecognized function selector 0x{data[:_SELECTOR].hex()} for contract {address}, "
        "which has no fallback function."
    )


def _takes(contract: KnownContract, data: bytes) -> bool:
    return contract.has_fallback or data[:_SELECTOR] in contract.functions


def _special(contract: KnownContract, data: bytes) -> str | None:
    if not data and contract.has_receive:
        return "receive"
    return "fallback" if contract.has_fallback else None


def _by_selector(kind: str, interfaces: Iterable[ContractInterface]) -> dict[bytes, list[Entry]]:
    found: dict[bytes, list[Entry]] = {}
    for interface in interfaces:
        for entry in interface.abi:
            if entry["type"] == kind:
                entries = found.setdefault(selector_of(entry), [])
                if entry not in entries:
                    entries.append(entry)
    return found

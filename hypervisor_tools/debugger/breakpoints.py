"""Breakpoints: parsing, and matching against stop sites; names of callees and methods; Solidity lines.

Names come from addresses, actor schemas and contract interfaces, lines from compiled contracts in artifact folders.

Forms of a breakpoint:

    call f04, call storagepower, call 0x5fbd...     a call of an actor: by address, name or code
    call Vault                                      the first instruction of a contract, by name
    method Transfer, method 3                       a call of a method: by name or number
    syscall ipld::block_link                        a syscall of a native actor; the module is optional
    pc 0x5fbd... 0x1f, pc 31                        an instruction of one contract, or of any
    line Vault.sol:24                               a line of Solidity
    exit 33, exit any                               an exit code, or any that is not 0
    gas 1000000                                     when a message has used this much gas
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from bridge.actors.interfaces import Interface
from bridge.actors.schemas import actor_method
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import calldata_of
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.types import METHOD_CONSTRUCTOR, ActorID
from hypervisor_tools.debugger.execution import EXIT_SYSCALL, MarkKind, OpenCall, StepListener, StopSite
from localnet.contracts.artifacts import ArtifactFolders, CompiledContract
from localnet.contracts.named_interface import NamedInterface
from localnet.contracts.source_maps import CodePlace
from localnet.state.actor_interfaces import StoredSchemas
from localnet.state.inspection import parse_address
from localnet.state.named_code import stored_interface
from localnet.traces.call_places import compiled_code
from localnet.traces.trace import call_json, called_actor, called_code
from localnet.traces.trace_report import CallText, describe
from runtimes.wasm import SYSCALL_REVISIONS
from store.cid import Cid, show

Line = tuple[str, int]
"""Source path and line number, starting at 1."""


@dataclass(frozen=True, slots=True)
class CodeLines:
    """A contract, if known, and the source positions of its program counters."""

    contract: CompiledContract | None = None
    places: dict[int, CodePlace] = field(default_factory=dict)
    read: Callable[[str], bytes | None] = lambda _path: None
    """Function that returns the text of a source by path."""

    def line(self, counter: int) -> Line | None:
        """Return the line of an instruction; None if it has none."""
        location = self.places.get(counter)
        return (location.path, location.line) if location is not None and location.line else None

    def enters(self, counter: int) -> int:
        """Return 1 if an instruction jumps into a function, -1 if it returns from one, otherwise 0."""
        location = self.places.get(counter)
        return 0 if location is None else {"i": 1, "o": -1}.get(location.jump, 0)


class SourceLines:
    """The contracts in artifact folders, found by running code."""

    def __init__(self, folders: Sequence[Path] | None = None) -> None:
        """Read the given folders, by default those of `ArtifactFolders`."""
        self.artifacts = ArtifactFolders(folders)
        self._known: dict[tuple[bool, bytes], CodeLines] = {}

    def of(self, call: OpenCall) -> CodeLines:
        code = b"" if call.evm is None else call.evm.code
        creation = call.node.start.method == METHOD_CONSTRUCTOR
        key = creation, code
        if key not in self._known:
            self._known[key] = self._lines(creation, code)
        return self._known[key]

    def _lines(self, creation: bool, code: bytes) -> CodeLines:
        contract = compiled_code(self.artifacts, creation, code)
        if contract is None:
            return CodeLines()
        debug = contract.debug()
        found = debug.creation if creation else debug.runtime
        return CodeLines(contract) if found is None else CodeLines(contract, found.places(), found.read)

    def text(self, path: str) -> list[str]:
        """Return the lines of a source file named by executed code; empty if it is not known."""
        for lines in self._known.values():
            data = lines.read(path)
            if data is not None:
                return data.decode("utf-8", "replace").splitlines()
        return []


class CallNames:
    """Names of callees and methods, from the state of a machine, schemas and compiled contracts."""

    def __init__(self, machine: Hypervisor, sources: SourceLines) -> None:
        self.machine = machine
        self._sources = sources
        self._interfaces: dict[Cid, Interface | None] = {}

    def actor(self, call: OpenCall) -> ActorID | None:
        """Return the ID of the callee, or None if the actor does not exist (yet)."""
        return called_actor(self.machine, call.node)

    def code(self, call: OpenCall) -> Cid | None:
        return called_code(self.machine, call.node)

    def kind(self, call: OpenCall) -> str:
        """Return the name of a built-in actor, `actor` for other actors, or an empty string without one."""
        code = self.code(call)
        return "" if code is None else self.machine.manifest.name_of(code) or "actor"

    def speaks_abi(self, call: OpenCall) -> bool:
        """Return True if the callee is called as a contract."""
        code = self.code(call)
        return code is not None and self.machine.traits(code).speaks_abi

    def interface(self, call: OpenCall) -> Interface | None:
        """Return the interface that was installed with a user's actor."""
        code, actor = self.code(call), self.actor(call)
        if code is None or self.machine.manifest.name_of(code):
            return None
        state = None if actor is None else self.machine.state_tree.get_actor(actor)
        if state is not None and state.code == code:
            return StoredSchemas.of_machine(self.machine)(state).interface()
        if code not in self._interfaces:
            self._interfaces[code] = stored_interface(self.machine.base, code)
        return self._interfaces[code]

    def describe_call(self, call: OpenCall) -> CallText:
        """Describe a call in printable, shortened text."""
        found: dict[str, Any] = call_json(self.machine, _without_subcalls(call))
        compiled = self._sources.of(call).contract
        interfaces = [] if compiled is None else [NamedInterface(compiled.name, compiled.interface)]
        own = self.interface(call)
        decoded = describe(found, interfaces, {} if own is None else {found.get("schema") or found["code"]: own})
        if decoded.callee == "contract" and call.evm is None and self.speaks_abi(call):
            return self._before_its_frame(found, decoded)
        return decoded

    def _before_its_frame(self, found: dict[str, Any], decoded: CallText) -> CallText:
        """Describe a call of a contract whose code is not known yet, using any contract that has the function."""
        every: Sequence[NamedInterface] = [
            NamedInterface(each.name, each.interface) for each in self._sources.artifacts.contracts()
        ]
        return describe(found, every) if every else decoded

    def is_called(self, call: OpenCall, name: str) -> bool:
        """Return True if `name` is the callee's address, name, code CID, or contract name."""
        code = self.code(call)
        if name == self.kind(call) or self.is_contract(call, name):
            return True
        if code is not None and name in (show(code), self.machine.name_of(code)):  # includes actors installed by users
            return True
        if name in ACTOR_NAMES:
            return False
        try:
            address = parse_address(name)
        except HypervisorError:
            return False
        actor = self.actor(call)
        return call.node.start.to == address or (
            actor is not None and actor == self.machine.state_tree.lookup_id(address)
        )

    def is_contract(self, call: OpenCall, name: str) -> bool:
        """Return True if `name` is the name of the contract whose code runs."""
        compiled = self._sources.of(call).contract
        return compiled is not None and name == compiled.name

    def has_method(self, call: OpenCall, method: str) -> bool:
        number = call.node.start.method
        if method.isascii() and method.isdigit():
            return int(method) == number
        own = self.interface(call)
        known = actor_method(self.kind(call), number) if own is None else dict(own.methods.values()).get(number)
        if known is not None and known.name == method:
            return True
        return number == INVOKE_EVM and self._function(call) in (method, method.partition("(")[0])

    def _function(self, call: OpenCall) -> str:
        start = call.node.start
        try:
            data = calldata_of(start.params_codec, start.params) if start.params else b""
        except ParamsError:
            return ""
        for compiled in self._sources.artifacts.contracts():
            found = compiled.interface.decode_call(data) if len(data) >= 4 else None
            if found is not None:
                return found.function
        return ""

    def address(self, actor: ActorID) -> str:
        return str(Address.id(actor))


def _without_subcalls(call: OpenCall) -> Any:
    """Return a copy of a call's node without nested calls, which the formatter would include."""
    from dataclasses import replace

    return replace(call.node, items=list(call.node.events))


@cache
def argument_names(name: str) -> tuple[str, ...]:
    """Return the parameters of `module::name` in the newest revision that has it, starting with the result pointer."""
    module, _, function = name.partition("::")
    for revision in SYSCALL_REVISIONS.values():
        syscall = revision.get((module, function))
        if syscall is not None:
            names = list(inspect.signature(syscall.handler).parameters)[1:]
            return (*(["result"] if syscall.result else []), *names)
    return ()


def syscall_names() -> list[str]:
    """Return all syscalls as `module::name`."""
    return sorted({"::".join(key) for revision in SYSCALL_REVISIONS.values() for key in revision})


_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]*|[ft]0[0-9]+|[ft][1-3][a-z2-7]{30,}|[ft]4[0-9]+f[a-z2-7]+")
"""Address patterns. They match the whole text, since names such as fToken2, t2 or tip_jar have the same prefixes."""
KINDS: Final = ("call", "method", "syscall", "pc", "line", "exit", "gas")


@dataclass(slots=True)
class Breakpoint:
    """A breakpoint: its kind, its condition, and its source text."""

    number: int
    kind: str
    text: str
    counter: int = -1
    """Program counter, line number, exit code (-1 for any) or amount of gas, depending on the kind."""
    where: str = ""
    """Contract of a pc (empty for any), end of the file's path of a line, or text of other kinds."""
    hits: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.text}"

    @property
    def checks_every_instruction(self) -> bool:
        return self.kind in ("pc", "line", "gas")


def parse_breakpoint(number: int, text: str) -> Breakpoint:
    """Parse a breakpoint as a user writes it. Raises InvalidInput."""
    kind, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if kind not in KINDS:
        raise InvalidInput(f"'{text}' is not a breakpoint: begin with one of {', '.join(KINDS)}")
    if not rest:
        raise InvalidInput(f"'{text}' is not a breakpoint: {kind} needs a value")
    point = Breakpoint(number, kind, rest, where=rest)
    if kind == "pc":
        address, _, counter = rest.rpartition(" ")
        point.where, point.counter = address.strip(), _number(counter, text)
    elif kind == "line":
        path, colon, line = rest.rpartition(":")
        if not colon or not path:
            raise InvalidInput(f"'{text}' is not a line: write FILE:LINE, such as Vault.sol:24")
        point.where, point.counter = path, _number(line, text)
    elif kind == "gas":
        point.counter = _number(rest.replace(",", ""), text)
    elif kind == "exit" and rest != "any":
        point.counter = _number(rest, text)
    elif kind == "syscall" and not any(rest in (name, name.partition("::")[2]) for name in syscall_names()):
        raise InvalidInput(f"there is no syscall '{rest}': expected one of {', '.join(syscall_names())}")
    if kind in ("call", "pc") and has_address_form(point.where):
        parse_address(point.where)  # report a mistyped address here
    return point


def has_address_form(text: str) -> bool:
    """Return True if `text` has the form of an address, valid or not."""
    return _ADDRESS.fullmatch(text) is not None


def _number(text: str, whole: str) -> int:
    try:
        found = int(text, 0)
    except ValueError:
        raise InvalidInput(f"'{whole}': '{text}' is not a number") from None
    if found < 0:
        raise InvalidInput(f"'{whole}': {found} must be at least 0")
    return found


class Breakpoints:
    """All breakpoints of a session."""

    def __init__(self, names: CallNames, sources: SourceLines) -> None:
        self.all: list[Breakpoint] = []
        self._names, self._sources = names, sources
        self._count = 0
        self._lines: dict[tuple[str, int, bytes], bool] = {}

    def add(self, text: str) -> Breakpoint:
        """Add a breakpoint and return it. Raises InvalidInput."""
        point = parse_breakpoint(self._count + 1, text)
        self._count += 1
        self.all.append(point)
        return point

    def remove(self, number: int) -> Breakpoint:
        """Delete a breakpoint. Raises InvalidInput."""
        for point in self.all:
            if point.number == number:
                self.all.remove(point)
                return point
        raise InvalidInput(f"there is no breakpoint {number}")

    def wants_instructions(self, listener: StepListener, call: OpenCall) -> bool:
        """Return True if any breakpoint may match an instruction of the frame."""
        return any(self._may_match(listener, call, point) for point in self.all if point.checks_every_instruction)

    def _may_match(self, listener: StepListener, call: OpenCall, point: Breakpoint) -> bool:
        if point.kind == "gas":
            return listener.used_before < point.counter * MILLIGAS_PER_GAS
        if point.kind == "pc":
            return not point.where or self._names.is_called(call, point.where)
        lines = self._sources.of(call)
        key = point.where, point.counter, b"" if call.evm is None else call.evm.code
        if key not in self._lines:
            self._lines[key] = any(
                place.line == point.counter and same_file(place.path, point.where) for place in lines.places.values()
            )
        return self._lines[key]

    def hit(
        self, listener: StepListener, site: StopSite, previous_line: Callable[[OpenCall], object]
    ) -> Breakpoint | None:
        """Return the first breakpoint that matches `site`. `previous_line` maps a frame to its last line."""
        for point in self.all:
            if self._matches(listener, site, point, previous_line):
                point.hits += 1
                return point
        return None

    def _matches(
        self, listener: StepListener, site: StopSite, point: Breakpoint, previous_line: Callable[[OpenCall], object]
    ) -> bool:
        call = site.call
        match point.kind:
            case "call":
                if site.mark is None:  # the code of a contract, which has its name, is known from here on
                    return site.position.number == 1 and self._names.is_contract(call, point.where)
                return site.mark is MarkKind.CALL and self._names.is_called(call, point.where)
            case "method":
                return site.mark is MarkKind.CALL and self._names.has_method(call, point.where)
            case "syscall" if site.mark is MarkKind.SYSCALL and call.syscall is not None:
                return point.where in (call.syscall.name, call.syscall.name.partition("::")[2])
            case "exit":
                return _exits(site, point.counter)
            case "gas":
                return reaches_gas(listener, site, point.counter)
            case "pc":
                matches = site.mark is None and site.counter == point.counter
                return matches and (not point.where or self._names.is_called(call, point.where))
            case "line" if site.mark is None:
                line = self._sources.of(call).line(site.counter)
                matches = line is not None and line[1] == point.counter and same_file(line[0], point.where)
                return matches and previous_line(call) != line
            case _:
                return False


def same_file(path: str, name: str) -> bool:
    """Return True if one of the paths is the other or ends with it."""
    name = name.removeprefix("./")
    return path == name or path.endswith(f"/{name}") or name.endswith(f"/{path}")


def _exits(site: StopSite, wanted: int) -> bool:
    """Return True if a native actor is about to exit with `wanted`, or a call ends with it for another reason."""
    call = site.call
    if site.mark is MarkKind.SYSCALL and call.syscall is not None and call.syscall.name == EXIT_SYSCALL:
        code = call.syscall.arguments[0]
        return code == wanted or (wanted < 0 and code != 0)
    end = call.node.end
    if site.mark is not MarkKind.RETURN or end is None or call.exited:
        return False
    return end.exit_code == wanted or (wanted < 0 and bool(end.exit_code or end.error))


def reaches_gas(listener: StepListener, site: StopSite, gas: int) -> bool:
    """Return True if the message's gas use reaches `gas` at this position."""
    used, before = listener.used_at(site), listener.used_before
    return before < gas * MILLIGAS_PER_GAS <= used

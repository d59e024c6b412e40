"""Names of callees and methods at a stop, from addresses, actor schemas and contract interfaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.actors.interfaces import Interface
from bridge.actors.schemas import actor_method
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.parameters import INVOKE_EVM, calldata_of
from fvm_hypervisor.debugger.listener import OpenCall
from fvm_hypervisor.debugger.sources import SourceLines
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import HypervisorError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.types import ActorID
from localnet.contracts.named_interface import NamedInterface
from localnet.state.actor_interfaces import StoredSchemas
from localnet.state.inspection import parse_address
from localnet.state.named_code import stored_interface
from localnet.traces.decoded_calls import DecodedCall, describe
from localnet.traces.trace import call_json
from store.cid import Cid, show


class CallNames:
    """Names of callees and methods, from the state of a machine, schemas and compiled contracts."""

    def __init__(self, machine: Hypervisor, sources: SourceLines) -> None:
        self.machine = machine
        self._sources = sources
        self._interfaces: dict[Cid, Interface | None] = {}

    def actor(self, call: OpenCall) -> ActorID | None:
        """Return the ID of the callee, or None if the actor does not exist (yet)."""
        known = call.node.actor
        return self.machine.state_tree.lookup_id(call.node.start.to) if known is None else known

    def code(self, call: OpenCall) -> Cid | None:
        if call.node.code is not None:
            return call.node.code
        actor = self.actor(call)
        state = None if actor is None else self.machine.state_tree.get_actor(actor)
        return None if state is None else state.code

    def kind(self, call: OpenCall) -> str:
        """Return the name of a built-in actor, `actor` for other actors, or an empty string without one."""
        code = self.code(call)
        return "" if code is None else self.machine.manifest.name_of(code) or "actor"

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

    def describe_call(self, call: OpenCall) -> DecodedCall:
        """Describe a call in printable, shortened text."""
        found: dict[str, Any] = call_json(self.machine, _without_subcalls(call))
        compiled = self._sources.of(call).contract
        interfaces = [] if compiled is None else [NamedInterface(compiled.name, compiled.interface)]
        own = self.interface(call)
        decoded = describe(found, interfaces, {} if own is None else {found.get("schema") or found["code"]: own})
        if decoded.callee == "contract" and call.evm is None and self.kind(call) == "evm":
            return self._before_its_frame(found, decoded)
        return decoded

    def _before_its_frame(self, found: dict[str, Any], decoded: DecodedCall) -> DecodedCall:
        """Describe a call of a contract whose code is not known yet, using any contract that has the function."""
        every: Sequence[NamedInterface] = [
            NamedInterface(each.name, each.interface) for each in self._sources.artifacts.contracts()
        ]
        return describe(found, every) if every else decoded

    def is_called(self, call: OpenCall, name: str) -> bool:
        """Return True if `name` is the callee's address, name, code CID, or contract name."""
        compiled = self._sources.of(call).contract
        code = self.code(call)
        if name == self.kind(call) or (compiled is not None and name == compiled.name):
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
        """Return the called contract function, using any compiled contract that has it."""
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

    return replace(call.node, calls=[], calls_before=[0] * len(call.node.events))

"""Filecoin's call rules: resolution of addresses, and accounts created by sends.

Source: ref-fvm fvm/src/call_manager/default.rs `create_actor_from_send`; FIP-0055 for placeholders.
"""

from typing import Final

from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call, LentCode
from hypervisor.machine.call_manager import CallManager
from hypervisor.messages.address import Address, Protocol, is_eth_namespace
from hypervisor.state.state_tree import ActorState
from hypervisor.tracing import ActorCreated
from hypervisor.types import METHOD_CONSTRUCTOR, SYSTEM_ACTOR, ActorID
from store.cid import CBOR
from store.codec import encode

_ZERO_BLS_KEY = b"\xc0" + bytes(47)


class FilecoinCallRules:
    """Implementation of `hypervisor.machine.call_manager.CallRules`, without state per message."""

    def __init__(self) -> None:
        self.lent_code: LentCode | None = None

    def resolve(self, calls: CallManager, call: Call) -> ActorID:
        """Return the actor at an address; a key or Ethereum address is created by the first send."""
        actor = calls.tree.lookup_id(call.to)
        return self._create_from_send(calls, call) if actor is None else actor

    invoke = staticmethod(CallManager.invoke)

    def _create_from_send(self, calls: CallManager, call: Call) -> ActorID:
        """Create an account or a placeholder for an address without an actor."""
        address = call.to
        is_key = address.protocol in (Protocol.SECP256K1, Protocol.BLS)
        if not is_key and not is_eth_namespace(address):
            raise SyscallError(ErrorNumber.NOT_FOUND, f"no actor has the address {address}")
        if call.read_only:
            raise SyscallError(ErrorNumber.READ_ONLY, f"a read-only call cannot create {address}")
        if address.protocol is Protocol.BLS and address.payload == _ZERO_BLS_KEY:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, "the zero BLS key cannot have an account")
        prices = calls.prices
        cost = prices.actor_create + prices.address_assignment + prices.address_lookup
        calls.gas.charge("OnCreateActor", cost, cost)
        actor = calls.tree.register_address(address)
        code = calls.machine.manifest.code("account" if is_key else "placeholder")
        calls.set_actor(actor, ActorState(code, delegated_address=None if is_key else address))
        if calls.tracer is not None:
            calls.tracer.event(ActorCreated(actor, address))
        if is_key:
            # Network rule: the constructor runs at the depth of the send, and its exit code is ignored.
            params = Block(CBOR, encode(address.to_bytes()))
            calls.send_resolved(Call(SYSTEM_ACTOR, Address.id(actor), METHOD_CONSTRUCTOR, params), actor)
        return actor


FILECOIN_CALLS: Final = FilecoinCallRules()

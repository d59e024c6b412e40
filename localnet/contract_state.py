"""What a contract's head block says: code, nonce, whether it lives. Layout: the official EVM actor's state tuple."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.params import unwrap_return
from hypervisor.address import Address
from hypervisor.errors import Fatal
from hypervisor.machine import Hypervisor
from hypervisor.message import Message
from hypervisor.state_tree import ActorState
from hypervisor.types import SYSTEM_ACTOR, MethodNumber
from store.blockstore import get_object
from store.cid import Cid
from store.codec import encode, unlink

_GET_STORAGE_AT = MethodNumber(5)
_WORD = 32


@dataclass(frozen=True, slots=True)
class ContractState:
    """A contract's code (its CID) and Ethereum nonce; a destroyed one has neither."""

    bytecode: Cid | None
    nonce: int


def contract_state(machine: Hypervisor, actor: ActorState) -> ContractState | None:
    """The state of an actor that is a contract, None of any other."""
    if actor.code != machine.manifest.code("evm"):
        return None
    fields = get_object(machine.store, actor.head)
    if len(fields) < 5:  # created, and its constructor has not run
        return ContractState(None, 0)
    bytecode, nonce, tombstone = fields[0], fields[-2], fields[-1]
    # Between messages, every tombstone is that of an earlier message.
    return ContractState(None, 0) if tombstone is not None else ContractState(unlink(bytecode), nonce)


def code_of(machine: Hypervisor, address: Address) -> bytes:
    """A contract's runtime code; nothing for everybody else."""
    actor = machine.actor(address)
    state = None if actor is None else contract_state(machine, actor)
    return machine.store.get(state.bytecode) if state is not None and state.bytecode is not None else b""


def storage_of(machine: Hypervisor, address: Address, slot: int) -> bytes:
    """The 32 bytes of a contract's storage slot; zeros for everybody else. Raises Fatal."""
    actor = machine.actor(address)
    if actor is None or contract_state(machine, actor) is None:
        return bytes(_WORD)
    params = encode([slot.to_bytes(_WORD, "big").lstrip(b"\0")])
    result = machine.call(Message(address, Address.id(SYSTEM_ACTOR), method=_GET_STORAGE_AT, params=params))
    if result.exit_code:
        raise result.fatal or Fatal(f"{address} exited with {result.exit_code} when asked for slot {slot:#x}")
    return unwrap_return(result.return_data).rjust(_WORD, b"\0")

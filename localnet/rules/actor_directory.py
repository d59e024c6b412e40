"""Names and code of a machine's actors, for traces (`bridge.traces.frames.Directory`)."""

from __future__ import annotations

from bridge.ethereum.addresses import EthAddress
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.types import ActorID
from localnet.rules.parts import rules_of
from localnet.state.controls import nonce_of_actor
from store.cid import Cid


class ActorDirectory:
    """The names and code of a machine's actors."""

    def __init__(self, machine: Hypervisor) -> None:
        self._machine, self._tree = machine, machine.state_tree
        facts = rules_of(machine).settings.fork_facts(machine)
        self._precompiles = frozenset[EthAddress]() if facts is None else facts.precompiles

    def lookup(self, address: Address) -> ActorID | None:
        """Return the ID of the actor at an address."""
        return self._tree.lookup_id(address)

    def delegated_address(self, actor: ActorID) -> Address | None:
        """Return an actor's f4 address."""
        state = self._tree.get_actor(actor)
        return None if state is None else state.delegated_address

    def is_contract(self, code: Cid) -> bool:
        """Return True if the code's actors are called as contracts."""
        return self._machine.traits(code).speaks_abi

    def is_precompile(self, address: EthAddress) -> bool:
        """Return True for the address of one of the fork's precompiles."""
        return address in self._precompiles

    def nonce(self, actor: ActorID) -> int:
        """Return the nonce of an actor's next creation."""
        state = self._tree.get_actor(actor)
        return 0 if state is None else nonce_of_actor(self._machine, state)

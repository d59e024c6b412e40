"""The block hash contract (EIP-2935): writes a parent's hash into its slots without running its code.

This is equivalent to the system call of the contract's standard code. The contract's storage is cached between blocks
and reloaded if the head has changed. If the contract has other code, the caller must run it.
"""

from dataclasses import replace
from typing import Final

from bridge.ethereum_block import BLOCK_HASHES, BLOCK_HASHES_CODE, BLOCK_HASHES_KEPT
from bridge.evm_state import EvmState
from hypervisor.address import Address
from hypervisor.errors import Fatal
from hypervisor.machine_state import MachineState
from hypervisor.types import EAM_NAMESPACE
from store.blockstore import BlockNotFound
from store.cid import RAW, Cid, cid_of
from store.codec import CodecError
from store.words import StoredWords

_ADDRESS: Final = Address.delegated(EAM_NAMESPACE, BLOCK_HASHES)
_CODE: Final = cid_of(BLOCK_HASHES_CODE, RAW)


class BlockHashes:
    """The contract in a machine's state."""

    def __init__(self, machine: MachineState) -> None:
        self._machine = machine
        self._left: tuple[Cid, EvmState, StoredWords] | None = None
        """The contract's head, state and storage as last written."""

    def keep(self, parent_hash: bytes) -> bool:
        """Write the hash of the parent of the machine's block; return False, without effect, if the code differs.

        Raises Fatal for a state that cannot be read, and the store's errors.
        """
        machine, tree = self._machine, self._machine.state_tree
        actor = tree.lookup_id(_ADDRESS)
        state = None if actor is None else tree.get_actor(actor)
        if actor is None or state is None or state.code != machine.manifest.code("evm"):
            return False
        (head, contract, slots), self._left = self._at(state.head), None  # cleared until everything is written
        if contract.bytecode != _CODE:
            return False
        slots.set((machine.context.epoch - 1) % BLOCK_HASHES_KEPT, int.from_bytes(parent_hash, "big"))
        contract = replace(contract, storage=slots.flush())
        data = contract.encode()
        head = cid_of(data)
        machine.store.put(head, data)
        tree.set_actor(actor, state.with_head(head))
        self._left = head, contract, slots
        return True

    def _at(self, head: Cid) -> tuple[Cid, EvmState, StoredWords]:
        if self._left is not None and self._left[0] == head:
            return self._left
        store = self._machine.store
        try:
            contract = EvmState.decode(store.get(head))
        except (BlockNotFound, CodecError) as error:
            raise Fatal(f"the state of the block hash contract cannot be read: {error}") from error
        return head, contract, self._machine.state_tree.words(contract.storage)

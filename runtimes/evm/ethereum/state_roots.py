"""Ethereum's state root of a machine's state, computed again after each block or transaction.

Encodings of accounts are cached by their actors' states, so only changed accounts are read and encoded again.
"""

from typing import Final

from bridge.addresses import EthAddress
from bridge.patricia import secure_root
from hypervisor.machine_state import MachineState
from hypervisor.state_tree import ActorState
from runtimes.evm.ethereum.addresses import ethereum_address
from runtimes.evm.ethereum.alloc import account_of

_MAX_ACCOUNTS: Final = 65_536


class StateRoots:
    """A cache of encoded accounts."""

    def __init__(self) -> None:
        self._encoded: dict[ActorState, bytes] = {}

    def root(self, machine: MachineState) -> bytes:
        """Return the state root of a machine's current state."""
        evm_code, encoded = machine.manifest.code("evm"), self._encoded
        machine.state_tree.flush()
        entries = {}
        for _, state in machine.state_tree.actors():
            address: EthAddress | None = None
            if state.delegated_address is not None:
                address = ethereum_address(state.delegated_address)
            if address is None:
                continue
            data = encoded.get(state)
            if data is None:
                if len(encoded) >= _MAX_ACCOUNTS:
                    encoded.clear()
                data = encoded[state] = account_of(machine, state, state.code == evm_code).rlp()
            entries[bytes(address)] = data
        return secure_root(entries)

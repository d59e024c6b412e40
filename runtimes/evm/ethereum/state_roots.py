"""State roots of Ethereum after each block or transaction.

Encoded accounts are cached by the state of their actors, so only changed accounts are read and encoded again.
"""

from typing import Final

from bridge.patricia import secure_root
from hypervisor.machine_state import MachineState
from hypervisor.state_tree import ActorState
from runtimes.evm.ethereum.alloc import account_of, ethereum_actors

_MAX_ACCOUNTS: Final = 65_536


class StateRoots:
    """Computes state roots, with a cache of encoded accounts."""

    def __init__(self) -> None:
        self._encoded: dict[ActorState, bytes] = {}

    def root(self, machine: MachineState) -> bytes:
        evm_code, encoded = machine.manifest.code("evm"), self._encoded
        entries = {}
        for address, state in ethereum_actors(machine):
            data = encoded.get(state)
            if data is None:
                if len(encoded) >= _MAX_ACCOUNTS:
                    encoded.clear()
                data = encoded[state] = account_of(machine, state, state.code == evm_code).rlp()
            entries[bytes(address)] = data
        return secure_root(entries)

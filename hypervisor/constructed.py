"""Recorded states of the embedded bundles' singletons, which replace runs of their constructors at genesis.

Loading the WASM runtime for seven constructors takes longer than the rest of opening a network in memory. States
are keyed by code, constructor parameters and syscall names: if one of them changes, the constructor runs.
"""

from store.blockstore import Blockstore
from store.cid import Cid, cid_of, parse_cid, show
from store.codec import encode, link


def constructor_key(code: Cid, params: bytes, abi: str) -> str:
    """Return the key of a constructor's run: the CID of the code's CID, the parameters and the name of the syscalls."""
    return show(cid_of(encode([link(code), params, abi])))


def store_constructed_state(store: Blockstore, code: Cid, params: bytes, abi: str) -> Cid | None:
    """Store the state that a constructor writes and return its CID; None if it is not recorded."""
    from fvm_hypervisor.builtin_actors.loader import constructed_states

    recorded = constructed_states()
    head = recorded.heads.get(constructor_key(code, params, abi))
    if head is None:
        return None
    store.put_many((cid_of(block), block) for block in recorded.blocks)
    return parse_cid(head)

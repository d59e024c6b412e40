"""A contract's slots: KAMTs whose nodes are read and written through the kernel.

A node is opened when a slot below it is first accessed, and written once by `flush`; the kernel checks (reachability,
size) and charges for each. Rules: builtin-actors actors/evm interpreter/system.rs.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from hypervisor.errors import ActorExit, Fatal, SyscallError
from hypervisor.exit_codes import ExitCode
from runtimes.evm.rules import EvmRules
from runtimes.evm.syscalls import Syscalls
from store.blockstore import StoreError
from store.cid import CBOR, DAG_CBOR, Cid, codec_of, show
from store.kamt import EMPTY_KAMT, Kamt, KamtError

P = ParamSpec("P")
R = TypeVar("R")


class KernelBlockstore:
    """The blocks that an actor can reach, as a blockstore for the trees of `store`."""

    def __init__(self, syscalls: Syscalls, rules: EvmRules) -> None:
        self._syscalls = syscalls
        self._rules = rules

    def get(self, cid: Cid) -> bytes:
        """Open and read a node; a block of another codec is not a node."""
        if codec_of(cid) not in (CBOR, DAG_CBOR):
            raise KamtError(f"node {show(cid)}: neither CBOR nor DAG-CBOR")
        data = self._syscalls.open(cid)
        self._syscalls.charge("OnEvmNode", len(data) * self._rules.node_read_price)
        return data

    def has(self, cid: Cid) -> bool:
        """Return True if the actor may open the block."""
        return self._syscalls.kernel.ipld.is_reachable(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        """Create and link a block; the blocks it links must have been put before."""
        self._syscalls.charge("OnEvmNode", len(data) * self._rules.node_write_price)
        if self._syscalls.put(data, codec_of(cid)) != cid:
            raise Fatal("a tree node was put under a CID that does not match its content")

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Put blocks in the given order."""
        for cid, data in blocks:
            self.put(cid, data)


def _exit_if_invalid(method: Callable[Concatenate["Slots", P], R]) -> Callable[Concatenate["Slots", P], R]:
    """Wrap a method of `Slots` to end the invocation (exit 20) if a node is invalid or cannot be opened."""

    @wraps(method)
    def checked(slots: "Slots", /, *arguments: P.args, **named: P.kwargs) -> R:
        try:
            return method(slots, *arguments, **named)
        except (StoreError, SyscallError) as error:
            raise ActorExit(ExitCode.USR_ILLEGAL_STATE, message=f"the contract's slots: {error}") from None

    return checked


class Slots:
    """256-bit slots; an absent one reads 0. The root is read at construction, as in the official actor, others lazily.

    Every method may raise ActorExit if the tree is invalid.
    """

    def __init__(self, syscalls: Syscalls, rules: EvmRules, root: Cid | None = None) -> None:
        self._services = syscalls, rules
        self._is_empty = root is None
        self._kamt = None if root is None else self._open_tree(root)
        """The tree; None until it is needed: most messages do not use transient slots."""

    @_exit_if_invalid
    def _open_tree(self, root: Cid | None = None) -> Kamt:
        return Kamt(KernelBlockstore(*self._services), root)

    @_exit_if_invalid
    def get(self, key: int) -> int:
        """Return the word in a slot."""
        return 0 if self._kamt is None else self._kamt.get(key)

    @_exit_if_invalid
    def set(self, key: int, value: int) -> int:
        """Write a word, 0 to remove the slot; return the word that was there."""
        if self._kamt is None:
            self._kamt = self._open_tree()
        before = self._kamt.get(key)
        if before != value:
            self._kamt.set(key, value)
            self._is_empty = False
        return before

    @_exit_if_invalid
    def flush(self) -> Cid:
        """Write the changed nodes and return the root."""
        return (self._open_tree() if self._kamt is None else self._kamt).flush()

    @_exit_if_invalid
    def flush_unless_empty(self) -> Cid | None:
        """Write the changed nodes and return the root, or None if there are no slots."""
        if self._is_empty or self._kamt is None:
            return None
        root = self._kamt.flush()
        return None if root == EMPTY_KAMT else root

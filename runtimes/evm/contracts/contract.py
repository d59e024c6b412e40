"""The running contract: its state in memory, and sends that keep it in sync with the actor's head block.

Rules (builtin-actors actors/evm: lib.rs, state.rs): changed state is written before every send and at a successful end.
A successful send may have changed the state (re-entrancy, a delegate call to itself), so it is reloaded if the head
moved; a failed send was rolled back, so nothing is reloaded.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from bridge.filecoin.evm_state import EvmState, Lifespan, TransientData
from hypervisor.errors import ActorExit, SyscallError
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel import SendResult
from hypervisor.messages.address import Address
from hypervisor.types import NO_BLOCK, BlockId, MethodNumber, TokenAmount
from runtimes.evm.contracts.code import EMPTY_CODE_HASH, code_too_long
from runtimes.evm.contracts.rules import CodeLimit, EvmRules
from runtimes.evm.contracts.syscalls import Syscalls
from store.blockstore import StoreError
from store.cid import CBOR, CBOR_CID_PREFIX, DAG_CBOR, EMPTY_ARRAY_CID, RAW, Cid, codec_of, show
from store.codec import CodecError
from store.trees.kamt import EMPTY_KAMT, Kamt, KamtError

_INVALID: Final = (StoreError, SyscallError)
"""Errors of a tree with a node that is invalid or cannot be opened."""


@dataclass(slots=True)
class KernelBlockstore:
    """The blocks that an actor can reach, as a blockstore for the trees of `store`.

    The kernel checks (reachability, size) and charges for each node. Rules: builtin-actors actors/evm
    interpreter/system.rs.
    """

    _syscalls: Syscalls
    _rules: EvmRules

    def get(self, cid: Cid) -> bytes:
        """Open and read a node; a block of another codec is not a node."""
        if not cid.startswith(CBOR_CID_PREFIX) and codec_of(cid) not in (CBOR, DAG_CBOR):
            raise KamtError(f"node {show(cid)}: neither CBOR nor DAG-CBOR")
        data = self._syscalls.open(cid)
        price = self._rules.node_price + len(data) * self._rules.node_read_price
        self._syscalls.kernel.gas.charge("OnEvmNode", price)
        return data

    def has(self, cid: Cid) -> bool:
        """Return True if the actor may open the block."""
        return self._syscalls.kernel.ipld.is_reachable(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        """Create and link a node; the blocks it links must have been put before."""
        self._syscalls.charge("OnEvmNode", len(data) * self._rules.node_write_price)
        self._syscalls.put(data, cid=cid)

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Put blocks in the given order."""
        for cid, data in blocks:
            self.put(cid, data)


def _invalid_slots(error: Exception) -> ActorExit:
    return ActorExit(ExitCode.USR_ILLEGAL_STATE, message=f"the contract's slots: {error}")


class Slots:
    """256-bit slots; an absent one reads 0.

    The root is read at construction, as in the official actor, other nodes lazily. Every method may raise ActorExit if
    the tree is invalid.
    """

    def __init__(self, syscalls: Syscalls, rules: EvmRules, root: Cid | None = None) -> None:
        self._services = syscalls, rules
        self._is_empty = root is None
        self._kamt = None if root is None else self._open_tree(root)
        """The tree; None until it is needed: most messages do not use transient slots."""

    def _open_tree(self, root: Cid | None = None) -> Kamt:
        try:
            return Kamt(KernelBlockstore(*self._services), root)
        except _INVALID as error:
            raise _invalid_slots(error) from None

    def get(self, key: int) -> int:
        """Return the word in a slot."""
        kamt = self._kamt
        return 0 if kamt is None else self._priced(kamt, kamt.get, key)

    def set(self, key: int, value: int) -> int:
        """Write a word, 0 to remove the slot; return the word that was there."""
        kamt = self._kamt
        if kamt is None:
            if not value:
                return 0
            kamt = self._kamt = self._open_tree()
        before = self._priced(kamt, kamt.replace, key, value)
        if before != value:
            self._is_empty = False
        return before

    def _priced(self, kamt: Kamt, access: Callable[..., int], *words: int) -> int:
        """Return the word that an access to the tree returns, and charge for the paths that it compares."""
        before = kamt.compared_bits
        try:
            word = access(*words)
        except _INVALID as error:
            raise _invalid_slots(error) from None
        if kamt.compared_bits != before:
            syscalls, rules = self._services
            syscalls.charge("OnEvmNode", (kamt.compared_bits - before) * rules.path_bit_price)
        return word

    def flush(self) -> Cid:
        """Write the changed nodes, also those that are as before, and return the root."""
        self._kamt = self._kamt or self._open_tree()
        try:
            return self._kamt.flush()
        except _INVALID as error:
            raise _invalid_slots(error) from None

    def flush_unless_empty(self) -> Cid | None:
        """Write the changed nodes and return the root, or None if there are no slots."""
        if self._is_empty:
            return None
        root = self.flush()
        return None if root == EMPTY_KAMT else root


_EIP_3541_BYTE = 0xEF
FIRST_NONCE = 1
_LAST_NONCE = (1 << 64) - 1


class EvmContract:
    """The state of the contract in whose context a frame runs."""

    def __init__(self, syscalls: Syscalls, rules: EvmRules, root: Cid | None = None) -> None:
        """Load the contract from a head block; without one, create it without code and slots.

        A dead contract is empty. Exits 21 and 20 if the state is invalid.
        """
        context = syscalls.kernel.context
        self._syscalls = syscalls
        self._rules = rules
        self.lifespan = Lifespan(context.origin, context.nonce)
        self.bytecode: Cid | None = None
        self.bytecode_hash = EMPTY_CODE_HASH
        self.nonce = FIRST_NONCE
        self.tombstone: Lifespan | None = None
        self._saved_root: Cid | None = None
        if root is None or not self._load(root):
            self.storage = Slots(syscalls, rules)
            self.transient = Slots(syscalls, rules)

    # --- construction -----------------------------------------------------------------------------------------

    @classmethod
    def create(cls, syscalls: Syscalls, rules: EvmRules) -> "EvmContract":
        """Create the contract in its constructor; exit 20 if the actor already has state."""
        if syscalls.root() != EMPTY_ARRAY_CID:
            raise ActorExit(ExitCode.USR_ILLEGAL_STATE, message="the contract has been constructed already")
        return cls(syscalls, rules)

    @classmethod
    def resurrect(cls, syscalls: Syscalls, rules: EvmRules) -> "EvmContract":
        """Create a destroyed contract again, with empty state; exit 18 if it is not dead."""
        contract = cls(syscalls, rules)
        if not contract.is_dead(contract._read(syscalls.root())):
            raise ActorExit(ExitCode.USR_FORBIDDEN, message="only a destroyed contract can be resurrected")
        return contract

    @classmethod
    def state(cls, syscalls: Syscalls, rules: EvmRules) -> EvmState | None:
        """Read the state of the head block without its slots; None for a dead contract. Exit 21 if it is invalid."""
        contract = cls(syscalls, rules)
        state = contract._read(syscalls.root())
        return None if contract.is_dead(state) else state

    def is_dead(self, state: EvmState) -> bool:
        """Return True if an earlier message destroyed the contract; during the destroying message it is still alive."""
        return state.tombstone is not None and state.tombstone != self.lifespan

    @property
    def exists(self) -> bool:
        """True if there is code, possibly empty; False for a dead contract."""
        return self.bytecode is not None

    # --- changes ----------------------------------------------------------------------------------------------

    def set_storage(self, key: int, value: int) -> int:
        """Write a storage slot; return the word that was there."""
        before = self.storage.set(key, value)
        if before != value:
            self._saved_root = None
        return before

    def set_transient(self, key: int, value: int) -> None:
        """Write a transient storage slot."""
        if self.transient.set(key, value) != value:
            self._saved_root = None

    def next_nonce(self) -> int:
        """Return the nonce for a creation and increment it; exit 24 if it has reached its maximum."""
        nonce = self.nonce
        if nonce == _LAST_NONCE:
            raise ActorExit(ExitCode.USR_ASSERTION_FAILED, message="the contract's nonce has reached its maximum")
        self.nonce += 1
        self._saved_root = None
        return nonce

    def destroy(self) -> None:
        """Mark the contract as destroyed by this message."""
        self.tombstone = self.lifespan
        self._saved_root = None

    def set_bytecode(self, code: bytes, longest: int | None = None) -> None:
        """Set the runtime code; exit 16 if it is too long or begins with the reserved byte.

        `longest` is a limit in bytes instead of the network's.
        """
        limit = self._code_limit() if longest is None else longest
        if limit is not None and len(code) > limit:
            raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message=code_too_long(len(code), limit))
        if code[:1] == bytes([_EIP_3541_BYTE]):
            raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message="code begins with the reserved byte 0xef")
        self.put_bytecode(code)

    def put_bytecode(self, code: bytes) -> None:
        """Set the runtime code without the limits of bytecode, which installed code does not have."""
        self.bytecode = self._syscalls.put(code, RAW)
        self.bytecode_hash = self._syscalls.keccak(code)
        self._saved_root = None

    def _code_limit(self) -> int | None:
        kernel = self._syscalls.kernel
        maximum, limit = self._rules.max_code_size, kernel.machine.context.block
        if not isinstance(limit, CodeLimit):
            return maximum
        if kernel.context.receiver == limit.exempt:
            return None
        return maximum if limit.longest is None else limit.longest

    # --- head block -------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write changed state and set it as the actor's head; exit 18 in a read-only call."""
        if self._saved_root is not None:
            return
        if self._syscalls.kernel.context.read_only:
            raise ActorExit(ExitCode.USR_FORBIDDEN, message="a contract's state changed in a read-only call")
        if self.bytecode is None:
            self.set_bytecode(b"")
        root = self._syscalls.put(self._state().encode(self._rules.transient_storage))
        self._syscalls.set_root(root)
        self._saved_root = root

    def reload(self) -> None:
        """Reload the state if the head differs from the last one seen."""
        root, tombstone = self._syscalls.root(), self.tombstone
        if root != self._saved_root:
            self._load(root)
            if not self._rules.tombstone_reloads:
                self.tombstone = tombstone

    def send(
        self,
        to: Address,
        method: MethodNumber,
        params: BlockId = NO_BLOCK,
        value: TokenAmount = TokenAmount(0),
        gas_limit: int | None = None,
        read_only: bool = False,
    ) -> SendResult:
        """Write the state, send, and reload what the send changed. Gas limit in gas; errors as the kernel's."""
        self.flush()
        result = self._syscalls.send(to, method, params, value, gas_limit, read_only)
        if result.exit_code == ExitCode.OK and not self._syscalls.kernel.context.read_only:
            self.reload()
        return result

    def _read(self, root: Cid) -> EvmState:
        try:
            if not root.startswith(CBOR_CID_PREFIX) and codec_of(root) not in (CBOR, DAG_CBOR):
                raise CodecError("neither CBOR nor DAG-CBOR")
            return EvmState.decode(self._syscalls.open(root), self._rules.transient_storage)
        except (CodecError, SyscallError) as error:
            raise ActorExit(ExitCode.USR_SERIALIZATION, message=f"the contract's state is invalid: {error}") from None

    def _load(self, root: Cid) -> bool:
        """Take over the state of a head block; return False, without it, if the contract is dead."""
        state = self._read(root)
        self._saved_root = root
        if state.tombstone is not None and self.is_dead(state):
            return False
        self.bytecode = state.bytecode
        self.bytecode_hash = state.bytecode_hash
        self.storage = Slots(self._syscalls, self._rules, state.storage)
        alive = state.transient is not None and state.transient.lifespan == self.lifespan
        transient_root = state.transient.root if state.transient and alive else None
        self.transient = Slots(self._syscalls, self._rules, transient_root)
        self.nonce = state.nonce
        self.tombstone = state.tombstone
        return True

    def _state(self) -> EvmState:
        assert self.bytecode is not None
        storage, transient_root = self.storage.flush(), self.transient.flush_unless_empty()
        transient = None if transient_root is None else TransientData(transient_root, self.lifespan)
        return EvmState(self.bytecode, self.bytecode_hash, storage, transient, self.nonce, self.tombstone)

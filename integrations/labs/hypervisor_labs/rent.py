"""The lab `rent`: actors pay for their state by byte and epoch; one without funds is archived until it is restored.

The rent actor holds deposits, collects rent at the end of each epoch, after reward and cron, archives actors and
resurrects them. It is implemented in Python; reads and writes of its own state are kernel operations with their
charges. Its state is `[terms, cursor, first, actors, queue]`, see `RentState`. The size of a state is the number of
bytes of its blocks, each block counted once, plus `BLOCK_BYTES` per block; proofs of a state list its blocks in CAR
order.

Terms, methods, payments, invariants and the format of a proof: docs/labs/rent.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import islice
from typing import Any, Final

from eth_abi.abi import decode as decode_abi
from eth_abi.abi import encode as encode_abi
from eth_abi.exceptions import DecodingError

from bridge.ethereum.addresses import to_filecoin
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.method_numbers import INVOKE_EVM
from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import ActorExit, Fatal, HypervisorError, InvalidInput, SyscallError
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import to_milligas
from hypervisor.kernel import Kernel
from hypervisor.kernel.blocks import Block
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import MachineState
from hypervisor.machine.registry import Outcome
from hypervisor.machine.rules import Lab
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import (
    ARCHIVED,
    ARCHIVED_BLOCK,
    ARCHIVED_CODE,
    ActorState,
    ArchivedActor,
    archived_actor,
)
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    METHOD_SEND,
    SYSTEM_ACTOR,
    ActorID,
    BlockId,
    Gas,
    MethodNumber,
    TokenAmount,
    decode_bigint,
    encode_bigint,
)
from hypervisor_labs.lab_runtimes import (
    MAX_OVERHEAD,
    KernelBlocks,
    LabRuntime,
    MethodsRuntime,
    check_params_size,
    named_code,
    put_cbor,
    read_calldata,
    read_fields,
)
from hypervisor_labs.rules import EpochEndBlocks
from localnet.preinstalled import CREATE2_DEPLOYER, MULTICALL3
from localnet.rules.parts import NetworkRules
from store.blockstore import Blockstore, StoreCorrupt, StoreError, get_object
from store.car.files import CarError, read_car, write_car
from store.cid import CBOR, RAW, Cid, cid_of, read_uvarint, show, write_uvarint
from store.codec import CodecError, encode, link, unlink
from store.links import blocks_below, links_of, state_codec, targets
from store.trees.amt import Amt
from store.trees.hamt import Hamt

BLOCK_BYTES: Final = 128
"""Bytes counted for each block in addition to its content, for its key and lookup."""
MAX_PROVEN: Final = 60 << 10
"""Maximum size of a state that can be proven. Its CAR fits into a message, since `BLOCK_BYTES` exceeds a section's
head.
"""
MAX_PROOF: Final = MAX_PROVEN + 256
"""Maximum size of a proof in bytes: a state of `MAX_PROVEN` bytes and the CAR's header."""


class ProofRefused(HypervisorError):
    """Raised for bytes that do not prove a state."""


@dataclass(frozen=True, slots=True)
class StateSize:
    """Size of a state for rent in bytes, its number of blocks, and whether the walk was complete."""

    size: int
    blocks: int
    whole: bool

    @property
    def is_provable(self) -> bool:
        return self.whole and self.size <= MAX_PROVEN


def size_of(store: Blockstore, root: Cid, limit: int) -> StateSize:
    """Return the size of the state below a root, reading at most `limit` blocks.

    Raises BlockNotFound, StoreCorrupt, CodecError.
    """
    size = count = 0
    for _, data in blocks_below(store, [root]):
        if count == limit:
            return StateSize(size, count, whole=False)
        size += len(data) + BLOCK_BYTES
        count += 1
    return StateSize(size, count, whole=True)


def proof_of(store: Blockstore, root: Cid) -> bytes:
    """Return the proof of a stored state. Raises BlockNotFound, StoreCorrupt, CodecError."""
    car = BytesIO()
    write_car(car, [root], blocks_below(store, [root]))
    return car.getvalue()


def proven_blocks(root: Cid, proof: bytes, pay: Callable[[int], None] = lambda _size: None) -> list[tuple[Cid, bytes]]:
    """Return the blocks of a state from its proof; `pay` is called with each size before the block is stored.

    A proof is a CAR with this root and the blocks below it, each once, in depth-first preorder. Raises ProofRefused for
    anything else: another root, missing, additional or repeated blocks, another order, a malformed or too large file.
    Errors of `pay` are passed on.
    """
    if len(proof) > MAX_PROOF:
        raise ProofRefused(f"a proof of {len(proof)} bytes: at most {MAX_PROOF}")
    try:
        return _blocks_in_order(root, proof, pay)
    except (CarError, StoreCorrupt, CodecError) as error:
        raise ProofRefused(str(error)) from None


def _blocks_in_order(root: Cid, proof: bytes, pay: Callable[[int], None]) -> list[tuple[Cid, bytes]]:
    reader = read_car(BytesIO(proof), MAX_PROOF)
    if reader.version != 1 or reader.roots != (root,):
        named = ", ".join(show(named) for named in reader.roots[:2]) or "none"
        raise ProofRefused(f"the proof has the root {named}, expected {show(root)}")
    found: dict[Cid, bytes] = {}
    todo = targets(root)[::-1]
    for cid, data in reader:
        while todo and todo[-1] in found:
            todo.pop()
        if not todo or cid != todo[-1]:
            expected = f"expected {show(todo[-1])}" if todo else "the state has no further one"
            raise ProofRefused(f"block {len(found) + 1} of the proof is {show(cid)}: {expected}")
        todo.pop()
        pay(len(data))
        found[cid] = data
        todo += reversed(links_of(data, state_codec(cid)))
    missing = next((cid for cid in reversed(todo) if cid not in found), None)
    if missing is not None:
        raise ProofRefused(f"the proof ends after {len(found)} blocks: expected {show(missing)}")
    return list(found.items())


RENT: Final = ActorID(21)
RUNTIME: Final = "rent"
CODE_BLOCK: Final = b"The rent actor of the lab rent, version 1. It is executed by the runtime `rent`, not as a module."
CODE: Final = cid_of(CODE_BLOCK, RAW)
"""Code CID: that of `CODE_BLOCK`, because every link of a state must lead to a block."""

PAY, OPT_OUT, RESURRECT, LOOK, COLLECT = map(MethodNumber, range(2, 7))

FIRST_USER: Final = 100
"""Lowest ID of a user's actor; lower ones belong to the network."""
CONTRACT: Final = "evm"
"""Name of the built-in actor that pays rent: contracts. Accounts, miners, multisigs and singletons are exempt."""
EXEMPT: Final = frozenset(map(to_filecoin, (MULTICALL3, CREATE2_DEPLOYER)))
"""Preinstalled contracts, which pay no rent because tools depend on them."""
PLACEHOLDER: Final = "placeholder"
"""Name of the built-in actor that may become a contract. It is exempt, and is checked again every period."""

EPOCH_ACTORS: Final = 200
"""Maximum number of actors processed at the end of an epoch, both new and due ones."""
EPOCH_BLOCKS: Final = 10_000
"""Maximum number of blocks visited at the end of an epoch; the rest is left to the next one."""
STATE_BLOCKS: Final = 10_000
"""Maximum number of blocks counted per state; a larger state pays for these only."""

MAX_DEPOSIT: Final = 1 << 100
_PROOF_GAS_PER_BYTE: Final = 10
"""Gas per byte for reading and hashing a proof; written blocks are charged in addition."""


@dataclass(frozen=True, slots=True)
class RentTerms:
    """Prices and periods of rent.

    `rates` are rows [first epoch, attoFIL per byte and epoch]. Rent is paid `period` epochs in advance, the first time
    at most `grace` epochs after the actor became subject to rent.
    """

    rates: tuple[tuple[int, int], ...] = ((0, 1_000_000),)
    period: int = 2_880
    grace: int = 86_400

    def rent(self, size: int, epoch: int) -> int:
        """Return the rent for a period that begins at `epoch`, in attoFIL."""
        rate = [rate for start, rate in self.rates if start <= epoch][-1]
        return size * rate * self.period

    def fields(self) -> list[Any]:
        return [[list(row) for row in self.rates], self.period, self.grace]

    @classmethod
    def of(cls, fields: Any) -> RentTerms:
        """Decode rent terms; the inverse of `fields`."""
        rates, period, grace = fields
        return cls(tuple((start, rate) for start, rate in rates), period, grace)


@dataclass(frozen=True, slots=True)
class Tenancy:
    """A tenancy: deposit in attoFIL, size at the last examination, and the epoch of the next one.

    `graced` is True before the first payment, until the grace period begins.
    """

    deposit: int
    size: int
    due: int
    graced: bool

    def fields(self) -> list[Any]:
        return [encode_bigint(self.deposit), self.size, self.due, self.graced]

    @classmethod
    def of(cls, fields: Any) -> Tenancy:
        """Decode a tenancy; the inverse of `fields`."""
        deposit, size, due, graced = fields
        return cls(decode_bigint(deposit), size, due, graced)


class RentState:
    """The rent actor's state.

    `cursor` is the next ID to be checked for rent, or None if actors opt in. `first` is the first epoch at which an
    actor is due, or None. `actors` is a HAMT of tenancies by ID. `queue` is an AMT by epoch of links to AMTs of the IDs
    that are due then; an ID whose tenancy names another epoch is skipped.
    """

    def __init__(self, store: Blockstore, head: Cid) -> None:
        fields = get_object(store, head)
        self._store = store
        self.terms, self.cursor, self.first = RentTerms.of(fields[0]), fields[1], fields[2]
        self.actors, self.queue = Hamt(store, unlink(fields[3])), Amt(store, unlink(fields[4]))

    @classmethod
    def empty(cls, store: Blockstore, terms: RentTerms, cursor: int | None) -> Cid:
        """Write a state without tenancies and return its CID."""
        fields = [terms.fields(), cursor, None, link(Hamt(store).flush()), link(Amt(store).flush())]
        return put_cbor(store, encode(fields))

    @staticmethod
    def first_due(store: Blockstore, head: Cid) -> tuple[int | None, int | None]:
        """Read `first` and `cursor` of a state, without its trees."""
        _, cursor, first, _, _ = get_object(store, head)
        return first, cursor

    def flush(self) -> Cid:
        trees = [link(self.actors.flush()), link(self.queue.flush())]
        return put_cbor(self._store, encode([self.terms.fields(), self.cursor, self.first, *trees]))

    def tenancy(self, actor: ActorID) -> Tenancy | None:
        """Return the tenancy of an actor, or None if it does not pay."""
        found = self.actors.get(write_uvarint(actor))
        return None if found is None else Tenancy.of(found)

    def tenancies(self) -> dict[ActorID, Tenancy]:
        return {ActorID(read_uvarint(key)[0]): Tenancy.of(fields) for key, fields in self.actors.items()}

    def keep(self, actor: ActorID, tenancy: Tenancy) -> None:
        self.actors.set(write_uvarint(actor), tenancy.fields())

    def plan(self, actor: ActorID, tenancy: Tenancy) -> None:
        """Write an actor's tenancy and queue its next examination."""
        self.keep(actor, tenancy)
        found = self.queue.get(tenancy.due)
        bucket = Amt(self._store, None if found is None else unlink(found))
        bucket.set(bucket.count, actor)  # never the bucket being processed: `due` is later
        self.queue.set(tenancy.due, link(bucket.flush()))
        self.first = tenancy.due if self.first is None else min(self.first, tenancy.due)

    def forget(self, actor: ActorID) -> None:
        """Remove an actor, which pays no more rent."""
        self.actors.delete(write_uvarint(actor))

    def take_due(self, epoch: int, limit: int) -> list[tuple[int, ActorID]]:
        """Remove the entries due up to an epoch from the queue, oldest first; return epochs and actors."""
        taken: list[tuple[int, ActorID]] = []
        for due, root in list(islice(self.queue.items(), limit)):
            if due > epoch or len(taken) == limit:
                break
            bucket = Amt(self._store, unlink(root))
            found = list(islice(bucket.items(), limit - len(taken)))
            taken += [(due, ActorID(actor)) for _, actor in found]
            if len(found) == bucket.count:
                self.queue.delete(due)
                continue
            for index, _ in found:
                bucket.delete(index)
            self.queue.set(due, link(bucket.flush()))
        return taken

    def update_first_due(self) -> None:
        """Update the first epoch at which an actor is due."""
        self.first = next((due for due, _ in self.queue.items()), None)


def pays_rent(manifest: Manifest, actor: ActorID, state: ActorState) -> bool:
    """Return True if the actor pays rent: a contract, or a user's native actor."""
    if actor < FIRST_USER or state.delegated_address in EXEMPT:
        return False
    return manifest.name_of(state.code) in (None, CONTRACT) and state.code != ARCHIVED_CODE


class ArchivedRuntime(LabRuntime):
    """Runtime of archived actors; every method has the same result."""

    what = "an archived actor"

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Return the exit code SYS_ACTOR_ARCHIVED."""
        actor = kernel.context.receiver
        state = kernel.calls.get_actor(actor)
        known = None if state is None else archived_actor(kernel.machine.store, state)
        return Outcome(ExitCode.SYS_ACTOR_ARCHIVED, message=f"f0{actor} is {known}: resurrect it with f0{RENT}")


class RentRuntime(MethodsRuntime):
    """Runs the rent actor."""

    what = "the rent actor"
    charge = "OnRentMethod"

    def run(self, kernel: Kernel, params: Block | None) -> tuple[int, bytes] | None:
        return _Invocation(kernel).run(params)


class _Invocation:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._calls = kernel.calls
        self._context = kernel.context
        self._store = kernel.machine.store
        self._epoch = kernel.machine.context.epoch
        self._blocks = KernelBlocks(kernel)

    def run(self, params: Block | None) -> tuple[int, bytes] | None:
        """Run the method and return its codec and bytes."""
        number = self._context.method
        if number == COLLECT:
            if self._context.caller != SYSTEM_ACTOR:
                raise ActorExit(ExitCode.USR_FORBIDDEN, message=f"method {number} is reserved for the system")
            self.collect()
            return None
        by_abi = number == INVOKE_EVM
        number = self._number_of_abi(params) if by_abi else number
        method = METHODS.get(number)
        if method is None:
            raise ActorExit(ExitCode.USR_UNHANDLED_MESSAGE, message=f"the rent actor has no method {number}")
        check_params_size(params, method.limit, f"method {number}")
        fields = self._fields_of_abi(method, params) if by_abi else self._fields_of_cbor(number, method, params)
        if self._context.read_only and not method.reads:
            raise ActorExit(ExitCode.USR_READ_ONLY, message=f"method {number} is not allowed in a read-only call")
        if self._context.value and not method.payable:
            raise ActorExit(ExitCode.USR_NOT_PAYABLE, message=f"method {number} does not accept value")
        values = method.function(self, *fields)
        if by_abi:
            return RAW, encode_abi(method.returns, values)
        if not method.returns:
            return None
        typed = zip(method.returns, values, strict=True)
        return CBOR, encode([encode_bigint(value) if kind == "uint256" else value for kind, value in typed])

    def _number_of_abi(self, params: Block | None) -> MethodNumber:
        check_params_size(params, max(method.limit for method in METHODS.values()), "calldata")
        try:
            selector = read_calldata(params)[:4]
        except ParamsError as error:
            raise ActorExit(ExitCode.USR_SERIALIZATION, message=f"the calldata cannot be read: {error}") from None
        for number, method in METHODS.items():
            if method.selector == selector:
                return number
        text = f"the rent actor has no function with the selector 0x{selector.hex()}"
        raise ActorExit(ExitCode.USR_UNHANDLED_MESSAGE, message=text)

    def _fields_of_abi(self, method: _Method, params: Block | None) -> list[bytes]:
        try:
            return list(decode_abi(("bytes",) * method.fields, read_calldata(params)[4:]))
        except (DecodingError, OverflowError, ValueError) as error:
            raise ActorExit(ExitCode.USR_SERIALIZATION, message=f"the calldata cannot be read: {error}") from None

    def _fields_of_cbor(self, number: MethodNumber, method: _Method, params: Block | None) -> list[bytes]:
        if method.fields == 0:
            return []
        try:
            found = read_fields(params, method.fields)
        except CodecError as error:
            text = f"the parameters of method {number} cannot be read: {error}"
            raise ActorExit(ExitCode.USR_SERIALIZATION, message=text) from None
        fields = [field for field in found if isinstance(field, bytes)]
        if len(fields) < len(found):
            text = f"the parameters of method {number} cannot be read: a field that is not bytes"
            raise ActorExit(ExitCode.USR_SERIALIZATION, message=text)
        return fields

    def pay(self, address: bytes) -> list[int]:
        """Add the call's value to an actor's deposit; return its next epoch. An actor may opt in itself."""
        actor, state = self._actor(address)
        if state.code == ARCHIVED_CODE:
            raise ActorExit(ExitCode.USR_ILLEGAL_STATE, message=f"f0{actor} is archived: resurrect it")
        ledger = self._load()
        tenancy = ledger.tenancy(actor)
        deposit = self._context.value + (0 if tenancy is None else tenancy.deposit)
        if deposit > MAX_DEPOSIT:
            text = f"the deposit would be {deposit} attoFIL, at most {MAX_DEPOSIT} are allowed"
            raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message=text)
        if tenancy is not None:
            tenancy = replace(tenancy, deposit=deposit)
            ledger.keep(actor, tenancy)
        else:
            if not pays_rent(self._kernel.machine.manifest, actor, state):
                text = f"f0{actor} is exempt from rent: only contracts and users' native actors pay"
                raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message=text)
            if ledger.cursor is None and actor != self._context.caller:
                raise ActorExit(ExitCode.USR_FORBIDDEN, message=f"f0{actor} pays no rent until it opts in itself")
            tenancy = Tenancy(deposit, 0, self._epoch, graced=True)
            ledger.plan(actor, tenancy)
        self._save(ledger)
        return [tenancy.due]

    def opt_out(self) -> list[int]:
        """End the caller's tenancy and refund its deposit."""
        ledger, caller = self._load(), self._context.caller
        tenancy = ledger.tenancy(caller)
        if ledger.cursor is not None:
            raise ActorExit(ExitCode.USR_FORBIDDEN, message="all actors pay rent here")
        if tenancy is None:
            raise ActorExit(ExitCode.USR_NOT_FOUND, message=f"f0{caller} pays no rent")
        ledger.forget(caller)
        self._save(ledger)
        self._pay(caller, tenancy.deposit)
        return []

    def look(self, address: bytes) -> list[int]:
        """Return size, deposit and next epoch of a tenancy, or size and epoch of archival of an archived actor."""
        actor, state = self._actor(address)
        gone = archived_actor(self._store, state)
        if gone is not None:
            return [gone.size, 0, 0, gone.since]
        tenancy = self._load().tenancy(actor)
        return [0, 0, 0, 0] if tenancy is None else [tenancy.size, tenancy.deposit, tenancy.due, 0]

    def resurrect(self, address: bytes, proof: bytes) -> list[int]:
        """Restore the state of an archived actor for a period's rent; return its next epoch."""
        # check
        actor, state = self._actor(address)
        gone = archived_actor(self._store, state)
        if gone is None:
            raise ActorExit(ExitCode.USR_ILLEGAL_STATE, message=f"f0{actor} is not archived")
        ledger, value = self._load(), self._context.value
        rent = ledger.terms.rent(gone.size, self._epoch)
        if not rent <= value <= MAX_DEPOSIT:
            text = f"the value is {value} attoFIL: expected f0{actor}'s rent for a period, {rent}, to {MAX_DEPOSIT}"
            raise ActorExit(ExitCode.USR_INSUFFICIENT_FUNDS, message=text)
        # charge and do
        for cid, data in self._verify_blocks(gone, proof):
            self._store.put(cid, data)
        manifest = self._kernel.machine.manifest
        code = manifest.code(gone.name) if gone.name else gone.code
        self._calls.set_actor(actor, replace(state, code=code, head=gone.root))
        tenancy = Tenancy(value - rent, gone.size, self._epoch + ledger.terms.period, graced=False)
        ledger.plan(actor, tenancy)
        self._save(ledger)
        self._pay(BURNT_FUNDS_ACTOR, rent)
        # return
        return [tenancy.due]

    def _verify_blocks(self, gone: ArchivedActor, proof: bytes) -> list[tuple[Cid, bytes]]:
        """Return the blocks of an archived state and charge for each one as a write."""
        gas, prices = self._kernel.gas, self._kernel.prices
        gas.charge("OnRentProof", to_milligas(_PROOF_GAS_PER_BYTE * len(proof)))
        try:
            if not gone.retained:
                return proven_blocks(gone.root, proof, lambda size: gas.charge("OnBlockLink", prices.block_link(size)))
            if proof:
                raise ProofRefused("the state's blocks are stored here: omit the proof")
        except ProofRefused as error:
            raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message=f"invalid proof of the state: {error}") from None
        return []

    def collect(self) -> None:
        """Collect due rent, and archive actors without funds, within the limits of an epoch."""
        ledger = self._load()
        remaining = self._enroll(ledger)
        burnt, walked = 0, 0
        due = ledger.take_due(self._epoch, remaining)
        for index, (epoch, actor) in enumerate(due):
            if walked >= EPOCH_BLOCKS:
                for later, other in due[index:]:
                    self._postpone(ledger, other, later)
                break
            tenancy = ledger.tenancy(actor)
            if tenancy is not None and tenancy.due == epoch:
                paid, blocks = self._settle(ledger, actor, tenancy)
                burnt, walked = burnt + paid, walked + blocks
        ledger.update_first_due()
        self._save(ledger)
        self._pay(BURNT_FUNDS_ACTOR, burnt)

    def _enroll(self, ledger: RentState) -> int:
        """Enroll new actors where all pay, and return the number of actors that may still be examined."""
        if ledger.cursor is None:
            return EPOCH_ACTORS
        tree, manifest = self._calls.tree, self._kernel.machine.manifest
        first: int = ledger.cursor
        end = min(tree.init_state().next_id, first + EPOCH_ACTORS // 2)
        for number in range(first, max(first, end)):
            actor = ActorID(number)
            state = tree.get_actor(actor)
            if state is None or ledger.tenancy(actor) is not None:
                continue
            if pays_rent(manifest, actor, state) or manifest.name_of(state.code) == PLACEHOLDER:
                ledger.plan(actor, Tenancy(0, 0, self._epoch, graced=True))
        ledger.cursor = max(first, end)
        return EPOCH_ACTORS - (max(first, end) - first)

    def _postpone(self, ledger: RentState, actor: ActorID, epoch: int) -> None:
        tenancy = ledger.tenancy(actor)
        if tenancy is not None and tenancy.due == epoch:
            ledger.plan(actor, replace(tenancy, due=self._epoch + 1))

    def _settle(self, ledger: RentState, actor: ActorID, tenancy: Tenancy) -> tuple[int, int]:
        """Collect a period's rent or archive; return the attoFIL to burn and the number of blocks visited."""
        tree, manifest, terms = self._calls.tree, self._kernel.machine.manifest, ledger.terms
        state = tree.get_actor(actor)
        if state is None:  # the actor has destroyed itself, so its deposit has no owner
            ledger.forget(actor)
            return tenancy.deposit, 0
        if manifest.name_of(state.code) == PLACEHOLDER:
            ledger.plan(actor, replace(tenancy, due=self._epoch + terms.period))
            return 0, 0
        if not pays_rent(manifest, actor, state):  # it has become an account
            ledger.forget(actor)
            self._pay(actor, tenancy.deposit)
            return 0, 0
        found = self._measure(actor, state)
        rent = terms.rent(found.size, self._epoch)
        if rent <= tenancy.deposit:
            due = self._epoch + terms.period
            ledger.plan(actor, Tenancy(tenancy.deposit - rent, found.size, due, graced=False))
            return rent, found.blocks
        if tenancy.graced and terms.grace:
            ledger.plan(actor, replace(tenancy, size=found.size, due=self._epoch + terms.grace, graced=False))
            return 0, found.blocks
        ledger.forget(actor)
        name = manifest.name_of(state.code) or ""
        gone = ArchivedActor(self._epoch, name, state.code, state.head, found.size, retained=not found.is_provable)
        head = put_cbor(self._store, gone.encode())
        self._store.put(ARCHIVED_CODE, ARCHIVED_BLOCK)  # flush after each one, since unreachable blocks are not stored
        self._calls.set_actor(actor, replace(state, code=ARCHIVED_CODE, head=head))
        self._pay(actor, tenancy.deposit)
        return 0, found.blocks

    def _measure(self, actor: ActorID, state: ActorState) -> StateSize:
        try:
            return size_of(self._store, state.head, STATE_BLOCKS)
        except (StoreError, CodecError) as error:
            raise Fatal(f"the state of f0{actor} cannot be read: {error}") from error

    def _actor(self, address: bytes) -> tuple[ActorID, ActorState]:
        if not address:
            actor: ActorID | None = self._context.caller
        else:
            try:
                actor = self._kernel.resolve_address(Address.from_bytes(address))
            except (InvalidInput, SyscallError) as error:
                raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message=f"the actor's address: {error}") from None
        state = None if actor is None else self._calls.get_actor(actor)
        if actor is None or state is None:
            raise ActorExit(ExitCode.USR_NOT_FOUND, message=f"there is no actor {address.hex() or actor}")
        return actor, state

    def _load(self) -> RentState:
        return RentState(self._blocks, self._kernel.root())

    def _save(self, ledger: RentState) -> None:
        self._kernel.set_root(ledger.flush())

    def _pay(self, actor: ActorID, amount: int) -> None:
        """Send funds to an existing actor. Raises ActorExit if they do not arrive, which reverts the call."""
        if not amount:
            return
        sent = self._kernel.send(Address.id(actor), METHOD_SEND, value=TokenAmount(amount))
        if sent.exit_code != ExitCode.OK:
            text = f"the transfer of {amount} attoFIL to f0{actor} failed with exit code {sent.exit_code}"
            raise ActorExit(ExitCode.USR_ILLEGAL_STATE, message=text)


@dataclass(frozen=True, slots=True)
class _Method:
    """A public method: its implementation over byte string parameters, and its Solidity signature.

    `returns` are the types of the return values. `limit` is the maximum size of the parameters in bytes.
    """

    function: Callable[..., list[int]]
    fields: int
    selector: bytes
    returns: tuple[str, ...] = ()
    limit: int = MAX_OVERHEAD
    reads: bool = False
    payable: bool = False


METHODS: Final[Mapping[MethodNumber, _Method]] = {
    PAY: _Method(_Invocation.pay, 1, bytes.fromhex("6eda12f8"), ("uint64",), payable=True),
    OPT_OUT: _Method(_Invocation.opt_out, 0, bytes.fromhex("d4eec5a6")),
    RESURRECT: _Method(
        _Invocation.resurrect, 2, bytes.fromhex("71776f23"), ("uint64",), MAX_PROOF + MAX_OVERHEAD, payable=True
    ),
    LOOK: _Method(
        _Invocation.look, 1, bytes.fromhex("4f96d667"), ("uint64", "uint256", "uint64", "uint64"), reads=True
    ),
}
"""Selectors of pay(bytes), optOut(), resurrect(bytes,bytes), look(bytes)."""


LAB: Final = Lab(
    what="rent for state by byte and epoch; an actor that does not pay is archived until its state is proven",
    network=f"{__name__}:with_rent",
    genesis=f"{__name__}:install_rent",
    machine=f"{__name__}:register_rent",
    option="who pays (`own`: actors that opt in, or `all`), rate, period and grace, such as all/1000000/2880/86400",
)
TERMS: Final = RentTerms()
"""Default terms."""
BOUNDS: Final = (("rate", 1, 10**18), ("period", 1, 10**6), ("grace", 0, 10**7))
"""Ranges of the options, which keep one period's rent of the largest measured state below 2^127 attoFIL."""
_KNOWN: Final = named_code(CODE, "rent")
_SYSTEM_GAS: Final = Gas(1 << 40)
"""Gas limit of the rent actor's work at the end of an epoch. The sender of no message pays for it."""


def with_rent(rules: NetworkRules, option: str) -> NetworkRules:
    """Return rules whose blocks collect rent. Raises InvalidInput for an unknown option."""
    terms_of(option)
    return replace(rules, blocks=EpochEndBlocks(rules.blocks, collect), code=(*rules.code, _KNOWN))


def install_rent(machine: MachineState, option: str) -> None:
    """Add a rent actor without tenancies to a state, with the terms of an option."""
    for_all, terms = terms_of(option)
    machine.store.put(CODE, CODE_BLOCK)
    head = RentState.empty(machine.store, terms, FIRST_USER if for_all else None)
    machine.state_tree.set_actor(RENT, ActorState(CODE, head))


def register_rent(machine: MachineState) -> None:
    """Register the runtimes of the rent actor and of archived actors with a machine."""
    machine.registry.override(CODE, RUNTIME, RentRuntime)
    machine.registry.override(ARCHIVED_CODE, ARCHIVED, ArchivedRuntime)


def terms_of(option: str) -> tuple[bool, RentTerms]:
    """Return whether all actors pay, and the terms, from an option such as `all/1000000/2880/86400`.

    The last parts may be omitted.
    """
    payer, *parts = (option or "own").split("/")
    expected = f"rent={option}: expected own or all, then rate, period and grace, such as rent=all/1000000/2880/86400"
    if payer not in ("own", "all") or len(parts) > len(BOUNDS):
        raise InvalidInput(expected)
    numbers = [TERMS.rates[0][1], TERMS.period, TERMS.grace]
    for index, (word, (name, minimum, maximum)) in enumerate(zip(parts, BOUNDS, strict=False)):
        if not (word.isascii() and word.isdigit()) or len(word) > 20:
            raise InvalidInput(expected)
        numbers[index] = int(word)
        if not minimum <= int(word) <= maximum:
            raise InvalidInput(f"rent={option}: a {name} of {word}: expected {minimum} to {maximum}")
    rate, period, grace = numbers
    return payer == "all", RentTerms(((0, rate),), period, grace)


def collect(machine: Hypervisor) -> None:
    """Run the rent actor's work for an epoch, if the actor exists. Raises Fatal if this fails."""
    if not _is_due(machine):
        return
    message = Message(
        Address.id(RENT), Address.id(SYSTEM_ACTOR), nonce=machine.context.epoch, method=COLLECT, gas_limit=_SYSTEM_GAS
    )
    result = machine.apply_implicit(message)
    if result.exit_code != ExitCode.OK:
        raise result.fatal or Fatal(f"the rent actor exited with {result.exit_code}: {result.message}")


def _is_due(machine: Hypervisor) -> bool:
    """Return True if an actor is due or new, without executing a message."""
    rent = machine.state_tree.get_actor(RENT)
    if rent is None:
        return False
    first, cursor = RentState.first_due(machine.store, rent.head)
    if first is not None and first <= machine.context.epoch:
        return True
    return cursor is not None and bool(cursor < machine.state_tree.init_state().next_id)

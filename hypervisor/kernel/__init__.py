"""The kernel: all operations available to an actor on any runtime. A kernel has the lifetime of one invocation.

Each operation implements its checks and named charges here; a WASM syscall only marshals its arguments, and EVM opcodes
use the same operations. The parts correspond to the syscall modules:

    kernel           calls, actors, addresses    kernel.random    randomness
    kernel.ipld      blocks and links            kernel.network   the chain
    kernel.events    events                      kernel.proofs    storage proofs and consensus faults
    kernel.crypto    hashes and signatures

Source: ref-fvm kernel/default.rs. Read `ipld`, `calls` and `blocks` first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hypervisor.context import InvocationContext
from hypervisor.errors import ActorFatal, Fatal, OutOfGas, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.gas import GasTracker, to_milligas
from hypervisor.kernel.call import Call, CallResult, MemoryBudget
from hypervisor.kernel.calls import Calls
from hypervisor.kernel.chain import NetworkOps, RandomnessOps
from hypervisor.kernel.crypto import CryptoOps
from hypervisor.kernel.events import EventOps
from hypervisor.kernel.ipld import IpldBlockOps
from hypervisor.messages.address import Address
from hypervisor.prices import PriceList
from hypervisor.state.state_tree import ActorState
from hypervisor.state.undo_map import Journal
from hypervisor.tracing import MAX_CHARACTERS, DebugLog, KernelSend, Tracer
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    INIT_ACTOR,
    METHOD_UPGRADE,
    NO_BLOCK,
    ActorID,
    BlockId,
    MethodNumber,
    TokenAmount,
)
from store.blockstore import BlockNotFound
from store.cid import Cid, show
from store.codec import encode

if TYPE_CHECKING:
    from hypervisor.kernel.proofs import ProofOps


@dataclass(slots=True, unsafe_hash=True)
class SendResult:
    """Result of a send: exit code, and handle, codec and size of the returned block (0, 0, 0 if none)."""

    exit_code: Final[int]
    block_id: Final[BlockId] = NO_BLOCK
    codec: Final[int] = 0
    size: Final[int] = 0
    message: Final[str] = ""


class Kernel:
    """The interface between one invocation and the machine."""

    __slots__ = (
        "calls",
        "context",
        "gas",
        "ipld",
        "journal",
        "machine",
        "memory",
        "prices",
        "tracer",
    )

    def __init__(self, calls: Calls, context: InvocationContext) -> None:
        self.calls = calls
        self.context = context
        self.machine = calls.machine
        self.prices: PriceList = calls.prices
        self.gas: GasTracker = calls.gas
        self.journal: Journal = calls.journal
        self.memory: MemoryBudget = calls.memory
        self.tracer: Tracer | None = calls.tracer
        self.ipld = IpldBlockOps(calls)

    # Few invocations use these, so they are created on use.

    @property
    def crypto(self) -> CryptoOps:
        """Hashes and signatures."""
        return CryptoOps(self.calls)

    @property
    def events(self) -> EventOps:
        """Events of the actor."""
        return EventOps(self.calls, self.context)

    @property
    def network(self) -> NetworkOps:
        """Tipsets and supply of the chain."""
        return NetworkOps(self.calls)

    @property
    def proofs(self) -> ProofOps:
        """Storage proofs and consensus faults."""
        from hypervisor.kernel.proofs import ProofOps  # loaded by the first proof

        return ProofOps(self.calls)

    @property
    def random(self) -> RandomnessOps:
        """Randomness of the chain."""
        return RandomnessOps(self.calls)

    def send(
        self,
        to: Address,
        method: MethodNumber,
        params: BlockId = NO_BLOCK,
        value: TokenAmount = TokenAmount(0),
        gas_limit: int | None = None,
        read_only: bool = False,
    ) -> SendResult:
        """Call another actor. `value` is in attoFIL, `gas_limit` in gas (None: all remaining gas; 0 is a real limit).

        Read-only mode is inherited by nested calls. Errors: READ_ONLY (value in a read-only call), INVALID_HANDLE,
        LIMIT_EXCEEDED (the block registry is full), and those of the call itself: NOT_FOUND, INSUFFICIENT_FUNDS,
        LIMIT_EXCEEDED (depth), ILLEGAL_ARGUMENT. OutOfGas and Fatal propagate. Source: ref-fvm kernel/default.rs
        `send`.
        """
        # check
        read_only = read_only or self.context.read_only
        if read_only and value != 0:
            raise SyscallError(ErrorNumber.READ_ONLY, "a read-only call cannot carry value")
        block = self.ipld.find(params)
        self.ipld.check_capacity()
        # do
        if self.tracer is not None:
            self.tracer.event(KernelSend(self.context.receiver, to))
        limit = None if gas_limit is None else to_milligas(gas_limit)
        call = Call(self.context.receiver, to, method, block, value, limit, read_only)
        result = self.calls.send(call)
        # return
        return self._register_result(result)

    def upgrade(self, code: Cid, params: BlockId = NO_BLOCK) -> SendResult:
        """Replace this actor's code and run the new code's `upgrade`; the delegated address is removed.

        If it exits with 0, this invocation ends too; otherwise everything is rolled back. Errors: READ_ONLY, FORBIDDEN
        (an outer call of the actor is active), INVALID_HANDLE, LIMIT_EXCEEDED (block registry, depth),
        ILLEGAL_OPERATION (the actor is deleted), NOT_FOUND. OutOfGas and Fatal propagate.
        Source: ref-fvm kernel/default.rs `upgrade_actor`, feature upgrade-actor.
        """
        # check
        context = self.context
        if context.read_only:
            raise SyscallError(ErrorNumber.READ_ONLY, "a read-only call cannot upgrade its actor")
        if _has_outer_call(self.calls.call_stack or [], context.receiver):
            raise SyscallError(ErrorNumber.FORBIDDEN, f"an outer call of f0{context.receiver} is still active")
        block = self.ipld.find(params)
        self.ipld.check_capacity()
        # charge and do
        receiver = context.receiver
        call = Call(context.caller, Address.id(receiver), METHOD_UPGRADE, block)
        result = self.calls.upgrade(call, receiver, code)
        # return
        return self._register_result(result)

    def _register_result(self, result: CallResult) -> SendResult:
        if result.block is None:
            return SendResult(result.exit_code, message=result.message)
        handle = self.ipld.accept(result.block)
        return SendResult(result.exit_code, handle, result.block.codec, len(result.block.data), result.message)

    # --- the actor's own state (FIP-0073) ----------------------------------------------------------------------

    def root(self) -> Cid:
        """Return the CID of the actor's state, which becomes reachable. Errors: ILLEGAL_OPERATION if deleted."""
        # charge
        self.calls.gas.charge("OnActorGetRoot", self.calls.prices.link_tracked)
        # do
        actor = self.calls.get_actor(self.context.receiver)
        if actor is None:
            raise _deleted()
        head = actor.head
        self.ipld.reachable.add(head)
        # return
        return head

    def set_root(self, cid: Cid) -> None:
        """Set the actor's state to a reachable CID. Errors: READ_ONLY, NOT_FOUND, ILLEGAL_OPERATION."""
        # check
        if self.context.read_only:
            self._refuse_read_only("set its state root")
        # charge
        self.calls.gas.charge("OnActorSetRoot", self.calls.prices.link_checked)
        # do
        if not self.ipld.is_reachable(cid):
            raise SyscallError(ErrorNumber.NOT_FOUND, f"block {show(cid)} is not reachable from this actor's state")
        actor = self.calls.get_actor(self.context.receiver)
        if actor is None:
            raise _deleted()
        self.calls.set_actor(self.context.receiver, actor.with_head(cid))

    def current_balance(self) -> TokenAmount:
        """Return the actor's balance in attoFIL, 0 if it is deleted."""
        actor = self.calls.get_actor(self.context.receiver)
        return TokenAmount(0) if actor is None else actor.balance

    def self_destruct(self, burn: bool) -> None:
        """Delete the actor and burn its balance.

        Errors: READ_ONLY; ILLEGAL_OPERATION if the balance is not zero and `burn` is not set.
        """
        # check
        self._refuse_read_only("delete itself")
        actor = self.calls.get_actor(self.context.receiver)
        if actor is None:
            return
        if actor.balance != 0 and not burn:
            raise SyscallError(ErrorNumber.ILLEGAL_OPERATION, f"the actor still holds {actor.balance} attoFIL")
        # do
        if actor.balance != 0:
            try:
                self.calls.transfer(self.context.receiver, BURNT_FUNDS_ACTOR, actor.balance)
            except (SyscallError, OutOfGas) as error:  # network rule: any failure is fatal
                raise ActorFatal(f"burning the balance of f0{self.context.receiver}: {error}") from error
        self.calls.delete_actor(self.context.receiver)

    def self_destruct_to(self, beneficiary: Address) -> None:
        """Delete the actor and transfer its balance to a beneficiary (machine version 3).

        Errors: READ_ONLY; NOT_FOUND for an unknown beneficiary; FORBIDDEN if it is the actor itself.
        """
        # check
        self._refuse_read_only("delete itself")
        actor = self.calls.get_actor(self.context.receiver)
        if actor is None:
            return
        # do
        if actor.balance != 0:
            beneficiary_id = self.calls.tree.lookup_id(beneficiary)
            if beneficiary_id is None:
                raise SyscallError(ErrorNumber.NOT_FOUND, f"beneficiary {beneficiary} does not exist")
            if beneficiary_id == self.context.receiver:
                raise SyscallError(ErrorNumber.FORBIDDEN, "an actor cannot be its own beneficiary")
            self.calls.transfer(self.context.receiver, beneficiary_id, actor.balance)
        self.calls.delete_actor(self.context.receiver)

    def _refuse_read_only(self, what: str) -> None:
        if self.context.read_only:
            raise SyscallError(ErrorNumber.READ_ONLY, f"an actor cannot {what} in a read-only call")

    # --- other actors, and their code -------------------------------------------------------------------------

    def actor(self, actor: ActorID) -> ActorState:
        """Return the state of an actor, with its code, balance and f4 address. Errors: NOT_FOUND."""
        state = self.calls.get_actor(actor)
        if state is None:
            raise SyscallError(ErrorNumber.NOT_FOUND, f"actor f0{actor} does not exist")
        return state

    def resolve_address(self, address: Address) -> ActorID:
        """Return the actor ID of an address. For an ID address this is its ID, even if no such actor exists.

        Errors: NOT_FOUND.
        """
        actor = self.calls.tree.lookup_id(address)
        if actor is None:
            raise SyscallError(ErrorNumber.NOT_FOUND, f"no actor has the address {address}")
        return actor

    def get_code_cid_for_type(self, type_number: int) -> Cid:
        """Return the code CID at a position of the manifest. Errors: ILLEGAL_ARGUMENT."""
        code = self.calls.machine.manifest.code_of_type(type_number)
        if code is None:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"no built-in actor has the type number {type_number}")
        return code

    def next_actor_address(self) -> Address:
        """Return the f2 address that the next created actor will get, without side effects.

        Rule: blake2b-160 over the CBOR byte string of the origin's address, the message's nonce and the number of
        actors created so far in this message, both as big-endian 64-bit numbers.
        """
        context = self.context
        return Address.actor(
            encode(context.origin_address.to_bytes())
            + context.nonce.to_bytes(8, "big")
            + self.calls.actors_created.to_bytes(8, "big")
        )

    def create_actor(self, actor: ActorID, code: Cid, delegated: Address | None) -> None:
        """Create an actor with an ID; init actor only. Errors: FORBIDDEN, READ_ONLY."""
        # check
        if self.context.receiver != INIT_ACTOR:
            raise SyscallError(ErrorNumber.FORBIDDEN, "only the init actor creates actors")
        if self.context.read_only:
            raise SyscallError(ErrorNumber.READ_ONLY, f"a read-only call cannot create f0{actor} with {show(code)}")
        # charge and do
        self.calls.create_actor(actor, code, delegated)

    def install_actor(self, code: Cid) -> None:
        """Validate and compile a module, so that actors can be created with it. Errors: ILLEGAL_ARGUMENT.

        Every actor may call this; the init actor decides which code an actor is created with. Source: ref-fvm
        kernel/default.rs `install_actor`, feature m2-native.
        """
        # do
        self.calls.install(code)
        # charge
        self.calls.gas.charge("OnInstallActor", 0)

    @property
    def debug_enabled(self) -> bool:
        """True if actors should log. This changes their gas, so it is an option of the machine, off by default."""
        return self.machine.actor_debugging

    def load_code(self, code: Cid) -> bytes:
        """Return the module of a code CID, without charge: for runtimes, not for guests. Fatal if it is missing."""
        try:
            return self.machine.store.get(code)
        except BlockNotFound as error:
            raise Fatal(f"the code of f0{self.context.receiver} is missing: {error}") from error

    def debug_log(self, text: str) -> None:
        """Log a message of the actor: to the tracer if there is one, else to Python's log (`tracing.LOGGER`)."""
        if len(text) > MAX_CHARACTERS:
            text = f"{text[:MAX_CHARACTERS]}... ({len(text):,} characters)"
        if self.tracer is not None:
            self.tracer.event(DebugLog(self.context.receiver, text))
        elif self.machine.actor_debugging:
            self.machine.log_actor(self.context.receiver, text)


def _has_outer_call(stack: list[tuple[ActorID, bool]], actor: ActorID) -> bool:
    """Return True if an actor is active in an outer call. Its own upgrades do not count."""
    for index, frame in enumerate(stack):
        if frame == (actor, False):
            return any(inner != (actor, True) for inner in stack[index + 1 :])
    return False


def _deleted() -> SyscallError:
    return SyscallError(ErrorNumber.ILLEGAL_OPERATION, "the actor was deleted")

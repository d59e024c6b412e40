"""The kernel: all operations available to an actor on any runtime. A kernel has the lifetime of one invocation.

Each operation implements its checks and named charges here; a WASM syscall only marshals its arguments, and EVM opcodes
use the same operations. The parts correspond to the syscall modules:

    kernel.ipld      blocks and links            kernel.events    events
    kernel.self_     the actor's own state       kernel.random    randomness
    kernel.actors    other actors, addresses     kernel.network   the chain
    kernel.crypto    hashes and signatures       kernel.proofs    storage proofs and consensus faults
    kernel.send      calls

Read `ipld`, `calls` and `blocks` first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hypervisor.context import InvocationContext
from hypervisor.errors import Fatal, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.gas import GasTracker, to_milligas
from hypervisor.kernel.actor_log import truncate
from hypervisor.kernel.actors import ActorOps, SelfOps
from hypervisor.kernel.call import Call, CallResult, MemoryBudget
from hypervisor.kernel.calls import Calls
from hypervisor.kernel.chain import NetworkOps, RandomnessOps
from hypervisor.kernel.crypto import CryptoOps
from hypervisor.kernel.events import EventOps
from hypervisor.kernel.ipld import IpldBlockOps
from hypervisor.messages.address import Address
from hypervisor.prices import PriceList
from hypervisor.state.undo_map import Journal
from hypervisor.tracing import DebugLog, KernelSend, Tracer
from hypervisor.types import METHOD_UPGRADE, NO_BLOCK, ActorID, BlockId, MethodNumber, TokenAmount
from store.blockstore import BlockNotFound
from store.cid import Cid

if TYPE_CHECKING:
    from hypervisor.kernel.proofs import ProofOps


@dataclass(init=False, slots=True, unsafe_hash=True)
class SendResult:
    """Result of a send: exit code, and handle, codec and size of the returned block (0, 0, 0 if none)."""

    exit_code: Final[int]
    block_id: Final[BlockId]
    codec: Final[int]
    size: Final[int]
    message: Final[str]

    def __init__(
        self, exit_code: int, block_id: BlockId = NO_BLOCK, codec: int = 0, size: int = 0, message: str = ""
    ) -> None:
        self.exit_code = exit_code
        self.block_id = block_id
        self.codec = codec
        self.size = size
        self.message = message


class Kernel:
    """The interface between one invocation and the machine."""

    __slots__ = (
        "actors",
        "calls",
        "context",
        "gas",
        "ipld",
        "journal",
        "machine",
        "memory",
        "prices",
        "self_",
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
        self.self_ = SelfOps(calls, context, self.ipld)
        self.actors = ActorOps(calls, context)

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
        """Log a message of the actor: to the tracer if there is one, else to Python's log (`actor_log`)."""
        if self.tracer is not None:
            self.tracer.event(DebugLog(self.context.receiver, truncate(text)))
        elif self.machine.actor_debugging:
            self.machine.log_actor(self.context.receiver, truncate(text))


def _has_outer_call(stack: list[tuple[ActorID, bool]], actor: ActorID) -> bool:
    """Return True if an actor is active in an outer call. Its own upgrades do not count."""
    for index, frame in enumerate(stack):
        if frame == (actor, False):
            return any(inner != (actor, True) for inner in stack[index + 1 :])
    return False

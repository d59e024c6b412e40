"""Operations on actors: other actors, and the calling actor's own state.

Operations on other actors: addresses, code, balances, creation. Source: ref-fvm kernel/default.rs.

The actor's own state root and balance, and self-destruct. Source: ref-fvm kernel/default.rs; FIP-0073.
"""

from hypervisor.context import InvocationContext
from hypervisor.errors import Fatal, OutOfGas, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel.calls import Calls
from hypervisor.kernel.ipld import IpldBlockOps
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.types import BURNT_FUNDS_ACTOR, INIT_ACTOR, ActorID, TokenAmount
from store.cid import Cid, show
from store.codec import encode


class ActorOps:
    """Operations of an invocation on other actors."""

    __slots__ = ("_calls", "_context")

    def __init__(self, calls: Calls, context: InvocationContext) -> None:
        self._calls = calls
        self._context = context

    def resolve_address(self, address: Address) -> ActorID:
        """Return the actor ID of an address. For an ID address this is its ID, even if no such actor exists.

        Errors: NOT_FOUND.
        """
        actor = self._calls.tree.lookup_id(address)
        if actor is None:
            raise SyscallError(ErrorNumber.NOT_FOUND, f"no actor has the address {address}")
        return actor

    def lookup_delegated_address(self, actor: ActorID) -> Address | None:
        """Return the actor's f4 address, or None. Errors: NOT_FOUND."""
        return self._existing(actor).delegated_address

    def get_actor_code_cid(self, actor: ActorID) -> Cid:
        """Return the actor's code CID. Errors: NOT_FOUND."""
        return self._existing(actor).code

    def get_code_cid_for_type(self, type_number: int) -> Cid:
        """Return the code CID at a position of the manifest. Errors: ILLEGAL_ARGUMENT."""
        code = self._calls.machine.manifest.code_of_type(type_number)
        if code is None:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"no built-in actor has the type number {type_number}")
        return code

    def next_actor_address(self) -> Address:
        """Return the f2 address that the next created actor will get, without side effects.

        Rule: blake2b-160 over the CBOR byte string of the origin's address, the message's nonce and the number of
        actors created so far in this message, both as big-endian 64-bit numbers.
        """
        context = self._context
        return Address.actor(
            encode(context.origin_address.to_bytes())
            + context.nonce.to_bytes(8, "big")
            + self._calls.actors_created.to_bytes(8, "big")
        )

    def create_actor(self, actor: ActorID, code: Cid, delegated: Address | None) -> None:
        """Create an actor with an ID; init actor only. Errors: FORBIDDEN, READ_ONLY."""
        # check
        if self._context.receiver != INIT_ACTOR:
            raise SyscallError(ErrorNumber.FORBIDDEN, "only the init actor creates actors")
        if self._context.read_only:
            raise SyscallError(ErrorNumber.READ_ONLY, f"a read-only call cannot create f0{actor} with {show(code)}")
        # charge and do
        self._calls.create_actor(actor, code, delegated)

    def install_actor(self, code: Cid) -> None:
        """Validate and compile a module, so that actors can be created with it. Errors: ILLEGAL_ARGUMENT.

        Every actor may call this; the init actor decides which code an actor is created with. Source: ref-fvm
        kernel/default.rs `install_actor`, feature m2-native.
        """
        # do
        self._calls.install(code)
        # charge
        self._calls.gas.charge("OnInstallActor", 0)

    def balance_of(self, actor: ActorID) -> TokenAmount:
        """Return the actor's balance in attoFIL. Errors: NOT_FOUND."""
        return self._existing(actor).balance

    def _existing(self, actor: ActorID) -> ActorState:
        state = self._calls.get_actor(actor)
        if state is None:
            raise SyscallError(ErrorNumber.NOT_FOUND, f"actor f0{actor} does not exist")
        return state


class SelfOps:
    """Operations of an invocation on its own actor."""

    __slots__ = ("_calls", "_context", "_ipld")

    def __init__(self, calls: Calls, context: InvocationContext, ipld: IpldBlockOps) -> None:
        self._calls = calls
        self._context = context
        self._ipld = ipld

    def root(self) -> Cid:
        """Return the CID of the actor's state, which becomes reachable. Errors: ILLEGAL_OPERATION if deleted."""
        # charge
        self._calls.gas.charge("OnActorGetRoot", self._calls.prices.link_tracked)
        # do
        actor = self._calls.get_actor(self._context.receiver)
        if actor is None:
            raise _deleted()
        head = actor.head
        self._ipld.reachable.add(head)
        # return
        return head

    def set_root(self, cid: Cid) -> None:
        """Set the actor's state to a reachable CID. Errors: READ_ONLY, NOT_FOUND, ILLEGAL_OPERATION."""
        # check
        if self._context.read_only:
            self._refuse_read_only("set its state root")
        # charge
        self._calls.gas.charge("OnActorSetRoot", self._calls.prices.link_checked)
        # do
        if not self._ipld.is_reachable(cid):
            raise SyscallError(ErrorNumber.NOT_FOUND, f"block {show(cid)} is not reachable from this actor's state")
        actor = self._calls.get_actor(self._context.receiver)
        if actor is None:
            raise _deleted()
        self._calls.set_actor(self._context.receiver, actor.with_head(cid))

    def current_balance(self) -> TokenAmount:
        """Return the actor's balance in attoFIL, 0 if it is deleted."""
        actor = self._calls.get_actor(self._context.receiver)
        return TokenAmount(0) if actor is None else actor.balance

    def self_destruct(self, burn: bool) -> None:
        """Delete the actor and burn its balance.

        Errors: READ_ONLY; ILLEGAL_OPERATION if the balance is not zero and `burn` is not set.
        """
        # check
        self._refuse_read_only("delete itself")
        actor = self._calls.get_actor(self._context.receiver)
        if actor is None:
            return
        if actor.balance != 0 and not burn:
            raise SyscallError(ErrorNumber.ILLEGAL_OPERATION, f"the actor still holds {actor.balance} attoFIL")
        # do
        if actor.balance != 0:
            try:
                self._calls.transfer(self._context.receiver, BURNT_FUNDS_ACTOR, actor.balance)
            except (SyscallError, OutOfGas) as error:  # network rule: any failure is fatal
                raise Fatal(f"burning the balance of f0{self._context.receiver}: {error}") from error
        self._calls.delete_actor(self._context.receiver)

    def self_destruct_to(self, beneficiary: Address) -> None:
        """Delete the actor and transfer its balance to a beneficiary (machine version 3).

        Errors: READ_ONLY; NOT_FOUND for an unknown beneficiary; FORBIDDEN if it is the actor itself.
        """
        # check
        self._refuse_read_only("delete itself")
        actor = self._calls.get_actor(self._context.receiver)
        if actor is None:
            return
        # do
        if actor.balance != 0:
            beneficiary_id = self._calls.tree.lookup_id(beneficiary)
            if beneficiary_id is None:
                raise SyscallError(ErrorNumber.NOT_FOUND, f"beneficiary {beneficiary} does not exist")
            if beneficiary_id == self._context.receiver:
                raise SyscallError(ErrorNumber.FORBIDDEN, "an actor cannot be its own beneficiary")
            self._calls.transfer(self._context.receiver, beneficiary_id, actor.balance)
        self._calls.delete_actor(self._context.receiver)

    def _refuse_read_only(self, what: str) -> None:
        if self._context.read_only:
            raise SyscallError(ErrorNumber.READ_ONLY, f"an actor cannot {what} in a read-only call")


def _deleted() -> SyscallError:
    return SyscallError(ErrorNumber.ILLEGAL_OPERATION, "the actor was deleted")

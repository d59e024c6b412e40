"""Operations on other actors: addresses, code, balances, creation. Source: ref-fvm kernel/default.rs."""

from hypervisor.context import InvocationContext
from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel.calls import Calls
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.types import INIT_ACTOR, ActorID, TokenAmount
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

    def get_builtin_actor_type(self, code: Cid) -> int:
        """Return the position of a code CID in the manifest, from 1; 0 if it is not built-in."""
        return self._calls.machine.manifest.type_of(code)

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

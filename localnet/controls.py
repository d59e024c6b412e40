"""What a development network lets people do by hand: change the head's state without a transaction."""

from __future__ import annotations

from bridge.addresses import from_delegated
from hypervisor.address import Address, Protocol
from hypervisor.errors import AddressError, InvalidInput
from hypervisor.state_tree import ActorState
from hypervisor.types import TokenAmount
from localnet.chain import Chain
from localnet.genesis import LARGEST_BALANCE
from store.blockstore import put_object


def set_balance(chain: Chain, address: Address, amount: TokenAmount) -> None:
    """Give the actor behind an address another balance in attoFIL; an f1, f3 or f410 address becomes an account.

    Raises AddressError for an f0 or f2 address that nobody has, InvalidInput for an amount that actors cannot hold.
    """
    if not 0 <= amount <= LARGEST_BALANCE:
        raise InvalidInput(f"{amount} attoFIL cannot be a balance: expected 0 to 2^127 - 1")
    tree, manifest = chain.machine.state_tree, chain.machine.manifest
    actor = tree.lookup_id(address)
    state = None if actor is None else tree.get_actor(actor)
    if state is None or actor is None:
        if address.protocol in (Protocol.SECP256K1, Protocol.BLS):
            state = ActorState(manifest.code("account"), put_object(tree.store, [address.to_bytes()]))
        elif from_delegated(address) is not None:
            state = ActorState(manifest.code("placeholder"), delegated_address=address)
        else:
            raise AddressError(f"there is no actor {address}, and none can be made at such an address")
        actor = tree.register_address(address)
    tree.set_actor(actor, state.with_balance(amount))
    chain.keep_changes()

"""DataCap on a local network: who gets it, and allocations for pieces that nobody has.

The registry's root key (f080) is nobody's here, so the grant is made by hand on the head's state, as `set_balance` is;
allocations are the client's own messages. Rules: builtin-actors verifreg and datacap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bridge.method_numbers import method_number
from hypervisor.address import Address
from hypervisor.bigint import encode_bigint
from hypervisor.errors import InvalidInput
from hypervisor.genesis import VERIFIED_REGISTRY_ROOT
from hypervisor.message import Message
from hypervisor.types import DATACAP_ACTOR, VERIFIED_REGISTRY_ACTOR, MethodNumber
from localnet.accounts import BLS_ACCOUNT, Account
from localnet.chain import Chain
from localnet.onboarding import PROVING_PERIOD, Piece, unsealed_cid
from store.codec import decode, encode, link

if TYPE_CHECKING:
    from localnet.network import Network

DATACAP_PER_BYTE: Final = 10**18
"""Units of the token for each byte."""

_ADD_VERIFIER: Final = MethodNumber(2)
_ADD_VERIFIED_CLIENT: Final = MethodNumber(4)
_SHORTEST_TERM: Final = 180 * PROVING_PERIOD
_LONGEST_TERM: Final = 5 * 1_051_897
_PATIENCE: Final = 60 * PROVING_PERIOD
"""Epochs: how long a piece is to be stored at least and at most, and how long an allocation may wait for it."""

_REGISTRY: Final = Address.id(VERIFIED_REGISTRY_ACTOR)


def grant(chain: Chain, client: Address, size: int) -> None:
    """Make an account a verified client with DataCap for so many bytes more, at least 256, without a transaction.

    Raises InvalidInput where the registry refuses; nothing has changed then.
    """
    root, verifier = Address.id(VERIFIED_REGISTRY_ROOT), BLS_ACCOUNT
    amount = encode_bigint(size)
    before = chain.machine.snapshot()
    try:
        _implicit(chain, root, _ADD_VERIFIER, encode([verifier.to_bytes(), amount]))
        _implicit(chain, verifier, _ADD_VERIFIED_CLIENT, encode([client.to_bytes(), amount]))
    except InvalidInput:
        chain.machine.restore(before)
        raise
    chain.keep_changes()


def _implicit(chain: Chain, sender: Address, method: MethodNumber, params: bytes) -> None:
    result = chain.machine.apply_implicit(Message(_REGISTRY, sender, method=method, params=params))
    if result.exit_code:
        raise InvalidInput(f"the verified registry refuses with exit code {result.exit_code}: {result.message}")


def allocate(network: Network, client: Account, provider: int, sizes: Sequence[int]) -> list[Piece]:
    """Allocations of a client's DataCap for pieces of so many padded bytes that a provider is to store.

    The client gets the DataCap that they take. Raises TransactionFailed, InvalidInput.
    """
    grant(network.chain, client.native, sum(sizes))
    now = network.block_number
    actor = network.machine.state_tree.lookup_id(client.native)
    assert actor is not None, "a client that was granted DataCap exists"
    cids = [unsealed_cid(encode([int(actor), provider, now, place])) for place in range(len(sizes))]
    terms = [_SHORTEST_TERM, _LONGEST_TERM, now + _PATIENCE]
    requests = [[provider, link(cid), size, *terms] for cid, size in zip(cids, sizes, strict=True)]
    amount = encode_bigint(sum(sizes) * DATACAP_PER_BYTE)
    params = encode([_REGISTRY.to_bytes(), amount, encode([requests, []])])
    receipt = network.send_native(
        Address.id(DATACAP_ACTOR), method_number("Transfer"), params, sender=client, gas_limit=5_000_000_000
    )
    _, _, ids = decode(decode(receipt.return_data)[2])
    return [Piece(cid, size, int(actor), number) for cid, size, number in zip(cids, sizes, ids, strict=True)]

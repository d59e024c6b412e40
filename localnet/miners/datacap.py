"""DataCap on a local network: grants to clients, and allocations for fictitious pieces.

The registry's root key (f080) has no signers here, so a grant is written to the head's state, like `set_balance`.
Allocations are messages of the client. Source: builtin-actors verifreg and datacap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bridge.actors.binding import Call
from bridge.bindings import datacap, verifiedregistry
from hypervisor.bundles.genesis import VERIFIED_REGISTRY_ROOT
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import DATACAP_ACTOR, VERIFIED_REGISTRY_ACTOR, ActorID, ChainEpoch, whole_number
from localnet.accounts import BLS_ACCOUNT, Account
from localnet.chain.chain import Chain
from localnet.miners.network import MinerNetwork
from localnet.miners.onboarding import Piece, unsealed_cid
from localnet.miners.policy import DATACAP_PER_BYTE, PROVING_PERIOD
from store.codec import encode

_MIN_TERM: Final = 180 * PROVING_PERIOD
_MAX_TERM: Final = 5 * 1_051_897
"""Minimum and maximum number of epochs of storage."""
_MAX_WAIT: Final = 60 * PROVING_PERIOD
"""Number of epochs after which an unclaimed allocation expires."""

_REGISTRY: Final = Address.id(VERIFIED_REGISTRY_ACTOR)


def grant(chain: Chain, client: Address, size: int) -> None:
    """Grant an account DataCap for `size` more bytes (at least 256) without a transaction.

    Raises InvalidInput if the registry rejects the grant; then nothing changes.
    """
    grant_on(chain.machine, client, size)
    chain.keep_changes()


def grant_on(machine: Hypervisor, client: Address, size: int) -> None:
    """Grant DataCap on a machine's state only; also allowed while a message executes."""
    whole_number(size, "DataCap", None, unit="bytes")
    root, verifier = Address.id(VERIFIED_REGISTRY_ROOT), BLS_ACCOUNT
    mark = machine.state_tree.begin()
    try:
        _implicit(machine, root, verifiedregistry.add_verifier(verifier, size))
        _implicit(machine, verifier, verifiedregistry.add_verified_client(client, size))
    except BaseException:
        machine.state_tree.rollback(mark)
        raise
    machine.state_tree.commit()


def _implicit(machine: Hypervisor, sender: Address, call: Call[None]) -> None:
    result = machine.apply_implicit(Message(_REGISTRY, sender, method=call.method, params=call.params))
    if result.exit_code == ExitCode.USR_FORBIDDEN:  # DataCap is frozen; the callers' roles are sufficient
        raise InvalidInput(
            f"DataCap is frozen on this network of nv{machine.context.network.number}, where every new sector counts "
            "tenfold (FIP-0118): use a network at nv28 to grant DataCap"
        )
    if result.exit_code:
        raise InvalidInput(
            f"the verified registry rejected the grant with exit code {result.exit_code}: {result.message}"
        )


def allocate(network: MinerNetwork, client: Account, provider: int, sizes: Sequence[int]) -> list[Piece]:
    """Allocate a client's DataCap to a provider, for pieces of `sizes` padded bytes.

    The client is first granted the necessary DataCap. Raises TransactionFailed, InvalidInput.
    """
    grant(network.chain, client.native, sum(sizes))
    now = network.block_number
    actor = network.machine.state_tree.lookup_id(client.native)
    assert actor is not None, "a client that was granted DataCap exists"
    cids = [unsealed_cid(encode([int(actor), provider, now, index])) for index in range(len(sizes))]
    terms = (ChainEpoch(_MIN_TERM), ChainEpoch(_MAX_TERM), ChainEpoch(now + _MAX_WAIT))
    requests = tuple(
        verifiedregistry.AllocationRequest(ActorID(provider), cid, size, *terms)
        for cid, size in zip(cids, sizes, strict=True)
    )
    params = verifiedregistry.AllocationRequests(requests, ()).encode()
    transfer = datacap.transfer(_REGISTRY, sum(sizes) * DATACAP_PER_BYTE, params)
    response = network.invoke(Address.id(DATACAP_ACTOR), transfer, sender=client)
    ids = verifiedregistry.AllocationsResponse.decode(response.recipient_data).new_allocations
    return [Piece(cid, size, actor, number) for cid, size, number in zip(cids, sizes, ids, strict=True)]

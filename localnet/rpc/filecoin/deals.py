"""Filecoin methods about claims and allocations of verified data, verifiers, and deals of the storage market.

Values come from the states of the verified registry and the market. Shapes: lotus api/types.go, Forest `lotus_json`.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.types import MARKET_ACTOR, VERIFIED_REGISTRY_ACTOR, decode_bigint, encode_uleb128
from localnet.rpc.errors import LOTUS_ERROR, RpcError
from localnet.rpc.filecoin.state import actor_of, id_of, linked_json, machine_at, state_fields
from localnet.rpc.lotus_values import HEAD, TipsetKey, address_json, cid, filecoin_address, tipset, unsigned
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import NodeReader
from store.cid import Cid, read_uvarint
from store.codec import unlink
from store.trees.amt import MAX_INDEX, Amt
from store.trees.hamt import Hamt

_BALANCE_BITS = 6
"""Bit width of the market's tables of balances."""
_NO_STATE = {"SectorNumber": 0, "SectorStartEpoch": -1, "LastUpdatedEpoch": -1, "SlashEpoch": -1}
"""State of a deal that is not activated."""


def get_claims(node: NodeReader, provider: Address, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the claims of a storage provider by ID."""
    return _entries(node, provider, key, "claims", "Claim")


def get_claim(node: NodeReader, provider: Address, number: int, key: TipsetKey = HEAD) -> dict[str, Any] | None:
    """Return a claim of a storage provider; null if there is none."""
    return _entry(node, provider, number, key, "claims", "Claim")


def get_allocations(node: NodeReader, client: Address, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the allocations of a verified client by ID."""
    return _entries(node, client, key, "allocations", "Allocation")


def get_allocation(node: NodeReader, client: Address, number: int, key: TipsetKey = HEAD) -> dict[str, Any] | None:
    """Return an allocation of a verified client; null if there is none."""
    return _entry(node, client, number, key, "allocations", "Allocation")


def get_all_claims(node: NodeReader, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the claims of all storage providers by ID."""
    return _all_entries(node, key, "claims", "Claim")


def get_all_allocations(node: NodeReader, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the allocations of all verified clients by ID."""
    return _all_entries(node, key, "allocations", "Allocation")


def allocation_id_of_deal(node: NodeReader, deal: int, key: TipsetKey = HEAD) -> int:
    """Return the ID of the allocation for a deal that is not activated; 0 if there is none."""
    machine, state = _market(node, key)
    table = state.get("pending_deal_allocation_ids")  # none from network version 29 on
    found = None if table is None else Hamt(machine.store, unlink(table)).get(encode_uleb128(deal))
    return 0 if found is None else int(found)


def allocation_of_deal(node: NodeReader, deal: int, key: TipsetKey = HEAD) -> dict[str, Any] | None:
    """Return the allocation for a deal that is not activated; null if there is none."""
    number = allocation_id_of_deal(node, deal, key)
    if not number:
        return None
    client = Address.parse(storage_deal(node, deal, key)["Proposal"]["Client"])
    return get_allocation(node, client, number, key)


def verifier_status(node: NodeReader, verifier: Address, key: TipsetKey = HEAD) -> str | None:
    """Return the DataCap that a verifier may grant, in bytes; null if the address is no verifier."""
    machine = machine_at(node, key)
    number = id_of(machine, verifier)
    state = state_fields(machine, actor_of(machine, Address.id(VERIFIED_REGISTRY_ACTOR)))
    found = Hamt(machine.store, unlink(state["verifiers"])).get(Address.id(number).to_bytes())
    return None if found is None else str(decode_bigint(found))


def storage_deal(node: NodeReader, number: int, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the proposal and the state of a deal. Error 1 if there is none."""
    machine, state = _market(node, key)
    fields = Amt(machine.store, unlink(state["proposals"])).get(number) if number <= MAX_INDEX else None
    if fields is None:
        raise RpcError(LOTUS_ERROR, f"deal {number} not found: it is not yet published, or was removed at its end")
    return _deal(machine, fields, Amt(machine.store, unlink(state["states"])).get(number))


def market_deals(node: NodeReader, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the proposals and states of all deals in the market, by ID."""
    machine, state = _market(node, key)
    states = dict(Amt(machine.store, unlink(state["states"])).items())
    proposals = Amt(machine.store, unlink(state["proposals"])).items()
    return {str(number): _deal(machine, fields, states.get(number)) for number, fields in proposals}


def proposal_pending(node: NodeReader, proposal: Cid, key: TipsetKey = HEAD) -> bool:
    """Return true if the proposal of a deal with this CID was published and has not started yet."""
    machine, state = _market(node, key)
    return bytes(proposal) in Hamt(machine.store, unlink(state["pending_proposals"]))


def market_balance(node: NodeReader, owner: Address, key: TipsetKey = HEAD) -> dict[str, str]:
    """Return the escrow of an address for deals and its locked part, in attoFIL."""
    machine, state = _market(node, key)
    number = machine.state_tree.lookup_id(owner)
    if number is None:
        raise RpcError(LOTUS_ERROR, f"actor not found: {owner}")
    return _balance(_tables(machine, state), Address.id(number).to_bytes())


def market_participants(node: NodeReader, key: TipsetKey = HEAD) -> dict[str, dict[str, str]]:
    """Return the escrow and its locked part, in attoFIL, of each address with a balance in the market."""
    machine, state = _market(node, key)
    tables = _tables(machine, state)
    return {address_json(Address.from_bytes(owner)): _balance(tables, owner) for owner, _ in tables["Escrow"].items()}


# --- reading ----------------------------------------------------------------------------------------------------------


def _market(node: NodeReader, key: TipsetKey) -> tuple[Hypervisor, dict[str, Any]]:
    machine = machine_at(node, key)
    return machine, state_fields(machine, actor_of(machine, Address.id(MARKET_ACTOR)))


def _tables(machine: Hypervisor, state: dict[str, Any]) -> dict[str, Hamt]:
    roots = {"Escrow": state["escrow_table"], "Locked": state["locked_table"]}
    return {name: Hamt(machine.store, unlink(root), _BALANCE_BITS) for name, root in roots.items()}


def _balance(tables: dict[str, Hamt], owner: bytes) -> dict[str, str]:
    return {name: str(decode_bigint(table.get(owner) or b"")) for name, table in tables.items()}


def _deal(machine: Hypervisor, proposal: Any, active: Any) -> dict[str, Any]:
    """Return a deal from the items of the market's arrays; `active` is None before its activation."""
    state = {} if active is None else linked_json(machine, "storagemarket", "DealState", active)
    return {
        "Proposal": linked_json(machine, "storagemarket", "DealProposal", proposal),
        "State": {**_NO_STATE, **state},
    }


def _entries(node: NodeReader, owner: Address, key: TipsetKey, field: str, kind: str) -> dict[str, Any]:
    machine, table = _table(node, owner, key, field)
    return {} if table is None else _entries_json(machine, [table], kind)


def _all_entries(node: NodeReader, key: TipsetKey, field: str, kind: str) -> dict[str, Any]:
    machine, owners = _owners(node, key, field)
    return _entries_json(machine, (Hamt(machine.store, unlink(root)) for _, root in owners.items()), kind)


def _entries_json(machine: Hypervisor, tables: Iterable[Hamt], kind: str) -> dict[str, Any]:
    found = ((read_uvarint(entry)[0], fields) for table in tables for entry, fields in table.items())
    return {
        str(number): linked_json(machine, "verifiedregistry", kind, fields)
        for number, fields in sorted(found, key=itemgetter(0))
    }


def _entry(
    node: NodeReader, owner: Address, number: int, key: TipsetKey, field: str, kind: str
) -> dict[str, Any] | None:
    machine, table = _table(node, owner, key, field)
    fields = None if table is None else table.get(encode_uleb128(number))
    return None if fields is None else linked_json(machine, "verifiedregistry", kind, fields)


def _table(node: NodeReader, owner: Address, key: TipsetKey, field: str) -> tuple[Hypervisor, Hamt | None]:
    """Return the entries of an owner in a table of the registry; None if it has none."""
    machine, owners = _owners(node, key, field)
    root = owners.get(encode_uleb128(id_of(machine, owner)))
    return machine, None if root is None else Hamt(machine.store, unlink(root))


def _owners(node: NodeReader, key: TipsetKey, field: str) -> tuple[Hypervisor, Hamt]:
    """Return the owners of entries in a table of the registry, each with the root of its entries."""
    machine = machine_at(node, key)
    state = state_fields(machine, actor_of(machine, Address.id(VERIFIED_REGISTRY_ACTOR)))
    return machine, Hamt(machine.store, unlink(state[field]))


METHODS = (
    Method("Filecoin.StateGetClaims", (filecoin_address, optional(tipset)), get_claims, reads=True),
    Method("Filecoin.StateGetClaim", (filecoin_address, unsigned, optional(tipset)), get_claim, reads=True),
    Method("Filecoin.StateGetAllocations", (filecoin_address, optional(tipset)), get_allocations, reads=True),
    Method("Filecoin.StateGetAllocation", (filecoin_address, unsigned, optional(tipset)), get_allocation, reads=True),
    Method("Filecoin.StateGetAllClaims", (optional(tipset),), get_all_claims, reads=True),
    Method("Filecoin.StateGetAllAllocations", (optional(tipset),), get_all_allocations, reads=True),
    Method(
        "Filecoin.StateGetAllocationIdForPendingDeal", (unsigned, optional(tipset)), allocation_id_of_deal, reads=True
    ),
    Method("Filecoin.StateGetAllocationForPendingDeal", (unsigned, optional(tipset)), allocation_of_deal, reads=True),
    Method("Filecoin.StateVerifierStatus", (filecoin_address, optional(tipset)), verifier_status, reads=True),
    Method("Filecoin.StateMarketStorageDeal", (unsigned, optional(tipset)), storage_deal, reads=True),
    Method("Filecoin.StateMarketDeals", (optional(tipset),), market_deals, reads=True),
    Method("Filecoin.StateMarketProposalPending", (cid, optional(tipset)), proposal_pending, reads=True),
    Method("Filecoin.StateMarketBalance", (filecoin_address, optional(tipset)), market_balance, reads=True),
    Method("Filecoin.StateMarketParticipants", (optional(tipset),), market_participants, reads=True),
)

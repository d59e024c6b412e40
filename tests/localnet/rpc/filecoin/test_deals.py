"""Claims, allocations, verifiers and deals, compared with the actors' own methods and with what was sent to them."""

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.bindings import verifiedregistry
from hypervisor.types import MARKET_ACTOR
from localnet import Network, TransactionFailed
from localnet.miners.onboarding import unsealed_cid
from localnet.rpc.node import Node
from store.blockstore import get_object, put_object
from store.cid import DAG_CBOR, cid_of, show
from store.codec import encode, link, unlink
from store.trees.amt import Amt
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client, Failed
from tests.localnet.solstice import DEAL_EPOCHS, DEAL_START, REGISTRY, SIZE, Life

GET_DEAL_SECTOR = 2611213344
PROPOSALS, STATES = 0, 1
"""Places of the deals' proposals and states in the market's state."""


@pytest.fixture(scope="module")
def life() -> Iterator[Life]:
    """Return a network of version 28 with claims, allocations and a deal."""
    with Network(network=28, clock=Clock()) as network:
        yield Life(network)


@pytest.fixture
def ask(life: Life) -> Any:
    rpc = Client(Node(life.network))
    return lambda method, *params: rpc(f"Filecoin.{method}", *params)


@pytest.mark.slow
def test_exit_code_of_native_actor_has_no_name_of_contracts(life: Life, ask: Any) -> None:
    """Exit 33 of the market is EX_DEAL_NOT_ACTIVATED. Texts of `trace_` methods: lotus node/impl/eth/trace.go."""
    with pytest.raises(TransactionFailed, match=r"exit=\[33\], ") as failed:
        life.network.send_native("f05", GET_DEAL_SECTOR, encode(life.deal), gas_limit=100_000_000)
    receipt, rpc = failed.value.receipt, Client(Node(life.network))
    done = f"0x{receipt.hash.hex()}"
    (trace,) = rpc("trace_transaction", done)
    assert (receipt.exit_code, trace["error"]) == (33, "actor error: 33")
    assert rpc("debug_traceTransaction", done, {"tracer": "callTracer"})["error"] == "actor error: 33"
    assert "exit 33  gas" in str(receipt.trace)
    assert receipt.trace.report()["calls"][0]["decoded"]["exit"] == "exit 33, an actor-defined exit code"
    assert "exit 33, " in repr(receipt)


@pytest.mark.slow
def test_claims_are_those_that_the_registry_answers(life: Life, ask: Any) -> None:
    claims = ask("StateGetClaims", f"f0{life.claimer.id}")
    (number,) = claims
    answered = life.network.ask(REGISTRY, verifiedregistry.get_claims(life.claimer.id, [int(number)])).claims[0]
    assert claims[number] == {
        "Provider": answered.provider, "Client": answered.client, "Data": {"/": show(answered.data)},
        "Size": answered.size, "TermMin": answered.term_min, "TermMax": answered.term_max,
        "TermStart": answered.term_start, "Sector": answered.sector,
    }  # fmt: skip
    assert ask("StateGetClaim", f"f0{life.claimer.id}", int(number)) == claims[number]
    assert ask("StateGetClaim", f"f0{life.claimer.id}", 99_999) is None
    assert ask("StateGetClaims", f"f0{life.miner.id}") == {}
    assert ask("StateGetClaim", f"f0{life.miner.id}", 1) is None


def test_allocations_of_a_client(life: Life, ask: Any) -> None:
    found = ask("StateGetAllocations", str(life.client.native))
    own = found[str(life.allocation)]
    assert (own["Client"], own["Provider"], own["Size"]) == (life.client_id, life.miner.id, 1024)
    assert ask("StateGetAllocation", str(life.client.native), life.allocation) == own
    of_deal = [each for each in found.values() if each["Data"] == {"/": show(unsealed_cid(b"a file"))}]
    assert [each["Size"] for each in of_deal] == [SIZE]
    assert ask("StateGetAllocations", str(life.stranger.native)) == {}
    assert ask("StateGetAllocations", "f0999999") == {}


def test_pending_deal_has_a_proposal_and_an_allocation(life: Life, ask: Any) -> None:
    """Source: lotus chain/actors/builtin/market; a proposal's CID is that of its CBOR (builtin-actors market)."""
    machine = life.network.machine
    market = machine.state_tree.get_actor(MARKET_ACTOR)
    assert market is not None
    proposal = Amt(machine.store, unlink(get_object(machine.store, market.head)[PROPOSALS])).get(life.deal)
    assert ask("StateMarketProposalPending", {"/": show(cid_of(encode(proposal), DAG_CBOR))}) is True
    assert ask("StateMarketProposalPending", {"/": show(unsealed_cid(b"a file"))}) is False
    number = ask("StateGetAllocationIdForPendingDeal", life.deal)
    allocation = ask("StateGetAllocationForPendingDeal", life.deal)
    assert allocation == ask("StateGetAllocation", str(life.client.native), number)
    assert (allocation["Data"], allocation["Size"]) == ({"/": show(unsealed_cid(b"a file"))}, SIZE)
    assert ask("StateGetAllocationIdForPendingDeal", 77) == 0
    assert ask("StateGetAllocationForPendingDeal", 77) is None


def test_pledge_of_a_sector_counts_its_verified_deals(life: Life, ask: Any) -> None:
    """A sector of a verified deal needs the pledge of ten sectors (lotus node/impl/full/state.go)."""
    miner, sector = f"f0{life.miner.id}", {"SealProof": 5, "Expiration": DEAL_START + DEAL_EPOCHS}
    single, full = (
        ask("StateMinerInitialPledgeCollateral", miner, {**sector, "DealIDs": deals}) for deals in ([], [life.deal])
    )
    assert int(full) == 10 * int(single) > 0
    for wrong, words in (
        ({"DealIDs": [77]}, "no such deal 77"),
        ({"DealIDs": [life.deal] * 2}, "present multiple times"),
        ({"DealIDs": [life.deal], "Expiration": DEAL_START}, "exceeds the sector's"),
        ({"Expiration": 1}, "must be after the tipset's height"),
    ):
        with pytest.raises(Failed, match=words):
            ask("StateMinerInitialPledgeCollateral", miner, {**sector, **wrong})
    with pytest.raises(Failed, match="proposal has provider"):
        ask("StateMinerInitialPledgeCollateral", f"f0{life.claimer.id}", {**sector, "DealIDs": [life.deal]})


def test_state_of_an_activated_deal(life: Life, ask: Any) -> None:
    network, snapshot = life.network, Client(Node(life.network))("evm_snapshot")
    machine = network.machine
    market = machine.state_tree.get_actor(MARKET_ACTOR)
    assert market is not None
    fields = get_object(machine.store, market.head)
    states = Amt(machine.store, unlink(fields[STATES]))
    states.set(life.deal, [7, 100, 200, -1])
    fields[STATES] = link(states.flush())
    machine.state_tree.set_actor(MARKET_ACTOR, market.with_head(put_object(machine.store, fields)))
    network.chain.keep_changes()
    found = ask("StateMarketDeals")[str(life.deal)]
    assert found["State"] == {
        "SectorNumber": 7, "SectorStartEpoch": 100, "LastUpdatedEpoch": 200, "SlashEpoch": -1,
    }  # fmt: skip
    assert found == ask("StateMarketStorageDeal", life.deal)
    Client(Node(network))("evm_revert", snapshot)

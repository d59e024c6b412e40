"""Large pages: deep trees, many calls, maps of many entries, a miner with sectors."""

from collections.abc import Iterator

import pytest

from bridge.ethereum.addresses import EthAddress
from hypervisor.messages.address import Address
from localnet import Network
from localnet.ledger.records import MAX_GAS_LIMIT
from localnet.rpc.node import Node
from tests.explorer.large_run import BUSY, GAS, MAX_SIZE, RECURSES, PageCost, findings, many_calls
from tests.localnet.conftest import Clock
from tests.localnet.explorer.conftest import Visitor


@pytest.fixture(scope="module")
def roomy() -> Iterator[Network]:
    """Return a network whose messages may use any gas."""
    with Network(clock=Clock(), rules="ethereum", hardfork="Prague") as network:
        network.set_default_block_gas_limit(MAX_GAS_LIMIT)
        network.set_balance(network.accounts[0], 1 << 100)
        yield network


@pytest.mark.slow
def test_call_tree_of_1024_levels_is_folded_and_paged(roomy: Network) -> None:
    visit = Visitor(Node(roomy))
    roomy.set_code(BUSY, bytes.fromhex(RECURSES))
    hash_ = f"0x{roomy.send(BUSY, 0, gas_limit=GAS).hash.hex()}"
    page = visit(f"/tx/{hash_}")
    assert "Calls 1 to 250 of 1,026" in page.text  # geth's depth is 1,024: one more is refused
    opened = deepest = 0
    for tag, _ in page.tags:
        opened += tag == "details"
        deepest = max(deepest, opened)
    assert opened <= 34
    assert "[249]" in page.text
    assert len(page.body) < MAX_SIZE
    last = visit(f"/tx/{hash_}?first=1000")
    assert "[1025]" in last.text


@pytest.mark.slow
def test_ten_thousand_calls_come_by_the_page(roomy: Network) -> None:
    visit = Visitor(Node(roomy))
    roomy.set_code(BUSY, bytes.fromhex(many_calls(roomy.accounts[1].address)))
    hash_ = f"0x{roomy.send(BUSY, 0, gas_limit=GAS).hash.hex()}"
    page = visit(f"/tx/{hash_}")
    assert "Calls 1 to 250 of 10,001" in page.text
    assert len(page.body) < MAX_SIZE
    assert "Calls 9,901 to 10,001 of 10,001" in visit(f"/tx/{hash_}?first=9900").text


@pytest.mark.slow
def test_a_map_of_many_entries_comes_by_the_hundred() -> None:
    with Network(clock=Clock()) as network:
        for number in range(1, 301):
            network.set_balance(EthAddress(number.to_bytes(20, "big")), 1)
        visit, place = Visitor(Node(network)), "/actor/f01/state/address_map"
        pages = list[set[str]]()
        while len(pages) < 10:
            page = visit(place)
            assert len(page.body) < MAX_SIZE
            pages.append({word for word in page.words if word.startswith("f410f")})
            following = [link for link in page.links if "after=" in link and "/proof" not in link]
            if not following:
                break
            place = following[-1]
        made = {str(Address.delegated(10, number.to_bytes(20, "big"))) for number in range(1, 301)}
        assert made <= set().union(*pages)
        assert sum(map(len, pages)) == len(set().union(*pages))  # each on one page alone


@pytest.mark.slow
def test_a_miner_with_sectors_has_its_pages() -> None:
    with Network(clock=Clock()) as network:
        miner = network.create_miner(sectors=2)
        visit = Visitor(Node(network))
        home = f"/actor/{miner.address}"
        page = visit(home)
        assert (page.status, "storageminer" in page.text) == (200, True)
        state = visit(f"{home}/state")
        assert {"sectors", "deadlines", "info"} <= {link.rsplit("/", 1)[1] for link in state.links if "/state/" in link}
        sectors = visit(f"{home}/state/sectors")
        assert [link for link in sectors.links if link.startswith(f"{home}/state/sectors/")] == [
            f"{home}/state/sectors/{number}" for number in (0, 1)
        ]
        sector = visit(f"{home}/state/sectors/0")
        assert "expiration" in sector.text
        for height in range(1, network.block_number + 1):
            for hash_ in getattr(network.chain.index.at(height), "transactions", ()):
                assert visit(f"/tx/0x{hash_.hex()}").status == 200
        cron = visit(f"/epoch/{network.block_number}/cron")
        assert (cron.status, "AwardBlockReward" in cron.text) == (200, True)
        claims = visit("/actor/f04/state/claims")
        assert str(miner.address) in claims.text


def test_findings_report_page_cost_regressions() -> None:
    before, bad = {"a": PageCost(0.02, 1)}, {"a": PageCost(0.2, MAX_SIZE + 1)}
    assert findings(before, before) == []
    assert len(findings(before, bad)) == 3

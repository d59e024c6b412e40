"""A contract calls two native actors that share a library, on a network with the lab `libraries`."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, isqrt
from pathlib import Path

import pytest

from bridge.ethereum.addresses import masked_id
from localnet import CallFailed, Contract, Network
from store.cid import Cid, show

HERE = Path(__file__).parent
LIBRARY = "bafk2bzaceb7ckroswvqeqqqgfkgft4hfxxeffpzrl6xicjppbhup7g7jjotsi"
ONE = 1 << 32
PLAN = 10**15, 4 * 10**15, 10**12, 30_000_000, 20
"""Arguments of `plan`: reserves of both tokens, the amount to swap, the rate (3 % in billionths), and periods."""


def installed(network: Network, name: str) -> Cid:
    return network.machine.install((HERE / name).read_bytes())


def treasury(network: Network, ending: str = "") -> Contract:
    """Deploy the contract with new actors from the modules `pool` and `loan` with this suffix in their names."""
    actors = [network.machine.create(installed(network, f"{name}{ending}.wasm")).id for name in ("pool", "loan")]
    network.chain.keep_changes()
    return network.deploy(HERE / "Treasury.json", *map(masked_id, actors))


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(rules="lab:libraries") as network:
        assert show(installed(network, "fixed.wasm")) == LIBRARY, "the CID that the actors import from"
        yield network


def answers(contract: Contract) -> list[int]:
    return [contract.call(name) for name in ("shares", "taken", "owed", "owedContinuously")]


@pytest.mark.slow
def test_a_contract_calls_two_actors_that_share_a_library(network: Network) -> None:
    contract = treasury(network)
    contract.send("plan", *PLAN)
    first, second, amount, rate, periods = PLAN
    shares, taken, owed, continuously = answers(contract)
    assert shares == isqrt(first * second)
    assert taken == second * amount // (first + amount)
    assert owed == pytest.approx(taken * (1 + rate / 10**9) ** periods, rel=1e-8)
    assert continuously == pytest.approx(taken * exp(rate * periods / 10**9), rel=1e-8)


@pytest.mark.slow
def test_actors_with_copies_of_the_code_answer_the_same(network: Network) -> None:
    found = []
    for ending in ("", "-copied"):
        contract = treasury(network, ending)
        contract.send("plan", *PLAN)
        found.append(answers(contract))
    assert found[0] == found[1]


def test_native_trap_fails_call_and_reverts_contract(network: Network) -> None:
    """Trap in the library: the call of the native actor fails, and the contract reverts."""
    for ending in ("", "-copied"):
        contract = treasury(network, ending)
        with pytest.raises(CallFailed):
            contract.send("plan", *PLAN[:3], 10**18, 60)


def test_the_page_has_the_sizes_and_the_gas_of_this_example(network: Network) -> None:
    page = (HERE.parents[3] / "docs" / "labs" / "libraries.md").read_text(encoding="utf-8")
    size = {path.stem: path.stat().st_size for path in HERE.glob("*.wasm")}
    gas = [treasury(network, ending).send("plan", *PLAN, gas_limit=10**9).gas_used for ending in ("-copied", "")]
    for name in ("pool", "loan"):
        assert f"| `{name}.wasm`, bytes | {size[f'{name}-copied']:,} | {size[name]:,} |" in page
    assert f"| `fixed.wasm`, bytes | | {size['fixed']:,} |" in page
    copied, linked = (round(used, -5) for used in gas)
    assert f"| `Treasury.plan`, gas | {copied:,} | {linked:,} |" in page

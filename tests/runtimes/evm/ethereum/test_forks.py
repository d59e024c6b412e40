"""Forks of Ethereum are table rows: a new row works everywhere."""

from dataclasses import replace

import pytest

import runtimes.evm.ethereum.forks
from fvm_hypervisor.cli.node import _HARDFORK
from fvm_hypervisor.laboratory.vectors.t8n import transition
from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.rules.installed import rules_named
from runtimes.evm.ethereum.forks import ALIASES, FORKS, LATEST_FORK, fork_named, fork_names


def test_later_forks_than_default_only_change_blobs() -> None:
    assert fork_named("") is LATEST_FORK
    later = [fork for fork in [*FORKS.values()][fork_names().index(LATEST_FORK.name) + 1 :] if not fork.draft_date]
    assert [replace(fork, name=LATEST_FORK.name, blobs=LATEST_FORK.blobs) for fork in later] == [LATEST_FORK] * 2


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_both_spellings_name_the_same_fork(alias: str, name: str) -> None:
    assert fork_named(alias) is FORKS[name]
    assert rules_named("ethereum", alias.lower()).hardfork == name


def test_unknown_fork_names_the_known_ones() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"'Fronter' is not known: choose one of Frontier, .*\(EIP150\).* Amsterdam, BPO3, BPO4; with a proposal",
    ):
        fork_named("Fronter")


def test_unknown_proposal_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"proposal 9999 of the fork .* is not known: .* 2780, .* 7708, .* 8282\)$"):
        fork_named("Osaka+7708+9999")


def test_the_help_of_the_node_names_the_forks() -> None:
    """The command's module repeats the names: importing the table would add half a second to each start."""
    names = ", ".join(fork.name.lower() + (" (draft)" if fork.draft_date else "") for fork in FORKS.values())
    expected = f"With --rules ethereum: {names} (default: {LATEST_FORK.name.lower()})."
    assert expected == _HARDFORK, f"let the help of --hardfork be '{expected}' in fvm_hypervisor/cli/node.py"


def test_a_fork_that_is_added_as_a_row_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    added = LATEST_FORK.successor("Nextfork", transaction_gas_cap=100_000)
    monkeypatch.setattr(runtimes.evm.ethereum.forks, "FORKS", {**FORKS, added.name: added})
    with Network(rules="ethereum", hardfork="nextfork") as network:
        sender, receiver = network.accounts[:2]
        assert network.send(receiver, 5, sender=sender).succeeded
        assert network.rules.messages.gas_limit(network.machine) == 100_000  # the row's fact
    env = {
        "currentNumber": "0x1", "currentTimestamp": "0x1", "currentBaseFee": "0x7", "currentGasLimit": "0x1000000",
        "currentCoinbase": "0x" + "11" * 20, "currentRandom": "0x00", "blockHashes": {"0x0": "0x" + "00" * 32},
        "withdrawals": [], "parentBeaconBlockRoot": "0x" + "00" * 32,
    }  # fmt: skip
    assert transition({}, env, [], "Nextfork").result["gasUsed"] == "0x0"

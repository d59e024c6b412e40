"""EIPs by fork: every change of a fork has one, and a difference names those between the two forks."""

from itertools import pairwise

import pytest

from runtimes.evm.forks.fork_eips import (
    FORK_EIPS,
    changes_of_opcode,
    changes_of_precompile,
    changes_of_transaction,
    fork_changes,
)
from runtimes.evm.forks.forks import FORKS, OSAKA, Fork, fork_named


@pytest.mark.parametrize(("before", "after"), list(pairwise(FORKS.values())), ids=lambda fork: fork.name)
def test_each_change_of_a_fork_has_an_eip(before: Fork, after: Fork) -> None:
    assert [change.text() for change in fork_changes(before, after).values() if not change.sources] == []


@pytest.mark.parametrize(("before", "after"), list(pairwise(FORKS.values())), ids=lambda fork: fork.name)
def test_table_of_eips_names_changes_of_the_fork_only(before: Fork, after: Fork) -> None:
    named = {name for names in FORK_EIPS.get(after.name, {}).values() for name in names.split()}
    assert named - set(fork_changes(before, after)) == set()


@pytest.mark.parametrize(
    ("before", "after", "name", "text"),
    [
        ("Istanbul", "Berlin", "cold_slot", "cold_slot 0 -> 2,100 (EIP-2929)"),
        ("Berlin", "London", "clear_refund", "clear_refund 15,000 -> 4,800 (EIP-3529)"),
        ("Paris", "Cancun", "init_code_word", "init_code_word 0 -> 2 (EIP-3860)"),
        ("Paris+EIP-7702", "Cancun+EIP-7702", "PUSH0", "PUSH0 none -> 2 (EIP-3855)"),
        ("Cancun+EIP-7702", "Prague", "calldata_floor", "calldata_floor False -> True (EIP-7623)"),
        ("Prague", "Osaka", "transaction_gas_cap", "transaction_gas_cap none -> 16,777,216 (EIP-7825)"),
        ("Osaka", "Amsterdam", "cold_account", "cold_account 2,600 -> 3,000 (EIP-8038)"),
        ("Osaka", "Amsterdam", "state_byte", "state_byte 0 -> 1,530 (EIP-8037)"),
        ("Osaka", "Osaka+7976", "floor_zero", "floor_zero 10 -> 64 (EIP-7976)"),
        ("Amsterdam", "Osaka", "cold_account", "cold_account 3,000 -> 2,600 (EIP-8038)"),
    ],
)
def test_a_change_names_its_eip_and_both_values(before: str, after: str, name: str, text: str) -> None:
    assert fork_changes(fork_named(before), fork_named(after))[name].text() == text


def test_a_price_that_no_eip_changes_has_none() -> None:
    planted = OSAKA.successor("Planted", gas=OSAKA.gas._replace(cold_slot=2_150))
    assert [change.text() for change in fork_changes(OSAKA, planted).values()] == ["cold_slot 2,100 -> 2,150"]


def test_changes_of_an_opcode_are_those_that_it_depends_on() -> None:
    changes = fork_changes(fork_named("Osaka"), fork_named("Amsterdam"))
    assert [change.name for change in changes_of_opcode(changes, "BALANCE")] == ["cold_account"]
    assert [change.name for change in changes_of_opcode(changes, "EXTCODESIZE")] == ["cold_account", "code_read"]
    assert changes_of_opcode(changes, "SLOAD") == changes_of_opcode(changes, "ADD") == ()
    names = {change.name for change in changes_of_transaction(changes)}
    assert {"transaction_base", "receiver_access", "value_transfer", "floor_nonzero"} <= names


def test_changes_of_modexp_are_its_price_and_its_limits() -> None:
    changes = fork_changes(fork_named("Prague"), fork_named("Osaka"))
    (change,) = changes_of_precompile(changes, "modexp")
    assert (change.name, change.sources) == ("bounded_modexp", ("EIP-7823", "EIP-7883"))
    assert [each.sources for each in changes_of_precompile(changes, "p256_verify")] == [("EIP-7951",)]

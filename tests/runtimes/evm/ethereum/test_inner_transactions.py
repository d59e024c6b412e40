"""Accounts of a message around inner transactions; expected results by hand from EIP-2929 and EIP-3529."""

from bridge.ethereum.addresses import EthAddress
from hypervisor.state.undo_map import Journal
from runtimes.evm.ethereum.accounts import Accounts
from tests.runtimes.evm.test_fast_trees import CALLEE, CONTRACT, machine

OTHER = EthAddress(bytes([0x77]) * 20)


def inner(outer: Accounts, slot: int, word: int) -> None:
    """Run an inner transaction that writes a slot of the contract and touches an address."""
    outer.commit_part()
    accounts = outer.for_inner_transaction()
    actor = accounts.existing(CONTRACT)
    accounts.load(actor, slot)
    accounts.store(actor, slot, word)
    accounts.warm(OTHER)
    touched = accounts.touched_slots()
    accounts.write_back()
    outer.continue_after(touched, accounts.touched_addresses())


def test_warm_slots_keep_original_values_across_inner_txs() -> None:
    with machine("STOP") as made:
        accounts = Accounts(made, Journal(), False)
        actor = accounts.existing(CONTRACT)
        assert accounts.load(actor, 1) == (0, False)
        accounts.store(actor, 1, 5)
        inner(accounts, 2, 7)
        inner(accounts, 1, 6)
        assert accounts.slot_state(actor, CONTRACT, 1) == (0, 6, True)
        assert accounts.slot_state(actor, CONTRACT, 2) == (0, 7, True)
        assert accounts.slot_state(actor, CONTRACT, 3) == (0, 0, False)
        assert (accounts.load(actor, 2), accounts.original(actor, 2)) == ((7, True), 0)
        assert sorted(accounts.slot_words()) == [6, 7]
        assert accounts.is_warm(OTHER)


def test_rollback_across_inner_txs_is_flushed_by_next_part() -> None:
    with machine("STOP") as made:
        accounts = Accounts(made, Journal(), False)
        actor = accounts.existing(CONTRACT)
        accounts.store(actor, 1, 5)
        tree, journal = made.state_tree.begin(), accounts.journal.mark()
        inner(accounts, 2, 7)
        inner(accounts, 1, 6)
        made.state_tree.rollback(tree)
        accounts.journal.rollback(journal)
        assert accounts.slot_state(actor, CONTRACT, 1) == (0, 5, True)
        assert accounts.slot_state(actor, CONTRACT, 2) == (0, 0, False)
        assert not accounts.is_warm(OTHER)
        accounts.commit_part()
        assert accounts.for_inner_transaction().word(actor, 1) == 5


def test_image_is_restored_across_inner_transactions() -> None:
    with machine("STOP") as made:
        accounts = Accounts(made, Journal(), False)
        actor = accounts.existing(CONTRACT)
        accounts.store(actor, 1, 5)
        tree, journal = made.state_tree.image(), accounts.journal.image()
        for _ in range(2):
            inner(accounts, 1, 6)
            inner(accounts, 2, 7)
            made.state_tree.restore_image(tree)
            accounts.journal.restore_image(journal)
            assert accounts.slot_state(actor, CONTRACT, 1) == (0, 5, True)
            assert accounts.slot_state(actor, CONTRACT, 2) == (0, 0, False)
        accounts.commit_part()
        assert accounts.for_inner_transaction().word(actor, 1) == 5


def test_slots_made_cold_take_written_values_as_original() -> None:
    with machine("STOP") as made:
        accounts = Accounts(made, Journal(), False)
        actor = accounts.existing(CONTRACT)
        accounts.store(actor, 1, 5)
        accounts.warm_all((OTHER, CALLEE))
        inner(accounts, 2, 7)
        accounts.make_cold((CALLEE,))
        assert accounts.slot_state(actor, CONTRACT, 1) == (5, 5, False)
        assert accounts.slot_state(actor, CONTRACT, 2) == (7, 7, False)
        assert (accounts.is_warm(OTHER), accounts.is_warm(CALLEE)) == (False, True)
        inner(accounts, 2, 8)
        assert accounts.slot_state(actor, CONTRACT, 2) == (7, 8, True)
        assert not accounts.is_warm(OTHER)  # touched, and cold


def test_contract_in_creation_gets_code_after_inner_transaction() -> None:
    with machine("STOP") as made:
        accounts = Accounts(made, Journal(), False)
        actor = accounts.create_account(OTHER)
        accounts.create(actor)
        inner(accounts, 2, 7)
        accounts.set_code(actor, b"\x5b")
        accounts.write_back()
        assert Accounts(made, Journal(), False).code(actor) == b"\x5b"

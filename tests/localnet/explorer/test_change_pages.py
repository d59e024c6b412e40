"""Pages of state changes: by a message, by an epoch, and between epochs."""

import pytest

from tests.explorer.stage import FIL, Stage
from tests.localnet.explorer.conftest import Visitor


def test_message_page_shows_written_slot_but_no_reverted_change(stage: Stage, visit: Visitor) -> None:
    page = visit(f"/tx/{stage.messages['caught']}/changes")
    assert page.status == 200
    assert f"state/contract_state/0x{0:064x}"[:60] in page.text  # lastExit of the contract
    assert "0x2a" in page.text.split()
    actors = {link for link in page.links if link.startswith("/actor/")}
    assert f"/actor/f0{stage.counter}" not in actors  # it aborted: nothing of it was kept


def test_failed_message_changes_only_fee_balances_and_nonce(stage: Stage, visit: Visitor) -> None:
    page = visit(f"/tx/{stage.messages['wrong method']}/changes")
    paths = {word for word in page.text.split() if word in ("balance", "nonce", "code") or word.startswith("state/")}
    assert paths == {"balance", "nonce"}


def test_an_epoch_changes_more_than_its_messages(stage: Stage, visit: Visitor) -> None:
    height = stage.network.receipt(bytes.fromhex(stage.messages["caught"][2:])).block_number
    page = visit(f"/epoch/{height}/changes")
    assert (page.status, "/actor/f02" in page.links) == (200, True)  # the reward actor pays the block


def test_two_epochs_are_compared(stage: Stage, visit: Visitor) -> None:
    network, target = stage.network, stage.network.accounts[6].address
    first = network.head.height
    network.send(target, FIL)
    network.mine(null_rounds=2)
    network.send(target, 2 * FIL)
    page = visit(f"/epoch/{network.head.height}/changes?since={first}")
    before = 10_000 * FIL
    assert {str(before), str(before + 3 * FIL)} <= set(page.text.split())
    assert "Nothing differs" in visit(f"/epoch/{first}/changes?since={first}").text


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/epoch/999999/changes", 404),
        ("/epoch/x/changes", 400),
        ("/epoch/1/changes?since=x", 400),
        ("/epoch/1/changes?since=999999", 404),
        ("/tx/0x" + "99" * 32 + "/changes", 404),
    ],
)
def test_missing_or_malformed_page_has_its_status(visit: Visitor, address: str, status: int) -> None:
    assert visit(address).status == status


def test_genesis_changes_page_is_served(visit: Visitor) -> None:
    assert visit("/epoch/0/changes").status == 200

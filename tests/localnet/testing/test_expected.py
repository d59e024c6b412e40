"""Expected failures in tests."""

import pytest

from hypervisor.exit_codes import ExitCode
from localnet import Network
from localnet.errors import TransactionRefused
from localnet.testing import exits, reverts
from store.keccak import keccak
from tests.localnet.conftest import ARTIFACTS

INBOX = ARTIFACTS / "Inbox.json"
TRAPS = "fe"


def test_the_reason_of_a_revert(network: Network) -> None:
    inbox = network.deploy(INBOX)
    with reverts():
        inbox.call("refuse", "no")
    with reverts("no"):
        inbox.call("refuse", "no")
    with pytest.raises(AssertionError, match="expected a revert with 'yes', but the reason is 'no'"), reverts("yes"):
        inbox.call("refuse", "no")


def test_a_transaction_reverts_like_a_call(network: Network) -> None:
    inbox = network.deploy(INBOX)
    with reverts("no"):
        network.send(inbox, 0, inbox.interface.encode_call("refuse", "no"), gas_limit=90_000_000)


def test_a_custom_error_by_its_name_and_with_its_arguments(network: Network) -> None:
    abi = [{"type": "error", "name": "Unauthorized", "inputs": [{"name": "who", "type": "uint256"}]}]
    selector = bytes(keccak(b"Unauthorized(uint256)")[:4]).hex()
    network.set_code(b"\x99" * 20, bytes.fromhex(f"63{selector}60e01b5f52600760045260245ffd"))
    contract = network.contract(b"\x99" * 20, {"abi": abi, "bytecode": "0x00"})
    for reason in ("Unauthorized", "Unauthorized(7)"):
        with reverts(reason, contract):
            network.call(contract)
    with pytest.raises(AssertionError, match=r"but the reason is 'Unauthorized\(7\)'"), reverts("Other", contract):
        network.call(contract)


def test_nothing_that_fails_is_no_revert(network: Network) -> None:
    with pytest.raises(AssertionError, match="expected a revert, but nothing failed"), reverts():
        network.call(network.accounts[0])
    with pytest.raises(AssertionError, match=r"expected exit code 18 \(USR_FORBIDDEN\), but nothing failed"), exits(18):
        network.call(network.accounts[0])


def test_another_failure_is_no_revert(network: Network) -> None:
    network.set_code(b"\x99" * 20, bytes.fromhex(TRAPS))
    with pytest.raises(AssertionError, match="expected a revert, but message execution failed"), reverts():
        network.call(b"\x99" * 20)


def test_expected_exit_codes_are_checked(network: Network) -> None:
    with exits(ExitCode.USR_UNHANDLED_MESSAGE):
        network.send_native("f04", 999_999)
    with pytest.raises(AssertionError, match="expected exit code 18"), exits(18):
        network.send_native("f04", 999_999)


def test_refused_transaction_does_not_satisfy_reverts(network: Network) -> None:
    with pytest.raises(TransactionRefused), reverts():
        network.send(network.accounts[1], 10**30, gas_limit=10_000_000)

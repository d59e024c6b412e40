"""Signatures of typed data, compared with eth-account's."""

import copy
import json

import pytest
from eth_account import Account as Oracle

from tests.localnet.rpc.asking import ALICE, ALICE_KEY, NOBODY
from tests.localnet.rpc.conftest import Client, Failed
from tests.localnet.test_typed_data import MAIL


@pytest.mark.parametrize("method", ["eth_signTypedData_v4", "eth_signTypedData_v3", "eth_signTypedData"])
@pytest.mark.parametrize("as_text", [False, True])
def test_unlocked_accounts_sign_as_wallets_do(rpc: Client, method: str, as_text: bool) -> None:
    expected = Oracle.sign_typed_data(ALICE_KEY, full_message=copy.deepcopy(MAIL)).signature.hex()
    assert rpc(method, ALICE, json.dumps(MAIL) if as_text else MAIL) == f"0x{expected}"


@pytest.mark.parametrize("field", ["types", "primaryType", "message"])
def test_missing_typed_data_field_is_named(rpc: Client, field: str) -> None:
    with pytest.raises(Failed, match=f"typed data: {field} is missing"):
        rpc("eth_signTypedData_v4", ALICE, {name: value for name, value in MAIL.items() if name != field})


def test_a_stranger_cannot_sign(rpc: Client) -> None:
    with pytest.raises(Failed, match="the node has no private key"):
        rpc("eth_signTypedData_v4", NOBODY, MAIL)

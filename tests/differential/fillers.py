"""The contracts of Ethereum's state tests as cases: their accounts and transactions, under Filecoin's rules.

Their expected results are Ethereum's and are ignored; both machines must agree. Filecoin messages have no blobs and
no authorizations.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bridge.ethereum.addresses import unmask_id
from fvm_hypervisor.laboratory.vectors.ethereum_json import read_accounts, read_address, read_bytes, read_number
from fvm_hypervisor.laboratory.vectors.statetest import read_sender
from runtimes.evm.ethereum.alloc import AllocAccount
from tests.differential.twins import CallOf, Case

SOURCES: Final = ("vectors/GeneralStateTests", "vectors/state_tests")
MAX_MESSAGES: Final = 12
"""Maximum number of cases per test: some have thousands of the same kind."""
LAST_NONCE: Final = (1 << 64) - 1
"""The maximum nonce, at which the reference overflows; no sender on a network reaches it."""
MAX_MONEY: Final = 10**27
"""Maximum balance: attoFIL amounts fit in 128 bits; larger balances of a test are reduced."""


def read_file(path: Path) -> Iterator[Case]:
    """Yield a case for each test of a file that a Filecoin message can express."""
    for name, test in json.loads(path.read_text(encoding="utf-8")).items():
        case = _read(name, path.parent.name, test)
        if case is not None:
            yield case


def _read(name: str, folder: str, test: Any) -> Case | None:
    transaction = test["transaction"]
    accounts = read_accounts(test["pre"], "pre")
    sender = read_sender(transaction)
    if {"blobVersionedHashes", "authorizationList"} & {*transaction} or accounts.get(sender, AllocAccount()).code:
        return None
    if any(unmask_id(address) is not None for address in accounts):
        return None
    if accounts.get(sender, AllocAccount()).nonce + MAX_MESSAGES > LAST_NONCE:
        return None
    data = [read_bytes(item, "data") for item in transaction["data"]]
    accounts[sender] = AllocAccount(10**24, accounts.get(sender, AllocAccount()).nonce)
    kept = {address: _affordable(account) for address, account in accounts.items()}
    to = read_address(transaction["to"], "to") if transaction["to"] else None
    values = [min(read_number(item, "value", bits=None), 10**18) for item in transaction["value"]]
    calls = [CallOf(sender, to, item, value) for item in data for value in values]
    return Case(name, folder, kept, calls[:MAX_MESSAGES])


def _affordable(account: AllocAccount) -> AllocAccount:
    return AllocAccount(min(account.balance, MAX_MONEY), account.nonce, account.code, account.storage)

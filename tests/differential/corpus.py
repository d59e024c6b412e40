"""The corpus on both machines: scenarios of compiled Solidity, and the contracts of Ethereum's state tests.

`python -m tests.differential.corpus ARTIFACTS`, with the contracts compiled by scripts/corpus. The exit code is 1 if
results differ, or if a scenario's messages do not succeed or fail as intended.

Their expected results are Ethereum's and are ignored; both machines must agree. Filecoin messages have no blobs and
no authorizations.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bridge.ethereum.addresses import unmask_id
from hypervisor_tools.jobs.run import run_all
from hypervisor_tools.laboratory.vectors.ethereum_json import read_accounts, read_address, read_bytes, read_number
from hypervisor_tools.laboratory.vectors.statetest import read_sender
from runtimes.evm.blocks.alloc import AllocAccount
from tests.conftest import fvm_data
from tests.differential.comparison import CaseTally, official_actor, run, twins
from tests.differential.scenarios import SCENARIOS, Artifacts, Script
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


def main() -> int:
    """Run all of it, or every n-th file of state tests; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("artifacts", type=Path, help="the folder of compiled contracts")
    parser.add_argument("--every", type=int, default=1, help="of the files of state tests every so many-th only")
    parser.add_argument("--workers", type=int, default=2, help="processes; default: 2")
    chosen = parser.parse_args()
    official_actor()
    solidity = CaseTally()
    broken = []
    for name in SCENARIOS:
        tally, unexpected = run_scenario(chosen.artifacts, name)
        solidity.merge(tally)
        broken += unexpected
    files = sorted(path for source in SOURCES for path in ((fvm_data() or Path()) / source).rglob("*.json"))
    fillers = CaseTally()
    for part in run_all(run_fillers, files[:: chosen.every], chosen.workers, "files of state tests"):
        fillers.merge(part)
    sys.stdout.writelines(f"{line}\n" for line in (*summary("Solidity", solidity), *summary("state tests", fillers)))
    sys.stdout.writelines(f"NOT AS MEANT: {words}\n" for words in broken)
    return int(bool(solidity.findings or fillers.findings or broken or not fillers.count))


def run_scenario(artifacts: Path, name: str) -> tuple[CaseTally, list[str]]:
    """Run a scenario on both machines; return the messages that did not succeed or fail as intended."""
    script = Script(Artifacts(artifacts))
    SCENARIOS[name](script)
    compared = twins().compare(script.case(name))
    tally = CaseTally()
    tally.add(compared)
    return tally, [
        f"{name}, message {number}: exit {outcome.exit_code}, return 0x{outcome.return_data.hex()}"
        for number, outcome in enumerate(compared.official)
        if bool(outcome.exit_code) != (number in script.fails)
    ]


def run_fillers(path: Path) -> CaseTally:
    """Run one file of state tests in a worker."""
    return run(twins(), read_file(path))


def summary(what: str, tally: CaseTally) -> Iterator[str]:
    """Return the results of a part for display."""
    messages = sum(tally.exits.values())
    yield f"{what}: {tally.count} cases, {messages} messages, {len(tally.findings)} differ"
    yield f"  {tally.gas_decided} cases were decided by gas, and are no difference"
    yield from (f"    {count}: {reason}" for reason, count in sorted(tally.by_gas.items()))
    for theme, ratios in tally.ratios().items():
        spread = f"{ratios['5%']:.2f} to {ratios['95%']:.2f}"
        yield f"  gas of {theme}: {ratios['all']:.3f} of the official actor's, of single messages {spread}"
    yield from (f"DIFFERENT: {finding}" for finding in tally.findings)


if __name__ == "__main__":
    sys.exit(main())

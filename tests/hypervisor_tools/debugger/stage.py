"""The network of the debugger tests: a contract that pays through a failing native actor.

`project/out` was compiled with solc 0.8 of npm from `project/src`, without the optimizer, in forge's layout.
"""

from dataclasses import dataclass
from pathlib import Path

import cbor2

from localnet import Network
from localnet.contracts.contract import Contract
from localnet.errors import TransactionFailed

HERE = Path(__file__).resolve().parent
PROJECT = HERE / "project"
OUT = PROJECT / "out"
TELLER = OUT / "Teller.sol" / "Teller.json"
COUNTER = HERE.parent.parent.parent / "examples" / "counter" / "counter.wasm"
SCHEMA = PROJECT / "counter.ipldsch"
EXIT = 33
WORDS = "refused on purpose"
GAS = 10**9


@dataclass(frozen=True)
class Stage:
    """The network, the contract, the native actor's ID, and the failing transaction."""

    network: Network
    teller: Contract
    counter: int
    failed: bytes


def prepare(network: Network, schema: Path = SCHEMA, gas: int = GAS) -> Stage:
    teller = network.deploy(TELLER)
    code = network.actors.install(COUNTER, schema)
    counter = network.machine.create(code).id
    network.chain.keep_changes()
    try:
        teller.send("pay", counter, cbor2.dumps([EXIT, WORDS, b""]), gas_limit=gas)
    except TransactionFailed as error:
        return Stage(network, teller, counter, error.receipt.hash)
    raise AssertionError("the payment did not fail")

"""Workloads for timing engines: functions of tests/differential/solidity/contracts/Work.sol, with their arguments.

Each workload is one call on accounts that are the same for every engine; `python -m bench engines` times them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bridge.ethereum.addresses import EthAddress
from runtimes.evm.blocks.alloc import AllocAccount
from store.keccak import keccak
from tests.differential.grammar import SENDER
from tests.differential.scenarios import Artifacts
from tests.engines.scenes import Batch, Call
from tests.engines.worlds import EthereumMachine
from tests.harness.paths import PROJECT
from tests.runtimes.evm.assembler import deployer

RULES: Final = "Cancun"
GAS: Final = 900_000_000
WORK, OTHER, TOKEN = (EthAddress(bytes([0x77, index]) * 10) for index in range(3))
_RICH: Final = 10**30
_LARGE: Final = 20_000
"""Bytes of code that is deployed."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One call, made `times` times; `short` is a smaller version that fits in one transaction since Osaka."""

    name: str
    call: Call
    short: Call
    times: int = 1


@cache
def artifacts() -> Artifacts:
    """Return the compiled contracts. Raises CalledProcessError if they cannot be compiled."""
    script = PROJECT / "scripts" / "corpus"
    done = subprocess.run([script], capture_output=True, text=True, check=True)
    return Artifacts(Path(done.stdout.strip()))


@cache
def accounts() -> dict[EthAddress, AllocAccount]:
    """Return the sender, the contracts, and the sender's token balance."""
    balance = int.from_bytes(keccak(bytes(12) + SENDER + bytes(32)), "big")
    work = _runtime("Work")
    return {
        SENDER: AllocAccount(_RICH),
        WORK: AllocAccount(0, 1, work),
        OTHER: AllocAccount(0, 1, work),
        TOKEN: AllocAccount(0, 1, _runtime("WorkToken"), {balance: _RICH}),
    }


def batch() -> Batch:
    """Return the accounts as input of the engines' worlds."""
    return Batch("workloads", RULES, False, accounts(), ())


def compute() -> Iterator[Workload]:
    """Yield the ten that compute, store, and deploy."""
    yield _work("tight loop", "tight", 300_000)
    yield _work("checked arithmetic", "summed", 60_000)
    yield _work("keccak chain", "hashed", 30_000)
    yield _work("sieve", "sieve", 40_000)
    yield _work("modexp", "powers", 60)
    yield _work("ray caster", "rays", 40)
    yield _work("quicksort", "sorted", 4_000)
    yield _work("1,000 storage slots", "slots", 1_000)
    yield _token("ERC-20 batch of 1,000", "batch", 1_000)
    code = deployer(bytes(at % 251 for at in range(_LARGE)))
    yield Workload("deploy 20 KB", Call(None, code, 0, GAS), Call(None, code, 0, GAS))


def calling() -> Iterator[Workload]:
    """Yield those that make calls."""
    yield _work("2,000 calls", "calls", f"0x{OTHER.hex()}", 2_000)
    yield _work("calls 200 deep", "deep", 200)
    one = _token("separate ERC-20 transfers", "transfer", f"0x{OTHER.hex()}", 1)
    yield Workload(one.name, one.call, one.call, times=50)


def _work(name: str, function: str, *arguments: int | str) -> Workload:
    return _workload(name, "Work", WORK, function, *arguments)


def _token(name: str, function: str, *arguments: int | str) -> Workload:
    return _workload(name, "WorkToken", TOKEN, function, *arguments)


def _workload(name: str, contract: str, at: EthAddress, function: str, *arguments: int | str) -> Workload:
    interface = artifacts().interface(contract)
    listed = ((TOKEN, ()),)  # pyrevm has it warm, since it has slots
    *others, amount = arguments
    assert isinstance(amount, int)
    calls = [
        Call(at, interface.encode_call(function, *others, given), 0, GAS, listed)
        for given in (amount, max(1, amount // 2))
    ]
    return Workload(name, calls[0], calls[1])


def _runtime(name: str) -> bytes:
    """Return the code that a creation deploys."""
    creation = Call(None, artifacts().bytecode(name, {}), 0, GAS)
    executor = EthereumMachine("fast", RULES)
    executor.begin(Batch(name, RULES, False, {SENDER: AllocAccount(_RICH)}, ()))
    made = executor.after(creation, creation.gas_limit)
    return next(account.code for account in made.values() if account.code)

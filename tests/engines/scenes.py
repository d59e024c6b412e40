"""What engines are given: a batch of contracts that may call each other, and a transaction for each of them.

Everything is drawn from the seed and the batch's number. Every transaction meets the batch's own state: none keeps
what it did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from bridge.addresses import EthAddress
from runtimes.evm.ethereum.accounts import DELEGATION_PREFIX
from runtimes.evm.ethereum.alloc import Account
from tests.differential.generator import SENDER, helpers
from tests.differential.grammar import THEMES, WORDS
from tests.engines.grammar import program

FILECOIN: Final = ("nv28", "nv24")
ETHEREUM: Final = ("Cancun", "Prague", "Osaka")
RULES: Final = ("Cancun", "Cancun", "Cancun", "Prague", "Osaka", "Osaka", "nv28", "nv24")
"""The rules of batches, in turns."""
NEWEST: Final = ("Osaka", "nv28")
FRAMED: Final = 4
"""Of so many turns of the rules one is run frame by frame."""
SIZE: Final = 25
"""Programs of a batch."""
COINBASE: Final = EthAddress(b"\xc0" * 20)
_GAS: Final = (24_000, 28_000, 36_000, 55_000, 100_000)
_KEYS: Final = (0, 1, 2, 31, 1 << 128, (1 << 255) + 1)
_LISTED_GAS: Final = 2400
"""Of an address in an access list, and no less than of a slot."""
_CREATION_GAS: Final = 40_000
_FILECOIN_GAS: Final = (20_000_000, 60_000_000)


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction: to a contract, or init code where `to` is None. Value in wei (attoFIL).

    `listed` is its access list: addresses, each with slots.
    """

    to: EthAddress | None
    data: bytes
    value: int
    gas_limit: int
    listed: tuple[tuple[EthAddress, tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Accounts and transactions under one set of rules.

    With `framed`, whoever can run a whole tree of calls at once is to run it frame by frame.
    """

    name: str
    rules: str
    framed: bool
    accounts: Mapping[EthAddress, Account]
    calls: tuple[Call, ...]


def batch(seed: int, number: int) -> Batch:
    """The batch of this number in the run of this seed."""
    random = Random(f"{seed}:{number}")
    rules = RULES[number % len(RULES)]
    ethereum = rules in ETHEREUM
    places = [EthAddress(bytes([0xA0, index]) * 10) for index in range(SIZE)]
    targets = (*places, *helpers())
    accounts = {SENDER: Account(10**24), **helpers()}
    for place in places:
        drawn = (*random.sample(places, 4), *helpers(), *_delegates(rules))
        code = program(random, random.choice([*THEMES]), drawn, ethereum, rules in NEWEST)
        accounts[place] = Account(random.choice((0, 7, 10**18)), 1, code, _slots(random, rules))
    for place in _delegates(rules):
        accounts[place] = Account(random.choice((0, 9)), 1, DELEGATION_PREFIX + random.choice(targets), {})
    calls = tuple(_call(random, rules, place, accounts) for place in places)
    return Batch(f"{seed}:{number}", rules, number // len(RULES) % FRAMED == 0, accounts, calls)


def _delegates(rules: str) -> tuple[EthAddress, ...]:
    """Accounts that lend themselves another's code, where the rules have that."""
    return () if rules not in ETHEREUM[1:] else tuple(EthAddress(bytes([0xDE, index]) * 10) for index in range(3))


def _slots(random: Random, rules: str) -> dict[int, int]:
    """pyrevm keeps the first slot that an account is given as one of before the transaction, and no other."""
    most = 2 if rules == ETHEREUM[0] else 4
    keys = random.sample(_KEYS, random.randrange(most)) if random.randrange(most) else []
    return {key: random.choice((1, 7, *WORDS[-4:])) for key in keys}


def _call(random: Random, rules: str, place: EthAddress, accounts: Mapping[EthAddress, Account]) -> Call:
    data = random.randbytes(random.choice((0, 4, 32, 36, 64, 68, 96)))
    value = random.choice((0, 0, 0, 5))
    if rules not in ETHEREUM:
        return Call(place, data, value, random.choice(_FILECOIN_GAS))
    listed = _listed(random, rules, accounts)
    gas = random.choice(_GAS) + sum(_LISTED_GAS + _LISTED_GAS * len(slots) for _, slots in listed)
    if random.randrange(12) == 0:
        return Call(None, accounts[place].code, value, gas + _CREATION_GAS, listed)
    return Call(place, data, value, gas, listed)


def _listed(
    random: Random, rules: str, accounts: Mapping[EthAddress, Account]
) -> tuple[tuple[EthAddress, tuple[int, ...]], ...]:
    """pyrevm has every account warm that it was given slots of: where it is compared, all of those are listed."""
    if rules == ETHEREUM[0]:
        chosen = [place for place, account in accounts.items() if account.storage]
    else:
        chosen = random.sample([*accounts], random.choice((0, 0, 0, 1, 3)))
    return tuple((place, tuple(random.sample(_KEYS, random.choice((0, 0, 1, 2))))) for place in chosen)

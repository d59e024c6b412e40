"""Scalar types of the machine.

They have no runtime cost and distinguish units: attoFIL, gas, milligas, epochs. Composite values (addresses, messages,
receipts) are dataclasses in separate modules.
"""

from typing import NewType

ATTO_PER_FIL = 10**18

ActorID = NewType("ActorID", int)
"""The ID of an actor in the state tree (f0...)."""

TokenAmount = NewType("TokenAmount", int)
_OF_AMOUNTS = """An amount in attoFIL (10^-18 FIL): a plain `int` that type checkers distinguish.

`Hypervisor.balance` and `Network.balance` return amounts that print in FIL (`hypervisor.text.PrintedAmount`) but
are integers too.

>>> from hypervisor import TokenAmount, fil
>>> TokenAmount(1_500_000_000_000_000_000) == 3 * fil(1) // 2
True
"""
setattr(TokenAmount, "__doc__", _OF_AMOUNTS)  # noqa: B010  # mypyc rejects direct assignment on a class

MAX_FILECOIN_BALANCE = TokenAmount((1 << 127) - 1)
"""Maximum balance in attoFIL under Filecoin's rules: its actors use signed 128-bit amounts."""

MAX_BALANCE = TokenAmount((1 << 256) - 1)
"""Maximum balance of an actor, reached under Ethereum's rules only, in which balances are 256-bit numbers."""


def fil(amount: int) -> TokenAmount:
    """Convert whole FIL to attoFIL. Raises TypeError for anything but an int.

    For 1.5 FIL, write `3 * fil(1) // 2`.

    >>> from hypervisor import fil
    >>> fil(3)
    3000000000000000000
    """
    if not isinstance(amount, int):
        raise TypeError(f"{amount!r:.40} is not a whole number of FIL: write 3 * fil(1) // 2 for 1.5 FIL")
    return TokenAmount(amount * ATTO_PER_FIL)


Gas = NewType("Gas", int)
"""Filecoin gas, the unit of messages and receipts."""

Milligas = NewType("Milligas", int)
"""1/1000 gas, the unit of charges."""

MILLIGAS_PER_GAS = 1000

ChainEpoch = NewType("ChainEpoch", int)
"""The height of a tipset."""

MethodNumber = NewType("MethodNumber", int)
"""The number of an actor's method; 0 is a bare transfer, 1 the constructor."""

BlockId = NewType("BlockId", int)
"""The handle of a block within one invocation; 0 means no block."""

NO_BLOCK = BlockId(0)
METHOD_SEND = MethodNumber(0)
METHOD_CONSTRUCTOR = MethodNumber(1)
METHOD_UPGRADE = MethodNumber(932_083)
"""Method number seen by the `upgrade` function of an actor (ref-fvm call_manager/mod.rs)."""

SYSTEM_ACTOR = ActorID(0)
INIT_ACTOR = ActorID(1)
REWARD_ACTOR = ActorID(2)
CRON_ACTOR = ActorID(3)
POWER_ACTOR = ActorID(4)
MARKET_ACTOR = ActorID(5)
VERIFIED_REGISTRY_ACTOR = ActorID(6)
DATACAP_ACTOR = ActorID(7)
EAM_ACTOR = ActorID(10)
BURNT_FUNDS_ACTOR = ActorID(99)
FIRST_DYNAMIC_ACTOR = ActorID(100)

EAM_NAMESPACE = 10
"""The f4 namespace of the Ethereum address manager, the only one whose addresses a send may create."""

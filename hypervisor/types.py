"""The scalar types of the machine's vocabulary.

They cost nothing at run time and keep units apart: attoFIL, gas, milligas, epochs. Composite values
(addresses, messages, receipts) are dataclasses in modules of their own.
"""

from typing import NewType

ATTO_PER_FIL = 10**18

ActorID = NewType("ActorID", int)
"""The number of an actor in the state tree (f0...)."""

TokenAmount = NewType("TokenAmount", int)
_OF_AMOUNTS = """An amount of money in attoFIL (10^-18 FIL): a plain `int` that type checkers keep apart.

`Hypervisor.balance` and `Network.balance` answer amounts that print in FIL (`hypervisor.printed.PrintedAmount`), which
are numbers all the same.

>>> from hypervisor import TokenAmount, fil
>>> TokenAmount(1_500_000_000_000_000_000) == 3 * fil(1) // 2
True
"""
setattr(TokenAmount, "__doc__", _OF_AMOUNTS)  # noqa: B010  # mypyc refuses the plain form: to it this is a class


def fil(amount: int) -> TokenAmount:
    """An amount of whole FIL in attoFIL. Raises TypeError for anything but an int: 1.5 FIL is `3 * fil(1) // 2`.

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
"""A thousandth of a gas, the unit in which everything is charged."""

MILLIGAS_PER_GAS = 1000

ChainEpoch = NewType("ChainEpoch", int)
"""The height of a tipset."""

MethodNumber = NewType("MethodNumber", int)
"""The number of an actor's method; 0 is a bare transfer, 1 the constructor."""

BlockId = NewType("BlockId", int)
"""The handle of a block within one invocation; 0 is 'no block'."""

NO_BLOCK = BlockId(0)
METHOD_SEND = MethodNumber(0)
METHOD_CONSTRUCTOR = MethodNumber(1)
METHOD_UPGRADE = MethodNumber(932_083)
"""What the `upgrade` of an actor finds as its method (ref-fvm call_manager/mod.rs)."""

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
"""The f4 namespace of the Ethereum address manager: the only one whose addresses may be created by a send."""

"""The installed sets of rules: lookup by machine and by name."""

from __future__ import annotations

from functools import lru_cache
from pkgutil import resolve_name

from bridge.ethereum.block import EthereumBlock
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.rules import rule_set
from localnet.rules.parts import NetworkRules


def rules_of(machine: Hypervisor) -> NetworkRules:
    """Return the rules of a machine."""
    block = machine.context.block
    if isinstance(block, EthereumBlock):
        return rules_named(machine.context.rules, block.fork, block.gas_limit)
    return rules_named(machine.context.rules)


@lru_cache
def rules_named(name: str, hardfork: str = "", gas_limit: int | None = None) -> NetworkRules:
    """Return the rules of a name, with an Ethereum fork if they have one (empty: the newest). Raises InvalidInput.

    `gas_limit` is the block gas limit, if the rules allow one to be set (None: default).
    """
    found = rule_set(name)
    labs = (name,) if found.takes_labs else ()
    rules: NetworkRules = resolve_name(found.network)(hardfork, gas_limit, *labs)
    return rules

"""A network's rules with labs on: Filecoin's, each lab changing what those before it have left."""

from __future__ import annotations

from dataclasses import replace
from pkgutil import resolve_name

from hypervisor.labs import labs_of
from localnet.rules.filecoin import filecoin_rules
from localnet.rules.parts import NetworkRules


def lab_rules(hardfork: str, gas_limit: int | None, name: str) -> NetworkRules:
    """The rules of a name `lab:NAME[=OPTION],...`. Raises InvalidInput as Filecoin's, and for an option."""
    rules = filecoin_rules(hardfork, gas_limit)
    for chosen in labs_of(name):
        if chosen.lab.network:
            option = (chosen.option,) if chosen.lab.option else ()
            rules = resolve_name(chosen.lab.network)(rules, *option)
    return replace(rules, name=name)

"""A network's rules with labs on: Filecoin's, each lab changing what those before it have left."""

from __future__ import annotations

from dataclasses import replace
from pkgutil import resolve_name

from hypervisor.labs import labs_of
from hypervisor.machine import Hypervisor
from localnet.rules.filecoin import FilecoinSettings, filecoin_rules
from localnet.rules.parts import NetworkRules


def lab_rules(hardfork: str, gas_limit: int | None, name: str) -> NetworkRules:
    """The rules of a name `lab:NAME[=OPTION],...`. Raises InvalidInput as Filecoin's, and for an option."""
    rules = replace(filecoin_rules(hardfork, gas_limit), settings=LabSettings(name))
    for chosen in labs_of(name):
        if chosen.lab.network:
            rules = resolve_name(chosen.lab.network)(rules, *chosen.given)
    return replace(rules, name=name)


class LabSettings(FilecoinSettings):
    """See `localnet.rules.parts.SettingRules`: Filecoin's, and what labs put into a new state."""

    def __init__(self, name: str) -> None:
        self._name = name

    def begin(self, machine: Hypervisor) -> None:
        """What labs have for a genesis, in the order of their names."""
        super().begin(machine)
        for chosen in labs_of(self._name):
            if chosen.lab.genesis:
                resolve_name(chosen.lab.genesis)(machine, *chosen.given)

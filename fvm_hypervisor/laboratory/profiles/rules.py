"""Filecoin's network rules with labs enabled. Each lab modifies the rules that the previous one returns."""

from __future__ import annotations

from dataclasses import replace
from pkgutil import resolve_name

from bridge.ethereum.execution import ForkFacts
from hypervisor.machine.labs import install_labs, labs_of
from hypervisor.machine.machine import Hypervisor
from hypervisor.types import Gas
from localnet.ledger.block_settings import BlockSettings
from localnet.ledger.records import Tipset
from localnet.rules.call_request import BlockOverride
from localnet.rules.filecoin import filecoin_rules
from localnet.rules.parts import NetworkRules, SettingRules


def lab_rules(hardfork: str, gas_limit: int | None, name: str) -> NetworkRules:
    """Return the rules named `lab:NAME[=OPTION],...`. Raises InvalidInput, also for an invalid option."""
    rules = filecoin_rules(hardfork, gas_limit)
    for chosen in labs_of(name):
        if chosen.lab.network:
            rules = resolve_name(chosen.lab.network)(rules, *chosen.arguments)
    return replace(rules, name=name, settings=LabSettings(rules.settings, name))


class LabSettings:
    """`localnet.rules.parts.SettingRules` that delegates to other rules and installs the labs' actors."""

    def __init__(self, inner: SettingRules, name: str) -> None:
        self._inner = inner
        self._name = name

    def prepare(self, machine: Hypervisor) -> None:
        self._inner.prepare(machine)

    def begin(self, machine: Hypervisor) -> None:
        """Initialize a state as the wrapped rules do, and install the labs' actors."""
        self._inner.begin(machine)
        install_labs(machine, self._name)

    def fork_facts(self, machine: Hypervisor) -> ForkFacts | None:
        return self._inner.fork_facts(machine)

    def first_settings(self, machine: Hypervisor) -> BlockSettings:
        return self._inner.first_settings(machine)

    def apply_settings(self, machine: Hypervisor, settings: BlockSettings) -> None:
        self._inner.apply_settings(machine, settings)

    def gas_limit_of(self, tipset: Tipset) -> Gas:
        return self._inner.gas_limit_of(tipset)

    def override_block(self, machine: Hypervisor, block: BlockOverride) -> None:
        self._inner.override_block(machine, block)

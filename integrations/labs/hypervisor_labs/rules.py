"""Filecoin's network rules with labs enabled. Each lab modifies the rules that the previous one returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pkgutil import resolve_name
from typing import Any, Generic, TypeVar

from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.rules import install_labs, labs_of
from hypervisor.messages.address import Address
from localnet.rules.filecoin import filecoin_rules
from localnet.rules.parts import BlockRules, ImplicitResult, NetworkRules, SettingRules

R = TypeVar("R")


class ExtendedRules(Generic[R]):
    """Base of a lab's rules, which delegate what they do not override to the rules that they extend."""

    def __init__(self, inner: R) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # `copy` and `pickle` ask for such names before `_inner` is set
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        return getattr(self._inner, name)


class EpochEndBlocks(ExtendedRules[BlockRules]):
    """Block rules (`localnet.rules.parts.BlockRules`) with work after the reward and cron of each epoch."""

    def __init__(self, inner: BlockRules, work: Callable[[Hypervisor], None]) -> None:
        super().__init__(inner)
        self._work = work

    def null_round(self, machine: Hypervisor) -> tuple[ImplicitResult, ...]:
        """Do the work of an epoch without a block."""
        done = self._inner.null_round(machine)
        self._work(machine)
        return done

    def end_block(self, machine: Hypervisor, producer: Address, tips: int) -> tuple[ImplicitResult, ...]:
        """Do the work after reward and cron."""
        done = self._inner.end_block(machine, producer, tips)
        self._work(machine)
        return done


def lab_rules(hardfork: str, gas_limit: int | None, name: str) -> NetworkRules:
    """Return the rules named `lab:NAME[=OPTION],...`. Raises InvalidInput, also for an invalid option."""
    rules = filecoin_rules(hardfork, gas_limit)
    for chosen in labs_of(name):
        if chosen.lab.network:
            rules = resolve_name(chosen.lab.network)(rules, *chosen.arguments)
    return replace(rules, name=name, settings=LabSettings(rules.settings, name))


class LabSettings(ExtendedRules[SettingRules]):
    """`localnet.rules.parts.SettingRules` that also install the labs' actors."""

    def __init__(self, inner: SettingRules, name: str) -> None:
        super().__init__(inner)
        self._name = name

    def begin(self, machine: Hypervisor) -> None:
        """Initialize a state as the wrapped rules do, and install the labs' actors."""
        self._inner.begin(machine)
        install_labs(machine, self._name)

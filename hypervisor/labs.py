"""Labs: experiments with what the network may become, each on by its name over Filecoin's rules, off by default.

A package registers one under the entry-point group `hypervisor.labs`: a name, and a `Lab`. Labs that are on are part
of the name of a network's rules, `lab:NAME[=OPTION][,...]`, by which folders, forks and readers know them. Nothing of a
lab is imported where it is off. How to add one: docs/labs/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pkgutil import resolve_name
from typing import Final

from hypervisor.call_manager import CallRules
from hypervisor.call_rules import FILECOIN_CALLS
from hypervisor.errors import InvalidInput
from hypervisor.executor import Executor
from hypervisor.installed import INSTALL_AGAIN, registered
from hypervisor.machine_state import MachineState

ENTRY_POINT_GROUP = "hypervisor.labs"
PREFIX: Final = "lab:"
_CHOICE: Final = re.compile(r"([a-z][a-z0-9-]{0,31})(?:=([A-Za-z0-9./_-]{1,64}))?")


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab as it is registered. Its parts are named as `module:name`, and loaded where the lab is on."""

    what: str
    """What it lets people try, in one clause."""
    network: str = ""
    """A function `(rules: NetworkRules) -> NetworkRules`: the network's rules with the lab.

    Where the lab takes an option, its text is the second argument.
    """
    genesis: str = ""
    """A function `(machine: MachineState) -> None`, called once for a new network: it puts what the lab needs into the
    first state. Where the lab takes an option, its text is the second argument.
    """
    calls: str = ""
    """A function `(rules: CallRules) -> CallRules`, called for each machine: what decides of a message's calls.

    Where the lab takes an option, its text is the second argument.
    """
    machine: str = ""
    """A function `(machine: MachineState) -> None`, called for each machine: it lets that know its code."""
    option: str = ""
    """What the text after `=` says; empty for a lab that takes none."""


@dataclass(frozen=True, slots=True)
class ChosenLab:
    """A lab that is on, with its option (empty: none was given)."""

    name: str
    option: str
    lab: Lab

    @property
    def given(self) -> tuple[str, ...]:
        """The option as an argument of the lab's functions: none where it takes none."""
        return (self.option,) if self.lab.option else ()

    def __str__(self) -> str:
        return f"{self.name}={self.option}" if self.option else self.name


def lab_names() -> tuple[str, ...]:
    """The names of the labs that are installed."""
    return tuple(sorted(registered(group=ENTRY_POINT_GROUP).names))


def lab(name: str) -> Lab:
    """The lab of a name; InvalidInput lists those that are installed."""
    for entry_point in registered(group=ENTRY_POINT_GROUP).select(name=name):
        found = entry_point.load()
        if isinstance(found, Lab):
            return found
        raise InvalidInput(f"lab '{name}' is registered as {entry_point.value}, which is not a Lab: {INSTALL_AGAIN}")
    raise InvalidInput(f"lab '{name}' is not known: choose of {_choices()}. If its page is there, {INSTALL_AGAIN}")


def rules_with_labs(choices: Iterable[str]) -> str:
    """The name of Filecoin's rules with labs on, each given as `NAME` or `NAME=OPTION`, in the order of their names.

    Raises InvalidInput for none, for one that is not known or given twice, and for an option that one does not take.
    """
    return PREFIX + ",".join(map(str, _chosen(tuple(choices))))


@lru_cache
def labs_of(rules: str) -> tuple[ChosenLab, ...]:
    """The labs that are on under the rules of a name: none where these are no `lab:...`. Raises InvalidInput."""
    return _chosen(tuple(rules.removeprefix(PREFIX).split(","))) if rules.startswith(PREFIX) else ()


def lab_executor(machine: MachineState) -> Executor:
    """The executor of a machine with labs: Filecoin's with their calls, once each has let it know its code."""
    name = machine.context.rules
    know_labs(machine, name)
    rules: CallRules = FILECOIN_CALLS
    for chosen in labs_of(name):
        if chosen.lab.calls:
            rules = resolve_name(chosen.lab.calls)(rules, *chosen.given)
    return Executor(machine, rules)


def install_labs(machine: MachineState, rules: str) -> None:
    """Put what the labs under the rules of a name need into a new network's first state."""
    for chosen in labs_of(rules):
        if chosen.lab.genesis:
            resolve_name(chosen.lab.genesis)(machine, *chosen.given)


def know_labs(machine: MachineState, rules: str) -> None:
    """Let a machine, whatever its own rules are, know the code of the labs under the rules of a name."""
    for chosen in labs_of(rules):
        if chosen.lab.machine:
            resolve_name(chosen.lab.machine)(machine)


def _choices() -> str:
    """The labs that are installed, in words. Raises InvalidInput where there is none."""
    if not lab_names():
        raise InvalidInput(f"no lab is registered: {INSTALL_AGAIN}")
    return ", ".join(lab_names())


def _chosen(choices: tuple[str, ...]) -> tuple[ChosenLab, ...]:
    if not any(choices):
        raise InvalidInput(f"the rules 'lab' are Filecoin's with labs on: name one of {_choices()}")
    found: dict[str, ChosenLab] = {}
    for choice in choices:
        parts = _CHOICE.fullmatch(choice)
        if parts is None:
            raise InvalidInput(f"'{choice:.100}' names no lab: expected NAME or NAME=OPTION, of {_choices()}")
        name, option = parts[1], parts[2] or ""
        known = lab(name)
        if option and not known.option:
            raise InvalidInput(f"lab '{name}' takes no option: leave '={option}' out")
        if name in found:
            raise InvalidInput(f"lab '{name}' is named twice: name it once")
        found[name] = ChosenLab(name, option, known)
    return tuple(found[name] for name in sorted(found))

"""Labs: optional experiments with possible changes of the network, on top of Filecoin's rules.

A package registers a lab as a `Lab` under the entry-point group `hypervisor.labs`, as integrations/labs does. Enabled
labs are part of the name of a network's rules, `lab:NAME[=OPTION][,...]`, which folders, forks and readers record. The
modules of a lab are imported only if it is enabled. See docs/labs/README.md for how to add one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pkgutil import resolve_name
from typing import Final, NamedTuple

from hypervisor.errors import InvalidInput
from hypervisor.installation import INSTALL_AGAIN, INSTALL_LABS, entry_points_of
from hypervisor.machine.call_manager import CallRules
from hypervisor.machine.call_rules import FILECOIN_CALLS
from hypervisor.machine.executor import Executor
from hypervisor.machine.machine_state import MachineState

ENTRY_POINT_GROUP = "hypervisor.labs"
PREFIX: Final = "lab:"
_CHOICE: Final = re.compile(r"([a-z][a-z0-9-]{0,31})(?:=([A-Za-z0-9./_-]{1,64}))?")


class Lab(NamedTuple):
    """A registered lab. Its parts are named as `module:name`, and loaded if the lab is enabled."""

    what: str
    """Description of the lab, in one clause."""
    network: str = ""
    """A function `(rules: NetworkRules) -> NetworkRules` that returns the network's rules with the lab.

    If the lab takes an option, its text is the second argument.
    """
    genesis: str = ""
    """A function `(machine: MachineState) -> None` that adds the lab's data to the state of a new network.

    If the lab takes an option, its text is the second argument.
    """
    calls: str = ""
    """A function `(rules: CallRules) -> CallRules`, called for each machine, that returns the call rules with the lab.

    If the lab takes an option, its text is the second argument.
    """
    machine: str = ""
    """A function `(machine: MachineState) -> None`, called for each machine, that registers the lab's code."""
    option: str = ""
    """Description of the text after `=`; empty for a lab without options."""


class ChosenLab(NamedTuple):
    """An enabled lab with its option (empty: none given)."""

    name: str
    option: str
    lab: Lab

    @property
    def arguments(self) -> tuple[str, ...]:
        """Further arguments of the lab's functions: its option, or none if the lab takes no option."""
        return (self.option,) if self.lab.option else ()

    def __str__(self) -> str:
        return f"{self.name}={self.option}" if self.option else self.name


def lab_names() -> tuple[str, ...]:
    """Return the names of the installed labs."""
    return tuple(sorted(entry_points_of(group=ENTRY_POINT_GROUP).names))


def lab(name: str) -> Lab:
    """Return the lab of a name. Raises InvalidInput with the installed labs if it is unknown."""
    for entry_point in entry_points_of(group=ENTRY_POINT_GROUP).select(name=name):
        found = entry_point.load()
        if isinstance(found, Lab):
            return found
        raise InvalidInput(f"lab '{name}' is registered as {entry_point.value}, which is not a Lab: {INSTALL_AGAIN}")
    raise InvalidInput(f"lab '{name}' is not known: choose one of {_choices()}. If it is documented, {INSTALL_LABS}")


def rules_with_labs(choices: Iterable[str]) -> str:
    """Return the name of Filecoin's rules with labs, each given as `NAME` or `NAME=OPTION`, sorted by name.

    Raises InvalidInput for an empty list, an unknown or duplicate lab, and an option for a lab without options.
    """
    return PREFIX + ",".join(map(str, _parse_choices(tuple(choices))))


@lru_cache
def labs_of(rules: str) -> tuple[ChosenLab, ...]:
    """Return the labs enabled by a rules name; empty if it is not a `lab:...` name. Raises InvalidInput."""
    return _parse_choices(tuple(rules.removeprefix(PREFIX).split(","))) if rules.startswith(PREFIX) else ()


def lab_executor(machine: MachineState) -> Executor:
    """Return the executor of a machine with labs: Filecoin's with their call rules, after registering their code."""
    name = machine.context.rules
    register_labs(machine, name)
    rules: CallRules = FILECOIN_CALLS
    for chosen in labs_of(name):
        if chosen.lab.calls:
            rules = resolve_name(chosen.lab.calls)(rules, *chosen.arguments)
    return Executor(machine, rules)


def install_labs(machine: MachineState, rules: str) -> None:
    """Add the data of the labs enabled by a rules name to the state of a new network."""
    for chosen in labs_of(rules):
        if chosen.lab.genesis:
            resolve_name(chosen.lab.genesis)(machine, *chosen.arguments)


def register_labs(machine: MachineState, rules: str) -> None:
    """Register the code of the labs enabled by a rules name, whatever the machine's own rules."""
    for chosen in labs_of(rules):
        if chosen.lab.machine:
            resolve_name(chosen.lab.machine)(machine)


def _choices() -> str:
    """Return the names of the installed labs as text. Raises InvalidInput if there are none."""
    if not lab_names():
        raise InvalidInput(f"no lab is registered: {INSTALL_LABS}")
    return ", ".join(lab_names())


def _parse_choices(choices: tuple[str, ...]) -> tuple[ChosenLab, ...]:
    if not any(choices):
        raise InvalidInput(f"the rules 'lab' require the name of a lab: expected one of {_choices()}")
    found: dict[str, ChosenLab] = {}
    for choice in choices:
        parts = _CHOICE.fullmatch(choice)
        if parts is None:
            raise InvalidInput(f"'{choice:.100}' is not a lab: expected NAME or NAME=OPTION, with one of {_choices()}")
        name, option = parts[1], parts[2] or ""
        known = lab(name)
        if option and not known.option:
            raise InvalidInput(f"lab '{name}' takes no option: omit '={option}'")
        if name in found:
            raise InvalidInput(f"lab '{name}' is named twice: name it once")
        found[name] = ChosenLab(name, option, known)
    return tuple(found[name] for name in sorted(found))

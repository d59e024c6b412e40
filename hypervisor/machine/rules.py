"""Sets of rules, labs and precompiles: what installed packages add to a machine.

A `RuleSet` checks, charges and executes messages; Filecoin's and Ethereum's are built in. A package registers one by
name under the entry-point group `hypervisor.rules`. Additional data of an epoch for such rules is stored in the field
`block` of `MachineContext`.

A `Lab` is an experiment on top of Filecoin's rules, registered under `hypervisor.labs`, as integrations/labs does.
Enabled labs are part of the name of a network's rules, `lab:NAME[=OPTION][,...]`, which folders, forks and readers
record. The modules of a lab are imported only if it is enabled. See docs/labs/README.md for how to add one.

A `Precompile`, registered under `hypervisor.precompiles`, is imported only when requested by its name, which project
files cannot do (docs/security.md). The EVM runtime validates addresses, names and modules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pkgutil import resolve_name
from typing import Final, NamedTuple, Protocol, cast

from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.installation import (
    BUILT_IN_RULES,
    INSTALL_AGAIN,
    INSTALL_LABS,
    RULES_GROUP,
    entry_points_of,
    rule_names,
)
from hypervisor.machine.call_manager import CallRules
from hypervisor.machine.call_rules import FILECOIN_CALLS
from hypervisor.machine.executor import ApplyResult, Executor
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.message import Message
from hypervisor.precompiles import Precompile, PrecompileTable
from hypervisor.versions.features import features_of


class MessageExecutor(Protocol):
    """Applies messages to a machine's state; `hypervisor.machine.executor.Executor` is the default."""

    def apply(self, message: Message, raw_length: int, implicit: bool = False) -> ApplyResult:
        """Apply one message."""


ExecutorFactory = Callable[[MachineState], MessageExecutor]


class RuleSet(NamedTuple):
    """A registered set of rules. Its parts are named as `module:name` and loaded on first use."""

    machine: str
    """An `ExecutorFactory` for machines."""
    network: str
    """A factory for the rules of a network (`localnet.rules.parts`); not used by a machine without a network."""
    takes_features: bool = False
    """True if the machine may have features of ref-fvm (`versions.features`), which extend Filecoin's rules."""
    takes_labs: bool = False
    """True if the name continues with labs (`hypervisor.machine.rules`), passed to `network` as third argument."""


# runtimes and localnet are named by string and loaded at first use, since the machine imports nothing above it
FILECOIN_RULES: Final = RuleSet(
    machine="hypervisor.machine.executor:Executor",
    network="localnet.rules.filecoin:filecoin_rules",
    takes_features=True,
)
ETHEREUM_RULES: Final = RuleSet(
    machine="runtimes.evm.revm:EthereumExecutor", network="localnet.rules.ethereum:ethereum_rules"
)
_BUILT_IN: Final = dict(zip(BUILT_IN_RULES, (FILECOIN_RULES, ETHEREUM_RULES), strict=True))


@lru_cache
def rule_set(name: str) -> RuleSet:
    """Return the set of rules of a name, including `lab:NAME,...`. Raises InvalidInput with the installed sets."""
    base, _, labs = name.partition(":")
    found = _BUILT_IN.get(base) or _registered(base)
    if found.takes_labs:
        labs_of(f"{PREFIX}{labs}")
    elif base != name:
        raise InvalidInput(f"the rules '{base}' do not support labs: omit ':{labs}', or use lab:{labs}")
    return found


def _registered(name: str) -> RuleSet:
    for entry_point in entry_points_of(group=RULES_GROUP).select(name=name):
        found = entry_point.load()
        if isinstance(found, RuleSet):
            return found
        raise InvalidInput(
            f"rules '{name}' are registered as {entry_point.value}, which is not a RuleSet: {INSTALL_AGAIN}"
        )
    remedy = f"; {INSTALL_LABS}" if name == PREFIX.rstrip(":") else ""
    raise InvalidInput(f"rules '{name}' are not known: choose one of {', '.join(rule_names())}{remedy}")


def check_features(context: MachineContext) -> None:
    """Raise InvalidInput if an overlay enables features under rules that do not support them."""
    found = features_of(context.network.overlay)
    if found and not rule_set(context.rules).takes_features:
        raise InvalidInput(f"{' and '.join(found)} requires Filecoin's rules, not '{context.rules}'")


def canonical_rules(name: str) -> str:
    """Return a name in canonical form, with sorted labs. Raises InvalidInput for unknown labs."""
    return rules_with_labs(map(str, labs_of(name))) if name.startswith(PREFIX) else name


@lru_cache
def executor_factory(rules: str) -> ExecutorFactory:
    """Return the factory of executors for a set of rules. Raises InvalidInput."""
    factory: ExecutorFactory = resolve_name(rule_set(rules).machine)
    return factory


LABS_GROUP = "hypervisor.labs"
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
    return tuple(sorted(entry_points_of(group=LABS_GROUP).names))


def lab(name: str) -> Lab:
    """Return the lab of a name. Raises InvalidInput with the installed labs if it is unknown."""
    for entry_point in entry_points_of(group=LABS_GROUP).select(name=name):
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


PRECOMPILES_GROUP = "hypervisor.precompiles"


class PrecompileRuntime(Protocol):
    """A runtime of contracts that supports user-defined precompiles."""

    def accept_precompiles(self, rows: Sequence[Precompile]) -> PrecompileTable:
        """Return a table of the precompiles, ready to run.

        Raises InvalidInput for a reserved or duplicate address or name, and InvalidModule.
        """


def precompile_names() -> tuple[str, ...]:
    """Return the names of the installed precompiles."""
    return tuple(sorted(entry_points_of(group=PRECOMPILES_GROUP).names))


def installed_precompile(name: str) -> Precompile:
    """Return the precompile that a package registers under a name. Raises InvalidInput."""
    for entry_point in entry_points_of(group=PRECOMPILES_GROUP).select(name=name):
        try:
            found = entry_point.load()
        except (ImportError, AttributeError) as error:
            raise InvalidInput(
                f"precompile '{name}' is registered as {entry_point.value}, which cannot be loaded: {error}"
            ) from None
        if isinstance(found, Precompile):
            return found
        raise InvalidInput(
            f"precompile '{name}' is registered as {entry_point.value}, which is not a Precompile: {INSTALL_AGAIN}"
        )
    known = precompile_names()
    choices = f"expected one of {', '.join(known)}" if known else f"no package registers any in '{PRECOMPILES_GROUP}'"
    raise InvalidInput(f"precompile '{name:.80}' is not installed: {choices}")


def register_precompiles(machine: MachineState, chosen: Iterable[Precompile | str]) -> None:
    """Replace the precompiles of a machine and its future forks.

    A string is the name of an installed one. Raises InvalidInput, with the machine unchanged.
    """
    rows = [installed_precompile(row) if isinstance(row, str) else row for row in chosen]
    if not rows:
        machine.context = replace(machine.context, precompiles=None)
        return
    for row in rows:
        if not isinstance(row, Precompile):
            raise InvalidInput(f"{row!r:.80} is not a precompile: expected a Precompile, or an installed one's name")
    runtime = machine.registry.runtime_for(machine.manifest.code("evm"))[1]
    if not hasattr(type(runtime), "accept_precompiles"):
        raise InvalidInput("the official EVM actor does not support user-defined precompiles; choose another evm")
    table = cast(PrecompileRuntime, runtime).accept_precompiles(rows)
    machine.context = replace(machine.context, precompiles=table)

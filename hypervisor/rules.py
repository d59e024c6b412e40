"""Sets of rules: how a message is checked, what it pays, and in which gas. Filecoin's are the machine's own.

A package registers a set under the entry-point group `hypervisor.rules`: a name, and a `RuleSet`. What such rules must
know of an epoch beyond `MachineContext` travels in its field `block`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pkgutil import resolve_name
from typing import Protocol

from hypervisor.context import FILECOIN, MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.executor import ApplyResult
from hypervisor.features import features_of
from hypervisor.installed import INSTALL_AGAIN, registered
from hypervisor.labs import PREFIX, labs_of, rules_with_labs
from hypervisor.machine_state import MachineState
from hypervisor.message import Message

ENTRY_POINT_GROUP = "hypervisor.rules"


class MessageExecutor(Protocol):
    """Applies messages to a machine's state; see `hypervisor.executor.Executor` for the default."""

    def apply(self, message: Message, raw_length: int, implicit: bool = False) -> ApplyResult:
        """Apply one message."""


ExecutorFactory = Callable[[MachineState], MessageExecutor]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A set of rules as it is registered: where its parts are, each as `module:name`; a part is loaded when used."""

    machine: str
    """What makes the executor of a machine, an `ExecutorFactory`."""
    network: str
    """What makes the rules of a network (`localnet.rules.installed`); a machine by itself needs none."""
    takes_features: bool = False
    """Whether the machine may have features of the reference (`hypervisor.features`), which are Filecoin's."""
    takes_labs: bool = False
    """Whether the name goes on with labs (`hypervisor.labs`), which `network` then gets as its third argument."""


def rule_names() -> tuple[str, ...]:
    """The names of the sets of rules that are installed, the machine's own first."""
    return tuple(sorted(registered(group=ENTRY_POINT_GROUP).names, key=lambda name: (name != FILECOIN, name)))


@lru_cache
def rule_set(name: str) -> RuleSet:
    """The set of rules of a name, `lab:NAME,...` among them; InvalidInput lists those that are installed."""
    base, _, labs = name.partition(":")
    for entry_point in registered(group=ENTRY_POINT_GROUP).select(name=base):
        found = entry_point.load()
        if isinstance(found, RuleSet):
            if found.takes_labs:
                labs_of(f"{PREFIX}{labs}")
            elif base != name:
                raise InvalidInput(f"the rules '{base}' take no labs: leave ':{labs}' out, or say lab:{labs}")
            return found
        raise InvalidInput(
            f"rules '{name}' are registered as {entry_point.value}, which is not a RuleSet: {INSTALL_AGAIN}"
        )
    if FILECOIN not in rule_names():
        raise InvalidInput(f"no rules '{FILECOIN}' are registered: {INSTALL_AGAIN}")
    raise InvalidInput(f"rules '{base}' are not known: choose one of {', '.join(rule_names())}")


def check_features(context: MachineContext) -> None:
    """Raises InvalidInput for features, which an overlay turns on, under rules that have none."""
    found = features_of(context.network.overlay)
    if found and not rule_set(context.rules).takes_features:
        raise InvalidInput(f"{' and '.join(found)} is for Filecoin's rules, not for '{context.rules}'")


def canonical_rules(name: str) -> str:
    """A name as folders keep it: labs in the order of their names. Raises InvalidInput for labs that are not known."""
    return rules_with_labs(map(str, labs_of(name))) if name.startswith(PREFIX) else name


@lru_cache
def executor_factory(rules: str) -> ExecutorFactory:
    """What makes the executor of a set of rules. Raises InvalidInput."""
    factory: ExecutorFactory = resolve_name(rule_set(rules).machine)
    return factory

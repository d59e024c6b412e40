"""Sets of rules for checking, charging and executing messages. Filecoin's and Ethereum's rules are built in.

A package registers a `RuleSet` by name under the entry-point group `hypervisor.rules`. Additional data of an epoch for
such rules is stored in the field `block` of `MachineContext`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pkgutil import resolve_name
from typing import Final, NamedTuple, Protocol

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
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.labs import PREFIX, labs_of, rules_with_labs
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.message import Message
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
    """True if the name continues with labs (`hypervisor.machine.labs`), passed to `network` as third argument."""


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

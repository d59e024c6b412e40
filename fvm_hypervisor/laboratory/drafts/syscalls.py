"""Syscalls that a draft version disables, and the built-in actors that import them.

A draft is refused if one of its built-in actors imports a disabled syscall. A call of another actor that imports one is
a fatal error, as in ref-fvm: linking fails, and the message uses its whole gas limit.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import BundleError, InvalidInput
from hypervisor.versions.network_versions import NetworkVersion
from runtimes.wasm import SYSCALL_REVISIONS, parse_module


def syscall_names(row: NetworkVersion) -> list[str]:
    """Return the syscalls of a network version without those of features, as `module.name`, sorted."""
    return sorted(".".join(key) for key in SYSCALL_REVISIONS[row.rules.abi])


def own_actors(row: NetworkVersion) -> Bundle | None:
    """Return this project's built-in actors for a network version; None if the project does not include them."""
    try:
        return Bundle.for_actors(row.actors, row.rules)
    except BundleError:
        return None


def check_syscalls(bundle: Bundle | None, disabled: Sequence[str]) -> None:
    """Raise InvalidInput if a built-in actor imports a disabled syscall, naming both."""
    if bundle is None or not disabled:
        return
    modules = dict(bundle.blocks)
    for name, code in zip(ACTOR_NAMES, bundle.manifest.codes, strict=False):
        for item in parse_module(modules[code]).imported_functions:
            syscall = f"{item.module}.{item.name}"
            if syscall in disabled:
                raise InvalidInput(
                    f"[syscalls] disables {syscall}, which the actor {name} imports: remove it from `disable`, or name "
                    f"a module for {name} that does not import it in [actors]"
                )

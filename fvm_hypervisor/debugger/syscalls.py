"""Names and parameters of syscalls, read from the handlers in the syscall table."""

from __future__ import annotations

import inspect
from functools import cache

from runtimes.wasm import SYSCALL_REVISIONS


@cache
def argument_names(name: str) -> tuple[str, ...]:
    """Return the parameters of `module::name` in the newest revision that has it, starting with the result pointer."""
    module, _, function = name.partition("::")
    for revision in SYSCALL_REVISIONS.values():
        syscall = revision.get((module, function))
        if syscall is not None:
            names = list(inspect.signature(syscall.handler).parameters)[1:]
            return (*(["result"] if syscall.result else []), *names)
    return ()


def syscall_names() -> list[str]:
    """Return all syscalls as `module::name`."""
    return sorted({"::".join(key) for revision in SYSCALL_REVISIONS.values() for key in revision})

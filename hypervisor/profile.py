"""A profile of a message's native actors: each invocation's functions and syscalls as a tree, with their gas.

What runs them so is a runtime of its own (`PROFILING`), found by its entry point as any: `profiled` puts it in the
place of the native one for one machine. Charges and results are those of a plain run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Final, Protocol, cast

from hypervisor.registry import NATIVE, Registry, RuntimeFactory
from hypervisor.runtime import Runtime
from hypervisor.types import ActorID, MethodNumber
from store.cid import Cid

PROFILING: Final = "wasm-profiled"
"""The name of the runtime that profiles native actors."""


@dataclass(slots=True)
class ProfileNode:
    """A function or a syscall in the tree of calls: milligas of its own, how often, what it calls.

    A syscall's own gas is what the invocations under it do not have; `invocations` are those.
    """

    label: str
    is_syscall: bool = False
    milligas: int = 0
    count: int = 0
    calls: list[ProfileNode] = field(default_factory=list)
    invocations: list[ProfiledInvocation] = field(default_factory=list)


@dataclass(slots=True)
class ProfiledInvocation:
    """One invocation of an actor: its functions' tree, what it took, and what its syscalls took themselves."""

    actor: ActorID
    method: MethodNumber
    code: Cid
    root: ProfileNode
    milligas: int = 0
    """All that it took, with what it called, once it is over."""
    room: int = 0
    """Bytes that the guest's memory may have."""
    nested_ns: int = 0
    total_ns: int = 0
    syscall_ns: dict[str, int] = field(default_factory=dict)
    begun: int = 0
    place: Callable[[], int] | None = None
    """Where in its tree the guest is, while it runs."""
    functions: Callable[[], list[str]] | None = None
    """The functions that it is in, the innermost first, while it runs."""
    under: list[tuple[int, ProfiledInvocation]] = field(default_factory=list)
    """What it calls, with the node of the syscall that did."""


class ProfileRecorder:
    """The invocations of a message, in the order in which they began; `roots` are those that no native actor made."""

    def __init__(self) -> None:
        self.roots: list[ProfiledInvocation] = []
        self.open: list[ProfiledInvocation] = []

    def begin(self, invocation: ProfiledInvocation) -> None:
        """An invocation begins."""
        if self.open:
            around = self.open[-1]
            around.under.append((0 if around.place is None else around.place(), invocation))
        else:
            self.roots.append(invocation)
        self.open.append(invocation)

    def end(self) -> None:
        """The innermost invocation is over."""
        ended = self.open.pop()
        ended.total_ns = perf_counter_ns() - ended.begun
        ended.place = ended.functions = None
        if self.open:
            self.open[-1].nested_ns += ended.total_ns


class RecordingRuntime(Runtime, Protocol):
    """A runtime that keeps what it profiles."""

    recorder: ProfileRecorder


class _ProfiledRegistry(Registry):
    """A registry whose native runtime is profiled; all else is that of another registry, and what stands before it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        native = cast(RecordingRuntime, registry.make(PROFILING))
        self._native = registry.wrapped(NATIVE, native)
        self.recorder = native.recorder

    @property
    def options(self) -> Mapping[str, str]:
        return self._registry.options

    def runtime_for(self, code: Cid) -> tuple[str, Runtime]:
        name, runtime = self._registry.runtime_for(code)
        return (name, self._native) if name == NATIVE else (name, runtime)

    def make(self, name: str) -> Runtime:
        return self._registry.make(name)

    def override(self, code: Cid, name: str, factory: RuntimeFactory | None = None) -> None:
        self._registry.override(code, name, factory)

    def wrap(self, name: str, wrapper: Callable[[Runtime], Runtime], *, once: bool = False) -> None:
        self._registry.wrap(name, wrapper, once=once)

    def wrapped(self, name: str, runtime: Runtime) -> Runtime:
        return self._registry.wrapped(name, runtime)

    def names(self) -> Mapping[Cid, str]:
        return self._registry.names()


class HasRuntimes(Protocol):
    """A machine, as far as it is needed here."""

    registry: Registry


@contextmanager
def profiled(machine: HasRuntimes) -> Iterator[ProfileRecorder]:
    """Profile the native actors of what a machine executes from here on, until the block ends."""
    plain = machine.registry
    machine.registry = registry = _ProfiledRegistry(plain)
    try:
        yield registry.recorder
    finally:
        machine.registry = plain

"""Profiles of native actors: functions and syscalls of each invocation as a tree, with their gas; executed blocks.

A separate runtime (`PROFILING`), found by its name in `registry`, executes the actors; `profile_actors` substitutes it
for the native one of a machine. Charges and results are the same as without profiling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Final, Protocol, cast

from hypervisor.bundles.manifest import Manifest
from hypervisor.kernel.call import CodeTraits
from hypervisor.machine.registry import NATIVE, ReadCode, Registry, Runtime, RuntimeFactory
from hypervisor.types import ActorID, MethodNumber
from store.cid import Cid, show

PROFILING: Final = "wasm-profiled"
"""Name of the runtime that profiles native actors."""


@dataclass(slots=True)
class ProfileNode:
    """A function or syscall in the call tree: its own milligas, number of calls, and callees.

    A syscall's own gas excludes that of the `invocations` below it.
    """

    label: str
    is_syscall: bool = False
    milligas: int = 0
    count: int = 0
    calls: list[ProfileNode] = field(default_factory=list)
    invocations: list[ProfiledInvocation] = field(default_factory=list)


@dataclass(slots=True)
class ProfiledInvocation:
    """An invocation of an actor: its call tree, its total cost, and the time of its syscalls."""

    actor: ActorID
    method: MethodNumber
    code: Cid
    root: ProfileNode
    milligas: int = 0
    """Total gas of the finished invocation in milligas, including its callees."""
    max_memory_bytes: int = 0
    """Maximum size of the guest's memory in bytes."""
    nested_ns: int = 0
    total_ns: int = 0
    syscall_ns: dict[str, int] = field(default_factory=dict)
    begun: int = 0
    current_node: Callable[[], int] | None = None
    """Callback that returns the guest's current node in the tree; set while it runs."""
    functions: Callable[[], list[str]] | None = None
    """Callback that returns the guest's active functions, innermost first; set while it runs."""
    under: list[tuple[int, ProfiledInvocation]] = field(default_factory=list)
    """Invocations made by this one, each after the node of the syscall that made it."""


def union(one: bytes, other: bytes) -> bytes:
    """Return the blocks that one of two runs has executed (`ProfileRecorder.blocks`)."""
    return (int.from_bytes(one, "big") | int.from_bytes(other, "big")).to_bytes(len(other), "big")


class ProfileRecorder:
    """Invocations in the order in which they began; `roots` are not called by native actors."""

    def __init__(self) -> None:
        self.roots: list[ProfiledInvocation] = []
        self.open: list[ProfiledInvocation] = []
        self.blocks: dict[Cid, bytes] = {}
        """Executed blocks by code: byte n is 1 if block n has begun."""
        self.growths = 0
        """Number of invocations that have executed blocks for the first time."""
        self.modules: dict[Cid, tuple[str, bytes]] = {}
        """Names and modules of the profiled code."""
        self.name_of: Callable[[Cid], str] = show
        self.keeps_calls = True
        """False if only `blocks` are recorded."""

    def cover(self, code: Cid, blocks: bytes) -> None:
        """Record the blocks that an invocation executed, a byte for each."""
        before = self.blocks.get(code, b"")
        self.blocks[code] = union(before, blocks)
        self.growths += self.blocks[code] != before

    def begin(self, invocation: ProfiledInvocation) -> None:
        if not self.keeps_calls:
            return
        if self.open:
            around = self.open[-1]
            node = 0 if around.current_node is None else around.current_node()
            around.under.append((node, invocation))
        else:
            self.roots.append(invocation)
        self.open.append(invocation)

    def end(self) -> None:
        """Record the end of the innermost invocation."""
        if not self.keeps_calls:
            return
        ended = self.open.pop()
        ended.total_ns = perf_counter_ns() - ended.begun
        ended.current_node = ended.functions = None
        if self.open:
            self.open[-1].nested_ns += ended.total_ns


class RecordingRuntime(Runtime, Protocol):
    """A runtime that records profiles."""

    recorder: ProfileRecorder


class _ProfiledRegistry(Registry):
    """A registry with a profiled native runtime that delegates to another registry for everything else."""

    def __init__(self, registry: Registry, profiles: Callable[[Cid], bool] = lambda _: True) -> None:
        """`profiles` returns True for the codes to profile."""
        self._registry = registry
        self._profiles = profiles
        native = cast(RecordingRuntime, registry.make(PROFILING))
        self._native = registry.apply_wrappers(NATIVE, native)
        self.recorder = native.recorder

    @property
    def options(self) -> Mapping[str, str]:
        return self._registry.options

    def runtime_for(self, code: Cid, read: ReadCode | None = None) -> tuple[str, Runtime]:
        name, runtime = self._registry.runtime_for(code, read)
        return (name, self._native) if name == NATIVE and self._profiles(code) else (name, runtime)

    def traits(self, code: Cid, read: ReadCode) -> CodeTraits:
        return self._registry.traits(code, read)

    def make(self, name: str) -> Runtime:
        return self._registry.make(name)

    def override(self, code: Cid, name: str, factory: RuntimeFactory | None = None) -> None:
        self._registry.override(code, name, factory)

    def wrap(self, name: str, wrapper: Callable[[Runtime], Runtime], *, once: bool = False) -> None:
        self._registry.wrap(name, wrapper, once=once)

    def apply_wrappers(self, name: str, runtime: Runtime) -> Runtime:
        return self._registry.apply_wrappers(name, runtime)

    def names(self) -> Mapping[Cid, str]:
        return self._registry.names()


class HasRuntimes(Protocol):
    """The part of a machine that profiling needs."""

    registry: Registry


@contextmanager
def profile_actors(machine: HasRuntimes) -> Iterator[ProfileRecorder]:
    """Profile the native actors that a machine executes within this context."""
    plain = machine.registry
    machine.registry = registry = _ProfiledRegistry(plain)
    try:
        yield registry.recorder
    finally:
        machine.registry = plain


class HasActors(HasRuntimes, Protocol):
    """The part of a machine that coverage needs."""

    @property
    def manifest(self) -> Manifest:
        """The manifest of the built-in actors."""

    def name_of(self, code: Cid) -> str:
        """Return the name of code."""


def cover_actors(machine: HasActors, *, built_in: bool = False) -> ProfileRecorder:
    """Record from now on which blocks a machine executes of native actors; of built-in ones only if `built_in`.

    Its forks may run on other threads meanwhile. A second call returns the first one's recorder.
    """
    known = machine.registry
    if isinstance(known, _ProfiledRegistry) and not known.recorder.keeps_calls:
        return known.recorder
    machine.registry = registry = _ProfiledRegistry(
        known, lambda code: built_in or machine.manifest.name_of(code) is None
    )
    registry.recorder.keeps_calls, registry.recorder.name_of = False, machine.name_of
    return registry.recorder

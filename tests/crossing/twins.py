"""Two machines with the native actors, and the observable result of a tree's execution."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hypervisor.bundles.bundle import Bundle
from hypervisor.tracing import CallNode, Recorder, call_tree
from tests.crossing.puppet import puppet
from tests.crossing.trees import FUNDS, PUPPETS, Tree
from tests.differential.twins import RUNNERS, Compared, Twin, Twins
from tests.runtimes.wasm.guests import install_actor

RAN, CROSSED, TWICE = "ran on both", "crossed the border", "crossed it twice or more"
BELOW = "refused below a border"
STAGES: Final = (RAN, CROSSED, BELOW, TWICE)


class Stage(Twin):
    """A machine with the native actors."""

    def __init__(self, bundle: Bundle, evm: str) -> None:
        super().__init__(bundle, evm)
        for actor in PUPPETS:
            install_actor(self.machine, puppet(), actor, FUNDS)
        self._empty = self.machine.snapshot()

    @contextmanager
    def recorded(self) -> Iterator[list[CallNode]]:
        """Collect the call trees of messages applied inside the context."""
        recorder = self.machine.tracer = Recorder()
        trees: list[CallNode] = []
        try:
            yield trees
        finally:
            self.machine.tracer = None
            trees += call_tree(recorder.events)


class Stages(Twins):
    """Both machines."""

    def __init__(self, bundle: Bundle, runners: tuple[str, str] = RUNNERS) -> None:
        self.ours, self.official = (Stage(bundle, evm) for evm in runners)

    def execute(self, tree: Tree) -> tuple[Compared, Counter[str]]:
        """Execute a tree on both machines; return the results and the call counts."""
        assert isinstance(self.ours, Stage)
        with self.ours.recorded() as calls:
            compared = self.compare(tree.case)
        return compared, call_counts(calls)


def call_counts(calls: list[CallNode]) -> Counter[str]:
    """Return counts of call trees: calls, calls to the other runtime, and calls rejected below such a call."""
    found: Counter[str] = Counter()
    open_ = [(node, "", 0) for node in calls]  # the sender has no runtime
    while open_:
        node, above, borders = open_.pop()
        runtime = node.runtime or above
        crosses = bool(node.runtime) and bool(above) and runtime != above
        borders += crosses
        found["calls"] += 1
        found["crossings"] += crosses
        found["deepest"] = max(found["deepest"], borders)
        found["refused below"] += bool(borders) and not node.succeeded
        open_ += [(child, runtime, borders) for child in node.calls]
    return found


def stages(found: Counter[str]) -> list[str]:
    """Return the record stages that a tree has passed."""
    passed = (True, found["crossings"] >= 1, found["refused below"] >= 1, found["crossings"] >= 2)
    return [name for name, reached in zip(STAGES, passed, strict=True) if reached]

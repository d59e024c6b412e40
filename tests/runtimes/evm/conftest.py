"""What several tests of the EVM runtime watch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from runtimes.evm.fast.engine import FastEngine


@pytest.fixture
def trees(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many trees have ended, and how many were left."""
    counted: Counter[str] = Counter()
    run = FastEngine._run_tree

    def watched(self: FastEngine, *given: Any) -> Any:
        ended = run(self, *given)
        counted["left" if ended is None else "ended"] += 1
        return ended

    monkeypatch.setattr(FastEngine, "_run_tree", watched)
    return counted

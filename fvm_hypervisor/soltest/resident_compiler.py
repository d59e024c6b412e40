"""npm's compiler as a process that stays alive between the runs of `--watch`.

Most of a short compilation is start-up: Node.js, the compiler's module, and code that runs for the first time. A second
compilation in the same process takes little more than half the time.
"""

from __future__ import annotations

from typing import Final

from fvm_hypervisor.soltest.compile.compiler import CompilerRun, Solc

_MAX_COMPILATIONS: Final = 32
"""Number of compilations after which the process is replaced, because its memory never shrinks."""


class ResidentCompiler:
    """At most one process, of the compiler that was requested last."""

    def __init__(self) -> None:
        self._run: CompilerRun | None = None
        self._uses = 0

    def run(self, solc: Solc) -> CompilerRun:
        """Return the process of npm's compiler `solc`, started if necessary. Raises InvalidInput without Node.js."""
        run = self._run
        if run is None or run.solc != solc or run.has_ended or self._uses >= _MAX_COMPILATIONS:
            self.close()
            run = self._run = CompilerRun(solc, repeats=True)
        self._uses += 1
        return run

    def close(self) -> None:
        """End the process."""
        if self._run is not None:
            self._run.discard()
        self._run, self._uses = None, 0

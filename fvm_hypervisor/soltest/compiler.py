"""A Solidity compiler as a process that takes standard JSON: npm's release in Node.js, or a native program.

solc_choice.py chooses it; compiling.py says what it is asked for.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from fvm_hypervisor.soltest.solc_packages import find_program
from hypervisor.errors import HypervisorError

_SCRIPT: Final = Path(__file__).with_name("solc.mjs")
_NODE_OPTIONS: Final = ("--stack-size=4000", "--max-old-space-size=6144")
_ENVIRONMENT: Final = ("PATH", "SYSTEMROOT", "TMPDIR")
"""Variables that a compiler sees: no NODE_OPTIONS, which may name code to run, and no secret."""


class CompileError(HypervisorError):
    """The compiler refused; its words."""

    has_lines = True


@dataclass(frozen=True, slots=True)
class Solc:
    """A compiler: npm's `soljson.js`, or a program that takes standard JSON."""

    version: str
    path: Path
    is_javascript: bool
    origin: str = ""
    """Where it was found, in words for people; empty for a program that the user or the project names."""

    def start(self) -> CompilerRun:
        """A process of it. Raises InvalidInput where there is no Node.js."""
        return CompilerRun(self)


class CompilerRun:
    """A process of a compiler that waits for what it is asked, once: npm's needs a while before it can read that."""

    def __init__(self, solc: Solc) -> None:
        """Start it. Raises InvalidInput where there is no Node.js."""
        self.solc = solc
        environment, folder = dict(os.environ), None
        if solc.is_javascript:
            node = find_program("node", "install Node.js 20 or newer, or name a solc program with --use")
            command = [node, *_NODE_OPTIONS, str(_SCRIPT), str(solc.path)]
        else:
            command = [str(solc.path), "--standard-json"]
        if solc.is_javascript or solc.origin:
            environment = {name: environment[name] for name in _ENVIRONMENT if name in environment}
            folder = solc.path.parent
        self._process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, env=environment
        )

    def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer to standard JSON, after which it has ended. Raises CompileError where it gives none."""
        name = f"{self.solc.path}, which says it is solc {self.solc.version}"
        with self._process:
            try:
                output, errors = self._process.communicate(orjson.dumps(asked))
            except BaseException:
                self.stop()
                raise
        try:
            answer = orjson.loads(output)
        except orjson.JSONDecodeError:
            words = errors.decode("utf-8", "replace").strip()[-2000:]
            ended = self._process.returncode
            raise CompileError(f"{name}, answered no JSON; it ended with {ended}: {words or 'no words'}") from None
        if not isinstance(answer, dict):
            raise CompileError(f"{name}, answered no object")
        return answer

    def stop(self) -> None:
        """End it, if it still runs; who asks it gets no answer."""
        if self._process.poll() is None:
            self._process.kill()

    def drop(self) -> None:
        """End it unasked."""
        with self._process:
            self.stop()

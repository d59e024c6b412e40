"""A compiler that replays solc's recorded answers, so that tests of mutants need none.

python -m tests.hypervisor_tools.soltest.mutate.recorded     record them (needs a compiler)
"""

import json
import lzma
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from hypervisor_tools.soltest.compile.compiler import CompilerRun
from hypervisor_tools.soltest.compile.solc import SolcChoice
from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.mutate.results import MutationResult
from hypervisor_tools.soltest.mutate.run import MutationRun
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.project.test_settings import MutationSettings
from tests.hypervisor_tools.soltest.mutate.replay import RECORD, key

PROJECT: Final = Path(__file__).parent / "project"
INPUTS: Final = Path(__file__).parent / "inputs"
"""A project whose tests read a file and an environment variable."""
OPERATORS: Final = Path(__file__).parent / "Operators.sol"


def compiler(folder: Path, dies: str = "", hangs: str = "", record: Path = RECORD) -> Path:
    """Write a program that acts as solc (`replay`)."""
    program, replay = folder / "solc", Path(__file__).with_name("replay.py")
    words = shlex.join([sys.executable, "-IS", str(replay), str(record), dies, hangs])
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return program


def operators_input() -> dict[str, Any]:
    """Return the compiler's input for the syntax tree of `OPERATORS`."""
    selection = {"outputSelection": {"*": {"": ["ast"]}}}
    text = OPERATORS.read_text(encoding="utf-8")
    return {"language": "Solidity", "sources": {"Operators.sol": {"content": text}}, "settings": selection}


def copied(folder: Path, project: Path = PROJECT) -> Path:
    """Return a copy of a project."""
    shutil.copytree(project, folder / "project")
    return folder / "project"


def mutated(
    root: Path, use: str | None, settings: MutationSettings | None = None, wanted: SuiteFilter | None = None
) -> MutationResult:
    """Return the results of mutation tests of a project."""
    chosen = Options(use=use, workers=2)
    return MutationRun(load_project(root), wanted or SuiteFilter(), chosen, settings or MutationSettings(jobs=2)).run()


@contextmanager
def recording(record: Path) -> Iterator[None]:
    """Record the answers to all inputs of the block."""
    results: dict[str, Any] = {}
    originals = {name: getattr(CompilerRun, name) for name in ("compile", "compile_next")}

    def recorded(name: str) -> Any:
        def run_and_record(run: CompilerRun, source_json: Any, seconds: float | None = None) -> dict[str, Any]:
            result: dict[str, Any] = originals[name](run, source_json, seconds)
            results[key(source_json)] = result
            return result

        return patch.object(CompilerRun, name, run_and_record)

    with recorded("compile"), recorded("compile_next"):
        yield
    record.write_bytes(lzma.compress(json.dumps(results, sort_keys=True).encode(), preset=9))


def main() -> None:
    """Record the answers to all inputs of a run."""
    with tempfile.TemporaryDirectory() as folder, recording(RECORD):
        found = mutated(copied(Path(folder) / "project"), None)
        inputs = copied(Path(folder) / "inputs", INPUTS)
        (inputs / "expected.txt").touch()
        mutated(inputs, None)
        SolcChoice(load_project(PROJECT)).solc().start().compile(operators_input())
    for result in found.results:
        mutant = result.mutant
        sys.stdout.write(
            f"{mutant.line} {mutant.operator} {mutant.original} -> {mutant.replacement}: {result.status.value}\n"
        )


if __name__ == "__main__":
    main()

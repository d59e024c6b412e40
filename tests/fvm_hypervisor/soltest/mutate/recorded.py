"""A compiler that replays solc's recorded answers, so that tests of mutants need none.

python -m tests.fvm_hypervisor.soltest.mutate.recorded     record them (needs a compiler)
"""

from __future__ import annotations

import json
import lzma
import shutil
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from fvm_hypervisor.soltest.compiler import CompilerRun
from fvm_hypervisor.soltest.discovery import SuiteFilter
from fvm_hypervisor.soltest.job import Options
from fvm_hypervisor.soltest.mutate.results import MutationResult
from fvm_hypervisor.soltest.mutate.run import MutationRun
from fvm_hypervisor.soltest.mutation_settings import MutationSettings
from fvm_hypervisor.soltest.project import load_project
from fvm_hypervisor.soltest.solc_choice import SolcChoice

PROJECT: Final = Path(__file__).parent / "project"
OPERATORS: Final = Path(__file__).parent / "Operators.sol"
RECORD: Final = Path(__file__).parent / "solc.json.xz"
_PROGRAM: Final = """#!{python}
import sys
sys.path.insert(0, {root!r})
from tests.fvm_hypervisor.soltest.mutate.recorded import replay
replay(sys.argv[1:], {dies!r}, {hangs!r})
"""


def key(compiler_input: dict[str, Any]) -> str:
    """Return the key of an input."""
    return sha256(json.dumps(compiler_input, sort_keys=True).encode()).hexdigest()


def replay(arguments: list[str], dies: str | None, hangs: str | None) -> None:
    """Act as solc: print the version, or the recorded answer to the input.

    For a source with the text `dies` it ends without an answer; with `hangs` it does not end.
    """
    if arguments == ["--version"]:
        sys.stdout.write("Version: 0.8.30+commit.73712a01\n")
        return
    asked = json.load(sys.stdin)
    texts = [source["content"] for source in asked["sources"].values()]
    if dies is not None and any(dies in text for text in texts):
        sys.exit("out of memory")
    while hangs is not None and any(hangs in text for text in texts):
        time.sleep(1)
    sys.stdout.write(json.dumps(answer_of(asked)))


def compiler(folder: Path, dies: str | None = None, hangs: str | None = None) -> Path:
    """Write a program that acts as solc (`replay`)."""
    program = folder / "solc"
    root = str(Path(__file__).parents[4])
    program.write_text(_PROGRAM.format(python=sys.executable, root=root, dies=dies, hangs=hangs), encoding="utf-8")
    program.chmod(0o755)
    return program


def operators_input() -> dict[str, Any]:
    """Return the compiler's input for the syntax tree of `OPERATORS`."""
    selection = {"outputSelection": {"*": {"": ["ast"]}}}
    text = OPERATORS.read_text(encoding="utf-8")
    return {"language": "Solidity", "sources": {"Operators.sol": {"content": text}}, "settings": selection}


def answer_of(compiler_input: dict[str, Any]) -> dict[str, Any]:
    """Return the recorded answer to an input."""
    answers: dict[str, Any] = json.loads(lzma.decompress(RECORD.read_bytes()))
    found: dict[str, Any] = answers[key(compiler_input)]
    return found


def copied(folder: Path) -> Path:
    """Return a copy of the project."""
    shutil.copytree(PROJECT, folder / "project")
    return folder / "project"


def mutated(
    root: Path, use: str | None, settings: MutationSettings | None = None, only: str | None = None
) -> MutationResult:
    """Return the results of mutation tests of a project."""
    chosen = Options(use=use, workers=2)
    return MutationRun(load_project(root), SuiteFilter(test=only), chosen, settings or MutationSettings(jobs=2)).run()


def main() -> None:
    """Record the answers to all inputs of a run."""
    answers: dict[str, Any] = {}
    compile_once = CompilerRun.compile

    def record(run: CompilerRun, source_json: Any, seconds: float | None = None) -> dict[str, Any]:
        answer = compile_once(run, source_json, seconds)
        answers[key(source_json)] = answer
        return answer

    with tempfile.TemporaryDirectory() as folder, patch.object(CompilerRun, "compile", record):
        found = mutated(copied(Path(folder)), None)
        SolcChoice(load_project(PROJECT)).solc().start().compile(operators_input())
    RECORD.write_bytes(lzma.compress(json.dumps(answers, sort_keys=True).encode(), preset=9))
    for result in found.results:
        mutant = result.mutant
        sys.stdout.write(
            f"{mutant.line} {mutant.operator} {mutant.original} -> {mutant.replacement}: {result.status.value}\n"
        )


if __name__ == "__main__":
    main()

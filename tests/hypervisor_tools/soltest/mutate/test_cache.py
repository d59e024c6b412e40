"""Cached results of mutants. Their keys depend on sources, settings, options and tests only."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypervisor.precompiles import Precompile
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.compile.compiler import Solc
from hypervisor_tools.soltest.execution.discovery import Suite, TestFunction
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import CaseKind
from hypervisor_tools.soltest.mutate.builds import MutantCompiler
from hypervisor_tools.soltest.mutate.operators import Mutant
from hypervisor_tools.soltest.mutate.results import MutantResult, MutantStatus, MutationCache
from hypervisor_tools.soltest.project.consent import Consent, Grant
from hypervisor_tools.soltest.project.project import CompilerSettings, FuzzSettings, Project
from hypervisor_tools.soltest.project.sources import Sources
from hypervisor_tools.soltest.project.test_settings import MutationConfig

TEXTS = {"src/A.sol": "contract A { 1; }", "src/B.sol": "contract B {}", "test/A.t.sol": "contract ATest {}"}
MUTANT = Mutant("src/A.sol", "A", "literal", 13, "1", "0", 1, 14, ())
MODULE = Precompile("one", f"0x{'0d' * 20}", 60, module=b"\0asm\1\0\0\0")
TEST = TestFunction("testA", "testA()", {}, CaseKind.UNIT)


def cache(
    root: Path, texts: dict[str, str] = TEXTS, solc: str = "0.8.30", options: Options | None = None,
    change: Callable[[Project], Project] = lambda project: project, **job: Any,
) -> MutationCache:  # fmt: skip
    project = change(Project(root))
    sources = Sources(texts, frozenset(texts), (), {"test/A.t.sol": ("src/A.sol",)})
    compiler = MutantCompiler(project, sources, Solc(solc, root / "solc", False), Artifacts(root, (), {}), 1.0)
    return MutationCache.of(project, compiler, Job(project, [], {}, options or Options(), **job))


def key(found: MutationCache, mutant: Mutant = MUTANT, *tests: TestFunction) -> str:
    return found.key(mutant, [Suite("test/A.t.sol", "ATest", tests or (TEST,))])


def test_key_depends_on_sources_settings_options_and_tests(tmp_path: Path) -> None:
    other = replace(TEST, signature="testB()")
    keys = [
        key(cache(tmp_path)),
        key(cache(tmp_path, {**TEXTS, "src/A.sol": "contract A { 1 ; }"})),
        key(cache(tmp_path, {**TEXTS, "test/A.t.sol": "contract ATest { }"})),
        key(cache(tmp_path), replace(MUTANT, replacement="2")),
        key(cache(tmp_path), MUTANT, TEST, other),
        key(cache(tmp_path, solc="0.8.29")),
        key(cache(tmp_path, options=Options(rules="filecoin"))),
        key(cache(tmp_path, change=lambda project: replace(project, compiler=CompilerSettings(via_ir=True)))),
        key(cache(tmp_path, change=lambda project: replace(project, fuzz=FuzzSettings(runs=7)))),
        key(cache(tmp_path, change=lambda project: replace(project, gas_limit=7))),
        key(cache(tmp_path, change=lambda project: replace(project, precompiles=(MODULE,)))),
        key(
            cache(
                tmp_path,
                change=lambda project: replace(project, precompiles=(replace(MODULE, module=b"\0asm\1\0\0\0\0"),)),
            )
        ),
        key(cache(tmp_path, network=27)),
        key(cache(tmp_path, seed=7)),
    ]
    assert len(set(keys)) == len(keys)


def test_key_is_independent_of_unrelated_sources_and_options(tmp_path: Path) -> None:
    first = key(cache(tmp_path))
    assert key(cache(tmp_path, {**TEXTS, "src/B.sol": "contract B { }"})) == first
    assert key(cache(tmp_path / "moved")) == first
    assert key(cache(tmp_path, options=Options(workers=7))) == first
    granted = Grant(frozenset({Consent.SOLC, Consent.FFI}))
    assert key(cache(tmp_path, change=lambda project: replace(project, consent=granted))) == first
    fewer = MutationConfig(operators=("literal",))
    assert key(cache(tmp_path, change=lambda project: replace(project, mutation=fewer))) == first


def test_unstable_results_are_not_cached(tmp_path: Path) -> None:
    found = cache(tmp_path)
    late = MutantResult(MUTANT, MutantStatus.TIMED_OUT, is_stable=False)
    killed = MutantResult(MUTANT, MutantStatus.KILLED, "T.testA()")
    found.put({"a": late, "b": killed})
    again = cache(tmp_path)
    assert again.get("a", MUTANT) is None
    assert again.get("b", MUTANT) == replace(killed, is_cached=True)
    again.put({"c": killed})
    assert cache(tmp_path).get("b", MUTANT) is not None
    assert cache(tmp_path, change=lambda project: replace(project, force=True)).get("b", MUTANT) is None


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"b": 1}', b'{"b": ["gone", ""]}', b"\xff"])
def test_a_damaged_cache_is_ignored(tmp_path: Path, content: bytes) -> None:
    cache(tmp_path).put({"b": MutantResult(MUTANT, MutantStatus.KILLED)})
    (file,) = tmp_path.rglob("mutations.json")
    file.write_bytes(content)
    assert cache(tmp_path).get("b", MUTANT) is None

"""Options and keys of forge 1.8 that tune campaigns, solvers and profiles; they are refused, or have no effect.

Tests run with any of them in foundry.toml, with a warning. Source: foundry at 2a5df2c4, compared with the tag v1.7.1:
the arguments of `forge test` (crates/forge/src/cmd/test, crates/cli/src/opts) and crates/config/src.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

_KINDS: Final = ("fuzz", "invariant")
_OPERATORS: Final = ("splice", "repeat", "interleave", "prefix", "suffix", "abi", "cmp")
_WEIGHTS: Final = (
    "corpus_random_sequence_weight", "payable_value_weight", *(f"mutation_weight_{name}" for name in _OPERATORS),
)  # fmt: skip
_EDGES: Final = ("evm_edge_coverage_collision_free", "evm_edge_coverage_include_call_depth")


class TuningGroup(NamedTuple):
    """Options and keys with one reason."""

    title: str
    reason: str
    options: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


def _options(prefix: str, names: str) -> tuple[str, ...]:
    return tuple(f"--{prefix}{name}" for name in names.split())


def _of_both(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"--{kind}-{name.replace('_', '-')}" for kind in _KINDS for name in names)


def _keys(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{kind}.{name}" for kind in _KINDS for name in names)


GROUPS: Final = (
    TuningGroup(
        "dictionaries", "set dictionary_weight or max_fuzz_dictionary_* under [fuzz] or [invariant] in foundry.toml",
        _of_both(("dictionary_weight", "dictionary_addresses", "dictionary_values", "dictionary_literals")),
    ),
    TuningGroup(
        "corpora", "set corpus_dir under [fuzz] or [invariant] in foundry.toml", _of_both(("corpus_dir",))
    ),
    TuningGroup("weights", "inputs are drawn with fixed weights", _of_both(_WEIGHTS), _keys(_WEIGHTS)),
    TuningGroup(
        "edges", "edges are counted by jump destination and number of visits", keys=_keys(_EDGES)
    ),
    TuningGroup(
        "frontiers", "branches that no input has taken are not stored",
        _options("fuzz-", "frontier-dir frontier-limit"), _keys(("frontier_dir", "frontier_limit")),
    ),
    TuningGroup(
        "one case", "a failure names its seed and its input: pass --fuzz-seed, or run the stored failure again",
        _options("fuzz-", "run worker"), ("fuzz.run", "fuzz.worker"),
    ),
    TuningGroup(
        "campaigns", "an invariant test runs in one process, with sequences of --invariant-depth calls",
        _options("invariant-", "workers min-depth depth-mode"),
        ("invariant.workers", "invariant.min_depth", "invariant.depth_mode"),
    ),
    TuningGroup(
        "coverage maps", "--report lcov writes the coverage of tests", _options("showmap-", "out per-input domain"
        " approach trial corpus-dir"),
    ),
    TuningGroup(
        "symbolic tests and corpora",
        "with fuzz.corpus_dir, --symbolic-fuzz adds inputs that reach new code to the corpus",
        _options("symbolic-", "seed-corpus use-fuzz-corpus corpus-seed-limit use-fuzz-frontiers frontier-limit"
                 " frontier-ids frontier-pcs frontier-selectors"),
    ),
    TuningGroup(
        "solvers", "symbolic tests are solved with z3, in this process",
        _options("symbolic-", "solver solver-command solver-portfolio max-solver-queries dump-smt"),
    ),
    TuningGroup(
        "bounds of symbolic tests",
        "the bounds are --symbolic-loop, --symbolic-paths, --symbolic-lengths, --symbolic-bytes,"
        " --symbolic-invariant-depth and --symbolic-timeout",
        _options("symbolic-", "depth width max-depth max-paths default-dynamic-length"
                 " max-dynamic-length array-lengths max-calldata-bytes call-targets storage-layout"), ("[symbolic]",),
    ),
    TuningGroup(
        "counterexamples", "--write-tests DIR writes counterexamples as unit tests",
        ("--replay-symbolic-artifact", *_options("", "emit-regression regression-out regression-overwrite")),
    ),
    TuningGroup(
        "mutation tests", "mutants are compiled with the project's settings",
        _options("mutation-", "optimizer-runs via-ir"), ("mutation_dir",),
    ),
    TuningGroup(
        "profiles and the debugger", "--flamegraph and --flamechart draw a test's gas, --debug opens the debugger",
        _options("", "evm-profile no-open debug-layout opcodes"),
    ),
    TuningGroup("output", "--json prints the results: redirect it to a file", ("--json-file",)),
    TuningGroup(
        "labels", "vm.label names addresses, and interfaces are those of the project",
        _options("", "compact-labels labels label disable-external-identification"), ("[tracing]",),
    ),
    TuningGroup("coverage", "options of `hypervisor test` select reports", keys=("[coverage]",)),
    TuningGroup(
        "compilers", "set experimental in foundry.toml; solc's code generation by SSA is not supported",
        _options("", "via-ssa-cfg experimental"), ("via_ssa_cfg",),
    ),
    TuningGroup(
        "consent", "--trust and `hypervisor trust` allow what a project requests",
        _options("", "allow-local-compiler allow-project-env"),
    ),
    TuningGroup("fees", "scripts pay the node's suggested fee", keys=("eip1559_fee_estimate",)),
)  # fmt: skip
TUNING_OPTIONS: Final[Mapping[str, str]] = {name: group.reason for group in GROUPS for name in group.options}
"""Reasons by option of `forge test`."""
TUNING_KEYS: Final[Mapping[str, str]] = {name: group.reason for group in GROUPS for name in group.keys}
"""Reasons by key, dotted in tables; whole tables are in brackets."""

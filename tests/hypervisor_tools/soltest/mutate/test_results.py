"""Output of mutation runs: text by verbosity, and JSON in forge's form."""

from hypervisor_tools.soltest.mutate.operators import Mutant
from hypervisor_tools.soltest.mutate.results import (
    MutantResult,
    MutantStatus,
    MutationResult,
    mutation_json,
    mutation_lines,
)

TEXT = "contract A { 1; }"
MUTANT = Mutant("src/A.sol", "A", "literal", 13, "1", "0", 1, 14, ())
RESULTS = [
    MutantResult(MUTANT, MutantStatus.KILLED, "test/A.t.sol:ATest.testA()"),
    MutantResult(MUTANT, MutantStatus.INVALID, "TypeError: no\n  such type"),
    MutantResult(MUTANT, MutantStatus.TIMED_OUT, "the tests did not end after 20 seconds", is_stable=False),
    MutantResult(MUTANT, MutantStatus.SURVIVED, inputs=frozenset({"nodes", "files"})),
]
FOUND = MutationResult(RESULTS, {"src/A.sol": TEXT}, 1.5, untested=3)
CHANGE = [": src/A.sol:1:14 (literal)", "  - contract A { 1; }", "  + contract A { 0; }"]


def block(name: str, *details: str) -> str:
    return "\n".join([name + CHANGE[0], *CHANGE[1:], *details, ""])


def test_more_mutants_are_listed_with_more_verbosity() -> None:
    survived, late = block("Survived"), block("Timed out", "  the tests did not end after 20 seconds")
    invalid = block("Invalid", "  TypeError: no", "    such type")
    killed = block("Killed", "  test/A.t.sol:ATest.testA()")
    end = [
        "interrupted: 3 more mutants were not tested",
        "4 mutants: 1 survived, 0 not covered, 1 killed, 1 timed out, 1 invalid, 0 equivalent",
        "results not cached: 1, because the tests use files, nodes",
        "mutation score 50.0%; finished in 1.50s",
    ]
    for verbosity, shown in enumerate(([survived, late], [survived, late, invalid], [survived, late, invalid, killed])):
        assert "\n".join(mutation_lines(FOUND, verbosity)) == "\n".join([*shown, *end])
    assert mutation_lines(FOUND, 5) == mutation_lines(FOUND, 2)


def test_json_has_all_fields_of_forge() -> None:
    found = mutation_json(FOUND)
    of_forge = ("total", "killed", "survived", "invalid", "skipped", "timed_out", "mutation_score", "duration_secs")
    assert [found["summary"][name] for name in of_forge] == [7, 1, 1, 1, 3, 1, 50.0, 1.5]
    (row,) = found["invalid_mutants"]["src/A.sol"]
    assert row["detail"] == "TypeError: no\n  such type"
    assert mutation_json(MutationResult([], {}, 0.0))["summary"]["mutation_score"] == 0.0

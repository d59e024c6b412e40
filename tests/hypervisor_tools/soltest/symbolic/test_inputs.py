"""Contracts that `createCalldata` means by a name which several contracts of the project have."""

from pathlib import Path

import pytest

from hypervisor_tools.soltest.symbolic.run import StartState
from hypervisor_tools.soltest.symbolic.words import NotModelled
from tests.hypervisor_tools.soltest.contracts import artifact
from tests.hypervisor_tools.soltest.symbolic.staged import staged_artifacts

TEST = "test/T.t.sol"
CONTRACTS = {
    f"{TEST}:T": artifact({"check_()": ["00"]}),
    "lib/a/I.sol:I": artifact({"one()": ["00"]}),
    "lib/b/I.sol:I": artifact({"two()": ["00"]}),
}


def function_of(folder: Path, sources: dict[str, str]) -> str:
    """Return the function of the contract `I` that a test with these sources means."""
    for name, text in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    with staged_artifacts(folder, CONTRACTS, f"{TEST}:T", "prague") as test:
        (found,) = StartState(test.stage, test.ready, test.project).abi_named("I")
    return str(found["name"])


@pytest.mark.parametrize(
    ("imports", "wanted"),
    [
        ('import "../lib/a/I.sol";', "one"),
        ('import {I} from "../lib/b/I.sol";', "two"),
        ('import "./C.sol";', "two"),  # which imports lib/b/I.sol
        ('import {I} from "../lib/a/I.sol"; import "./C.sol";', "one"),
    ],
)
def test_a_name_means_the_contract_that_the_source_imports(imports: str, wanted: str, tmp_path: Path) -> None:
    sources = {TEST: imports, "test/C.sol": 'import "../lib/b/I.sol";', "lib/a/I.sol": "", "lib/b/I.sol": ""}
    assert function_of(tmp_path, sources) == wanted


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        ({TEST: ""}, "not the name of exactly one contract that test/T.t.sol imports"),
        ({TEST: 'import "../lib/a/I.sol"; import "../lib/b/I.sol";', "lib/a/I.sol": "", "lib/b/I.sol": ""}, "exactly"),
        ({}, "T.t.sol cannot be read"),
        ({TEST: 'import "./Missing.sol";'}, "imports './Missing.sol', but test/Missing.sol does not exist"),
    ],
)
def test_a_name_of_several_or_no_imported_contracts_is_not_modelled(
    sources: dict[str, str], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(NotModelled, match=reason):
        function_of(tmp_path, sources)

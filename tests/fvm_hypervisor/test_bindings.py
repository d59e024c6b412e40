"""The committed bindings equal those generated from the schemas."""

from __future__ import annotations

from pathlib import Path

import pytest

from fvm_hypervisor.bindings import actors as bindings
from fvm_hypervisor.bindings.actors import PROJECT, schemas
from fvm_hypervisor.builtin_actors.schemas import NAMES


@pytest.fixture(scope="module")
def generated() -> dict[Path, str]:
    return bindings.generated()


@pytest.mark.slow
def test_the_committed_files_are_those_that_the_generator_writes(generated: dict[Path, str]) -> None:
    different = [str(path.relative_to(PROJECT)) for path, text in generated.items() if path.read_text() != text]
    assert not different, "make bindings"


def test_bindings_contain_only_generated_files(generated: dict[Path, str]) -> None:
    for folder in ("bridge/bindings", "bridge/solidity"):
        found = {path for path in (PROJECT / folder).iterdir() if path.is_file()}
        assert found == {path for path in generated if path.parent == PROJECT / folder}


def test_types_that_only_a_state_has_are_left_out() -> None:
    assert "Transaction" not in schemas.structs("multisig")
    assert "ProposalHashData" in schemas.structs("multisig")
    assert "SectorLocation" in schemas.structs("storageminer")
    assert not schemas.structs("system")


def test_every_actor_is_described() -> None:
    assert all(schemas.remarks(actor).get(actor) for actor in NAMES)

"""The committed files equal those generated from the schemas, and the Python bindings exist for every actor."""

import pytest

from fvm_hypervisor.bindings.actors import schemas
from fvm_hypervisor.bindings.actors.__main__ import PROJECT, generated_files
from hypervisor.builtin_actors.schemas import NAMES, SHARED


@pytest.mark.slow
def test_the_committed_files_are_those_that_the_generator_writes() -> None:
    texts = generated_files()
    assert not [path for path, text in texts.items() if path.read_text() != text], "make bindings"
    folder = PROJECT / "bridge" / "solidity"
    assert {path for path in folder.iterdir() if path.is_file()} == {path for path in texts if path.parent == folder}


def test_the_installation_wrote_a_module_for_every_actor() -> None:
    written = {path.stem for path in (PROJECT / "bridge" / "bindings").glob("*.py")}
    assert written == {"__init__", SHARED, *NAMES}, "run `make environment`"


def test_types_that_only_a_state_has_are_left_out() -> None:
    assert "Transaction" not in schemas.structs("multisig")
    assert "ProposalHashData" in schemas.structs("multisig")
    assert "SectorLocation" in schemas.structs("storageminer")
    assert not schemas.structs("system")


def test_every_actor_is_described() -> None:
    assert all(schemas.schema_comments(actor).get(actor) for actor in NAMES)

"""Coverage of a project of our own compared with `forge coverage`: equal lines, functions and hits."""

import shutil
from pathlib import Path

import pytest

from tests.clients.coverage import hits_of_both_runners

pytestmark = pytest.mark.long
COVERED = Path(__file__).resolve().parent / "covered"


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ("", []),
        ("optimizer = true\noptimizer_runs = 999999\n", []),
        ("optimizer = true\nvia_ir = true\n", []),
        ("optimizer = true\nvia_ir = true\n", ["--ir-minimum"]),
        ("", ["--ir-minimum"]),
    ],
)
def test_line_and_function_coverage_matches_forge(
    settings: str, options: list[str], clients: Path, tmp_path: Path
) -> None:
    project = tmp_path / "covered"
    shutil.copytree(COVERED, project)
    with (project / "foundry.toml").open("a", encoding="utf-8") as config:
        config.write(settings)
    ours, theirs = hits_of_both_runners(clients, project, *options)
    assert not (project / "out").exists()
    assert ours.keys() == theirs.keys()
    assert len([key for key in ours if key[0].startswith("src/")]) == 6
    for (source, kind), hits in ours.items():
        expected = theirs[source, kind]
        assert hits.keys() == expected.keys()
        assert 0 in expected.values() or not source.startswith("src/")
        different = {name for name in hits if hits[name] != expected[name]}
        # Where several statements share a line, forge counts the first one, and we the one that ran most often.
        lines = (project / source).read_text(encoding="utf-8").splitlines()
        assert all(kind == "DA" and lines[int(name) - 1].lstrip().startswith("for ") for name in different)

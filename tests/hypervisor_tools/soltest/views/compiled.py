"""The project of this folder, compiled: read from compiled.json, or written there.

python -m tests.hypervisor_tools.soltest.views.compiled FOLDER     with npm's solc of that folder
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.compile.compiling import artifacts_of, compiled_sources
from hypervisor_tools.soltest.compile.solc import SolcChoice
from hypervisor_tools.soltest.compile.syntax_trees import syntax_trees
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.project.sources import own_sources, read_sources

HERE = Path(__file__).resolve().parent
FILE = HERE / "compiled.json"


def compiled(folder: Path) -> Artifacts:
    """Return the contracts, each written to a file in a folder."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    places = []
    for number, (file, name, artifact) in enumerate(content["contracts"]):
        path = folder / f"{number}.json"
        path.write_text(json.dumps(artifact), encoding="utf-8")
        places.append(ArtifactLocation(file, name, path))
    return Artifacts(HERE, places, {"": {int(number): path for number, path in content["sources"].items()}})


def trees() -> dict[str, Any]:
    """Return solc's syntax trees by path."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))["trees"]
    return found


def write(solc: str) -> None:
    project = load_project(HERE)
    sources, compiler = read_sources(project, own_sources(project)), SolcChoice(project, solc).solc()
    with TemporaryDirectory() as empty:  # all sources in one run of the compiler, so that they share their indices
        fresh = replace(project, cache=empty)
        found = artifacts_of(HERE, compiled_sources(fresh, sources, sources.texts, compiler))
        contracts = [(place.file, place.name, json.loads(place.path.read_bytes())) for place in found.locations]
    numbers = {number: path for build in found.sources.values() for number, path in build.items()}
    trees = syntax_trees(project, sources, sources.own, compiler)
    content = {"contracts": contracts, "sources": numbers, "trees": trees}
    FILE.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1])

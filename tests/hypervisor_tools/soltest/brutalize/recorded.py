"""Compiled code of `project`, with and without dirty bits, so that tests need no compiler.

python -m tests.hypervisor_tools.soltest.brutalize.recorded     record it (needs a compiler)
"""

import tempfile
from pathlib import Path
from typing import Final

from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.run.session import SuiteSession
from tests.hypervisor_tools.soltest.mutate.recorded import copied, recording

PROJECT: Final = Path(__file__).parent / "project"
RECORD: Final = Path(__file__).parent / "solc.json.xz"


def session(root: Path, use: str | None, *, brutalizes: bool) -> SuiteSession:
    """Return a prepared run of the project's tests."""
    made = SuiteSession(load_project(root), SuiteFilter(), Options(use=use, brutalizes=brutalizes))
    made.prepare()
    return made


def main() -> None:
    """Record the answers to all inputs of both runs."""
    with tempfile.TemporaryDirectory() as folder, recording(RECORD):
        root = copied(Path(folder), PROJECT)
        for brutalizes in (False, True):
            session(root, None, brutalizes=brutalizes)


if __name__ == "__main__":
    main()

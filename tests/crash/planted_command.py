"""`hypervisor` with a planted defect, for tests.crash.commands.

python -m tests.crash.planted_command DEFECT ARGUMENTS...
"""

import sys
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from tests.planting import replace_attribute

_PAUSE: Final = 1.0
"""Seconds between the two steps of a write."""


def write_in_two_steps() -> None:
    """Plant the defect that a file of a project is written in place, in two steps."""
    from fvm_hypervisor.soltest.fuzz import stored_failures
    from fvm_hypervisor.soltest.project import consent
    from fvm_hypervisor.soltest.scripts import record

    def write(_: Path, file: Path, content: bytes) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb", buffering=0) as opened:
            opened.write(content[: len(content) // 2])
            time.sleep(_PAUSE)
            opened.write(content[len(content) // 2 :])

    for module in (consent, stored_failures, record):
        replace_attribute(module, "write_inside", write)


def record_late() -> None:
    """Plant the defect that a record is written with the next change of it."""
    from fvm_hypervisor.soltest.scripts import record

    write: Any = record._write
    late: list[tuple[Path, dict[str, Any], list[Path]]] = []

    def write_late(root: Path, content: dict[str, Any], files: Iterable[Path]) -> None:
        if late:
            write(*late.pop())
        late.append((root, deepcopy(content), [*files]))

    replace_attribute(record, "_write", write_late)


_PLANTING: Final[dict[str, Callable[[], None]]] = {"two-steps": write_in_two_steps, "late-record": record_late}
DEFECTS: Final = {"two-steps": ("test", "script"), "late-record": ("script",)}
"""Planted defects, and the commands that must show each."""


def main() -> None:
    from fvm_hypervisor.cli.main import main as run

    _PLANTING[sys.argv[1]]()
    sys.argv = ["hypervisor", *sys.argv[2:]]
    run()


if __name__ == "__main__":
    main()

"""Tests of the prose in the code: few lines use vague subjects."""

import re
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
WORDS = re.compile(r"\b(somebody|whoever|nobody|told)\b", re.IGNORECASE)
MOST = 25


def sources() -> list[Path]:
    """Python files outside tests: of git where there is one, else all of the packages."""
    names = (
        "bench",
        "bridge",
        "fvm_hypervisor",
        "examples",
        "hypervisor",
        "localnet",
        "runtimes",
        "scripts",
        "store",
    )
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=PROJECT, capture_output=True, text=True, check=False)
    found = listed.stdout.split() or [
        str(path.relative_to(PROJECT)) for name in names for path in (PROJECT / name).rglob("*.py")
    ]
    return [
        PROJECT / name
        for name in found
        if not name.startswith("tests/") and "/tests/" not in name and not Path(name).name.startswith("test_")
    ]


def test_few_lines_leave_their_subject_unnamed() -> None:
    lines = [
        f"{path.relative_to(PROJECT)}:{number}: {line.strip()}"
        for path in sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if WORDS.search(line)
    ]
    assert len(lines) <= MOST, "name the subject:\n" + "\n".join(lines)

"""Access to the project's own files."""

import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("hypervisor", "runtimes", "bridge", "store", "localnet", "hypervisor_tools")


def own_files(*patterns: str) -> list[Path]:
    """Return the files that git tracks or would add, matching any of the patterns (git's, as `*.py`)."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = (PROJECT / name for name in listed.split("\0") if name)
    return [path for path in paths if path.is_file()]

"""Hatchling build hook that writes the bindings of the built-in actors.

The bindings (`bridge/bindings`) are generated from schemas for each sdist, wheel and editable installation.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent


class BuildHook(BuildHookInterface):  # type: ignore[type-arg]  # generic for the type checker only
    """The build hook that hatchling calls before it builds an sdist or a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the bindings."""
        subprocess.run([sys.executable, "-m", "scripts.actor_bindings.python"], cwd=ROOT, check=True)

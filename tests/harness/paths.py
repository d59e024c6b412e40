"""Paths of the project and of external test data (FVM_DATA, default ../shared)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]
DATA: Final = Path(os.environ.get("FVM_DATA", PROJECT / ".." / "shared"))
BUNDLES: Final = DATA / "bundles"
VECTORS: Final = DATA / "vectors"

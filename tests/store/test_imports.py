"""Importing the store is cheap: the slow public codecs are loaded on first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import store

PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(sorted({name.split(".")[0] for name in sys.modules} & {"multiformats", "dag_cbor", "bases", "cbrrr"}))
"""


@pytest.mark.slow
def test_store_modules_import_no_public_codec() -> None:
    modules = sorted(f"store.{path.stem}" for path in Path(store.__file__).parent.glob("*.py"))
    assert "store.cid" in modules
    done = subprocess.run([sys.executable, "-c", PROGRAM, *modules], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

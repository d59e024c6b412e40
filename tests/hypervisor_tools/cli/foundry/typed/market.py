"""Market's wrapper as `hypervisor bindings` generates it, executed when this module is imported."""

import json
from pathlib import Path
from typing import Any

from hypervisor_tools.bindings import module


def __getattr__(name: str) -> Any:
    """Tell mypy that the names of the generated code exist."""
    raise AttributeError(name)


exec(module(json.loads(Path(__file__).with_name("Market.json").read_text(encoding="utf-8")), "Market").text)

"""`pytest --explore`: a test that failed waits, and its network is shown in a browser until Enter.

A network belongs to one thread at a time, and to its test as long as that runs: so it is served when the test has
failed and before its fixtures end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from localnet.errors import TransactionFailed
from localnet.explorer.application import explorer
from localnet.network import Network
from localnet.rpc.server import serving
from localnet.traces.trace_command import page_of


def show(item: pytest.Item, failure: TransactionFailed | None) -> None:
    """Serve a failed test's network until Enter is pressed; not at all where the test has none."""
    found = getattr(item, "funcargs", {}).values()
    network = next((each for each in found if isinstance(each, Network)), None)
    if network is None:
        return
    with _terminal(item.config), serving(network, pages=explorer()) as url:
        page = f"{url}/" if failure is None else page_of(f"0x{failure.receipt.hash.hex()}", url)
        try:
            input(f"\n{item.name} failed; its network is at {page} until you press Enter ")
        except EOFError:  # there is no terminal
            return


@contextmanager
def _terminal(config: pytest.Config) -> Iterator[None]:
    """The terminal as it is, without pytest's capture."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    capture.suspend_global_capture(in_=True)
    try:
        yield
    finally:
        capture.resume_global_capture()

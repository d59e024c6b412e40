"""The pytest option `--explore`: serve the network of a failed test to a browser until Enter is pressed.

A network belongs to one thread and one test. The plugin therefore serves it after the failure and before the fixtures
are torn down.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from localnet.errors import TransactionFailed


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--explore` to the options of the `hypervisor` group."""
    parser.getgroup("hypervisor", "a local Filecoin network").addoption(
        "--explore",
        dest="hypervisor_explore",
        action="store_true",
        help="after each failed test, serve its network to a browser and wait for Enter",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Raise UsageError if `--explore` is combined with pytest-xdist (`-n`)."""
    if config.getoption("hypervisor_explore") and (
        config.getoption("numprocesses", None) or hasattr(config, "workerinput")
    ):
        raise pytest.UsageError("--explore needs a terminal: omit -n, which runs tests in worker processes without one")


def pytest_exception_interact(node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any]) -> None:
    """Serve the network of a failed test if `--explore` is set."""
    if call.excinfo is None or call.when != "call" or not node.config.getoption("hypervisor_explore"):
        return
    from localnet.errors import TransactionFailed
    from localnet.testing.plugin import find_failure

    failure = find_failure(call.excinfo.value)
    _serve(node, failure if isinstance(failure, TransactionFailed) else None)


def _serve(item: pytest.Item | pytest.Collector, failure: TransactionFailed | None) -> None:
    """Serve the network fixture of `item` until Enter is pressed; return at once if it has none."""
    from localnet.explorer.application import explorer
    from localnet.network import Network
    from localnet.rpc.server.server import serving
    from localnet.traces.trace_command import page_of

    fixtures = getattr(item, "funcargs", {}).values()
    network = next((each for each in fixtures if isinstance(each, Network)), None)
    if network is None:
        return
    with _without_capture(item.config), serving(network, pages=explorer()) as url:
        page = f"{url}/" if failure is None else page_of(f"0x{failure.receipt.hash.hex()}", url)
        try:
            input(f"\n{item.name} failed; its network is at {page} until you press Enter ")
        except EOFError:  # there is no terminal
            return


@contextmanager
def _without_capture(config: pytest.Config) -> Iterator[None]:
    """Suspend pytest's output capture."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    capture.suspend_global_capture(in_=True)
    try:
        yield
    finally:
        capture.resume_global_capture()

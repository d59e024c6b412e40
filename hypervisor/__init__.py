"""A multi-runtime hypervisor for Filecoin actors: native WASM and Ethereum contracts on one machine.

    from hypervisor import Hypervisor

    machine = Hypervisor.open(":memory:")

Names are loaded on first use, so that importing the package is fast.
"""

from typing import TYPE_CHECKING

from hypervisor._siblings import check_siblings

if TYPE_CHECKING:
    from hypervisor.bundles.bundle import Bundle
    from hypervisor.bundles.genesis import Genesis
    from hypervisor.machine.machine import Hypervisor
    from hypervisor.messages.address import Address
    from hypervisor.messages.message import Message, Receipt, SignedMessage
    from hypervisor.tracing import Recorder, call_tree
    from hypervisor.types import TokenAmount, fil

_HOMES = {
    "Address": "hypervisor.messages.address",
    "Bundle": "hypervisor.bundles.bundle",
    "Genesis": "hypervisor.bundles.genesis",
    "Hypervisor": "hypervisor.machine.machine",
    "Message": "hypervisor.messages.message",
    "Receipt": "hypervisor.messages.message",
    "Recorder": "hypervisor.tracing",
    "SignedMessage": "hypervisor.messages.message",
    "TokenAmount": "hypervisor.types",
    "call_tree": "hypervisor.tracing",
    "fil": "hypervisor.types",
}

__all__ = [
    "Address",
    "Bundle",
    "Genesis",
    "Hypervisor",
    "Message",
    "Receipt",
    "Recorder",
    "SignedMessage",
    "TokenAmount",
    "call_tree",
    "fil",
]

check_siblings(__file__)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'hypervisor' has no attribute '{name}'")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Include the names that are not loaded yet, for `help` and completion."""
    return sorted({*globals(), *__all__})

"""The controls page. The browser sends its actions as JSON-RPC requests with the permissions of any client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fvm_hypervisor.explorer.answers import PageAnswer, PageRequest
from fvm_hypervisor.explorer.site import Site
from hypervisor.network_versions import versions_after
from localnet.rpc.node import NodeReader


@dataclass(frozen=True, slots=True)
class ControlField:
    """A parameter: its label, its input type (`number`, `fil` or `text`), and its initial value."""

    label: str
    kind: str
    value: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """A method with its parameters; its result becomes the initial value of the input `keeps`."""

    title: str
    method: str
    fields: tuple[ControlField, ...] = ()
    keeps: str = ""


_CONTROLS: Final = (
    Control("Mine blocks", "anvil_mine", (ControlField("blocks", "number", "1"),)),
    Control("Mine after null rounds", "hypervisor_mineAfterNullRounds", (ControlField("null rounds", "number", "5"),)),
    Control("Let time pass", "evm_increaseTime", (ControlField("seconds", "number", "86400"),)),
    Control("Time of the next block", "evm_setNextBlockTimestamp", (ControlField("Unix seconds", "number"),)),
    Control("Take a snapshot", "evm_snapshot", keeps="snapshot"),
    Control("Revert to a snapshot", "evm_revert", (ControlField("snapshot", "text", "0x1"),)),
    Control("Set a balance", "anvil_setBalance", (ControlField("address", "text"), ControlField("FIL", "fil", "100"))),
    Control("Impersonate an address", "anvil_impersonateAccount", (ControlField("address", "text"),)),
    Control("Impersonate no more", "anvil_stopImpersonatingAccount", (ControlField("address", "text"),)),
)


def show_controls(site: Site, reader: NodeReader, request: PageRequest) -> PageAnswer:
    """Return the page of node controls."""
    controls = list(_CONTROLS)
    later = tuple(str(row.number) for row in versions_after(reader.network.version))
    if later and not reader.network.rules.hardfork:
        field = ControlField("network version", "number", later[0], later)
        controls.append(Control("Upgrade the network", "hypervisor_upgrade", (field,)))
    return PageAnswer(site.page(reader, "controls.html", controls=controls))

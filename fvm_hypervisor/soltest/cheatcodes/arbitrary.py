"""`setArbitraryStorage`: empty slots of a contract get random words when they are first read."""

from __future__ import annotations

from bridge.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.fuzzing import draw_bytes
from fvm_hypervisor.soltest.cheatcodes.state import State
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from runtimes.evm.ethereum import EthereumHost


@cheatcode("setArbitraryStorage(address)")
def _arbitrary(context: Context, account: EthAddress) -> None:
    _arbitrary_over(context, account, False)


@cheatcode("setArbitraryStorage(address,bool)")
def _arbitrary_over(context: Context, account: EthAddress, overwrite: bool) -> None:
    """Draw slots at random; with `overwrite`, also slots that are not empty."""
    context.ethereum("slots that are drawn when they are read")
    context.state.arbitrary[account] = overwrite


def fill_slot(state: State, seed: int, host: EthereumHost, slot: int) -> None:
    """Draw the word of a slot before its first read; the slot is warm afterwards, as in forge."""
    overwrite = state.arbitrary.get(host.address)
    if overwrite is None or (host.address, slot) in state.drawn:
        return
    state.drawn.add((host.address, slot))
    if not host.accounts.word(host.actor, slot) or overwrite:
        host.accounts.store(host.actor, slot, int.from_bytes(draw_bytes(state, seed), "big"))

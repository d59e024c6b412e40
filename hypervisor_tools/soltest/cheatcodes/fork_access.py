"""Access to cheatcodes on a fork, as in forge, and undo of fork changes by failed calls.

Access is denied to the forked network's contracts and granted to the test and the contracts that it creates.
`allowCheatcodes` grants it to other contracts. This module imports no other module of forks, since every test uses it.
"""

from __future__ import annotations

from dataclasses import replace

from bridge.ethereum.addresses import EthAddress, checksummed
from hypervisor.machine.call_manager import CallManager
from hypervisor_tools.soltest.cheatcodes.context import Cheats, Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from runtimes.evm.revm import ObservedCall, delegated_address


def undo_reverted(cheats: Cheats, calls: CallManager | ObservedCall | None) -> None:
    """Revert the block and the fork records to the state tree, after a failed call; `calls` are a running message's."""
    records = cheats.state.forks
    if not records.changes or cheats.origin is None:
        return
    undone = records.undo_after(cheats.origin.last_change)
    if undone is not None:
        cheats.machine.context = undone.context
        cheats.state.block = replace(cheats.state.block, prevrandao=undone.randomness, hashes=undone.hashes)
        if calls is not None:
            cheats.renew(calls)


def is_denied(cheats: Cheats, account: EthAddress) -> bool:
    """Return True if a contract may not use cheatcodes."""
    origin, state = cheats.origin, cheats.state
    if origin is None or origin.active is None or account in state.allowed:
        return False
    if account in state.denied:
        return True
    tree = cheats.machine.state_tree
    with tree.without_held():  # of a contract that only an engine holds, the network has none
        actor = tree.lookup_id(delegated_address(account))
    return actor is not None and origin.address_of(actor) is not None


def note_etched(context: Context, account: EthAddress) -> None:
    """Deny cheatcodes to an address without code at which a test etches code."""
    origin = context.cheats.origin
    if origin is not None and origin.active is not None and not context.ledger.code(account):
        context.state.denied.add(account)


def check_access(context: Context) -> None:
    """Raise CheatcodeFailure if the caller may not use cheatcodes."""
    if is_denied(context.cheats, context.caller):
        raise CheatcodeFailure(
            f"cheatcodes are not enabled for {checksummed(context.caller)}; see `vm.allowCheatcodes(address)`",
            named=False,
        )

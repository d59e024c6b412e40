"""State migration at network version 23: the mining reserve, f090, becomes an account without a key.

This applies if it is a multisig; its balance and nonce are unchanged (FIP-0085). Source: forest
`state_migration/nv23`.
"""

from __future__ import annotations

from hypervisor.bundles.genesis import RESERVE_ACTOR
from hypervisor.messages.address import Address
from hypervisor.migrations.context import MigrationContext
from hypervisor.state.state_tree import ActorState


def migrate_to_nv23(context: MigrationContext) -> None:
    """Replace the code and the state of f090."""
    reserve = context.tree.get_actor(RESERVE_ACTOR)
    if reserve is not None and reserve.code == context.manifest.code("multisig"):
        head = context.put([Address.id(RESERVE_ACTOR).to_bytes()])
        code = context.manifest.code("account")
        context.tree.set_actor(RESERVE_ACTOR, ActorState(code, head, reserve.nonce, reserve.balance))

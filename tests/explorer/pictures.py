"""Pictures of the explorer's pages in docs/explorer.md: each page once, wide or 390 pixels wide, light or dark."""

from typing import Final

from tests.explorer.stage import Stage

NARROW, WIDE = 390, 1280
LARGEST: Final = 80_000

PICTURES: Final = {
    "home": (WIDE, False, "the chain"),
    "failed": (WIDE, False, "a message that failed"),
    "two-borders": (WIDE, True, "calls over both runtimes, dark"),
    "caught": (NARROW, False, "a failure that was caught, at 390 pixels"),
    "native": (WIDE, True, "a message of a native account, dark"),
    "call": (WIDE, False, "one call with its data"),
    "calls-picture": (WIDE, False, "the call tree as a picture"),
    "flame": (WIDE, False, "the flame graph"),
    "changes": (WIDE, False, "what a message changed"),
    "epoch": (WIDE, True, "an epoch, dark"),
    "epoch-changes": (NARROW, False, "what an epoch changed, at 390 pixels"),
    "null-round": (NARROW, True, "a null round, at 390 pixels, dark"),
    "cron": (WIDE, True, "reward and cron, dark"),
    "actor": (WIDE, True, "an actor with its events, dark"),
    "actors": (WIDE, False, "the actors"),
    "state": (WIDE, False, "a contract's slots"),
    "state-entries": (NARROW, True, "a map of a state, at 390 pixels, dark"),
    "calls": (WIDE, False, "forms of a contract"),
    "block": (WIDE, True, "a block of the store, dark"),
    "search": (WIDE, False, "a search"),
    "not-found": (NARROW, False, "what is not there, at 390 pixels"),
    "controls": (WIDE, False, "controls"),
}
"""Width, color scheme and content of each picture."""


def addresses(stage: Stage) -> dict[str, str]:
    """Return the address of each page of the stage by name."""
    note, network = stage.messages, stage.network
    height = network.receipt(bytes.fromhex(note["two borders"][2:])).block_number
    bridge, inbox = f"/actor/0x{stage.bridge.address.hex()}", f"/actor/0x{stage.inbox.address.hex()}"
    return {
        "home": "/",
        "failed": f"/tx/{note['wrong method']}",
        "two-borders": f"/tx/{note['two borders']}",
        "caught": f"/tx/{note['caught']}",
        "native": f"/tx/{note['native']}",
        "call": f"/tx/{note['caught']}/call/2",
        "calls-picture": f"/tx/{note['two borders']}/calls.svg",
        "flame": f"/tx/{note['two borders']}/flame.svg",
        "changes": f"/tx/{note['deposit']}/changes",
        "epoch": f"/epoch/{height}",
        "epoch-changes": f"/epoch/{height}/changes",
        "null-round": f"/epoch/{network.block_number - 1}",
        "cron": f"/epoch/{height}/cron",
        "actor": bridge,
        "actors": "/actors",
        "state": f"{bridge}/state/contract_state",
        "state-entries": "/actor/f01/state/address_map",
        "calls": f"{inbox}/call",
        "block": f"/block/{_reward_state(stage)}",
        "search": "/search?q=evm",
        "not-found": "/actor/f0999999",
        "controls": "/controls",
    }


def _reward_state(stage: Stage) -> str:
    from hypervisor.messages.address import Address
    from store.cid import show

    actor = stage.network.machine.actor(Address.id(2))
    assert actor is not None, "every network has the reward actor"
    return show(actor.head)

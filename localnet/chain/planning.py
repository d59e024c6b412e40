"""Planning of a network's upgrades, with the requested streams of the block reward.

`localnet.ledger.upgrades` defines upgrades, and `localnet.chain.streams` the streams.
"""

from __future__ import annotations

from hypervisor.versions.stream_settings import StreamSettings
from localnet.chain.chain import Chain
from localnet.chain.streams import check_streams, has_streams
from localnet.ledger.upgrades import UpgradePlan, upgrades_of_plan


def plan_upgrades(chain: Chain, plan: UpgradePlan, streams: StreamSettings | None) -> None:
    """Plan upgrades at the head of a chain or after it.

    `streams` belong to the upgrade that adds them, or equal the network's current or planned ones. Raises BundleError,
    and InvalidInput if no upgrade here accepts them.
    """
    before, overlay = chain.record.upgrades, chain.record.overlay
    upgrades, bundles = upgrades_of_plan(plan, before, streams, overlay)
    if streams is not None and all(upgrade.streams is None for upgrade in upgrades):
        to_come = None if has_streams(chain.machine) else before.of_streams(overlay)
        if to_come is None:
            check_streams(chain.machine, streams)
        else:
            to_come.check_same(streams)
    chain.plan(upgrades, bundles)

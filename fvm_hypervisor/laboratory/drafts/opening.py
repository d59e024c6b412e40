"""Settings of networks that start with a draft version or upgrade to it, for `Network` and `hypervisor node`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fvm_hypervisor.laboratory.drafts.migrating import allow_draft
from fvm_hypervisor.laboratory.drafts.reading import DraftVersion, named_draft
from fvm_hypervisor.laboratory.drafts.syscalls import check_syscalls
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
from localnet.ledger.upgrades import UpgradePlan
from localnet.settings import NetworkSettings


def under_draft(settings: NetworkSettings) -> NetworkSettings:
    """Return the settings of a network whose setting `network` is a draft's file.

    Raises InvalidInput, also for an overlay used with the draft. Raises ConsentNeeded for a migration without consent.
    """
    text = str(settings.network)
    draft = named_draft(text, settings.overlay)
    if draft is None:
        raise InvalidInput(
            f"network version {text!r:.80} is neither a version such as nv29 nor a file of a draft (.toml)"
        )
    allow_draft(draft, trust=False)
    forks = settings.fork is not None
    return replace(settings, **draft_options(draft, settings.upgrades, settings.bundle, forks=forks))


def draft_options(
    draft: DraftVersion, upgrades: UpgradePlan, bundle: Bundle | str | Path | None, *, forks: bool
) -> dict[str, Any]:
    """Return a draft's version, overlay, planned upgrades and bundle as settings of a network.

    The epoch in the draft's file becomes a planned upgrade to the draft, unless `upgrades` already plans one.
    Without such an epoch, the network has the base version until a request upgrades it. A network that `forks` another
    takes that network's version. Raises InvalidInput, also for a bundle with an actor that imports a disabled syscall.
    """
    plan: dict[int, Any] = dict(upgrades)
    is_planned = draft.number in [each[0] if isinstance(each, tuple) else each for each in plan.values()]
    starts_with_draft = draft.epoch == 0 and not is_planned
    if draft.epoch and not is_planned:
        plan[draft.epoch] = draft.number
    if draft.bundle is not None:
        plan = {at: (draft.number, draft.bundle) if each == draft.number else each for at, each in plan.items()}
    upgraded = [each[1] for each in plan.values() if isinstance(each, tuple) and each[0] == draft.number]
    for named in upgraded or ([] if bundle is None else [bundle]):
        _check_bundle(named, draft)
    return {
        "network": None if forks and not starts_with_draft else draft.number if starts_with_draft else draft.base,
        "overlay": draft.overlay,
        "upgrades": plan,
        "bundle": bundle or (draft.bundle if starts_with_draft else None),
    }


def _check_bundle(named: Bundle | str | Path, draft: DraftVersion) -> None:
    """Raise InvalidInput if a bundle other than the draft's has actors that import syscalls that the draft disables."""
    disabled = str(dict(draft.overlay.rules).get("disabled_syscalls", ""))
    if disabled and named is not draft.bundle:
        check_syscalls(named if isinstance(named, Bundle) else Bundle.open(named), disabled.split(","))

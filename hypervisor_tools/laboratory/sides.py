"""One side of a comparison: the rules, prices and code used for execution.

Replacement code runs under the code CIDs that are in the state, so state roots of two sides differ only if the state
differs. Nothing is written to a folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from bridge.ethereum.block import ETHEREUM
from hypervisor.bundles.bundle import MAX_BUNDLE_BYTES, Bundle
from hypervisor.bundles.bundle_library import actors_version
from hypervisor.bundles.manifest import ACTOR_NAMES, Manifest
from hypervisor.errors import BundleError, InvalidInput
from hypervisor.installation import parse_version, read_bounded
from hypervisor.machine.registry import NATIVE, Registry, RuntimeServices, runtime_of_code
from hypervisor.versions.network_versions import (
    NetworkVersion,
    layout_change_between,
    network_version,
    network_version_row,
)
from hypervisor.versions.overlay import Overlay
from hypervisor.versions.overlay_file import check_names, parse_price, price_overlay, read_overlay
from hypervisor_tools.laboratory.drafts import named_draft
from localnet.rules.parts import rules_named
from store.blocks.memory import OverlayStore
from store.blockstore import Store
from store.cid import RAW, CidError, cid_of, parse_cid

AS_RECORDED: Final = "as recorded"


@dataclass(frozen=True, slots=True)
class Side:
    """Changes to the recorded conditions of a message; None and empty values keep the recorded ones."""

    network: int | None = None
    overlay: Overlay | None = None
    prices: tuple[tuple[str, int], ...] = ()
    """Milligas by the names of `hypervisor.gas`."""
    bundle: Bundle | None = None
    actors: tuple[tuple[str, bytes], ...] = ()
    """Modules by the name of a built-in actor, or the code CID of another one."""
    label: str = AS_RECORDED
    """Description of the changes, for reports."""
    hardfork: str = ""
    """Hard fork of Ethereum, for transactions under its rules."""

    def row(self, recorded: NetworkVersion) -> NetworkVersion:
        """Return the network version under which messages of a recorded version run. Raises InvalidInput."""
        number = recorded.number if self.network is None else self.network
        return _row(number, recorded.overlay if self.overlay is None else self.overlay, self.prices)

    def overlay_for(self, rows: Sequence[NetworkVersion], recorded: Overlay | None) -> Overlay | None:
        """Return the overlay on some network versions that replaces a recorded one. Raises InvalidInput."""
        overlay = recorded if self.overlay is None else self.overlay
        return price_overlay(dict(self.prices), rows, overlay) if self.prices else overlay

    @property
    def changes_code(self) -> bool:
        """True if the side runs other modules than the state's."""
        return self.bundle is not None or bool(self.actors)

    def base_store(self, base: Store, manifests: Iterable[Manifest]) -> OverlayStore:
        """Return a store over `base`, which is not modified, with this side's modules under the states' code CIDs.

        `manifests` are those of the states that run: an upgrade of the network replaces the manifest.
        Raises InvalidInput for a bundle with other state layouts, and for a module whose code CID no state contains.
        """
        base_store = OverlayStore(base)
        for manifest in manifests:
            if self.bundle is not None:
                _check_layouts(manifest, self.bundle)
                base_store.put_many(self.bundle.modules_under(manifest))
            for name, module in self.actors:
                code = manifest.code(name) if name in ACTOR_NAMES else parse_cid(name)
                if name not in ACTOR_NAMES and not base.has(code):
                    raise InvalidInput(f"no module has the code CID {name} in these states")
                base_store.put(code, module)
        return base_store


@lru_cache(64)
def _row(number: int, overlay: Overlay | None, prices: tuple[tuple[str, int], ...]) -> NetworkVersion:
    # cached, because every case needs it
    row = network_version_row(number, overlay)
    return network_version(number, price_overlay(dict(prices), [row], overlay) if prices else overlay)


def _check_layouts(manifest: Manifest, bundle: Bundle) -> None:
    made, target = actors_version(manifest), actors_version(bundle.manifest)
    if made is None or target is None:
        return
    changed = layout_change_between(made, target)
    if changed is not None:
        other = "a later" if made < target else "an earlier"
        raise InvalidInput(
            f"actors v{target} cannot run on states of actors v{made}: nv{changed.number} changed the layouts of their "
            f"states; use a bundle of v{made}, or messages of {other} network version (--from, --to)"
        )


@dataclass(frozen=True, slots=True)
class Choices:
    """Options of a comparison as text: one value applies to side B, `A,B` to both."""

    bundle: str | None = None
    network: str | None = None
    overlay: str | None = None
    actors: Sequence[str] = ()
    prices: Sequence[str] = ()


def two_sides(choices: Choices) -> tuple[Side, Side]:
    """Return the two sides that a user chose. Raises InvalidInput, also if they do not differ."""
    bundles, networks = _pair(choices.bundle, "--bundle"), _pair(choices.network, "--network")
    overlays = _pair(choices.overlay, "--overlay")
    actors = [_actor_pair(text) for text in choices.actors]
    prices = [_price_pair(text) for text in choices.prices]
    first, second = (
        _side(
            bundles[at],
            networks[at],
            overlays[at],
            [(name, pair[at]) for name, pair in actors],
            [f"{name}={pair[at]}" for name, pair in prices if pair[at] is not None],
        )
        for at in (0, 1)
    )
    if first == second:
        raise InvalidInput(
            "both runs have the same configuration: pass --bundle, --network, --overlay, --price or "
            "--actor (one value for run B, two for A and B)"
        )
    return first, second


def rules_pair(text: str, option: str = "--rules") -> tuple[Side, Side]:
    """Return the two sides of `A,B`: hard forks of Ethereum, or network versions and drafts. Raises InvalidInput."""
    names = _pair(text, option)
    if None in names:
        raise InvalidInput(f"{option} {text!r:.80} names one set of rules: expected two, such as osaka,amsterdam")
    of_filecoin = [name is not None and (parse_version(name) is not None or name.endswith(".toml")) for name in names]
    if all(of_filecoin):
        return two_sides(Choices(network=text))
    if any(of_filecoin):
        raise InvalidInput(
            f"{option} {text!r:.80} mixes networks: name two hard forks of Ethereum, or two network versions of "
            "Filecoin"
        )
    first, second = (rules_named(ETHEREUM, name or "").hardfork for name in names)
    if first == second:
        raise InvalidInput(f"{option} {text!r:.80}: both runs have the rules of {first}")
    return Side(label=first, hardfork=first), Side(label=second, hardfork=second)


def one_side(choices: Choices) -> Side:
    """Return the side that a user chose for a single run. Raises InvalidInput."""
    actors = [_actor_pair(text) for text in choices.actors]
    if any(pair[0] is not None for _, pair in actors):
        raise InvalidInput("two modules for one actor: `hypervisor compare` runs two")
    return _side(
        choices.bundle, choices.network, choices.overlay, [(name, pair[1]) for name, pair in actors], choices.prices
    )


def _pair(text: str | None, option: str) -> tuple[str | None, str | None]:
    """Split an option into the values for A and B; a single value is B's, and A's is None."""
    if text is None:
        return None, None
    parts = text.split(",")
    if len(parts) > 2 or not all(parts):
        raise InvalidInput(f"{option} {text!r:.80}: expected one value, for run B, or two with a comma between them")
    return (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])


def _actor_pair(text: str) -> tuple[str, tuple[str | None, str | None]]:
    name, sign, files = text.partition("=")
    if not sign or not files:
        raise InvalidInput(f"--actor {text!r:.80}: expected NAME=FILE, or NAME=FILE,FILE")
    if name not in ACTOR_NAMES:
        try:
            parse_cid(name)
        except CidError:
            check_names([name], ACTOR_NAMES, "a bundle")
    return name, _pair(files, f"--actor {name}")


def _price_pair(text: str) -> tuple[str, tuple[str | None, str | None]]:
    name, sign, values = text.partition("=")
    if not sign or not name:
        raise InvalidInput(f"--price {text!r:.80}: expected NAME=GAS, or NAME=GAS,GAS")
    return name, _pair(values, f"--price {name}")


def _side(
    bundle: str | None,
    network: str | None,
    overlay: str | None,
    actors: Sequence[tuple[str, str | None]],
    prices: Sequence[str],
) -> Side:
    parts = [f"bundle {bundle}" if bundle else "", network or "", f"overlay {overlay}" if overlay else ""]
    parts += [f"{name} of {file}" for name, file in actors if file]
    parts += [f"{price}" for price in prices]
    draft = named_draft(network, overlay)
    named = [price.partition("=")[0] for price in prices]
    for name in named:
        if named.count(name) > 1:
            raise InvalidInput(f"--price {name} is given {named.count(name)} times: expected one price for a name")
    changes = None if draft is None else draft.overlay
    return Side(
        draft.number if draft is not None else None if network is None else _number(network),
        changes if overlay is None else read_overlay(Path(overlay)),
        tuple(sorted(_price(text) for text in prices)),
        (None if draft is None else draft.named) if bundle is None else Bundle.open(bundle),
        (
            *(() if draft is None else draft.modules),
            *((name, _module(name, Path(file))) for name, file in actors if file is not None),
        ),
        ", ".join(filter(None, parts)) or AS_RECORDED,
    )


def _number(text: str) -> int:
    number = parse_version(text)
    if number is None:
        raise InvalidInput(f"{text!r:.40} is not a network version: expected nv29, for example")
    return network_version(number).number


def _price(text: str) -> tuple[str, int]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InvalidInput(f"--price {text!r:.80}: expected NAME=VALUE, in gas")
    return name, parse_price(name, value)


def _module(name: str, file: Path) -> bytes:
    from runtimes.wasm import parse_module, validate_module

    data = read_bounded(file, MAX_BUNDLE_BYTES, "module", BundleError)
    runtime = runtime_of_code(data)
    try:
        if runtime == NATIVE:
            validate_module(parse_module(data))
        else:
            Registry(RuntimeServices(), {}).make(runtime).prepare({cid_of(data, RAW): data})
    except InvalidInput as error:
        raise InvalidInput(f"module {file} of {name}: {error}") from None
    return data


def described(side: Side) -> Mapping[str, object]:
    """Return a side as plain data."""
    return {
        "words": side.label,
        "network": side.network,
        "hardfork": side.hardfork or None,
        "overlay": None if side.overlay is None else side.overlay.digest,
        "prices": dict(side.prices),
    }

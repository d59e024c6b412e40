"""Opening a machine: stores, folder records, the initial state and runtime selection.

`Hypervisor.open` combines these functions, which keep no state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from types import NoneType

from hypervisor.bundles.bundle import Bundle, runtime_marker
from hypervisor.bundles.genesis import Genesis, build_genesis
from hypervisor.bundles.manifest import Manifest
from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.installation import AUTO, FILECOIN, OFFICIAL_EVM, OWN_EVM
from hypervisor.machine.registry import Registry, RuntimeServices, installed_formats
from hypervisor.state.state_tree import StateTree
from hypervisor.types import ChainEpoch, check_type
from hypervisor.versions.features import CREATING, features_of, with_features
from hypervisor.versions.network_versions import LATEST, NetworkVersion, network_version, newest_with_actors
from hypervisor.versions.overlay import Overlay
from store.blocks.memory import BufferedStore, MemoryStore
from store.blockstore import BlockNotFound, Blockstore, Store
from store.cid import Cid, show
from store.codec import CodecError, decode_strict, encode, link, unlink
from store.roots import INSTALLED

IN_MEMORY = ":memory:"
EVM_ENGINES: tuple[str, ...] = ("py-evm", "fast", OFFICIAL_EVM, AUTO)
MACHINE = b"machine"
GENESIS = b"genesis"
"""Metadata entry of the genesis that the folder's state began with."""
_INSTALLS = b"install_actor"
"""Import of an init actor that installs code."""

_RECORDED_NUMBERS = ("network", "epoch", "timestamp", "chain_id")


def check_types(
    path: object,
    bundle: object,
    network: object,
    overlay: object,
    rules: object,
    evm: object,
    genesis: object,
    context: object,
) -> None:
    """Raise TypeError for arguments of `Hypervisor.open` that have other types than its annotations."""
    check_type(path, (str, PathLike), "path", f"a path as text or as a Path, or '{IN_MEMORY}'")
    check_type(bundle, (Bundle, str, Path, NoneType), "bundle", "a Bundle, or its name or path")
    check_type(network, (int, NoneType), "network", "a number, such as 28")
    check_type(overlay, (Overlay, str, Path, NoneType), "overlay", "an Overlay, or the path of its file")
    check_type(rules, (str, NoneType), "rules", "a name, such as 'filecoin'")
    check_type(evm, str, "evm", f"a name: one of {', '.join(EVM_ENGINES)}")
    check_type(genesis, (Genesis, NoneType), "genesis", "a Genesis, such as Genesis(accounts={address: fil(1)})")
    check_type(context, (MachineContext, NoneType), "context", "a MachineContext")


def open_store(path: str | Path) -> Store:
    """Open the store at a path; `:memory:` is a volatile store. Raises StoreError."""
    if str(path) == IN_MEMORY:
        return MemoryStore()
    from store.rocks.database import RocksStore

    return RocksStore.open(path)


def first_state(
    base: Store, bundle: Bundle | None, genesis: Genesis, network: NetworkVersion
) -> tuple[dict[Cid, bytes], Cid]:
    """Return the blocks and the root of a new machine's state; without a bundle, with our own actors."""
    if bundle is None:
        bundle = Bundle.for_actors(network.actors, network.rules)
    elif network.rules.installs_code and _INSTALLS not in dict(bundle.blocks)[bundle.manifest.code("init")]:
        raise InvalidInput(
            f"the init actor of the bundle {show(bundle.root)} does not support the feature m2-native: "
            "omit the bundle, or pass one that supports it (`own-m2-native`, `own-v19-m2-native`)"
        )
    seed = BufferedStore(base)
    seed.put_many(bundle.blocks)
    root = build_genesis(seed, bundle.manifest, genesis, network.rules)
    return seed.pending, root


def machine_record(context: MachineContext) -> bytes:
    """Return the folder's record of its machine."""
    network = context.network
    count, fields = _constant_fields(context.rules, network.number, context.chain_id, network.overlay)
    epoch, timestamp = encode(context.epoch), encode(context.timestamp)
    return b"".join((count, _EPOCH, epoch, fields, _TIMESTAMP, timestamp))


_EPOCH, _TIMESTAMP = encode("epoch"), encode("timestamp")
"""The first and the last key of the record, in DAG-CBOR's order."""


@lru_cache(1)
def _constant_fields(rules: str, network: int, chain_id: int, overlay: Overlay | None) -> tuple[bytes, bytes]:
    """Return the head of a record's map, and the fields that a chain's blocks share."""
    over = {} if overlay is None else {"overlay": overlay.fields()}
    fields = {"rules": rules, "network": network, "chain_id": chain_id, **over}
    return bytes((0xA0 + len(fields) + 2,)), encode(fields)[1:]


def choose_context(
    base: Store,
    network: int | None,
    rules: str | None,
    context: MachineContext | None,
    bundle: Bundle | None = None,
    overlay: Overlay | None = None,
) -> MachineContext:
    """Return the context to use: the caller's, else the folder's, else the default for the bundle.

    Raises InvalidInput for a folder with other rules, or with another overlay than the given one, and for the feature
    code-formats without a runtime that has a format.
    """
    if rules is None:
        rules = FILECOIN if context is None else context.rules
    record = base.metadata(MACHINE)
    recorded = None if record is None else _recorded_context(record, rules)
    chosen = replace(context or recorded or MachineContext(default_network(bundle)), rules=rules)
    named = chosen.network.overlay if overlay is None and context is not None else overlay
    if recorded is not None:
        check_same_overlay(recorded.network.overlay, named)
    if network is not None or named != chosen.network.overlay:
        chosen = replace(chosen, network=network_version(network or chosen.network.number, named))
    if CREATING in features_of(chosen.network.overlay) and not installed_formats():
        raise InvalidInput(
            f"the feature {CREATING} needs a runtime with a format of code, and none is installed: install its package,"
            " such as fvm-hypervisor-riscv (`hypervisor doctor` lists the runtimes)"
        )
    return chosen


def load_overlay(overlay: Overlay | str | Path | None) -> Overlay | None:
    """Return an overlay given as an object or as its file. Raises InvalidInput."""
    if not isinstance(overlay, str | Path):
        return overlay
    from hypervisor.versions.overlay_file import read_overlay  # imports a TOML parser, which few machines need

    return read_overlay(Path(overlay))


def check_same_overlay(recorded: Overlay | None, named: Overlay | None) -> None:
    """Raise InvalidInput if a folder's states were created with a different overlay than the given one."""
    if recorded == named:
        return
    if recorded is None and named is not None:
        draft = "" if named.draft is None else f"the draft nv{named.draft.number}, "
        raise InvalidInput(
            f"the folder's states were made without an overlay, not with {draft}{named}: omit it "
            f"({_options_of(named)}), or use another folder"
        )
    assert recorded is not None, "they differ"
    if recorded.draft is not None:
        other = "but none was given" if named is None else f"not with {named}"
        if named is not None and named.name == recorded.name:
            other = f"and its file or its migration has changed: {named}"
        raise InvalidInput(
            f"the folder's states were made with the draft nv{recorded.draft.number}, {recorded}, {other}: pass the "
            f"same one ({_options_of(recorded)}), or use another folder"
        )
    other = "but none was given" if named is None else f"not with {named}"
    raise InvalidInput(
        f"the folder's states were made with the overlay {recorded}, {other}: pass the same one "
        f"({_options_of(recorded)}), or use another folder"
    )


def _options_of(overlay: Overlay) -> str:
    """Return the options of commands, and of functions, that an overlay is passed with."""
    if overlay.draft is not None:
        return "--network FILE.toml"
    features = features_of(overlay)
    is_features = bool(features) and with_features(features) == overlay
    options = " ".join(f"--feature {name}" for name in features) if is_features else "--overlay FILE"
    return f"{options}, or overlay=..."


def default_network(bundle: Bundle | None) -> NetworkVersion:
    """Return the default network version: the newest one with the bundle's actors, if they are known."""
    from hypervisor.bundles.bundle_library import actors_version

    version = None if bundle is None else actors_version(bundle.manifest)
    return (None if version is None else newest_with_actors(version)) or LATEST


def _recorded_context(recorded: bytes, rules: str) -> MachineContext:
    try:
        record = decode_strict(recorded)
        if record["rules"] != rules:
            raise InvalidInput(
                f"the state was made under the rules '{record['rules']}' and cannot be opened under '{rules}'"
            )
        network, epoch, timestamp, chain_id = (record[name] for name in _RECORDED_NUMBERS)
        if not all(isinstance(number, int) for number in (network, epoch, timestamp, chain_id)):
            raise TypeError(f"{', '.join(_RECORDED_NUMBERS)} must be numbers")
        overlay = Overlay.from_fields(record["overlay"]) if "overlay" in record else None
    except (CodecError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"the folder's record of its machine cannot be read: {error}") from None
    return MachineContext(
        network_version(network, overlay), ChainEpoch(epoch), timestamp, chain_id=chain_id, rules=rules
    )


def check_bundle(bundle: Bundle | None, manifest: Manifest) -> None:
    """Raise InvalidInput if a bundle is not that of an existing state."""
    if bundle is not None and bundle.manifest.data != manifest.data:
        raise InvalidInput(
            f"the folder's state was made with the bundle of manifest data {show(manifest.data)}, not with "
            f"{show(bundle.manifest.data)} (see `hypervisor bundle list`): omit the bundle, or use another folder"
        )


def check_genesis(base: Store, genesis: Genesis | None, tree: StateTree) -> None:
    """Raise InvalidInput if the caller's genesis is not that of an existing state.

    Folders of older programs, imports and forks have no record of a genesis: for them only the network's name is
    compared, which is read from the state `tree`.
    """
    if genesis is None:
        return
    recorded, remedy = base.metadata(GENESIS), "omit the genesis, or use another folder"
    if recorded is None:
        name = tree.init_state().network_name
        if genesis.network_name != name:
            raise InvalidInput(
                f"the folder's state is that of the network '{name}', not of '{genesis.network_name}': {remedy}"
            )
        return
    try:
        found, found_link = decode_strict(recorded)
        found_cid = unlink(found_link)
    except (CodecError, TypeError, ValueError) as error:
        raise InvalidInput(f"the folder's record of its genesis cannot be read: {error}") from None
    if found_cid != genesis.cid():  # the text is for this message only: another version may print another one
        raise InvalidInput(
            f"the folder's state began with {found} ({show(found_cid)}), not with {genesis} ({show(genesis.cid())}): "
            f"{remedy}"
        )


@lru_cache(1)
def installed_record(codes: tuple[Cid, ...]) -> bytes:
    """Return the folder's record of installed user modules."""
    return encode([link(code) for code in codes])


def installed_codes(base: Store) -> tuple[Cid, ...]:
    """Return the user modules installed in a folder. Raises InvalidInput if its record is malformed."""
    recorded = base.metadata(INSTALLED)
    try:
        return () if recorded is None else tuple(unlink(code) for code in decode_strict(recorded))
    except (CodecError, TypeError) as error:
        raise InvalidInput(f"the folder's record of installed code cannot be read: {error}") from None


def registry_factory(evm: str, options: Mapping[str, str]) -> Callable[[Manifest, BufferedStore], Registry]:
    """Return a factory for a state's registry, with the executor of contracts. Raises InvalidInput for `evm`."""
    if evm not in EVM_ENGINES:
        raise InvalidInput(f"evm '{evm}' is not known: choose one of {', '.join(EVM_ENGINES)}")

    def build(manifest: Manifest, store: BufferedStore) -> Registry:
        engine, names = _runtimes(evm, manifest, store)
        return Registry(RuntimeServices({"evm": engine, **options}), names)

    return build


def register_actors(registry: Registry, manifest: Manifest, store: Blockstore) -> None:
    """Register another bundle's actors in a registry. Raises InvalidInput if no engine can run contracts."""
    _, names = _runtimes(registry.options.get("evm", AUTO), manifest, store)
    for code, name in names.items():
        registry.override(code, name)


def _runtimes(evm: str, manifest: Manifest, store: Blockstore) -> tuple[str, dict[Cid, str]]:
    """Return the engine for contracts, and the runtimes of a bundle's actors that are not native."""
    names = {}
    for code in manifest.codes:
        marker = runtime_marker(_module(store, code))
        if marker is not None:
            names[code] = marker
    contract = manifest.code("evm")
    engine = evm
    if engine == AUTO:
        engine = OWN_EVM if contract in names else OFFICIAL_EVM
    if engine == OFFICIAL_EVM:
        if contract in names:
            raise InvalidInput(
                "the state's bundle has no WASM EVM actor: choose another `evm`, or an official `bundle`, such as"
                " `--bundle v18` after `hypervisor bundle fetch v18`"
            )
    else:
        names[contract] = "evm"
    return engine, names


def _module(store: Blockstore, code: Cid) -> bytes:
    try:
        return store.get(code)
    except BlockNotFound:
        return b""

"""Reading of draft files. Every key and value is checked before anything runs.

    name = "nv30-draft"
    number = 30
    base = 29            # the version that the draft changes
    epoch = 100          # last epoch of `base` on a new chain; 0: it starts with the draft; omitted: upgrade on request

    [prices]             # as in an overlay (`hypervisor.versions.overlay_file`)
    [rules]              # as in an overlay, and receipts: "explicit" or "all" (FIP-0107)
    [syscalls]           # enable: features of ref-fvm; disable: syscalls by module and name
    [opcodes]            # add and remove: EVM features
    [precompiles]
    [evm]                # add and remove: the other features of `NetworkVersion.evm`
    [actors]             # bundle, and modules by actor name
    [migration]          # file: the name of a Python file

A draft file contains no code, and names only files in its own folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hypervisor.bundles.bundle import MAX_BUNDLE_BYTES, Bundle
from hypervisor.bundles.bundle_library import downloaded_releases, is_release_name, own_bundles, unpinned_bundles
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import BundleError, InvalidInput
from hypervisor.installation import MAX_BYTES, path_inside, read_bounded
from hypervisor.migrations.migration import migration_digest
from hypervisor.prices import check_price_name, price_values
from hypervisor.versions.features import FEATURES, INSTALLING
from hypervisor.versions.network_versions import NETWORK_VERSIONS, NetworkVersion, network_version
from hypervisor.versions.overlay import Draft, Overlay
from hypervisor.versions.overlay_file import (
    check_names,
    check_overlay,
    evm_features,
    parse_features,
    parse_name,
    parse_names,
    parse_prices,
    parse_rules,
    read_toml,
    table_of,
)
from hypervisor_tools.bundles import build
from runtimes.wasm import SYSCALL_REVISIONS, parse_module
from store.cid import CidError, parse_cid, show

KEYS: Final = (
    "name", "number", "base", "epoch", "prices", "rules", "syscalls", "opcodes", "precompiles", "evm", "actors",
    "migration",
)  # fmt: skip
OPCODES: Final = ("CLZ", "MCOPY", "TRANSIENT")
PRECOMPILES: Final = ("BEACON_RANDOMNESS", "BLS12_381", "P256")
MAX_NUMBER: Final = 999
"""Maximum number of a draft version."""
_MAX_EPOCH: Final = (1 << 63) - 1
_BUNDLE: Final = "bundle"
_FILE: Final = "file"


@dataclass(frozen=True, slots=True)
class DraftMigration:
    """A migration: its file, and the file's content when the draft was read."""

    path: Path
    source: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DraftVersion:
    """A draft version read from a file: its changes, the last epoch of the base version, and its built-in actors.

    `overlay` adds the version to the known ones. `bundle` contains the version's actors: those of `named` with the
    replacements in `modules`. It is None if the version has the actors of the base version. Reading executes no
    migration.
    """

    path: Path
    number: int
    base: int
    overlay: Overlay
    epoch: int | None
    bundle: Bundle | None
    named: Bundle | None
    """The bundle that the file names."""
    modules: tuple[tuple[str, bytes], ...]
    """Pairs of actor name and the module that replaces the actor's code."""
    migration: DraftMigration | None


def read_draft(path: Path) -> DraftVersion:
    """Read a draft version from a file whose name ends in .toml. Raises InvalidInput."""
    if path.suffix != ".toml":
        raise InvalidInput(f"--network {path} is not a draft's file: name one that ends in .toml, or omit the option")
    return read_toml(path, "draft version", lambda table: _parse(table, path))


def named_draft(text: str | None, overlay: object = None) -> DraftVersion | None:
    """Return the draft version of a name that ends in .toml; None for any other name.

    Raises InvalidInput, also if an overlay is used with a draft.
    """
    if text is None or not text.endswith(".toml"):
        return None
    draft = read_draft(Path(text))
    if overlay is not None:
        raise InvalidInput(
            f"the overlay {overlay} and the draft {text} cannot be used together: add the overlay's tables to the draft"
        )
    return draft


def _parse(table: Mapping[str, Any], path: Path) -> DraftVersion:
    _check_keys(table)
    name = parse_name(table.get("name", path.stem))
    base = _number(table, "base", min(NETWORK_VERSIONS), max(NETWORK_VERSIONS))
    number = _number(table, "number", base + 1, MAX_NUMBER)
    epoch = _number(table, "epoch", 0, _MAX_EPOCH) if "epoch" in table else None
    prices = parse_prices(table_of(table, "prices"))
    for price, _ in prices:
        check_price_name(price, price_values(network_version(base).prices), f"nv{base}")
    rules = dict(parse_rules(table_of(table, "rules")))
    enabled, disabled = _syscalls(table_of(table, "syscalls"), network_version(base))
    rules |= {FEATURES[name].rule: True for name in enabled}
    rules |= {"disabled_syscalls": ",".join(disabled)} if disabled else {}
    added, removed = _evm_changes(table)
    migration = _migration(table_of(table, "migration"), path.resolve().parent)
    draft = Draft(number, base, "" if migration is None else migration_digest(migration.source))
    if migration is not None and epoch == 0:
        raise InvalidInput(
            "[migration] needs an epoch after 0: with epoch = 0 a chain starts with the draft, and nothing is migrated"
        )
    overlay = Overlay(name, number, None, prices, tuple(sorted(rules.items())), added, removed, draft)
    check_overlay(overlay)
    named, modules = _actors(table_of(table, "actors"), path.resolve().parent)
    bundle = _built(named, modules, network_version(number, overlay))
    check_syscalls(bundle or own_actors(network_version(base)), disabled)
    if epoch != 0 and bundle is None and rules.get(FEATURES[INSTALLING].rule):
        raise InvalidInput(
            f"{INSTALLING} needs an init actor that supports it: set epoch = 0, or name a bundle in [actors]"
        )
    return DraftVersion(path, number, base, overlay, epoch, bundle, named, modules, migration)


def _syscalls(table: Mapping[str, Any], base: NetworkVersion) -> tuple[tuple[str, ...], tuple[str, ...]]:
    check_names(table, ("enable", "disable"), "[syscalls]")
    enabled = parse_names(table, "syscalls", "enable", list(FEATURES))
    return enabled, parse_names(table, "syscalls", "disable", syscall_names(base))


def _check_keys(table: Mapping[str, Any]) -> None:
    for key in table:
        if key not in KEYS:
            raise InvalidInput(f"the file has no key {key!r:.80}: expected {', '.join(KEYS)}")


def _number(table: Mapping[str, Any], key: str, minimum: int, maximum: int) -> int:
    if key not in table:
        raise InvalidInput(f"the key {key} is missing: expected a number from {minimum} to {maximum}")
    value = table[key]
    if type(value) is not int or not minimum <= value <= maximum:
        raise InvalidInput(f"{key} is {value!r:.80}: expected a whole number from {minimum} to {maximum}")
    return value


def _evm_changes(table: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rest = [name for name in evm_features() if name not in (*OPCODES, *PRECOMPILES)]
    added, removed = list[str](), list[str]()
    for title, known in ("opcodes", OPCODES), ("precompiles", PRECOMPILES), ("evm", rest):
        more, fewer = parse_features(table_of(table, title), title, known)
        added += more
        removed += fewer
    return tuple(sorted(added)), tuple(sorted(removed))


def _migration(table: Mapping[str, Any], folder: Path) -> DraftMigration | None:
    if not table:
        return None
    check_names(table, (_FILE,), "[migration]")
    file = table[_FILE]
    if not isinstance(file, str) or not file.endswith(".py"):
        raise InvalidInput(f"{_FILE} of [migration] is {file!r:.80}: expected the name of a Python file")
    path = path_inside(folder, file, f"migration.{_FILE}")
    return DraftMigration(path, read_bounded(path, MAX_BYTES, "migration"))


def _actors(table: Mapping[str, Any], folder: Path) -> tuple[Bundle | None, tuple[tuple[str, bytes], ...]]:
    check_names(table, (_BUNDLE, *ACTOR_NAMES), "[actors]")
    for name, value in table.items():
        if not isinstance(value, str) or not value:
            raise InvalidInput(f"{name} of [actors] is {value!r:.80}: expected the name of a file")
    modules = (
        (name, read_bounded(path_inside(folder, file, f"actors.{name}"), MAX_BUNDLE_BYTES, f"actors.{name}"))
        for name, file in table.items()
        if name != _BUNDLE
    )
    return _open(table[_BUNDLE], folder) if _BUNDLE in table else None, tuple(modules)


def _built(named: Bundle | None, modules: tuple[tuple[str, bytes], ...], row: NetworkVersion) -> Bundle | None:
    """Return the bundle of a draft: `named`, or this project's own bundle for the row, with `modules` replaced."""
    if not modules:
        return named
    return Bundle.from_car(build(named or Bundle.for_actors(row.actors, row.rules), dict(modules)))


def _open(source: str, folder: Path) -> Bundle:
    if source in own_bundles() or source in unpinned_bundles() or is_release_name(source):
        return Bundle.open(source)
    try:
        root = parse_cid(source)
    except CidError:
        return Bundle.from_file(path_inside(folder, source, f"actors.{_BUNDLE}"))
    for variant in own_bundles().values():
        if Bundle.embedded(variant).root == root:
            return Bundle.embedded(variant)
    for file in (*downloaded_releases().values(), *unpinned_bundles().values(), *sorted(folder.glob("*.car"))):
        with suppress(BundleError):  # other files in these folders need not be bundles
            bundle = Bundle.from_file(file)
            if bundle.root == root:
                return bundle
    raise BundleError(
        f"no bundle here has the manifest root {show(root)}: install it with `hypervisor bundle fetch` or "
        f"`hypervisor bundle add`, or put its CAR file into {folder}"
    )


def syscall_names(row: NetworkVersion) -> list[str]:
    """Return the syscalls of a network version without those of features, as `module.name`, sorted."""
    return sorted(".".join(key) for key in SYSCALL_REVISIONS[row.rules.abi])


def own_actors(row: NetworkVersion) -> Bundle | None:
    """Return this project's built-in actors for a network version; None if the project does not include them."""
    try:
        return Bundle.for_actors(row.actors, row.rules)
    except BundleError:
        return None


def check_syscalls(bundle: Bundle | None, disabled: Sequence[str]) -> None:
    """Raise InvalidInput if a built-in actor imports a disabled syscall, naming both."""
    if bundle is None or not disabled:
        return
    modules = dict(bundle.blocks)
    for name, code in zip(ACTOR_NAMES, bundle.manifest.codes, strict=False):
        for item in parse_module(modules[code]).imported_functions:
            syscall = f"{item.module}.{item.name}"
            if syscall in disabled:
                raise InvalidInput(
                    f"[syscalls] disables {syscall}, which the actor {name} imports: remove it from `disable`, or name "
                    f"a module for {name} that does not import it in [actors]"
                )


_NAME: Final = re.compile(r"(?:nv(?P<number>[1-9][0-9]{0,60}))?[a-z0-9-]{0,60}", re.ASCII)
_TEXT: Final = """\
# A draft network version. `--network FILE` uses it, see docs/network-versions.md.
name = "{name}"
number = {number}
base = {base}            # prices, rules and actors that this file does not change
epoch = {epoch:<12} # last epoch of nv{base} on a new chain; 0: it starts with nv{number}; omitted: upgrade on request

[prices]             # in gas, by the names of `hypervisor compare --list-prices --network nv{base}`
# block_persist_compute = 86_000

[rules]              # tipset_lookback, base_fee, ..., as in an overlay (docs/laboratory.md), and receipts
# base_fee = "fullness"
# receipts = "all"     # also of rewards and cron (FIP-0107)

[syscalls]           # features of ref-fvm: m2-native, upgrade-actor; and syscalls that actors lose
# enable = ["upgrade-actor"]
# disable = ["crypto.verify_post"]

[opcodes]            # of contracts: {opcodes}
# remove = ["CLZ"]

[precompiles]        # of contracts: {precompiles}
# remove = ["P256"]

[actors]             # another bundle (name, manifest root or CAR file), and modules by the name of their actor
# bundle = "own-v{actors}"
# ethaccount = "ethaccount.wasm"

[migration]          # Python file in this folder, which runs with your consent after epoch `epoch`
{mark}file = "{name}.py"
"""
_MIGRATION: Final = '''\
"""Migration to nv{number}. It runs once, at the end of the last epoch of nv{base}, after actors got new code."""


def migrate(context):
    """Rewrite states; see docs/network-versions.md#draft-versions."""

    def change(actor, head):
        (address,) = context.fields(head, "the account", 1)
        return context.put([address])

    context.rewrite("account", change)
'''


def new_draft(name: str, base: int, folder: Path, *, migrates: bool = False) -> Path:
    """Write the file of a new draft version into a folder, and return its path. Raises InvalidInput.

    A name such as nv30-draft contains the number; the default is the version after `base`. With `migrates`, the file
    of a migration is written too.
    """
    found = _NAME.fullmatch(name)
    if not name or found is None:
        raise InvalidInput(
            f"{name!r:.80} is not a valid name: expected lower-case letters, digits, hyphens: nv30-draft"
        )
    row = network_version(base)
    number = int(found["number"] or base + 1)
    if not base < number <= MAX_NUMBER:
        raise InvalidInput(f"nv{number} is not a draft of nv{base}: expected a number from {base + 1} to {MAX_NUMBER}")
    text = _TEXT.format(
        name=name, number=number, base=base, actors=row.actors, opcodes=", ".join(OPCODES),
        precompiles=", ".join(PRECOMPILES), mark="" if migrates else "# ", epoch=100 if migrates else 0,
    )  # fmt: skip
    if migrates:
        _write(folder / f"{name}.py", _MIGRATION.format(number=number, base=base))
    path = folder / f"{name}.toml"
    _write(path, text)
    return path


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InvalidInput(f"{path} exists already: choose another name, or delete it") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from None

"""Search for test files in the paths of a command, and for the bundle of a state by its manifest CID.

A given folder of bundles is searched first, then the downloaded releases (`hypervisor.bundles.bundle_library`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.bundle_library import downloaded_releases, library_folder, own_bundles
from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import BundleError, InvalidInput
from hypervisor.installation import exists
from hypervisor_tools.laboratory.drafts import DraftVersion
from store.blocks.memory import MemoryStore
from store.blockstore import Blockstore, StoreError
from store.car.files import read_car
from store.cid import Cid, show
from store.codec import CodecError, decode, unlink


def files_of(paths: Iterable[Path], *patterns: str) -> list[Path]:
    """Return the files in `paths` and those in its folders that match a pattern, without duplicates.

    Raises InvalidInput for a path that does not exist.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not exists(path):
            raise InvalidInput(f"{path} does not exist")
        within = sorted(file for pattern in patterns for file in path.glob(pattern)) if path.is_dir() else [path]
        found.update(dict.fromkeys(within))
    return list(found)


NO_BLOCKS: Final[Mapping[Cid, bytes]] = MappingProxyType({})


class BundleMissing(BundleError):
    """Raised if the bundle with which a state was created is missing."""


class BundleFolder:
    """A folder of bundles (`*.car`), the fetched releases, and the embedded one.

    Bundles are only read when they are requested; before that, only their manifests are.
    """

    def __init__(self, folder: Path | None, instead: Bundle | None = None, draft: DraftVersion | None = None) -> None:
        """`instead` is a bundle whose actors replace those that states refer to; those of `draft` replace them too."""
        self.folder, self._draft = folder, draft
        self._instead = draft.named if instead is None and draft is not None else instead
        self._stores: dict[Cid, MemoryStore | None] = {}

    def store(self, manifest: Cid, carried: Mapping[Cid, bytes] = NO_BLOCKS) -> MemoryStore:
        """Return the blocks of the bundle with this manifest data CID; empty if only `carried` has its manifest.

        Raises BundleMissing if neither has it.
        """
        found = self.find(manifest)
        if found is not None:
            return found
        if manifest in carried:
            return MemoryStore()
        where = f"in {self.folder} or {library_folder()}" if self.folder else f"in {library_folder()}"
        raise BundleMissing(
            f"no bundle with the manifest {show(manifest)} is {where}: download it with `hypervisor bundle fetch`, "
            "or pass a folder of bundles with --bundle-dir"
        )

    def exchange(self, store: Blockstore, manifest: Cid) -> None:
        """Store the modules of the replacement bundle, if any, under the code CIDs of a state's manifest.

        This keeps states and their roots comparable. Raises BundleError for a manifest that cannot be read.
        """
        if self._instead is not None:
            store.put_many(self._instead.modules_under(Manifest.load(store, manifest)))
        if self._draft is not None and self._draft.modules:
            known = Manifest.load(store, manifest)
            store.put_many((known.code(name), module) for name, module in self._draft.modules)

    def find(self, manifest: Cid) -> MemoryStore | None:
        """Return the blocks of the bundle with this manifest data CID; None if it is missing."""
        if manifest not in self._stores:
            self._stores[manifest] = self._load(manifest)
        return self._stores[manifest]

    def add(self, manifest: Cid, blocks: Mapping[Cid, bytes]) -> None:
        """Add blocks that were found on a chain to the bundle with this manifest CID."""
        if blocks:
            store = self._stores[manifest] = self.find(manifest) or MemoryStore()
            store.put_many(blocks.items())

    def _load(self, manifest: Cid) -> MemoryStore | None:
        store, own = MemoryStore(), None if self._draft is None else self._draft.bundle
        if own is not None and own.manifest.data == manifest:
            store.put_many(own.blocks)
            return store
        path = self._files.get(manifest)
        if path is not None:
            with path.open("rb") as stream:
                store.put_many(read_car(stream))
            return store
        for variant in own_bundles().values():
            embedded = Bundle.embedded(variant)
            if embedded.manifest.data == manifest:
                store.put_many(embedded.blocks)
                return store
        return None

    @cached_property
    def _files(self) -> dict[Cid, Path]:
        files: dict[Cid, Path] = {}
        local = sorted(self.folder.glob("*.car")) if self.folder else []
        for path in [*local, *downloaded_releases().values()]:
            data = _manifest_data(path)
            if data is not None:
                files.setdefault(data, path)
        return files


def _manifest_data(path: Path) -> Cid | None:
    """Return the CID of a bundle's manifest data; None if the file is not a bundle."""
    try:
        with path.open("rb") as stream:
            reader = read_car(stream)
            for cid, block in reader:
                if cid in reader.roots:
                    return unlink(decode(block)[1])
    except (StoreError, CodecError, TypeError, IndexError):
        return None
    return None

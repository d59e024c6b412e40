"""Finds the bundle that a state was made with: by the CID of its manifest, whatever the file is called.

A folder of bundles is looked into first, then the releases that were fetched (`hypervisor.bundle_library`).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from hypervisor.bundle import Bundle
from hypervisor.bundle_library import downloaded_releases, library_folder, own_bundles
from hypervisor.errors import BundleError
from store.blockstore import StoreError
from store.car import read_car
from store.cid import Cid, show
from store.codec import CodecError, decode, unlink
from store.memory import MemoryStore


class BundleFolder:
    """A folder of bundles (`*.car`), the fetched releases, and the embedded one.

    Only the manifests are read until a bundle is asked for.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._stores: dict[Cid, MemoryStore] = {}

    def store(self, manifest: Cid) -> MemoryStore:
        """The blocks of the bundle whose manifest data has this CID; BundleError if it is not here."""
        known = self._stores.get(manifest)
        if known is None:
            known = self._stores[manifest] = self._load(manifest)
        return known

    def _load(self, manifest: Cid) -> MemoryStore:
        store = MemoryStore()
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
        where = f"in {self.folder} or {library_folder()}" if self.folder else f"in {library_folder()}"
        raise BundleError(
            f"no bundle with the manifest {show(manifest)} is {where}: `hypervisor bundle fetch` gets one, or name a "
            "folder of bundles with --bundle-dir"
        )

    @cached_property
    def _files(self) -> dict[Cid, Path]:
        """The files by the CID of their manifest data, which a bundle's root block names."""
        files: dict[Cid, Path] = {}
        given = sorted(self.folder.glob("*.car")) if self.folder else []
        for path in [*given, *downloaded_releases().values()]:
            data = _manifest_data(path)
            if data is not None:
                files.setdefault(data, path)
        return files


def _manifest_data(path: Path) -> Cid | None:
    """The CID of a bundle's manifest data; None if the file is no bundle."""
    try:
        with path.open("rb") as stream:
            reader = read_car(stream)
            for cid, block in reader:
                if cid in reader.roots:
                    return unlink(decode(block)[1])
    except (StoreError, CodecError, TypeError, IndexError):
        return None
    return None

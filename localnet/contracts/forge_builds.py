"""The compiler runs that produced forge's artifacts. Source maps use the source numbers of their run.

Forge's cache file names the run of each artifact, and the artifacts' `build-info` folder contains the source numbers
of each run. The files are untrusted: an unreadable file is skipped, and no other file is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from hypervisor.installation import read_bounded
from store.untrusted import parse_json

FORGE_CACHE: Final = "solidity-files-cache.json"
MAX_BUILD_INFO_BYTES: Final = 128 << 20
_MAX_BUILD_INFOS: Final = 50


class ForgeBuilds:
    """The compiler runs of the artifacts in the folder `out`; `cache` is forge's cache folder."""

    def __init__(self, out: Path, cache: Path) -> None:
        self._out, self._cache = out, cache
        self._numbers: dict[str, dict[int, str]] = {}

    def build(self, artifact: Path) -> str | None:
        """Return the build that made an artifact; None if ambiguous: several builds, and none named by the cache."""
        if self._builds:
            return self._builds.get(artifact.relative_to(self._out).as_posix())
        return next(iter(self._infos)) if len(self._infos) == 1 else None

    def artifacts(self, source: str) -> list[Path] | None:
        """Return a source's artifacts according to the cache; None without a forge cache."""
        if not self._builds:
            return None
        return [self._out / path for path in self._paths.get(source, ())]

    def numbers(self, build: str) -> dict[int, str]:
        """Return a build's source paths by number; empty if its file cannot be read."""
        known = self._numbers.get(build)
        if known is None:
            paths = _object(self._infos[build]).get("source_id_to_path") if build in self._infos else None
            try:
                known = {int(number): str(path) for number, path in dict(paths or {}).items()}
            except (TypeError, ValueError):
                known = {}
            self._numbers[build] = known
        return known

    def agreed_sources(self, number: int, source: str) -> dict[int, str]:
        """Return the numbers on which all builds that gave a source this number agree, including the source's own."""
        own = {number: source}
        if len(self._infos) > _MAX_BUILD_INFOS:
            return own
        fitting = [found for build in self._infos if (found := self.numbers(build)).get(number) == source]
        if not fitting:
            return own
        return dict(set(fitting[0].items()).intersection(*(found.items() for found in fitting)))

    @cached_property
    def _infos(self) -> dict[str, Path]:
        return {path.stem: path for path in sorted((self._out / "build-info").glob("*.json"))}

    @property
    def _builds(self) -> dict[str, str]:
        """Compiler run of each artifact, by its path relative to the folder."""
        return self._entries[0]

    @property
    def _paths(self) -> dict[str, list[str]]:
        """Paths of the artifacts relative to the folder, by source."""
        return self._entries[1]

    @cached_property
    def _entries(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        files = _object(self._cache / FORGE_CACHE).get("files")
        builds: dict[str, str] = {}
        paths: dict[str, list[str]] = {}
        try:
            for source, entry in dict(files or {}).items():
                profiles = [found for versions in entry["artifacts"].values() for found in versions.values()]
                made = {str(one["path"]): str(one["build_id"]) for found in profiles for one in found.values()}
                builds |= made
                paths[source] = [path for path in made if _is_below(path)]
        except (KeyError, TypeError, ValueError, AttributeError):
            return {}, {}
        return builds, paths


def _is_below(path: str) -> bool:
    """Return True if the path leads below the folder that it is relative to."""
    return not path.startswith("/") and ".." not in path.split("/")


def _object(path: Path) -> Mapping[str, Any]:
    """Read the object in a file; an empty one if there is none."""
    try:
        content = parse_json(read_bounded(path, MAX_BUILD_INFO_BYTES, "the file"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}

"""Compiled sources are cached for the next run; other processes may read the cache at any moment."""

import os
from pathlib import Path

import pytest

from fvm_hypervisor.soltest.compiled_cache import CompiledCache

ANSWER = {
    "sources": {"src/A.sol": {"id": 3}},
    "contracts": {"src/A.sol": {"A": {"abi": [], "evm": {"bytecode": {"object": "60" * 1000}}}}},
}
KEY = "ab" * 32


def test_put_entry_is_found_without_leftover_files(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path)
    assert cache.get("src/A.sol", KEY) is None
    cache.put("src/A.sol", KEY, ANSWER, {"src/A.sol"})
    found = cache.get("src/A.sol", KEY)
    assert found is not None
    (place,) = found.locations
    assert (place.name, dict(found.numbers)) == ("A", {3: "src/A.sol"})
    assert sorted(path.name for path in place.path.parent.iterdir()) == ["0.json", "index.json"]


def test_failed_contract_cache_rewrite_keeps_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = CompiledCache(tmp_path)
    cache.put("src/A.sol", KEY, ANSWER, {"src/A.sol"})
    found = cache.get("src/A.sol", KEY)
    assert found is not None
    whole = found.locations[0].path.read_bytes()
    write = Path.write_bytes

    def disk_is_full(path: Path, content: bytes) -> int:
        write(path, content[: len(content) // 2])
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", disk_is_full)
    with pytest.raises(OSError, match="No space"):
        cache.put("src/A.sol", KEY, ANSWER, {"src/A.sol"})
    assert found.locations[0].path.read_bytes() == whole

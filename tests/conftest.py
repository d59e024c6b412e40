"""Shared fixtures: the location of external test data, and their replacements.

Most tests do not need the data. Tests that need a bundle use an official one or the project's own (`bundle_file`);
tests for both kinds take their parameters from `kinds`. Tests that need the data themselves are skipped without them
(`data_file`), and the report counts them.
"""

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from _pytest.assertion.rewrite import AssertionRewritingHook
from hypothesis import HealthCheck, settings

from hypervisor.bundles.bundle_library import downloaded_releases, find_release, own_bundle_for
from hypervisor.installation import user_folder
from hypervisor.versions.network_versions import NetworkVersion, newest_with_actors

MANY_SAMPLES = os.environ.get("FVM_SAMPLES") == "all"
"""True if randomised tests draw all samples, as in `make oracles` and `make equality`."""


def samples(number: int) -> int:
    """Return the number of samples a test draws: all, or a quarter in `make test`."""
    return number if MANY_SAMPLES else max(1, number // 4)


# The same examples at each run, and no time limits: neither luck nor another program on the machine fails a property.
# `make test ARGS=--hypothesis-profile=search` draws new ones.
_PATIENT = [HealthCheck.too_slow]
settings.register_profile("search", deadline=None, suppress_health_check=_PATIENT)
settings.register_profile(
    "project", deadline=None, suppress_health_check=_PATIENT, derandomize=True, database=None, max_examples=samples(100)
)
settings.load_profile("project")

pytest_plugins = ("tests.suite_rules", "pytester")

# pytest rewrites the assertions of all modules of a plugin's distribution, so importing them parses them, also on two
# threads of a node at once. Python 3.11's `ast.parse` then fails if the threads switch while garbage is collected:
# https://github.com/python/cpython/issues/106905.
for _hook in sys.meta_path:
    if isinstance(_hook, AssertionRewritingHook):
        _hook._must_rewrite -= {"bridge", "hypervisor_tools", "hypervisor", "localnet", "runtimes", "store"}
        _hook._marked_for_rewrite_cache.clear()

# Compiled modules of the tests are kept from run to run, for all workers and checkouts, apart from the user's.
with suppress(RuntimeError):  # no home folder: none are kept
    os.environ.setdefault("FVM_CACHE_DIR", str(user_folder("cache") / "tests"))

os.environ["FVM_SOLC_BINARIES"] = ""  # tests download compilers of test servers only

# A shell's background job ignores Ctrl-C, and so does what it starts: here it interrupts, and ends tests' nodes.
signal.signal(signal.SIGINT, signal.default_int_handler)

_PROJECT = Path(__file__).resolve().parent.parent
OWN_DATA = _PROJECT / "tests" / "own_data"
"""Our own files, each under the name of the test data file that it replaces."""
_OWN_BUNDLE = _PROJECT / "hypervisor" / "builtin_actors" / "bundle.car"
_DATA_VERSION = 18
"""Newest actors version of the test data."""
_TESTED = ("testing-fake-proofs", "devnet")
_MANIFESTS = _PROJECT / "tests" / "golden" / "manifests"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without garbage collections: the tests stay to the end, and each collection would visit all of them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def preserved_limit() -> Iterator[None]:
    """Restore the recursion limit, which commands and libraries raise, after each test."""
    limit = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(limit)


@pytest.fixture
def high_limit(preserved_limit: None) -> None:
    """Raise the recursion limit: the JSON parser of Python 3.11 then overflows the stack on deeply nested text."""
    sys.setrecursionlimit(1_000_000)


@cache
def fvm_data() -> Path | None:
    """Return the folder of external vectors and bundles (FVM_DATA, default ../shared), or None."""
    folder = Path(os.environ.get("FVM_DATA", _PROJECT / ".." / "shared")).resolve()
    if folder.is_dir():
        return folder
    if "FVM_DATA" in os.environ:
        raise FileNotFoundError(f"FVM_DATA names {folder}, which is not a folder")
    return None


def data_file(name: str) -> Path:
    """Return a file or folder under `fvm_data()`; fail the test if it is missing there.

    Without that folder, return this project's replacement; skip the test if there is none.
    """
    folder = fvm_data()
    if folder is None and (OWN_DATA / name).exists():
        return OWN_DATA / name
    if folder is None:
        pytest.skip("no test data: set FVM_DATA to the folder that holds vectors/ and bundles/")
    path = folder / name
    if not path.exists():
        pytest.fail(f"{name} is missing from the test data in {folder}")
    return path


def bundle_file(name: str) -> Path:
    """Return an official bundle (see `data_file`), or without test data the project's own."""
    return _OWN_BUNDLE if fvm_data() is None else data_file(name)


def bundle_folder() -> Path:
    """Return the folder of official bundles, or without test data that of manifests without code.

    Manifests suffice for messages that execute no built-in actor: most golden vectors (tests/golden/README.md).
    """
    return _MANIFESTS if fvm_data() is None else data_file("bundles")


@cache
def newer_names() -> tuple[str, ...]:
    """Return installed official releases (`hypervisor bundle add`) that are newer than the test data.

    Only networks with 2 KiB sectors, and versions for which the project has its own bundle.
    """
    kept = [find_release(name) for name in downloaded_releases()]
    return tuple(
        release.name
        for release in kept
        if release.version > _DATA_VERSION and own_bundle_for(release.version) and release.network in _TESTED
    )


def newer_rows() -> list[Any]:
    """Return the same as parametrize rows, or one skipped row if there are none."""
    reason = "no official bundle of a later version was added (`hypervisor bundle add`)"
    return [*newer_names()] or [pytest.param("none", marks=pytest.mark.skip(reason=reason))]


def network_of(name: str) -> NetworkVersion:
    """Return the newest network version for the actors of a bundle name such as own-v19 or v19-devnet."""
    found = newest_with_actors(int(name.removeprefix("own-").removeprefix("v").partition("-")[0]))
    assert found is not None, name
    return found


def newest_bundle(name: str) -> Path:
    """Return a newer release of the same network than `bundle_file`, if installed, for any version."""
    network = Path(name).stem.partition("-")[2]
    newer = [kept for kept in newer_names() if kept.partition("-")[2] == network]
    return downloaded_releases()[newer[-1]] if newer else bundle_file(name)


def with_data(*rows: Any) -> list[Any]:
    """Return parametrize rows that need the test data, or none without it."""
    return [] if fvm_data() is None else [*rows]


def kinds(*more: str) -> list[str]:
    """Return the bundles a test runs on: `own`, and with test data `official` and `more`."""
    return ["own", *with_data("official", *more)]


def evms() -> list[str]:
    """Return two runners of contracts: our engine and the official EVM actor, or without test data both engines."""
    return ["py-evm", "fast" if fvm_data() is None else "official"]

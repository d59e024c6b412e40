"""The user's bundle folder: only complete releases with the pinned manifest are stored, and no partial files remain."""

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from hypervisor import Bundle
from hypervisor.bundles.bundle_library import Release, actors_version, downloaded_releases, find_release, releases
from hypervisor.errors import BundleError
from hypervisor_tools.bundles import add, fetch
from hypervisor_tools.download import DownloadFailed
from store.car.files import write_car
from store.cid import RAW, cid_of, show
from tests.conftest import bundle_file, fvm_data
from tests.hypervisor_tools.bundles.server import Site, serving
from tests.stand_in import write_stand_in

OFFICIAL = bundle_file("bundles/v18-devnet.car")
"""File of the release. Without the test data it is our own bundle, pinned in place of the official one."""
ROOT = show(Bundle.from_file(OFFICIAL).root)
DEVNET = releases()["v18-devnet"]._replace(manifest_root=ROOT) if fvm_data() is None else releases()["v18-devnet"]


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cast("dict[str, Release]", releases()), "v18-devnet", DEVNET)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "not" / "there" / "yet"
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(folder))
    return folder


@pytest.fixture
def official() -> bytes:
    return OFFICIAL.read_bytes()


@pytest.fixture
def site(official: bytes) -> Iterator[Site]:
    with serving(Site(official)) as site:
        yield site


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def car(bundle: Bundle, *, without: str = "", more: bytes = b"") -> bytes:
    """Return a bundle's CAR, without the code of one actor or with an additional block."""
    left_out = bundle.manifest.code(without) if without else None
    blocks = [(cid, block) for cid, block in bundle.blocks if cid != left_out]
    if more:
        blocks.append((cid_of(more, RAW), more))
    stream = io.BytesIO()
    write_car(stream, [bundle.root], blocks)
    return stream.getvalue()


# --- from the network -------------------------------------------------------------------------------------------------


def test_release_is_downloaded_verified_and_found_by_name(library: Path, site: Site) -> None:
    assert fetch(DEVNET, f"{site.url}/moved") == library / "v18-devnet.car"
    assert names(library) == ["v18-devnet.car"]
    assert show(Bundle.open("v18-devnet").root) == DEVNET.manifest_root
    assert fetch(DEVNET, f"{site.url}/file") is None
    assert len(site.asked) == 1


def test_interrupted_download_resumes_in_next_run(library: Path, site: Site) -> None:
    site.cut_after = 3_000_000
    with pytest.raises(DownloadFailed, match=r"the download continues where it stopped.*bundle add FILE") as told:
        fetch(DEVNET, f"{site.url}/file")
    assert "bundle fetch" not in str(told.value), "the command that has just failed is no remedy"
    assert names(library) == ["v18-devnet.car.part"]
    site.cut_after = None
    fetch(DEVNET, f"{site.url}/file")
    assert names(library) == ["v18-devnet.car"]
    assert site.asked == ["", "bytes=3000000-"]


def test_two_at_once_are_one_download(library: Path, site: Site) -> None:
    with ThreadPoolExecutor(2) as two:
        found = list(two.map(lambda _: fetch(DEVNET, f"{site.url}/file"), range(2)))
    assert set(found) == {None, library / "v18-devnet.car"}
    assert (names(library), len(site.asked)) == (["v18-devnet.car"], 1)


def test_a_part_of_another_file_does_not_spoil_the_release(library: Path, site: Site) -> None:
    library.mkdir(parents=True)
    (library / "v18-devnet.car.part").write_bytes(bytes(1_000_000))
    fetch(DEVNET, f"{site.url}/file")
    assert names(library) == ["v18-devnet.car"]
    assert site.asked == ["bytes=1000000-", ""]


def test_bundle_other_than_pinned_is_refused_and_not_stored(library: Path, site: Site) -> None:
    with pytest.raises(BundleError, match=f"is not v18-mainnet: its manifest root is {ROOT[:16]}"):
        fetch(releases()["v18-mainnet"], f"{site.url}/file")
    assert names(library) == []


@pytest.mark.parametrize("content", [b"", b"<html>no such release</html>", bytes(100_000), b"\xff" * 20])
def test_invalid_bundle_is_rejected_and_not_stored(library: Path, site: Site, content: bytes) -> None:
    site.content = content
    with pytest.raises(BundleError, match="is rejected"):
        fetch(DEVNET, f"{site.url}/file")
    assert names(library) == []


def test_oversized_download_body_stores_no_bundle(library: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypervisor_tools.bundles.MAX_BUNDLE_BYTES", 10_000_000)
    with pytest.raises(ValueError, match="more than 10,000,000 bytes"):
        fetch(DEVNET, f"{site.url}/endless")
    assert names(library) == []


def test_a_damaged_release_is_replaced(library: Path, site: Site, official: bytes) -> None:
    library.mkdir(parents=True)
    (library / "v18-devnet.car").write_bytes(official[:-1])
    assert fetch(DEVNET, f"{site.url}/file") == library / "v18-devnet.car"
    assert (library / "v18-devnet.car").read_bytes() == official


def test_offline_bundle_error_names_file_cid_and_alternative(library: Path) -> None:
    with serving(Site()) as site:
        url = site.url
    with pytest.raises(DownloadFailed) as caught:
        fetch(DEVNET, f"{url}/file")
    for words in (
        "cannot be reached",
        "builtin-actors-devnet.car",
        DEVNET.manifest_root,
        "`hypervisor bundle add FILE`",
    ):
        assert words in str(caught.value)


# --- from a file ------------------------------------------------------------------------------------------------------


def test_added_bundle_file_is_stored_under_its_release_name(library: Path, tmp_path: Path, official: bytes) -> None:
    file = tmp_path / "download(1).car"
    file.write_bytes(official)
    assert add(file) == (DEVNET, library / "v18-devnet.car")
    assert names(library) == ["v18-devnet.car"]
    assert Bundle.open("v18-devnet") == Bundle.from_file(file)


@pytest.mark.slow
def test_incomplete_padded_and_unknown_bundles_are_refused(library: Path, tmp_path: Path) -> None:
    bundle = Bundle.from_file(OFFICIAL)
    file = tmp_path / "some.car"
    for content, words in (
        (car(bundle, without="multisig"), "has no code for multisig"),
        (car(bundle, more=b"a stowaway"), "1 blocks that are not in its manifest"),
        (car(Bundle.embedded("supply-share")), "not a known release"),
        (car(bundle)[:-1], "not a readable CAR"),
        (car(bundle)[:100_000] + b"\0" + car(bundle)[100_001:], "does not match its hash"),
    ):
        file.write_bytes(content)
        with pytest.raises(BundleError, match=words):
            add(file)
    assert names(library) == []


# --- releases whose roots are not pinned here -------------------------------------------------------------------------


@pytest.mark.slow
def test_a_newer_release_is_added_under_the_name_that_is_given(library: Path, tmp_path: Path) -> None:
    bundle = write_stand_in(OFFICIAL, tmp_path / "newer.car")
    release, path = add(tmp_path / "newer.car", "v20-devnet")
    assert (release.name, release.version, path) == ("v20-devnet", 20, library / "v20-devnet.car")
    assert Bundle.open("v20-devnet") == bundle
    assert actors_version(bundle.manifest) == 20
    assert list(downloaded_releases()) == ["v20-devnet"]
    assert add(tmp_path / "newer.car")[0] == release
    assert find_release("v20", "devnet") == release


def test_a_release_that_is_not_pinned_here_has_no_url(library: Path, tmp_path: Path, official: bytes) -> None:
    """The tag is not known: a release need not end in .0.0, as v19.0.1 shows."""
    (tmp_path / "known.car").write_bytes(official)
    write_stand_in(tmp_path / "known.car", tmp_path / "newer.car")
    release, path = add(tmp_path / "newer.car", "v20-devnet")
    path.unlink()
    assert (release.url, release.official_file_name) == (None, "builtin-actors-devnet.car")
    with pytest.raises(BundleError, match=r"is not downloaded: get builtin-actors-devnet.car .* from where it came"):
        Bundle.open("v20-devnet")
    with pytest.raises(BundleError, match=r"the download URL of v20-devnet is unknown: pass it with --from URL"):
        fetch(release)


@pytest.mark.slow
def test_a_name_stands_for_one_root_and_a_root_for_one_name(library: Path, tmp_path: Path, official: bytes) -> None:
    known, first, second = tmp_path / "known.car", tmp_path / "first.car", tmp_path / "second.car"
    known.write_bytes(official)
    write_stand_in(known, first)
    write_stand_in(first, second)
    add(first, "v20-devnet")
    for file, name, words in (
        (known, "v20-testing", "is that of v18-devnet, not of v20-testing"),
        (second, "v18-devnet", "v18-devnet is known with the manifest root"),
        (second, "v20-devnet", "v20-devnet is known with the manifest root"),
        (first, "v20-testing", "is that of v20-devnet, not of v20-testing"),
        (second, "newest", "'newest' is not a valid release name: expected a name such as v19-devnet"),
        (second, "v19", "'v19' is not a valid release name"),
        (second, "v020-devnet", "'v020-devnet' is not a valid release name"),
    ):
        with pytest.raises(BundleError, match=words):
            add(file, name)
    assert names(library) == ["named.json", "v20-devnet.car"]
    add(known, "v18-devnet")
    assert names(library) == ["named.json", "v18-devnet.car", "v20-devnet.car"]


@pytest.mark.parametrize("text", ["{", "[]", '{"v20-devnet": 5}', '{"v20-devnet": "bafy"}', '{"newest": "bafy"}'])
def test_corrupt_bundle_name_list_is_reported(library: Path, text: str) -> None:
    library.mkdir(parents=True)
    (library / "named.json").write_text(text)
    with pytest.raises(BundleError, match=r"named.json is corrupt .*: delete it"):
        Bundle.open("v18-devnet")


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, official: bytes, site: Site
) -> None:
    file = tmp_path / "a file where the folder would be"
    file.write_bytes(official)
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(file))
    with pytest.raises(BundleError, match=r"the folder of bundles, .* cannot be written"):
        add(file)
    with pytest.raises(BundleError, match=r"the folder of bundles, .* cannot be written"):
        fetch(DEVNET, f"{site.url}/file")


def test_full_disk_leaves_no_bundle(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, official: bytes
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "official.car"
    file.write_bytes(official)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match="No space left on device"):
        add(file)
    assert names(library) == []


@pytest.mark.slow
def test_leftovers_of_killed_process_are_deleted_on_next_use(
    library: Path, tmp_path: Path, official: bytes, site: Site
) -> None:
    library.mkdir(parents=True)
    killed, writing = library / "v18-devnet.car.abc.new", library / "v17-devnet.car.def.new"
    file = tmp_path / "official.car"
    file.write_bytes(official)
    for use in (lambda: add(file), lambda: fetch(DEVNET, f"{site.url}/file")):
        for draft in (killed, writing):
            draft.write_bytes(b"half a bundle")
        os.utime(killed, (0, 0))
        use()
        assert names(library) == sorted([writing.name, "v18-devnet.car"])
        (library / "v18-devnet.car").unlink()

"""Bundles by name: release names, pinned manifest roots, and errors for missing bundles."""

import shutil
from pathlib import Path

import pytest

from hypervisor import Hypervisor
from hypervisor.builtin_actors.releases import releases
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.bundle_library import downloaded_releases, find_release, library_folder, release_of
from hypervisor.errors import BundleError
from localnet import Network
from store.cid import show
from tests.conftest import data_file

# Roots measured on the published archives, and those of the files in the test data.
MEASURED = {
    "v18-devnet": "bafy2bzaced35gjxagazf2fne5dakbok5abmivsh7cq7huwfuptebgwjmcpcf6",
    "v18-testing": "bafy2bzacece6i7k26rjexzyedrr5qcag7xdntw72tdsealzy6qqdrankk4a7g",
    "v18-testing-fake-proofs": "bafy2bzacebhqxufvuk42n44l2h3ilek5jrp7lgdyapnyu76j5ocgi5koxkh7u",
    "v18-mainnet": "bafy2bzacedxsqapxwj5znwy4leem5gsuenhhfyqcntews3yis5iek67thy6lc",
    "v18-calibrationnet": "bafy2bzacebkfatnbe6w4rj7lf6gkjh7mywlrpdh2dj6hu2dl4rmtwksszm2hs",
    "v16-devnet": "bafy2bzaceclp3wfrwdjgh6c3gee5smwj3zmmrhb4fdbc4yfchfaia6rlljx5o",
    "v10-devnet": "bafy2bzacebzz376j5kizfck56366kdz5aut6ktqrvqbi3efa2d4l2o2m653ts",
}


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bundles"
    folder.mkdir()
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(folder))
    return folder


@pytest.mark.parametrize(("name", "root"), MEASURED.items())
def test_the_pinned_roots_are_the_published_ones(name: str, root: str) -> None:
    assert releases()[name].manifest_root == root


def test_official_test_bundles_have_pinned_manifest_roots() -> None:
    files = sorted(data_file("bundles").glob("v*.car"))
    assert files
    for file in files:
        assert show(Bundle.from_file(file).root) == releases()[file.stem].manifest_root, file.name


def test_releases_have_distinct_manifest_roots() -> None:
    roots = [release.manifest_root for release in releases().values()]
    assert len(set(roots)) == len(roots)


def test_a_version_alone_means_mainnet_unless_a_network_is_named() -> None:
    assert find_release("v18").name == "v18-mainnet"
    assert find_release("v18", "devnet").name == "v18-devnet"
    assert find_release("v16-testing", "testing").name == "v16-testing"
    assert str(find_release("v16").url).endswith("/v16.0.1/builtin-actors-mainnet.car")


@pytest.mark.parametrize(
    ("name", "network", "words"),
    [
        ("v9", None, "expected one of v10, v11, v12, v13"),
        ("v18-moonnet", None, "v18 is available for mainnet, calibrationnet"),
        ("v18-../../etc/passwd", None, "unknown release"),
        ("v18", "../../etc/passwd", "unknown release"),
        ("v18-devnet", "mainnet", "is not a release for mainnet"),
        ("", None, "expected one of v10"),
    ],
)
def test_unknown_release_name_is_refused_with_known_names(name: str, network: str | None, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        find_release(name, network)


def test_missing_release_error_names_file_cid_and_both_remedies(library: Path) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle.open("v18")
    words = str(caught.value)
    assert "`hypervisor bundle fetch v18-mainnet`" in words
    assert "builtin-actors-mainnet.car" in words
    assert MEASURED["v18-mainnet"] in words
    assert "`hypervisor bundle add FILE`" in words


def test_downloaded_release_opens_machine_and_network_by_name(library: Path) -> None:
    shutil.copy(data_file("bundles/v18-devnet.car"), library)
    assert list(downloaded_releases()) == ["v18-devnet"]
    with Hypervisor.open(bundle="v18-devnet", evm="official") as machine:
        data = machine.manifest.data
    with Network(bundle="v18-devnet") as network:
        assert network.machine.manifest.data == data
    release = release_of(Bundle.open("v18-devnet").root)
    assert release is not None
    assert release.name == "v18-devnet"


def test_another_bundle_under_a_releases_name_is_refused(library: Path) -> None:
    shutil.copy(data_file("bundles/v18-devnet.car"), library / "v18-mainnet.car")
    with pytest.raises(BundleError, match="is not v18-mainnet: its manifest root is bafy2bzaced35gj"):
        Bundle.open("v18")


def test_own_bundles_have_names_too() -> None:
    assert Bundle.open("own") == Bundle.embedded()
    assert Bundle.open("own-supply-share") == Bundle.embedded("supply-share")


def test_a_path_is_always_a_file(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(data_file("bundles/v18-devnet.car"), tmp_path / "v18")
    monkeypatch.chdir(tmp_path)
    assert show(Bundle.open("./v18").root) == show(Bundle.open(Path("v18")).root) == MEASURED["v18-devnet"]


@pytest.mark.slow
def test_non_file_or_overlong_file_is_rejected_as_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a file"):
        Bundle.open("/dev/zero")
    long = tmp_path / "long.car"
    with long.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(BundleError, match="longer than"):
        Bundle.open(long)


def test_the_folder_is_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FVM_BUNDLE_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setattr("sys.platform", "linux")
    assert library_folder() == Path("/data/fvm-hypervisor/bundles")
    monkeypatch.setattr("sys.platform", "darwin")
    assert library_folder() == Path.home() / "Library" / "Application Support" / "fvm-hypervisor" / "bundles"


def test_missing_home_names_variable_and_stores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    for name in ("FVM_BUNDLE_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(BundleError, match="set FVM_BUNDLE_DIR"):
        library_folder()
    assert downloaded_releases() == {}

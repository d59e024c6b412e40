"""Bundles of built-in actors.

- Bundles: valid manifests, incomplete CARs, official bundles and marker sections.
- Bundles by name: release names, pinned manifest roots, and errors for missing bundles.
"""

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor import Hypervisor
from hypervisor.bundles.bundle import MARKER_SECTION, Bundle, runtime_marker
from hypervisor.bundles.bundle_library import downloaded_releases, find_release, library_folder, release_of, releases
from hypervisor.bundles.manifest import ACTOR_NAMES, Manifest
from hypervisor.errors import BundleError
from localnet import Network
from store.blocks.memory import MemoryStore
from store.blockstore import BlockNotFound
from store.car.files import write_car
from store.cid import RAW, cid_of, parse_cid, show
from store.codec import encode, link
from tests.conftest import data_file, samples

MODULES = {name: f"code of {name}".encode() for name in ACTOR_NAMES}
ENTRIES = [[name, link(cid_of(module, RAW))] for name, module in MODULES.items()]


def car(entries: Any = ENTRIES, modules: dict[str, bytes] = MODULES, roots: int = 1, root: Any = None) -> bytes:
    """Return a bundle as a CAR, with optional defects."""
    listing = encode(entries)
    head = encode([1, link(cid_of(listing))] if root is None else root)
    blocks = [(cid_of(head), head), (cid_of(listing), listing)]
    blocks += [(cid_of(module, RAW), module) for module in modules.values()]
    stream = io.BytesIO()
    write_car(stream, [cid_of(head)] * roots, blocks)
    return stream.getvalue()


def test_a_bundle_is_read_with_its_manifest_and_blocks() -> None:
    bundle = Bundle.from_car(car())
    assert bundle.manifest.data == cid_of(encode(ENTRIES))
    assert bundle.manifest.code("init") == cid_of(b"code of init", RAW)
    assert len(bundle.blocks) == 18


def test_type_numbers_count_from_one_in_the_official_order() -> None:
    manifest = Bundle.from_car(car()).manifest
    official = {1: "system", 2: "init", 3: "cron", 4: "account", 5: "storagepower", 6: "storageminer",
                7: "storagemarket", 8: "paymentchannel", 9: "multisig", 10: "reward", 11: "verifiedregistry",
                12: "datacap", 13: "placeholder", 14: "evm", 15: "eam", 16: "ethaccount"}  # fmt: skip
    for number, name in official.items():
        code = cid_of(MODULES[name], RAW)
        assert (manifest.type_of(code), manifest.code_of_type(number), manifest.name_of(code)) == (number, code, name)
    unknown = cid_of(b"unknown", RAW)
    assert (manifest.type_of(unknown), manifest.name_of(unknown)) == (0, None)
    assert (manifest.code_of_type(0), manifest.code_of_type(17), manifest.code_of_type(-1)) == (None, None, None)


WITHOUT_DATACAP = [entry for entry in ENTRIES if entry[0] != "datacap"]
SWAPPED = [ENTRIES[1], ENTRIES[0], *ENTRIES[2:]]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (WITHOUT_DATACAP, r"lists 15 actors, 16 expected \(missing: datacap\)"),
        ([], "lists 0 actors, 16 expected"),
        (SWAPPED, "the order differs"),
        ([*ENTRIES, ["extra", ENTRIES[0][1]]], "lists 17 actors, 16 expected"),
        ([["system"]], "not a list of names"),
        ([["system", "bafy"]], "not a list of names"),
        ([[*entry, 0] for entry in ENTRIES], "not a list of names"),
        ([{"system": ENTRIES[0][1]}], "not a list of names"),
        ({"system": ENTRIES[0][1]}, "not a list of names"),
        ([7], "not a list of names"),
        (7, "not a list of names"),
        (None, "not a list of names"),
    ],
    ids=[
        "fifteen",
        "none",
        "order",
        "seventeen",
        "no code",
        "text",
        "three fields",
        "list of maps",
        "map",
        "numbers",
        "number",
        "null",
    ],
)
def test_unofficial_manifest_is_refused_with_reason(entries: Any, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        Bundle.from_car(car(entries))


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ([2, link(cid_of(encode(ENTRIES)))], "manifest version 2"),
        ([0, link(cid_of(encode(ENTRIES)))], "manifest version 0"),
        (["v" * 10_000, link(cid_of(encode(ENTRIES)))], "manifest version 'v{1,40}, expected 1"),
        ([1], "not a pair"),
        ([1, "bafy"], "not a pair"),
        ([1, 2, 3], "not a pair"),
        (7, "not a pair"),
        ({"a": 1, "b": 2}, "not a pair"),
    ],
    ids=["two", "zero", "long text", "one field", "text", "three fields", "number", "map"],
)
def test_a_root_that_is_no_manifest_is_refused_in_words(root: Any, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        Bundle.from_car(car(root=root))


@pytest.mark.parametrize("name", ["system", "evm", "ethaccount"])
def test_missing_code_is_named(name: str) -> None:
    modules = {other: module for other, module in MODULES.items() if other != name}
    with pytest.raises(BundleError, match=f"has no code for {name} "):
        Bundle.from_car(car(modules=modules), "bundle x.car")


def test_a_missing_list_is_a_missing_block() -> None:
    head = encode([1, link(cid_of(encode(ENTRIES)))])
    stream = io.BytesIO()
    write_car(stream, [cid_of(head)], [(cid_of(head), head)])
    with pytest.raises(BundleError, match=r"x\.car is incomplete: block bafy"):
        Bundle.from_car(stream.getvalue(), "bundle x.car")


def test_two_roots_are_one_too_many() -> None:
    with pytest.raises(BundleError, match="2 roots, 1 expected"):
        Bundle.from_car(car(roots=2))


def test_a_car_cut_anywhere_is_refused() -> None:
    whole = car()
    for length in range(0, len(whole), 7):
        with pytest.raises(BundleError):
            Bundle.from_car(whole[:length])


def test_code_that_does_not_hash_to_its_cid_is_refused() -> None:
    whole = car()
    at = whole.index(b"code of reward")
    with pytest.raises(BundleError, match="not a readable CAR"):
        Bundle.from_car(whole[:at] + b"Code of reward" + whole[at + 14 :])


@settings(max_examples=samples(60))
@given(st.data())
def test_a_flipped_byte_is_noticed_or_does_not_matter(data: st.DataObject) -> None:
    whole = bytearray(car())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        bundle = Bundle.from_car(bytes(whole))
    except BundleError:
        return
    assert bundle.manifest == Bundle.from_car(car()).manifest


@given(st.binary(max_size=200))
def test_arbitrary_bundle_bytes_raise_bundle_error(data: bytes) -> None:
    with pytest.raises(BundleError):
        Bundle.from_car(data)


def test_a_file_that_cannot_be_read_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no\.car cannot be read: No such file"):
        Bundle.open(tmp_path / "no.car")
    with pytest.raises(BundleError, match="cannot be read: Is a directory"):
        Bundle.open(tmp_path)
    (tmp_path / "b.car").write_bytes(car())
    assert Bundle.open(tmp_path / "b.car").manifest.codes == Bundle.from_car(car()).manifest.codes


def test_a_manifest_that_a_store_lacks_is_the_stores_error() -> None:
    with pytest.raises(BlockNotFound):
        Manifest.load(MemoryStore(), cid_of(b"nothing"))


OFFICIAL = {  # manifest CIDs from the network's releases
    "v10-mainnet": "bafy2bzacea5a4r4pgc5pjcy2kx7mcbjcmc72chs7qqyl5o4jirxiplnqdmpo2",
    "v18-mainnet": "bafy2bzacea275suujjuaddglc2kbbgracldjbbs5cjys6zsivcswubv5x7es4",
}


@pytest.mark.parametrize(("name", "manifest"), OFFICIAL.items())
def test_official_bundles_have_their_published_manifests(name: str, manifest: str) -> None:
    bundle = Bundle.open(data_file(f"bundles/{name}.car"))
    assert show(bundle.manifest.data) == manifest
    assert len(set(bundle.manifest.codes)) == 16
    assert [runtime_marker(dict(bundle.blocks)[code]) for code in bundle.manifest.codes] == [None] * 16


def test_embedded_bundle_is_complete_and_marks_only_evm_actor() -> None:
    bundle = Bundle.embedded()
    blocks = dict(bundle.blocks)
    marked = {name for name in ACTOR_NAMES if runtime_marker(blocks[bundle.manifest.code(name)])}
    assert marked == {"evm"}
    assert runtime_marker(blocks[bundle.manifest.code("evm")]) == "evm"
    assert parse_cid(show(bundle.manifest.data)) == bundle.manifest.data


# --- markers ------------------------------------------------------------------------------------------------------


def section(number: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([number, len(body)]) + body


def custom(name: str, content: bytes) -> bytes:
    return section(0, bytes([len(name)]) + name.encode() + content)


HEAD = b"\0asm\x01\0\0\0"


@pytest.mark.parametrize(
    ("module", "runtime"),
    [
        (HEAD + custom(MARKER_SECTION, b"evm"), "evm"),
        (HEAD + custom("name", b"xyz") + section(1, b"\x00") + custom(MARKER_SECTION, b"other"), "other"),
        (HEAD + custom(MARKER_SECTION, b"evm") + b"\x00\xff", "evm"),
        (HEAD, None),
        (HEAD + custom("name", b"evm"), None),
        (HEAD + section(1, b"\x12" + MARKER_SECTION.encode() + b"evm"), None),
        (b"", None),
        (b"\0asm", None),
        (b"code that is no module", None),
        (HEAD + b"\x00", None),
        (HEAD + b"\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        (HEAD + b"\x00\x7f\x12" + MARKER_SECTION.encode() + b"evm", None),
        (HEAD + b"\x00\x02\xff\x7f", None),
    ],
    ids=["only", "later", "before rubbish", "none", "another", "no custom section", "empty", "magic", "no module",
         "cut", "no size", "too long", "long name"],
)  # fmt: skip
def test_a_marker_section_names_the_runtime(module: bytes, runtime: str | None) -> None:
    assert runtime_marker(module) == runtime


@given(st.binary(max_size=60))
def test_a_broken_module_is_simply_not_marked(data: bytes) -> None:
    runtime_marker(HEAD + data)
    runtime_marker(data)


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

"""`hypervisor bundle` from the command line."""

import shutil
from pathlib import Path

import pytest

from hypervisor.builtin_actors.loader import bundle_record
from hypervisor.bundles.bundle_library import releases
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import BundleError
from tests.command import Command, json_output, whole_command
from tests.conftest import data_file
from tests.hypervisor_tools.bundles.server import Site, serving


@pytest.fixture
def hypervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in an empty folder; return its status, output and error output."""
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(tmp_path / "bundles"))
    return whole_command(monkeypatch, capsys)


@pytest.mark.slow
def test_fetch_list_and_use_by_name(hypervisor: Command, tmp_path: Path) -> None:
    with serving(Site(data_file("bundles/v18-devnet.car").read_bytes())) as site:
        status, words = hypervisor("bundle", "fetch", "v18", "--network", "devnet", "--from", f"{site.url}/file")
        assert (status, "v18-devnet (bafy2bzaced35gj" in words) == (0, True)
        again = json_output("bundle", "fetch", "v18-devnet", "--from", f"{site.url}/file")
    assert again == {
        "release": "v18-devnet",
        "manifest_root": releases()["v18-devnet"].manifest_root,
        "path": str(tmp_path / "bundles" / "v18-devnet.car"),
        "fetched": False,
    }
    own = ["own", "own-supply-share", "own-v19", "own-m2-native", "own-v19-m2-native"]
    assert [row["name"] for row in json_output("bundle", "list")] == [*own, "v18-devnet"]
    assert json_output("bundle", "verify", "v18-devnet")["release"] == "v18-devnet"


def test_add_answers_with_the_release(hypervisor: Command, tmp_path: Path) -> None:
    file = tmp_path / "x.car"
    shutil.copy(data_file("bundles/v18-testing-fake-proofs.car"), file)
    assert json_output("bundle", "add", file)["release"] == "v18-testing-fake-proofs"


@pytest.mark.usefixtures("hypervisor")
def test_bundle_list_shows_actors_with_code_functions() -> None:
    found = json_output("bundle", "list", "own")
    record = bundle_record()
    assert [actor["name"] for actor in found["actors"]] == list(ACTOR_NAMES)
    assert [actor["type"] for actor in found["actors"]] == list(range(1, 17))
    assert {actor["name"]: (actor["code"], actor["size"]) for actor in found["actors"]} == {
        name: (entry.cid, entry.size) for name, entry in record.actors.items()
    }
    assert all("invoke" in actor["exports"] for actor in found["actors"])
    assert "send.send" in found["actors"][ACTOR_NAMES.index("multisig")]["imports"]
    assert [actor["name"] for actor in found["actors"] if actor["runtime"] == "evm"] == ["evm"]
    assert found["record"] == {
        "source_hash": record.source_hash, "compiler": record.compiler, "flags": list(record.flags),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("hypervisor")
@pytest.mark.parametrize("name", ["own", "own-supply-share", "own-v19"])
def test_own_bundles_are_valid_and_match_their_record(name: str) -> None:
    found = json_output("bundle", "verify", name)
    assert (found["valid"], found["record"]["source_hash"]) == (True, bundle_record().source_hash)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "v18"], "hypervisor bundle fetch v18-mainnet"),
        (["fetch", "v9"], "unknown release 'v9-mainnet'"),
        (["fetch", "v18", "--network", "../x"], "unknown release 'v18-../x'"),
        (["fetch", "v18", "--from", "file:///etc/passwd"], "begins with https://"),
        (["add", "/nowhere/at/all.car"], "cannot be read: No such file or directory"),
        (["verify", "/nowhere/at/all.car"], "cannot be read: No such file or directory"),
    ],
)
def test_bad_input_prints_one_error_line_and_exits_with_2(
    hypervisor: Command, arguments: list[str], words: str
) -> None:
    status, printed = hypervisor("bundle", *arguments)
    assert status == 2
    assert printed.startswith("error: ")
    assert words in printed
    assert printed.count("\n") == 1


def test_bundle_with_invalid_module_fails_verification(
    hypervisor: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypervisor import Bundle
    from store.car.files import write_car
    from store.cid import RAW, Cid, cid_of
    from store.codec import encode, link

    bundle = Bundle.embedded()
    broken = b"\0asm\x01\0\0\0\x01"
    codes = list(bundle.manifest.codes)
    codes[8] = cid_of(broken, RAW)
    listed = encode([[name, link(code)] for name, code in zip(ACTOR_NAMES, codes, strict=True)])
    root = encode([1, link(cid_of(listed))])
    blocks: list[tuple[Cid, bytes]] = [
        (cid_of(root), root), (cid_of(listed), listed), (codes[8], broken), *bundle.blocks[2:],
    ]  # fmt: skip
    file = tmp_path / "broken.car"
    with file.open("wb") as stream:
        write_car(stream, [cid_of(root)], blocks)
    status, printed = hypervisor("bundle", "verify", file)
    assert status == 2
    assert "the code of multisig is not a WASM module" in printed


def test_bundle_record_with_other_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:

    from hypervisor import Bundle
    from hypervisor.bundles import bundle_library
    from hypervisor_tools import bundles

    record = bundle_record()
    other = record._replace(actors=record.actors | {"cron": record.actors["init"]})
    monkeypatch.setattr(bundle_library, "bundle_record", lambda: other)
    with pytest.raises(BundleError, match="names other code than its manifest"):
        bundles.describe(Bundle.embedded())

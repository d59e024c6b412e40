"""examples/boot.py in its short form: equal steps on our own actors and the official ones."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import data_file, newer_rows

PATH = Path(__file__).resolve().parent.parent.parent / "examples" / "boot.py"
OFFICIAL = "bundles/v18-devnet.car"


@pytest.fixture(scope="module")
def boot() -> ModuleType:
    spec = importlib.util.spec_from_file_location("boot", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_both_bundles_have_equal_steps(boot: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--bundle", str(data_file(OFFICIAL)), "--epochs", "10", "--sectors", "0"]
    assert boot.main(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "25 steps, 0 different, 0 failed"
    lines = [line for line in printed if line.startswith("  ")]
    own, official = lines[:25], lines[25:]
    assert own == official
    for actor in ("multisig", "paymentchannel", "eam", "evm", "storageminer", "storagemarket", "datacap"):
        assert any(re.search(rf"\b{actor}\b.* exit 0 ", line) for line in own)


@pytest.mark.slow
def test_networks_of_version_29_are_booted_without_datacap(
    boot: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert boot.main(["--bundle", "own-v19", "--epochs", "10"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "23 steps, 0 different, 0 failed"


@pytest.mark.long
@pytest.mark.parametrize("name", newer_rows())
def test_newer_bundle_has_equal_steps(boot: ModuleType, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert boot.main(["--bundle", name]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "23 steps, 0 different, 0 failed"


@pytest.mark.long
def test_both_bundles_agree_over_a_thousand_epochs(boot: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert boot.main(["--bundle", str(data_file(OFFICIAL))]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "25 steps, 0 different, 0 failed"


def test_boot_difference_is_reported_with_exit_status_1(
    boot: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = iter([[("datacap.Transfer", 0, "80")], [("datacap.Transfer", 18, "")]])
    monkeypatch.setattr(boot, "boot", lambda *_: next(results))
    assert boot.main(["--bundle", "own"]) == 1
    assert "different: ('datacap.Transfer', 0, '80') and ('datacap.Transfer', 18, '')" in capsys.readouterr().out


def test_missing_official_actors_boot_nothing_and_name_remedy(
    boot: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(tmp_path))
    assert boot.main(["--bundle", "v18-devnet"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "`hypervisor bundle fetch v18-devnet` downloads it" in printed.err

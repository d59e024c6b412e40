"""The build tool without a compiler, and its output formats."""

import shutil
import sys
from pathlib import Path

import dag_cbor
import pytest
from multiformats import CID

from scripts import build_guests


@pytest.fixture
def no_rust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(sys, "argv", ["build_guests.py"])


@pytest.mark.usefixtures("no_rust")
def test_missing_compiler_rebuilds_nothing_and_names_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert build_guests.main() == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("NOT REBUILT: ")
    assert "rustup toolchain install 1.95.0" in last


@pytest.mark.usefixtures("no_rust")
def test_changed_sources_are_found_without_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "guests"
    shutil.copytree(build_guests.GUESTS, changed)
    (changed / "account" / "src" / "lib.rs").write_text("// nothing left\n")
    monkeypatch.setattr(build_guests, "GUESTS", changed)
    monkeypatch.setattr(build_guests, "PROJECT", tmp_path)
    assert build_guests.main() == 1
    assert "guests: the sources have changed" in capsys.readouterr().out


@pytest.mark.parametrize("number", [0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**64 - 1])
def test_numbers_are_written_in_the_shortest_form(number: int) -> None:
    assert build_guests.encode_head(0, number) == dag_cbor.encode(number)


def test_lists_of_names_and_links_are_dag_cbor() -> None:
    cid = build_guests.make_cid(build_guests.RAW, b"code")
    written = build_guests.encode_list([build_guests.encode_text("évm"), build_guests.encode_link(cid)])
    assert dag_cbor.decode(written) == ["évm", CID.decode(cid)]
    assert build_guests.show_cid(cid) == CID.decode(cid).encode("base32")

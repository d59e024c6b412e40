"""User folders according to each system's conventions, and bounded reading of files."""

import os
from pathlib import Path

import pytest

from hypervisor.errors import BundleError, HypervisorError, InvalidInput
from hypervisor.installation import MAX_BYTES, check_output, parse_toml, read_bounded, user_folder, writing


@pytest.mark.parametrize(
    ("system", "data", "cache"),
    [
        ("linux", ".local/share", ".cache"),
        ("darwin", "Library/Application Support", "Library/Caches"),
        ("win32", "local", "local"),
    ],
)
def test_the_folders_are_where_the_system_has_them(
    system: str, data: str, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert user_folder("data") == tmp_path / data / "fvm-hypervisor"
    assert user_folder("cache") == tmp_path / cache / "fvm-hypervisor"


def test_xdg_variables_override_the_default_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert (user_folder("data"), user_folder("cache")) == (Path("/data/fvm-hypervisor"), Path("/cache/fvm-hypervisor"))


def test_a_file_is_read_up_to_its_bound_and_no_further(tmp_path: Path) -> None:
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_bytes(b"12345")
    os.mkfifo(pipe)
    assert read_bounded(file, 5, "the file") == b"12345"
    with pytest.raises(InvalidInput, match=f"the file {file} is longer than 4 bytes"):
        read_bounded(file, 4, "the file")
    with pytest.raises(BundleError, match=f"bundle {pipe} is not a file"):
        read_bounded(pipe, 5, "bundle", BundleError)
    with pytest.raises(BundleError, match=f"bundle {tmp_path} cannot be read: Is a directory"):
        read_bounded(tmp_path, 5, "bundle", BundleError)


def test_unwritable_output_file_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for sound in (None, Path("new.csv"), tmp_path / "new.csv"):
        check_output(sound, "the table")
    with pytest.raises(InvalidInput, match=r"the folder no for the table costs\.csv does not exist: create it"):
        check_output(Path("no/costs.csv"), "the table")
    with pytest.raises(InvalidInput, match=r"the table .* is a folder: pass a file"):
        check_output(tmp_path, "the table")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")
def test_full_disk_error_names_file_and_remedy() -> None:
    file = Path("/dev/full")
    words = "the CAR file /dev/full cannot be written: No space left on device; free space, or pass another path"
    with pytest.raises(HypervisorError, match=words) as raised, writing(file, "the CAR file"):
        file.write_bytes(b"1")
    assert not isinstance(raised.value, InvalidInput)


def test_error_of_writing_leaves_other_files_alone(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidInput, match=r"vector .*/no/x cannot be written: No such file or directory; pass another"),
        writing(tmp_path / "no" / "x", "the vector"),
    ):
        (tmp_path / "no" / "x.part").write_bytes(b"1")
    with pytest.raises(FileNotFoundError), writing(tmp_path / "x", "the vector"):
        (tmp_path / "input").read_bytes()


@pytest.mark.parametrize("form", ["{} = 1", "[{}]", "[[{}]]", "t = {{{} = 1}}", "x = '''\\'''\n{} = 1 # a"])
@pytest.mark.parametrize("part", ["a", '"a.\\""', "'a\"'"])
def test_key_has_at_most_80_parts(form: str, part: str) -> None:
    parse_toml(form.format(".".join([part] * 80)))
    for parts in (81, 20_000):
        with pytest.raises(InvalidInput, match="a key of more than 80 parts at line"):
            parse_toml(form.format(" . ".join([part] * parts)))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a = ", "}")])
def test_values_nest_at_most_80_levels(opening: str, closing: str) -> None:
    parse_toml(f"b = {opening * 79}[]{closing * 79}")
    for levels in (81, 100_000):
        with pytest.raises(InvalidInput, match="more than 80 nested values at line 2"):
            parse_toml(f"[t]\nb = {opening * levels}")


@pytest.mark.parametrize(
    "quoted",
    ['"{}"', "'{}'", '"""{}"""', "'''{}'''", '"""\\"""{}"""', "'''''{}'''''", '[""""{}"""""]', "1 # {}"],
    ids=["basic", "literal", "long basic", "long literal", "escape", "quotes", "more quotes", "comment"],
)
def test_limits_do_not_apply_inside_strings_and_comments(quoted: str) -> None:
    text = ".".join(["a"] * 100) + "[" * 100
    assert parse_toml(f"b = {quoted.format(text)}\nc = 2")["c"] == 2


def test_document_above_one_mebibyte_is_refused() -> None:
    with pytest.raises(InvalidInput, match="1,048,577 bytes, at most 1,048,576 are allowed"):
        parse_toml("#" * (MAX_BYTES + 1))


@pytest.mark.parametrize("text", ['a = "' + r"\"" * 50_000, '"""' + r"\"" * 50_000, "a" * 100_000, "'a." * 50_000])
def test_check_of_malformed_text_takes_linear_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):  # would not finish with quadratic time
        parse_toml(text)

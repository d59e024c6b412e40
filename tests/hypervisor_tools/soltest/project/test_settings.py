"""Environment variables and profiles, compared with `forge config` of 1.7.1.

`make soltests` asks it (tests/soltests/test_environment.py).
"""

import os
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.project.project import Project, load_project
from hypervisor_tools.soltest.project.settings import read_value
from hypervisor_tools.soltest.project.sources import changed_files, file_states


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in list(os.environ):
        if name.upper().startswith(("FOUNDRY_", "DAPP_")):
            monkeypatch.delenv(name)

    def made(toml: str = "", **variables: str) -> Project:
        (tmp_path / "foundry.toml").write_text(toml, encoding="utf-8")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load_project(tmp_path)

    return made


def test_every_key_of_a_profile_can_be_set(project: Any) -> None:
    found = project(
        "[profile.default]\nvia_ir = true\n[profile.ci.fuzz]\nruns = 3\n",
        FOUNDRY_PROFILE="ci", FOUNDRY_FUZZ_RUNS="33", FOUNDRY_INVARIANT_RUNS="44", FOUNDRY_SRC="xx",
        FOUNDRY_LIBS='[a, "b c"]', FOUNDRY_VIA_IR="false", FOUNDRY_OPTIMIZER_RUNS="999",
        FOUNDRY_INVARIANT_FAIL_ON_REVERT="true", FOUNDRY_FUZZ_SEED="0x12", FOUNDRY_MATCH_TEST="[ab]c",
        FOUNDRY_SKIP="[x,y]", FOUNDRY_VERBOSITY=" 3 ", foundry_test="t", FOUNDRY_RPC_ENDPOINTS='{a="http://a"}',
    )  # fmt: skip
    assert (found.src, found.test, found.libs, found.skip) == ("xx", "t", ("a", "b c"), ("x", "y"))
    assert (found.fuzz.runs, found.fuzz.seed, found.invariant.runs, found.invariant.fail_on_revert) == (
        33,
        18,
        44,
        True,
    )
    assert (found.compiler.via_ir, found.compiler.runs, found.compiler.optimizer) == (False, 999, True)
    assert (found.match["match_test"], found.verbosity, found.rpc_endpoints) == ("[ab]c", 3, {"a": "http://a"})
    assert found.profile == "ci"


def test_variables_of_dapptools_count_less_than_forges(project: Any) -> None:
    found = project(
        DAPP_SRC="d", DAPP_TEST_FUZZ_RUNS="5", DAPP_TEST_DEPTH="6", DAPP_TEST_NUMBER="7", DAPP_TEST_TIMESTAMP="8",
        DAPP_BUILD_OPTIMIZE="1", DAPP_BUILD_OPTIMIZE_RUNS="9", DAPP_TEST_VERBOSITY="3", DAPP_FUZZ_RUNS="99",
        DAPP_TEST_ADDRESS="0x00000000000000000000000000000000000000aa",
    )  # fmt: skip
    assert (found.src, found.fuzz.runs, found.invariant.depth, found.verbosity) == ("d", 5, 6, 3)
    assert (found.block_number, found.fork_block_number, found.timestamp) == (7, 7, 8)
    assert (found.compiler.optimizer, found.compiler.runs, found.sender[-2:]) == (True, 9, "aa")
    both = project(FOUNDRY_SRC="f", FOUNDRY_FUZZ_RUNS="6")
    assert (both.src, both.fuzz.runs, both.invariant.depth) == ("f", 6, 6)


def test_environment_remappings_precede_file_remappings(project: Any, tmp_path: Path) -> None:
    (tmp_path / "remappings.txt").write_text("a=txt\nb=txt\n", encoding="utf-8")
    toml = "[profile.default]\nremappings = ['a=toml', 'c=toml']\n"
    found = project(toml, FOUNDRY_REMAPPINGS="a=env\n\n d/=env")
    assert {str(one) for one in found.remappings} == {"a/=env/", "b/=txt/", "c/=toml/", "d/=env/"}
    assert "a/=dapp/" in map(str, project(toml, DAPP_REMAPPINGS="a=dapp").remappings)


def test_programs_and_files_cannot_be_allowed_by_the_environment(project: Any) -> None:
    found = project(FOUNDRY_FFI="true", DAPP_FFI="true", FOUNDRY_FS_PERMISSIONS='[{access="read-write",path="./"}]')
    assert (found.ffi, found.fs_permissions, found.unknown_keys) == (False, (("read", "out"),), ())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("FOUNDRY_SRC", "", "FOUNDRY_SRC is empty: give it a value, or unset it"),
        ("FOUNDRY_SRC", "123", "FOUNDRY_SRC: src is 123, expected a string"),
        ("FOUNDRY_VIA_IR", "1", "FOUNDRY_VIA_IR: via_ir is 1, expected true or false"),
        ("FOUNDRY_LIBS", "a", "FOUNDRY_LIBS: libs is 'a', expected a list of strings"),
        ("FOUNDRY_FUZZ_RUNS", "many", "FOUNDRY_FUZZ_RUNS: fuzz.runs is 'many', expected a number"),
        ("FOUNDRY_OUT", "../out", "FOUNDRY_OUT: out"),
        ("FOUNDRY_REMAPPINGS", "nonsense", "FOUNDRY_REMAPPINGS: 'nonsense' is not a remapping: expected prefix=target"),
        ("DAPP_BUILD_OPTIMIZE", "2", "DAPP_BUILD_OPTIMIZE is '2', expected 0 or 1"),
        ("DAPP_TEST_NUMBER", "x", "DAPP_TEST_NUMBER is 'x', expected a number"),
    ],
)
def test_a_value_that_its_key_cannot_have_is_refused(project: Any, name: str, value: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        project("", **{name: value})
    assert str(refused.value).startswith(words)


def test_an_empty_variable_unsets_a_key_that_may_be_missing(project: Any) -> None:
    toml = "[profile.default]\nmatch_test = 'x'\n[fuzz]\nseed = 5\n"
    found = project(toml, FOUNDRY_MATCH_TEST="", FOUNDRY_FUZZ_SEED="")
    assert ("match_test" in found.match, found.fuzz.seed) == (False, None)


def test_variables_without_effect_are_named(project: Any) -> None:
    found = project(
        FOUNDRY_FUZZ_RNUS="1", FOUNDRY_INVARIANT_DEPHT="1", FOUNDRY_OPTIMISER="true", FOUNDRY_FMT_LINE_LENGTH="95",
        FOUNDRY_OFFLINE="true", FOUNDRY_DISABLE_NIGHTLY_WARNING="1", FOUNDRY_DIR="x", FOUNDRY_LIBRARIES="x",
        DAPP_NAME="mine",
    )  # fmt: skip
    assert found.unknown_keys == (
        "warning: FOUNDRY_FUZZ_RNUS sets no key of foundry.toml: did you mean FOUNDRY_FUZZ_RUNS?",
        "warning: FOUNDRY_INVARIANT_DEPHT sets no key of foundry.toml: did you mean FOUNDRY_INVARIANT_DEPTH?",
        "warning: FOUNDRY_OPTIMISER sets no key of foundry.toml: did you mean FOUNDRY_OPTIMIZER?",
    )


def test_profile_named_only_by_environment_may_be_missing(project: Any) -> None:
    found = project("[profile.default]\nvia_ir = true\n", FOUNDRY_PROFILE="none")
    assert (found.profile, found.compiler.via_ir) == ("default", True)
    assert found.unknown_keys == ("warning: FOUNDRY_PROFILE: there is no profile 'none': the default one is used",)
    assert project("[profile.Ci]\nvia_ir = true\n", FOUNDRY_PROFILE="cI").compiler.via_ir


def test_another_file_can_take_the_place_of_foundry_toml(project: Any, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[profile.default]\nsrc = 'elsewhere'\ntset = 'x'\n", encoding="utf-8")
    found = project("", FOUNDRY_CONFIG=str(tmp_path / "other.toml"))
    assert (found.src, found.unknown_keys) == (
        "elsewhere", ("warning: other.toml: unknown key tset: did you mean test?",)
    )  # fmt: skip
    before = file_states(found)
    (tmp_path / "other.toml").write_text("", encoding="utf-8")
    assert changed_files(before, file_states(found)) == [str(tmp_path / "other.toml")]
    with pytest.raises(InvalidInput, match=r"nowhere\.toml cannot be read: No such file"):
        project("", FOUNDRY_CONFIG="nowhere.toml")


def test_sections_count_between_the_default_profile_and_another(project: Any) -> None:
    toml = "[profile.default.fuzz]\nruns = 10\n[profile.ci]\nvia_ir = true\n[fuzz]\nruns = 20\n"
    assert project(toml).fuzz.runs == 10
    assert project(toml, FOUNDRY_PROFILE="ci").fuzz.runs == 20


def test_invariant_section_inherits_missing_keys_from_fuzz(project: Any) -> None:
    toml = "[fuzz]\nruns = 20\ntimeout = 3\nmax_test_rejects = 9\n[invariant]\ndepth = 5\n"
    found = project(toml + "[profile.default.invariant]\ntimeout = 9\n")
    assert (found.invariant.runs, found.invariant.depth, found.invariant.timeout) == (20, 5, 9)
    assert (found.fuzz.timeout, found.unknown_keys) == (3, ())
    assert project("[profile.default.fuzz]\nruns = 20\n").invariant.runs == 256


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("True", "True"), ("-3", -3), ("0x10", "0x10"), ('"123"', "123"), ("0.8.30", "0.8.30"),
        ("[a, b]", ["a", "b"]), ("[]", []), ("[[1,2],3]", [[1, 2], 3]), ("[ab]c", "[ab]c"), ("[a", "[a"),
        ("a,b", "a,b"),
        ('{a=1,b="x=y"}', {"a": 1, "b": "x=y"}), ("{a}", "{a}"), (" ", None), ('["a,b"]', ["a,b"]),
    ],
)  # fmt: skip
def test_values_are_read_as_forge_reads_them(text: str, value: Any) -> None:
    assert read_value(text) == value

"""foundry.toml as forge reads it: profiles, sections, defaults, remappings; errors name the key."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.cheatcodes.state import DEFAULT_SENDER
from hypervisor_tools.soltest.compile.compiler import Solc
from hypervisor_tools.soltest.compile.compiling import artifacts_of, compiled_sources, standard_json
from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.executor import ExecutorSettings, TestExecutor
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.project.project import Project, find_root, load_project
from hypervisor_tools.soltest.project.remappings import Remapping, resolve
from hypervisor_tools.soltest.project.sources import imports, own_sources, read_sources
from hypervisor_tools.soltest.project.test_settings import OPERATORS
from hypervisor_tools.soltest.run.session import SuiteSession
from tests.command import run as run_command
from tests.docs.forge_names import later_names, recorded
from tests.docs.generated_parts import reads


def test_mutation_operators_and_the_time_limit_are_read(tmp_path: Path) -> None:
    toml = '[mutation]\ntimeout = 30\nexclude_operators = ["literal", "assembly"]\ninclude_operators = ["assembly"]\n'
    found = project(tmp_path, toml)
    assert found.unknown_keys == ()
    assert found.mutation.timeout == 30
    assert {*OPERATORS} - {*found.mutation.operators} == {"literal"}
    of_forge = project(tmp_path, "[mutation]\noptimizer_runs = 1\nvia_ir = true\ntimeuot = 3\nfoo = 1\n")
    assert of_forge.unknown_keys == (
        "warning: foundry.toml: unknown key mutation.timeuot: did you mean mutation.timeout?",
        "warning: foundry.toml: unknown key mutation.foo",
    )
    with pytest.raises(InvalidInput, match="mutation operator 'literals' is unknown: expected one of assembly, "):
        project(tmp_path, '[mutation]\nexclude_operators = ["literals"]\n')


def project(tmp_path: Path, toml: str, files: dict[str, str] | None = None, profile: str | None = None) -> Project:
    (tmp_path / "foundry.toml").write_text(toml, encoding="utf-8")
    for name, text in (files or {}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return load_project(tmp_path, profile)


def test_missing_settings_use_forge_defaults(tmp_path: Path) -> None:
    found = project(tmp_path, "[profile.default]\n")
    assert (found.src, found.test, found.out, found.libs) == ("src", "test", "out", ("lib",))
    assert (found.fuzz.runs, found.fuzz.max_test_rejects) == (256, 65536)
    assert (found.invariant.runs, found.invariant.depth) == (256, 500)
    assert (found.fuzz.dictionary_weight, found.invariant.dictionary_weight) == (40, 80)
    assert (found.gas_limit, found.block_number, found.timestamp, found.chain_id) == (1 << 30, 1, 1, 31337)
    assert (found.compiler.optimizer, found.compiler.runs, found.compiler.via_ir) == (False, 200, False)


def test_a_profile_is_laid_over_the_default_one(tmp_path: Path) -> None:
    toml = """
[profile.default]
solc = "0.8.30"
optimizer_runs = 1000000
via_ir = true
fs_permissions = [{ access = "read", path = "./data" }]
[profile.default.fuzz]
runs = 10
[profile.fast]
via_ir = false
[profile.fast.fuzz]
seed = "0x2a"
[fuzz]
max_test_rejects = 7
[rpc_endpoints]
local = "http://127.0.0.1:8545"
"""
    found = project(tmp_path, toml, profile="fast")
    assert (found.compiler.version, found.compiler.optimizer, found.compiler.via_ir) == ("0.8.30", True, False)
    assert (found.fuzz.runs, found.fuzz.seed, found.fuzz.max_test_rejects) == (10, 42, 7)
    assert found.fs_permissions == (("read", "./data"),)
    assert found.rpc_endpoints == {"local": "http://127.0.0.1:8545"}


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[profile.default", "Expected"),
        ("[profile.default]\nsrc = 7", "src is 7, expected a string"),
        ("[profile.default]\nlibs = 'lib'", "libs is 'lib', expected a list of strings"),
        ("[profile.default.fuzz]\nruns = 'many'", "fuzz.runs is 'many', expected a number"),
        ("[profile.default.fuzz]\ndictionary_weight = 101", "fuzz.dictionary_weight is 101, expected a percentage"),
        ("[profile.default]\nremappings = ['nonsense']", "'nonsense' is not a remapping: expected prefix=target"),
        ("[profile.default]\nremappings = ['a=']", "'a=' is not a remapping: expected prefix=target"),
        ("[profile.default]\nfs_permissions = [{ path = 'x' }]", "a row of fs_permissions has no access"),
        ("[profile.default]\nfs_permissions = 0", "fs_permissions is 0, expected a list of tables"),
        (
            "[profile.default]\nfs_permissions = [{ access = 'all', path = 'x' }]",
            "fs_permissions.access is 'all', expected true, false or one of none, read, write, read-write",
        ),
        ("profile = 3", "profile is 3, expected a table"),
        ("[profile]\ndefault = 3", "profile.default is 3, expected a table"),
        ("fuzz = 3", "fuzz is 3, expected a table"),
        ("[profile.default]\ninvariant = true", "invariant is True, expected a table"),
        ("rpc_endpoints = 3", "rpc_endpoints is 3, expected a table"),
        ("[rpc_endpoints]\nmain = 3", "rpc_endpoints.main is 3, expected a string"),
        ("[rpc_endpoints]\nmain = { retries = 3 }", "rpc_endpoints.main has no endpoint"),
        ("[profile.default]\nsolc = 0.8", "solc is 0.8, expected a string"),
        ("[profile.default]\nevm_version = 3", "evm_version is 3, expected a string"),
        ('[profile.default]\nevm_version = "moon"', "evm_version is 'moon', expected one of amsterdam, osaka, "),
        ("[profile.default]\nbytecode_hash = 'md5'", "bytecode_hash is 'md5', expected one of ipfs, bzzr1, none"),
        ("[profile.default]\noptimizer_details = 3", "optimizer_details is 3, expected a table"),
        ("[profile.default]\nblock_coinbase = '0x12'", "block_coinbase is '0x12', expected an address"),
        (f"[profile.default]\nsender = '0x{'zz' * 20}'", "sender is '0xzz.*', expected an address"),
        ('[profile.default]\nsrc = "a\\u0000b"', "expected a string without NUL"),
        (f"[profile.default]\nblock_number = {2**64}", rf"block_number is {2**64}, expected at most 2\^64 - 1"),
        (f"[profile.default]\nblock_timestamp = {2**64}", rf"block_timestamp is {2**64}, expected at most 2\^64 - 1"),
        (f"[profile.default]\nchain_id = '{2**64}'", rf"chain_id is '{2**64}', expected at most 2\^64 - 1"),
        (f"[profile.default]\nblock_base_fee_per_gas = {2**64}", r"expected at most 2\^64 - 1"),
        (f"[profile.default]\ngas_limit = {2**64}", rf"gas_limit is {2**64}, expected at most 2\^64 - 1"),
        (f"[profile.default]\ninitial_balance = {2**256}", r"expected at most 2\^256 - 1"),
        (f"[fuzz]\nseed = '{hex(2**256)}'", r"fuzz.seed is .*, expected at most 2\^256 - 1"),
        ("[profile.default]\nchain_id = '-1'", "chain_id is '-1', expected a number from 0 on"),
        (f"[invariant]\ndepth = {2**32}", rf"invariant.depth is {2**32}, expected at most 2\^32 - 1"),
        (f"src = {'9' * 5000}", "4300 digits"),
        (f"src = {'[' * 5000}", "foundry.toml"),
    ],
)
def test_invalid_setting_is_named_with_file(tmp_path: Path, toml: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words.replace("[", r"\[")) as raised:
        project(tmp_path, toml)
    assert "foundry.toml" in str(raised.value)


@pytest.mark.parametrize("setting", ['src = "/"', 'test = "/"', 'script = ".."', 'libs = ["lib", "/"]'])
def test_folder_above_the_project_is_refused(setting: str, tmp_path: Path) -> None:
    folder = re.findall(r'"([^"]+)"', setting)[-1]
    key = setting.partition(" ")[0]
    with pytest.raises(InvalidInput, match=rf"foundry.toml: {key} is '{re.escape(folder)}', which contains the "):
        project(tmp_path, f"[profile.default]\n{setting}\n")


def test_unreadable_library_folder_is_named_with_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()

    def refuse(path: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InvalidInput, match=r"libs: \S*lib cannot be read: Permission denied"):
        project(tmp_path, '[profile.default]\nlibs = ["lib"]\n')


def test_own_sources_are_not_searched_outside_of_the_project(tmp_path: Path) -> None:
    """The files of /proc come and go, and none has a path in a project."""
    assert own_sources(Project(tmp_path, test="/proc")) == []


def test_the_largest_numbers_that_can_be_run_are_taken(tmp_path: Path) -> None:
    keys = ("block_number", "block_timestamp", "chain_id", "block_base_fee_per_gas")
    toml = "\n".join(["[profile.default]", *(f"{key} = '{2**64 - 1}'" for key in keys), "gas_limit = 'max'"])
    found = project(tmp_path, toml)
    assert {found.block_number, found.timestamp, found.chain_id, found.base_fee} == {2**64 - 1}
    executor = TestExecutor(ExecutorSettings(number=2**64 - 1, timestamp=2**64 - 1, chain_id=2**64 - 1), Cheatcodes())
    try:
        assert executor.call(DEFAULT_SENDER, DEFAULT_SENDER, b"").success
    finally:
        executor.close()


def test_an_endpoint_has_settings_of_its_own(tmp_path: Path) -> None:
    found = project(tmp_path, "[rpc_endpoints]\nmain = { endpoint = 'http://127.0.0.1:1', retries = 3 }")
    assert found.rpc_endpoints == {"main": "http://127.0.0.1:1"}


def test_keys_of_a_profile_may_be_written_with_hyphens_or_humps(tmp_path: Path) -> None:
    """Rule: `forge config` of forge 1.7.1; not for keys of tables in a profile."""
    toml = "[profile.default]\nviaIr = true\nOptimizer-Runs = 77\n[profile.default.fuzz]\nmax-test-rejects = 7\n"
    found = project(tmp_path, toml)
    assert (found.compiler.via_ir, found.compiler.runs, found.fuzz.max_test_rejects) == (True, 77, 65536)
    for both in ("src = 'a'\nSrc = 'b'", "Src = 'b'\nsrc = 'a'"):
        assert project(tmp_path, f"[profile.default]\n{both}\n").src == "a"


def test_keys_that_forge_does_not_know_are_named(tmp_path: Path) -> None:
    """Forge 1.7.1 warns of the same ones; other profiles' keys are not checked."""
    toml = """
[profile.default]
optimiser = true
[fuzz]
rnus = 3
[fuzzz]
runs = 3
[profile.default.invariant]
dept = 3
fail-on-revert = true
[profile.other]
optimiser = true
"""
    assert project(tmp_path, toml).unknown_keys == (
        "warning: foundry.toml: unknown key [fuzzz]: did you mean fuzz?",
        "warning: foundry.toml: unknown key fuzz.rnus: did you mean fuzz.runs?",
        "warning: foundry.toml: unknown key invariant.dept: did you mean invariant.depth?",
        "warning: foundry.toml: unknown key invariant.fail-on-revert: did you mean invariant.fail_on_revert?",
        "warning: foundry.toml: unknown key optimiser: did you mean optimizer?",
    )


@pytest.mark.slow
def test_forge_config_keys_are_never_reported_unknown(tmp_path: Path) -> None:
    tables = {"fuzz", "invariant", "rpc_storage_caching"}
    for key in recorded()["keys"]:
        table, _, name = key.rpartition(".")
        if key.startswith("["):
            assert project(tmp_path, f"{key}\nx = 1\n").unknown_keys == ()
        elif not reads(key):
            assert table in tables | {""}
            assert project(tmp_path, f"[profile.default{table and f'.{table}'}]\n{name} = 1\n").unknown_keys == (), key
    read = "[profile.default]\nsolc = '0.8.30'\nlibs = []\n[profile.default.rpc_storage_caching]\nchains = 'all'\n"
    assert project(tmp_path, read).unknown_keys == ()
    old = "[profile.default]\nsolc = '0.8.30'\nsolc_version = '0.8.30'\ndeny_warnings = true\n"
    assert project(tmp_path, old).unknown_keys == ()


def test_tuning_keys_of_forge_1_8_only_cause_a_warning(tmp_path: Path) -> None:
    for key in later_names()["keys"]:
        if reads(key):
            continue
        table, _, name = key.rpartition(".")
        place = f"[profile.default{table and f'.{table}'}]\n{name}" if not key.startswith("[") else f"{key}\nx"
        (warning,) = project(tmp_path, f"{place} = 1\n").unknown_keys
        assert warning.startswith(f"warning: foundry.toml: {key} has no effect: "), key


def test_bounds_of_symbolic_tests_are_named_for_keys_of_forge(tmp_path: Path) -> None:
    (warning,) = project(tmp_path, "[symbolic]\ninvariant_depth = 5\n").unknown_keys
    shown = run_command("test", "--help", env={"COLUMNS": "200"}).output
    bounds = set(re.findall(r"--symbolic-[a-z-]+", shown)) - {"--symbolic-fuzz"}
    assert set(re.findall(r"--symbolic-[a-z-]+", warning)) == bounds


def test_a_file_that_is_extended_is_named(tmp_path: Path) -> None:
    words = "warning: foundry.toml: extends is not supported: the keys of base.toml are ignored"
    assert project(tmp_path, '[profile.default]\nextends = "base.toml"\n').unknown_keys == (words,)


def test_a_profile_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no profile 'none'"):
        project(tmp_path, "[profile.default]\n", profile="none")


def test_the_project_is_found_from_a_folder_below_it(tmp_path: Path) -> None:
    project(tmp_path, "", {"test/deep/A.t.sol": ""})
    assert find_root(tmp_path / "test" / "deep") == tmp_path
    with pytest.raises(InvalidInput, match=r"no foundry\.toml"):
        find_root(Path("/"))


# Rules of solc: the longest prefix wins, a context applies to the sources below it.
@pytest.mark.parametrize(
    ("imported", "importer", "found"),
    [
        ("./B.sol", "src/A.sol", "src/B.sol"),
        ("../lib/C.sol", "src/deep/A.sol", "src/lib/C.sol"),
        ("lib/Test.sol", "test/A.t.sol", "lib/one/src/Test.sol"),
        ("lib/deep/Test.sol", "test/A.t.sol", "lib/two/Test.sol"),
        ("lib/Test.sol", "lib/one/src/A.sol", "lib/three/Test.sol"),
        ("src/A.sol", "test/A.t.sol", "src/A.sol"),
    ],
)
def test_imports_lead_where_solc_goes(imported: str, importer: str, found: str) -> None:
    remappings = [
        Remapping.parse(line) for line in ("lib/=lib/one/src/", "lib/deep/=lib/two/", "lib/one:lib/=lib/three/")
    ]
    assert resolve(imported, importer, remappings) == found


def test_libraries_are_remapped_by_themselves(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        "[profile.default]\nlibs = ['lib', 'node_modules']\nremappings = ['own/=lib/elsewhere/']",
        {
            "lib/forge-std/src/Test.sol": "",
            "lib/openzeppelin/contracts/T.sol": "",
            "lib/plain/P.sol": "",
            "lib/own/src/O.sol": "",
            "lib/forge-std/lib/ds-test/src/test.sol": "",
            "remappings.txt": "# a comment\nextra/=lib/extra/\n",
        },
    )
    assert {str(remapping) for remapping in found.remappings} == {
        "ds-test/=lib/forge-std/lib/ds-test/src/",
        "extra/=lib/extra/",
        "forge-std/=lib/forge-std/src/",
        "openzeppelin/=lib/openzeppelin/contracts/",
        "own/=lib/elsewhere/",
        "plain/=lib/plain/",
    }


# Each with the output of `forge remappings` of 1.7.1 for these files.
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            ("lib/oz/contracts/token/T.sol", "lib/oz/certora/C.sol", "lib/oz/audit/A.md"),
            {"oz/=lib/oz/"},
            id="several folders of sources",
        ),
        pytest.param(
            (
                "lib/a/lib/std/README",
                "lib/std/src/S.sol",
                "lib/std/lib/ds-test/src/t.sol",
                "lib/std/lib/ds-test/demo/d.sol",
            ),
            {"std/=lib/std/src/", "ds-test/=lib/std/lib/ds-test/src/"},
            id="an empty submodule",
        ),
        pytest.param(("lib/deep/x/contracts/C.sol",), {"deep/=lib/deep/"}, id="contracts below another folder"),
        pytest.param(("lib/one/x/y/C.sol",), {"one/=lib/one/"}, id="one folder that is not called src"),
        pytest.param(("lib/.hidden/src/H.sol", "lib/t/test/T.sol"), set(), id="hidden, and tests alone"),
        pytest.param(
            ("lib/p/foundry.toml", "lib/p/contracts/P.sol", "lib/p/scripts/S.sol"),
            {"p/=lib/p/"},
            id="a project with several folders",
        ),
        pytest.param(
            ("remappings.txt", "lib/b/src/B.sol", "lib/c/src/C.sol"),
            {"b/inner/=x/", "c/=y/"},
            id="prefixes that begin with another one",
        ),
    ],
)
def test_libraries_are_found_where_forge_finds_them(tmp_path: Path, files: tuple[str, ...], expected: set[str]) -> None:
    texts = {name: "b/inner/=x\nc=y\n" if name == "remappings.txt" else "" for name in files}
    found = project(tmp_path, "[profile.default]\n", texts)
    assert {str(remapping) for remapping in found.remappings} == expected


def test_a_remapping_without_slashes_leads_where_forge_goes(tmp_path: Path) -> None:
    toml = """
[profile.default]
remappings = ["aa=lib/solmate", "bb/=lib/solmate/src", "file.sol=src/F.sol", "ee/=./lib/x", "hh=/abs", "ctx:cc=lib/b"]
"""
    files = {
        "remappings.txt": "solmate/=lib/solmate\n",
        "lib/solmate/src/T.sol": "",
        "lib/solmate/foundry.toml": "[profile.default]\nremappings = ['inner/=src', 'sol=foo.sol']",
        "test/A.t.sol": 'import "solmate/src/T.sol"; import "bb/T.sol"; import "aa/src/T.sol";',
    }
    found = project(tmp_path, toml, files)
    # output of `forge remappings` of 1.7.1 for these files
    assert {str(remapping) for remapping in found.remappings} == {
        "solmate/=lib/solmate/", "aa/=lib/solmate/", "bb/=lib/solmate/src/", "file.sol=src/F.sol", "ee/=./lib/x/",
        "hh/=/abs/", "ctx:cc/=lib/b/", "inner/=lib/solmate/src/", "sol/=lib/solmate/foo.sol",
    }  # fmt: skip
    assert set(read_sources(found, own_sources(found)).texts) == {"test/A.t.sol", "lib/solmate/src/T.sol"}


def test_remappings_of_one_prefix_have_forges_precedence(tmp_path: Path) -> None:
    toml = "[profile.default]\nremappings = ['aa=lib/toml', 'aa/=lib/toml2', 'bb=lib/toml']\n"
    files = {"remappings.txt": "aa=lib/txt\n", "lib/aa/src/A.sol": "", "lib/bb/src/B.sol": ""}
    found = project(tmp_path, toml, files)
    # `forge build` of 1.7.1 compiles lib/txt/X.sol for aa/X.sol, and lib/cli/X.sol with -R aa=lib/cli
    assert {str(remapping) for remapping in found.remappings} == {"aa/=lib/txt/", "bb/=lib/toml/"}
    given = load_project(tmp_path, settings={"remappings": ["aa=lib/cli"]})
    assert {str(remapping) for remapping in given.remappings} == {"aa/=lib/cli/", "bb/=lib/toml/"}


def test_library_foundry_toml_defines_its_remappings(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        "[profile.default]\nlibs = ['lib']",
        {
            "lib/inner/src/I.sol": "",
            "lib/inner/foundry.toml": "[profile.default]\nremappings = ['@deep/=lib/deeper/code/']",
            "lib/inner/lib/deeper/code/D.sol": "",
        },
    )
    # `forge remappings` of 1.7.1 prints these two, among others
    assert {str(remapping) for remapping in found.remappings} >= {
        "@deep/=lib/inner/lib/deeper/code/",
        "inner/=lib/inner/src/",
    }


@pytest.mark.parametrize("config", ["remappings.txt", "foundry.toml", ""])
def test_library_imports_its_own_library_of_a_name(tmp_path: Path, config: str) -> None:
    """Remappings of two libraries apply to their own sources only (foundry#16125)."""
    text = (
        "[profile.default]\nremappings = ['common/=lib/common/src/']"
        if config == "foundry.toml"
        else "common/=lib/common/src/"
    )
    imported = 'import "common/C.sol"; import "own/O.sol"; import "direct/D.sol";'
    files = {"test/T.t.sol": f'import "a/A.sol"; import "b/B.sol"; {imported}', "lib/direct/src/D.sol": ""}
    for name in ("a", "b"):
        files |= {
            f"lib/{name}/src/{name.upper()}.sol": imported,
            f"lib/{name}/lib/direct/src/D.sol": "",
            f"lib/{name}/lib/common/src/C.sol": "",
            f"lib/{name}/lib/own/src/O.sol": "",
            **({f"lib/{name}/{config}": text} if config else {}),
        }
    files |= {"src/own/O.sol": "", "lib/b/lib/c/src/D.sol": "", "lib/b/lib/c/lib/common/src/C.sol": ""}
    found = project(tmp_path, "[profile.default]\nremappings = ['own/=src/own/']", files)
    sources = read_sources(found, own_sources(found))
    shared = ("src/own/O.sol", "lib/direct/src/D.sol")
    assert dict(sources.imports) == {
        "test/T.t.sol": ("lib/a/src/A.sol", "lib/b/src/B.sol", "lib/a/lib/common/src/C.sol", *shared),
        "lib/a/src/A.sol": ("lib/a/lib/common/src/C.sol", *shared),
        "lib/b/src/B.sol": ("lib/b/lib/common/src/C.sol", *shared),
        **dict.fromkeys(("lib/a/lib/common/src/C.sol", "lib/b/lib/common/src/C.sol", *shared), ()),
    }
    scoped = [str(one) for one in sources.remappings if one.context]
    assert scoped == ["lib/b/:common/=lib/b/lib/common/src/"]  # no more, since the compiled code contains them


@pytest.mark.parametrize("folder", ["", "lib/inner/"])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("remappings.txt", b"a/=b/\nnonsense\n", "'nonsense' is not a remapping: expected prefix=target"),
        ("remappings.txt", b"\xff=b/\n", "invalid UTF-8 at byte 0; save the file as UTF-8"),
        ("foundry.toml", b"\xff", "invalid UTF-8 at byte 0; save the file as UTF-8"),
        ("foundry.toml", b"[profile.default]\nremappings = ['nonsense']", "'nonsense' is not a remapping: expected"),
    ],
)
def test_wrong_remapping_error_names_its_file(
    folder: str, name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "lib" / "inner").mkdir(parents=True)
    for place in (tmp_path, tmp_path / "lib" / "inner"):
        (place / "foundry.toml").write_text("[profile.default]", encoding="utf-8")
    (tmp_path / folder / name).write_bytes(content)
    with pytest.raises(InvalidInput) as refused:
        load_project(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / folder / name}: ")
    assert words in str(refused.value)
    assert str(refused.value).count(str(tmp_path)) == 1


def test_imports_are_read_in_all_their_forms() -> None:
    text = """
import "a.sol";
import './b.sol' ;
import {C, D as E} from "c.sol";
import * as F from "d.sol";
import G from "e.sol";
import {
    H
} from "f.sol";
// import "no.sol";
/* import "no.sol"; */
contract X { string s = "import"; }
"""
    assert imports(text) == ["a.sol", "./b.sol", "c.sol", "d.sol", "e.sol", "f.sol"]


def test_project_sources_include_imported_files(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        "[profile.default]\nskip = ['*/old/*']",
        {
            "src/A.sol": 'import "./B.sol"; import "@scope/pkg/P.sol";',
            "src/B.sol": "",
            "src/old/C.sol": 'import "nowhere.sol";',
            "test/A.t.sol": 'import "src/A.sol";',
            "node_modules/@scope/pkg/P.sol": 'import "./Q.sol";',
            "node_modules/@scope/pkg/Q.sol": "",
        },
    )
    sources = read_sources(found, own_sources(found))
    assert sources.own == {"src/A.sol", "src/B.sol", "test/A.t.sol"}
    packages = {"node_modules/@scope/pkg/P.sol", "node_modules/@scope/pkg/Q.sol"}
    assert set(sources.texts) == sources.own | packages


def test_missing_import_is_reported_with_its_importer(tmp_path: Path) -> None:
    toml = "[profile.default]\nremappings = ['token/=lib/tokens/src/']"
    found = project(tmp_path, toml, {"test/A.t.sol": 'import "token/Token.sol";'})
    with pytest.raises(
        InvalidInput, match=r"A.t.sol imports 'token/Token.sol', but lib/tokens/src/Token.sol does not exist"
    ):
        read_sources(found, own_sources(found))


def test_missing_file_of_a_relative_import_is_no_library(tmp_path: Path) -> None:
    found = project(tmp_path, "[profile.default]", {"test/A.t.sol": 'import {B} from "../src/B.sol";'})
    words = r"A.t.sol imports '../src/B.sol', but src/B.sol does not exist: correct the path, or delete the importer"
    with pytest.raises(InvalidInput, match=words):
        read_sources(found, own_sources(found))


@pytest.mark.parametrize(
    ("imported", "command"),
    [
        ("forge-std/Test.sol", "git clone --depth 1 https://github.com/foundry-rs/forge-std lib/forge-std"),
        ("@openzeppelin/contracts/token/ERC20.sol", "npm install @openzeppelin/contracts"),
        ("solady/Milady.sol", "forge install OWNER/REPOSITORY"),
    ],
)
def test_missing_library_is_reported_with_install_command(tmp_path: Path, imported: str, command: str) -> None:
    found = project(tmp_path, "[profile.default]", {"test/A.t.sol": f'import "{imported}";'})
    with pytest.raises(InvalidInput, match=re.escape(f"{imported} does not exist: install the library ({command})")):
        read_sources(found, own_sources(found))
    (tmp_path / "lib/forge-std/src").mkdir(parents=True)  # where the first command installs it
    (tmp_path / "lib/forge-std/src/Test.sol").write_text("")
    if imported.startswith("forge-std"):
        again = project(tmp_path, "[profile.default]", {})
        assert "lib/forge-std/src/Test.sol" in read_sources(again, own_sources(again)).texts


def test_compiler_settings_omit_defaults_for_old_solc(
    tmp_path: Path,
) -> None:
    """`appendCBOR` came with solc 0.8.18: 0.7.6 fails with 'Unknown key "appendCBOR"'."""
    found = project(tmp_path, "[profile.default]\n", {"src/A.sol": "contract A {}"})
    assert standard_json(found, read_sources(found, ["src/A.sol"]), "0.7.6")["settings"]["metadata"] == {}
    found = project(tmp_path, "[profile.default]\nbytecode_hash = 'none'\ncbor_metadata = false")
    asked = standard_json(found, read_sources(found, ["src/A.sol"]), "0.7.6")["settings"]["metadata"]
    assert asked == {"bytecodeHash": "none", "appendCBOR": False}


@pytest.mark.parametrize("damage", ["index.json", "0.json"])
def test_compilation_is_cached_and_repeated_only_if_damaged(tmp_path: Path, damage: str) -> None:
    result = '{"contracts": {"test/A.t.sol": {"A": {"abi": []}}}, "sources": {"test/A.t.sol": {"id": 0}}}'
    program = tmp_path / "solc"
    program.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\ncat > /dev/null\necho '{result}'\n")
    program.chmod(0o755)
    found = project(tmp_path, "", {"test/A.t.sol": "contract A {}"})
    sources, solc = read_sources(found, own_sources(found)), Solc("0.8.30", program, False)

    messages: list[str] = []

    def compiled() -> int:
        artifacts = artifacts_of(tmp_path, compiled_sources(found, sources, sources.texts, solc, messages.append))
        assert [(place.file, place.name) for place in artifacts.locations] == [("test/A.t.sol", "A")]
        assert artifacts.get("test/A.t.sol", "A").abi == []
        return len((tmp_path / "asked").read_text().splitlines())

    assert (compiled(), compiled()) == (1, 1)
    (kept,) = tmp_path.glob(f"cache/hypervisor/*/{damage}")
    kept.write_text("{ba")
    assert (compiled(), compiled()) == (2, 2)
    kept.unlink()
    assert (compiled(), compiled()) == (3, 3)
    assert messages == ["Compiling 1 files with Solc 0.8.30"] * 3


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        (SuiteFilter(), {"test/T.t.sol", "script/Base.s.sol", "src/A.sol"}),
        (SuiteFilter(path="script/*"), {"test/T.t.sol", "script/Base.s.sol", "src/A.sol", "script/test/S.t.sol"}),
        (SuiteFilter(test="x"), {"test/T.t.sol", "script/Base.s.sol", "src/A.sol", "script/test/S.t.sol"}),
    ],
    ids=["no filter", "path", "test"],
)
def test_tests_of_scripts_that_nothing_imports_run_with_a_filter_only(
    tmp_path: Path, wanted: SuiteFilter, files: set[str]
) -> None:
    """Source: `forge test` 1.7.1, which compiles only `src`, `test` and their imports without a filter."""
    for name, text in {
        "test/T.t.sol": 'import "../script/Base.s.sol";', "script/Base.s.sol": "", "src/A.sol": "",
        "script/test/S.t.sol": "",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    project = Project(tmp_path)
    sources = read_sources(project, own_sources(project))
    assert set(SuiteSession(project, wanted, Options())._suite_sources(sources)) == files

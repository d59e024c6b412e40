"""Generated pages and tables, the site, and the README.

- Generated tables: the committed ones are up to date, pages include each part once, and nothing is missing.
- `help` of every public name states units and errors and has a working example; docs/api.md includes them.
- docs/json-rpc.md: its commands run, the methods that it names exist, and each method has an example.
- docs/actors.md: its table matches the actors, its tests exist, and its Python runs.
- The documentation site: its navigation lists every page, and a dead link fails the build.
- Tests of the README: its commands and its Python run, and its recording equals the demo's output.

Each command has an example in its help, and each option and key of forge has its row.
"""

import doctest
import importlib.util
import pydoc
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import hypervisor
import localnet
from bridge.filecoin.method_numbers import method_number
from hypervisor_tools.cli.foundry.settings import ALIASES, UNSUPPORTED
from hypervisor_tools.soltest.project.settings import NOT_READ
from localnet.rpc.method_table import method_table
from localnet.rpc.methods import OptionalReader
from localnet.rpc.refused import REASONS
from localnet.rpc.server import filecoin_v2
from tests.docs import demo_recording, generated_parts, reliability_page, syscalls_page
from tests.docs.actors_page import BEGIN, END, HELD, PAGE, Row, found_rows, table
from tests.docs.forge_names import later_names, recorded
from tests.docs.generated_parts import (
    ELSEWHERE,
    PublicName,
    commands,
    forge_test_options,
    help_of,
    keys,
    names_text,
    own_options,
    public_names,
    reads,
    refused_anvil_options,
    report_options,
)
from tests.docs.json_rpc_examples import EXAMPLES, examples
from tests.docs.json_rpc_page import missing
from tests.docs.page_shell import run_page
from tests.packaging import PROJECT

NAMES = recorded()


@pytest.mark.parametrize(
    ("generator", "target"),
    [(reliability_page, "reliability-page"), (syscalls_page, "syscalls-page")],
    ids=lambda value: getattr(value, "__name__", value).rpartition(".")[2],
)
def test_page_equals_generated_page(generator: ModuleType, target: str) -> None:
    page = generator.PAGE.read_text(encoding="utf-8")
    assert generator.replaced(page) == page, f"run `make {target}`"


def test_pages_include_each_part_once() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (PROJECT / "docs").glob("*.md"))
    included = re.findall(r"^```\{include\} \.\./build/docs-parts/(.+)\.md\n```$", pages, re.MULTILINE)
    assert sorted(included) == sorted(generated_parts.PARTS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("commands", "### hypervisor actor inspect"),
        ("rpc-methods", 'eth_chainId []  ->  "0x'),
        ("foundry-keys", "| `via_ir` | yes |"),
    ],
)
def test_part_lists_name(part: str, line: str) -> None:
    assert f"\n{line}" in generated_parts.PARTS[part]()


def test_refused_anvil_options_are_listed_with_their_reasons() -> None:
    assert "| `--ipc` | the node only listens on a port: " in refused_anvil_options()


@pytest.mark.slow
def test_every_command_has_an_example_or_commands_below_it() -> None:
    names = re.findall(r"^### hypervisor (.+)$", commands(), re.MULTILINE)
    assert len(names) > 60
    texts = {name: help_of(*name.split()) for name in names}
    lacking = [
        name for name, text in texts.items() if f"Example: hypervisor {name}" not in text and "─ Commands ─" not in text
    ]
    assert lacking == []


@pytest.mark.slow
def test_each_option_and_key_of_forge_has_its_row() -> None:
    text = forge_test_options() + report_options() + keys()
    rows = re.findall(r"^\| `([^`]+)` \| (?:yes|no: |[^|]{10})", text, re.MULTILINE)
    assert rows == [*NAMES["test"], *NAMES["coverage"], *NAMES["snapshot"], *NAMES["keys"]]


@pytest.mark.slow
def test_missing_flag_lists_contain_no_stale_entries() -> None:
    assert set(UNSUPPORTED) | set(ALIASES) <= {*NAMES["test"], *later_names()["test"], "-D", "-k", "-r"}
    assert set(ELSEWHERE) <= {*NAMES["coverage"], *NAMES["snapshot"]} - own_options()
    assert set(NOT_READ) == {key for key in NAMES["keys"] if not reads(key)}


API_PROJECT = Path(__file__).resolve().parents[2]
PUBLIC_NAMES = [name for package in (hypervisor, localnet) for name in public_names(package)]


@pytest.mark.parametrize("name", PUBLIC_NAMES, ids=lambda name: name.full)
def test_the_example_of_a_public_name_runs(name: PublicName, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(API_PROJECT)
    example = doctest.DocTestParser().get_doctest(name.docstring, {}, name.full, None, None)
    assert example.examples, f"{name.full} has no example"
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    runner.run(example, out=report.append)
    assert not runner.failures, "".join(report)


def test_page_has_each_public_name_with_its_docstring() -> None:
    text = names_text()
    for name in PUBLIC_NAMES:
        summary = name.docstring.splitlines()[0].replace("<", "&lt;")
        assert f"\n### {name.name}\n\n```text\n{name.signature}\n```\n\n{summary}" in text


@pytest.mark.parametrize("name", PUBLIC_NAMES, ids=lambda name: name.full)
def test_every_public_method_has_a_docstring_and_types(name: PublicName) -> None:
    bare = [member.name for member in name.members if not member.docstring]
    assert not bare, f"{name.full}: without a docstring are {', '.join(bare)}"
    untyped = [member.name for member in name.members if "->" not in member.signature]
    assert not untyped, f"{name.full}: without types are {', '.join(untyped)}"


@pytest.mark.parametrize("package", [hypervisor, localnet], ids=lambda package: package.__name__)
def test_help_of_a_package_shows_every_public_name(package: object) -> None:
    shown = re.sub(".\x08", "", pydoc.render_doc(package))  # names are struck twice, to be bold
    names: list[str] = package.__all__  # type: ignore[attr-defined]  # every public package has it
    assert [name for name in names if name not in shown] == []
    assert set(names) <= set(dir(package))


JSON_RPC_PAGE = Path(__file__).parent.parent.parent / "docs" / "json-rpc.md"
TEXT = JSON_RPC_PAGE.read_text(encoding="utf-8")


def test_every_method_with_parameters_has_an_example() -> None:
    needing = {row.name for row in method_table().values() if row.readers and row.name not in REASONS}
    optional = {row.name for row in method_table().values() if all(isinstance(r, OptionalReader) for r in row.readers)}
    assert needing - optional <= set(EXAMPLES)
    assert set(EXAMPLES) <= set(method_table())


@pytest.mark.slow
def test_method_without_example_reports_where_to_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(EXAMPLES, "eth_getBalance")
    with examples() as asked, pytest.raises(AssertionError) as failed:
        asked.answers(["eth_getBalance"])
    assert str(failed.value).startswith("the example of eth_getBalance, with the parameters [], answers {")
    assert ": write its parameters in EXAMPLES of tests/docs/json_rpc_examples.py" in str(failed.value)


def test_every_method_that_the_text_names_exists() -> None:
    named = set(re.findall(r"`((?:eth|evm|anvil|hypervisor|net|web3)_\w+|Filecoin\.\w+)`", TEXT))
    assert named <= {*method_table(), *(method.name for method in filecoin_v2.METHODS)}


def test_missing_methods_of_other_nodes_are_listed_with_their_reasons() -> None:
    rows = re.findall(r"^\| (\w.*?) \| (.+) \|$", TEXT.split("### Missing methods")[1], re.MULTILINE)[1:]
    named = {name for names, _ in rows for name in names.split(", ")}
    assert missing() <= named
    assert not named & set(method_table())
    assert all(reason.strip() for _, reason in rows)


@pytest.mark.slow
def test_quick_start_runs_twice_in_one_shell(tmp_path: Path) -> None:
    every = run_page(TEXT.split("## Where it listens")[0] * 2, tmp_path / "page")
    assert len(every) == 18
    for ran in every:
        ran.check()


ACTORS_PAGE = PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def found() -> list[Row]:
    return found_rows()


@pytest.mark.slow
def test_actors_table_matches_actor_responses(found: list[Row]) -> None:
    written = ACTORS_PAGE.split(BEGIN)[1].split(END)[0]
    assert written == table(found), "run `make actors-page`"


def test_omitted_official_miner_methods_are_those_of_proofs(found: list[Row]) -> None:
    """The expected methods are those of actors.md 4.15, not of the actor."""
    assert {number for row in found if not row.own and not row.new for number in row.numbers} == {
        5, 9, 11, 15, 17, 19, 20, 24, 28, 32, 34, 35, 36,
    }  # fmt: skip


def test_table_lists_methods_added_removed_and_frozen_by_nv29(found: list[Row]) -> None:
    """FIP-0118: nine methods of f02 and one of miners; the market loses two; DataCap and registry are read-only."""
    assert [row.numbers for row in found if row.new and row.actor == "storageminer"] == [(37,)]
    assert sorted(row.method for row in found if row.new and row.actor == "reward") == [
        "CancelPending", "Claim", "RegisterStream", "RemoveStream", "ReplaceAddress", "SetDistribution", "SetShares",
        "SetWeightRecords", "StepWeightRecords",
    ]  # fmt: skip
    assert {row.later for row in found if row.new} == {"yes"}
    assert [(row.actor, row.numbers) for row in found if row.own and row.later == "no: 22"] == [
        ("storagemarket", (5,)), ("storagemarket", (6,)),
    ]  # fmt: skip
    frozen = {actor: {row.method for row in found if (row.actor, row.later) == (actor, "frozen: 18")} for actor in HELD}
    assert frozen.pop("verifiedregistry") == {
        "AddVerifier", "RemoveVerifier", "AddVerifiedClient", "RemoveVerifiedClientDataCap", "RemoveExpiredAllocations",
        "ClaimAllocations", "ExtendClaimTerms", "RemoveExpiredClaims", "Receive",
    }  # fmt: skip
    assert frozen.pop("datacap") == {
        "Mint", "Destroy", "Transfer", "TransferFrom", "IncreaseAllowance", "DecreaseAllowance", "RevokeAllowance",
        "Burn", "BurnFrom",
    }  # fmt: skip
    assert not any(frozen.values())


def test_development_method_numbers_are_hashes_of_their_names() -> None:
    for name, number in re.findall(r"`(DevelopmentOnly\w+)` \| (\d+)", ACTORS_PAGE):
        assert method_number(name) == int(number)


@pytest.mark.slow
def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tip_jar.wasm", "interface.ipldsch"):
        (tmp_path / name).symlink_to(PAGE.parents[1] / "hypervisor" / "builtin_actors" / "template" / "tip_jar" / name)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", ACTORS_PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    for code in blocks:
        exec(compile(code, str(PAGE), "exec"), {})


SPHINX = PROJECT / "build" / "tools" / "docs" / "bin" / "python"


@pytest.fixture(scope="module")
def settings() -> ModuleType:
    specification = importlib.util.spec_from_file_location("docs_conf", PROJECT / "docs" / "conf.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_navigation_has_each_page_once(settings: ModuleType) -> None:
    pages = [f"docs/{page.stem}" for page in (PROJECT / "docs").glob("*.md") if page.stem != "README"]
    examples = [f"examples/{page.parent.name}/README" for page in (PROJECT / "examples").glob("*/README.md")]
    index = (PROJECT / "docs" / "README.md").read_text(encoding="utf-8")
    text = settings.navigation(index, [*pages, *examples, "docs/README", "docs/labs/README", "CHANGELOG"])
    found = re.findall(r"^/(.+)$", text, re.MULTILINE)
    assert sorted(found) == sorted([*pages, *examples, "docs/labs/README", "CHANGELOG"])
    captions = re.findall(r"^:caption: (.+)$", text, re.MULTILINE)
    assert captions == ["Use", "Protocol work", "Internals", "Reference", "Examples", "Project"]


@pytest.mark.slow
@pytest.mark.skipif(not SPHINX.exists(), reason="`make docs` has not installed its tools")
@pytest.mark.parametrize("link", ["missing.md", "page.md#no-such-heading"])
def test_a_dead_link_fails_the_build(link: str, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(PROJECT / "docs" / "conf.py", docs)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    index = "# Index\n\n## Use\n\n| page | purpose |\n|---|---|\n| [page](page.md) | a page |\n"
    (docs / "README.md").write_text(index)
    for target, status in (("README.md", 0), (link, 1)):
        (docs / "page.md").write_text(f"# Page\n\n[a link]({target})\n")
        command: list[str | Path] = [SPHINX, "-m", "sphinx", "-q", "-n", "-W", "-c", docs, tmp_path, tmp_path / "out"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr


ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_readme_commands_run_in_order_in_one_shell(tmp_path: Path) -> None:
    for ran in run_page(README, tmp_path / "page"):
        ran.check()


@pytest.mark.slow
@pytest.mark.parametrize("code", [code for code in blocks("python") if "def test_" not in code])
def test_python_of_the_readme_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("code", [code for code in blocks("python") if "def test_" in code])
def test_the_tests_pass(code: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "test_readme_example.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_readme_example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.slow
def test_the_recording_shows_what_the_demo_prints() -> None:
    assert demo_recording.recording() == demo_recording.FILE.read_text(encoding="utf-8"), "run `make recording`"

"""`hypervisor actor` commands: a new project, installed code, a created actor, calls, and inspection."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.actor_project import RUST, TEMPLATE, TEMPLATES, new_project, project_commands
from localnet import Network
from localnet.rpc.server.server import serving
from scripts import build_guests
from store.cid import RAW, cid_of, show
from tests.command import Command, json_output, run, whole_command
from tests.compilers import assemblyscript, needed_zig
from tests.runtimes.wasm.guests import guest

PROJECT = Path(__file__).resolve().parents[3]
FOLDER = PROJECT / "hypervisor" / "builtin_actors" / "template" / TEMPLATE
MODULE, SCHEMA = FOLDER / f"{TEMPLATE}.wasm", FOLDER / "interface.ipldsch"
UPGRADABLE = build_guests.module_file(FOLDER, "upgradable")
CODE = show(cid_of(MODULE.read_bytes(), RAW))
FIL = 10**18


@pytest.fixture
def hypervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in an empty folder; return its status, output and error output."""
    monkeypatch.chdir(tmp_path)
    return whole_command(monkeypatch, capsys)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Create a folder with a tip jar; return the folder and the jar's address."""
    folder = tmp_path_factory.mktemp("chain") / "chain"
    with Network(folder) as network:
        jar = network.actors.create(network.actors.install(MODULE, SCHEMA), {"owner": network.accounts[0].native})
    return folder, str(jar.address)


@pytest.mark.slow
def test_actor_is_installed_created_and_called_on_new_chain(hypervisor: Command) -> None:
    assert hypervisor("actor", "install", MODULE, "--schema", SCHEMA, "--state", "chain") == (0, f"{CODE}\n")
    jar = json_output("actor", "create", CODE, '{"owner": "f0100"}', "--value", "0.5", "--state", "chain")
    assert hypervisor("actor", "call", jar["id"], "Tip", '["hi"]', "--value", "1.5", "--state", "chain") == (0, "1\n")
    second = json_output("actor", "call", jar["address"], "Tip", '{"note": ""}', "--value", "1fil", "--state", "chain")
    assert (second["answer"], second["gas_used"] > 0) == (2, True)
    total = ["actor", "call", jar["id"], "Total", "--state", "chain", "--dry-run"]
    assert json_output(*total) == {"answer": {"tips": 2, "received": str(5 * FIL // 2)}}
    found = json_output("actor", "inspect", jar["id"], "--state", "chain")
    assert found["state"] == {"owner": "f0100", "tips": 2, "received": str(5 * FIL // 2)}
    assert (found["balance"], found["code"]) == (str(3 * FIL), {"/": CODE})
    assert found["methods"] == [
        "Constructor(owner: Address)",
        "Tip(note: String) -> Int",
        "Total() -> tips: Int, received: TokenAmount",
        "Withdraw(amount: TokenAmount)",
    ]
    assert run("inspect", "chain", f"{jar['id']}/state/tips").stdout == "2\n"


@pytest.mark.slow
def test_actor_refusal_exits_1_and_changes_no_state(hypervisor: Command, chain: tuple[Path, str]) -> None:
    folder, jar = chain
    before = json_output("actor", "inspect", jar, "--state", folder)
    status, words = hypervisor("actor", "call", jar, "Withdraw", "[1]", "--account", 1, "--state", folder)
    assert status == 1
    assert "USR_FORBIDDEN(18)" in words
    assert "only the owner withdraws" in words
    assert json_output("actor", "inspect", jar, "--state", folder) == before


@pytest.mark.slow
def test_actor_message_is_escaped_for_terminal(hypervisor: Command, tmp_path: Path) -> None:
    schema = tmp_path / "counter.ipldsch"
    schema.write_text("type FailParams struct { exit Int\n message String\n data Bytes } representation tuple")
    with Network("chain") as network:
        code = network.actors.install(PROJECT / "examples" / "counter" / "counter.wasm", schema)
        counter = network.actors.create(code).address
    status, words = hypervisor("actor", "call", counter, "Fail", '[42, "\\u001b[2J\\nbye", "0x"]', "--state", "chain")
    assert (status, words.count("\n"), "\x1b" in words) == (1, 1, False)
    assert "\\x1b[2J\\nbye" in words


@pytest.mark.slow
def test_chain_open_in_another_process_can_only_be_inspected(chain: tuple[Path, str]) -> None:
    folder, jar = chain
    with Network(folder):
        called = run("actor", "call", jar, "Tip", '["hi"]', "--state", folder)
        assert (called.exit_code, "is open in another process" in called.stderr) == (1, True), called.stderr
        assert json_output("actor", "inspect", jar, "--state", folder)["state"]["tips"] == 0


@pytest.mark.slow
def test_method_is_called_by_number_with_cbor(chain: tuple[Path, str]) -> None:
    folder, jar = chain
    common = ["actor", "call", jar, "--state", folder, "--dry-run", "--value", "1fil"]
    assert json_output(*common, "633974955", "0x81626869") == {"answer": 1}
    assert json_output(*common, "633974955", '["hi"]') == {"answer": 1}
    assert json_output(*common, "0") == {"answer": None}
    bare = ["actor", "call", "f0100", "--state", folder, "--dry-run"]
    assert json_output(*bare, "2")["answer"].startswith("f1")  # an account's address, by its interface


@pytest.mark.slow
def test_running_node_gets_code_an_actor_and_other_code(hypervisor: Command, tmp_path: Path) -> None:
    silent = tmp_path / "silent.wasm"
    silent.write_bytes(guest("(i32.const 0)"))
    with Network() as network, serving(network) as url:
        assert hypervisor("actor", "install", MODULE, "--schema", SCHEMA, "--rpc", url) == (0, f"{CODE}\n")
        jar = json_output("actor", "create", CODE, '{"owner": "f0100"}', "--value", "0.5", "--rpc", url)
        assert json_output("actor", "call", jar["id"], "Tip", '["hi"]', "--value", "1fil", "--rpc", url)["answer"] == 1
        other = json_output("actor", "install", silent, "--name", "quiet", "--rpc", url)["code"]
        assert hypervisor("actor", "replace", jar["id"], other, "--rpc", url) == (
            0,
            f"{jar['id']} has the code {other}\n",
        )
        assert json_output("actor", "call", jar["id"], "633974955", "0x81626869", "--rpc", url)["answer"] is None
        refused = hypervisor("actor", "call", jar["id"], "Tip", '["hi"]', "--rpc", url)
        assert refused[0] == 2
        assert "pass its schema with --schema" in refused[1]
        for command in ("install", "create", "replace"):
            assert hypervisor("actor", command, MODULE, *([CODE] * (command == "replace")))[0] == 2


@pytest.mark.slow
def test_running_node_is_called_by_its_url(hypervisor: Command) -> None:
    with Network() as network:
        jar = network.actors.create(network.actors.install(MODULE, SCHEMA), {"owner": network.accounts[0].native})
        with serving(network) as url:
            common = [str(jar.address), "--schema", SCHEMA, "--rpc", url]
            tip = json_output("actor", "call", *common, "Tip", '["hi"]', "--value", "2fil", "--account", 4)
            assert (tip["answer"], tip["message"][:4]) == (1, "bafy")
            total = json_output("actor", "call", *common, "Total", "--dry-run")
            assert total == {"answer": {"tips": 1, "received": str(2 * FIL)}}
            assert json_output("actor", "call", "f07", "Name", "--rpc", url)["answer"] == "DataCap"
            for arguments, status, words in (
                ([*common, "Withdraw", "[1]", "--account", 1], 1, "only the owner withdraws"),
                ([*common, "Withdraw", "[1]", "--account", 1, "--dry-run"], 1, "Withdraw exited with 18: "),
                ([jar.address, "Nothing", "--rpc", url], 2, "the interface has no method 'Nothing'"),
                ([jar.address, "7", "[1]", "--rpc", url], 2, "the interface has no method 7: pass its parameters in"),
                ([jar.address, "7", "0x1", "--rpc", url], 2, "are not CBOR in hex"),
                ([jar.address, "Total", "--rpc", "nowhere"], 2, "'nowhere' is not a URL of a node"),
                ([jar.address, "Total"], 2, "--rpc-url"),
                ([jar.address, "Total", "--rpc", url, "--state", "chain"], 2, "--rpc"),
            ):
                found = hypervisor("actor", "call", *arguments)
                assert (found[0], words in found[1]) == (status, True), found
        assert jar.call("Total").tips == 1


@pytest.mark.slow
def test_built_in_actors_are_called_by_their_schemas(chain: tuple[Path, str]) -> None:
    folder, _ = chain
    assert json_output("actor", "call", "f07", "Symbol", "--dry-run", "--state", folder) == {"answer": "DCAP"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Tip", "hi"], "text needs quotes"),
        (["Tip", "[" * 2000], "depth limit exceeded"),
        (["Tip", '{"note": 5}'], "parameters of Tip: note: expected a string"),
        (["Tip", '["hi"]', "--value", "-1"], "is not an amount"),
        (["Tip", '["hi"]', "--value", "1e3"], "is not an amount"),
        (["Nope"], "no method 'Nope': expected one of Constructor, Tip, Total, Withdraw"),
        (["Total", "--schema", "absent.ipldsch"], "the schema absent.ipldsch cannot be read"),
        (["Total", "--schema", "/dev/zero"], "is not a file"),
    ],
)
def test_malformed_input_is_status_2_and_one_sentence(
    hypervisor: Command, chain: tuple[Path, str], arguments: list[str], words: str
) -> None:
    folder, jar = chain
    status, printed = hypervisor("actor", "call", jar, *arguments, "--state", folder)
    assert (status, printed.startswith("error: "), printed.count("\n")) == (2, True, 1)
    assert words in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["call", "f0", "Tip", "--state", "absent"], "there is no folder absent"),
        (["call", "0x12", "Tip", "--state", "CHAIN"], "an Ethereum address has 20 bytes"),
        (["call", "f09999", "Tip", "--state", "CHAIN"], "there is no actor f09999"),
        (["inspect", "zz", "--state", "CHAIN"], "not an address"),
        (["create", "zz", "--state", "CHAIN"], "'zz' is not a CID"),
        (["create", "bafkqaaa", "--state", "CHAIN"], "install its module on this chain with its schema"),
        (["install", "/etc/passwd", "--state", "new"], "not a WASM module"),
        (["install", str(UPGRADABLE), "--state", "new"], "one with `hypervisor node --feature upgrade-actor`"),
        (["install", str(UPGRADABLE), "--state", "CHAIN"], "one with `hypervisor node --feature upgrade-actor`"),
        (["install", str(MODULE), "--schema", "/etc/passwd", "--state", "new"], "is not an interface"),
        (["install", "absent.wasm", "--state", "CHAIN"], "the module absent.wasm cannot be read"),
        (["new", "../up"], "is not a valid name for an actor"),
        (["new", "serde"], "choose another name"),
        (["new", "fn"], "choose another name"),
        (["new", "jar", "--into", "absent"], "cannot be written"),
    ],
)
def test_invalid_arguments_exit_with_2_and_create_no_folder(
    hypervisor: Command, chain: tuple[Path, str], arguments: list[str], words: str
) -> None:
    arguments = [str(chain[0]) if argument == "CHAIN" else argument for argument in arguments]
    status, printed = hypervisor("actor", *arguments)
    assert (status, printed.count("\n")) == (2, 1)
    assert words in printed
    assert list(Path().iterdir()) == []


def test_new_project_is_the_template_under_another_name(hypervisor: Command, tmp_path: Path) -> None:
    status, words = hypervisor("actor", "new", "guest_book")
    assert (status, words.startswith("created guest_book: ")) == (0, True)
    written = {path.relative_to("guest_book").as_posix() for path in Path("guest_book").rglob("*") if path.is_file()}
    assert written == {
        ".cargo/config.toml", ".gitignore", "Cargo.lock", "Cargo.toml", "README.md", "interface-upgradable.ipldsch",
        "interface-v2.ipldsch", "interface.ipldsch", "rust-toolchain.toml", "rustfmt.toml", "src/lib.rs",
        "src/upgrade.rs", "src/vm.rs", "tests/test_actor.py",
    }  # fmt: skip
    assert all(TEMPLATE not in (Path("guest_book") / name).read_text() for name in written)
    assert tomllib.loads(Path("guest_book/Cargo.toml").read_text())["package"]["name"] == "guest_book"
    status, words = hypervisor("actor", "new", "guest_book")
    assert (status, "exists already" in words) == (2, True)
    assert os.listdir() == ["guest_book"]


@pytest.mark.slow
def test_project_uses_flags_and_crates_of_built_in_actors() -> None:
    config = tomllib.loads((FOLDER / ".cargo" / "config.toml").read_text())["build"]
    assert (config["target"], tuple(config["rustflags"])) == (build_guests.TARGET, build_guests.FLAGS)
    assert (
        (FOLDER / "rust-toolchain.toml")
        .read_text()
        .endswith((build_guests.GUESTS / "rust-toolchain.toml").read_text().partition("[toolchain]")[2])
    )
    shared = tomllib.loads((build_guests.GUESTS / "Cargo.toml").read_text())["workspace"]["dependencies"]
    for crate, wanted in tomllib.loads((FOLDER / "Cargo.toml").read_text())["dependencies"].items():
        assert wanted == shared[crate], crate
    locked = _locked(build_guests.GUESTS / "Cargo.lock")
    assert {name: version for name, version in _locked(FOLDER / "Cargo.lock").items() if name in locked} == {
        name: version for name, version in locked.items() if name in _locked(FOLDER / "Cargo.lock")
    }


@pytest.mark.slow
def test_tests_of_the_template_pass_on_its_committed_module(tmp_path: Path) -> None:
    _run_its_tests(FOLDER, TEMPLATE, MODULE, tmp_path)


@pytest.mark.long
def test_new_project_compiles_and_its_tests_pass(tmp_path: Path) -> None:
    try:
        build_guests.find_compiler()
    except build_guests.ToolchainMissing as missing:
        pytest.skip(f"not built: {missing}")
    run("actor", "new", "guest_book", "--into", tmp_path, catch_exceptions=False)
    project = tmp_path / "guest_book"
    target = PROJECT / "build" / "template"
    command = ["cargo", "build", "--release", "--locked", "--quiet"]
    subprocess.run(command, cwd=project, env=os.environ | {"CARGO_TARGET_DIR": str(target)}, check=True)
    _run_its_tests(project, "guest_book", target / build_guests.TARGET / "release" / "guest_book.wasm", tmp_path)


def _run_its_tests(project: Path, name: str, module: Path, scratch: Path) -> None:
    place = scratch / "built" / build_guests.TARGET / "release" / f"{name}.wasm"
    place.parent.mkdir(parents=True)
    shutil.copy(module, place)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    environment = os.environ | {"CARGO_TARGET_DIR": str(scratch / "built"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def _locked(path: Path) -> dict[str, str]:
    """Return the version of each crate that a lock file has in one version."""
    packages = tomllib.loads(path.read_text())["package"]
    names = [package["name"] for package in packages]
    return {package["name"]: package["version"] for package in packages if names.count(package["name"]) == 1}


ROOT = Path(__file__).resolve().parents[3]


def run_tests(project: Path) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        command, cwd=project, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=600
    )
    return done.stdout + done.stderr


def test_project_in_c_builds_and_passes_its_tests(tmp_path: Path) -> None:
    zig = needed_zig()
    project = new_project("adder", tmp_path, "c")
    subprocess.run(["make", f"CC={' '.join(zig)} cc"], cwd=project, check=True, capture_output=True, timeout=300)
    assert (project / "adder.wasm").stat().st_size < 4_000
    assert "3 passed" in run_tests(project)


def test_project_in_assemblyscript_builds_and_passes_its_tests(tmp_path: Path) -> None:
    compiler = assemblyscript()
    if compiler is None:
        pytest.skip("no asc, AssemblyScript's compiler: `make templates` gets it")
    project = new_project("adder", tmp_path, "assemblyscript")
    paths = f"{Path(compiler).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["npm", "run", "build"],
        cwd=project,
        check=True,
        env=os.environ | {"PATH": paths},
        capture_output=True,
        timeout=300,
    )
    assert (project / "build" / "adder.wasm").stat().st_size < 5_000
    assert "3 passed" in run_tests(project)


@pytest.mark.parametrize("language", TEMPLATES)
def test_new_project_has_its_own_name_and_no_build_artifacts(language: str, tmp_path: Path) -> None:
    project = new_project("adder", tmp_path, language)
    files = [path for path in project.rglob("*") if path.is_file()]
    assert {path.suffix for path in files}.isdisjoint({".wasm", ".pyc"})
    assert not any(word in path.read_text() for path in files for word in ('tally"', "tip_jar", "tally.wasm"))
    assert (project / "include" / "fvm.h").exists() == (language == "c")
    assert (project / "Cargo.toml").exists() == (language == RUST)


def test_project_build_follows_its_manifest_and_tests_use_pytest(tmp_path: Path) -> None:
    tests = [sys.executable, "-m", "pytest"]
    for language, builder in ((RUST, "cargo"), ("c", "make"), ("assemblyscript", "npm")):
        project = new_project(f"{language}_one", tmp_path, language)
        built, tested = project_commands(project)
        assert (built[0], tested) == (builder, tests)
        assert project_commands(project, build=False) == [tests]
    with pytest.raises(InvalidInput, match=r"holds no actor's project: expected one of Cargo\.toml"):
        project_commands(tmp_path)


@pytest.mark.slow
def test_command_ends_as_the_first_program_that_fails(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("all:\n\t@exit 3\n")
    assert run("actor", "test", tmp_path).exit_code == 2  # make's status for it
    (tmp_path / "test_one.py").write_text("def test_one(): assert True\n")
    assert run("actor", "test", tmp_path, "--no-build").exit_code == 0


def test_another_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no template in 'go': choose one of rust, c, assemblyscript"):
        new_project("adder", tmp_path, "go")
    assert not list(tmp_path.iterdir())

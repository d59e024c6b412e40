"""`hypervisor solidity`: the written files, and forge's remapping for FilecoinVm.sol."""

import ast
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hypervisor.builtin_actors.schemas import NAMES, SHARED
from hypervisor.errors import InvalidInput
from hypervisor_tools.bindings import module
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.project.sources import own_sources, read_sources
from scripts.actor_bindings import python
from scripts.actor_bindings.__main__ import PROJECT, generated_files
from tests.command import run
from tests.command import run as run_command

LINE = "hypervisor/=lib/filecoin/"


def write(folder: Path, *options: str) -> str:
    done = run("solidity", folder, *options)
    assert done.exit_code == 0, done.output
    return done.stdout


def project(root: Path, remappings: str | None = None) -> Path:
    (root / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    if remappings is not None:
        (root / "remappings.txt").write_text(remappings, encoding="utf-8")
    return root


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(None, ""), ("", ""), ("a/=b/", "a/=b/\n"), ("a/=b/\n", "a/=b/\n")])
def test_project_gets_the_remapping_once(tmp_path: Path, before: str | None, after: str) -> None:
    folder = project(tmp_path, before) / "lib" / "filecoin"
    assert write(folder).splitlines()[-1] == f"remappings.txt: {LINE}"
    for _ in range(2):
        assert (tmp_path / "remappings.txt").read_text(encoding="utf-8") == f"{after}{LINE}\n"
        assert json.loads(write(folder, "--json"))["remapping"] is None


def test_imports_lead_to_the_written_file(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "T.t.sol").write_text('import "hypervisor/FilecoinVm.sol";', encoding="utf-8")
    before, after = "hypervisor/FilecoinVm.sol", "lib/filecoin/FilecoinVm.sol"
    for name in (before, after):
        found = load_project(tmp_path)
        assert set(read_sources(found, own_sources(found)).texts) == {"test/T.t.sol", name}
        write(tmp_path / "lib" / "filecoin")


def test_existing_project_remapping_is_preserved(tmp_path: Path) -> None:
    project(tmp_path, "hypervisor/=vendor/fvm/\n")
    assert "remappings.txt" not in write(tmp_path / "lib" / "filecoin")
    assert (tmp_path / "remappings.txt").read_text(encoding="utf-8") == "hypervisor/=vendor/fvm/\n"


def test_only_contract_files_are_written_without_project(tmp_path: Path) -> None:
    found = json.loads(write(tmp_path / "contracts", "--json"))
    assert found["remapping"] is None
    assert str(tmp_path / "contracts" / "FilecoinVm.sol") in found["written"]
    assert [path.name for path in tmp_path.iterdir()] == ["contracts"]


HERE = Path(__file__).resolve().parent / "typed"
MARKET: dict[str, Any] = json.loads((HERE / "Market.json").read_text(encoding="utf-8"))


def of(*entries: dict[str, Any], name: str = "Thing", **more: Any) -> str:
    return module({"abi": list(entries), **more}, name).text


def function(name: str, *inputs: dict[str, Any], outputs: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"type": "function", "name": name, "inputs": list(inputs), "outputs": list(outputs)}


def item(kind: str, name: str = "") -> dict[str, Any]:
    return {"type": kind, "name": name}


def methods(text: str) -> list[str]:
    contract = next(
        node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef) and node.name == "Thing"
    )
    return [node.name for node in contract.body if isinstance(node, ast.FunctionDef)]


def test_generated_wrapper_is_formatted_as_by_ruff() -> None:
    written = module(MARKET, "Market")
    formatted = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--stdin-filename", "market.py", "-"],
        input=written.text, capture_output=True, text=True, check=True, cwd=PROJECT,
    ).stdout  # fmt: skip
    assert written.file == "market.py"
    assert formatted == written.text


def test_artifact_matches_adjacent_source() -> None:
    digest = hashlib.sha256((HERE / "Market.sol").read_bytes()).hexdigest()
    assert MARKET["sources"] == {"Market.sol": digest}, "run compile.mjs"


def test_broken_word_in_natspec_cannot_escape_docstring() -> None:
    for before in range(90, 120):  # wherever the line ends
        told = "a" * before + "\\N{x}\\x" + "b" * 120
        tree = ast.parse(of(userdoc={"notice": told}))
        said = next(ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
        assert "".join((said or "").split()) == told


def test_natspec_is_escaped_in_docstrings() -> None:
    tree = ast.parse(module(MARKET, "Market").text)
    told = {node.name: ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    assert "A name has got another owner." in told["Sold"]
    assert "price: attoFIL that were asked for" in told["TooLittle"]
    assert "''' is no end of a docstring, and \\ no escape: {} %s" in told["Market"]
    hostile = of(function("f"), devdoc={"methods": {"f()": {"details": '"""\nimport os\n"""\x1b[2J\\'}}, "title": 7})
    f = next(node for node in ast.walk(ast.parse(hostile)) if isinstance(node, ast.FunctionDef))
    assert ast.get_docstring(f) == "The function `f()`.\n\n''' import os '''\\x1b[2J\\"


@pytest.mark.parametrize(
    "entry",
    [
        function("f(): import os"),
        function("f", item("uint256", "x = 1")),
        function("f", {"type": "tuple", "name": "t", "internalType": "struct A.B-C", "components": []}),
        {"type": "event", "name": "", "inputs": []},
        {"type": "error", "name": "E\n", "inputs": []},
    ],
)
def test_names_that_solidity_could_not_have_are_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"is not a Solidity identifier"):
        of(entry)


@pytest.mark.parametrize("content", [None, 7, {}, {"abi": {}}, {"abi": None}, "text"])
def test_artifact_without_abi_is_rejected(content: Any) -> None:
    with pytest.raises(InvalidInput, match="there is no ABI"):
        module(content, "Thing")


def test_abi_without_bytecode_has_no_deploy_function() -> None:
    assert methods(module([function("f")], "Thing").text) == ["f"]
    unlinked = {"object": "0x73__$0123456789abcdef$__00"}
    assert "deploy" not in methods(of(function("f"), bytecode=unlinked))
    assert "deploy" in methods(of(function("f"), bytecode="0x00"))
    assert "deploy" in methods(of(function("f"), evm={"bytecode": {"object": "00"}}))


def test_clashing_names_get_distinct_identifiers() -> None:
    text = of(function("fooBar"), function("foo_bar"), function("call"), function("deploy"), function("list"),
              function("address"), function("_to"), function("$"), function("None"))  # fmt: skip
    assert methods(text) == [
        "address_", "argument_7", "call", "deploy_", "foo_bar", "foo_bar_2", "list_", "none", "to"
    ]  # fmt: skip
    arguments = function("g", item("uint256", "self"), item("uint256"), item("uint256", "_x"), item("uint256", "x"))
    assert "def g(self, self_: int, argument_1: int, x: int, x_2: int) -> Sending[None]:" in of(arguments)


def test_classes_with_equal_names_get_distinct_modules() -> None:
    struct = {"type": "tuple", "name": "t", "internalType": "struct L.Thing", "components": [item("bool", "tuple")]}
    text = of(
        function("f", struct),
        {"type": "event", "name": "Target", "inputs": []},
        {"type": "error", "name": "Target", "inputs": []},
    )
    classes = [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
    assert classes == ["LThing", "TargetEvent", "TargetError", "Thing"]


def test_solidity_types_map_to_python_types() -> None:
    kinds = [
        "uint8",
        "int256",
        "bool",
        "string",
        "bytes",
        "bytes32",
        "address",
        "address[]",
        "uint8[2][]",
        "fixed128x18",
    ]
    outputs = tuple(item(kind) for kind in kinds)
    assert (
        "Sending[tuple[int, int, bool, str, bytes, bytes, EthAddress, tuple[EthAddress, ...], "
        "tuple[tuple[int, ...], ...], Decimal]]" in of(function("f", outputs=outputs))
    )
    assert "Sequence[Sequence[Target]]" in of(function("f", item("address[3][]", "them")))


def test_uncallable_abi_entries_are_omitted() -> None:
    assert methods(of(function("f"), function("inLibrary", item("mapping(uint => uint) storage")))) == ["f"]


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_command_writes_and_checks(tmp_path: Path) -> None:
    def run(*options: str) -> Any:
        return run_command("bindings", str(HERE / "Market.json"), "--out", str(tmp_path / "made"), *options)

    assert run("--check").exit_code == 1
    assert not (tmp_path / "made").exists()
    assert "written" in run().output
    assert (tmp_path / "made" / "market.py").read_text(encoding="utf-8") == module(MARKET, "Market").text
    assert json.loads(run("--check", "--json").output) == {"different": []}
    (tmp_path / "made" / "market.py").write_text("old")
    assert "differs" in run("--check").output


def test_command_finds_contracts_by_name(tmp_path: Path) -> None:
    out = Path(__file__).resolve().parents[3] / "localnet" / "projects" / "foundry" / "out"
    done = run_command("bindings", "Vault", "--artifacts", str(out), "--out", str(tmp_path))
    assert done.exit_code == 0
    assert "class Vault(TypedContract):" in (tmp_path / "vault.py").read_text(encoding="utf-8")


def test_bindings_command_reports_unreadable_artifacts(tmp_path: Path) -> None:
    (tmp_path / "torn.json").write_text("{")
    for artifact, words in (("torn.json", "is not valid JSON"), ("absent.json", "cannot be read")):
        done = run_command("bindings", str(tmp_path / artifact))
        assert (done.exit_code, words in done.stderr) == (2, True)


USES = """
from typing import assert_type
from bridge.ethereum.addresses import EthAddress
from localnet import Network, TransactionReceipt
from market import Market, MoneyOffer, NumbersResult, Offer, Sold

def right(market: Market, offer: Offer, receipt: TransactionReceipt) -> None:
    assert_type(market.treasury().call(), EthAddress)
    assert_type(market.fee().call(), int)
    assert_type(market.pair().call(), tuple[EthAddress, int])
    assert_type(market.look("free").call(), Offer)
    assert_type(market.numbers(-1, b"abcd").call(), NumbersResult)
    assert_type(market.events(receipt, Sold), list[Sold])
    market.list_([offer], close=True)

def wrong(network: Network, market: Market, offer: Offer) -> None:
    Market.deploy(network, network.accounts[0], "5")
    market.fee().send()
    market.set_phase(1).send(value=1)
    price: str = market.buy("free").call()
    market.list_(MoneyOffer(1, True))
    market.list_([offer], True, 3)
    market.list_(7)
    market.nothing()
"""


@pytest.mark.oracle
def test_mypy_knows_the_types_of_a_wrapper(tmp_path: Path) -> None:
    (tmp_path / "market.py").write_text(module(MARKET, "Market").text)
    (tmp_path / "uses.py").write_text(USES)
    command = [sys.executable, "-m", "mypy", str(tmp_path / "market.py"), str(tmp_path / "uses.py")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    errors = {(Path(line.split(":")[0]).name, int(line.split(":")[1])) for line in done.stdout.splitlines()[:-1]}
    first = USES.splitlines().index('    Market.deploy(network, network.accounts[0], "5")') + 1
    assert errors == {("uses.py", first + line) for line in range(8)}, done.stdout


@pytest.mark.slow
def test_committed_files_are_those_that_the_generator_writes() -> None:
    texts = generated_files()
    assert not [path for path, text in texts.items() if path.read_text() != text], "make bindings"
    folder = PROJECT / "bridge" / "solidity"
    assert {path for path in folder.iterdir() if path.is_file()} == {path for path in texts if path.parent == folder}


def test_installation_wrote_a_module_for_every_actor() -> None:
    written = {path.stem for path in (PROJECT / "bridge" / "bindings").glob("*.py")}
    assert written == {"__init__", SHARED, *NAMES}, "run `make environment`"


def test_types_that_only_a_state_has_are_left_out() -> None:
    assert "Transaction" not in python.structs("multisig")
    assert "ProposalHashData" in python.structs("multisig")
    assert "SectorLocation" in python.structs("storageminer")
    assert not python.structs("system")


def test_every_actor_is_described() -> None:
    assert all(python.schema_comments(actor).get(actor) for actor in NAMES)

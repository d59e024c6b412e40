"""`hypervisor inspect`, `car` and `gc` commands."""

import json
from pathlib import Path

import pytest

from hypervisor_tools.cli.main import main
from localnet import Network
from store.car.files import read_car, write_car
from store.car.transfer import write_blocks
from store.cid import cid_of, show
from store.trees.paths import Path as StatePath
from store.trees.paths import verify
from tests.command import run

FIL = 10**18


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    with Network(folder) as network:
        for _ in range(3):
            network.send(network.accounts[1].address, value=FIL)
    return folder


def root_of(folder: Path) -> str:
    with Network(folder) as network:
        return show(network.machine.root)


@pytest.mark.slow
def test_inspect_prints_a_line_for_each_value_or_json(chain: Path) -> None:
    assert run("inspect", chain, "f03/state/entries/0").stdout == "receiver  f04\nmethod_num  5\n"
    assert json.loads(run("inspect", chain, "f03/state/entries/0", "--json").stdout) == {
        "receiver": "f04", "method_num": 5,
    }  # fmt: skip
    assert run("inspect", chain).stdout.splitlines()[3].split() == ["f03", "cron", "0", "attoFIL"]


@pytest.mark.slow
def test_inspect_works_while_node_has_folder_open(tmp_path: Path) -> None:
    with Network(tmp_path) as network:
        network.send(network.accounts[1].address, value=FIL)
        path = f"{network.accounts[1].delegated}/balance"
        assert run("inspect", tmp_path, path).stdout == f"{10_001 * FIL}\n"


@pytest.mark.slow
def test_inspect_proof_verifies_without_chain_folder(chain: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof.car"
    assert run("inspect", chain, "f03/state", "--proof", proof).exit_code == 0
    with proof.open("rb") as file:
        reader = read_car(file)
        blocks = list(reader)
    assert [show(root) for root in reader.roots] == [root_of(chain)]
    # state tree [version, actors, info]; the cron actor f03 [code, head, ...]; its state [[[receiver, method], ...]]
    path = StatePath.parse("1/HAMT5:0x0003/1/0/0/0")
    assert verify(reader.roots[0], path, blocks) == bytes([0, 4])


@pytest.mark.slow
def test_proof_is_inspected_without_chain_folder(chain: Path, tmp_path: Path) -> None:
    proof, root = tmp_path / "proof.car", root_of(chain)
    shown = run("inspect", chain, "f03/state", "--proof", proof)
    found = run("inspect", "f03/state", "--verify", proof, "--root", root)
    assert (found.exit_code, found.stdout, found.stderr) == (0, shown.stdout, "")
    unrooted = run("inspect", "f03/state", "--verify", proof)
    assert (unrooted.stdout, f"the root in the file is {root}" in unrooted.stderr) == (shown.stdout, True)
    assert run("inspect", "f03/balance", "--verify", proof, "--root", root).stdout == "0\n"


@pytest.mark.slow
def test_path_not_covered_by_proof_is_one_error(chain: Path, tmp_path: Path) -> None:
    proof, root = tmp_path / "proof.car", root_of(chain)
    assert run("inspect", chain, "f03/state", "--proof", proof).exit_code == 0
    other = run("inspect", "f04/state", "--verify", proof, "--root", root)
    assert (other.exit_code, "does not prove the value at 'f04/state' in the state" in other.stderr) == (1, True)
    elsewhere = run("inspect", "f03/state", "--verify", proof, "--root", show(cid_of(b"another state")))
    assert (elsewhere.exit_code, "does not prove the value at" in elsewhere.stderr) == (1, True), elsewhere.stderr
    with proof.open("rb") as file:
        reader = read_car(file)
        blocks = list(reader)
    for place in range(len(blocks)):  # one byte of a block is another one
        cid, data = blocks[place]
        damaged = [*blocks[:place], (cid, data[:-1] + bytes([data[-1] ^ 1])), *blocks[place + 1 :]]
        with (tmp_path / "damaged.car").open("wb") as file:
            write_car(file, reader.roots, damaged)
        found = run("inspect", "f03/state", "--verify", tmp_path / "damaged.car", "--root", root)
        assert (found.exit_code, show(cid) in found.stderr) in [(1, True), (2, True)], found.stderr
        with (tmp_path / "lacking.car").open("wb") as file:
            write_car(file, reader.roots, [*blocks[:place], *blocks[place + 1 :]])
        found = run("inspect", "f03/state", "--verify", tmp_path / "lacking.car", "--root", root)
        assert (found.exit_code, f"block {show(cid)} is not in the store" in found.stderr) == (1, True), found.stderr
    for wrong in ([chain, "f03/state", "--verify", proof], ["--verify", proof, "--proof", proof], []):
        assert run("inspect", *wrong).exit_code == 2


@pytest.mark.slow
def test_state_that_is_exported_and_imported_has_the_same_root(chain: Path, tmp_path: Path) -> None:
    car, root = tmp_path / "state.car", root_of(chain)
    assert f"blocks below {root}" in run("car", "export", chain, car).stdout
    assert json.loads(run("car", "verify", car, "--json").stdout)["roots"] == [root]
    found = run("car", "import", tmp_path / "other", car, "--json")
    assert json.loads(found.stdout)["missing"] == []
    before = run("inspect", chain, "f02/state").stdout
    assert run("inspect", tmp_path / "other", "f02/state", "--root", root).stdout == before
    assert run("gc", tmp_path / "other", "--json").exit_code == 0
    assert run("inspect", tmp_path / "other", "f02/state", "--root", root).stdout == before


@pytest.mark.slow
def test_strict_car_commands_accept_exports_refuse_noncanonical(chain: Path, tmp_path: Path) -> None:
    car, odd = tmp_path / "state.car", tmp_path / "odd.car"
    run("car", "export", chain, car)
    assert run("car", "verify", car, "--strict").exit_code == 0
    assert run("car", "import", tmp_path / "other", car, "--strict").exit_code == 0
    unsorted = bytes.fromhex("a2616201616101")  # {"b": 1, "a": 1}
    with odd.open("wb") as file:
        write_blocks(file, [cid_of(unsorted)], [(cid_of(unsorted), unsorted)])
    assert run("car", "verify", odd).exit_code == 0
    for command in (["verify", odd], ["import", tmp_path / "odd", odd]):
        refused = run("car", *command, "--strict")
        assert refused.exit_code == 2
        assert f"CAR block {show(cid_of(unsorted))}: not canonical DAG-CBOR: byte 2" in refused.stderr


@pytest.mark.slow
def test_import_prints_next_command(chain: Path, tmp_path: Path) -> None:
    car, other, root = tmp_path / "state.car", tmp_path / "other", root_of(chain)
    run("car", "export", chain, car)
    output = run("car", "import", other, car).stdout.splitlines()
    (after,) = [number for number, line in enumerate(output) if line.startswith("next")]
    assert output[after].split() == ["next", "hypervisor", "inspect", str(other), "--root", root]
    assert all(words in "".join(output[after + 1 :]) for words in ("--chain", "--load-state", "--dump-state"))
    refused = run("inspect", other).stderr.rstrip()
    assert refused.endswith(f"contains no machine state: select one of its blocks with --root (pinned: state {root})")


@pytest.mark.slow
def test_indexed_export_is_version_2(chain: Path, tmp_path: Path) -> None:
    assert run("car", "export", chain, tmp_path / "2.car", "--indexed").exit_code == 0
    summary = json.loads(run("car", "verify", tmp_path / "2.car", "--json").stdout)
    assert (summary["version"], summary["indexed"]) == (2, True)


@pytest.mark.slow
def test_selector_exports_a_part(chain: Path, tmp_path: Path) -> None:
    selector = tmp_path / "root-only.json"
    selector.write_text('{".": {}}')
    assert run("car", "export", chain, tmp_path / "part.car", "--selector", selector).exit_code == 0
    verified = run("car", "verify", tmp_path / "part.car", "--json")
    assert verified.exit_code == 1
    assert json.loads(verified.stdout)["blocks"] == 1
    refused = run("car", "import", tmp_path / "part", tmp_path / "part.car")
    assert "linked blocks are not in the file" in refused.stderr
    assert run("car", "import", tmp_path / "part", tmp_path / "part.car", "--partial").exit_code == 0


@pytest.mark.parametrize("command", [["verify"], ["import", "chain"]], ids=lambda command: command[0])
@pytest.mark.parametrize("content", [b"", b"something else", b"\x01\xa0"], ids=["empty", "text", "no header"])
def test_error_about_a_car_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.car").write_bytes(content)
    refused = run("car", *command, "bad.car")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: bad.car: ")
    assert not Path("chain").exists()
    refused = run("inspect", "f04", "--verify", "bad.car")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: bad.car: ")


@pytest.mark.slow
def test_damaged_car_is_refused_and_failed_export_leaves_no_file(chain: Path, tmp_path: Path) -> None:
    car = tmp_path / "state.car"
    run("car", "export", chain, car)
    data = bytearray(car.read_bytes())
    data[-1] ^= 1
    car.write_bytes(data)
    verified = run("car", "verify", car)
    assert (verified.exit_code, "does not match its hash" in verified.stderr) == (2, True)
    assert verified.stderr.startswith(f"error: {car}: CAR block ")
    absent = "bafy2bzaceamp42wmmgr2g2ymg46euououzfyck7szknvfacqscohrvaikwfaa"
    assert run("car", "export", chain, tmp_path / "none.car", "--root", absent).exit_code == 1
    refused = run("car", "export", chain, tmp_path / "no" / "a.car")
    words = f"the CAR file {tmp_path / 'no' / 'a.car'} cannot be written: No such file or directory; pass another path"
    assert (refused.exit_code, refused.stderr) == (2, f"error: {words}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state.car"]


@pytest.mark.slow
def test_gc_reports_result_and_resumes_after_interruption(tmp_path: Path) -> None:
    with Network(tmp_path) as network:
        for _ in range(5):
            network.send(network.accounts[1].address, value=FIL)
    assert run("gc", tmp_path, "--states", 1, "--seconds", 0).exit_code == 3
    done = json.loads(run("gc", tmp_path, "--states", 1, "--json").stdout)
    assert done["dropped"] > 0
    assert json.loads(run("gc", tmp_path, "--states", 1, "--json").stdout)["dropped"] == 0
    with Network(tmp_path) as network:
        assert network.balance(network.accounts[1].address) == 10_005 * FIL


@pytest.mark.parametrize("command", [["gc"], ["inspect"], ["extract", "3", "--out", "x.json", "--state"]])
def test_file_instead_of_a_folder_is_named(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    found = run(*command, file)
    assert (found.exit_code, "is a file, not a folder" in found.stderr) == (2, True)


@pytest.mark.parametrize("command", [["inspect", "CHAIN"], ["car", "export", "CHAIN", "x.car"]])
def test_invalid_root_cid_is_reported(chain: Path, command: list[str]) -> None:
    found = run(*(str(chain) if word == "CHAIN" else word for word in command), "--root", "xyz")
    assert (found.exit_code, "'xyz' is not a CID" in found.stderr) == (2, True)


def test_file_that_cannot_be_opened_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["hypervisor", "car", "verify", str(tmp_path / "absent.car")])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err == f"error: {tmp_path / 'absent.car'}: No such file or directory\n"

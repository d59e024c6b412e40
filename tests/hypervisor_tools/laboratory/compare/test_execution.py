"""`hypervisor compare`: sources and sides, equal and different results, and refused input."""

import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from hypervisor.messages.address import Address
from hypervisor.tracing import CallEnded, CallNode, CallStarted
from hypervisor.types import ActorID, MethodNumber, TokenAmount
from hypervisor.versions.network_versions import NV29
from hypervisor_tools.cli.commands import FAILED
from hypervisor_tools.cli.node_settings import banner
from hypervisor_tools.laboratory.compare.execution import compare_job, first_cost_difference
from hypervisor_tools.laboratory.compare.jobs import VectorJob
from hypervisor_tools.laboratory.compare.tally import CallCosts, CallNames, MessageCost
from hypervisor_tools.laboratory.sides import Choices, two_sides
from hypervisor_tools.laboratory.vectors.conformance import name_of, read_vectors, run_variant, variants_of
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from localnet import Network
from localnet.ledger.upgrades import NO_UPGRADES
from tests.command import run
from tests.conftest import bundle_folder
from tests.golden_cases import BUILT_IN_ACTORS_RUN
from tests.hypervisor_tools.laboratory.small_actor import ADDRESS, METHOD, SmallActor
from tests.localnet.conftest import Clock

GOLDEN = Path(__file__).resolve().parents[3] / "golden"
SEND = GOLDEN / "send.jsonl.gz"


def report(*arguments: object) -> dict[str, Any]:
    done = run("compare", *arguments, "--json", "--workers", 1)
    assert done.exit_code in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["same"] is (done.exit_code == 0)
    return found


def table(found: dict[str, Any], name: str) -> dict[str, tuple[list[int], list[int]]]:
    return {row["name"]: (row["a"], row["b"]) for row in found["changed"][name]}


@pytest.fixture
def vector(tmp_path: Path) -> Path:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(next(iter(read_vectors(SEND)))), encoding="utf-8")
    return file


@pytest.mark.slow
def test_unchanged_price_override_reports_same_gas(chain: Path) -> None:
    found = report(chain, "--price", "syscall=14_000")
    assert found["same"]
    assert found["cases"] == 6  # a deployment, three calls, a send, an empty block
    assert found["messages"] == 5 + 6  # each block ends with reward and cron


@pytest.mark.slow
def test_raised_transfer_price_is_located_in_transfers(chain: Path) -> None:
    found = report(chain, "--price", "transfer=6_007")
    assert {change["gas"][1] - change["gas"][0] for change in found["changes"] if "cron" not in change["message"]} == {
        7
    }
    assert list(table(found, "charges")) == ["OnValueTransfer"]
    ((count, cheap), (same, dear)) = table(found, "charges")["OnValueTransfer"]
    assert count == same
    assert dear - cheap == 7_000 * count
    assert found["changes"][0]["first"]["words"][0].startswith("OnValueTransfer")


@pytest.mark.slow
def test_overlay_and_two_of_them(chain: Path, tmp_path: Path) -> None:
    for name, price in (("one", 15_000), ("two", 16_000)):
        (tmp_path / f"{name}.toml").write_text(f"[prices]\nsyscall = {price}\n", encoding="utf-8")
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    alone, both = report(chain, "--overlay", one), report(chain, "--overlay", f"{one},{two}")
    assert both["milligas"][0] == alone["milligas"][1]
    count = table(both, "charges")["OnSyscall"][0][0]
    assert both["milligas"][1] - both["milligas"][0] == count * 1_000_000 + _frames(both) * 2 * 1_000_000
    same = report(chain, "--overlay", f"{one},{one}", "--price", "syscall=15_000")
    assert same["same"]


def _frames(found: dict[str, Any]) -> int:
    """A contract's frame pays two syscalls in one charge."""
    return table(found, "charges").get("OnEvmFrame", ([0, 0], [0, 0]))[0][0]


@pytest.mark.slow
def test_network_versions_are_compared(chain: Path) -> None:
    assert report(chain, "--network", "nv29,nv29", "--price", "syscall=14000")["same"]
    assert report(chain, "--network", "nv28")["same"]  # for what this chain does
    older = report(chain, "--network", "nv24,nv25")  # contracts' states have a field more since nv25 (EIP-1153)
    assert older["kinds"]["gas"] > 0
    assert list(table(older, "actors")) == ["evm"]


@pytest.mark.slow
def test_opcode_that_a_version_lacks_ends_the_call_elsewhere(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", clock=Clock()) as network:
        counter = b"\x99" * 20
        network.set_code(counter, bytes.fromhex("60011e5f5260205ff3"))  # CLZ, since nv28
        network.send(counter, gas_limit=50_000_000)
    found = report(tmp_path / "chain", "--network", "nv27")
    (change,) = [change for change in found["changes"] if "exit code" in change["kinds"]]
    assert change["ends"][0].startswith("exit 0 ")
    assert change["ends"][1].startswith("exit 35 ")  # EVM_CONTRACT_INVALID_INSTRUCTION
    assert any(words.startswith("end: A exit 0") for words in change["first"]["words"])


@pytest.mark.parametrize(
    ("actor", "end"),
    [
        ("evm", "exit 33 EVM_CONTRACT_REVERTED, the contract reverted"),
        ("storagemarket", "exit 33, an actor-defined exit code"),
    ],
)
def test_exit_codes_of_contracts_are_named_by_the_code_of_the_actor(actor: str, end: str) -> None:
    with Network(clock=Clock()) as network:
        manifest = network.machine.manifest

    def costs(exit_code: int) -> list[MessageCost]:
        start = CallStarted(ActorID(100), Address.id(ActorID(5)), MethodNumber(2), TokenAmount(0), b"", 0, False, 0)
        end = CallEnded(exit_code, b"", 0, 0)
        return [MessageCost(False, [CallNode(start, code=manifest.code(actor), end=end, items=[CallCosts()])])]

    difference = first_cost_difference(costs(33), costs(0), CallNames(manifest))
    assert difference is not None
    assert difference.lines[0].startswith(f"end: A {end}, B exit 0 ")


@pytest.mark.slow
def test_range_of_epochs_is_compared(chain: Path) -> None:
    found = report(chain, "--from", 2, "--to", 3, "--price", "transfer=6007")
    assert found["cases"] == 2
    assert {change["case"] for change in found["changes"]} <= {"epoch 2", "epoch 3"}


DRAFT = """
number = 30
base = 29
[actors]
datacap = "third.wasm"
"""


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of two chains with the same messages: `two` has other actors from epoch 3 on."""
    folder = tmp_path_factory.mktemp("upgraded")
    first, second, third = SmallActor(100), SmallActor(200), SmallActor(300)
    (folder / "third.wasm").write_bytes(third.module())
    (folder / "draft.toml").write_text(DRAFT, encoding="utf-8")
    third.bundle(folder / "third.car")
    bundle, other = first.bundle(folder / "first.car"), second.bundle(folder / "second.car")
    for name, upgrades in (("one", NO_UPGRADES), ("two", {2: (29, other)})):
        with Network(folder / name, bundle=bundle, clock=Clock(), upgrades=upgrades) as network:
            for _ in range(3):
                network.send_native(ADDRESS, METHOD)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "value"),
    [("--actor", "datacap={}/third.wasm"), ("--bundle", "{}/third.car"), ("--network", "nv29,{}/draft.toml")],
)
def test_replaced_code_runs_in_epochs_before_upgrade(upgraded: Path, option: str, value: str) -> None:
    """The results equal those of the same epochs of a chain without the upgrade."""
    one, two = (report(upgraded / name, option, value.format(upgraded)) for name in ("one", "two"))
    assert [change["case"] for change in one["changes"]] == ["epoch 1", "epoch 2", "epoch 3"]
    assert two["changes"][:2] == one["changes"][:2]
    loops = [change["gas"][1] - change["gas"][0] for change in two["changes"]]
    assert loops[0] == loops[1] == 2 * loops[2]  # 200 more iterations before the upgrade, 100 after it


@pytest.mark.slow
def test_upgrade_runs_as_recorded_before_messages_of_another_version(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", network=28, clock=Clock(), upgrades={2: 29}) as network:
        for _ in range(3):
            network.send_native(network.accounts[1].native, value=5)
    assert report(tmp_path / "chain", "--network", "nv29")["same"]  # nv29 has the prices of nv28
    # A bundle of actors v18 is refused only for the epochs after the upgrade, which have states of actors v19.
    assert report(tmp_path / "chain", "--bundle", "own", "--to", 2)["same"]
    done = run("compare", tmp_path / "chain", "--bundle", "own", "--workers", 1)
    assert done.exit_code == 2
    assert "actors v18 cannot run on states of actors v19" in done.stderr
    assert "messages of an earlier network version" in done.stderr


@pytest.mark.slow
def test_vectors_are_compared_in_parallel(chain: Path, vector: Path) -> None:
    arguments = ("compare", chain, vector, "--price", "transfer=6007", "--bundle-dir", bundle_folder())
    one, two = (run(*arguments, "--workers", workers).stdout for workers in (1, 2))
    assert one == two
    assert "7 cases with " in one


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return golden vectors that execute no built-in actor, as one file; they need no official bundle."""
    kept = [vector for vector in read_vectors(SEND) if not name_of(vector).startswith(BUILT_IN_ACTORS_RUN)]
    file = tmp_path_factory.mktemp("vectors") / "some.jsonl.gz"
    file.write_bytes(gzip.compress("".join(json.dumps(vector) + "\n" for vector in kept[::5]).encode()))
    return file


@pytest.mark.slow
def test_golden_vectors_are_the_same_under_the_same_prices(vectors: Path) -> None:
    found = compare_job(VectorJob(vectors, bundle_folder()), two_sides(Choices(prices=["syscall=14000"])))
    assert found.same
    assert found.messages > 40


@pytest.mark.slow
def test_conformance_and_a_node_take_an_overlay_too(vectors: Path, tmp_path: Path) -> None:
    overlay, arguments = tmp_path / "dearer.toml", ("--bundle-dir", bundle_folder(), "--workers", 1)
    overlay.write_text("[prices]\ninvoke.flat = 75_001\n", encoding="utf-8")
    assert run("conformance", vectors, *arguments).exit_code == 0
    done = run("conformance", vectors, *arguments, "--overlay", overlay)
    assert done.exit_code == 1
    assert "(+1)" in done.stdout  # one call of an actor, a gas dearer
    with Network(overlay=overlay) as network:
        made_with = network.chain.record.overlay
        assert made_with is not None
        assert f"Overlay:         'dearer' ({made_with.digest})" in banner(network, "", "", signs=True)


@pytest.mark.slow
def test_compare_reads_tipset_vector_extracted_from_chain(chain: Path, tmp_path: Path) -> None:
    file = tmp_path / "tipset.json"
    done = run("extract", "2", "--state", chain, "--out", file)
    assert done.exit_code == 0, done.stderr
    assert report(file, "--price", "transfer=6000")["same"]
    from_vector = report(file, "--price", "block_persist_compute=86000")
    from_chain = report(chain, "--from", 2, "--to", 2, "--price", "block_persist_compute=86000")
    assert from_vector["milligas"] == from_chain["milligas"]
    assert from_vector["changed"] == from_chain["changed"]


@pytest.mark.slow
def test_comparison_page_escapes_text_and_aligns_flame_graphs(small_chain: Path, tmp_path: Path) -> None:
    evil = replace(SmallActor(), said=b"</script><script>alert(1)</script>")
    bundle, page = evil.bundle(tmp_path / "<b>&.car"), tmp_path / "page.html"
    assert run("compare", small_chain, "--bundle", bundle, "--html", page, "--workers", 1).exit_code == 1
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg ") == 2
    assert "<script" not in text
    assert "<b>" not in text
    assert "&lt;b&gt;&amp;.car" in text
    assert "src=" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "datacap.2" in text
    assert "ipld::block_link" not in text  # nothing but the event differs
    scales = [line for line in text.splitlines() if "from left to right" in line]
    assert len(scales) == 2
    assert (
        scales[0].partition(", from left")[0].rpartition("gas ")[2]
        == scales[1].partition(", from")[0].rpartition("gas ")[2]
    )


def test_prices_are_listed_by_the_names_that_it_takes() -> None:
    text = run("compare", "--list-prices").stdout
    assert text.startswith("nv29, price list Teep, in gas:\n")
    assert any(line.split() == ["syscall", "14,000"] for line in text.splitlines())
    older = json.loads(run("compare", "--list-prices", "--network", "nv18", "--json").stdout)
    assert older["network"] == 18
    assert older["prices"]["tipset_cid_recent"] == 50_000_000  # milligas


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{chain}"], "both runs have the same configuration"),
        (["--price", "syscall=1"], "nothing to execute"),
        (["{chain}", "--price", "sycall=1"], "nv29 has no price 'sycall': did you mean syscall?"),
        (["{chain}", "--price", "syscall=-1"], "the price syscall is -1 gas: expected 0 or more"),
        (["{chain}", "--price", "syscall"], "expected NAME=GAS, or NAME=GAS,GAS"),
        (["{chain}", "--price", "syscall=cheap"], "expected a number, in gas"),
        (["{chain}", "--price", "randomness_entropy.flat=1"], "nv29 has no price 'randomness_entropy.flat'"),
        (["{chain}", "--network", "nv30"], "network version nv30 is not known"),
        (["{chain}", "--network", "calibration"], "'calibration' is not a network version"),
        (["{chain}", "--network", "nv28,nv29,nv28"], "expected one value, for run B, or two with a comma"),
        (["{chain}", "--network", ",nv29"], "expected one value, for run B, or two with a comma"),
        (["{chain}", "--bundle", "{none}"], "bundle {none} cannot be read"),
        (["{chain}", "--bundle", "own"], "actors v18 cannot run on states of actors v19: nv29 changed the layouts"),
        (["{chain}", "--overlay", "{none}"], "overlay {none} cannot be read"),
        (["{chain}", "--actor", "datacap"], "expected NAME=FILE"),
        (["{chain}", "--actor", "datacop={none}"], "a bundle has no 'datacop': did you mean datacap?"),
        (["{chain}", "--actor", "datacap={none}"], "module {none} cannot be read"),
        (["{chain}", "--actor", "datacap={text}"], "module {text} of datacap: "),
        (["{chain}", "--from", "99", "--price", "syscall=1"], "has nothing to execute from 99 to"),
        (["{chain}", "--price", "syscall=1,2,3"], "expected one value, for run B, or two with a comma between them"),
        (["{chain}", "--price", "syscall=1", "--price", "syscall=2"], "--price syscall is given 2 times"),
        (["{none}", "--price", "syscall=1"], "{none} does not exist"),
        (["{text}", "--price", "syscall=1"], "{text} is not a vector"),
        (["{empty}", "--price", "syscall=1"], "{empty} has no messages"),
    ],
)  # fmt: skip
def test_bad_input_gives_one_line_error_and_writes_nothing(
    chain: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    text, empty, page = tmp_path / "text", tmp_path / "empty", tmp_path / "page.html"
    text.write_text("no vector", encoding="utf-8")
    empty.mkdir()
    names = {"{chain}": chain, "{none}": tmp_path / "none", "{text}": text, "{empty}": empty}
    for name, path in names.items():
        arguments = [argument.replace(name, str(path)) for argument in arguments]
        words = words.replace(name, str(path))
    done = run("compare", *arguments, "--html", page, "--workers", 1)
    assert done.exit_code == 2, done.stdout + done.stderr
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout
    assert not page.exists()


def test_bundle_without_an_actor_is_named(chain: Path, tmp_path: Path) -> None:
    from hypervisor.bundles.bundle import Bundle
    from store.car.files import write_car
    from store.cid import show

    own = Bundle.embedded("v19")
    missing, file = own.manifest.code("cron"), tmp_path / "half.car"
    with file.open("wb") as stream:
        write_car(stream, [own.root], [block for block in own.blocks if block[0] != missing])
    done = run("compare", chain, "--bundle", file)
    assert done.exit_code == 2
    assert f"bundle {file} has no code for cron ({show(missing)})" in done.stderr


def test_vector_that_lacks_blocks_is_named(vector: Path, tmp_path: Path) -> None:
    import base64
    import gzip
    import io

    from store.car.files import read_car, write_car

    whole = json.loads(vector.read_text(encoding="utf-8"))
    reader = read_car(io.BytesIO(gzip.decompress(base64.b64decode(whole["car"]))))
    blocks = list(reader)
    kept = io.BytesIO()
    write_car(kept, reader.roots, blocks[:1])
    whole["car"] = base64.b64encode(gzip.compress(kept.getvalue())).decode()
    vector.write_text(json.dumps(whole), encoding="utf-8")
    done = run("compare", vector, "--price", "syscall=1", "--bundle-dir", bundle_folder())
    assert done.exit_code == 2, done.stdout
    assert str(vector) in done.stderr or whole["_meta"]["id"] in done.stderr
    assert "not in the store" in done.stderr


def calls_of(work: Callable[[], object]) -> int:
    """Return the number of Python function calls, which is the same on every machine."""
    count = 0

    def watch(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.slow
def test_compare_makes_at_most_2_3_times_calls_of_single_run(vectors: Path) -> None:
    """Most messages differ, which is the worst case."""
    sides = two_sides(Choices(prices=["message_compute=1", "invoke.flat=1"]))
    folder = BundleFolder(bundle_folder())

    def once() -> None:
        for vector in read_vectors(vectors):
            for variant in variants_of(vector, vectors, folder):
                run_variant(variant)

    def twice() -> None:
        found = compare_job(VectorJob(vectors, bundle_folder()), sides)
        assert len(found.changes) > 0.75 * found.messages

    once()
    twice()  # what is loaded and derived once is there
    assert calls_of(twice) <= 2.3 * calls_of(once)


def test_option_with_one_value_applies_to_side_b() -> None:
    first, second = two_sides(Choices(network="nv28"))
    assert (first.network, second.network) == (None, 28)
    assert first.row(NV29) == NV29
    assert second.row(NV29).number == 28


BEFORE = SmallActor()
INSTRUCTION = 4  # gas; ref-fvm fvm/src/gas/price_list.rs, `instruction_default`
LOOP = 5  # local.get, i32.const, i32.sub, local.tee, br_if: each has the price of an instruction


def compared(chain: Path, folder: Path, after: SmallActor) -> list[str]:
    done = run("compare", str(chain), "--bundle", str(after.bundle(folder / "after.car")), "--workers", "1")
    assert done.exit_code == FAILED, done.stderr
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def part(lines: list[str], title: str) -> list[str]:
    found = [number for number, line in enumerate(lines) if line.startswith(title)]
    if not found:
        return []
    rest = lines[found[0] + 1 :]
    return rest[: rest.index("")] if "" in rest else rest


@pytest.mark.slow
def test_equal_bundles_have_no_differences(small_chain: Path, tmp_path: Path) -> None:
    done = run("compare", str(small_chain), "--bundle", str(BEFORE.bundle(tmp_path / "same.car")))
    assert done.exit_code == 0, done.stdout
    assert ": the same, gas " in done.stdout


@pytest.mark.slow
def test_costlier_loop_differs_in_one_methods_instructions_only(small_chain: Path, tmp_path: Path) -> None:
    lines = compared(small_chain, tmp_path, replace(BEFORE, turns=BEFORE.turns + 1000))
    dearer = 1000 * LOOP * INSTRUCTION  # by hand
    assert lines[2].endswith("3 differ (gas 3)")  # the whole gas limit is burnt, however much is used
    (charge,) = part(lines, "by charge")
    assert charge.startswith("wasm_exec")
    assert charge.endswith(f"+{3 * dearer:,}")
    (syscall,) = part(lines, "by syscall")
    assert syscall.startswith("(instructions)")
    (method,) = part(lines, "by method")
    assert method.startswith("datacap.2 3x")
    first = part(lines, "first differences")
    assert first[0].endswith(f"(+{dearer:,})")
    assert first[1] == "in f07 datacap.2"
    assert first[2].startswith("wasm_exec (instructions): A ")
    assert not any("event" in line or "block_link" in line for line in first)


@pytest.mark.slow
def test_one_more_block_link_is_that_syscall_once_more(small_chain: Path, tmp_path: Path) -> None:
    lines = compared(small_chain, tmp_path, replace(BEFORE, blocks=2))
    charges = part(lines, "by charge")
    assert charges[0].startswith("OnBlockLink")
    count = charges[0].removeprefix("OnBlockLink ").split("x")
    assert int(count[1].removeprefix(" -> ")) == int(count[0]) + 3
    # By hand, of the list Teep and FIP-0071 for a block of two bytes: 172,000 + 334,000 + 300 + 2 * 3,352.4 gas.
    assert charges[0].endswith(f"+{round(3 * 513_004.8):,}")
    syscalls = part(lines, "by syscall")
    assert syscalls[0].startswith("ipld::block_link")
    assert any(line.startswith("ipld::block_create") for line in syscalls)
    (method,) = part(lines, "by method")
    assert method.startswith("datacap.2 3x")
    first = part(lines, "first differences")
    assert first[1] == "in f07 datacap.2"
    assert first[2].startswith("OnBlockLink in ipld::block_link (A 1, B 2 times)")
    assert "ipld::block_link: A calls it 1 times, B 2" in first


@pytest.mark.slow
@pytest.mark.parametrize(("said", "gas"), [(b"hullo", False), (b"hello, world", True)])
def test_changed_event_is_shown_with_both_values(small_chain: Path, tmp_path: Path, said: bytes, gas: bool) -> None:
    lines = compared(small_chain, tmp_path, replace(BEFORE, said=said))
    assert f"3 differ ({'gas 3, ' if gas else ''}events 3)" in lines[2]
    first = part(lines, "first differences")
    assert first[1] == "in f07 datacap.2"
    assert f"event 1: A {{kind: 0x{b'hello'.hex()}}}, B {{kind: 0x{said.hex()}}}" in first
    assert bool(part(lines, "by charge")) is gas
    if gas:
        (charge,) = part(lines, "by charge")
        assert charge.startswith("OnActorEvent")


@pytest.mark.slow
def test_one_actors_module_alone_points_at_the_same(small_chain: Path, tmp_path: Path) -> None:
    module = tmp_path / "datacap.wasm"
    module.write_bytes(replace(BEFORE, blocks=2).module())
    done = run("compare", str(small_chain), "--actor", f"datacap={module}", "--workers", "1")
    assert done.exit_code == FAILED, done.stderr
    assert "OnBlockLink in ipld::block_link (A 1, B 2 times)" in done.stdout

"""Draft files: the written template, each table's effect on the version's row, and refused files."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from wasmtime import wat2wasm

from hypervisor import Message
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.types import Gas, MethodNumber, TokenAmount
from hypervisor.versions.network_versions import (
    NETWORK_VERSIONS,
    NV28,
    NV29,
    BaseFee,
    Layouts,
    known_versions,
    network_version,
    versions_after,
    versions_between,
)
from hypervisor.versions.overlay import Overlay
from hypervisor_tools.bundles import build
from hypervisor_tools.cli.node_settings import network_options
from hypervisor_tools.laboratory.drafts import DraftVersion, new_draft, read_draft
from hypervisor_tools.laboratory.drafts.reading import KEYS, OPCODES, PRECOMPILES
from hypervisor_tools.laboratory.vectors.conformance import read_vectors
from localnet import Network
from runtimes.wasm.syscalls.abi import SYSCALL_REVISIONS, revision_named
from store.cid import show
from tests.command import run
from tests.conftest import bundle_folder
from tests.hypervisor_tools.laboratory.small_actor import ADDRESS, METHOD, NAME, SmallActor
from tests.localnet.conftest import Clock

HEAD = "number = 30\nbase = 29\n"
FULL = """
name = "a proposal"
number = 30
base = 29
epoch = 100
[prices]
block_persist_compute = 86_000
[rules]
base_fee = "fullness"
[syscalls]
enable = ["upgrade-actor"]
[opcodes]
remove = ["CLZ"]
[precompiles]
remove = ["P256", "BLS12_381"]
[evm]
add = ["PLAIN_BYTECODE"]
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "nv30-draft.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_new_draft_is_its_base_version_under_another_number(tmp_path: Path) -> None:
    draft = read_draft(new_draft("nv30-draft", 29, tmp_path))
    assert (draft.number, draft.base, draft.epoch, draft.bundle) == (30, 29, 0, None)
    row = network_version(30, draft.overlay)
    assert row == replace(NV29, number=30, name="nv30-draft", layouts=Layouts.UNCHANGED, overlay=draft.overlay)


def test_every_example_in_the_template_is_valid(tmp_path: Path) -> None:
    path = new_draft("nv30-draft", 29, tmp_path, migrates=True)
    own = Bundle.embedded("v19")
    (tmp_path / "ethaccount.wasm").write_bytes(dict(own.blocks)[own.manifest.code("ethaccount")])
    path.write_text(path.read_text(encoding="utf-8")[2:].replace("\n# ", "\n"), encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8")
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    assert {*table} == {*KEYS} - {"evm"}
    assert all(table.values()) or table["epoch"] == 0
    draft = read_draft(path)
    row = network_version(30, draft.overlay)
    assert row.prices.block_persist_compute == 86_000_000  # milligas
    assert row.rules.upgrades_actors
    assert draft.bundle is not None
    assert draft.bundle.manifest.codes == own.manifest.codes
    assert (draft.epoch, draft.migration is not None) == (100, True)


def test_migration_that_would_never_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "move.py").touch()
    for epoch, is_valid in ((0, False), (1, True)):
        file = written(tmp_path, f'number = 30\nbase = 29\nepoch = {epoch}\n[migration]\nfile = "move.py"\n')
        if is_valid:
            assert read_draft(file).migration is not None
            continue
        with pytest.raises(InvalidInput, match="needs an epoch after 0"):
            read_draft(file)


@pytest.mark.parametrize(
    ("name", "base", "words"),
    [
        ("nv29-draft", 29, "nv29 is not a draft of nv29: expected a number from 30 to 999"),
        ("nv99999", 29, "nv99999 is not a draft of nv29: expected a number from 30 to 999"),
        ("nv30-draft", 30, "nv30 is not known: choose one of nv18 to nv29"),
        ("../nv30", 29, "'../nv30' is not a valid name"),
        ("", 29, "'' is not a valid name"),
    ],
)
def test_new_draft_with_invalid_name_or_base_is_refused(tmp_path: Path, name: str, base: int, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        new_draft(name, base, tmp_path)
    assert not list(tmp_path.iterdir())


def test_new_draft_does_not_overwrite_a_file(tmp_path: Path) -> None:
    file = written(tmp_path, "mine")
    with pytest.raises(InvalidInput, match=r"nv30-draft.toml exists already: choose another name"):
        new_draft("nv30-draft", 29, tmp_path)
    assert file.read_text(encoding="utf-8") == "mine"


def test_number_after_the_base_is_the_default(tmp_path: Path) -> None:
    assert read_draft(new_draft("proposal", 28, tmp_path)).number == 29


def test_each_table_changes_the_version_and_no_other(tmp_path: Path) -> None:
    draft = read_draft(written(tmp_path, FULL))
    row = network_version(30, draft.overlay)
    assert (row.name, draft.epoch) == ("a proposal", 100)
    assert row.prices.block_persist_compute == 86_000_000
    assert row.prices.syscall == NV29.prices.syscall
    assert row.base_fee is BaseFee.FULLNESS
    assert row.rules.upgrades_actors
    assert not row.rules.installs_code
    assert row.evm == (NV29.evm - {"CLZ", "P256", "BLS12_381"}) | {"PLAIN_BYTECODE"}
    for number, known in NETWORK_VERSIONS.items():
        other = network_version(number, draft.overlay)
        assert replace(other, overlay=None) == known


def test_draft_follows_its_base_in_the_order_of_versions(tmp_path: Path) -> None:
    overlay = read_draft(written(tmp_path, "number = 31\nbase = 28")).overlay
    assert [*known_versions(overlay)] == [*range(18, 29), 31]
    assert [row.number for row in versions_between(27, 31, overlay)] == [28, 31]
    assert [row.number for row in versions_after(28, overlay)] == [31]
    assert known_versions(overlay)[28] is NV28
    with pytest.raises(InvalidInput, match="nv29 is not known: choose one of nv18 to nv28, nv31"):
        network_version(29, overlay)
    assert [*known_versions()] == [*range(18, 30)]


def test_draft_is_recorded_with_its_number_and_base(tmp_path: Path) -> None:
    overlay = read_draft(written(tmp_path, FULL)).overlay
    other = read_draft(written(tmp_path, FULL.replace("number = 30", "number = 31"))).overlay
    assert Overlay.from_fields(overlay.fields()) == overlay
    assert Overlay.from_fields(overlay.fields()).digest == overlay.digest
    assert other.digest != overlay.digest
    for fields in ([30, 29], [30, "29", ""], [30, 29, 1]):
        with pytest.raises((TypeError, ValueError)):
            Overlay.from_fields([*overlay.fields()[:7], fields])


def test_bundle_is_opened_by_name_manifest_root_or_file(tmp_path: Path) -> None:
    own = Bundle.embedded("v19")
    assert read_draft(written(tmp_path, f'{HEAD}[actors]\nbundle = "own-v19"')).bundle == own
    assert read_draft(written(tmp_path, f'{HEAD}[actors]\nbundle = "{show(own.root)}"')).bundle == own


def test_module_replaces_one_actor_of_the_base_versions_bundle(tmp_path: Path) -> None:
    own = Bundle.embedded("v19")
    (tmp_path / "account.wasm").write_bytes(dict(own.blocks)[own.manifest.code("ethaccount")])
    bundle = read_draft(written(tmp_path, f'{HEAD}[actors]\naccount = "account.wasm"')).bundle
    assert bundle is not None
    assert bundle.manifest.code("account") == own.manifest.code("ethaccount")
    assert bundle.manifest.code("reward") == own.manifest.code("reward")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("number = 30", "the key base is missing: expected a number from 18 to 29"),
        ("base = 29", "the key number is missing: expected a number from 30 to 999"),
        ("number = 29\nbase = 29", "number is 29: expected a whole number from 30 to 999"),
        ("number = 1000\nbase = 29", "number is 1000: expected a whole number from 30 to 999"),
        ("number = 30.0\nbase = 29", "number is .*: expected a whole number"),
        ("number = true\nbase = 29", "number is True: expected a whole number"),
        ("number = '30'\nbase = 29", "number is '30': expected a whole number"),
        ("number = 30\nbase = 17", "base is 17: expected a whole number from 18 to 29"),
        ("number = 30\nbase = 30", "base is 30: expected a whole number from 18 to 29"),
        (f"{HEAD}epoch = -1", "epoch is -1: expected a whole number from 0 to 9223372036854775807"),
        (f"{HEAD}epoch = 9223372036854775808", "epoch is 9223372036854775808: expected a whole number"),
        (f"{HEAD}epoch = 0x{'f' * 9_000}", "draft version .*nv30-draft.toml"),
        (f"{HEAD}name = ''", "expected a string of 1 to 100 letters"),
        (f"{HEAD}since = 29", r"no key 'since': expected name, number, base, epoch, prices, .*, actors"),
        (f"{HEAD}[price]\nsyscall = 1", r"no key 'price': expected name, number"),
        (f"{HEAD}prices = 1", r"prices is 1: expected a table, \[prices\]"),
        (f"{HEAD}[prices]\nsyscal = 1", "nv29 has no price 'syscal': did you mean syscall"),
        (f"{HEAD}[prices]\nrandomness_entropy.flat = 1", "nv29 has no price 'randomness_entropy.flat'"),
        (f"{HEAD}[prices]\nsyscall = -1", "the price syscall is -1 gas: expected 0 or more"),
        (f"{HEAD}[prices]\nwasm_memory_per_byte = 31", "is over 30 gas"),
        (f"{HEAD}[rules]\nabi = 'v3'", "has no 'abi'"),
        (f"{HEAD}[rules]\nbase_fee = 'high'", "expected fullness or premium"),
        (f"{HEAD}[rules]\nreceipts = 'six'", "the rule receipts is 'six': expected explicit or all"),
        (f"{HEAD}[rules]\nreceipts = true", "the rule receipts is True: expected explicit or all"),
        (f"{HEAD}[syscalls]\nadd = ['upgrade-actor']", r"\[syscalls\] has no 'add': expected one of enable"),
        (f"{HEAD}[syscalls]\nenable = ['upgrade']", "has no 'upgrade': did you mean upgrade-actor"),
        (f"{HEAD}[syscalls]\nenable = 'upgrade-actor'", "expected a list of names"),
        (
            f"{HEAD}epoch = 9\n[syscalls]\nenable = ['m2-native']",
            "m2-native needs .*: set epoch = 0, or name",
        ),
        (f"{HEAD}[opcodes]\nadd = ['P256']", r"\[opcodes\] has no 'P256'"),
        (f"{HEAD}[opcodes]\nadd = 'CLZ'", "expected a list of names"),
        (f"{HEAD}[opcodes]\nadd = ['CLZ']\nremove = ['CLZ']", r"\[opcodes\] adds and removes CLZ"),
        (f"{HEAD}[precompiles]\nremove = ['CLZ']", r"\[precompiles\] has no 'CLZ'"),
        (f"{HEAD}[evm]\nremove = ['CLZ']", r"\[evm\] has no 'CLZ'"),
        (f"{HEAD}[actors]\nmine = 'mine.wasm'", r"\[actors\] has no 'mine': did you mean storageminer"),
        (f"{HEAD}[actors]\nbundle = 1", r"bundle of \[actors\] is 1: expected the name of a file"),
        (f"{HEAD}[actors]\ncron = 'absent.wasm'", r"actors.cron .*absent.wasm cannot be read"),
        (f"{HEAD}[actors]\ncron = '../cron.wasm'", r"actors.cron '../cron.wasm' is .*, outside of"),
        (f"{HEAD}[actors]\ncron = '/etc/passwd'", "outside of"),
        (f"{HEAD}[actors]\ncron = 'nv30-draft.toml'", "the module for cron cannot run"),
        (f"{HEAD}[actors]\nbundle = 'absent.car'", "absent.car cannot be read"),
        (f"{HEAD}[actors]\nbundle = '../x.car'", "actors.bundle '../x.car' is .*, outside of"),
        (f"{HEAD}[actors]\nbundle = 'bafkqaaa'", "no bundle here has the manifest root bafkqaaa: install it"),
        ("[prices", "is not TOML"),
        ("\udcff", "is not TOML"),
    ],
)
def test_invalid_draft_file_is_refused_with_key_value_and_limit(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "nv30-draft.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidInput, match=words) as refused:
        read_draft(file)
    assert str(file) in str(refused.value)
    assert len(str(refused.value)) < 1_000


def test_opcode_and_precompile_names_are_features_of_some_version() -> None:
    known = frozenset[str]().union(*(row.evm for row in NETWORK_VERSIONS.values()))
    assert {*OPCODES, *PRECOMPILES} <= known


GAS = Gas(1_000_000_000)
CALLED_METHOD = MethodNumber(1 << 24)
LOOKS_AT_DEBUG = r"""
(module
  (import "debug" "enabled" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "invoke") (param i32) (result i32) (i32.const 0)))
"""


def read(folder: Path, text: str, head: str = "base = 29\nepoch = 0") -> DraftVersion:
    file = folder / "nv30.toml"
    file.write_text(f"number = 30\n{head}\n{text}", encoding="utf-8")
    return read_draft(file)


def test_only_the_disabled_syscalls_are_missing(tmp_path: Path) -> None:
    draft = read(tmp_path, '[syscalls]\ndisable = ["debug.log", "crypto.verify_post"]\n')
    revision = revision_named(network_version(30, draft.overlay).rules.revision)
    whole = SYSCALL_REVISIONS["v4"]
    assert {*whole} - {*revision} == {("debug", "log"), ("crypto", "verify_post")}
    assert revision.items() <= whole.items()
    assert network_version(29, draft.overlay).rules == NV29.rules


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('disable = ["crypto.hash"]', r"disables crypto.hash, which the actor init imports: .*module for init"),
        ('disable = ["self.self_destruct"]', "which the actor paymentchannel imports"),
        ('disable = ["crypto.hsah"]', r"\[syscalls\] has no 'crypto.hsah': did you mean crypto.hash\?"),
        ('disable = ["actor.upgrade_actor"]', r"\[syscalls\] has no 'actor.upgrade_actor'"),
        ('disable = "debug.log"', "disable of .syscalls. is 'debug.log': expected a list of names"),
        ('disabled = ["debug.log"]', "did you mean disable"),
    ],
)
def test_draft_that_cannot_run_is_refused(tmp_path: Path, table: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read(tmp_path, f"[syscalls]\n{table}\n")


def test_module_of_a_draft_may_not_import_what_it_disables(tmp_path: Path) -> None:
    (tmp_path / "ethaccount.wasm").write_bytes(bytes(wat2wasm(LOOKS_AT_DEBUG)))
    actors = '[actors]\nethaccount = "ethaccount.wasm"\n'
    assert read(tmp_path, actors).bundle is not None
    with pytest.raises(InvalidInput, match=r"disables debug\.enabled, which the actor ethaccount imports"):
        read(tmp_path, f'{actors}[syscalls]\ndisable = ["debug.enabled"]\n')


@pytest.mark.slow
@pytest.mark.parametrize("place", ["start", "base version", "upgrade"])
def test_bundle_of_a_node_may_not_import_what_its_draft_disables(tmp_path: Path, place: str) -> None:
    (tmp_path / "actors.car").write_bytes(
        build(Bundle.embedded("v19"), {"ethaccount": bytes(wat2wasm(LOOKS_AT_DEBUG))})
    )
    head = f"base = 29\nepoch = {0 if place == 'start' else 3}"
    draft = read(tmp_path, '[syscalls]\ndisable = ["debug.enabled"]\n', head)
    bundle = str(tmp_path / "actors.car")
    upgrades, named = ([f"nv30@3={bundle}"], None) if place == "upgrade" else (None, bundle)
    with pytest.raises(InvalidInput, match=r"disables debug\.enabled, which the actor ethaccount imports"):
        network_options(str(draft.path), None, upgrades, named, False, False)
    assert network_options(str(draft.path), None, None, "own-v19", False, False)["bundle"] == "own-v19"


@pytest.mark.slow
@pytest.mark.parametrize("disabled", [False, True])
def test_call_of_an_actor_without_its_syscall_is_fatal(tmp_path: Path, disabled: bool) -> None:
    """The bundle is not the draft's, so the draft is not refused."""
    draft = read(tmp_path, f'[syscalls]\ndisable = ["debug.{"enabled" if disabled else "log"}"]\n')
    bundle = Bundle.from_car(build(Bundle.embedded("v19"), {"ethaccount": bytes(wat2wasm(LOOKS_AT_DEBUG))}))
    with Network(network=30, overlay=draft.overlay, bundle=bundle, clock=Clock()) as network:
        alice, bob = network.accounts[:2]
        network.send("0x" + "99" * 20, 1, sender=bob)  # its first message makes it an Ethereum account
        message = Message(
            bob.delegated, alice.native, nonce=network.pending_nonce(alice.native), method=CALLED_METHOD, gas_limit=GAS,
            gas_fee_cap=TokenAmount(10**9),
        )  # fmt: skip
        result = network.machine.apply(message)
    if not disabled:
        assert (result.exit_code, result.fatal) == (ExitCode.OK, None)
        return
    assert (result.exit_code, result.gas_used) == (ExitCode.SYS_ASSERTION_FAILED, GAS)
    assert "the import debug.enabled is a syscall that this network version does not have" in result.message


def test_overlay_cannot_disable_syscalls(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="has no 'disabled_syscalls'"):
        read(tmp_path, '[rules]\ndisabled_syscalls = "debug.log"\n')


SEND = Path(__file__).resolve().parents[3] / "golden" / "send.jsonl.gz"
DEARER = NV29.prices.transfer // 1000 + 7
"""Price of a transfer of value in gas, with 7 gas added."""


def report(*arguments: object) -> dict[str, Any]:
    done = run("compare", *arguments, "--json", "--workers", 1)
    assert done.exit_code in (0, 1), done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    file = tmp_path / "nv30-draft.toml"
    file.write_text(f"number = 30\nbase = 29\n[prices]\ntransfer = {DEARER}\n", encoding="utf-8")
    return file


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    with Network(tmp_path / "chain", clock=Clock()) as network:
        alice, bob, *_ = network.accounts
        for _ in range(3):
            network.send_native(bob.native, value=1, sender=alice.native)
        network.send_native(bob.native, sender=alice.native)
    return tmp_path / "chain"


@pytest.mark.slow
def test_each_transfer_costs_the_edited_price_and_nothing_else_changes(chain: Path, draft: Path) -> None:
    found = report(chain, "--network", draft)
    charges = {row["name"]: (row["a"], row["b"]) for row in found["changed"]["charges"]}
    ((calls, before), (same, after)) = charges["OnValueTransfer"]
    assert charges.keys() == {"OnValueTransfer"}
    assert calls == same
    assert after - before == 7_000 * calls  # milligas
    assert calls >= 3
    assert report(chain, "--network", "nv29")["same"]


@pytest.mark.slow
def test_draft_and_base_version_are_two_sides(chain: Path, draft: Path) -> None:
    one, two = report(chain, "--network", f"nv29,{draft}"), report(chain, "--network", draft)
    assert one["changed"] == two["changed"]
    assert [side["network"] for side in (one["a"], one["b"])] == [29, 30]


@pytest.mark.slow
def test_price_on_the_command_line_is_added_to_the_draft(chain: Path, draft: Path) -> None:
    plain = NV29.prices.transfer // 1000
    assert report(chain, "--network", draft, "--price", f"transfer={plain}")["same"]


def test_new_draft_is_written_from_the_newest_version(tmp_path: Path) -> None:
    done = run("version", "new", "nv30-draft", "--folder", tmp_path, "--json")
    assert json.loads(done.stdout) == {"path": str(tmp_path / "nv30-draft.toml"), "number": 30, "base": 29}
    done = run("version", "new", "older", "--folder", tmp_path, "--from", "nv27", "--migration")
    assert done.stdout == f"{tmp_path / 'older.toml'}: nv28, from nv27\n"
    assert {file.name for file in tmp_path.iterdir()} == {"nv30-draft.toml", "older.toml", "older.py"}


def test_edited_price_is_listed(draft: Path) -> None:
    listed = json.loads(run("compare", "--list-prices", "--network", draft, "--json").stdout)
    assert (listed["network"], listed["prices"]["transfer"]) == (30, DEARER * 1000)


@pytest.mark.slow
def test_draft_and_overlay_exclude_each_other(chain: Path, draft: Path) -> None:
    for command in (["compare", chain], ["conformance", SEND]):
        overlay = draft.with_name("overlay.toml")
        overlay.write_text("[prices]\nsyscall = 1\n", encoding="utf-8")
        done = run(*command, "--network", draft, "--overlay", overlay)
        assert (done.exit_code, "cannot be used together: add the overlay's tables to the draft" in done.output) == (
            2,
            True,
        ), done.output


@pytest.mark.slow
def test_module_of_a_draft_runs_under_the_code_of_the_recorded_actor(tmp_path: Path) -> None:
    chain = tmp_path / "chain"
    with Network(chain, bundle=SmallActor().bundle(tmp_path / "small.car"), clock=Clock()) as network:
        network.send_native(ADDRESS, METHOD)
    (tmp_path / "other.wasm").write_bytes(SmallActor(said=b"other").module())
    draft = tmp_path / "draft.toml"
    draft.write_text(f'number = 30\nbase = 29\n[actors]\n{NAME} = "other.wasm"\n', encoding="utf-8")
    found = report(chain, "--network", draft)
    assert {kind: count for kind, count in found["kinds"].items() if count} == {"events": 1}
    assert report(chain, "--network", "nv29")["same"]


@pytest.mark.slow
def test_module_of_a_draft_leaves_the_other_recorded_actors(tmp_path: Path) -> None:
    """The states of nv28 have the layouts of actors v18, which this project's actors v19 cannot read."""
    with Network(tmp_path / "chain", network=28, clock=Clock()) as network:
        network.send_native(network.accounts[1].native, value=1)
    (tmp_path / "small.wasm").write_bytes(SmallActor().module())
    draft = tmp_path / "draft.toml"
    draft.write_text(f'number = 30\nbase = 29\n[actors]\n{NAME} = "small.wasm"\n', encoding="utf-8")
    assert report(tmp_path / "chain", "--network", draft)["same"]


@pytest.mark.slow
def test_vector_runs_with_the_module_of_a_draft(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", bundle=SmallActor().bundle(tmp_path / "small.car"), clock=Clock()) as network:
        message = show(network.send_native(ADDRESS, METHOD).execution.candidate.message.cid())
    vector = tmp_path / "vector.json"
    bundles = "--bundle-dir", tmp_path
    done = run("extract", message, "--state", tmp_path / "chain", "--out", vector, *bundles)
    assert done.exit_code == 0, done.output
    draft = tmp_path / "draft.toml"
    draft.write_text(f'number = 30\nbase = 29\n[actors]\n{NAME} = "other.wasm"\n', encoding="utf-8")
    for actor, status in (SmallActor(), 0), (SmallActor(turns=101), 1):
        (tmp_path / "other.wasm").write_bytes(actor.module())
        assert run("conformance", vector, "--network", draft, "--workers", 1, *bundles).exit_code == status


@pytest.fixture
def vector(tmp_path: Path) -> Path:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(next(iter(read_vectors(SEND)))), encoding="utf-8")
    return file


def test_vectors_run_under_the_draft(vector: Path, draft: Path) -> None:
    def result(*options: object) -> dict[str, Any]:
        done = run("conformance", vector, "--json", "--workers", 1, "--bundle-dir", bundle_folder(), *options)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
        return found

    price = NV29.prices.message_compute // 1000
    draft.write_text(f"number = 30\nbase = 29\n[prices]\nmessage_compute = {price + 7}\n", encoding="utf-8")
    plain, dearer = result(), result("--network", draft)
    assert result("--network", "nv29") == plain
    assert (plain["pass"], dearer["pass"]) == (True, False)
    assert dearer["gas_used"] == plain["gas_used"] + 7


@pytest.mark.parametrize("command", [("replay", "live"), ("extract", "5", "--state", "live", "--out", "out.json")])
def test_published_version_is_refused_where_a_draft_is_expected(command: tuple[str, ...]) -> None:
    result = run(*command, "--network", "nv29")
    assert result.exit_code != 0
    assert "--network nv29 is not a draft's file: name one that ends in .toml" in result.stderr

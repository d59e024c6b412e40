"""Draft files: the written template, each table's effect on the version's row, and refused files."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from fvm_hypervisor.laboratory.drafts import new_draft, read_draft
from fvm_hypervisor.laboratory.drafts.reading import KEYS, OPCODES, PRECOMPILES
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
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
from store.cid import show

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

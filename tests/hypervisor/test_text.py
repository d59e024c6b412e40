"""Texts for people: string forms, HTML views, and user folders.

- String forms of values, length limits of `repr`, and conversion of printing types to plain numbers.
- HTML views for notebooks: escaping, folding and truncation.
- User folders according to each system's conventions, and bounded reading of files.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal, localcontext
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.abi.abi import PrintedAddress
from bridge.ethereum.addresses import EthAddress
from hypervisor import Address, Bundle, Genesis, Hypervisor, Message, Receipt, Recorder, SignedMessage, call_tree, fil
from hypervisor.errors import BundleError, Fatal, HypervisorError, InvalidInput
from hypervisor.gas import GasOutputs
from hypervisor.installation import MAX_BYTES, check_output, parse_toml, read_bounded, user_folder, writing
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Created
from hypervisor.messages.message import Signature, SignatureType
from hypervisor.state.state_tree import ActorState
from hypervisor.text import (
    MAX_DEPTH,
    MAX_LINES,
    WIDTH,
    PrintedAmount,
    PrintedCid,
    TreeLine,
    facts,
    safe,
    show_fil,
    table,
    tree,
)
from hypervisor.tracing import CallEnded, CallNode, CallStarted, EventEmitted, TraceEvent
from hypervisor.types import ActorID, Gas, MethodNumber, TokenAmount
from store.cid import cid_of

ALICE = Address.delegated(10, bytes.fromhex("a11ce00000000000000000000000000000000001"))
BOB = Address.delegated(10, bytes.fromhex("b0b0000000000000000000000000000000000002"))
LONGEST = Address.bls(bytes(range(48)))
CID = cid_of(b"\x80")
HOSTILE = "\x1b[31m\u202e\n<script>" * 50_000
LARGE = (1 << 127) - 1


@pytest.fixture
def machine() -> Iterator[Hypervisor]:
    with Hypervisor.open(genesis=Genesis(accounts={ALICE: fil(100)})) as opened:
        yield opened


# --- scalars ----------------------------------------------------------------------------------------------------------


def test_an_amount_prints_in_fil_and_is_the_number() -> None:
    amount = PrintedAmount(1_500_000_000_000_000_000)
    assert (str(amount), repr([amount]), f"{amount}") == ("1.5 FIL", "[1.5 FIL]", "1.5 FIL")
    assert amount == 15 * 10**17
    assert (f"{amount:d}", f"{amount:,}", json.dumps(amount)) == (
        "1500000000000000000",
        "1,500,000,000,000,000,000",
        "1500000000000000000",
    )
    assert (repr(PrintedAmount(0)), repr(PrintedAmount(-1))) == ("0 FIL", "-0.000000000000000001 FIL")


def test_amount_sums_and_differences_are_amounts_others_are_ints() -> None:
    whole, half = PrintedAmount(10**18), PrintedAmount(5 * 10**17)
    assert (repr(whole - half), repr(whole + half)) == ("0.5 FIL", "1.5 FIL")
    assert {type(each) for each in (whole + 1, 1 + whole, whole - 1, whole * 2, whole // 2)} == {int}


def test_a_balance_a_root_and_a_cid_print_as_text(machine: Hypervisor) -> None:
    machine.apply(Message(BOB, ALICE, value=TokenAmount(1)))
    assert repr(machine.balance(BOB)) == "0.000000000000000001 FIL"
    assert repr(machine.balance(Address.id(999))) == "0 FIL"
    assert str(machine.root).startswith("bafy2bzace")
    assert str(Message(BOB, ALICE).cid()).startswith("bafy2bzace")
    assert machine.root == bytes(machine.root)
    assert hash(machine.root) == hash(bytes(machine.root))


def test_an_ethereum_address_prints_with_its_checksum() -> None:
    # from EIP-55
    address = PrintedAddress(EthAddress(bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")))
    assert str(address) == repr(address) == "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def test_invalid_cid_prints_as_hex() -> None:
    assert repr(PrintedCid(b"\x01\x02")) == "0x0102"


def test_address_repr_evaluates_to_same_address() -> None:
    assert repr(Address.id(7)) == "Address.parse('f07')"
    assert eval(repr(LONGEST)) == LONGEST


def test_amount_passed_back_in_is_plain_int_internally(machine: Hypervisor) -> None:
    message = Message(BOB, ALICE, value=machine.balance(ALICE))
    recorder = Recorder()
    machine.tracer = recorder
    result = machine.call(message)
    machine.tracer = None
    assert result.exit_code == 0
    assert type(message.value) is int
    (call,) = call_tree(recorder.events)
    assert type(call.start.value) is int
    with Hypervisor.open(genesis=Genesis(accounts={BOB: machine.balance(ALICE)})) as other:
        state = other.actor(BOB)
    assert state is not None
    assert type(state.balance) is int


# --- a line -----------------------------------------------------------------------------------------------------------


def large(kind: Any, name: str) -> Any:
    """Return the largest, most hostile value for a field of an event."""
    known = {
        "from_": ActorID(1 << 63),
        "params": bytes(1 << 20),
        "return_data": bytes(1 << 20),
        "entries": ((3, HOSTILE[:30], 0x55, bytes(5000)),) * 200,
        "state": ActorState(CID, CID, 1 << 63, TokenAmount(LARGE), LONGEST),
        "name": "ipld::block_link",
        "runtime": "wasm",
        "error": (1 << 31) if kind is int else "INSUFFICIENT_FUNDS",
        "result": bytes(1 << 20),
    }
    if name in known and not (name == "from_" and "Address" in str(kind)):
        return known[name]
    text = str(kind)
    if "Address" in text:
        return LONGEST
    if "Cid" in text:
        return CID
    return HOSTILE if kind is str else True if kind is bool else 1 << 63


EVENTS: list[Any] = [kind for kind in get_args(TraceEvent) if is_dataclass(kind)]


def public_values() -> Iterator[Any]:
    for kind in EVENTS:
        yield kind(**{field.name: large(field.type, field.name) for field in fields(kind)})
    message = Message(LONGEST, LONGEST, 1 << 63, TokenAmount(LARGE), MethodNumber((1 << 64) - 1), bytes(1 << 20))
    receipt = Receipt((1 << 32) - 1, bytes(1 << 20), Gas(1 << 63), CID)
    result = ApplyResult(receipt, GasOutputs(), message=HOSTILE, fatal=Fatal(HOSTILE))
    start = CallStarted(
        ActorID(1 << 63), LONGEST, MethodNumber(1 << 63), TokenAmount(LARGE), bytes(999), 81, False, 1 << 63
    )
    node = CallNode(start, end=CallEnded(1 << 31, bytes(1 << 20), 81, 1 << 63, message=HOSTILE))
    signature = Signature(SignatureType.DELEGATED, bytes(5000))
    yield from (message, receipt, result, node, signature, SignedMessage(message, signature))
    yield from (Created(ActorID(1 << 63), Address.actor(b""), result), Genesis(HOSTILE, {LONGEST: TokenAmount(LARGE)}))
    yield from (Bundle.embedded(), Bundle.embedded().manifest, LONGEST, ActorState(CID))


@pytest.mark.parametrize("value", list(public_values()), ids=lambda value: type(value).__name__)
def test_a_repr_fits_a_line_whatever_is_in_it(value: Any) -> None:
    shown = repr(value)
    assert shown.isprintable()
    assert len(shown) <= WIDTH


def test_machine_and_result_repr_are_concise(machine: Hypervisor) -> None:
    result = machine.apply(Message(BOB, ALICE, value=fil(3)))
    assert repr(machine) == "Hypervisor(filecoin, network version 29, epoch 0, chain id 31415926)"
    assert repr(result) == f"ApplyResult(exit OK, gas {result.gas_used:,}, return empty)"
    assert repr(Message(Address.id(101), Address.id(100), value=fil(3))) == (
        "Message(f0100 -> f0101, method 0, 3 FIL, nonce 0)"
    )
    assert repr(Receipt(33, b"\x01", Gas(1234))) == "Receipt(exit EVM_CONTRACT_REVERTED, gas 1,234, return 0x01)"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (1, "0.000000000000000001 FIL"),
        (10**18, "1 FIL"),
        (15 * 10**17, "1.5 FIL"),
        (10 * 10**18, "10 FIL"),
        (-(10**17), "-0.1 FIL"),
        (-(10**18), "-1 FIL"),
        (1_234_567 * 10**18 + 1, "1234567.000000000000000001 FIL"),
        (123_456_789 * 10**18, "123456789 FIL"),
    ],
)
def test_attofil_are_shown_exactly(amount: int, text: str) -> None:
    assert show_fil(amount) == text


@given(st.integers(-(10**30), 10**30).filter(bool))
def test_fil_text_preserves_every_attofil(amount: int) -> None:
    number, unit = show_fil(amount).split()
    with localcontext(prec=60):
        assert Decimal(number) * 10**18 == amount
    assert unit == "FIL"


HOSTILE_MARKUP = "</div><script>alert('x')</script>\u202e\x1b[31m&"


class Page(HTMLParser):
    """A parser that collects the tags of a fragment and checks that they are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open, f"{self.open} are not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def call(depth: int, message: str = "") -> CallNode:
    start = CallStarted(ActorID(100), Address.id(101), MethodNumber(2), TokenAmount(0), b"", 81, False, 10**9)
    node = CallNode(start, ActorID(101), runtime="wasm", end=CallEnded(1, b"\x01", 81, 1000, message=message))
    node.items.append(EventEmitted(ActorID(101), ((3, HOSTILE_MARKUP, 0x55, b"\x01"),)))
    if depth:
        node.items.append(call(depth - 1, message))
    return node


def views() -> list[str]:
    receipt = Receipt(33, b"\x01", Gas(5))
    message = Message(Address.id(1), Address.id(2))
    shown = [view._repr_html_() for view in (receipt, message, call(2, HOSTILE_MARKUP))]
    return [
        *shown,
        facts(HOSTILE_MARKUP, [(HOSTILE_MARKUP, HOSTILE_MARKUP)]),
        table(HOSTILE_MARKUP, [HOSTILE_MARKUP], [[HOSTILE_MARKUP]], HOSTILE_MARKUP),
    ]


@pytest.mark.parametrize("view", views())
def test_untrusted_text_is_escaped(view: str) -> None:
    page = Page(view)
    assert "script" not in page.tags
    assert not {"\u202e", "\x1b"} & {*page.words}


def test_truncated_text_reports_full_length() -> None:
    assert safe("<" * 1000, 3) == "&lt;&lt;&lt;... (1,000 characters)"


def test_a_tree_folds_and_shows_failures_unfolded() -> None:
    lines = [TreeLine(depth, f"line {depth}", failed=depth == 3) for depth in range(5)] + [TreeLine(1, "last")]
    page = Page(tree("calls", lines))
    assert page.tags.count("details") == 4
    assert page.words == "callsline 0line 1line 2line 3line 4last"


def test_large_call_tree_is_truncated_with_notice() -> None:
    page = Page(tree("calls", [TreeLine(1, str(number)) for number in range(10_000)], "print it"))
    assert page.tags.count("div") < MAX_LINES + 10
    assert page.words.endswith(f"{10_000 - MAX_LINES:,} of 10,000 calls are not shown: print it")


def test_calls_as_deep_as_the_machine_allows_do_not_nest_as_deep() -> None:
    page = Page(tree("calls", [TreeLine(depth, "call") for depth in range(200)]))
    assert page.tags.count("details") == MAX_DEPTH
    assert "[100] call" in page.words


def test_call_tree_html_shows_exit_codes_and_messages() -> None:
    words = Page(call(1, "no such key")._repr_html_()).words
    assert words.count("wasm f0101 method 2, exit SYS_SENDER_INVALID, gas 1") == 2
    assert words.count("no such key") == 2
    assert "return 0x01" in words


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

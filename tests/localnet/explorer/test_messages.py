"""The page of a message: failure reasons, calls, untrusted text, and copied code."""

import ast
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from localnet import Network, TransactionFailed
from localnet.explorer.messages import PAGE, call_rows
from localnet.rpc.node import Node
from store.cid import show
from tests.explorer.stage import ARTIFACTS, FIL, Stage
from tests.localnet.conftest import Clock
from tests.localnet.explorer.conftest import Visit, Visitor

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;"
HIDDEN = "\u202egnp.exe\u2066\x00\x1b[31m\ud800"


def whole(visit: Visitor, name: str, stage: Stage) -> Visit:
    found = visit(f"/tx/{stage.messages[name]}")
    assert found.status == 200, found.text
    return found


def test_caught_abort_is_shown_above_successful_message(stage: Stage, visit: Visitor) -> None:
    page = whole(visit, "caught", stage)
    assert "Succeeded. Inside, 1 call failed and was caught" in page.text
    assert ": exit 42, an actor-defined exit code: refused on purpose" in page.text
    assert "#call-2" in page.links
    assert ("div", "call-2") in [(tag, attrs.get("id")) for tag, attrs in page.tags]


def test_unhandled_actor_method_is_the_first_reported_failure(stage: Stage, visit: Visitor) -> None:
    page = whole(visit, "wrong method", stage)
    first = page.text.split("Failed. ")[1]
    assert first.startswith("f04 storagepower.2922929132: exit 22 USR_UNHANDLED_MESSAGE")
    assert "Bridge.increment: exit 33 EVM_CONTRACT_REVERTED" in first
    assert "NativeCallFailed(2922929132, 22)" in first


def test_out_of_gas_in_nested_call_is_first_message(stage: Stage, visit: Visitor) -> None:
    first = whole(visit, "out of gas", stage).text.split("Failed. ")[1]
    assert first.startswith(f"f0{stage.counter} actor.2922929132: exit 7 SYS_OUT_OF_GAS")


def test_a_message_has_one_page_under_its_hash_and_its_cid(stage: Stage, visit: Visitor) -> None:
    receipt = stage.network.receipt(bytes.fromhex(stage.messages["native"][2:]))
    by_cid = visit(f"/message/{show(receipt.candidate.message.cid())}")
    assert by_cid.status == 200
    assert by_cid.text.split("Calls")[0] == visit(f"/tx/{stage.messages['native']}").text.split("Calls")[0]


def test_a_call_across_both_runtimes_is_decoded_on_both_sides(stage: Stage, visit: Visitor) -> None:
    page = whole(visit, "two borders", stage)
    tree = page.text.split("Calls")[1].split("Events")[0]
    assert [word for word in tree.split() if word in ("evm", "wasm")] == ["evm", "wasm", "evm"]
    assert 'Inbox . greet (text="from a contract, through native code")' in tree


def test_user_native_actor_is_decoded_by_installed_schema() -> None:
    folder = Path(__file__).parents[3] / "hypervisor" / "builtin_actors" / "template" / "tip_jar"
    with Network(clock=Clock()) as network:
        code = network.actors.install(folder / "tip_jar.wasm", folder / "interface.ipldsch")
        jar = network.actors.create(code, {"owner": network.accounts[0].native})
        sent = jar.send("Tip", {"note": "thanks"}, value=FIL).hash.hex()
        visit = Visitor(Node(network))
        page = visit(f"/tx/0x{sent}")
        visit.node.close()
    assert 'tip_jar . Tip (note="thanks")' in page.text
    assert "→ 1" in page.text  # the number of tips


def test_each_call_has_a_page_with_the_whole_of_its_data(stage: Stage, visit: Visitor) -> None:
    at = f"/tx/{stage.messages['caught']}"
    page = visit(f"{at}/call/2")
    assert (page.status, "refused on purpose" in page.text) == (200, True)
    params = visit(f"{at}/call/2/params")
    assert (params.headers["content-type"], params.body) == (
        "text/plain; charset=utf-8",
        b"0x83182a7272656675736564206f6e20707572706f736540",  # CBOR by hand: [42, "refused on purpose", h'']
    )
    assert visit(f"{at}/call/4").status == 404
    assert visit(f"{at}/call/0.1").status == 400


def test_reward_and_cron_have_a_tree_of_their_own(visit: Visitor) -> None:
    page = visit("/epoch/3/cron")
    assert "reward . AwardBlockReward" in page.text
    assert "cron . EpochTick" in page.text
    assert visit("/epoch/3/cron/call/1").status == 200


def test_pictures_are_well_formed_and_by_charge_shows_charges(stage: Stage, visit: Visitor) -> None:
    from xml.etree import ElementTree

    at = f"/tx/{stage.messages['two borders']}"
    for name in ("calls.svg", "flame.svg", "flame.svg?by=charge"):
        assert ElementTree.fromstring(visit(f"{at}/{name}").body).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"OnBlockLink" not in visit(f"{at}/flame.svg").body
    assert b"OnBlockLink" in visit(f"{at}/flame.svg?by=charge").body


def test_copied_test_reproduces_message(stage: Stage, visit: Visitor, tmp_path: Any) -> None:
    """The copied Python test runs on the chain before the message and ends like the message."""
    at = f"/tx/{stage.messages['out of gas']}/again"
    program = visit(f"{at}/python").body.decode()
    ast.parse(program)
    assert "pytest.raises(TransactionFailed)" in program
    made: dict[str, Any] = {}
    exec(program.replace("Network()", "lent()"), made)
    made["lent"] = lambda: Lent(stage.network)
    made["test_the_message"]()
    cast = visit(f"{at}/cast").body.decode()
    assert cast.startswith("cast send --rpc-url http://127.0.0.1:8545 --from 0xf39F")
    assert "--gas-limit 4000000" in cast
    assert "vm.prank(0xf39F" in visit(f"{at}/solidity").body.decode()
    assert visit(f"/tx/{stage.messages['native']}/again/nothing").status == 404


class Lent:
    """A network that is not closed."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __enter__(self) -> Network:
        return self._network

    def __exit__(self, *_: object) -> None: ...


def test_message_of_collected_state_is_shown_without_calls(
    stage: Stage, visit: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(stage.network.chain.index), "retained", 1_000)
    page = whole(visit, "wrong method", stage)
    assert "Failed." in page.text
    assert "states are kept from epoch 1,000 on (a node keeps more with --keep-states N" in page.text
    assert "NativeCallFailed(2922929132, 22)" in page.text.split("Calls")[0]  # decoded without a trace
    assert "(actor=4, by=5)" in page.text.split("Calls")[1]
    assert not [link for link in page.links if link.endswith((".svg", "/changes"))]
    assert "--keep-states N" in visit("/epoch/3/changes").text
    for below in ("call/0", "calls.svg", "flame.svg", "changes"):
        assert visit(f"/tx/{stage.messages['wrong method']}/{below}").status == 404
    assert (visit("/epoch/3").status, visit("/epoch/3/cron").status) == (200, 404)
    assert visit("/epoch/3/changes").status == 404


# --- what strangers wrote ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("words", [MARKUP, HIDDEN, MARKUP * 100], ids=["markup", "hidden", "long"])
def test_reasons_and_events_of_strangers_are_text(stage: Stage, visit: Visitor, words: str) -> None:
    text = words.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    stage.network.add_interface(stage.inbox.interface.abi, MARKUP, stage.inbox.address)
    sent = stage.inbox.send("greet", text).hash.hex()
    pages = [visit(f"/tx/0x{sent}"), visit(f"/tx/0x{sent}/call/0"), visit("/")]
    with pytest.raises(TransactionFailed):
        stage.network.send(stage.inbox.address, 0, stage.inbox.interface.encode_call("refuse", text), gas_limit=10**9)
    failed = stage.network.head.transactions[0].hex()
    pages += [visit(f"/tx/0x{failed}"), visit(f"/tx/0x{failed}/call/0"), visit("/")]
    for page in pages:
        assert page.status == 200
        check_harmless(page)
    for picture in ("calls.svg", "flame.svg"):
        assert b"<script" not in visit(f"/tx/0x{failed}/{picture}").body


def check_harmless(page: Visit) -> None:
    """Assert that the page has only the tags, attributes and characters of our own templates."""
    assert [attrs.get("src") for tag, attrs in page.tags if tag == "script"] == [
        attrs.get("src") for tag, attrs in page.tags if tag == "script" and str(attrs.get("src")).startswith("/assets/")
    ]
    assert not {tag for tag, _ in page.tags} & {"img", "iframe", "object", "style", "svg", "base"}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    shown = page.body.decode()
    assert not [char for char in "\u202e\u2066\x00\x1b" if char in shown]
    assert len(page.body) < 200_000


def test_long_revert_reason_is_truncated_and_full_on_call_page(stage: Stage, visit: Visitor) -> None:
    reason = "x" * 60_000
    calldata = stage.inbox.interface.encode_call("refuse", reason)
    with pytest.raises(TransactionFailed):
        stage.network.send(stage.inbox.address, 0, calldata, gas_limit=2 * 10**9)
    sent = stage.network.head.transactions[0].hex()
    page = visit(f"/tx/0x{sent}")
    assert (page.status, len(page.body) < 200_000) == (200, True)
    assert f"/tx/0x{sent}/call/0/params" in page.links
    assert len(visit(f"/tx/0x{sent}/call/0").body) < 200_000
    assert len(visit(f"/tx/0x{sent}/call/0/params").body) > 120_000


# --- trees of any size ------------------------------------------------------------------------------------------------


def tree(depth: int, width: int = 0) -> dict[str, Any]:
    """Return an explained trace: nested calls, the deepest with siblings."""

    def call(inner: list[dict[str, Any]]) -> dict[str, Any]:
        decoded: dict[str, Any] = {
            "callee": "c",
            "function": "f",
            "arguments": "()",
            "result": "",
            "events": [],
            "value": "0",
        }
        decoded |= {"exit": "exit 0", "milligas": {}}
        return {
            "runtime": "evm", "from": "f01", "to": "f0100", "actor": "evm", "abi": True, "method": 1, "value": "0",
            "exitCode": 0, "error": "", "gas": 1, "charges": {}, "calls": inner, "decoded": decoded,
        }  # fmt: skip

    made = call([call([]) for _ in range(width)])
    for _ in range(depth - 1):
        made = call([made])
    return {"calls": [made], "why": None, "gasUsed": 1, "transactionHash": "0x", "exit": "OK"}


class Nesting(HTMLParser):
    """A parser that checks the nesting of folded elements."""

    deepest = open = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "details":
            self.open += 1
            self.deepest = max(self.deepest, self.open)

    def handle_endtag(self, tag: str) -> None:
        self.open -= tag == "details"
        assert self.open >= 0


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "width"), [(1, 0), (3, 4), (1_024, 0), (2, 10_000)])
def test_call_tree_pages_cover_every_call_with_balanced_tags(depth: int, width: int) -> None:
    from localnet.explorer.site import _environment

    calls = _environment().from_string('{% import "calls.html" as calls %}{{ calls.tree(rows, "/tx/0x") }}')
    report, seen, total = tree(depth, width), list[int](), 1
    while len(seen) < total:
        rows, total = call_rows(report, len(seen))
        seen += [row.index for row in rows]
        html, nesting = calls.render(rows=rows), Nesting()
        nesting.feed(html)
        assert nesting.open == 0
        assert nesting.deepest <= 34
        assert len(html) < 200_000
    assert total == depth + width == len(set(seen))
    assert len(seen) <= PAGE or total > PAGE


@pytest.mark.slow
def test_recursion_until_out_of_gas_is_shown_in_pages() -> None:
    with Network(clock=Clock()) as network:
        contract = network.deploy(ARTIFACTS / "Recursion.json")
        dive = contract.interface.encode_call("dive", 1_000)
        receipt = network.send(contract.address, 0, dive, gas_limit=9 * 10**9)
        levels, reached = contract.interface.decode_result("dive", receipt.return_data)
        assert (levels > PAGE, reached) == (True, False)
        visit = Visitor(Node(network))
        first, second = (visit(f"/tx/0x{receipt.hash.hex()}?first={place}") for place in (0, PAGE))
        assert f"?first={PAGE}" in first.links
        assert f"[{levels}]" in second.text  # the innermost call, which failed
        assert max(len(page.body) for page in (first, second)) < 200_000
        visit.node.close()

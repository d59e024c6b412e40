"""Forms from an actor's interface: their results and the requests that they send; the page of controls."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from bridge.ethereum.addresses import checksummed
from localnet.rpc.method_table import method_table
from tests.explorer.stage import FIL, Stage
from tests.localnet.explorer.conftest import Visit, Visitor
from tests.localnet.rpc.conftest import Client


def at(stage: Stage, **query: str) -> str:
    return f"/actor/0x{stage.inbox.address.hex()}/call?{urlencode(query)}"


def request_of(page: Visit) -> tuple[str, Any]:
    """Return the request that the page's button sends."""
    (button,) = (attrs for tag, attrs in page.tags if tag == "button" and "data-rpc" in attrs)
    return str(button["data-rpc"]), json.loads(button["data-params"] or "")


def test_a_contract_has_a_form_for_each_function(stage: Stage, visit: Visitor) -> None:
    page = visit(at(stage))
    named = {attrs["value"] for tag, attrs in page.tags if tag == "input" and attrs.get("name") == "f"}
    assert {"greet(string)", "refuse(string)", "greetings()"} <= named


def test_a_function_that_reads_answers(stage: Stage, visit: Visitor) -> None:
    page = visit(at(stage, f="greetings()"))
    assert (page.status, page.text.split("greetings read ask ")[1].split()[0]) == (200, "1")  # of `two borders`
    assert not [attrs for tag, attrs in page.tags if tag == "button" and "data-rpc" in attrs]


def test_writing_function_is_simulated_then_sent_by_its_request(stage: Stage, visit: Visitor) -> None:
    account = stage.network.accounts[2].address
    query = {"f": "greet(string)", "a0": "hello, world", "value": "2fil", "from": checksummed(account)}
    page = visit(at(stage, **query))
    assert page.status == 200
    method, params = request_of(page)
    before, height = stage.network.balance(stage.inbox), stage.network.block_number
    sent = Client(visit.node)(method, *params)
    receipt = stage.network.receipt(bytes.fromhex(sent[2:]))
    assert (receipt.succeeded, receipt.execution.sender) == (True, account)
    assert (stage.network.balance(stage.inbox) - before, receipt.block_number) == (2 * FIL, height + 1)
    assert stage.inbox.call("greetings") == 2


def test_failed_call_page_shows_revert_reason(stage: Stage, visit: Visitor) -> None:
    assert "not today" in visit(at(stage, f="refuse(string)", a0="not today")).text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"f": "nothing()"}, 404),
        ({"f": "greet(string)", "a0": "x", "value": "1"}, 400),  # 1 what?
        ({"f": "greet(string)", "a0": "x", "from": "nobody"}, 400),
    ],
)
def test_invalid_call_form_is_refused(stage: Stage, visit: Visitor, query: dict[str, str], status: int) -> None:
    assert visit(at(stage, **query)).status == status


def test_a_native_method_answers_by_its_schema(visit: Visitor) -> None:
    page = visit("/actor/f07/call?f=Name")
    assert (page.status, "DataCap" in page.text) == (200, True)
    total = visit("/actor/f04/call?f=NetworkRawPower")
    assert total.status == 200, total.text


def test_a_native_method_is_sent_by_its_button(stage: Stage, visit: Visitor) -> None:
    account = stage.network.accounts[1]
    params = json.dumps({"to": "f06", "operator_data": "0x"})
    query = urlencode({"f": "Balance", "a0": '"f06"', "from": checksummed(account.address)})
    page = visit(f"/actor/f07/call?{query}")
    assert page.status == 200, page.text
    method, sent = request_of(page)
    assert method == "Filecoin.MpoolPushMessage"
    assert sent[0]["From"] == str(account.native)
    response = Client(visit.node)(method, *sent)
    found = visit(f"/message/{response['CID']['/']}")
    assert (found.status, "Succeeded" in found.text) == (200, True)
    assert "is not JSON" in visit(f"/actor/f07/call?f=Balance&a0={quote('{')}").text
    del params


def test_contract_page_without_abi_suggests_hypervisor_add_abi(stage: Stage, visit: Visitor) -> None:
    created = stage.network.send(None, 0, bytes.fromhex("600a80600b6000396000f3" + "00" * 10))
    assert created.contract_address is not None
    page = visit(f"/actor/0x{created.contract_address.hex()}/call")
    assert "hypervisor_addAbi" in page.text


def test_controls_page_forms_match_node_methods_and_parameters(visit: Visitor) -> None:
    page, methods = visit("/controls"), method_table()
    forms = [attrs for tag, attrs in page.tags if tag == "form" and "data-rpc" in attrs]
    assert len(forms) >= 9
    assert all(str(form["data-rpc"]) in methods for form in forms)

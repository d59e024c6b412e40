"""Forms generated from an actor's interface: the result of a call, and the request that would send it.

A call is executed here and reverted. Sending is done by the browser: the button contains a JSON-RPC request for one
of the node's accounts, with the parameters encoded by this page.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge.abi.abi import AbiMismatch, ContractInterface, signature
from bridge.actors.interfaces import Interface
from bridge.ethereum.addresses import EthAddress, masked_id, to_ethereum
from bridge.filecoin.parameters import MethodNameError
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import TokenAmount
from localnet.addresses import ethereum_address
from localnet.calls import simulate
from localnet.contracts.amounts import payment
from localnet.contracts.argument_texts import as_plain, calldata_of
from localnet.errors import CallFailed, NetworkError
from localnet.explorer.actors import FoundActor, find_actor
from localnet.explorer.responses import PageRequest, PageResponse, not_found, quote_value
from localnet.explorer.site import Site
from localnet.rpc.node import NodeReader
from localnet.rules.call_request import CallRequest
from localnet.rules.failures import native_output_of
from localnet.state.actor_interfaces import StoredSchemas
from localnet.state.contract_state import code_of
from store.untrusted import parse_json

_VIEWS: Final = ("view", "pure")


@dataclass(frozen=True, slots=True)
class CallForm:
    """A function or method: its name in the URL, the title of its form, and the labels of its parameters."""

    name: str
    title: str
    labels: tuple[str, ...]
    reads: bool


@dataclass(frozen=True, slots=True)
class FormResult:
    """Result or error of a call, and the JSON-RPC request that repeats it, as JSON."""

    text: str
    failed: bool
    method: str
    params: str


def show_call_forms(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return an actor's call forms, with the result of the submitted one."""
    machine, text = reader.network.machine, request.path_params["address"]
    actor, query = find_actor(machine, text), request.query
    contract = _contract(site, machine, actor)
    forms = _functions(contract) if contract is not None else _methods(machine, actor)
    chosen, result, refused = query.get("f", ""), None, ""
    if chosen:
        form = next((each for each in forms if each.name == chosen), None)
        if form is None:
            raise not_found(f"the actor has no function {quote_value(chosen)}")
        try:
            if contract is not None:
                result = _call_contract(machine, actor, contract, form, query)
            else:
                result = _call_native(site, reader, actor, form, query)
        except (InvalidInput, NetworkError, AbiMismatch) as error:
            refused = str(error)
    return PageResponse(
        site.page(
            reader, "call_forms.html", actor=actor, at=f"/actor/{actor.address}", forms=forms, chosen=chosen,
            query=query, result=result, refused=refused, accounts=site.accounts(), is_contract=contract is not None,
        ),
        400 if refused else 200,
    )  # fmt: skip


# --- contracts --------------------------------------------------------------------------------------------------------


def _contract(site: Site, machine: Hypervisor, actor: FoundActor) -> ContractInterface | None:
    """Return a contract's interface: the one registered for its address, or that of its code's artifact."""
    if actor.kind != "evm":
        return None
    own = f"0x{to_ethereum(actor.id, actor.state.delegated_address).hex()}"
    known = next((each.interface for each in site.interfaces() if each.address == own), None)
    if known is None and site.artifacts.contracts():
        compiled = site.artifacts.running(code_of(machine, actor.address))
        known = None if compiled is None else compiled.interface
    return known or ContractInterface([])


def _functions(interface: ContractInterface) -> list[CallForm]:
    functions = [entry for entry in interface.abi if entry["type"] == "function"]
    forms = [
        CallForm(
            signature(entry),
            entry["name"],
            tuple(f"{item.get('name', '')} {item['type']}".strip() for item in entry["inputs"]),
            entry.get("stateMutability") in _VIEWS,
        )
        for entry in functions
    ]
    return sorted(forms, key=lambda form: (not form.reads, form.name))


def _call_contract(
    machine: Hypervisor, actor: FoundActor, interface: ContractInterface, form: CallForm, query: Mapping[str, str]
) -> FormResult:
    def address(text: str) -> str:
        return f"0x{ethereum_address(machine, text).hex()}"

    arguments = [query.get(f"a{index}", "") for index in range(len(form.labels))]
    calldata = calldata_of(interface, form.name, arguments, address)
    value, sender = payment(query.get("value") or "0"), _sender(machine, query)
    to = to_ethereum(actor.id, actor.state.delegated_address)
    sent = {"from": f"0x{sender.hex()}", "to": f"0x{to.hex()}", "data": f"0x{calldata.hex()}", "value": hex(value)}
    params = json.dumps([sent])
    try:
        data = simulate.call(machine, CallRequest(to, calldata, value, sender))
    except CallFailed as failure:
        failure.name_revert(interface.decode_revert(failure.data)) if failure.data else None
        return FormResult(str(failure), True, "eth_sendTransaction", params)
    entry = interface.function(form.name)
    values = as_plain(list(interface.read_result(entry, data))) if entry.get("outputs") else []
    result = values[0] if len(values) == 1 else values
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False) if values else "nothing"
    return FormResult(text, False, "eth_sendTransaction", params)


def _sender(machine: Hypervisor, query: Mapping[str, str]) -> EthAddress:
    return ethereum_address(machine, query["from"]) if query.get("from") else masked_id(0)


# --- native actors ----------------------------------------------------------------------------------------------------


def _interface(machine: Hypervisor, actor: FoundActor) -> Interface | None:
    if actor.kind:
        return Interface.built_in(actor.kind)
    return StoredSchemas.of_machine(machine)(actor.state).interface()


def _methods(machine: Hypervisor, actor: FoundActor) -> list[CallForm]:
    try:
        interface = _interface(machine, actor)
    except MethodNameError:
        interface = None
    if interface is None:
        return []
    forms = []
    for name in sorted(interface.methods):
        taken = interface.signature(name).removeprefix(name).split(" -> ")[0].strip("()")
        forms.append(CallForm(name, name, (f"parameters as JSON: {taken}",) if taken else (), False))
    return forms


def _call_native(
    site: Site, reader: NodeReader, actor: FoundActor, form: CallForm, query: Mapping[str, str]
) -> FormResult:
    machine = reader.network.machine
    interface = _interface(machine, actor)
    assert interface is not None, "it has forms"
    params = interface.params(form.name, _json(query.get("a0", "")) if form.labels else None)
    number, value = interface.number(form.name), payment(query.get("value") or "0")
    natives = dict(zip(site.accounts(), site.native_accounts(), strict=False))
    sender = natives.get(_sender(machine, query), Address.id(0))
    sent = {
        "To": str(actor.address), "From": str(sender), "Value": str(value), "Method": number,
        "Params": b64encode(params).decode(),
    }  # fmt: skip
    request = json.dumps([sent, None])
    limit = reader.network.rules.limits.call_gas
    message = Message(actor.address, sender, 0, TokenAmount(value), number, params, gas_limit=limit)
    try:
        data = native_output_of(reader.network.rules, machine.call(message))
    except CallFailed as failure:
        return FormResult(str(failure), True, "Filecoin.MpoolPushMessage", request)
    try:
        result: Any = interface.return_as_json(form.name, data)
    except HypervisorError:
        result = f"0x{data.hex()}"
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    return FormResult(text, False, "Filecoin.MpoolPushMessage", request)


def _json(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        raise InvalidInput(f"{quote_value(text)} is not JSON: expected the parameters by name, or in a list") from None

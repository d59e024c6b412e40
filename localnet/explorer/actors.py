"""Pages of actors: code, addresses, balance and messages; verified sources, forms for calls, and state.

A form comes from the actor's interface. A call is executed here and reverted. Sending is done by the browser: the
button contains a JSON-RPC request for one of the node's accounts, with the parameters encoded by this page. The page of
verified sources has the match, the compiler with its settings, and one source at a time.

The state is a tree by the actor's schema, with one page per node, read on demand. Maps and lists over several blocks
are shown a hundred entries at a time. A contract's slots have the names of its variables if the compiler's storage
layout is available. Each node has a proof: the blocks from the state root to it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from bridge.abi.abi import AbiMismatch, ContractInterface, signature
from bridge.actors.interfaces import Interface
from bridge.ethereum.addresses import EthAddress, checksummed, from_delegated, masked_id, to_ethereum
from bridge.filecoin.method_numbers import MethodNameError
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ARCHIVED, ARCHIVED_CODE, ActorState, archived_actor
from hypervisor.text import printable
from hypervisor.types import ActorID, TokenAmount
from localnet.addresses import ethereum_address, filecoin_address
from localnet.calls import simulate
from localnet.chain.logs import MAX_TIPSETS, TipsetSearch, receipts_back
from localnet.contracts.argument_texts import as_plain, calldata_of, payment
from localnet.errors import CallFailed, NetworkError
from localnet.explorer.message_rows import EventRow, EventRows, MessageRow, RowBuilder
from localnet.explorer.site import PageRequest, PageResponse, Site, collected_text, malformed, not_found, quote_value
from localnet.ledger.address_index import emitter_key, message_key, native_key
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.rpc.node import NodeReader
from localnet.rules.facts import CallRequest
from localnet.rules.parts import native_output_of
from localnet.state.actor_interfaces import StoredSchemas
from localnet.state.controls import code_of, contract_state
from localnet.state.inspection import PathNotFound, StateInspector, StatePart
from store.blockstore import BlockNotFound, get_object
from store.car.transfer import write_blocks
from store.codec import CodecError
from store.trees.paths import LayoutError
from store.untrusted import parse_json

_MESSAGES: Final = 25
_EVENTS: Final = 25
"""Minimum numbers of messages and of events on a page. The search ends at the tipset that reaches one of them."""
_MAX_EVENTS: Final = 200
"""Maximum number of events shown on one page."""
_ACTORS: Final = 100
"""Number of actors per page of the list."""
_KINDS_WITH_KEY: Final = ("account",)


@dataclass(frozen=True, slots=True)
class ActorRow:
    """A row in a list of actors. Balance in attoFIL."""

    id: str
    kind: str
    address: str
    name: str
    balance: int
    nonce: int


@dataclass(frozen=True, slots=True)
class FoundActor:
    """An actor of the state, by its ID."""

    id: ActorID
    state: ActorState
    kind: str

    @property
    def address(self) -> Address:
        return Address.id(self.id)


def show_actor(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the page of one actor, by any of its addresses."""
    actor = find_actor(reader.network.machine, request.path_params["address"])
    machine, rows = reader.network.machine, RowBuilder(site, reader)
    ethereum = from_delegated(actor.state.delegated_address) or masked_id(actor.id)
    keys = list(_key_of(machine, actor)) if actor.kind in _KINDS_WITH_KEY else []
    delegated = () if actor.state.delegated_address is None else (actor.state.delegated_address,)
    search = _ActivitySearch(reader, rows, actor, _ActorAddresses(ethereum, (actor.address, *delegated, *keys)))
    below = request.number("below", reader.network.executed_head.height + 1)
    found = search.activity(EventRows(site, rows), min(below - 1, reader.network.executed_head.height))
    contract = contract_state(machine, actor.state)
    return PageResponse(
        site.page(
            reader,
            "actor.html",
            actor=actor,
            at=f"/actor/{quote(request.path_params['address'])}",
            title=rows.party(actor.address).name or _kind_of(machine, actor.state),
            forms=_address_rows(actor, ethereum, keys),
            contract=contract,
            source=None if contract is None else site.source_of(machine, actor.address),
            archived=archived_actor(machine.store, actor.state),
            messages=found.messages,
            events=found.events[:_MAX_EVENTS],
            more_events=max(0, len(found.events) - _MAX_EVENTS),
            below=None if below > reader.network.executed_head.height else below,
            older=found.older,
            indexed=reader.addresses is not None,
            looked_at=MAX_TIPSETS,
        )
    )


def show_actors(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the list of actors, sorted by ID within a page; pages follow the order of the state tree."""
    machine, rows = reader.network.machine, RowBuilder(site, reader)
    first = request.number("first", 0, 1_000_000)
    found = list(islice(machine.state_tree.actors(), first, first + _ACTORS + 1))
    made = [_row(machine, rows, actor, state) for actor, state in sorted(found[:_ACTORS])]
    more = first + _ACTORS if len(found) > _ACTORS else None
    return PageResponse(site.page(reader, "actors.html", actors=made, first=first, more=more, page=_ACTORS))


def find_actor(machine: Hypervisor, text: str) -> FoundActor:
    """Find an actor in a machine's state by an address in any form. Raises PageError."""
    try:
        address = filecoin_address(text)
    except InvalidInput as error:
        raise malformed(str(error)) from None
    actor = machine.state_tree.lookup_id(address)
    state = None if actor is None else machine.state_tree.get_actor(actor)
    if actor is None or state is None:
        raise not_found(f"there is no actor {quote_value(text)} in the state of the newest epoch")
    return FoundActor(actor, state, machine.manifest.name_of(state.code) or "")


def _row(machine: Hypervisor, rows: RowBuilder, actor: ActorID, state: ActorState) -> ActorRow:
    ethereum = from_delegated(state.delegated_address)
    return ActorRow(
        id=f"f0{actor}",
        kind=_kind_of(machine, state),
        address="" if ethereum is None else checksummed(ethereum),
        name=rows.party(Address.id(actor)).name,
        balance=state.balance,
        nonce=state.nonce,
    )


def _kind_of(machine: Hypervisor, state: ActorState) -> str:
    return ARCHIVED if state.code == ARCHIVED_CODE else machine.manifest.name_of(state.code) or "actor"


def _address_rows(actor: FoundActor, ethereum: EthAddress, keys: Sequence[Address]) -> list[tuple[str, str]]:
    """Return the actor's addresses as (label, address)."""
    forms = [("ID", str(actor.address)), ("Ethereum", checksummed(ethereum))]
    if actor.state.delegated_address is not None:
        forms.append(("Delegated", str(actor.state.delegated_address)))
    return [*forms, *(("Key", str(key)) for key in keys)]


def _key_of(machine: Hypervisor, actor: FoundActor) -> Iterator[Address]:
    """Yield an account's f1 or f3 address, which is stored in its state."""
    try:
        (key,) = get_object(machine.store, actor.state.head)
        yield Address.from_bytes(key)
    except (BlockNotFound, CodecError, InvalidInput, TypeError, ValueError):
        return


@dataclass(slots=True)
class _Activity:
    """Activity of an actor in the searched tipsets, newest first.

    `older` is the height at which the next page starts, or None at the end of the chain.
    """

    messages: list[MessageRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    older: int | None = None


class _ActivitySearch:
    """A search for the messages and events of one actor."""

    def __init__(self, reader: NodeReader, rows: RowBuilder, actor: FoundActor, addresses: _ActorAddresses) -> None:
        self._reader, self._rows, self._actor, self._addresses = reader, rows, actor, addresses

    def activity(self, events: EventRows, height: int) -> _Activity:
        """Return the actor's newest messages and events, up to a height."""
        found, index = _Activity(), self._reader.network.chain.index
        search = TipsetSearch(index, self._reader.addresses, self._addresses.keys)
        for tipset in search.back(height):
            for receipt in receipts_back(index, tipset):
                if self._concerns(receipt):
                    found.messages.append(self._rows.row(receipt))
                emitted = list(enumerate(receipt.execution.events))
                found.events += [
                    events.row(receipt, index, event)
                    for index, event in reversed(emitted)
                    if event.emitter == self._actor.id
                ]
            if len(found.messages) >= _MESSAGES or len(found.events) >= _EVENTS:
                break
        if not search.ended and search.reached > index.first:
            found.older = search.reached
        return found

    def _concerns(self, receipt: TransactionReceipt) -> bool:
        sent = receipt.candidate
        if self._addresses.ethereum in (sent.sender, sent.to, receipt.contract_address):
            return True
        message = sent.bare
        return self._actor.id in (self._rows.id_of(message.from_), self._rows.id_of(message.to))


@dataclass(frozen=True, slots=True)
class _ActorAddresses:
    """The addresses of an actor: the Ethereum address and the Filecoin addresses."""

    ethereum: EthAddress
    natives: tuple[Address, ...]

    @property
    def keys(self) -> tuple[int, ...]:
        """Return the keys under which the address index stores the actor's messages and events."""
        natives = map(native_key, self.natives)
        return message_key(self.ethereum), emitter_key(self.ethereum), *natives


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
    if not machine.traits(actor.state.code).speaks_abi:
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


_MAX_TEXT: Final = 1_000_000
"""Maximum number of characters of a source on its page."""


def show_source(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the page of the source that the query names, by default the one with the contract."""
    machine = reader.network.machine
    actor = find_actor(machine, request.path_params["address"])
    found = site.source_of(machine, actor.address)
    if found is None:
        raise not_found(
            f"no sources of {quote_value(request.path_params['address'])} are verified: `forge verify-contract "
            "--verifier sourcify --verifier-url` sends them to this node"
        )
    file = request.query.get("file", found.file)
    if file not in found.sources:
        raise not_found(f"the verified sources have no file {quote_value(file)}")
    at = f"/actor/{quote(request.path_params['address'])}"
    return PageResponse(
        site.page(
            reader,
            "source.html",
            actor=actor,
            at=at,
            found=found,
            files=sorted(found.sources),
            file=file,
            text=_lines(found.sources[file]),
            settings=_lines(found.settings),
        )
    )


def _lines(text: str) -> str:
    """Return text in lines whose other control characters are escaped, up to a size limit."""
    lines = text[:_MAX_TEXT].expandtabs(4).splitlines()
    return "\n".join(printable(line, _MAX_TEXT) for line in lines) + ("\n..." if len(text) > _MAX_TEXT else "")


_T = TypeVar("_T")
_CAR: Final = "application/vnd.ipld.car"
_ENTRIES: Final = 100
_SLOTS: Final = "contract_state"
"""The field of a contract's state that holds its storage slots."""


@dataclass(frozen=True, slots=True)
class StateStep:
    """A step of the path to a state node, with the URL of its page."""

    name: str
    url: str


def show_state(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the page of a path in an actor's state."""
    text, steps, tipset, inspector = _read(reader, request)
    actor = find_actor(reader.network.machine, text)
    view = _browse(lambda: inspector.browse(text, steps, request.query.get("after", ""), _ENTRIES))
    at = f"/actor/{quote(text)}"
    here = "/".join([f"{at}/state", *(quote(step, safe="") for step in steps)])
    is_contract = reader.network.machine.traits(actor.state.code).is_contract
    names = _variables(site, reader, actor) if is_contract and steps[-1:] == [_SLOTS] else {}
    return PageResponse(
        site.page(
            reader,
            "state.html",
            actor=actor,
            at=at,
            here=here,
            query=f"?at={tipset.height}" if "at" in request.query else "",
            joint="&" if "at" in request.query else "?",
            tipset=tipset,
            trail=_trail(at, steps),
            view=view,
            fault=_browse(lambda: inspector.schema_fault(text)),
            named=[(part, _name_of(part, names)) for part in view.parts],
            proof="/".join([f"{at}/proof", *(quote(step, safe="") for step in steps)]),
            begins=request.query.get("after", ""),
        )
    )


def show_proof(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return a CAR with the blocks that prove a path, starting at the state root."""
    text, steps, tipset, inspector = _read(reader, request)
    _browse(lambda: inspector.browse(text, steps, request.query.get("after", ""), _ENTRIES))
    file = BytesIO()
    write_blocks(file, [tipset.state], inspector.proof())
    return PageResponse(file.getvalue(), content_type=_CAR)


def _read(reader: NodeReader, request: PageRequest) -> tuple[str, list[str], Tipset, StateInspector]:
    """Return the actor, the path, and the newest state or that of the requested epoch."""
    network = reader.network
    index, height = network.chain.index, request.number("at", network.head.height)
    tipset = index.tipset_before(height) if height <= network.head.height else None
    if tipset is None:
        raise not_found(f"epoch {height} is above the head, {network.head.height}")
    if tipset.height < index.retained:
        raise not_found(collected_text(height, index.retained))
    steps = [unquote(step) for step in request.path_params["path"].split("/") if step]
    store = network.machine.store
    schemas = StoredSchemas.of_machine(network.machine)
    return request.path_params["address"], steps, tipset, StateInspector(store, tipset.state, schemas)


def _browse(browse: Callable[[], _T]) -> _T:
    try:
        return browse()
    except (PathNotFound, LayoutError) as error:
        raise not_found(str(error)) from None


def _trail(at: str, steps: list[str]) -> list[StateStep]:
    url = f"{at}/state"
    trail = [StateStep("state", url)]
    for step in steps:
        url += f"/{quote(step, safe='')}"
        trail.append(StateStep(step, url))
    return trail


# --- the variables of contracts ---------------------------------------------------------------------------------------


def _variables(site: Site, reader: NodeReader, actor: FoundActor) -> dict[int, str]:
    """Return a contract's variables by slot, according to the compiler's storage layout."""
    compiled, verified = None, site.source_of(reader.network.machine, actor.address)
    if verified is not None:
        return variables_of(verified.output)
    if site.artifacts.contracts():
        compiled = site.artifacts.running(code_of(reader.network.machine, actor.address))
    return {} if compiled is None else variables_of(compiled.content)


def variables_of(content: Mapping[str, Any]) -> dict[int, str]:
    """Return the variables in a compiler's storage layout by slot, as `count (uint256)`. The input is untrusted."""
    layout = content.get("storageLayout")
    rows = layout.get("storage") if isinstance(layout, Mapping) else None
    types = layout.get("types") if isinstance(layout, Mapping) else None
    found: dict[int, str] = {}
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, Mapping) or not isinstance(row.get("label"), str):
            continue
        slot, kind = str(row.get("slot")), types.get(row.get("type")) if isinstance(types, Mapping) else None
        if not (slot.isascii() and slot.isdigit() and len(slot) < 79):
            continue
        label = f"{row['label']} ({kind['label']})" if isinstance(kind, Mapping) and "label" in kind else row["label"]
        found[int(slot)] = f"{found[int(slot)]}, {label}" if int(slot) in found else str(label)
    return found


def _name_of(part: StatePart, names: Mapping[int, str]) -> str:
    try:
        return names.get(int(part.name, 16), "") if names else ""
    except ValueError:
        return ""

"""The state of an actor as a tree by its schema, with one page per node, read on demand.

Maps and lists over several blocks are shown a hundred entries at a time. A contract's slots have the names of its
variables if the compiler's storage layout is available. Each node has a proof: the blocks from the state root to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from localnet.explorer.actors import FoundActor, find_actor
from localnet.explorer.responses import PageRequest, PageResponse, collected_text, not_found
from localnet.explorer.site import Site
from localnet.ledger.records import Tipset
from localnet.rpc.node import NodeReader
from localnet.state.actor_interfaces import StoredSchemas
from localnet.state.contract_state import code_of
from localnet.state.inspection import PathNotFound, StateInspector, StatePart
from store.car.transfer import write_blocks
from store.trees.paths import LayoutError

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
    names = _variables(site, reader, actor) if actor.kind == "evm" and steps[-1:] == [_SLOTS] else {}
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

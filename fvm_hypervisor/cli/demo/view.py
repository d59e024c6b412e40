"""Output of the demonstration, as call trees for a terminal or as one JSON object."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from bridge.filecoin.parameters import INVOKE_EVM, method_number, unwrap_return
from fvm_hypervisor.cli.demo.artifacts import contract
from fvm_hypervisor.cli.demo.scenario import Demo, DemoStep
from hypervisor.tracing import CallNode
from hypervisor.types import ActorID
from localnet.traces.call_text import EVENT_STYLE, GUIDE_STYLE, call_line
from store.cid import RAW, show

_COUNTER_METHODS = ("Increment", "Get", "Deposit", "Deposits", "CallContract", "LastCall", "Fail")
_METHODS = {method_number(name): name for name in _COUNTER_METHODS}
_EVM_METHODS = {3: "GetBytecode", 4: "GetBytecodeHash", 6: "InvokeContractDelegate"}
_EAM_METHODS = {2: "Create", 3: "Create2", 4: "CreateExternal"}
_INIT_METHODS = {2: "Exec", 3: "Exec4"}


def print_step(console: Console, demo: Demo, step: DemoStep) -> None:
    """Print a step: its title, the call tree of each message, its events and the state root."""
    number = len(demo.steps)
    console.print(f"\n[bold]{number}. {escape(step.title)}[/bold]")
    for call in step.calls:
        console.print(_tree(demo, call))
    for event in step.facts.get("events", []):
        values = ", ".join(f"{name}={value}" for name, value in event["values"].items())
        console.print(Text(f"   event {event['event']} of {event['emitter']}: {values}", style=EVENT_STYLE))
    console.print(Text(f"   state root {show(step.root)}", style="dim"))


def demo_json(demo: Demo) -> dict[str, Any]:
    """Return all results of the demonstration as JSON. Gas in gas, amounts in attoFIL."""
    return {
        "folder": str(demo.folder),
        "actors": {f"f0{actor}": name for actor, name in demo.names.items()},
        "steps": [
            {
                "name": step.name,
                "title": step.title,
                "facts": step.facts,
                "calls": [_call(demo, call) for call in step.calls],
                "state_root": show(step.root),
            }
            for step in demo.steps
        ],
    }


def _tree(demo: Demo, call: CallNode) -> Tree:
    tree = Tree(_line(demo, call), guide_style=GUIDE_STYLE)
    for inner in call.calls:
        tree.add(_tree(demo, inner))
    return tree


def _line(demo: Demo, call: CallNode) -> Text:
    fields = _call(demo, call)
    callee = f"{fields['to']} {fields['actor']}"
    return call_line(
        fields["runtime"],
        callee,
        fields["method"],
        fields["value"],
        fields["exit_code"],
        fields["error"],
        fields["gas"],
    )


def _call(demo: Demo, call: CallNode) -> dict[str, Any]:
    actor = call.actor
    return {
        "runtime": call.runtime,
        "from": f"f0{call.start.from_}",
        "to": str(call.start.to) if actor is None else f"f0{actor}",
        "actor": _name(demo, actor),
        "method": _method(demo, call),
        "value": call.start.value,
        "exit_code": call.end.exit_code if call.end else 0,
        "error": call.end.error if call.end else "",
        "gas": -(-call.end.gas_used // 1000) if call.end else 0,
        "calls": [_call(demo, inner) for inner in call.calls],
    }


def _name(demo: Demo, actor: ActorID | None) -> str:
    singletons = {ActorID(1): "init", ActorID(10): "eam"}
    return "" if actor is None else demo.names.get(actor) or singletons.get(actor, "")


def _method(demo: Demo, call: CallNode) -> str:
    number, actor = call.start.method, call.actor
    if number == 0:
        return "Send"
    if number == 1:
        return "Constructor"
    if number == INVOKE_EVM:
        return _function(_name(demo, actor), call.start.params, call.start.params_codec) or "InvokeEVM"
    tables = {ActorID(10): _EAM_METHODS, ActorID(1): _INIT_METHODS}
    table = tables.get(actor, _EVM_METHODS if call.runtime == "evm" else {}) if actor is not None else {}
    return table.get(number) or _METHODS.get(number) or str(number)


def _function(name: str, params: bytes, codec: int) -> str | None:
    kind, _, artifact = name.partition(" ")
    if kind != "contract":
        return None
    calldata = params if codec == RAW else unwrap_return(params)
    return contract(artifact).interface.function_name(calldata)

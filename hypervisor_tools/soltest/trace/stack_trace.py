"""Stack traces of failed tests in Solidity frames: contract, function, file and line, through native actors.

A trace starts at the call that explains the failure. Within a contract the stack of internal functions is derived from
the jumps that the source map marks; if the optimizer removed them, only the failing place is known. The optimizer also
merges equal code of several functions under one name: spans in functions that are unreachable from the called one are
skipped. `frames` and `known_code` do the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bridge.ethereum.addresses import checksummed
from hypervisor.exit_codes import numbered_exit
from hypervisor.tracing import CallNode
from hypervisor_tools.soltest.project.solidity_text import SourceTexts
from hypervisor_tools.soltest.trace import frames
from hypervisor_tools.soltest.trace.known_code import KnownContract, SourceSpan
from hypervisor_tools.soltest.trace.trace_names import VM, Names
from localnet.traces.console_log import CONSOLE

MAX_FRAMES: Final = 64
_SILENT: Final = frozenset((VM, CONSOLE))


def stack_trace(root: CallNode, names: Names, sources: SourceTexts) -> tuple[str, ...]:
    """Return the lines `Contract.function (file:line)` of a failed call, innermost first; empty on success."""
    lines: list[str] = []
    path = failing_path(root)
    for index, frame in enumerate(path):
        below = path[index + 1] if index + 1 < len(path) else None
        lines = [*_frame_lines(frame, below, names, sources), *lines]
    return tuple(lines[:MAX_FRAMES])


def open_stack(path: Sequence[CallNode], names: Names, sources: SourceTexts) -> tuple[str, ...]:
    """Return the same lines for nested calls that have not ended, innermost first."""
    lines: list[str] = []
    for frame in path:
        lines = [*_frame_lines(frame, None, names, sources), *lines]
    return tuple(lines[:MAX_FRAMES])


def failing_path(root: CallNode) -> list[CallNode]:
    """Return the frames from a failed call to the innermost one that explains it.

    A call's failure is explained by its last call if that failed too and its return data was passed on, or if it was a
    native actor's: libraries replace an actor's exit code by their own message.
    """
    path: list[CallNode] = []
    frame: CallNode | None = None if root.succeeded else root
    while frame is not None:
        path.append(frame)
        frame = _explaining(frame)
    return path


def _explaining(frame: CallNode) -> CallNode | None:
    calls = [call for call in frame.calls if frames.address_of(call) not in _SILENT]
    output = frames.output_of(frame)
    for call in reversed(calls):
        if not call.succeeded and output and frames.output_of(call) == output:
            return call
    last = calls[-1] if calls else None
    if last is None or last.succeeded:
        return None
    return last if frames.is_native(last) or frames.is_refused(last) or frames.is_native(frame) or not output else None


def _frame_lines(frame: CallNode, below: CallNode | None, names: Names, sources: SourceTexts) -> list[str]:
    """Return the lines of one frame, innermost function first."""
    if frames.is_native(frame) or frames.is_refused(frame):
        return [_native_line(frame, names)]
    refusal = None if below is not None or frame.succeeded else frames.refusal_of(frame)
    refused = [] if refusal is None else [f"{refusal.name} at {checksummed(refusal.address)} ({refusal.reason})"]
    lines = _contract_lines(frame, below, names, sources)
    if below is None and frames.exit_message(frame):
        outer = _outer(frame, names, names.known.of(frame))
        return [f"{outer} ({_exit_line(frame)})", *(line for line in lines if line != outer)]
    return [*refused, *lines]


def _contract_lines(frame: CallNode, below: CallNode | None, names: Names, sources: SourceTexts) -> list[str]:
    contract = names.known.of(frame)
    outer = _outer(frame, names, contract)
    if contract is None:
        return [outer]
    spans = contract.creation_places if frames.creates(frame) else contract.runtime_places
    files = {span.file for span in spans.values()}
    ran = None if frames.creates(frame) else reachable(function_name(frame, contract), files, sources)
    lines = [place_text(span, sources) for span in internal_stack(frame.counters_before(below), spans, sources, ran)]
    return [line for line in lines if line] or [outer]


def _outer(frame: CallNode, names: Names, contract: KnownContract | None) -> str:
    """Return `Contract.function`.

    For a contract with unknown code, the function is named only if an interface declares it, as in forge.
    """
    if contract is not None or frames.creates(frame):
        function: str | None = function_name(frame, contract)
    else:
        function = names.signature(frame).name
    return names.code_name(frame) + (f".{function}" if function else "")


def reachable(function: str, files: Iterable[str], sources: SourceTexts) -> set[str] | None:
    """Return the functions that one may call within its contract, including itself, from the source texts.

    None if the texts lack the function, such as a getter generated by the compiler.
    """
    graphs = [source.mentions for source in map(sources.get, files) if source is not None]
    todo = {"receive", "fallback"} if function in ("receive", "fallback") else {function}
    if not any(name in graph for graph in graphs for name in todo):
        return None
    found: set[str] = set()
    while todo:
        name = todo.pop()
        found.add(name)
        for graph in graphs:
            todo |= graph.get(name, set()) - found
    return found


def internal_stack(
    counters: Sequence[int],
    spans: Mapping[int, SourceSpan],
    sources: SourceTexts,
    ran: set[str] | None = None,
) -> list[SourceSpan]:
    """Return the span of a frame's last instruction and the call sites of its open functions, innermost first.

    `ran` are the functions that may have run; None if unknown.
    """
    open_: list[SourceSpan] = []
    last: SourceSpan | None = None
    statements: dict[int, bool] = {}
    for counter in counters:
        span = spans.get(counter)
        if span is None:
            continue
        is_statement = statements.get(counter)
        if is_statement is None:
            is_statement = statements[counter] = _is_statement(span, sources, ran)
        if is_statement:
            last = span
        if span.jump == "i":
            open_.append(span)
        elif span.jump == "o" and open_:
            open_.pop()
    found = [] if last is None else [last]
    for span in reversed(open_):
        if _is_statement(span, sources, ran) and (
            not found or _function(span, sources) != _function(found[-1], sources)
        ):
            found.append(span)
    return found


def function_name(frame: CallNode, contract: KnownContract | None) -> str:
    """Return the name of an externally called function, by its selector."""
    if frames.creates(frame):
        return "constructor"
    data = frames.input_of(frame)
    name = None if contract is None or len(data) < 4 else contract.interface.function_name(data)
    if name is not None:
        return name
    if not data:
        return "receive"
    return "fallback" if contract is not None else f"0x{data[:4].hex()}"


def called_function(frame: CallNode, names: Names) -> str:
    """Return the name of a called function whose code did not run, from the project's known functions."""
    if frames.creates(frame):
        return "constructor"
    name = names.signature(frame).name
    return name or ("fallback" if len(frames.input_of(frame)) < 4 else function_name(frame, names.known.of(frame)))


def _native_line(frame: CallNode, names: Names) -> str:
    method = names.method(frame) if frames.is_actors(frame) else called_function(frame, names)
    return f"{names.code_name(frame)}.{method} ({_exit_line(frame)})"


def _exit_line(frame: CallNode) -> str:
    """Return the exit code of a call with the actor's message."""
    end = frame.end
    if end is None:
        return ""
    text = f": {end.message}" if end.message else ""
    return f"{end.error or f'exit {numbered_exit(end.exit_code, native=True)}'}{text}"


def _is_statement(span: SourceSpan, sources: SourceTexts, ran: set[str] | None) -> bool:
    source = sources.get(span.file)
    if source is None or span.start < 0 or source.is_definition(span.start, span.length):
        return False
    function = source.names(span.start)[1]
    return ran is None or not function or function in ran


def _function(span: SourceSpan, sources: SourceTexts) -> tuple[str, str, str]:
    source = sources.get(span.file)
    return (span.file, *(source.names(span.start) if source is not None else ("", "")))


def place_text(span: SourceSpan, sources: SourceTexts) -> str:
    """Return a span as `Contract.function (file:line)`; empty if there is no such source."""
    source = sources.get(span.file)
    if source is None:
        return ""
    contract, function = source.names(span.start)
    name = ".".join(part for part in (contract, function) if part)
    return f"{name or span.file} ({span.file}:{source.line(span.start)})"

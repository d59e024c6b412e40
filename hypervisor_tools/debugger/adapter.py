"""A Debug Adapter Protocol server for editors; each request maps to a `Session` method.

It serves one client at a time. One thread reads requests, so it can pause a running step, and can end it when the
client disconnects. A malformed message ends the session. Specification: microsoft.github.io/debug-adapter-protocol.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, redirect_stdout
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, Final, cast

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.text import printable
from hypervisor_tools.debugger import views
from hypervisor_tools.debugger.commands import Quit, Terminal
from hypervisor_tools.debugger.execution import PAUSED, Abandoned, End, Stop
from hypervisor_tools.debugger.session import Session
from hypervisor_tools.debugger.views import Branch, open_branch, scopes
from store.blockstore import StoreError
from store.untrusted import check_depth

OpenSession = Callable[[Mapping[str, Any]], AbstractContextManager[Session]]
"""Opens a session from the arguments of a `launch` request."""

_THREAD: Final = 1
_EXPENSIVE: Final = ("Storage", "Functions")
"""Scopes that are computed by executing the message again, so clients should open them only on request."""
_CAPABILITIES: Final = {
    "supportsConfigurationDoneRequest": True,
    "supportsFunctionBreakpoints": True,
    "supportsStepBack": True,
    "supportsRestartRequest": True,
    "supportsTerminateRequest": True,
    "supportsSteppingGranularity": True,
    "supportsReadMemoryRequest": True,
    "exceptionBreakpointFilters": [
        {"filter": "exit", "label": "An actor exits with another code than 0", "default": False}
    ],
}


class Adapter:
    """A debugging session with one editor."""

    def __init__(self, channel: Channel, open_session: OpenSession) -> None:
        self._channel, self._open_session = channel, open_session
        self._resources = ExitStack()
        self._session: Session | None = None
        self._requests: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._numbers: dict[str, list[int]] = {}
        """Numbers of the breakpoints set by each kind of request.

        Breakpoints of the launch configuration are not included.
        """
        self._branches: list[Branch] = []
        self._sources: list[str] = []
        self._stop_on_entry = False
        self._disconnected = False
        self._counting = threading.Lock()
        self._read_count = self._done_count = self._paused_count = 0
        """Number of requests read, number completed, and number read before the client's last `pause`."""
        self._by_instruction = False
        """Kind of the step that the client requested last."""
        self._last_mark = self._logged = 0

    def serve(self) -> None:
        """Serve requests until the client disconnects, then close the session."""
        reader = threading.Thread(target=self._read, name="editor", daemon=True)
        reader.start()
        try:
            while not self._disconnected:
                request = self._requests.get()
                if request is None:
                    break
                self._respond(request)
                self._count_done()
                if request.get("command") in ("disconnect", "terminate"):
                    break
        finally:
            self._resources.close()

    def _read(self) -> None:
        """Read requests; runs on its own thread."""
        try:
            while (message := self._channel.read()) is not None:
                if message.get("type") != "request":
                    continue
                session = self._session
                self._count(pauses=message.get("command") == "pause")
                if session is not None and message.get("command") in ("disconnect", "terminate"):
                    session.abort()
                self._requests.put(message)
        except (ProtocolError, OSError, ValueError) as error:
            self._channel.event("output", {"category": "stderr", "output": f"error: {error}\n"})
        finally:
            self._disconnected = True
            if self._session is not None:
                self._session.abort()
            self._requests.put(None)

    def _count(self, *, pauses: bool) -> None:
        """Count a request that was read. A pause interrupts the requests before it, if any of them is still running."""
        with self._counting:
            if pauses and self._session is not None and self._done_count < self._read_count:
                self._paused_count = self._read_count
                self._session.interrupt()
            self._read_count += 1

    def _count_done(self) -> None:
        """Count a completed request.

        Discard a pause that arrived too late for it, so that it does not stop the next one.
        """
        with self._counting:
            self._done_count += 1
            if self._session is not None and self._done_count == self._paused_count:
                self._session.forget_pause()

    def _respond(self, request: Mapping[str, Any]) -> None:
        number, command, arguments = request.get("seq"), request.get("command"), request.get("arguments") or {}
        command = command if isinstance(command, str) else ""
        response = {"type": "response", "request_seq": number if isinstance(number, int) else 0, "command": command}
        handler = _HANDLERS.get(command)
        try:
            if handler is None:
                raise InvalidInput(f"the request '{command:.60}' is not supported by this adapter")
            if not isinstance(arguments, Mapping):
                raise InvalidInput("the arguments of a request must be a JSON object")
            body = handler(self, arguments)
        except Abandoned:
            return  # the client disconnected
        except (HypervisorError, StoreError, OSError) as error:
            self._channel.write({**response, "success": False, "message": views.safe_error_text(error)})
            return
        except (LookupError, ArithmeticError, TypeError, ValueError, AttributeError, RecursionError) as error:
            problem = f"the request {command} does not follow the Debug Adapter Protocol: {error!r}"
            self._channel.write({**response, "success": False, "message": problem[:300]})
            return
        self._channel.write({**response, "success": True, "body": body or {}})
        self._after(command)

    def _after(self, command: str) -> None:
        """Run the part of `command` that follows its response."""
        step = _STEPS.get(command)
        try:
            if command in ("launch", "attach"):
                self._channel.event("initialized")
            elif command == "configurationDone":
                self._begin()
            elif step is not None:
                self._report(step(self._current_session, self._by_instruction))
        except Abandoned:
            pass
        except (HypervisorError, StoreError) as error:
            self._print(f"error: {views.safe_error_text(error)}", "stderr")
            self._send_stopped("pause", "")

    @property
    def _current_session(self) -> Session:
        return self._check_launched()

    def _check_launched(self) -> Session:
        if self._session is None:
            raise InvalidInput("no message is being debugged: send a launch request first")
        return self._session

    def _launch(self, arguments: Mapping[str, Any]) -> None:
        if self._session is not None:
            raise InvalidInput("a message is already being debugged: disconnect before launching another one")
        self._session = self._resources.enter_context(self._open_session(arguments))
        self._resources.callback(self._session.close)
        self._stop_on_entry = bool(arguments.get("stopOnEntry", True))
        if self._disconnected:
            self._session.abort()

    def _begin(self) -> None:
        session = self._current_session
        state = session.start()
        self._print(session.subject.name)
        if not session.subject.steps_contracts:
            self._print(
                'contracts run in the official EVM actor, which shows no instructions: use "evm": "fast" to see them'
            )
        if isinstance(state, Stop) and not self._stop_on_entry:
            state = session.resume()
        self._report(state)

    def _needs_launch(self, _: Mapping[str, Any]) -> None:
        self._check_launched()

    def _acknowledge(self, _: Mapping[str, Any]) -> None:
        pass

    def _prepare_step(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response that precedes a step. Raises InvalidInput at the message's end."""
        self._by_instruction = arguments.get("granularity") == "instruction"
        self._current_session.check_open()
        return {"allThreadsContinued": True}

    def _set_lines(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        path = str(arguments["source"].get("path") or arguments["source"].get("name", ""))
        lines = [int(each["line"]) for each in arguments.get("breakpoints") or []]
        return self._set(f"lines of {path}", [f"line {path}:{at}" for at in lines])

    def _set_functions(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        texts = [str(each["name"]) for each in arguments["breakpoints"]]
        texts = [text if " " in text else f"method {text}" for text in texts]
        return self._set("functions", texts)

    def _set_exceptions(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return self._set("exceptions", ["exit any"] if "exit" in arguments["filters"] else [])

    def _set(self, what: str, texts: list[str]) -> dict[str, Any]:
        """Replace the breakpoints that earlier requests of the same kind set."""
        breakpoints, answers = self._current_session.breakpoints, list[dict[str, Any]]()
        for number in self._numbers.pop(what, ()):
            breakpoints.remove(number)
        own = self._numbers[what] = list[int]()
        for text in texts:
            try:
                own.append(breakpoints.add(text).number)
                answers.append({"id": own[-1], "verified": True})
            except InvalidInput as error:
                answers.append({"verified": False, "message": str(error)})
        return {"breakpoints": answers}

    def _threads(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"threads": [{"id": _THREAD, "name": "message"}]}

    def _stack_trace(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        session = self._current_session
        if isinstance(session.state, End):
            return {"stackFrames": [], "totalFrames": 0}
        frames = views.frames(session)
        first = int(arguments.get("startFrame") or 0)
        limit = int(arguments.get("levels") or 0) or len(frames)
        shown = [
            {
                "id": frame.number,
                "name": f"{frame.title}: {frame.where}"[:500],
                "line": frame.line,
                "column": 1 if frame.line else 0,
                **({"source": self._source(frame)} if frame.path else {"presentationHint": "subtle"}),
            }
            for frame in frames[first : first + limit]
        ]
        return {"stackFrames": shown, "totalFrames": len(frames)}

    def _source(self, frame: views.FrameView) -> dict[str, Any]:
        file = views.source_file(self._current_session, frame.number)
        if file is not None:
            return {"name": Path(frame.path).name, "path": str(file)}
        if frame.path not in self._sources:
            self._sources.append(frame.path)
        return {"name": frame.path, "sourceReference": self._sources.index(frame.path) + 1}

    def _source_text(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        index = int(arguments["sourceReference"])
        if not 0 < index <= len(self._sources):
            raise InvalidInput(f"there is no source with reference {index}")
        return {"content": "\n".join(self._current_session.sources.text(self._sources[index - 1]))}

    def _scopes(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        found = scopes(self._current_session, int(arguments["frameId"]))
        return {
            "scopes": [
                {
                    "name": each.name,
                    "variablesReference": self._branch(each.below),
                    "expensive": each.name in _EXPENSIVE,
                }
                for each in found
            ]
        }

    def _variables(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        index = int(arguments["variablesReference"])
        if not 0 < index <= len(self._branches):
            raise InvalidInput("this variable belongs to an earlier stop: request the scopes again")
        return {
            "variables": [
                {
                    "name": each.name,
                    "value": each.value,
                    "variablesReference": self._branch(each.below),
                    **({"memoryReference": each.memory} if each.memory else {}),
                }
                for each in open_branch(self._branches[index - 1])
            ]
        }

    def _branch(self, below: Branch | None) -> int:
        if below is None:
            return 0
        self._branches.append(below)
        return len(self._branches)

    def _evaluate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        terminal = Terminal(self._current_session)
        terminal.frame = int(arguments.get("frameId") or 0)
        if terminal.frame:  # check that the frame exists; frame 0 needs no running message
            views.call_of(self._current_session, terminal.frame)
        words = str(arguments["expression"]).split()
        if words and words[0] not in _READ_ONLY_COMMANDS:
            raise InvalidInput(
                f"'{words[0]:.40}' is not available here: expected one of {', '.join(sorted(_READ_ONLY_COMMANDS))}"
            )
        try:
            return {"result": terminal.execute(" ".join(words)), "variablesReference": 0}
        except Quit:
            raise InvalidInput("disconnect ends the debugger") from None

    def _read_memory(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        from base64 import b64encode

        number, _, address = str(arguments["memoryReference"]).rpartition(":")
        offset = int(address, 0) + int(arguments.get("offset") or 0)
        if offset < 0:
            raise InvalidInput(f"memory offset {offset} is out of range: it must be at least 0")
        data = views.memory(self._current_session, int(number or 0), offset, int(arguments["count"]))
        return {"address": hex(offset), "data": b64encode(data).decode()}

    def _report(self, state: Stop | End) -> None:
        """Send the event for the session's current position.

        A message stops at the end of its first call before it ends, so the client can step back.
        """
        session = self._current_session
        self._branches.clear()
        if isinstance(state, End):
            last = len(session.record.marks)
            if not state.problem and last and self._last_mark != last:
                self._last_mark = last
                session.back()
                self._print(state.text)
                self._send_stopped("pause", state.text)
                return
            self._print(state.text)
            self._channel.event("exited", {"exitCode": state.exit_code or 0})
            self._channel.event("terminated")
            return
        at_end = state.site.position.mark == len(session.record.marks) and not state.site.position.number
        self._last_mark = state.site.position.mark if at_end else 0
        for log in session.listener.logs[self._logged :]:
            self._print(f"f0{log.actor}: {views.safe_error_text(log.text)}")
        self._logged = len(session.listener.logs)
        is_hit = state.reason.startswith("breakpoint ")
        number = int(state.reason.split(" ")[1].rstrip(":")) if is_hit else 0
        kind = "pause" if state.reason == PAUSED else "step"
        self._send_stopped("breakpoint" if is_hit else kind, state.reason, number)

    def _send_stopped(self, reason: str, description: str, number: int = 0) -> None:
        hit = {"hitBreakpointIds": [number]} if number else {}
        body = {"reason": reason, "description": description, "threadId": _THREAD, "allThreadsStopped": True, **hit}
        self._channel.event("stopped", body)

    def _print(self, text: str, category: str = "console") -> None:
        self._channel.event("output", {"category": category, "output": f"{text}\n"})


_READ_ONLY_COMMANDS: Final = frozenset({
    "where", "bt", "functions", "fn", "list", "l", "stack", "memory", "x", "storage", "calldata", "params", "p",
    "syscall", "state", "gas", "logs", "break", "help", "h", "?",
})  # fmt: skip
Handler = Callable[[Adapter, Mapping[str, Any]], dict[str, Any] | None]
_HANDLERS: Final[Mapping[str, Handler]] = {
    "initialize": lambda _adapter, _arguments: dict(_CAPABILITIES),
    "launch": Adapter._launch,
    "attach": Adapter._launch,
    "configurationDone": Adapter._needs_launch,
    "restart": Adapter._needs_launch,
    "pause": Adapter._acknowledge,
    "disconnect": Adapter._acknowledge,
    "terminate": Adapter._acknowledge,
    "setBreakpoints": Adapter._set_lines,
    "setFunctionBreakpoints": Adapter._set_functions,
    "setExceptionBreakpoints": Adapter._set_exceptions,
    "threads": Adapter._threads,
    "stackTrace": Adapter._stack_trace,
    "source": Adapter._source_text,
    "scopes": Adapter._scopes,
    "variables": Adapter._variables,
    "evaluate": Adapter._evaluate,
    "readMemory": Adapter._read_memory,
    "continue": Adapter._prepare_step,
    "next": Adapter._prepare_step,
    "stepIn": Adapter._prepare_step,
    "stepOut": Adapter._prepare_step,
    "stepBack": Adapter._prepare_step,
    "reverseContinue": Adapter._prepare_step,
}
_STEPS: Final[Mapping[str, Callable[[Session, bool], Stop | End]]] = {
    "restart": lambda session, _: session.start(),
    "continue": lambda session, _: session.resume(),
    "next": lambda session, by_instruction: session.over(by_instruction=by_instruction),
    "stepIn": lambda session, by_instruction: session.step(by_instruction=by_instruction),
    "stepOut": lambda session, _: session.out(),
    "stepBack": lambda session, by_instruction: session.back(by_instruction=by_instruction),
    "reverseContinue": lambda session, _: session.reverse(),
}


HOST = "127.0.0.1"


def serve_streams(open_session: OpenSession) -> None:
    """Serve one session on standard input and output; other output of the process goes to standard error."""
    writer = sys.stdout.buffer
    # Unbuffered: at exit, the interpreter would wait for the lock that the reading thread holds on a buffer.
    with open(os.dup(sys.stdin.fileno()), "rb", buffering=0) as reader, redirect_stdout(sys.stderr):
        Adapter(Channel(cast(BinaryIO, reader), writer), open_session).serve()


def serve_port(port: int, open_session: OpenSession) -> None:
    """Serve one session after another until Ctrl-C; port 0 is any free port. Raises OSError if the port is in use."""
    with socket.create_server((HOST, port)) as server:
        print(f"listening for an editor at {HOST}:{server.getsockname()[1]}", flush=True)
        while True:
            try:
                connection, _ = server.accept()
                with connection, connection.makefile("rb") as reader, connection.makefile("wb") as writer:
                    Adapter(Channel(reader, writer), open_session).serve()
                    connection.shutdown(socket.SHUT_RDWR)  # ends the reading thread
            except KeyboardInterrupt:
                return
            except OSError:
                continue  # the client disconnected; accept the next one
            except Exception:  # noqa: BLE001  # a bug ends only this session
                traceback.print_exc()


_MAX_MESSAGE: Final = 16 << 20
"""Maximum length of an incoming message in bytes."""
_MAX_HEADER: Final = 1_024
_MAX_DEPTH: Final = 100


class ProtocolError(HypervisorError):
    """Raised for a malformed Debug Adapter Protocol message."""


class Channel:
    """A connection to the client. One thread reads; any thread may write. After a disconnect, writes have no effect."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader, self._writer = reader, writer
        self._lock = threading.Lock()
        self._number = 0

    def read(self) -> dict[str, Any] | None:
        """Read the next message; None at the end of the stream. Raises ProtocolError."""
        length: int | None = None
        while True:
            line = self._reader.readline(_MAX_HEADER)
            if not line:
                return None
            text = line.strip()
            if not text:
                break
            name, colon, value = text.partition(b":")
            name = name.strip().lower()
            if not colon or not name.startswith(b"content-") or not line.endswith(b"\n"):
                # Every DAP header name starts with Content-. This rejects HTTP requests from web pages at their first
                # line.
                raise ProtocolError(f"unexpected header line: {printable(text[:80].decode('latin-1'))}")
            if name == b"content-length":
                digits = value.strip()
                if not digits.isdigit() or len(digits) > 9 or int(digits) > _MAX_MESSAGE:
                    raise ProtocolError(
                        f"invalid Content-Length {digits[:20]!r}: expected a number up to {_MAX_MESSAGE}"
                    )
                length = int(digits)
        if length is None:
            raise ProtocolError("missing Content-Length header")
        data = bytearray()
        while len(data) < length:
            more = self._reader.read(length - len(data))
            if not more:
                return None
            data += more
        try:
            content = data.decode()
            check_depth(content, _MAX_DEPTH)
            message = json.loads(content)
        except ValueError as error:
            raise ProtocolError(f"the message is not valid JSON: {error}") from None
        if not isinstance(message, dict):
            raise ProtocolError("the message is not a JSON object")
        return message

    def write(self, message: Mapping[str, Any]) -> None:
        """Send a message with the next sequence number (`seq`)."""
        with self._lock:
            self._number += 1
            data = json.dumps({"seq": self._number, **message}).encode()
            try:
                self._writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
                self._writer.flush()
            except (OSError, ValueError):
                pass  # the client disconnected; `read` reports the end of the stream

    def event(self, name: str, body: Mapping[str, Any] | None = None) -> None:
        self.write({"type": "event", "event": name, **({"body": body} if body is not None else {})})

"""A small client of the Debug Adapter Protocol: messages with a Content-Length header over two streams."""

import json
from typing import Any, BinaryIO


class DapClient:
    """Sends requests one at a time; events received meanwhile are stored."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader, self._writer = reader, writer
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def send(self, command: str, **arguments: Any) -> int:
        self._number += 1
        message = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        data = json.dumps(message).replace("Infinity", "1e999").encode()
        self._writer.write(f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
        self._writer.flush()
        return self._number

    def read(self) -> dict[str, Any] | None:
        length = None
        while line := self._reader.readline().strip():
            name, _, value = line.partition(b": ")
            assert name == b"Content-Length"
            length = int(value)
        if length is None:
            return None
        message: dict[str, Any] = json.loads(self._reader.read(length))
        return message

    def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        result = self.response(command, **arguments)
        assert result["success"], result
        body: dict[str, Any] = result["body"]
        return body

    def response(self, command: str, **arguments: Any) -> dict[str, Any]:
        number = self.send(command, **arguments)
        while True:
            message = self.read()
            assert message is not None, f"no response to {command}"
            if message["type"] == "response" and message["request_seq"] == number:
                assert message["command"] == command
                return message
            self.events.append(message)

    def event(self, name: str) -> dict[str, Any]:
        while True:
            for place, message in enumerate(self.events):
                if message.get("event") == name:
                    del self.events[: place + 1]
                    body: dict[str, Any] = message.get("body", {})
                    return body
            found = self.read()
            assert found is not None, f"no event {name}"
            self.events.append(found)

    def launch(self, **arguments: Any) -> None:
        """Initialize and launch, up to the setting of breakpoints."""
        assert self.request("initialize", adapterID="hypervisor")["supportsStepBack"]
        self.request("launch", **arguments)
        self.event("initialized")

    def variables(self, reference: int) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.request("variables", variablesReference=reference)["variables"]}

    def scope(self, frame: int, name: str) -> dict[str, dict[str, Any]]:
        scopes = self.request("scopes", frameId=frame)["scopes"]
        return self.variables(next(each["variablesReference"] for each in scopes if each["name"] == name))

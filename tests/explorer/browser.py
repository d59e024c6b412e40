"""A headless chromium, controlled by the DevTools protocol over the `websockets` client.

Protocol: https://chromedevtools.github.io/devtools-protocol/. A page records console messages, exceptions and all
requests, so that tests can check for errors and requests to other hosts.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from tests.patience import slowness

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE: Final = 30.0
_PAUSE: Final = 0.05


def chromium() -> str | None:
    """Return the program from FVM_CHROMIUM or the PATH, or None."""
    return os.environ.get("FVM_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


class BrowserPage:
    """A tab. Times in seconds, sizes in CSS pixels."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._number = connection, 0
        self.errors: list[str] = []
        """Errors on the browser's console, and uncaught exceptions."""
        self.requests: list[str] = []
        self.frames: list[str] = []
        """Messages received over WebSockets."""
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.command(f"{domain}.enable")
        self.command("Emulation.setFocusEmulationEnabled", enabled=True)

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result of a command."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            response = json.loads(self._connection.recv(_PATIENCE * slowness()))
            if response.get("id") == self._number:
                assert "error" not in response, response["error"]
                found: dict[str, Any] = response["result"]
                return found
            self._note(response)

    def _note(self, event: dict[str, Any]) -> None:
        match event:
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.errors.append(str(details.get("exception", {}).get("description", details["text"])))
            case {"method": "Runtime.consoleAPICalled", "params": {"type": "error", "args": args}}:
                self.errors.append(json.dumps(args))
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error"} as entry}}:
                self.errors.append(f"{entry['text']} {entry.get('url', '')}")
            case {"method": "Network.webSocketFrameReceived", "params": {"response": {"payloadData": data}}}:
                self.frames.append(data)
            case {"method": "Network.requestWillBeSent", "params": {"request": {"url": url}}}:
                self.requests.append(url)

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression as JSON; a promise is awaited."""
        result = self.command(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait until an expression is true and return its value."""
        end = time.monotonic() + _PATIENCE * slowness()
        while not (found := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}\n{self.text()[:2000]}"
            time.sleep(_PAUSE)
        return found

    def open(self, url: str) -> None:
        """Open an address and wait until the page is loaded."""
        self.command("Page.navigate", url=url)
        self.until(f"location.href.startsWith({json.dumps(url.split('#')[0])}) && document.readyState === 'complete'")

    def text(self) -> str:
        """Return the page's visible text."""
        return str(self.run("document.body.innerText"))

    def press(self, key: str) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r" if key == "Enter" else key} if kind == "keyDown" and len(key) < 6 else {}
            code = {"windowsVirtualKeyCode": 13} if key == "Enter" else {}
            self.command("Input.dispatchKeyEvent", type=kind, key=key, **text, **code)

    def type(self, text: str) -> None:
        """Type text into the focused field."""
        self.command("Input.insertText", text=text)

    def resize(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Set the size of the window and the preferred color scheme."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        """Save a screenshot in the format of the file's suffix."""
        kind = {"format": "webp", "quality": 60} if file.suffix == ".webp" else {"format": "png"}
        found = self.command("Page.captureScreenshot", captureBeyondViewport=whole, **kind)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(found["data"]))

    def other_hosts(self, url: str) -> list[str]:
        """Return requests to hosts other than the node's."""
        own = urlsplit(url).netloc
        return [each for each in self.requests if urlsplit(each).netloc != own and not each.startswith("data:")]


@contextmanager
def browsing(program: str) -> Iterator[BrowserPage]:
    """Open a tab of a browser with its own profile."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-extensions",
            "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = _port(process, Path(folder) / "DevToolsActivePort")
            with connect(_tab(port), max_size=None, ping_interval=None) as connection:
                yield BrowserPage(connection)
        finally:
            process.terminate()
            process.wait()


def _port(process: subprocess.Popen[bytes], file: Path) -> int:
    """Return the port of the browser's debugger once it is known."""
    end = time.monotonic() + _PATIENCE * slowness()
    while time.monotonic() < end and process.poll() is None:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) > 1:
            return int(lines[0])
        time.sleep(_PAUSE)
    raise AssertionError("the browser did not start")


def _tab(port: int) -> str:
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{port}/json/list") as response:
        tabs = json.load(response)
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))

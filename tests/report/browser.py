"""Headless Chromium, spoken to over its debugging pipe: a page, what it logs, what it asks for."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

PATIENCE = 60.0  # seconds for one answer
FLAGS = (
    "--headless",
    "--no-sandbox",  # which containers forbid
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no name is found: the network is cut
    "--proxy-server=127.0.0.1:9",  # nor does an address without a name lead anywhere
)


class Browser:
    """One page of one browser.

    Attributes
    ----------
    complaints : list of str
        Errors and warnings of the console, and exceptions that nobody caught.
    requests : list of str
        Addresses that the page asked for.
    """

    def __init__(self, profile: Path) -> None:
        program = shutil.which("chromium")
        assert program is not None, "chromium is missing: apt-get install chromium"
        there_in, self.write_end = os.pipe()
        self.read_end, there_out = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4. Other shells than bash know
        # no descriptor of two digits.
        flags = (*FLAGS, f"--user-data-dir={profile}", "about:blank")
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{there_in} 4>&{there_out}', program, *flags],
            pass_fds=(there_in, there_out),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(there_in)
        os.close(there_out)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._buffer = b""
        self._count = 0
        self._events: list[str] = []
        self._session: str | None = None
        target = self._send("Target.createTarget", {"url": "about:blank"})["targetId"]
        attach = {"targetId": target, "flatten": True}
        self._session = self._send("Target.attachToTarget", attach)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.write_end)  # the end of its pipe is the end of the browser
        os.close(self.read_end)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def open(self, file: Path, width: int, height: int = 900) -> None:
        """Load a file in a window of this size and wait until its scripts have run."""
        self.resize(width, height)
        self.complaints.clear()
        self.requests.clear()
        self._events.clear()
        self._send("Page.navigate", {"url": file.resolve().as_uri()})
        while "Page.loadEventFired" not in self._events:
            self._take(self._read())

    def resize(self, width: int, height: int = 900) -> None:
        """The size of the window; a narrow one is a phone's."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._send("Emulation.setDeviceMetricsOverride", size)

    def ask(self, expression: str) -> Any:
        """Value of a JavaScript expression; a promise is waited for."""
        given = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self._send("Runtime.evaluate", given)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """One key, where the focus is."""
        code = {"Enter": 13, " ": 32, "Tab": 9}[key]
        given = {"key": key, "windowsVirtualKeyCode": code, "text": "\r" if key == "Enter" else key}
        self._send("Input.dispatchKeyEvent", {"type": "keyDown", **given})
        self._send("Input.dispatchKeyEvent", {"type": "keyUp", **given})

    def picture(self, file: Path, top: int = 0, height: int | None = None) -> None:
        """A PNG of the whole page, or of a band of it."""
        size = self._send("Page.getLayoutMetrics")["cssContentSize"]
        whole = min(height or size["height"], size["height"] - top)
        clip = {"x": 0, "y": top, "width": size["width"], "height": whole, "scale": 1}
        given = {"format": "png", "captureBeyondViewport": True, "clip": clip}
        file.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", given)["data"]))

    def pdf(self, file: Path) -> None:
        """The page as it prints."""
        given = {"preferCSSPageSize": True, "printBackground": True}
        file.write_bytes(base64.b64decode(self._send("Page.printToPDF", given)["data"]))

    def _send(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        self._count += 1
        mine: dict[str, Any] = {"id": self._count, "method": method, "params": parameters or {}}
        if self._session is not None:
            mine["sessionId"] = self._session
        os.write(self.write_end, json.dumps(mine).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._count:
                assert "error" not in message, message["error"]
                return message["result"]
            self._take(message)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self.read_end], [], [], PATIENCE)
            assert ready, "the browser does not answer"
            chunk = os.read(self.read_end, 1 << 20)
            assert chunk, "the browser has ended"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _take(self, event: dict[str, Any]) -> None:
        method, given = event.get("method", ""), event.get("params", {})
        self._events.append(method)
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(given["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning"):
            self.complaints.append(str(given["args"]))
        elif method == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            self.complaints.append(str(given["entry"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])

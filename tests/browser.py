"""A real browser for tests: Debian's Chromium without a window, spoken to through two pipes in its own protocol.

The protocol is Chrome's DevTools protocol, as JSON messages that end with a zero byte: no driver and no package.
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW_TO_GET_IT = "no Chromium here: apt-get install chromium (Debian), and this test looks at the page in a real browser"
FLAGS = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"]
SANDBOX = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to run as root with one
PATIENCE_S = 60  # of a busy machine


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser with one page; `complaints` collects what its console says as an error, and what the page asks of
    a network."""

    def __init__(self, program: str, folder: Path) -> None:
        (their_in, self._out), (self._in, their_out) = os.pipe(), os.pipe()
        command = [program, *FLAGS, *SANDBOX, f"--user-data-dir={folder}", "about:blank"]

        def as_three_and_four() -> None:
            """Chromium reads commands from file 3 and answers in file 4, whatever stood there."""
            ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (their_in, their_out)]
            for place, end in enumerate(ends, start=3):
                os.dup2(end, place)

        self._process = subprocess.Popen(
            command, preexec_fn=as_three_and_four, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(their_in)
        os.close(their_out)
        self._buffer, self._number, self._session = b"", 0, ""
        self.complaints: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends one command and returns its answer. Raises: RuntimeError with what the browser says"""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = os.read(self._in, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser has gone")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        event = json.loads(message)
        self._listen(event.get("method", ""), event.get("params", {}))
        return event

    def _listen(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not params["request"]["url"].startswith(("file:", "data:")):
            self.complaints.append(f"asks the network for {params['request']['url']}")

    def evaluate(self, code: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.ask("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def open(self, path: Path) -> None:
        """Returns when the page's script says that it has drawn all. Raises: TimeoutError"""
        self.complaints.clear()
        self.ask("Page.navigate", url=path.resolve().as_uri())
        self.wait_for("document.documentElement?.dataset.ready === 'yes'")

    def wait_for(self, condition: str) -> None:
        """Returns as soon as it is true, also of a page that is just being left. Raises: TimeoutError"""
        end = time.monotonic() + PATIENCE_S
        while not self._holds(condition):
            if self.complaints or time.monotonic() > end:
                raise TimeoutError(f"{condition} did not come true; complaints: {self.complaints}")
            time.sleep(0.02)

    def _holds(self, condition: str) -> bool:
        try:
            return bool(self.evaluate(condition))
        except RuntimeError as error:  # asked between two pages
            if not any(word in str(error) for word in ("navigated", "context")):
                raise
            return False

    def look(self, *, width: int, height: int = 900, dark: bool = False) -> None:
        """A window of so many pixels, by day or by night."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, key: str) -> None:
        """A key as a user presses it: Tab, Enter, ArrowRight, or a letter."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}
        about = {"key": key, "windowsVirtualKeyCode": codes.get(key, 0)}
        self.ask("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **about)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **about)

    def tap(self, element: str) -> None:
        """A finger on the middle of an element that a JavaScript expression gives."""
        box = f"(({element}).scrollIntoView({{block: 'center'}}), ({element}).getBoundingClientRect().toJSON())"
        place = self.evaluate(box)
        point = {"x": place["x"] + place["width"] / 2, "y": place["y"] + place["height"] / 2}
        self.ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        os.close(self._out)  # Chromium ends when its pipe does
        os.close(self._in)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

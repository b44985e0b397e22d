# SPDX-License-Identifier: BSD-2-Clause
"""A headless Chromium that a test drives by the DevTools protocol, over a pipe: JSON, each with a NUL
behind it (--remote-debugging-pipe)."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


def chromium():
    return shutil.which("chromium")


class Browser:
    """One page. What its scripts report as an error, and what its policy blocked, is in `errors`."""

    def __init__(self, width=1400, height=900, dark=False):
        self.profile = tempfile.TemporaryDirectory(prefix="appmon-browser-", ignore_cleanup_errors=True)
        read, to_browser = os.pipe()
        self._from, write = os.pipe()
        self._to = to_browser

        def descriptors():
            # The two may be in each other's way, or be 3 and 4 already.
            a, b = os.dup(read), os.dup(write)
            spare = [os.dup(a), os.dup(b)]
            os.dup2(spare[0], 3)
            os.dup2(spare[1], 4)

        self.process = subprocess.Popen(
            [chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
             "--no-first-run", "--disable-extensions", "--disable-background-networking",
             "--disable-component-update", f"--user-data-dir={self.profile.name}",
             f"--window-size={width},{height}", "about:blank"],
            preexec_fn=descriptors, close_fds=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(read)
        os.close(write)
        self._buffer, self._number, self._session = b"", 0, None
        self.errors, self.dialogs = [], []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(t for t in targets if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page["targetId"],
                                  flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "Log":
            self.call(f"{domain}.enable")
        self.size(width, height)
        self.dark(dark)

    def _message(self, timeout):
        deadline = time.monotonic() + timeout
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._from, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)

    def _note(self, message):
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif message.get("method") == "Page.javascriptDialogOpening":
            self.dialogs.append(params["message"])
            self.call("Page.handleJavaScriptDialog", accept=False)

    def call(self, method, timeout=60, **params):
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message(timeout)
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._note(answer)

    def size(self, width, height, scale=1, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=mobile)

    def dark(self, on):
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if on else "light"}])

    def open(self, url):
        self.call("Page.navigate", url=url)

    def run(self, script):
        """The value of an expression; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True,
                           awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script, timeout=15):
        """Until an expression is true; one that fails, as there is no page yet, is not."""
        deadline = time.monotonic() + timeout
        guarded = f"(() => {{ try {{ return Boolean({script}); }} catch (e) {{ return false; }} }})()"
        while not self.run(guarded):
            assert time.monotonic() < deadline, f"{script} did not become true: {self.errors}"
            time.sleep(0.05)

    def press(self, key):
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def mouse(self, kind, x, y, **how):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **how)

    def screenshot(self, path, full=False):
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=full)
        with open(path, "wb") as f:
            f.write(base64.b64decode(picture["data"]))

    def close(self):
        try:
            self._session = None
            self.call("Browser.close")
            self.process.wait(10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self._from)
        os.close(self._to)
        self.profile.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

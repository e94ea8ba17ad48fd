"""A headless Chromium, driven over its DevTools pipe, with Python's standard library only."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PATIENCE = 20.0


class Browser:
    """Chromium with one page."""

    def __init__(self, program="chromium"):
        self.folder = tempfile.mkdtemp(prefix="status-check-")
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        # Chromium reads commands from descriptor 3 and writes answers to 4.
        high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10) for descriptor in (to_read, from_write)]

        def place():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        command = [
            program, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self.folder}", "--no-first-run",
            "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-background-networking",
            "--disable-component-update", "--disable-extensions", "--lang=en-US"]
        if os.geteuid() == 0:
            command.append("--no-sandbox")
        self.process = subprocess.Popen(
            command, preexec_fn=place, pass_fds=(3, 4), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        for descriptor in (to_read, from_write, *high):
            os.close(descriptor)
        self.output, self.input = to_write, from_read
        self.buffer = b""
        self.next_id = 0
        self.session = None
        self.answers = {}
        # Errors and warnings of the page, and the URLs of its requests.
        self.problems = []
        self.requests = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source="""
            addEventListener('securitypolicyviolation', event =>
              console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));""")

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
            self.process.wait(5)
        except (OSError, TimeoutError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.output)
        os.close(self.input)
        shutil.rmtree(self.folder, ignore_errors=True)

    # The protocol

    def call(self, method, **parameters):
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.output, data):]
        deadline = time.monotonic() + PATIENCE
        while self.next_id not in self.answers:
            self._read(deadline, method)
        answer = self.answers.pop(self.next_id)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _read(self, deadline, waiting_for):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.input], [], [], left)[0]:
            raise TimeoutError(f"Chromium did not answer: {waiting_for}")
        piece = os.read(self.input, 1 << 20)
        if not piece:
            raise OSError("Chromium has ended")
        self.buffer += piece
        *messages, self.buffer = self.buffer.split(b"\0")
        for message in messages:
            message = json.loads(message)
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self._receive(message["method"], message["params"])

    def _receive(self, method, event):
        if method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
            self.problems.append(" ".join(str(argument.get("value", argument)) for argument in event["args"]))
        elif method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{event['entry']['text']} {event['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])

    # The page

    def open(self, url):
        self.call("Page.navigate", url=url)

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def wait(self, what, expression, patience=PATIENCE):
        """Waits until an expression is true in the page. Returns the duration."""
        began = time.monotonic()
        while True:
            try:
                if self.evaluate(expression):
                    return time.monotonic() - began
            except RuntimeError:
                pass  # There is no document between two pages.
            if time.monotonic() - began > patience:
                text = self.evaluate("document.body ? document.body.innerText : '(nothing)'")
                raise TimeoutError(f"not seen in {patience} s: {what}\nThe page says:\n{text}")
            time.sleep(0.02)

    def press(self, key, code, times=1):
        for _ in range(times):
            for kind in ("rawKeyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def show(self, width, height, scheme, is_phone, motion="reduce"):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2, mobile=is_phone)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}])
        # The new width takes effect asynchronously.
        self.wait(f"a page {width} px wide", f"document.documentElement.clientWidth <= {width}")

    def screenshot(self, path):
        # Two frames: one for the layout, one for the drawing.
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        with open(path, "wb") as file:
            file.write(base64.b64decode(image["data"]))

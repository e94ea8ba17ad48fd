"""Checks the status page in a real browser through an outage of the database and a restart of the service.

Prints one line per check, writes screenshots, and exits with 1 if a check fails."""

import argparse
import http.client
import os
import re
import signal
import subprocess
import tempfile
import threading
import time

from browser import Browser, PATIENCE

SIZES = {"phone": (360, 780, True), "desktop": (1280, 900, False)}


class Service:
    """A running `daruma serve`, and threads that send `/ping`."""

    def __init__(self, binary, database, port=0):
        self.log = tempfile.NamedTemporaryFile(prefix="status-check-", suffix=".log")
        environment = {**os.environ, "DATABASE_URL": database, "HOST": "", "PORT": ""}
        self.process = subprocess.Popen(
            [binary, "serve", "--host", "127.0.0.1", "--port", str(port)], env=environment, stdout=self.log,
            stderr=self.log)
        self.port = self._port()
        self.is_over = threading.Event()
        self.pings = [threading.Thread(target=self._ping, daemon=True) for _ in range(2)]
        for thread in self.pings:
            thread.start()

    def _port(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with open(self.log.name, encoding="utf-8") as log:
                found = re.search(r"listening on http://127\.0\.0\.1:(\d+)\s", log.read())
            if found:
                return int(found.group(1))
            time.sleep(0.02)
        with open(self.log.name, encoding="utf-8") as log:
            raise RuntimeError("the service does not listen:\n" + log.read())

    def _ping(self):
        while not self.is_over.wait(0.04):
            try:
                self.get("/ping")
            except (OSError, http.client.HTTPException):
                pass

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def stop(self):
        self.is_over.set()
        for thread in self.pings:
            thread.join()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Check:
    def __init__(self, arguments):
        self.arguments = arguments
        self.failures = 0
        self.folder = tempfile.mkdtemp(prefix="status-check-db-")
        os.chmod(self.folder, 0o755)

    def database(self, verb):
        command = [self.arguments.lab, "db", verb, "--folder", f"{self.folder}/db"]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def expect(self, what, is_so, detail=""):
        print(f"{'ok   ' if is_so else 'FAIL '} {what}{'' if is_so or not detail else f': {detail}'}", flush=True)
        self.failures += not is_so

    def screenshots(self, browser, name):
        if not self.arguments.screenshots:
            return
        for device, (width, height, is_phone) in SIZES.items():
            for scheme in ("light", "dark"):
                browser.show(width, height, scheme, is_phone)
                browser.screenshot(f"{self.arguments.screenshots}/{name}-{device}-{scheme}.png")

    def run(self):
        browser = service = None
        try:
            url = self.database("create")
            browser = Browser(self.arguments.browser)
            service = Service(self.arguments.daruma, url)
            self.look(browser, service)
            service = self.restart(browser, service, url)
            self.expect("SIGTERM, with the page open: exit 0", service.stop() == 0)
        finally:
            if service:
                service.stop()
            if browser:
                browser.close()
            self.database("remove")
            subprocess.run(["rm", "-rf", self.folder], check=False)
        return self.failures

    def look(self, browser, service):
        page = f"http://127.0.0.1:{service.port}/status"
        headline = "document.getElementById('headline').textContent"
        browser.show(1280, 900, "light", False)
        browser.open(page)
        browser.wait("live", "document.getElementById('link-text').textContent === 'live'")
        browser.wait("the database is up", f"{headline} === 'The database is up'")
        browser.wait("an idle slot", "document.querySelectorAll('#slots .s-idle').length > 0")
        browser.wait("pings in the timeline", "document.querySelector('#chart .ok')?.getAttribute('d')")
        self.expect("up: shown, with slots and pings", True)
        if self.arguments.hold:
            time.sleep(self.arguments.hold)
        self.screenshots(browser, "1-up")
        self.accessibility(browser)

        announced = "document.getElementById('announce').textContent"
        browser.evaluate("window.spoken = []; new MutationObserver(() => spoken.push(document.getElementById("
                         "'announce').textContent)).observe(document.getElementById('announce'), {childList: true})")
        self.database("stop")
        took = browser.wait("the database is down", f"{headline} === 'The database is down'")
        browser.wait("the cause", "!document.getElementById('cause').hidden")
        browser.wait("the outage in the timeline", "document.querySelector('#chart .band.k-down').getAttribute('d')")
        browser.wait("failed pings", "document.querySelector('#chart .bad').getAttribute('d')")
        browser.wait("no idle slot", "document.querySelectorAll('#slots .s-idle').length === 0")
        self.expect(f"down: shown {took:.1f} s after the stop", True)
        self.expect("down: announced", "The database is down" in browser.evaluate(announced))
        status, _, html = service.get("/status")
        self.expect("down: the page shows it without its script", status == 200 and "<h1 id=\"headline\">The database is down</h1>" in html)
        if self.arguments.hold:
            time.sleep(self.arguments.hold)
        self.screenshots(browser, "2-down")
        self.accessibility(browser)

        self.database("start")
        took = browser.wait("the database is up again", f"{headline} === 'The database is up'")
        browser.wait("the outage in the list", "document.querySelectorAll('#outage-rows tr').length === 1")
        browser.wait("an idle slot", "document.querySelectorAll('#slots .s-idle').length > 0")
        self.expect(f"up again: shown {took:.1f} s after the start, with the outage in the list", True)
        spoken = browser.evaluate("spoken.join('|')")
        self.expect("only changes of state are announced", 2 <= spoken.count("|") + 1 <= 4, spoken)
        if self.arguments.hold:
            time.sleep(min(self.arguments.hold, 3))
        self.screenshots(browser, "3-recovered")
        self.keyboard(browser)
        self.accessibility(browser)
        files = [service.get(path) for path in ("/status", "/status.css", "/status.js")]
        size = sum(len(body) for _, _, body in files)
        self.expect("page, style and script have at most 60 KB", size <= 60_000, str(size))
        self.expect("no cache keeps them", all(headers["Cache-Control"] == "no-store" for _, headers, _ in files))
        self.expect("no password and no user in the page", not re.search("P@ssw0rd|admin", files[0][2]))
        self.problems(browser, page, "during the outage")

    def keyboard(self, browser):
        browser.show(360, 780, "light", True)
        frame = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        wide = browser.evaluate(f"{frame}.then(() => document.documentElement.scrollWidth)")
        self.expect("360 px wide: nothing overflows", wide <= 360, f"{wide} px")
        browser.evaluate("document.getElementById('look').focus()")
        browser.press("ArrowLeft", 37, times=3)
        value = browser.evaluate("document.getElementById('look').value")
        text = browser.evaluate("document.getElementById('look').getAttribute('aria-valuetext')")
        self.expect("the keyboard moves through the timeline", value == "-3" and bool(text), f"{value} {text}")
        browser.evaluate("document.querySelector('#as-table > summary').focus()")
        browser.press("Enter", 13)
        browser.evaluate("document.getElementById('as-table').open ||= true")
        browser.wait("the timeline as a table", "document.querySelectorAll('#minutes tr').length > 0")
        self.expect("the timeline has a table", True)

    def accessibility(self, browser):
        """Checks the accessibility with axe-core, if given."""
        if not self.arguments.axe:
            return
        with open(self.arguments.axe, encoding="utf-8") as source:
            browser.evaluate(f"if (!window.axe) {{ {source.read()} }}; true")
        for device, (width, height, is_phone) in SIZES.items():
            for scheme in ("light", "dark"):
                browser.show(width, height, scheme, is_phone)
                found = browser.evaluate("""axe.run().then(result => result.violations.map(violation =>
                    `${violation.id}: ${violation.nodes.map(node => node.target + ' ' + node.failureSummary)}`).join('\\n'))""")
                self.expect(f"no axe-core violation: {device}, {scheme}", found == "", found)

    def restart(self, browser, service, url):
        """Restarts the service while the page is open."""
        uptime = "document.getElementById('uptime').textContent"
        port = service.port
        self.expect("SIGTERM, with the page open: exit 0", service.stop() == 0)
        browser.wait("stale", "document.documentElement.classList.contains('stale')")
        self.expect("service stopped: the page marks its data as old",
                    "retrying" in browser.evaluate("document.getElementById('link-text').textContent"))
        self.screenshots(browser, "4-connection-lost")
        self.accessibility(browser)
        service = Service(self.arguments.daruma, url, port)
        took = browser.wait("live again", "document.getElementById('link-text').textContent === 'live'")
        browser.wait("a new service", f"/^\\d+(\\.\\d)? m?s$/.test({uptime})")
        self.expect(f"service back: the page is live again after {took:.1f} s", True)
        page = f"http://127.0.0.1:{port}/"
        expected = [problem for problem in browser.problems if "ERR_CONNECTION_REFUSED" in problem
                    or "ERR_INCOMPLETE_CHUNKED_ENCODING" in problem or "ERR_CONNECTION_RESET" in problem]
        browser.problems = [problem for problem in browser.problems if problem not in expected]
        self.problems(browser, page, "during the restart")
        return service

    def problems(self, browser, page, when):
        self.expect(f"no error, no policy violation {when}", not browser.problems, "; ".join(browser.problems))
        origin = page[:page.index("/", 7) + 1]
        other_origins = [url for url in browser.requests if not url.startswith((origin, "data:"))]
        self.expect(f"no request to another origin {when}", not other_origins, " ".join(other_origins))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--daruma", required=True, help="the service's binary")
    parser.add_argument("--lab", required=True, help="the lab's binary")
    parser.add_argument("--browser", default="chromium")
    parser.add_argument("--screenshots", metavar="FOLDER", help="where screenshots are written")
    parser.add_argument("--axe", metavar="FILE", help="axe.min.js: check the accessibility too")
    parser.add_argument("--hold", type=float, default=0, metavar="SECONDS", help="duration of each state, for the screenshots")
    arguments = parser.parse_args()
    if arguments.screenshots:
        os.makedirs(arguments.screenshots, exist_ok=True)
    raise SystemExit(1 if Check(arguments).run() else 0)


main()

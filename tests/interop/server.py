"""For scripts in Python: a server on a free port with a folder of its own, and a count of what held."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request


def poll(seconds, condition, what):
    """Repeats the condition until it gives something true, and gives that."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"gave up waiting for {what}")
        time.sleep(0.05)


class Server:
    """`hence dev`, for the time of a `with`."""

    def __init__(self, *args):
        self.work = tempfile.mkdtemp(prefix="hence-interop-")
        self.data = os.path.join(self.work, "data")
        self.args = args or ("--data", self.data)
        self.listen = "127.0.0.1:0"
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.work, ignore_errors=True)

    def start(self):
        """Starts it; a second time on the port of the first."""
        log = os.path.join(self.work, "server.log")
        with open(log, "wb") as out:
            command = [os.environ["HENCE_BIN"], "dev", "--listen", self.listen, *self.args]
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        self.url = poll(30, lambda: self._address(log), "the address of the server")
        self.listen = self.url.removeprefix("http://")
        poll(30, self._ready, "/readyz")

    def stop(self, how=signal.SIGTERM):
        """Ends it and waits until it is gone."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait(timeout=30)
            self.process = None

    def restart(self, how):
        self.stop(how)
        self.start()

    def _address(self, log):
        with open(log, encoding="utf-8") as lines:
            text = lines.read()
        if self.process.poll() is not None:
            raise RuntimeError(f"the server did not start: {text}")
        for line in text.splitlines():
            if '"ready"' in line and line.endswith("}"):
                return json.loads(line)["listen"]
        return None

    def _ready(self):
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False


class Checks:
    """What held and what did not."""

    def __init__(self):
        self.failed = 0

    def equal(self, what, expected, found):
        self.true(what, expected == found, f"expected {expected!r}, found {found!r}")

    def true(self, what, held, because=""):
        if held:
            print(f"  ok      {what}")
        else:
            self.failed += 1
            print(f"  FAILED  {what}: {because}")

    def finish(self):
        if self.failed:
            print(f"{self.failed} did not hold")
        sys.exit(min(self.failed, 1))


def not_covered(reason):
    """The script cannot run here."""
    print(reason)
    sys.exit(77)

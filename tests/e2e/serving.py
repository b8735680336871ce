"""What the scripts beside this one share: a `tern serve` process on a free port, and plain HTTP to it."""
import contextlib
import http.client
import json
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import traceback

READY = re.compile(r"listening on (https?)://([^/:]+):(\d+)/v1 \(model (.+)\)")


class Server:
    def __init__(self, tern, model, *flags):
        port = [] if "--port" in flags else ["--port", "0"]
        command = [tern, "serve", model, "--host", "127.0.0.1", *port, *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.log = []
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reader.start()
        for line in self.process.stdout:
            found = READY.search(line)
            if found:
                self.scheme, self.host, self.port, self.model = found[1], found[2], int(found[3]), found[4]
                return
        raise RuntimeError(f"tern serve ended with {self.process.wait()} before it was ready: {''.join(self.log)}")

    def connect(self, timeout=120, trusted=None):
        if self.scheme == "https":
            context = ssl.create_default_context(cafile=trusted)
            return http.client.HTTPSConnection("localhost", self.port, timeout=timeout, context=context)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, **how):
        with contextlib.closing(self.connect(**how)) as connection:
            connection.request(method, path, body=json.dumps(body) if body is not None else None, headers=headers or {})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read().decode()

    def complete(self, prompt="Once upon a time", **more):
        body = dict(prompt=prompt, max_tokens=8, temperature=0, ignore_eos=True) | more
        return self.ask("POST", "/v1/completions", body)

    def stop(self, how=signal.SIGTERM, timeout=60):
        self.process.send_signal(how)
        code = self.process.wait(timeout)
        self.reader.join(10)
        return code


def events(text):
    """The payloads of a stream, without its end; the end must be there."""
    payloads = [part[6:] for part in text.split("\n\n") if part.startswith("data: ")]
    assert payloads and payloads[-1] == "[DONE]", text[-200:]
    return [json.loads(payload) for payload in payloads[:-1]]


def soon(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def run(checks):
    """Runs every function; prints 'N passed, N failed'; the exit code."""
    passed = failed = 0
    for check in checks:
        try:
            check()
            passed += 1
        except Exception:  # one check's failure is a line of the report, whatever it is
            failed += 1
            print(f"FAILED {check.__name__}", file=sys.stderr)
            traceback.print_exc()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0

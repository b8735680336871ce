#!/usr/bin/env python3
"""Bad days of a real `tern serve`: signals in the middle of work, floods, TLS by curl, what it listens on.

    bad_days_client.py TERN MODEL

Needs nothing beyond Python, and for the check of TLS the programs openssl and curl. Prints 'N passed, N failed' and
exits with 1 when a check failed.
"""
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from serving import Server, events, run, soon

TERN, MODEL = sys.argv[1:3]
TOKENS = 24


def text_of(stream):
    return "".join(event["choices"][0]["text"] for event in stream if event.get("choices"))


def listening(pid):
    """Local addresses that the process listens on, as /proc names them."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        with open(f"/proc/{pid}/net/{table}") as lines:
            for fields in map(str.split, list(lines)[1:]):
                if fields[9] in inodes and (table.startswith("udp") or fields[3] == "0A"):
                    found.append((table, fields[1]))
    return found


def check_listens_only_where_asked():
    server = Server(TERN, MODEL)
    try:
        assert server.complete()[0] == 200
        assert listening(server.process.pid) == [("tcp", f"0100007F:{server.port:04X}")], listening(server.process.pid)
    finally:
        assert server.stop() == 0


def check_loading_is_said():
    """From the first moment on that the port is open: 503 until it is 200."""
    probe = socket.socket()
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    statuses = []
    done = threading.Event()

    def ask():
        while not done.is_set():
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as connection:
                    connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    statuses.append(connection.recv(12)[9:12])
            except OSError:
                pass
            time.sleep(0.001)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    server = Server(TERN, MODEL, "--port", str(port))
    done.set()
    thread.join()
    assert server.ask("GET", "/health")[0] == 200
    assert statuses and statuses[0] == b"503" and set(statuses) <= {b"503", b"200"}, statuses
    assert server.stop() == 0


def check_sigterm_under_load():
    """Every stream is whole, or ends with an error after a prefix of the whole; the process ends with 0 in time."""
    for moment in (0.05, 0.4, 1.0):
        server = Server(TERN, MODEL, "--shutdown-timeout", "30")
        expected = text_of(events(server.complete(stream=True, max_tokens=TOKENS)[2]))
        answers = []

        def ask():
            try:
                answers.append(server.complete(stream=True, max_tokens=TOKENS))
            except OSError:
                answers.append((0, {}, ""))  # the connection came too late

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        time.sleep(moment)
        begin = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begin < 31
        for thread in threads:
            thread.join()
        for status, headers, text in answers:
            assert status in (0, 200, 503), status
            if status == 200:
                assert text_of(events(text)) == expected, (text_of(events(text)), expected)
            if status == 503:
                assert "Retry-After" in headers


def check_kill_and_restart():
    """kill -9 at any moment leaves nothing that keeps the next one from serving on the same port."""
    port = None
    for _ in range(3):
        server = Server(TERN, MODEL, *(["--port", str(port)] if port else []))
        port = server.port
        threads = [threading.Thread(target=lambda: quietly(server.complete, stream=True, max_tokens=60)) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(random.random())
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        for thread in threads:
            thread.join()
    server = Server(TERN, MODEL, "--port", str(port))
    assert server.complete()[0] == 200
    assert server.stop() == 0


def quietly(call, **arguments):
    try:
        return call(**arguments)
    except Exception:  # what becomes of a client of a killed server is not the question
        return None


def check_flood():
    """Ten times what fits: 200, or 429 within a second; afterwards all is as before. What comes within one step of the
    engine has the queue alone, hence 4 and not 8."""
    server = Server(TERN, MODEL, "--max-num-seqs", "4", "--max-queued-requests", "4")
    try:
        answers, slow = [], []

        def ask():
            begin = time.monotonic()
            status, headers, _ = server.complete(max_tokens=16)
            answers.append(status)
            if status == 429:
                assert "Retry-After" in headers
                slow.append(time.monotonic() - begin)

        threads = [threading.Thread(target=ask) for _ in range(80)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(answers) == {200, 429} and answers.count(200) >= 4 and len(answers) == 80, answers
        assert max(slow) < 1.5, max(slow)
        assert soon(lambda: server.complete()[0] == 200)
        assert server.complete(max_tokens=4)[0] == 200
    finally:
        assert server.stop() == 0


def check_tls_by_curl():
    if not (shutil.which("openssl") and shutil.which("curl")):
        print("openssl or curl is missing: TLS is left to the unit tests")
        return
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
                        certificate], check=True, capture_output=True)
        server = Server(TERN, MODEL, "--ssl-certfile", certificate, "--ssl-keyfile", key, "--api-key", "one,two")
        try:
            assert server.scheme == "https"
            url = f"https://localhost:{server.port}/v1/completions"
            command = ["curl", "-sS", "--cacert", certificate, "-H", "x-api-key: two", "-d",
                       '{"prompt":"Hi","max_tokens":5,"ignore_eos":true,"stream":true}', url]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            assert events(done.stdout)
            refused = subprocess.run(["curl", "-sS", url], capture_output=True, text=True, timeout=60)
            assert refused.returncode != 0  # curl does not know the certificate
        finally:
            assert server.stop() == 0


if __name__ == "__main__":
    sys.exit(run([check_listens_only_where_asked, check_loading_is_said, check_sigterm_under_load,
                  check_kill_and_restart, check_flood, check_tls_by_curl]))

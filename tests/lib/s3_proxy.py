#!/usr/bin/env python3
"""A proxy before an S3 server that logs, delays and breaks what passes: s3_proxy.py HOST:PORT FOLDER

It writes FOLDER/port when it listens, a line "METHOD CLASS STATUS" for each request to FOLDER/log (classes as lifeboat
counts them; STATUS is the fault's name where one struck), and looks into FOLDER/plan for each request:
{"delay_ms": 50, "faults": {"500": 0.1, ...}, "seed": 1, "refuse": "PUT .*/packs/", "clock_s": 900, "hide":
"/snapshots/", "only": "[?&]versions="}: clock_s moves the dates of the replies, hide leaves keys out of listings, and
faults strike only requests that "only" is found in. Without a plan it only logs. The Host header is passed on as it is,
so signatures hold. Runs until it is killed."""
import email.utils
import json
import os
import random
import re
import socket
import struct
import sys
import threading
import time

BLOCK = 256 * 1024
host, _, port = sys.argv[1].partition(":")
folder = sys.argv[2]
lock = threading.Lock()
log = open(os.path.join(folder, "log"), "a", buffering=1)
clock_s = 0
hide = None
dice = None
plan_text = ""


class Gone(Exception):
    """One side hung up."""


class Line:
    """A connection, read by the line and by the block."""

    def __init__(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.rest = sock, b""

    def head(self):
        """The lines up to the empty one; None: it was hung up before the first byte."""
        while b"\r\n\r\n" not in self.rest:
            more = self.sock.recv(BLOCK)
            if not more:
                if self.rest:
                    raise Gone
                return None
            self.rest += more
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        return head

    def read(self, n):
        if not self.rest:
            more = self.sock.recv(min(n, BLOCK))
            if not more:
                raise Gone
            return more
        out, self.rest = self.rest[:n], self.rest[n:]
        return out

    def pass_on(self, to, n):
        """The next n bytes, to another line."""
        while n > 0:
            piece = self.read(n)
            to.sock.sendall(piece)
            n -= len(piece)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone


def header(head, name):
    found = re.search(rb"(?im)^" + name + rb":\s*(.*?)\s*$", head)
    return found[1].decode() if found else None


def class_of(method, path):
    if method == "GET":
        return "list" if re.search(r"[?&](list-type|versions)=", path) else "get"
    return {"PUT": "put", "HEAD": "head", "DELETE": "delete"}[method]


def choose(request):
    """The delay of this request, and its fault or None."""
    global clock_s, dice, hide, plan_text
    try:
        with open(os.path.join(folder, "plan"), encoding="ascii") as f:
            text = f.read()
    except FileNotFoundError:
        return 0, None
    plan = json.loads(text)
    clock_s = plan.get("clock_s", 0)
    hide = plan.get("hide")
    with lock:
        if text != plan_text:
            dice, plan_text = random.Random(plan.get("seed", 1)), text
        left = dice.random()
        pause = dice.random() * plan.get("jitter_ms", 0) / 1000
    if re.match(plan.get("refuse", "$"), request):
        return 0, "refused"
    if not re.search(plan.get("only", ""), request):
        return plan.get("delay_ms", 0) / 1000 + pause, None
    for fault, share in plan.get("faults", {}).items():
        left -= share
        if left < 0:
            return plan.get("delay_ms", 0) / 1000 + pause, fault
    return plan.get("delay_ms", 0) / 1000 + pause, None


def refuse(client, status, code, more=""):
    body = f"<Error><Code>{code}</Code></Error>".encode()
    client.sock.sendall(f"HTTP/1.1 {status} No\r\n{more}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    raise Gone


def send_up(client, server, head, fault):
    """The request; the head of the reply."""
    server.sock.sendall(head + b"\r\n\r\n")
    size = int(header(head, b"content-length") or 0)
    if header(head, b"expect"):
        answer = server.head()
        if not answer or b" 100 " not in answer[:16]:
            return answer
        client.sock.sendall(answer + b"\r\n\r\n")
    if fault == "resetup":
        client.pass_on(server, size // 2)
        client.reset()
    client.pass_on(server, size)
    return server.head()


def send_chunks(client, server):
    """A body in chunks, as it comes."""
    while True:
        while b"\r\n" not in server.rest:
            server.rest += server.sock.recv(BLOCK) or server.reset()
        line, _, server.rest = server.rest.partition(b"\r\n")
        client.sock.sendall(line + b"\r\n")
        size = int(line.split(b";")[0], 16)
        server.pass_on(client, size + 2)
        if size == 0:
            return


def gather(server, answer):
    """A body, in one piece."""
    body = bytearray()
    size = None if header(answer, b"transfer-encoding") else int(header(answer, b"content-length") or 0)
    while size is None or len(body) < size:
        left = size
        if left is None:
            while b"\r\n" not in server.rest:
                server.rest += server.sock.recv(BLOCK) or server.reset()
            line, _, server.rest = server.rest.partition(b"\r\n")
            left = int(line.split(b";")[0], 16) + 2
            last = left == 2
        while left > 0:
            piece = server.read(left)
            body += piece
            left -= len(piece)
        if size is None:
            del body[-2:]
            if last:
                break
    return bytes(body)


def send_part_of_list(client, server, answer):
    """A listing without what the plan hides."""
    body = gather(server, answer)
    for entry in re.findall(rb"<Contents>.*?</Contents>", body, re.S):
        if re.search(hide.encode(), re.search(rb"<Key>(.*?)</Key>", entry)[1]):
            body = body.replace(entry, b"")
    head = [line for line in answer.split(b"\r\n") if not re.match(rb"(?i)(transfer-encoding|content-length):", line)]
    client.sock.sendall(b"\r\n".join(head) + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def send_down(client, server, method, answer, fault):
    size = int(header(answer, b"content-length") or 0)
    status = answer.split(b" ", 2)[1]
    if fault == "lost":  # done, and nobody hears of it
        client.reset()
    if fault == "short" and size > 1:
        answer = re.sub(rb"(?im)^content-length:.*$", b"Content-Length: %d" % (size // 2), answer)
    if clock_s:
        date = email.utils.formatdate(time.time() + clock_s, usegmt=True)
        answer = re.sub(rb"(?im)^date:.*$", f"Date: {date}\r".encode(), answer)
    client.sock.sendall(answer + b"\r\n\r\n")
    if method == "HEAD" or status in (b"204", b"304"):
        return
    if header(answer, b"transfer-encoding"):
        return send_chunks(client, server)
    if fault in ("resetdown", "cut", "short"):
        server.pass_on(client, size // 2)
        if fault == "resetdown":
            client.reset()
        raise Gone
    server.pass_on(client, size)


def exchange(client, server, head):
    method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    delay, fault = choose(f"{method} {path}")
    status = fault
    time.sleep(delay)
    try:
        if fault == "500":
            refuse(client, 500, "InternalError")
        if fault == "refused":
            refuse(client, 403, "AccessDenied")
        if fault == "slow":
            refuse(client, 503, "SlowDown", "Retry-After: 1\r\n")
        answer = send_up(client, server, head, fault)
        if answer is None:
            raise Gone
        status = status or answer.split(b" ", 2)[1].decode()
        if hide and class_of(method, path) == "list":
            return send_part_of_list(client, server, answer)
        send_down(client, server, method, answer, fault)
        if (header(answer, b"connection") or "").lower() == "close":
            raise Gone
    finally:
        log.write(f"{method} {class_of(method, path)} {status or 'gone'}\n")


def serve(sock):
    client = Line(sock)
    try:
        with socket.create_connection((host, int(port))) as upstream:
            server = Line(upstream)
            while (head := client.head()) is not None:
                exchange(client, server, head)
    except (Gone, OSError):
        pass
    finally:
        sock.close()


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    with open(os.path.join(folder, "port.new"), "w", encoding="ascii") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(os.path.join(folder, "port.new"), os.path.join(folder, "port"))
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


main()

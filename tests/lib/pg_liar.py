#!/usr/bin/env python3
"""A PostgreSQL server that lies, on a unix socket in FOLDER: pg_liar.py FOLDER LIE. Everybody may connect; the first query is
answered well. Then LIE is "columns" (each answer is a row without columns), "results" or "copy" (an answer without an end)."""
import os
import socketserver
import struct
import sys

FOLDER, LIE = sys.argv[1:]


def message(kind, body=b""):
    return kind + struct.pack(">I", len(body) + 4) + body


READY = message(b"Z", b"I")
DONE = message(b"C", b"SELECT 1\0")
LIES = {"columns": message(b"1") + message(b"2") + message(b"T", b"\0\0") + message(b"D", b"\0\0") + DONE + READY,
        "results": DONE * 1000, "copy": message(b"H", b"\0\0\0") + message(b"d", b"x" * 1000) * 100}


class Handler(socketserver.StreamRequestHandler):
    def read(self):
        return self.rfile.read(struct.unpack(">I", self.rfile.read(4))[0] - 4)

    def handle(self):
        if len(self.read()) < 13:  # a request to cancel
            return
        settings = b"".join(message(b"S", s) for s in (b"server_version\00015.4\0", b"server_encoding\0UTF8\0"))
        self.wfile.write(message(b"R", b"\0\0\0\0") + settings + message(b"K", b"\0" * 8) + READY)
        first = True
        while (kind := self.rfile.read(1)) not in (b"", b"X"):
            self.read()
            if kind not in (b"Q", b"S"):  # a simple query, or the end of one with parameters
                continue
            self.wfile.write((message(b"1") + message(b"2") if kind == b"S" else b"") + DONE + READY if first else LIES[LIE])
            while not first and LIE != "columns":
                self.wfile.write(LIES[LIE])
            first = False


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


with Server(os.path.join(FOLDER, ".s.PGSQL.5432"), Handler) as server:
    print("ready", flush=True)
    server.serve_forever()

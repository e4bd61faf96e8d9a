#!/usr/bin/env python3
"""A container engine's API on a unix socket, from recorded answers (Docker 24, API 1.43), for tests: there is no
engine on the test machine. engine.py SOCKET FOLDER: GET /containers/json and /containers/ID/json,
/volumes/NAME answer with FOLDER/containers/ID.json and FOLDER/volumes/NAME.json, read anew each time; the list is
made from the containers, filtered as the engine does. Each request line is added to FOLDER/requests."""
import http.server
import json
import os
import socketserver
import sys
import urllib.parse

SOCKET, FOLDER = sys.argv[1], sys.argv[2]


def containers():
    folder = os.path.join(FOLDER, "containers")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            yield json.load(f)


def listed(filters):
    for c in containers():
        labels = c["Config"]["Labels"]
        wanted = [w.partition("=") for w in filters.get("label", [])]
        state = c["State"]["Status"]
        if all(labels.get(k) == v for k, _, v in wanted) and state in filters.get("status", ["running"]):
            yield {"Id": c["Id"], "Names": [c["Name"]], "Image": c["Config"]["Image"], "Labels": labels, "State": state}


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):  # noqa: N802
        with open(os.path.join(FOLDER, "requests"), "a", encoding="utf-8") as f:
            f.write(self.path + "\n")
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if url.path == "/containers/json":
            filters = json.loads(urllib.parse.parse_qs(url.query).get("filters", ["{}"])[0])
            return self.answer(200, list(listed(filters)))
        if parts[0] == "containers" and len(parts) == 3 and parts[2] == "json":
            for c in containers():
                if parts[1] in (c["Id"], c["Name"].lstrip("/")):
                    return self.answer(200, c)
            return self.answer(404, {"message": f"No such container: {parts[1]}"})
        path = os.path.join(FOLDER, "volumes", parts[-1] + ".json")
        if parts[0] == "volumes" and os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                return self.answer(200, json.load(f))
        return self.answer(404, {"message": f"get {parts[-1]}: no such volume"})

    def address_string(self):
        return "unix"

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


with Server(SOCKET, Handler) as server:
    print("ready", flush=True)
    server.serve_forever()

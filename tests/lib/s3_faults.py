#!/usr/bin/env python3
"""A small S3 server that misbehaves as it is told. It prints its port, and ends when its stdin does.

The bucket's name says how: FAULT or FAULT-N; with N only the first N requests that the fault is about meet it (counted
for each method and first part of the key), the others are served well. Objects live in memory, signatures are not checked (a real server does that in other tests)."""
import base64
import email.utils
import hashlib
import http.server
import re
import socket
import struct
import sys
import threading
import time
import urllib.parse

REFUSALS = {  # fault: status, code, what else the XML says, headers
    "500": (500, "InternalError", "", {}),
    "502": (502, None, "", {}),
    "429": (429, "TooManyRequests", "", {}),
    "slow": (503, "SlowDown", "<Message>Please reduce your request rate.</Message>", {"Retry-After": "1"}),
    "wait": (503, "SlowDown", "", {"Retry-After": "900"}),
    "timeout": (400, "RequestTimeout", "", {}),
    "expired": (400, "ExpiredToken", "<Message>The provided token has expired.</Message>", {}),
    "signature": (403, "SignatureDoesNotMatch", "", {}),
    "nobucket": (404, "NoSuchBucket", "", {}),
    "denied": (403, "AccessDenied", "", {}),
    "plain403": (403, None, "", {}),
    "moved": (301, "PermanentRedirect", "<Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint>",
              {"x-amz-bucket-region": "eu-west-1", "Location": "http://127.0.0.1:9/"}),
    "temporary": (307, "TemporaryRedirect", "<Endpoint>b.s3-eu-west-1.amazonaws.com</Endpoint>",
                  {"Location": "http://127.0.0.1:9/"}),
    "wrongregion": (400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>", {}),
    "evilregion": (400, "AuthorizationHeaderMalformed", "<Region>eu&#13;&#10;X-Evil: 1</Region>", {}),
    "archived": (403, "InvalidObjectState", "", {}),
    "full": (507, None, "", {}),
}
LISTED = 10000
lock = threading.Lock()
objects, met = {}, {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(time.time() + (850 if self.fault == "skew" else 0), usegmt=True)

    # ---- what to do ----
    def meets(self, fault):
        """Whether this request meets the fault of its bucket."""
        if self.fault != fault:
            return False
        who = self.bucket, self.key.partition("/")[0], self.command
        with lock:
            met[who] = met.get(who, 0) + 1
            return self.left is None or met[who] <= self.left

    def handle_any(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        self.bucket, _, key = url.path.lstrip("/").partition("/")
        self.key = urllib.parse.unquote(key)
        self.fault, number = re.fullmatch(r"([a-z0-9]+)(?:-(\d+))?", self.bucket).groups()
        self.left = int(number) if number else None
        if self.meets("silent"):
            return self.wait_for_end()
        if self.meets("flood"):
            return self.flood(403)
        if self.fault == "wrongregion" and "/eu-west-1/" in self.headers.get("Authorization", ""):
            self.fault = "ok"
        if self.command != "PUT" and self.meets(self.fault if self.fault in REFUSALS else "no"):
            return self.refuse(self.fault)
        if self.fault == "skew":
            return self.answer(403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>")
        if self.fault == "token" and "x-amz-security-token" not in self.headers.get("Authorization", ""):
            return self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        getattr(self, "on_" + self.command.lower())()
        if self.fault == "hangup":  # without a word about it: the next request meets a dead connection
            self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_DELETE = handle_any

    # ---- operations ----
    def on_put(self):
        size = int(self.headers["Content-Length"])
        if self.meets("resetup"):
            self.rfile.read(size // 2)
            return self.reset()
        if self.meets("refuseup"):  # an early "no", and then nothing
            self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            return self.wait_for_end()
        body = self.rfile.read(size)
        if self.meets(self.fault if self.fault in REFUSALS else "no"):
            return self.refuse(self.fault)
        if self.meets("error200"):
            return self.answer(200, b"<Error><Code>InternalError</Code></Error>")
        digest = hashlib.sha256(body).hexdigest()
        if (self.headers["Content-MD5"] != base64.b64encode(hashlib.md5(body).digest()).decode() or
                self.headers.get("x-amz-content-sha256", digest) != digest):
            return self.answer(400, b"<Error><Code>InvalidDigest</Code></Error>")
        if self.fault == "ignoresall" and self.query:
            return self.answer(200)
        with lock:
            objects[self.bucket, self.key] = body
        return self.answer(200)

    def on_delete(self):
        if self.meets("keeps"):  # and says that it is done
            return self.answer(204)
        with lock:
            objects.pop((self.bucket, self.key), None)
        self.answer(204)

    def on_head(self):
        with lock:
            body = objects.get((self.bucket, self.key))
        if body is None:
            return self.answer(404)
        locks = {"weaklock": ("GOVERNANCE", 10 * 86400), "shortlock": ("COMPLIANCE", 3600)}
        if self.fault in locks:
            mode, seconds = locks[self.fault]
            until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
            return self.answer(200, body, {"x-amz-object-lock-mode": mode, "x-amz-object-lock-retain-until-date": until})
        return self.answer(200, body, length=not self.meets("nolength"))

    def on_get(self):
        if not self.key:
            if "versions" in self.query:
                return self.on_versions()
            return self.on_list() if "prefix" in self.query else self.answer(200, self.setting())
        with lock:
            whole = objects.get((self.bucket, self.key))
        if whole is None:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        status, body, headers = 200, whole, {}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked and self.fault != "norange":
            first, last = int(asked[1]), int(asked[2]) + (1 if self.fault == "morerange" else 0)
            status, body = 206, whole[first:last + 1]
            headers = {"Content-Range": f"bytes {first}-{first + len(body) - 1}/{len(whole)}"}
        half = len(body) // 2
        if self.meets("resetdown"):
            self.answer(status, body, headers, send=half)
            return self.reset()
        if self.meets("cut"):
            self.close_connection = True
            return self.answer(status, body, headers, send=half)
        if self.meets("drip"):  # ten bytes a second
            self.answer(status, body, headers, send=half)
            return self.drip(body[half:])
        if self.meets("stall"):
            self.answer(status, body, headers, send=half)
            return self.wait_for_end()
        if self.meets("short"):
            return self.answer(status, body[:half], headers)
        if self.meets("nolength"):
            self.close_connection = True
            return self.answer(status, body, headers, length=False, send=half)
        if self.meets("garbage"):
            return self.answer(status, bytes(len(body)), headers)
        return self.answer(status, body, headers)

    def on_list(self):
        first = int(self.query.get("continuation-token", 0))
        if self.meets("badxml"):
            return self.answer(200, b"<html><body>Welcome!</body></html>")
        if self.meets("error200"):
            return self.answer(200, b"<Error><Code>InternalError</Code><Message>try later</Message></Error>")
        if self.fault == "endless":
            return self.flood(200)
        if self.fault == "newpages":  # ever the same names, and always more behind an ever new token
            return self.answer(200, self.page(3, f"{time.time_ns():020}"))
        names = [f"packs/{i:05}" for i in range(first, min(first + 1000, LISTED))]
        more = first + 1000 < LISTED
        token = 0 if self.fault == "samepage" else first + 1000
        body = ("<?xml version=\"1.0\"?>\n<ListBucketResult>" + "".join(
            f"<Contents><Key>{n}</Key><LastModified>2026-03-01T02:03:04.000Z</LastModified><Size>1</Size></Contents>"
            for n in names) + f"<IsTruncated>{str(more).lower()}</IsTruncated>" + (
                f"<NextContinuationToken>{token}</NextContinuationToken>" if more else "") + "</ListBucketResult>").encode()
        if first >= 4000 and self.meets("slowpage"):
            return self.refuse("500")
        if first >= 4000 and self.meets("cutpage"):
            return self.answer(200, body[:len(body) // 2])
        return self.answer(200, body, dated=self.fault != "nodate")

    def page(self, names, token):
        """Of a listing that goes on at the token (v2) or behind it (v1)."""
        return ("<ListBucketResult>" + "".join(
            f"<Contents><Key>packs/{i:05}</Key><LastModified>2026-03-01T02:03:04.000Z</LastModified><Size>1</Size></Contents>"
            for i in range(names)) + f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
            f"<NextMarker>{token}</NextMarker></ListBucketResult>").encode()

    def setting(self):
        if self.fault in ("undying", "hydra") and "versioning" in self.query:
            return b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        return b"<Nothing/>"

    def on_versions(self):
        """Ten of one name and more, whatever was deleted: the same ones, or ever new ones."""
        first = 0 if self.fault == "undying" else time.time_ns()
        return self.answer(200, ("<ListVersionsResult>" + "".join(
            f"<Version><Key>{self.query['prefix']}</Key><VersionId>v{first + i}</VersionId><Size>1</Size></Version>"
            for i in range(10)) + "<IsTruncated>true</IsTruncated><NextKeyMarker>x</NextKeyMarker></ListVersionsResult>").encode())

    # ---- replies ----
    def refuse(self, fault):
        status, code, more, headers = REFUSALS[fault]
        self.answer(status, f"<Error><Code>{code}</Code>{more}</Error>".encode() if code else b"<html>no</html>", headers)

    def answer(self, status, body=b"", headers=None, length=True, send=None, dated=True):
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if dated:
            self.send_header("Date", self.date_time_string())
        if length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:send])
            self.wfile.flush()

    def flood(self, status):
        self.send_response_only(status)
        self.end_headers()
        while True:  # ends with the connection
            self.wfile.write(bytes(65536))

    def drip(self, rest):
        self.close_connection = True
        self.connection.settimeout(0.1)
        for byte in rest:
            self.wfile.write(bytes([byte]))
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                pass

    def wait_for_end(self):
        self.close_connection = True
        self.connection.settimeout(60)
        try:
            while self.connection.recv(65536):
                pass
        except OSError:
            pass

    def reset(self):
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def shutdown_request(self, request):
        request.close()

    def handle_error(self, *_):
        pass


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()

#!/usr/bin/env python3
"""One signed request to an S3 server, for tests: s3.py METHOD PATH[?QUERY] [HEADER:VALUE...] <BODY

The server and the account are CEPH_HTTP, CEPH_ACCESS_KEY and CEPH_SECRET_KEY. Prints the reply's body; exits 1 when the
status is 300 or more. "s3.py LIST BUCKET PREFIX" prints the names of all objects below a prefix, sorted;
"s3.py TIMES N METHOD PATH" sends a request without a body N times."""
import datetime
import hashlib
import hmac
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def send(method, path, body=b"", headers=()):
    """Status and body; Signature V4 as AWS describes it."""
    endpoint = os.environ["CEPH_HTTP"]
    url = urllib.parse.urlsplit(endpoint + path)
    query = "&".join(sorted(q if "=" in q else q + "=" for q in url.query.split("&") if q))
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    signed = {"host": url.netloc, "x-amz-date": now, "x-amz-content-sha256": digest,
              **{k.lower(): v for k, v in headers}}
    names = ";".join(sorted(signed))
    lines = "".join(f"{k}:{signed[k]}\n" for k in sorted(signed))
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    canonical = hashlib.sha256(f"{method}\n{url.path}\n{query}\n{lines}\n{names}\n{digest}".encode()).hexdigest()
    key = ("AWS4" + os.environ["CEPH_SECRET_KEY"]).encode()
    for part in scope.split("/"):
        key = sign(key, part)
    signature = hmac.new(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{canonical}".encode(), hashlib.sha256).hexdigest()
    signed["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={os.environ['CEPH_ACCESS_KEY']}/{scope}, "
                               f"SignedHeaders={names}, Signature={signature}")
    del signed["host"]
    target = f"{endpoint}{url.path}" + (f"?{query}" if query else "")
    request = urllib.request.Request(target, body if body or method == "PUT" else None, signed, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def names_below(bucket, prefix):
    token, names = "", []
    while True:
        more = f"&continuation-token={urllib.parse.quote(token, safe='')}" if token else ""
        status, xml = send("GET", f"/{bucket}?list-type=2&prefix={urllib.parse.quote(prefix, safe='')}{more}")
        assert status == 200, xml
        names += re.findall("<Key>(.*?)</Key>", xml.decode())
        token = (re.findall("<NextContinuationToken>(.*?)</NextContinuationToken>", xml.decode()) or [""])[0]
        if not token:
            return sorted(n[len(prefix):] for n in names)


def main():
    method, path = sys.argv[1:3]
    if method == "LIST":
        print("\n".join(names_below(path, sys.argv[3])))
        return 0
    if method == "TIMES":
        return int(any(send(*sys.argv[3:5])[0] >= 300 for _ in range(int(path))))
    body = sys.stdin.buffer.read() if method in ("PUT", "POST") else b""
    status, text = send(method, path, body, [h.split(":", 1) for h in sys.argv[3:]])
    sys.stdout.buffer.write(text)
    return int(status >= 300)


sys.exit(main())

#!/usr/bin/python3
"""A private, throwaway OpenStack Swift for tests, on loopback: swift_s3.py DIR

A second code base beside Ceph, and a stricter one: it refuses a wrong region and a request without the hash of its body,
and it knows no Object Lock. The proxy that speaks S3 and its account, container and object server run in this one process.
DIR is made; DIR/env gets the variables of ceph.sh that there are here. Prints an empty line when it is ready, and ends when
its standard input does. Exit status 77: Swift is not installed (it is a package of /usr/bin/python3)."""
import json
import os
import sys

try:
    import eventlet
except ImportError:
    sys.exit(77)
eventlet.monkey_patch()
try:
    from eventlet import wsgi
    from swift.common import utils
    from swift.common.http_protocol import SwiftHttpProtocol
    from swift.common.ring import RingBuilder
    from swift.common.wsgi import loadapp
except ImportError as missing:
    print(f"no Swift is installed: {missing} (apt-get install python3-swift)", file=sys.stderr)
    sys.exit(77)

KEY, SECRET = "lab:tester", "testSecret/Key+0000000000000000"
STORAGE = ("account", "container", "object")
PIPELINE = "catch_errors gatekeeper healthcheck listing_formats bulk s3api tempauth slo versioned_writes symlink"
PROXY = f"""[DEFAULT]
swift_dir = DIR
[pipeline:main]
pipeline = {PIPELINE} proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
""" + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\nMORE {name}\n" for name in PIPELINE.split())
SETTINGS = {"s3api": "location = us-east-1\nstorage_domain = s3.localhost", "tempauth": f"user_lab_tester = {SECRET} .admin",
            "versioned_writes": "allow_object_versioning = true"}


class Cache(dict):
    """Stands in for memcached: its calls have more parameters, and none of them matters here."""

    def __bool__(self):
        return True  # also while it is empty

    def get(self, key, *_, **__):
        return json.loads(super().get(key, "null"))

    def set(self, key, value, *_, **__):
        self[key] = json.dumps(value)

    def delete(self, key, *_, **__):
        self.pop(key, None)


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="ascii") as f:
        f.write(text.replace("DIR", folder))


def storage_conf(folder, kind):
    write(folder, f"{kind}.conf", f"[DEFAULT]\nswift_dir = DIR\ndevices = DIR/disks\nmount_check = false\n"
          f"[pipeline:main]\npipeline = {kind}-server\n[app:{kind}-server]\nuse = egg:swift#{kind}\n")


def proxy_conf(folder):
    text = PROXY
    for name in PIPELINE.split():
        text = text.replace(f"MORE {name}\n", SETTINGS.get(name, "") + "\n")
    write(folder, "proxy.conf", text)


def ring(folder, kind, port):
    """One disk, one copy."""
    b = RingBuilder(2, 1, 0)
    b.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1",
               "replication_port": port, "device": "d", "weight": 1, "meta": ""})
    b.rebalance()
    b.get_ring().save(os.path.join(folder, f"{kind}.ring.gz"))


def serve(listener, folder, kind):
    cache = Cache()
    app = loadapp(os.path.join(folder, f"{kind}.conf"), global_conf={"log_name": kind})

    def with_cache(env, start):
        env["swift.cache"] = cache
        return app(env, start)
    eventlet.spawn(wsgi.server, listener, with_cache, utils.NullLogger(), protocol=SwiftHttpProtocol,
                   capitalize_response_headers=False)


def main(folder):
    os.makedirs(os.path.join(folder, "disks", "d"))
    write(folder, "swift.conf", "[swift-hash]\nswift_hash_path_suffix = test\nswift_hash_path_prefix = test\n")
    utils.set_swift_dir(folder)
    listeners = {kind: eventlet.listen(("127.0.0.1", 0)) for kind in (*STORAGE, "proxy")}
    for kind in STORAGE:
        storage_conf(folder, kind)
        ring(folder, kind, listeners[kind].getsockname()[1])
    proxy_conf(folder)
    for kind, listener in listeners.items():
        serve(listener, folder, kind)
    write(folder, "env", f"CEPH_HTTP=http://127.0.0.1:{listeners['proxy'].getsockname()[1]}\n"
          f"CEPH_ACCESS_KEY={KEY}\nCEPH_SECRET_KEY={SECRET}\n")
    print(flush=True)
    eventlet.tpool.execute(sys.__stdin__.read)


main(os.path.abspath(sys.argv[1]))

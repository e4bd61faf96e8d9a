#!/usr/bin/python3
"""Puts one hostile snapshot into a repository, as whoever has the writer key can: everything is sealed, named and hashed as it
should be, and says what it should not.

  hostile.py STORE WRITER_KEY CASE     puts it, and prints the id of its snapshot
  hostile.py cases                     prints the names of all cases

The writer key seals lists, tables, snapshots, receipts and marks; content is sealed to the public key in it. What the
cases are for stands in attackers.bats."""
import base64, hashlib, hmac, io, json, os, re, struct, sys, tarfile, time
import nacl.bindings as sodium
import zstandard
from nacl.public import PublicKey, SealedBox

NUMBERS = {"table": 16, "footer": 17, "index": 18, "snapshot": 19, "receipt": 20, "mark": 21, "tree slot": 22}
OUTSIDE = os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "escaped")  # beside the store
CASES = {}


def case(f):
    CASES[f.__name__] = f
    return f


class Repository:
    def __init__(self, store, writer_key):
        text = open(writer_key, encoding="ascii").read()
        self.store = store
        self.id, self.w, self.content = (bytes.fromhex(re.search(rf"^{n} ([0-9a-f]+)$", text, re.M)[1])
                                         for n in ("repository", "writer", "content"))
        self.frames, self.chunks = [], []

    def key(self, number):
        return hashlib.blake2b(b"", digest_size=32, key=self.w, salt=struct.pack("<QQ", number, 0), person=b"lifeboat").digest()

    def seal(self, kind, plain):
        """nonce and ciphertext"""
        nonce = os.urandom(24)
        additional = kind.encode().ljust(16, b"\0") + struct.pack("<II", 1, 1) + self.id
        return nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, additional, nonce, self.key(NUMBERS[kind]))

    def put(self, folder, data, name=None):
        name = name or hashlib.sha256(data).hexdigest()
        path = f"{self.store}/{folder}/{name}"
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as f:
            f.write(data)
        return name

    def put_sealed(self, folder, kind, value):
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.put(folder, struct.pack("<II", 1, 1) + self.seal(kind, text))

    def open_newest(self):
        folder = f"{self.store}/snapshots"
        data = open(max((f"{folder}/{n}" for n in os.listdir(folder)), key=os.path.getmtime), "rb").read()
        additional = b"snapshot".ljust(16, b"\0") + struct.pack("<II", 1, 1) + self.id
        return json.loads(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(data[32:], additional, data[8:32], self.key(19)))

    # ---- chunks: an entry of a table each time, and a reference ----
    def chunk_id(self, data, tree):
        return hmac.new(self.key(2 if tree else 1), data, hashlib.sha256).digest()[:20]

    def add(self, data, tree=False, claims=None, listed=None, packed=None, length=None):
        """A frame of one chunk. claims: the raw length that is said; listed: the chunks that are, as (id, length); packed:
        compressed bytes. The reference: id and u32 length."""
        ref = self.chunk_id(data, tree) + struct.pack("<I", len(data) if length is None else length)
        self.frames.append((tree, data, claims, listed, packed))
        return ref

    def pack(self, **lies):
        """Writes what was added, a slot for each kind."""
        keys = {False: os.urandom(32), True: os.urandom(32)}
        sealed_content = SealedBox(PublicKey(self.content)).encrypt(keys[False])
        slots = struct.pack("<BIB", 1, 1, len(sealed_content)) + sealed_content
        sealed_tree = self.seal("tree slot", keys[True])
        slots += struct.pack("<BIB", 2, 1, len(sealed_tree)) + sealed_tree
        body, table = b"", b""
        for number, (tree, data, claims, listed, packed) in enumerate(self.frames):
            raw = len(data) if claims is None else claims
            compression = 0 if packed is None else 1
            additional = (b"tree frame" if tree else b"content frame").ljust(16, b"\0") + struct.pack("<II", 1, 1) + self.id
            additional += struct.pack("<QIB", number, raw, compression)
            sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
                data if packed is None else packed, additional, struct.pack("<Q", number) + bytes(16), keys[tree])
            listed = [(self.chunk_id(data, tree), raw)] if listed is None else listed
            table += struct.pack("<IQIIIBI", lies.get("slot", int(tree)), number, lies.get("offset", len(body)),
                                 lies.get("sealed", len(sealed)), raw, compression, lies.get("count", len(listed)))
            table += b"".join(i + struct.pack("<I", n) for i, n in listed)
            body += sealed
        table = struct.pack("<I", lies.get("slots", 2)) + slots + struct.pack("<I", lies.get("frames", len(self.frames))) + table
        size = len(body) + 40 + len(table) + 88
        table += bytes(-size % 65536)
        sealed_table = self.seal("table", table)
        size = len(body) + len(sealed_table) + 88
        where = struct.pack("<QQQ", lies.get("table", len(body)), lies.get("length", len(sealed_table)), size)
        footer = self.seal("footer", where)
        data = body + sealed_table + struct.pack("<II", 1, 1) + os.urandom(16) + footer
        name = hashlib.sha256(data).hexdigest()
        self.put(f"packs/{name[:2]}", data)
        self.frames = []
        return name

    # ---- streams, snapshots ----
    def stream(self, name, data, **more):
        pieces = [data[i:i + 60000] for i in range(0, len(data), 60000)]
        roots = b"".join(map(self.add, pieces))
        if len(pieces) > 32:  # no snapshot has more roots
            roots, more = self.add(roots, tree=True), dict({"depth": 1, "chunks": len(pieces)}, **more)
        return self.stream_of(name, roots, len(data), **more)

    @staticmethod
    def stream_of(name, roots, size, **more):
        return dict({"name": name, "bytes": size, "chunks": len(roots) // 24, "new_bytes": 0, "stored_bytes": 0,
                     "chunk": [16384, 65536, 262144], "frame": 524288, "depth": 0,
                     "roots": base64.b64encode(roots).decode()}, **more)

    def snapshot(self, streams, sources=None, source=None, **more):
        one = dict({"name": "files", "type": "volume", "verdict": "good", "sequence": 1000, "bytes": 1, "new_bytes": 0,
                    "stored_bytes": 0, "files": 1, "seconds": 0.1, "reasons": [], "notes": [], "streams": streams}, **(source or {}))
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1)) + ".000Z"
        return self.put_sealed("snapshots", "snapshot", dict(
            {"format": 1, "time": now, "host": "box", "verdict": "good", "seconds": 0.1, "tags": [],
             "sources": sources or [one]}, **more))

    def volume(self, tar, lines, **more):
        """A snapshot of a volume with these bytes as its archive, and these lines as its catalog."""
        catalog = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        streams = [self.stream("data", tar), self.stream("catalog", catalog.encode())]
        self.pack()
        return self.snapshot(streams, **more)


def archive(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for path, kind, rest in entries:
            i = tarfile.TarInfo(path)
            i.type, i.mode = kind, 0o755
            if kind == tarfile.REGTYPE:
                i.size = len(rest)
                t.addfile(i, io.BytesIO(rest))
            else:
                i.linkname = rest
                t.addfile(i)
    return out.getvalue()


def entry(path, kind="file", **more):
    return dict({"type": kind, "path": path, "size": 1, "mode": 420, "uid": 0, "gid": 0, "mtime_ns": 0}, **more)


TOP = {"type": "catalog", "version": 1}
FILE, LINK, HARD, CHR = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE


# ---- archives and catalogs ----
@case
def paths_out(r):
    names = ["../escaped", "a/../../escaped", OUTSIDE, "ok"]
    return r.volume(archive(*((n, FILE, b"x") for n in names)), [TOP, *map(entry, names), {"type": "run", "bytes": 5120}])

@case
def links_out(r):
    tar = archive(("l", LINK, ".."), ("l/escaped", FILE, b"x"), ("h", HARD, "../outside"), ("h", FILE, b"x"), ("c", CHR, ""), ("ok", FILE, b"x"))
    return r.volume(tar, [TOP, entry("ok"), {"type": "run", "bytes": len(tar)}])

@case
def terminal(r):
    names = ["a\nb", "\x1b]0;owned\x07", "\x1b[2J", "\x9b2J", "a\x7f", "\u202egpj.exe", "\u2066x", "a\u2028b"]
    return r.volume(archive(("ok", FILE, b"x")), [TOP, *map(entry, names), {"type": "run", "bytes": 1536}])

@case
def link_loop(r):
    lines = [TOP, entry("a", link="b", link_back=0), entry("b", link="a", link_back=0), entry("ok", link="ok", link_back=0)]
    return r.volume(archive(("a", HARD, "b"), ("b", HARD, "a"), ("ok", HARD, "ok")), lines + [{"type": "run", "bytes": 1536}])

@case
def link_run_out_of_range(r):
    return r.volume(archive(("ok", FILE, b"x")), [TOP, entry("ok", link="x", link_back=7), {"type": "run", "bytes": 1536}])

@case
def runs_too_long(r):
    top = 2**63 - 1
    return r.volume(archive(("ok", FILE, b"x")), [TOP, {"type": "run", "bytes": top}, entry("ok"), {"type": "run", "bytes": 0},
                                                  {"type": "run", "bytes": 0}])

@case
def runs_that_overflow(r):
    return r.volume(archive(("ok", FILE, b"x")), [TOP, {"type": "run", "bytes": 2**63 - 1}, entry("ok"), {"type": "run", "bytes": 2**63 - 1}])

@case
def numbers_too_large(r):
    return r.volume(archive(("ok", FILE, b"x")), [TOP, '{"type":"file","path":"ok","size":99999999999999999999,"mode":0,"uid":0,"gid":0,"mtime_ns":0}'])

@case
def numbers_at_the_end(r):
    return r.volume(archive(("ok", FILE, b"x")), [TOP, entry("ok", size=2**63 - 1, mtime_ns=-2**63, uid=2**32 - 1, mode=0o7777),
                                                  entry("ok2", mtime_ns=2**63 - 1), {"type": "run", "bytes": 1536}])

@case
def path_with_nul(r):
    return r.volume(archive(("ok", FILE, b"x")), [TOP, '{"type":"file","path":"a\\u0000b","size":1,"mode":0,"uid":0,"gid":0,"mtime_ns":0}'])

@case
def json_that_is_deep(r):
    return r.volume(archive(("ok", FILE, b"x")), [TOP, "[" * 500000])

@case
def line_without_end(r):
    return r.volume(archive(("ok", FILE, b"x")), ["x" * (3 << 20)])

@case
def sparse_to_the_end(r):
    """A header that says 8 EiB."""
    i = tarfile.TarInfo("ok")
    i.size = 2**63 - 1
    i.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**63 - 1), "GNU.sparse.name": "ok"}
    tar = i.tobuf(tarfile.PAX_FORMAT) + b"1\n9223372036854775806\n1\n".ljust(512, b"\0") + bytes(1536)
    return r.volume(tar, [TOP, entry("ok"), {"type": "run", "bytes": len(tar)}])


@case
def two_sources(r):
    """The first of them is damaged, the second is whole."""
    def one(name, data):
        tar = archive(("ok", FILE, b"x"))
        catalog = "".join(json.dumps(line) + "\n" for line in [TOP, entry("ok"), {"type": "run", "bytes": len(tar)}])
        return {**json.loads(TWICE), "name": name, "streams": [data(tar), r.stream("catalog", catalog.encode())]}
    sources = [one("damaged", lambda tar: r.stream_of("data", os.urandom(20) + struct.pack("<I", 100), 100)),
               one("whole", lambda tar: r.stream("data", tar))]
    r.pack()
    return r.snapshot([], sources=sources)


# ---- lists ----
def with_roots(r, roots, size, **more):
    catalog = r.stream("catalog", (json.dumps(TOP) + "\n").encode())
    r.pack()
    return r.snapshot([r.stream_of("data", roots, size, **more), catalog])

@case
def list_bomb(r):
    ref = r.add(b"x" * 100)
    for _ in range(6):
        ref = r.add(ref * 512, tree=True)
    return with_roots(r, ref * 32, 2**40, depth=6, chunks=100000)

@case
def list_bomb_of_many(r):
    return with_roots(r, r.add(r.add(b"x" * 100) * 512, tree=True) * 32, 2**62, depth=1, chunks=2**62)

@case
def list_bomb_of_missing(r):
    ref = os.urandom(20) + struct.pack("<I", 100)
    for _ in range(6):
        ref = r.add(ref * 512, tree=True)
    return with_roots(r, ref * 32, 2**40, depth=6, chunks=100000)

@case
def too_deep(r):
    return with_roots(r, r.add(b"x"), 1, depth=8)

@case
def too_many_roots(r):
    return with_roots(r, r.add(b"x") * 33, 33)

@case
def chunks_of_nothing(r):
    data = archive(("ok", FILE, b"x"))
    nothing = r.chunk_id(b"", False)
    real = r.add(data, listed=[(r.chunk_id(data, False), len(data) - 1), (nothing, 1)])
    return with_roots(r, nothing + bytes(4) + real, len(data))

@case
def lengths_that_overflow(r):
    ref = r.add(b"x" * 100)
    return with_roots(r, (ref[:20] + b"\xff\xff\xff\xff") * 32, 2**37)

@case
def list_of_odd_length(r):
    return with_roots(r, r.add(r.add(b"x") + b"odd", tree=True), 1, depth=1)

@case
def list_as_content(r):
    return with_roots(r, r.add(r.add(b"x"), tree=True), 24)

@case
def content_as_list(r):
    return with_roots(r, r.add(bytes(24)), 1, depth=1)

@case
def shorter_than_it_says(r):
    return with_roots(r, r.add(b"x"), 2**40)

@case
def longer_than_it_says(r):
    return with_roots(r, r.add(archive(("ok", FILE, b"x"))), 0)


@case
def lists_called_content(r):
    """The lists of the newest snapshot, named as content by many others, so that a walk meets them first as that."""
    real = r.open_newest()
    assert any(t["depth"] for s in real["sources"] for t in s["streams"]), "no lists"
    for s in real["sources"]:
        for t in s["streams"]:
            t["depth"] = 0
    for i in range(20):
        name = r.put_sealed("snapshots", "snapshot", dict(real, tags=[str(i)]))
    return name


# ---- frames and tables ----
def zstd(data):
    return zstandard.ZstdCompressor().compress(data)

@case
def frame_that_gives_much(r):
    data = bytes(100)
    return with_roots(r, r.add(data, packed=zstd(bytes(50 << 20)), claims=20000, listed=[(r.chunk_id(data, False), 20000)]), 100)

@case
def frame_that_gives_little(r):
    data = b"x" * 5000
    return with_roots(r, r.add(data, packed=zstd(data), claims=16 << 20, listed=[(r.chunk_id(data, False), 16 << 20)], length=16 << 20), 16 << 20)

@case
def frames_of_which_little_is_wanted(r):
    """A few bytes out of each of many frames that are as large as a frame can be."""
    refs, rest = b"", (16 << 20) - 4
    for i in range(40):
        data = struct.pack("<I", i)
        ids = [(r.chunk_id(data, False), 4), (os.urandom(20), rest)]
        refs += r.add(data, packed=zstd(data + bytes(rest)), claims=16 << 20, listed=ids)
    return with_roots(r, r.add(refs, tree=True), 160, depth=1, chunks=40)

def flood(r, ids):
    """A small snapshot, and a pack that files these ids, which are found in no time all the same."""
    data = b"x" * 1000
    ref = r.add(data)
    r.pack()
    data = bytes(len(ids))
    r.add(data, packed=zstd(data), listed=[(i, 1) for i in ids])
    return with_roots(r, ref, 1000)

@case
def frame_of_one_id(r):
    return flood(r, [bytes(20)] * 600000)

@case
def frame_of_ids_alike(r):
    return flood(r, [bytes(8) + struct.pack("<Q", i) + bytes(4) for i in range(600000)])

@case
def frame_too_large(r):
    data = b"x"
    return with_roots(r, r.add(data, packed=zstd(data), claims=2**32 - 1, listed=[(r.chunk_id(data, False), 2**32 - 1)]), 1)

@case
def not_what_it_is_filed_as(r):
    data = b"x" * 1000
    return with_roots(r, r.add(data, listed=[(os.urandom(20), 500), (r.chunk_id(data, False), 500)], length=500), 500)

def lying_table(**lies):
    def put(r):
        ref = r.add(b"x" * 1000)
        r.pack(**lies)
        return with_roots(r, ref, 1000)
    return put

for _name, _lies in {"slot": {"slot": 7}, "slots": {"slots": 2**32 - 1}, "frames": {"frames": 2**32 - 1}, "count": {"count": 2**32 - 1},
                     "offset": {"offset": 2**32 - 1}, "sealed": {"sealed": 2**32 - 1}, "sealed_to_nothing": {"sealed": 16},
                     "sealed_to_less": {"sealed": 3}, "table": {"table": 2**64 - 1}, "length": {"length": 2**64 - 88}}.items():
    CASES["table_" + _name] = lying_table(**_lies)


# ---- snapshots ----
def absurd(source=None, raw=None, named=None, **more):
    def put(r):
        if raw is not None:
            return r.put_sealed("snapshots", "snapshot", raw)
        streams = [r.stream("data", archive(("ok", FILE, b"x"))), r.stream("catalog", (json.dumps(TOP) + "\n").encode())]
        r.pack()
        if named is not None:  # beside a decent one: each gets a folder of its name
            one = {**json.loads(TWICE), "streams": streams}
            more["sources"] = [one, {**one, "name": named}]
        return r.snapshot(streams, source=source, **more)
    return put

for _name, _f in {
        "counts": absurd({k: 2**63 - 1 for k in ("sequence", "bytes", "new_bytes", "stored_bytes", "files", "database_bytes")}),
        "seconds": absurd({"seconds": 1e308}, seconds=-1e308),
        "year": absurd(time="9999-12-31T23:59:59.999Z"),
        "year_1": absurd(time="0001-01-01T00:00:00.000Z"),
        "host": absurd(host="\x1b[31m\x9b2J\u202e\n../../x" + "h" * 5000),
        "type": absurd({"type": "x" * 10000}),
        "type_terminal": absurd({"type": "\x1b[2J"}),
        "name_out": absurd(named="../../escaped"),
        "name_dots": absurd(named=".."),
        "name_slash": absurd(named=OUTSIDE),
        "name_empty": absurd(named=""),
        "name_twice": absurd(named="files"),
        "no_streams": absurd({"streams": []}),
        "streams_that_are_none": absurd({"streams": [7, None, "x", {}]}),
        "sources_that_are_none": absurd(raw=b'{"format":1,"time":"2026-01-01T00:00:00.000Z","host":"box","verdict":"good","seconds":0,"tags":{},"sources":[1,[],{}]}'),
        "deep": absurd(raw=b'{"format":1,"x":' + b"[" * 30000),
        "not_json": absurd(raw=os.urandom(1000)),
        "format_2": absurd(raw=b'{"format":2}'),
        "nothing": absurd(raw=b""),
        "tags": absurd(tags=["\x1b[2J" * 100] * 100)}.items():
    CASES["snapshot_" + _name] = _f
TWICE = json.dumps({"name": "files", "type": "volume", "verdict": "good", "sequence": 1, "bytes": 0, "new_bytes": 0, "stored_bytes": 0,
                    "files": 0, "seconds": 0, "reasons": [], "notes": [], "streams": []})


# ---- what stands beside a snapshot ----
def newest(r):
    folder = f"{r.store}/snapshots"
    return max(os.listdir(folder), key=lambda n: os.path.getmtime(f"{folder}/{n}"))

@case
def receipt_unsigned(r):
    """Says that the newest snapshot is proven."""
    s = newest(r)
    text = json.dumps({"format": 1, "snapshot": s, "time": "2026-01-01T00:00:00.000Z", "host": "box", "version": "1", "seconds": 1, "sources": [
        {"name": n, "type": "volume", "outcome": "proven", "read_only": False, "layers": [], "bytes": 1, "entries": 1, "restore_seconds": 1,
         "seconds": 1, "reasons": [], "notes": []} for n in ("files", "numbers")]})
    for signature in ("", "00" * 64, "ff" * 64, "00" * 63, "x" * 128):
        r.put_sealed(f"receipts/{s}", "receipt", {"format": 1, "receipt": text, "signature": signature})
    r.put_sealed(f"receipts/{s}", "receipt", {"format": 1, "receipt": 7, "signature": []})
    return s

@case
def marks_of_nothing(r):
    s, far = newest(r), "f" * 64
    base = {"format": 1, "time": "2026-01-01T00:00:00.000Z", "random": "00" * 16}
    for kind, rest in [("pin", {"snapshot": s, "reason": "\x1b[2J\n" * 3000}), ("pin", {"snapshot": far, "reason": 7}), ("unpin", {"mark": far}),
                       ("forget", {"snapshot": far, "undos": [far] * 1000}), ("undo", {"snapshot": s, "marks": []}),
                       ("damaged", {"pack": far, "reason": "x", "signature": "00" * 64}), ("damaged", {"pack": far, "reason": "x"}),
                       ("condemn", {"packs": [far] * 2000}), ("swept", {"packs": [far]}), ("unheard-of", {"snapshot": s})]:
        r.put_sealed(f"marks/{kind}", "mark", dict(base, kind=kind, **rest))
    return s

@case
def marks_that_are_none(r):
    for kind in ("pin", "forget", "condemn"):
        for value in (b"", b"[]", b"{}", b'{"format":1}', b"\xff" * 100, json.dumps({"format": 1, "kind": kind, "packs": 7, "snapshot": "x"}).encode()):
            r.put_sealed(f"marks/{kind}", "mark", value)
    return newest(r)

@case
def index_that_lies(r):
    def put(plain):
        r.put("index", struct.pack("<II", 1, 1) + r.seal("index", plain))
    put(struct.pack("<I", 2**32 - 1))
    put(struct.pack("<II", 0, 2**32 - 1))
    put(struct.pack("<II", 0, 1) + os.urandom(32) + struct.pack("<QI", 2**64 - 1, 2**32 - 1))
    put(struct.pack("<II", 0, 1) + os.urandom(32) + struct.pack("<QI", 2**63, 8) + struct.pack("<II", 0, 0))
    put(b"")
    return newest(r)


def index_of_all(r, change):
    """The newest index, which supersedes the others, with changed tables of sound packs."""
    names, packs = os.listdir(f"{r.store}/index"), b""
    count = 0
    for name in names:
        data = open(f"{r.store}/index/{name}", "rb").read()
        additional = b"index".ljust(16, b"\0") + struct.pack("<II", 1, 1) + r.id
        plain = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(data[32:], additional, data[8:32], r.key(18))
        at = 4 + 32 * struct.unpack_from("<I", plain)[0] + 4
        while at < len(plain):
            size, length = struct.unpack_from("<QI", plain, at + 32)
            table = change(plain[at + 44:at + 44 + length])
            packs += plain[at:at + 32] + struct.pack("<QI", size, len(table)) + table
            at, count = at + 44 + length, count + 1
    r.put_sealed("index", "index", struct.pack("<I", len(names)) + b"".join(map(bytes.fromhex, names)) + struct.pack("<I", count) + packs)
    return newest(r)

@case
def index_that_leaves_all_out(r):
    return index_of_all(r, lambda table: struct.pack("<II", 0, 0))

@case
def index_with_other_slots(r):
    return index_of_all(r, lambda table: table[:30] + bytes([table[30] ^ 1]) + table[31:])


if __name__ == "__main__":
    if sys.argv[1] == "cases":
        print("\n".join(CASES))
    else:
        print(CASES[sys.argv[3]](Repository(sys.argv[1], sys.argv[2])))

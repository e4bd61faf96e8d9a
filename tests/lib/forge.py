#!/usr/bin/python3
"""Puts snapshots and marks of any age into a repository, as whoever has the writer key can: a year of nights in a second,
or the work of a thief.

  forge.py STORE WRITER_KEY < LINES

STORE is the repository's folder. Each line is JSON: {"days_ago": D, "verdict": V, "host": H, "sequence": N, "claims": C,
"empty": true} puts a copy of the newest snapshot that says it was taken C days ago (D) and lies in the store since D days; the sequence
counts up when not given, and "format" is that of a later version; {"mark": "forget"|"broken"|"undo"|"unpin", "of": NAME} puts a mark. Prints the name of each."""
import glob, hashlib, json, os, re, struct, sys, time
import nacl.bindings as sodium

STORE, KEY = sys.argv[1], open(sys.argv[2], encoding="ascii").read()
REPOSITORY, WRITER = (bytes.fromhex(re.search(rf"^{name} ([0-9a-f]+)$", KEY, re.M)[1]) for name in ("repository", "writer"))
NUMBERS = {"snapshot": 19, "mark": 21}


def parts(kind):
    key = hashlib.blake2b(b"", digest_size=32, key=WRITER, salt=struct.pack("<QQ", NUMBERS[kind], 0), person=b"lifeboat")
    return kind.encode().ljust(16, b"\0") + struct.pack("<II", 1, 1) + REPOSITORY, key.digest()


def read(path):
    data = open(path, "rb").read()
    additional, key = parts("snapshot")
    return json.loads(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(data[32:], additional, data[8:32], key))


def put(folder, kind, value, ns):
    additional, key = parts(kind)
    nonce = os.urandom(24)
    data = struct.pack("<II", 1, 1) + nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
        json.dumps(value).encode(), additional, nonce, key)
    name = hashlib.sha256(data).hexdigest()
    os.makedirs(f"{STORE}/{folder}", mode=0o700, exist_ok=True)
    with open(os.open(f"{STORE}/{folder}/{name}", os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
        f.write(data)
    os.utime(f"{STORE}/{folder}/{name}", ns=(ns, ns))
    print(name)


def text_of(ns):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9)) + ".000Z"


def formats(line):
    return {"format": line["format"]} if "format" in line else {}


def put_snapshot(line, base, sequence, now):
    taken, stored = (now - int(line.get(k, line["days_ago"]) * 86400e9) for k in ("claims", "days_ago"))
    sources = [dict(s, sequence=sequence, verdict=line.get("verdict", "good")) for s in base["sources"]]
    for s in sources:
        if s["verdict"] == "failed":
            s["error"] = "forged"
        if s["verdict"] == "failed" or line.get("empty"):
            s["streams"] = []
    put("snapshots", "snapshot", dict(base, time=text_of(taken), host=line.get("host", base["host"]),
                                      verdict=line.get("verdict", "good"), sources=sources) | formats(line), stored)


def main():
    paths = glob.glob(f"{STORE}/snapshots/*")
    base = read(max(paths, key=os.path.getmtime))
    sequence = max(s["sequence"] for p in paths for s in read(p)["sources"])
    now = time.time_ns()
    for line in map(json.loads, sys.stdin):
        if "mark" in line:
            mark = {"format": 1, "kind": line["mark"], "time": text_of(now), "random": os.urandom(16).hex()}
            target = {"mark": line["of"]} if line["mark"] == "unpin" else {"snapshot": line["of"], "undos": [], "marks": []}
            put(f"marks/{line['mark']}", "mark", mark | target | formats(line), now)
        else:
            sequence += 1
            put_snapshot(line, base, line.get("sequence", sequence), now)


main()

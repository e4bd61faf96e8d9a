#!/usr/bin/python3
"""Adds a reader with a passphrase to a golden repository: add_passphrase.py FOLDER. The program's own would ask for
256 MiB at each opening; the format leaves the figures to the keys object (docs/format.md, section 2)."""
import glob, hashlib, json, os, re, sys
import nacl.bindings as sodium

folder, OPS, MEMORY = sys.argv[1], 1, 8 << 20
identity = dict(re.findall(r"^(\w+) ([0-9a-f]{32,64})$", open(f"{folder}/identity.key").read(), re.M))
keys = json.load(open(glob.glob(f"{folder}/repository/keys/*")[0]))
public, secret = (bytes.fromhex(identity[k]) for k in ("recipient", "secret"))
secrets = sodium.crypto_box_seal_open(bytes.fromhex(keys["sealed"]), public, secret)
passphrase = open(f"{folder}/passphrase", "rb").read().rstrip(b"\n")
salt, nonce = os.urandom(16), os.urandom(24)
key = sodium.crypto_pwhash_alg(32, passphrase, salt, OPS, MEMORY, sodium.crypto_pwhash_ALG_ARGON2ID13)
sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
    secrets, b"lifeboat passphrase 1\n" + keys["repository"].encode() + b"\n", nonce, key)
text = json.dumps({"format": 1, "repository": keys["repository"], "reader": "passphrase", "label": "golden",
                   "created": keys["created"], "kdf": "argon2id13", "ops": OPS, "memory": MEMORY, "salt": salt.hex(),
                   "nonce": nonce.hex(), "sealed": sealed.hex()}).encode()
with open(f"{folder}/repository/keys/{hashlib.sha256(text).hexdigest()}", "wb") as f:
    f.write(text)

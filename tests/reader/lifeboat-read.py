#!/usr/bin/python3
"""Reads a lifeboat repository without lifeboat, by docs/format.md (a "section" is one of that page).

  lifeboat-read.py STORE --identity FILE list
  lifeboat-read.py STORE --identity FILE cat SNAPSHOT|latest SOURCE[/STREAM] > out

STORE is the repository's folder. FILE is an identity file or a recovery kit; --passphrase-file FILE serves instead, its
first line is the passphrase. SNAPSHOT is the beginning of a snapshot's name; `latest` is the newest that holds the
stream. STREAM is `data` when not given. After an exit status other than 0, what was written is right as far as it goes,
and not whole. Marks and receipts are not read: they guide backups, and which packs are sound is seen from the packs.
Debian packages: python3-nacl, python3-zstandard."""
import base64, functools, hashlib, hmac, io, itertools, json, os, re, struct, sys
from collections import defaultdict, namedtuple
import nacl.bindings as sodium
import zstandard
from nacl.exceptions import CryptoError

VERSION, FOOTER_SIZE, MIB = 1, 88, 1 << 20
MAX_PACK, MAX_TABLE, MAX_RAW, MAX_INDEX, MAX_SNAPSHOT = 256 * MIB, 32 * MIB, 16 * MIB, 64 * MIB, MIB // 16
MAX_ROOTS, MAX_DEPTH, MAX_GENERATIONS, MAX_PASSES, MAX_KDF_MEMORY = 32, 7, 64, 16, 1024 * MIB
ARGON2ID, MAX_SMALL = sodium.crypto_pwhash_ALG_ARGON2ID13, MIB  # where the page has no limit
CONTENT, TREE = 1, 2  # kinds of slots, and the numbers of the id keys of their chunks
FRAME_TYPE = {CONTENT: "content frame", TREE: "tree frame"}
METADATA_KEY = {"table": 16, "footer": 17, "index": 18, "snapshot": 19, "tree slot": 22}
OBJECT_NAME = re.compile(r"(packs/([0-9a-f]{2})/(?=\2)|(keys|index|snapshots)/)[0-9a-f]{64}")
REFERENCE = struct.Struct("<20sI")  # id and length of a chunk; in Repository.places: id and position in frames

Generation = namedtuple("Generation", "writer content_public content_secret")
Frame = namedtuple("Frame", "pack kind generation sealed_key number offset sealed raw compression chunks")
Stream = namedtuple("Stream", "bytes chunks depth roots")

class ReadError(Exception):
    """Something that cannot be read; the text says what and why."""

class Repository:
    def __init__(self, store, repository_id, generations):
        self.store, self.id, self.generations, self.frames = store, repository_id, generations, []
        # First two bytes of an id -> REFERENCEs in a row: a dict of all ids would take several times the memory.
        self.places = defaultdict(bytearray)

def require(condition, problem):
    if not condition:
        raise ReadError(problem)

def take(f, n):
    data = f.read(n)
    require(len(data) == n, "ends too early")
    return data

def numbers(f, layout):
    return struct.unpack("<" + layout, take(f, struct.calcsize("<" + layout)))

def say(text, file=sys.stdout):
    print("".join(c if c.isprintable() else "?" for c in text), file=file)

def warn(text):
    say(f"lifeboat-read: {text}", file=sys.stderr)

def describe(error):
    if isinstance(error, CryptoError):
        return "does not open: damaged, or sealed with another key"
    return str(error) if isinstance(error, (ReadError, OSError)) else "is malformed"

def attempt(name, action, *arguments):
    """A damaged object is named and passed over: what only it knew is missed where it is needed."""
    try:
        return action(*arguments)
    except (ReadError, CryptoError, OSError, LookupError, TypeError, ValueError, RecursionError) as error:
        warn(f"{name}: {describe(error)}")
        return None

# ---- section 1: objects ----
def list_objects(store, name):
    """The names of the objects under a folder. Whatever else lies there is ignored."""
    if OBJECT_NAME.fullmatch(name):
        return [name]
    parts = os.listdir(os.path.join(store, name)) if os.path.isdir(os.path.join(store, name)) else []
    return [found for part in parts for found in list_objects(store, f"{name}/{part}")]

def get_object(store, name, limit):
    with open(os.path.join(store, name), "rb") as f:
        data = f.read(limit + 1)
    require(len(data) <= limit, f"is larger than {limit} bytes")
    require(hashlib.sha256(data).hexdigest() == name.split("/")[-1], "does not match its name (SHA-256)")
    return data

def get_range(store, name, offset, n):
    with open(os.path.join(store, name), "rb", buffering=0) as f:
        f.seek(offset)
        return take(f, n)

@functools.cache
def is_sound(store, pack):
    with open(os.path.join(store, pack), "rb", buffering=0) as f:
        sound = hashlib.file_digest(f, "sha256").hexdigest() == pack.split("/")[-1]
    if not sound:
        warn(f"{pack}: does not match its name (SHA-256)")
    return sound

# ---- section 2: keys ----
def blake2b(data, **options):
    return hashlib.blake2b(data, digest_size=32, **options).digest()

@functools.cache
def derive(key, number):
    return blake2b(b"", key=key, salt=struct.pack("<QQ", number, 0), person=b"lifeboat")

def read_identity(path):
    """An identity file, or a recovery kit: the same values, indented, in groups and rows of digits."""
    with open(path, encoding="utf-8", errors="replace") as f:
        text = f.read(MAX_SMALL).partition("lifeboat-identity 1\n")[2]
    values = dict(re.findall(r"^ *(repository|recipient|secret) +((?:[0-9a-f]{2}\s*)+)$", text, re.MULTILINE))
    require(len(values) == 3, f"{path}: is not an identity file of version 1")
    repository, recipient, secret = (bytes.fromhex(values[name]) for name in ("repository", "recipient", "secret"))
    require((len(repository), len(recipient), len(secret)) == (16, 32, 32)
            and sodium.crypto_scalarmult_base(secret) == recipient, f"{path}: a value in it is wrong")
    return repository, recipient, secret

def unwrap(wrapped, identity, passphrase):
    """The secrets in a keys object; None when it is for another reader."""
    sealed = bytes.fromhex(wrapped["sealed"])
    if identity and wrapped["reader"] == "recipient" and bytes.fromhex(wrapped["recipient"]) == identity[1]:
        return sodium.crypto_box_seal_open(sealed, identity[1], identity[2])
    if identity or wrapped["reader"] != "passphrase":
        return None
    ops, memory, salt, nonce = (wrapped[name] for name in ("ops", "memory", "salt", "nonce"))
    require(wrapped["kdf"] == "argon2id13" and len(sealed) >= 16, "is wrapped in an unknown way")
    require(ops <= MAX_PASSES and memory <= MAX_KDF_MEMORY, "asks for too much work")
    key = sodium.crypto_pwhash_alg(32, passphrase, bytes.fromhex(salt), ops, memory, ARGON2ID)
    additional = f"lifeboat passphrase 1\n{wrapped['repository']}\n".encode()
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, additional, bytes.fromhex(nonce), key)
    except CryptoError:
        return None

def read_keys(store, name, identity, passphrase):
    """The repository id and the generations in a keys object; None when it is for another reader."""
    wrapped = json.loads(get_object(store, name, MAX_SMALL))
    require(wrapped["format"] == VERSION, f"unknown format version {wrapped['format']}")
    secrets = unwrap(wrapped, identity, passphrase)
    if secrets is None:
        return None
    f, generations = io.BytesIO(secrets), {}
    require(take(f, 16) == b"lifeboat keys 1\n", "holds keys of an unknown version")
    for _ in range(numbers(f, "I")[0]):
        number, writer, secret = numbers(f, "I32s32s")
        require(number > max(generations, default=0), "its generations are not ascending")
        generations[number] = Generation(writer, sodium.crypto_scalarmult_base(secret), secret)
    repository = identity[0] if identity else bytes.fromhex(wrapped["repository"])
    require(1 in generations and len(generations) <= MAX_GENERATIONS and not f.read(), "its list of keys is malformed")
    proof_public, _ = sodium.crypto_sign_seed_keypair(derive(generations[1].content_secret, 1))
    commitment = b"lifeboat1" + generations[1].content_public + blake2b(generations[1].writer) + proof_public
    require(blake2b(commitment)[:16] == repository, "its keys are not those of this repository")
    return repository, generations

def open_repository(store, identity, passphrase):
    found = [attempt(name, read_keys, store, name, identity, passphrase) for name in list_objects(store, "keys")]
    require(any(found), f"{store}: holds no keys that open with this {'identity' if identity else 'passphrase'}")
    return Repository(store, *max(filter(None, found), key=lambda keys: len(keys[1])))

# ---- section 3: sealed objects ----
def additional_data(repo, kind, generation):
    return kind.encode().ljust(16, b"\0") + struct.pack("<II", VERSION, generation) + repo.id

def open_sealed(repo, kind, generation, sealed, version=VERSION):
    """`sealed` is nonce, ciphertext and tag."""
    require(version == VERSION, f"unknown format version {version}")
    require(generation in repo.generations, f"unknown key generation {generation}")
    require(len(sealed) >= 24 + 16, "ends too early")
    key = derive(repo.generations[generation].writer, METADATA_KEY[kind])
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
        sealed[24:], additional_data(repo, kind, generation), sealed[:24], key)

def get_sealed(repo, kind, name, limit):
    f = io.BytesIO(get_object(repo.store, name, limit + 8 + 24 + 16))
    version, generation = numbers(f, "II")
    return open_sealed(repo, kind, generation, f.read(), version)

# ---- sections 4 and 5: packs and indexes ----
def load_places(repo):
    """Packs are listed before indexes (section 10); indexes can name packs that are gone."""
    unnamed = {name.split("/")[-1]: name for name in list_objects(repo.store, "packs")}
    for name in list_objects(repo.store, "index"):
        attempt(name, add_index, repo, name, unnamed)
    for pack in unnamed.values():
        attempt(pack, add_pack, repo, pack)

def add_index(repo, name, unnamed):
    f = io.BytesIO(get_sealed(repo, "index", name, MAX_INDEX))
    take(f, 32 * numbers(f, "I")[0])  # superseded indexes: what they say is true as well
    for _ in range(numbers(f, "I")[0]):
        sha, size, n = numbers(f, "32sQI")
        require(FOOTER_SIZE <= size <= MAX_PACK and n <= MAX_TABLE, "names a pack of impossible size")
        table = take(f, n)
        if sha.hex() in unnamed:
            add_table(repo, unnamed[sha.hex()], size - FOOTER_SIZE, table)
            del unnamed[sha.hex()]
    require(not f.read(), "is longer than it says")

def add_pack(repo, pack):
    """A pack that no index names."""
    size = os.stat(os.path.join(repo.store, pack)).st_size
    require(FOOTER_SIZE <= size <= MAX_PACK, "has an impossible size")
    f = io.BytesIO(get_range(repo.store, pack, size - FOOTER_SIZE, FOOTER_SIZE))
    version, generation, _ = numbers(f, "II16s")
    offset, n, stated = struct.unpack("<QQQ", open_sealed(repo, "footer", generation, f.read(), version))
    require(stated == size == offset + n + FOOTER_SIZE and n <= MAX_TABLE, "its footer does not fit its size")
    add_table(repo, pack, offset, open_sealed(repo, "table", generation, get_range(repo.store, pack, offset, n)))

def add_table(repo, pack, end, table):
    """Notes the frames of a pack, which lie before `end`; none when the table is malformed."""
    f, slots, frames = io.BytesIO(table), [], []
    for _ in range(numbers(f, "I")[0]):
        kind, generation, n = numbers(f, "BIB")
        slots.append((kind, generation, take(f, n)))
    for _ in range(numbers(f, "I")[0]):
        slot, number, offset, sealed, raw, compression, count = numbers(f, "IQIIIBI")
        chunks = take(f, count * REFERENCE.size)
        require(slot < len(slots) and raw <= MAX_RAW and 16 <= sealed <= end - offset, "a frame is out of bounds")
        require(sum(length for _, length in REFERENCE.iter_unpack(chunks)) == raw, "chunks do not fill their frame")
        frames.append(Frame(pack, *slots[slot], number, offset, sealed, raw, compression, chunks))
    require(not f.read().strip(b"\0"), "its table is followed by something else than zeros")
    for position, frame in enumerate(frames, len(repo.frames)):
        for chunk_id, _ in REFERENCE.iter_unpack(frame.chunks):
            repo.places[chunk_id[:2]] += REFERENCE.pack(chunk_id, position)
    repo.frames += frames

@functools.lru_cache(maxsize=4096)
def slot_key(repo, kind, generation, sealed):
    require(generation in repo.generations, f"unknown key generation {generation}")
    if kind == TREE:
        return open_sealed(repo, "tree slot", generation, sealed)
    _, public, secret = repo.generations[generation]
    return sodium.crypto_box_seal_open(sealed, public, secret)

@functools.lru_cache(maxsize=64)
def open_frame(repo, position):
    """The chunks of a frame by id, not verified yet."""
    frame = repo.frames[position]
    key = slot_key(repo, frame.kind, frame.generation, frame.sealed_key)
    facts = struct.pack("<QIB", frame.number, frame.raw, frame.compression)
    additional = additional_data(repo, FRAME_TYPE[frame.kind], frame.generation) + facts
    sealed = get_range(repo.store, frame.pack, frame.offset, frame.sealed)
    raw = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, additional, struct.pack("<Q16x", frame.number), key)
    require(frame.compression in (0, 1), f"unknown compression {frame.compression}")
    if frame.compression == 1:
        # A length in the zstd header would be allocated as it stands.
        require(zstandard.frame_content_size(raw) in (-1, frame.raw), "a frame has a wrong length")
        raw = zstandard.ZstdDecompressor().decompress(raw, max_output_size=frame.raw, allow_extra_data=False)
    require(len(raw) == frame.raw, "a frame has a wrong length")
    f = io.BytesIO(raw)
    return {chunk_id: f.read(length) for chunk_id, length in REFERENCE.iter_unpack(frame.chunks)}

def read_chunk(repo, kind, chunk_id, length):
    """Tries sound packs first, then what is left of the others: the id tells whether the bytes are right."""
    bucket, problems = repo.places.get(chunk_id[:2], b""), []
    places = [position for found_id, position in REFERENCE.iter_unpack(bucket)
              if found_id == chunk_id and repo.frames[position].kind == kind]
    for wanted, position in itertools.product((True, False), places):
        frame = repo.frames[position]
        try:
            if is_sound(repo.store, frame.pack) == wanted:
                data = open_frame(repo, position)[chunk_id]
                key = derive(repo.generations[frame.generation].writer, kind)
                require(len(data) == length, "holds it with another length")
                require(hmac.digest(key, data, "sha256")[:20] == chunk_id, "holds other bytes under its id")
                return data
        except (ReadError, CryptoError, OSError, zstandard.ZstdError) as error:
            problems.append(f"{frame.pack}: {describe(error)}")
    raise ReadError(f"chunk {chunk_id.hex()}: {'; '.join(problems) or 'is in no readable pack'}")

# ---- section 6: streams ----
def walk_references(repo, references, depth):
    """The references of the content chunks, in order."""
    for chunk_id, length in REFERENCE.iter_unpack(references):
        if depth == 0:
            yield chunk_id, length
        else:
            below = read_chunk(repo, TREE, chunk_id, length)
            require(len(below) % REFERENCE.size == 0, f"list chunk {chunk_id.hex()}: is malformed")
            yield from walk_references(repo, below, depth - 1)

def write_stream(repo, stream, out):
    written = chunks = 0
    for chunk_id, length in walk_references(repo, stream.roots, stream.depth):
        written, chunks = written + length, chunks + 1
        require(written <= stream.bytes, "the stream is longer than its snapshot says")
        out.write(read_chunk(repo, CONTENT, chunk_id, length))
    require((written, chunks) == (stream.bytes, stream.chunks), "the stream is not as long as its snapshot says")

# ---- section 7: snapshots ----
def load_snapshot(repo, name):
    fields = json.loads(get_sealed(repo, "snapshot", name, MAX_SNAPSHOT))
    require(fields["format"] == VERSION, f"unknown format version {fields['format']}")
    streams = {}
    for source in fields["sources"]:
        for s in source["streams"]:
            roots = base64.b64decode(s["roots"], validate=True)
            require(len(roots) % 24 == 0 and len(roots) <= 24 * MAX_ROOTS and 0 <= s["depth"] <= MAX_DEPTH
                    and min(s["bytes"], s["chunks"]) >= 0, "has a malformed stream")
            streams[source["name"], s["name"]] = Stream(s["bytes"], s["chunks"], s["depth"], roots)
    return str(fields["time"]), name.split("/")[1], fields["host"], fields["verdict"], streams

def load_snapshots(repo):
    """Time, id, host, verdict, streams of those that open, oldest first; and how many do not open."""
    loaded = [attempt(name, load_snapshot, repo, name) for name in list_objects(repo.store, "snapshots")]
    return sorted((s for s in loaded if s), key=lambda s: s[:2]), loaded.count(None)

def print_snapshots(repo):
    snapshots, unreadable = load_snapshots(repo)
    for time, snapshot_id, host, verdict, streams in snapshots:
        say(f"{snapshot_id[:16]} {time} {host} {verdict}")
        for (source, name), stream in streams.items():
            say(f"    {source}/{name}  {stream.bytes} bytes")
    require(not unreadable, f"{unreadable} snapshots cannot be read")

def find_stream(repo, prefix, path):
    source, _, name = path.partition("/")
    wanted = (source, name or "data")
    found = [s for s in load_snapshots(repo)[0] if prefix == "latest" or s[1].startswith(prefix)]
    require(prefix == "latest" or len(found) == 1, f"{prefix}: {len(found)} snapshots begin so")
    found = [s for s in found if wanted in s[4]]
    require(found, f"{prefix}: holds no stream {'/'.join(wanted)}; see list")
    require(len({s[2] for s in found}) == 1, f"{prefix}: there are several hosts; choose a snapshot from the list")
    return found[-1][4][wanted]

# ---- the command line ----
def run(store, option, file, command, *names):
    if option == "--identity":
        repo = open_repository(store, read_identity(file), None)
    else:
        with open(file, "rb") as f:
            repo = open_repository(store, None, f.readline(MAX_SMALL).rstrip(b"\r\n"))
    if command == "list":
        print_snapshots(repo)
    else:
        stream = find_stream(repo, *names)
        load_places(repo)
        with open(1, "wb", buffering=MIB, closefd=False) as out:
            write_stream(repo, stream, out)

if __name__ == "__main__":
    if sys.argv[2:3] not in (["--identity"], ["--passphrase-file"]) or (
            (sys.argv[4:5], len(sys.argv)) not in ((["list"], 5), (["cat"], 7))):
        sys.exit(__doc__)
    try:
        run(*sys.argv[1:])
    except (ReadError, OSError) as problem:
        warn(problem)
        sys.exit(1)

#include "repo/internal.h"

#include <sodium.h>
#include <stdlib.h>

static void new_mark(json_t *o, const char *kind)
{
    char now[40], hex[33];
    uint8_t random[16];
    randombytes_buf(random,
                    sizeof random); /* so that a mark that was cancelled can be made again under a new name */
    hex_encode(hex, BYTES(random, sizeof random));
    time_format_utc(now, time_now_ns());
    json_object_set_new(o, "format", json_integer(FORMAT_VERSION));
    json_object_set_new(o, "kind", json_string(kind));
    json_object_set_new(o, "time", json_string(now));
    json_object_set_new(o, "random", json_string(hex));
}

static int put_mark(struct repo *r, const char *prefix, const json_t *o, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    struct sha name;
    json_write(o, &text);
    return object_put(r, prefix, OBJECT_MARK, buf_bytes(&text), &name, e);
}

int mark_pin(struct repo *r, const struct sha *snapshot, const char *reason, struct err *e)
{
    char hex[SHA_HEX];
    sha_hex(hex, snapshot);
    AUTO_JSON o = json_object();
    new_mark(o, "pin");
    json_object_set_new(o, "snapshot", json_string(hex));
    json_object_set_new(o, "reason", json_string(reason));
    return put_mark(r, "marks/pin/", o, e);
}

/* What the proof key signs of a damaged mark. */
static void signed_text(struct buf *out, const json_t *mark)
{
    buf_add_fmt(out, "lifeboat damaged 1\n%s\n%s\n", json_text(mark, "pack"), json_text(mark, "random"));
}

bool mark_signature_holds(const struct repo *r, const json_t *mark)
{
    const char *hex = json_text(mark, "signature");
    uint8_t signature[SIGNATURE_SIZE];
    AUTO(buf) text = BUF_NONE;
    if (!*hex)
        return true;
    signed_text(&text, mark);
    return hex_decode(signature, sizeof signature, hex, strlen(hex)) &&
           keyring_verify(r->keys, buf_bytes(&text), signature);
}

int mark_damaged(struct repo *r, const struct sha *pack, const char *reason, struct err *e)
{
    char hex[SHA_HEX], signature_hex[2 * SIGNATURE_SIZE + 1];
    sha_hex(hex, pack);
    AUTO_JSON o = json_object();
    new_mark(o, "damaged");
    json_object_set_new(o, "pack", json_string(hex));
    json_object_set_new(o, "reason", json_string(reason));
    if (keyring_can_read(r->keys)) {
        uint8_t signature[SIGNATURE_SIZE];
        AUTO(buf) text = BUF_NONE;
        signed_text(&text, o);
        keyring_sign(r->keys, buf_bytes(&text), signature);
        hex_encode(signature_hex, BYTES(signature, sizeof signature));
        json_object_set_new(o, "signature", json_string(signature_hex));
    }
    return put_mark(r, "marks/damaged/", o, e);
}

/* A receipt is JSON in JSON: the outer one is sealed like a mark and carries a signature over the very text
 * of the inner one, which says what was drilled and what was found. */
#include "repo/receipt.h"

#include "base/log.h"
#include "repo/internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX    "receipts/"
#define SENTENCES 50           /* of reasons and of notes for each source, unless they are too long */
#define TEXT_MAX  (100u << 10) /* well below METADATA_MAX, quotes and all */

static const char *const outcome_names[] = {"proven", "unable", "differs"};

const char *drill_outcome_name(enum drill_outcome o)
{
    return outcome_names[o];
}

void drill_result_free(struct drill_result *r)
{
    strings_free(&r->reasons);
    strings_free(&r->notes);
    *r = (struct drill_result){0};
}

struct receipt_source *receipt_add_source(struct receipt *r, const char *name, const char *type)
{
    r->sources = xrealloc(r->sources, r->source_count + 1, sizeof *r->sources);
    struct receipt_source *s = &r->sources[r->source_count++];
    *s = (struct receipt_source){.name = xstrdup(name), .type = xstrdup(type)};
    return s;
}

void receipt_free(struct receipt *r)
{
    for (size_t i = 0; i < r->source_count; i++) {
        free(r->sources[i].name);
        free(r->sources[i].type);
        drill_result_free(&r->sources[i].result);
    }
    free(r->sources);
    free(r->host);
    free(r->version);
    *r = (struct receipt){0};
}

/* ---- the text that is signed ---- */
static json_t *encode_source(const struct receipt_source *s, size_t sentences)
{
    const struct drill_result *d = &s->result;
    json_t *layers = json_array();
    for (size_t i = 0; i < d->layer_count; i++)
        json_array_append_new(layers, json_pack("{s:s, s:b, s:f}", "name", d->layers[i].name, "held",
                                                d->layers[i].held, "seconds", d->layers[i].seconds));
    return json_pack("{s:s, s:s, s:s, s:b, s:f, s:f, s:I, s:I, s:o, s:o, s:o}", "name", s->name, "type",
                     s->type, "outcome", outcome_names[d->outcome], "read_only", d->read_only, "seconds",
                     d->seconds, "restore_seconds", d->restore_seconds, "bytes", (json_int_t)d->bytes,
                     "entries", (json_int_t)d->entries, "layers", layers, "reasons",
                     json_list_write_some(&d->reasons, sentences), "notes",
                     json_list_write_some(&d->notes, sentences));
}

static void encode(const struct receipt *r, size_t sentences, struct buf *out)
{
    char snapshot[SHA_HEX], time[40];
    sha_hex(snapshot, &r->snapshot);
    time_format_utc(time, r->time_ns);
    json_t *sources = json_array();
    for (size_t i = 0; i < r->source_count; i++)
        json_array_append_new(sources, encode_source(&r->sources[i], sentences));
    AUTO_JSON o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:f, s:o}", "format", (int)FORMAT_VERSION, "snapshot",
                            snapshot, "time", time, "host", r->host, "version", r->version, "seconds",
                            r->seconds, "sources", sources);
    json_write(o, out);
}

static bool decode_layers(const json_t *list, struct drill_result *d)
{
    size_t i;
    json_t *v;
    if (json_array_size(list) > DRILL_LAYERS)
        return false;
    json_array_foreach(list, i, v)
    {
        struct drill_layer *l = &d->layers[d->layer_count++];
        snprintf(l->name, sizeof l->name, "%s", json_text(v, "name"));
        l->held = json_is_true(json_object_get(v, "held"));
        l->seconds = json_seconds(v, "seconds");
    }
    return true;
}

static bool decode_source(const json_t *o, struct receipt *r)
{
    const char *name = json_text(o, "name"), *outcome = json_text(o, "outcome");
    struct drill_result *d = &receipt_add_source(r, name, json_text(o, "type"))->result;
    d->read_only = json_is_true(json_object_get(o, "read_only"));
    d->seconds = json_seconds(o, "seconds");
    d->restore_seconds = json_seconds(o, "restore_seconds");
    json_list_read(json_object_get(o, "reasons"), &d->reasons);
    json_list_read(json_object_get(o, "notes"), &d->notes);
    size_t known = 0;
    while (known < ARRAY_LEN(outcome_names) && strcmp(outcome, outcome_names[known]) != 0)
        known++;
    d->outcome = (enum drill_outcome)known;
    return *name && known < ARRAY_LEN(outcome_names) && json_u64(o, "bytes", &d->bytes) &&
           json_u64(o, "entries", &d->entries) && decode_layers(json_object_get(o, "layers"), d);
}

static int decode(struct bytes text, struct receipt *out, struct err *e)
{
    AUTO_JSON o = json_read(text, NO_LIFEBOATS, e);
    if (!o)
        return -1;
    const char *snapshot = json_text(o, "snapshot");
    *out = (struct receipt){.host = xstrdup(json_text(o, "host")),
                            .version = xstrdup(json_text(o, "version")),
                            .seconds = json_seconds(o, "seconds")};
    bool sound = sha_parse(&out->snapshot, snapshot, strlen(snapshot)) &&
                 time_parse_utc(json_text(o, "time"), &out->time_ns);
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(o, "sources"), i, v)
    {
        sound = sound && decode_source(v, out);
    }
    if (sound)
        return 0;
    receipt_free(out);
    return err_set(e, ERR_DAMAGED, "is not a receipt that this program understands" NO_LIFEBOATS);
}

/* ---- objects ---- */
static void signed_text(struct buf *out, const char *inner)
{
    buf_add_fmt(out, "lifeboat receipt 1\n%s", inner);
}

int receipt_put(struct repo *r, struct receipt *receipt, struct err *e)
{
    AUTO(buf) inner = BUF_NONE, to_sign = BUF_NONE, text = BUF_NONE;
    uint8_t signature[SIGNATURE_SIZE];
    char signature_hex[2 * SIGNATURE_SIZE + 1], snapshot[SHA_HEX];
    if (!keyring_can_read(r->keys))
        return err_set(e, ERR_USAGE, "a receipt is signed with a key that only the identity gives");
    size_t sentences = SENTENCES;
    encode(receipt, sentences, &inner);
    while (inner.n > TEXT_MAX && sentences) {
        inner.n = 0;
        encode(receipt, sentences /= 2, &inner);
    }
    signed_text(&to_sign, buf_cstr(&inner));
    keyring_sign(r->keys, buf_bytes(&to_sign), signature);
    hex_encode(signature_hex, BYTES(signature, sizeof signature));
    AUTO_JSON o = json_pack("{s:i, s:s, s:s}", "format", (int)FORMAT_VERSION, "receipt", buf_cstr(&inner),
                            "signature", signature_hex);
    json_write(o, &text);
    sha_hex(snapshot, &receipt->snapshot);
    AUTO_CHAR prefix = xasprintf(PREFIX "%s/", snapshot);
    return object_put(r, prefix, OBJECT_RECEIPT, buf_bytes(&text), &receipt->id, e);
}

/* ERR_DAMAGED: it is not what the proof key signed, or speaks of another snapshot than its name does. */
static int open_receipt(struct repo *r, const char *name, struct bytes text, struct receipt *out,
                        struct err *e)
{
    uint8_t signature[SIGNATURE_SIZE];
    AUTO_JSON o = json_read(text, NO_LIFEBOATS, e);
    if (!o)
        return -1;
    const char *inner = json_text(o, "receipt"), *hex = json_text(o, "signature");
    AUTO(buf) was_signed = BUF_NONE;
    signed_text(&was_signed, inner);
    if (!hex_decode(signature, sizeof signature, hex, strlen(hex)) ||
        !keyring_verify(r->keys, buf_bytes(&was_signed), signature))
        return err_set(e, ERR_DAMAGED, "is not signed by this repository's proof key");
    if (decode(BYTES_STR(inner), out, e))
        return -1;
    char snapshot[SHA_HEX];
    sha_hex(snapshot, &out->snapshot);
    const char *named = name + strlen(PREFIX);
    if (name_sha(name, &out->id) && strncmp(named, snapshot, strlen(snapshot)) == 0)
        return 0;
    receipt_free(out);
    return err_set(e, ERR_DAMAGED, "is the receipt of another snapshot");
}

static int by_time(const void *a, const void *b)
{
    const struct receipt *x = a, *y = b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return memcmp(x->id.b, y->id.b, SHA_SIZE);
}

struct loading {
    struct repo *repo;
    const struct strings *names;
    struct receipt *v; /* one that could not be loaded has no host */
};

static int load_one(void *ctx, size_t i, struct err *e)
{
    const struct loading *l = ctx;
    const char *name = l->names->v[i];
    AUTO(buf) text = BUF_NONE;
    struct err bad = ERR_INIT;
    int rc = object_get(l->repo, name, OBJECT_RECEIPT, METADATA_MAX, &text, &bad);
    if (rc == STORE_DONE && open_receipt(l->repo, name, buf_bytes(&text), &l->v[i], &bad))
        rc = err_wrap(&bad, "%s", name);
    if (rc != STORE_FAILED)
        return 0;
    if (bad.kind != ERR_DAMAGED)
        return *e = bad, -1;
    log_warn("%s (passed over)", bad.text);
    return 0;
}

int receipts_load(struct repo *r, const struct sha *snapshot, struct receipts *out, struct err *e)
{
    char hex[SHA_HEX] = "";
    AUTO(strings) names = STRINGS_NONE;
    *out = (struct receipts){0};
    if (snapshot)
        sha_hex(hex, snapshot);
    AUTO_CHAR prefix = xasprintf(PREFIX "%s", hex);
    if (list_names(r->store, prefix, &names, e))
        return -1;
    out->v = xcalloc(names.n, sizeof *out->v);
    struct loading l = {.repo = r, .names = &names, .v = out->v};
    int rc = gather(names.n, load_one, &l, e);
    for (size_t i = 0; i < names.n; i++)
        if (out->v[i].host)
            out->v[out->n++] = out->v[i];
    if (rc)
        receipts_free(out);
    else if (out->n)
        qsort(out->v, out->n, sizeof *out->v, by_time);
    return rc;
}

void receipts_free(struct receipts *r)
{
    for (size_t i = 0; i < r->n; i++)
        receipt_free(&r->v[i]);
    free(r->v);
    *r = (struct receipts){0};
}

/* ---- what follows from them ---- */
static void apply(const struct receipt *r, const struct receipt_source *from, struct snapshot *s)
{
    const struct drill_result *d = &from->result;
    for (size_t i = 0; i < s->source_count; i++) {
        if (strcmp(s->sources[i].name, from->name) != 0)
            continue;
        s->sources[i].proof = (struct proof){.state = d->outcome == DRILL_PROVEN ? PROOF_HOLDS : PROOF_FAILED,
                                             .read_only = d->read_only,
                                             .time_ns = r->time_ns,
                                             .seconds = d->seconds,
                                             .restore_seconds = d->restore_seconds};
    }
}

void receipts_apply(const struct receipts *r, struct snapshots *all)
{
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < all->n; k++)
            if (sha_equal(&r->v[i].snapshot, &all->v[k].id))
                for (size_t n = 0; n < r->v[i].source_count; n++)
                    if (r->v[i].sources[n].result.outcome != DRILL_UNABLE)
                        apply(&r->v[i], &r->v[i].sources[n], &all->v[k]);
}

/* Making marks. */
#include "repo/gc.h"
#include "repo/internal.h"
#include "repo/marks.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define PACKS_IN_MARK 3000 /* of 67 bytes each: well below METADATA_MAX */

void mark_name(char out[NAME_SIZE], enum mark_kind kind, const struct sha *sha)
{
    char prefix[32];
    snprintf(prefix, sizeof prefix, "marks/%s/", mark_kind_name(kind));
    object_name(out, prefix, sha);
}

static json_t *new_mark(enum mark_kind kind)
{
    char now[40], hex[33];
    uint8_t random[16];
    randombytes_buf(random,
                    sizeof random); /* so that a mark that was cancelled can be made again under a new name */
    hex_encode(hex, BYTES(random, sizeof random));
    time_format_utc(now, time_now_ns());
    json_t *o = json_object();
    json_object_set_new(o, "format", json_integer(FORMAT_VERSION));
    json_object_set_new(o, "kind", json_string(mark_kind_name(kind)));
    json_object_set_new(o, "time", json_string(now));
    json_object_set_new(o, "random", json_string(hex));
    return o;
}

static void set_sha(json_t *o, const char *key, const struct sha *sha)
{
    char hex[SHA_HEX];
    sha_hex(hex, sha);
    json_object_set_new(o, key, json_string(hex));
}

static void set_list(json_t *o, const char *key, const struct sha *v, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        char hex[SHA_HEX];
        sha_hex(hex, &v[i]);
        json_array_append_new(list, json_string(hex));
    }
    json_object_set_new(o, key, list);
}

static int put_mark(struct repo *r, enum mark_kind kind, const json_t *o, struct err *e)
{
    char prefix[32];
    AUTO(buf) text = BUF_NONE;
    struct sha name;
    snprintf(prefix, sizeof prefix, "marks/%s/", mark_kind_name(kind));
    json_write(o, &text);
    return object_put(r, prefix, OBJECT_MARK, buf_bytes(&text), &name, e);
}

/* ---- pins ---- */
int mark_pin(struct repo *r, const struct sha *snapshot, const char *reason, struct err *e)
{
    AUTO_JSON o = new_mark(MARK_PIN);
    set_sha(o, "snapshot", snapshot);
    json_object_set_new(o, "reason", json_string(reason));
    return put_mark(r, MARK_PIN, o, e);
}

int mark_unpin(struct repo *r, const struct sha *snapshot, struct err *e)
{
    AUTO(marks) all = {0};
    size_t cancelled = 0;
    if (marks_load(r, MARKS_OF_SNAPSHOTS, &all, e))
        return -1;
    for (size_t i = 0; i < all.n; i++) {
        const struct mark *m = &all.v[i];
        if (m->kind != MARK_PIN || !sha_equal(&m->snapshot, snapshot) || !marks_pin_stands(&all, m))
            continue;
        AUTO_JSON o = new_mark(MARK_UNPIN);
        set_sha(o, "mark", &m->name);
        if (put_mark(r, MARK_UNPIN, o, e))
            return -1;
        cancelled++;
    }
    return cancelled ? 0 : err_set(e, ERR_USAGE, "the snapshot is not pinned");
}

/* ---- forgetting and undoing ---- */
/* It names every undo of its snapshot that was seen, and counts while there is no other. */
static int put_forget(struct repo *r, const struct marks *all, const struct sha *snapshot, struct err *e)
{
    AUTO(sha_set) undos = {0};
    for (size_t i = 0; i < all->n; i++)
        if (all->v[i].kind == MARK_UNDO && sha_equal(&all->v[i].snapshot, snapshot))
            sha_set_add(&undos, &all->v[i].name);
    AUTO_JSON o = new_mark(MARK_FORGET);
    set_sha(o, "snapshot", snapshot);
    set_list(o, "undos", undos.v, undos.n);
    return put_mark(r, MARK_FORGET, o, e);
}

int mark_forget(struct repo *r, const struct sha *snapshots, size_t n, struct err *e)
{
    AUTO(marks) all = {0};
    if (n && marks_load(r, MARKS_OF_SNAPSHOTS, &all, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (!marks_forget_of(&all, &snapshots[i]) && put_forget(r, &all, &snapshots[i], e))
            return -1;
    return 0;
}

int mark_broken(struct repo *r, const struct sha *snapshot, struct err *e)
{
    AUTO_JSON o = new_mark(MARK_BROKEN);
    set_sha(o, "snapshot", snapshot);
    set_list(o, "undos", NULL, 0);
    return put_mark(r, MARK_BROKEN, o, e);
}

int mark_undo(struct repo *r, const struct sha *snapshot, struct err *e)
{
    AUTO(marks) all = {0};
    if (marks_load(r, MARKS_OF_SNAPSHOTS, &all, e))
        return -1;
    const struct mark *oldest = marks_forget_of(&all, snapshot);
    if (!oldest)
        return err_set(e, ERR_USAGE, "the snapshot is not forgotten");
    for (size_t i = 0; i < all.n; i++)
        if (all.v[i].kind == MARK_BROKEN && sha_equal(&all.v[i].snapshot, snapshot))
            return err_set(
                e, ERR_USAGE,
                "the snapshot is broken: it was put too late to be trusted, may lack something, and "
                "goes (while it is there, what it has can be restored)");
    if (all.now_ns - oldest->mtime_ns > r->bounds.undo_window_ns - gc_gap_ns(&r->bounds))
        return err_set(
            e, ERR_USAGE,
            "the snapshot was forgotten longer ago than undo-window allows: a prune may be deleting it");
    AUTO(sha_set) cancelled = {0};
    for (size_t i = 0; i < all.n; i++)
        if (all.v[i].kind == MARK_FORGET && sha_equal(&all.v[i].snapshot, snapshot))
            sha_set_add(&cancelled, &all.v[i].name);
    AUTO_JSON o = new_mark(MARK_UNDO);
    set_sha(o, "snapshot", snapshot);
    set_list(o, "marks", cancelled.v, cancelled.n);
    return put_mark(r, MARK_UNDO, o, e);
}

/* ---- packs ---- */
int mark_packs(struct repo *r, enum mark_kind kind, const struct sha_set *packs, struct err *e)
{
    for (size_t i = 0; i < packs->n; i += PACKS_IN_MARK) {
        AUTO_JSON o = new_mark(kind);
        set_list(o, "packs", packs->v + i, MIN(packs->n - i, (size_t)PACKS_IN_MARK));
        if (put_mark(r, kind, o, e))
            return -1;
    }
    return 0;
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
    char signature_hex[2 * SIGNATURE_SIZE + 1];
    AUTO_JSON o = new_mark(MARK_DAMAGED);
    set_sha(o, "pack", pack);
    json_object_set_new(o, "reason", json_string(reason));
    if (keyring_can_read(r->keys)) {
        uint8_t signature[SIGNATURE_SIZE];
        AUTO(buf) text = BUF_NONE;
        signed_text(&text, o);
        keyring_sign(r->keys, buf_bytes(&text), signature);
        hex_encode(signature_hex, BYTES(signature, sizeof signature));
        json_object_set_new(o, "signature", json_string(signature_hex));
    }
    return put_mark(r, MARK_DAMAGED, o, e);
}

void marks_withdraw(struct repo *r, const struct marks *all, const struct sha_set *whole,
                    struct strings *notes)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct mark *m = &all->v[i];
        char name[NAME_SIZE];
        struct err why = ERR_INIT;
        if (m->kind != MARK_DAMAGED || !sha_set_has(whole, &m->names.v[0]))
            continue;
        mark_name(name, MARK_DAMAGED, &m->name);
        int rc = store_delete(r->store, name, &why);
        if (rc == STORE_RETAINED)
            rc = store_hide(r->store, name, &why);
        if (rc == STORE_FAILED)
            strings_add_fmt(notes, "%s (the pack is whole again, but the mark that calls it damaged stays)",
                            why.text);
    }
}

/* Receipts: what was signed comes back, nothing else does; and what follows from them for a snapshot. */
#include "testing.h"

#include "base/child.h"
#include "repo/internal.h"
#include "repo/receipt.h"

struct scene {
    struct test_repo t;
    struct snapshot s;
};

static int set_up(void **state)
{
    struct scene *x = xcalloc(1, sizeof *x);
    AUTO(buf) data = BUF_NONE;
    test_repo_new(&x->t, NULL);
    test_bytes(&data, 1000, 1);
    test_backup(&x->t, buf_bytes(&data), &x->s);
    *state = x;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *x = *state;
    snapshot_free(&x->s);
    test_repo_free(&x->t);
    free(x);
    return 0;
}

/* A receipt of source "s" with that outcome. */
static void make(const struct scene *x, enum drill_outcome outcome, int64_t time_ns, struct receipt *out)
{
    *out = (struct receipt){.snapshot = x->s.id,
                            .time_ns = time_ns,
                            .host = xstrdup("box"),
                            .version = xstrdup("1"),
                            .seconds = 2.5};
    struct drill_result *d = &receipt_add_source(out, "s", "volume")->result;
    d->outcome = outcome;
    d->restore_seconds = 1.5;
    d->seconds = 2;
    d->bytes = 7;
    d->entries = 3;
    d->layers[d->layer_count++] = (struct drill_layer){.name = "compared", .held = true, .seconds = 0.5};
    strings_add(&d->reasons, "a reason");
    strings_add(&d->notes, "a note \"quoted\" \xff");
}

static void put(struct scene *x, enum drill_outcome outcome, int64_t time_ns)
{
    struct err e;
    AUTO(receipt) r = {0};
    make(x, outcome, time_ns, &r);
    assert_ok(receipt_put(x->t.repo, &r, &e));
}

static const struct proof *proof_now(struct scene *x, struct snapshots *all)
{
    struct err e;
    AUTO(receipts) receipts = {0};
    snapshots_free(all);
    assert_ok(snapshots_load(x->t.repo, all, &e));
    assert_ok(receipts_load(x->t.repo, NULL, &receipts, &e));
    receipts_apply(&receipts, all);
    return &all->v[0].sources[0].proof;
}

static void a_receipt_comes_back(void **state)
{
    struct scene *x = *state;
    struct err e;
    AUTO(receipts) all = {0}, other = {0};
    put(x, DRILL_DIFFERS, 1000000000ll * 86400 * 365);
    assert_ok(receipts_load(x->t.repo, &x->s.id, &all, &e));
    assert_int_equal(all.n, 1);
    const struct receipt *r = &all.v[0];
    assert_true(sha_equal(&r->snapshot, &x->s.id));
    assert_int_equal(r->time_ns, 1000000000ll * 86400 * 365);
    assert_string_equal(r->host, "box");
    assert_int_equal(r->source_count, 1);
    const struct drill_result *d = &r->sources[0].result;
    assert_string_equal(r->sources[0].name, "s");
    assert_int_equal(d->outcome, DRILL_DIFFERS);
    assert_int_equal(d->bytes, 7);
    assert_int_equal(d->entries, 3);
    assert_true(d->restore_seconds == 1.5 && r->seconds == 2.5);
    assert_int_equal(d->layer_count, 1);
    assert_string_equal(d->layers[0].name, "compared");
    assert_true(d->layers[0].held);
    assert_string_equal(d->reasons.v[0], "a reason");
    assert_string_equal(d->notes.v[0], "a note \"quoted\" \\xff");
    struct sha nobody = {{1}};
    assert_ok(receipts_load(x->t.repo, &nobody, &other, &e));
    assert_int_equal(other.n, 0);
}

static void the_newest_word_counts(void **state)
{
    struct scene *x = *state;
    AUTO(snapshots) all = {0};
    assert_int_equal(proof_now(x, &all)->state, PROOF_NONE);
    assert_false(snapshot_is_proven(&all.v[0]));
    put(x, DRILL_UNABLE, 1);
    assert_int_equal(proof_now(x, &all)->state, PROOF_NONE);
    put(x, DRILL_PROVEN, 2000000000);
    assert_int_equal(proof_now(x, &all)->state, PROOF_HOLDS);
    assert_true(snapshot_is_proven(&all.v[0]));
    put(x, DRILL_UNABLE, 3000000000); /* says nothing about the backup */
    assert_int_equal(proof_now(x, &all)->state, PROOF_HOLDS);
    put(x, DRILL_DIFFERS, 4000000000);
    assert_int_equal(proof_now(x, &all)->state, PROOF_FAILED);
    assert_false(snapshot_is_proven(&all.v[0]));
    put(x, DRILL_PROVEN, 3500000000); /* older than the difference */
    assert_int_equal(proof_now(x, &all)->state, PROOF_FAILED);
}

static void a_failed_source_is_never_proven(void **state)
{
    struct scene *x = *state;
    AUTO(snapshots) all = {0};
    put(x, DRILL_PROVEN, 2);
    proof_now(x, &all);
    all.v[0].sources[0].verdict = VERDICT_FAILED;
    assert_false(snapshot_is_proven(&all.v[0]));
}

/* Puts a receipt with its inner text or signature changed, sealed by the writer key as its thief could. */
static void put_forged(struct scene *x, const char *inner, const char *signature_hex, const struct sha *under)
{
    struct err e;
    struct sha name;
    char hex[SHA_HEX];
    AUTO(buf) text = BUF_NONE;
    AUTO_JSON o = json_pack("{s:i, s:s, s:s}", "format", 1, "receipt", inner, "signature", signature_hex);
    json_write(o, &text);
    sha_hex(hex, under);
    AUTO_CHAR prefix = xasprintf("receipts/%s/", hex);
    assert_ok(object_put(x->t.repo, prefix, OBJECT_RECEIPT, buf_bytes(&text), &name, &e));
}

/* The object of the only receipt, opened. */
static json_t *only_receipt(struct scene *x)
{
    struct err e;
    AUTO(strings) names = STRINGS_NONE;
    AUTO(buf) text = BUF_NONE;
    assert_ok(list_names(x->t.store, "receipts/", &names, &e));
    assert_int_equal(names.n, 1);
    assert_ok(object_get(x->t.repo, names.v[0], OBJECT_RECEIPT, METADATA_MAX, &text, &e));
    assert_ok(store_delete(x->t.store, names.v[0], &e));
    json_t *o = json_read(buf_bytes(&text), "", &e);
    assert_non_null(o);
    return o;
}

static void forged_receipts_are_passed_over(void **state)
{
    struct scene *x = *state;
    AUTO(snapshots) all = {0};
    struct sha other = {{9}};
    put(x, DRILL_DIFFERS, 5);
    AUTO_JSON o = only_receipt(x);
    AUTO_CHAR inner = xstrdup(json_text(o, "receipt"));
    AUTO_CHAR signature = xstrdup(json_text(o, "signature"));
    put_forged(x, inner, signature, &x->s.id);
    assert_int_equal(proof_now(x, &all)->state, PROOF_FAILED); /* as it was made */
    json_decref(only_receipt(x));
    put_forged(x, inner, signature, &other); /* beside another snapshot */
    assert_int_equal(proof_now(x, &all)->state, PROOF_NONE);
    json_decref(only_receipt(x));
    char *outcome = strstr(inner, "\"differs\""), none[2 * SIGNATURE_SIZE + 1];
    assert_non_null(outcome);
    memcpy(outcome, "\"proven\" ",
           strlen("\"differs\"")); /* JSON as before: it is the signature that fails */
    memset(none, '0', sizeof none - 1);
    none[sizeof none - 1] = 0;
    put_forged(x, inner, signature, &x->s.id);
    put_forged(x, inner, none, &x->s.id);
    put_forged(x, inner, "", &x->s.id);
    assert_int_equal(proof_now(x, &all)->state, PROOF_NONE);
}

static void only_a_reader_signs(void **state)
{
    struct scene *x = *state;
    struct err e = ERR_INIT;
    AUTO(buf) writer = BUF_NONE;
    AUTO(receipt) r = {0};
    keyring_write_writer_file(x->t.keys, &writer);
    AUTO_PTR(keyring) k = keyring_parse_writer_file(buf_bytes(&writer), &e);
    assert_non_null(k);
    const struct repo_options o = {
        .store = x->t.store, .keys = k, .pool = x->t.pool, .spool_dir = x->t.folder};
    AUTO_PTR(repo) repo = repo_open(&o, &e);
    assert_non_null(repo);
    make(x, DRILL_PROVEN, 1, &r);
    assert_int_equal(receipt_put(repo, &r, &e), -1);
    assert_int_equal(e.kind, ERR_USAGE);
    put(x, DRILL_PROVEN, 1); /* and it reads those that are signed */
    AUTO(receipts) all = {0};
    assert_ok(receipts_load(repo, NULL, &all, &e));
    assert_int_equal(all.n, 1);
}

static void many_sentences_fit(void **state)
{
    struct scene *x = *state;
    struct err e;
    AUTO(receipt) r = {0};
    AUTO(receipts) all = {0};
    make(x, DRILL_DIFFERS, 1, &r);
    AUTO_CHAR longest = xcalloc(1, 600);
    memset(longest, '"', 599);
    for (int i = 0; i < 200; i++) {
        struct drill_result *d = &receipt_add_source(&r, "t", "volume")->result;
        for (int k = 0; k < 50; k++)
            strings_add(&d->reasons, longest);
    }
    assert_ok(receipt_put(x->t.repo, &r, &e));
    assert_ok(receipts_load(x->t.repo, NULL, &all, &e));
    assert_int_equal(all.n, 1);
    assert_int_equal(all.v[0].source_count, 201);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_receipt_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_newest_word_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_source_is_never_proven, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forged_receipts_are_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_a_reader_signs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_sentences_fit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

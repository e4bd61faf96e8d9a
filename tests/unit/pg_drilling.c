#include "testing.h"

#include "pg_drilling.h"

void drilling_init(struct drilling *d, const char *database)
{
    *d = (struct drilling){.here = cluster_connection("postgres", NULL)};
    d->settings.scratch = d->here;
    backup_init(&d->b, database);
}

void drilling_in_private(struct drilling *d)
{
    d->settings.scratch = (char *)"private";
}

void drilling_backup(struct drilling *d)
{
    backup_run(&d->b);
    if (d->b.rc)
        fail_msg("%s", d->b.e.text);
    d->source = (struct snapshot_source){.name = (char *)"app",
                                         .type = (char *)"postgres",
                                         .bytes = d->b.result.bytes,
                                         .files = d->b.result.files,
                                         .streams = d->b.result.streams,
                                         .stream_count = d->b.result.stream_count,
                                         .server_id = d->b.result.server_id,
                                         .server_settings = d->b.result.server_settings,
                                         .database_bytes = d->b.result.database_bytes};
}

void drilling_run(struct drilling *d)
{
    struct err e = ERR_INIT;
    AUTO_CHAR directory = xasprintf("%s/drill", d->b.repo.folder);
    const struct strings none = STRINGS_NONE;
    const struct scratch_options place = {.directory = directory, .keep_out = &none};
    AUTO_PTR(scratch) scratch = scratch_new(&place, &e);
    if (!scratch)
        fail_msg("scratch: %s", e.text);
    const struct drill_env env = {.repo = d->b.repo.repo,
                                  .source = &d->source,
                                  .config = &d->b.config,
                                  .settings = &d->settings,
                                  .server_ids = &d->server_ids,
                                  .scratch = scratch};
    drill_result_free(&d->result);
    d->e = (struct err)ERR_INIT;
    d->rc = drill_postgres(&env, &d->result, &d->e);
}

void drilling_free(struct drilling *d)
{
    drill_result_free(&d->result);
    strings_free(&d->server_ids);
    free(d->here);
    backup_free(&d->b);
}

char *drilling_sql(const char *sql)
{
    static char command[4200];
    struct err e = ERR_INIT;
    AUTO_CHAR file = xasprintf("%s/after.sql", cluster_folder());
    assert_ok(file_write(file, BYTES_STR(sql), 0644, false, &e));
    snprintf(command, sizeof command, "psql -X -q -v ON_ERROR_STOP=1 -f '%s'", file);
    return command;
}

static void show(const struct drilling *d)
{
    static const char *const outcomes[] = {"proven", "unable", "differs"};
    if (d->rc)
        print_message("broke off: %s\n", d->e.text);
    print_message("%s\n", outcomes[d->result.outcome]);
    for (size_t i = 0; i < d->result.reasons.n; i++)
        print_message("  reason: %s\n", d->result.reasons.v[i]);
    for (size_t i = 0; i < d->result.notes.n; i++)
        print_message("  note: %s\n", d->result.notes.v[i]);
    for (size_t i = 0; i < d->result.layer_count; i++)
        print_message("  %s: %s, %.2f s\n", d->result.layers[i].name,
                      d->result.layers[i].held ? "held" : "did not hold", d->result.layers[i].seconds);
}

static void assert_outcome(const struct drilling *d, enum drill_outcome wanted, const char *sentence)
{
    if (d->rc || d->result.outcome != wanted || (sentence && !has_sentence(&d->result.reasons, sentence))) {
        show(d);
        fail_msg("not %s: %s",
                 wanted == DRILL_PROVEN    ? "proven"
                 : wanted == DRILL_DIFFERS ? "found to differ"
                                           : "unable",
                 sentence ? sentence : "");
    }
}

void assert_proven(const struct drilling *d)
{
    assert_outcome(d, DRILL_PROVEN, NULL);
    assert_int_equal(d->result.reasons.n, 0);
}

void assert_differs(const struct drilling *d, const char *sentence)
{
    assert_outcome(d, DRILL_DIFFERS, sentence);
}

void assert_unable(const struct drilling *d, const char *sentence)
{
    assert_outcome(d, DRILL_UNABLE, sentence);
}

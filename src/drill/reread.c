#include "drill/reread.h"

#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK     (256u << 10)
#define PIPE_SIZE (1 << 20) /* an unprivileged process's most: /proc/sys/fs/pipe-max-size */

static int run_source(const struct reread_options *o, int (*sink)(void *ctx, struct bytes b, struct err *e),
                      void *ctx, struct strings *troubles, struct err *e)
{
    static char name[] = "scratch";
    AUTO_CHAR path = xstrdup(o->folder);
    AUTO(source_result) result = SOURCE_RESULT_NONE;
    const struct config_source source = {
        .name = name, .type = SOURCE_VOLUME, .path = path, .may_be_empty = true};
    const struct source_env env = {.sink = sink,
                                   .sink_ctx = ctx,
                                   .source = &source,
                                   .temp_dir = o->place,
                                   .run_cut_key = o->run_cut_key,
                                   .progress = o->progress,
                                   .progress_ctx = o->progress_ctx};
    int rc = source_volume(&env, &result, e);
    *troubles = result.reasons;
    result.reasons = (struct strings)STRINGS_NONE;
    return rc;
}

static int add_to_hash(void *ctx, struct bytes b, struct err *e)
{
    (void)e;
    XXH3_128bits_update(ctx, b.p, b.n);
    return 0;
}

int reread_digest(const struct reread_options *o, XXH3_state_t *hash, struct strings *troubles, struct err *e)
{
    return run_source(o, add_to_hash, hash, troubles, e);
}

/* ---- as a feed ---- */
static int push(void *ctx, struct bytes b, struct err *e)
{
    const struct reread *r = ctx;
    return fd_write_all(r->to, b, "pipe", e);
}

static void *run(void *arg)
{
    struct reread *r = arg;
    r->rc = run_source(r->o, push, r, &r->troubles, &r->e);
    close(r->to);
    return NULL;
}

static int next(struct feed *f, struct bytes *out, struct err *e)
{
    struct reread *r = CONTAINER(f, struct reread, base);
    ssize_t n = fd_read(r->from, r->block, BLOCK, "pipe", e);
    *out = BYTES(r->block, n > 0 ? (size_t)n : 0);
    return n < 0 ? -1 : 0;
}

int reread_start(struct reread *r, const struct reread_options *o, struct err *e)
{
    int ends[2];
    *r = (struct reread){.base = {.next = next}, .o = o};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(e, ERR_FAILED, "pipe");
    r->from = ends[0];
    r->to = ends[1];
    fcntl(r->to, F_SETPIPE_SZ, PIPE_SIZE);
    r->block = xcalloc(1, BLOCK);
    if (pthread_create(&r->thread, NULL, run, r) != 0)
        die(OUT_OF_THREADS);
    return 0;
}

void reread_join(struct reread *r)
{
    close(r->from); /* what it still has to say goes nowhere */
    pthread_join(r->thread, NULL);
}

void reread_free(struct reread *r)
{
    strings_free(&r->troubles);
    free(r->block);
}

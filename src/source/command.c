#include "source/source.h"

#include "base/child.h"
#include "base/file.h"

#include <string.h>

#define BLOCK (256u << 10)
#define WHAT  "command"
#define SMALL 4096 /* bytes, of which the half says nothing */

/* Pushes the command's output into the stream, to its end: who holds the pipe may outlive the shell. */
static int copy_output(const struct source_env *env, struct child *c, struct stream *s, uint64_t *bytes,
                       struct err *e)
{
    AUTO(buf) block = BUF_NONE;
    buf_reserve(&block, BLOCK);
    for (;;) {
        if (child_wait_readable(c, e))
            return err_wrap(e, WHAT);
        ssize_t n = fd_read(c->out, block.p, BLOCK, WHAT, e);
        if (n <= 0)
            return (int)n;
        *bytes += (uint64_t)n;
        if (stream_write(s, BYTES(block.p, (size_t)n), e))
            return -1;
        if (env->progress)
            env->progress(env->progress_ctx, *bytes, env->last_good_bytes);
    }
}

/* The status of a pipe is that of its last program: `mysqldump app | gzip` ends well also when mysqldump did
 * not, with next to nothing. */
static void compare_with_last(const struct source_env *env, struct source_result *out)
{
    char now[32], then[32];
    if (env->last_good_bytes < SMALL || out->bytes >= env->last_good_bytes / 2 || out->bytes == 0)
        return; /* nothing at all is what allow-empty allows */
    size_format(now, out->bytes);
    size_format(then, env->last_good_bytes);
    (env->source->may_shrink ? source_result_note : source_result_degrade)(
        out,
        "the command printed %s, and %s for the last good backup: did all of it work, also what stands before a "
        "\"|\"? (allow-shrink = yes for one backup if it was on purpose)",
        now, then);
}

int source_command(const struct source_env *env, struct source_result *out, struct err *e)
{
    const struct config_source *src = env->source;
    const struct stream_options options = {.name = "data",
                                           .params = env->database_params,
                                           .frame = STREAM_FRAME_DATABASE,
                                           .level = env->database_level};
    const struct child_options run = {.shell = src->command,
                                      .in = CHILD_NULL,
                                      .out = CHILD_PIPE,
                                      .time_limit_s = (unsigned)src->time_limit_s};
    AUTO_PTR(stream) s = stream_new(env->writer, &options, NULL);
    AUTO(child) c = CHILD_NONE;
    struct stream_info info;
    if (child_start(&c, &run, e))
        return -1;
    if (copy_output(env, &c, s, &out->bytes, e) || child_wait(&c, WHAT, NULL, e))
        return -1;
    if (out->bytes == 0 && !src->may_be_empty)
        return err_set(e, ERR_FAILED,
                       "the command printed nothing (allow-empty = yes if that is as it should be)");
    if (stream_finish(s, &info, e))
        return -1;
    source_result_add_stream(out, &info);
    compare_with_last(env, out);
    return 0;
}

/* Standard error: messages, and one line of progress on a terminal. */
#include "cmd.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PROGRESS_EVERY_NS 200000000ull

static struct {
    bool shown;
    char what[64]; /* being counted */
    uint64_t started_ns, drawn_ns, started_at;
} line;

void ui_clear(void)
{
    if (line.shown)
        fputs("\r\033[K", stderr);
    line.shown = false;
}

static void say(const char *before, const char *text)
{
    AUTO(buf) out = BUF_NONE;
    buf_add_fmt(&out, "lifeboat: %s%s%s", cli.command ? cli.command->name : "", cli.command ? ": " : "",
                before);
    while (*text) {
        size_t n = strcspn(text, "\n");
        AUTO_CHAR shown = text_printable(text, n);
        buf_add_fmt(&out, "%s\n", shown);
        text += n + (text[n] == '\n');
        if (*text)
            buf_add_str(&out, "    ");
    }
    ui_clear();
    fwrite(out.p, 1, out.n, stderr);
}

void ui_text(const char *text)
{
    say("", text);
}

void ui_say(const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    say("", text);
}

static void listen(void *ctx, enum log_level level, const char *text)
{
    (void)ctx;
    if (level == LOG_WARN || cli.verbose)
        say(level == LOG_WARN ? "warning: " : "", text);
}

void ui_start(void)
{
    log_listen(listen, NULL);
}

/* ---- progress ---- */
static void format_progress(char *out, size_t size, const struct run_progress *p, uint64_t now)
{
    char done[32], total[32] = "", rate[32], left[32] = "";
    double seconds = (double)(now - line.started_ns) / 1e9;
    double per_second = seconds > 0 ? (double)(p->done - MIN(line.started_at, p->done)) / seconds : 0;
    size_format(done, p->done);
    size_format(rate, (uint64_t)per_second);
    if (p->total)
        size_format(total, p->total);
    if (p->total > p->done && per_second > 1 && seconds > 1)
        duration_format(left, (uint64_t)((double)(p->total - p->done) / per_second * 1e9));
    snprintf(out, size, "%s  %s%s%s  %s/s%s%s", p->what, done, *total ? " of about " : "", total, rate,
             *left ? "  still " : "", left);
    size_t n = strlen(out);
    if (p->is_backup && p->done)
        snprintf(out + n, size - n, "  %.0f %% was there",
                 100 - 100.0 * (double)MIN(p->fresh, p->done) / (double)p->done);
}

static void draw(void *ctx, const struct run_progress *p)
{
    (void)ctx;
    char text[200];
    struct winsize size = {.ws_col = 80};
    uint64_t now = time_monotonic_ns();
    if (strcmp(line.what, p->what) != 0 || p->done < line.started_at) {
        snprintf(line.what, sizeof line.what, "%s", p->what);
        line.started_ns = now;
        line.started_at = p->done;
    }
    if (now - line.drawn_ns < PROGRESS_EVERY_NS)
        return;
    line.drawn_ns = now;
    format_progress(text, sizeof text, p, now);
    ioctl(2, TIOCGWINSZ, &size);
    fprintf(stderr, "\r%.*s\033[K", size.ws_col > 1 ? size.ws_col - 1 : 79, text);
    line.shown = true;
}

run_progress_fn *ui_progress(void)
{
    return !cli.json && !cli.quiet && isatty(2) ? draw : NULL;
}

/* Standard error: messages, and one line of progress on a terminal. */
#include "cmd.h"

#include "base/log.h"
#include "base/service.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRESS_EVERY_NS 200000000ull
#define STATUS_EVERY_NS   5000000000ull

static struct {
    bool on_terminal, shown;
    char what[64]; /* being counted */
    uint64_t started_ns, drawn_ns, started_at;
} line;

void ui_clear(void)
{
    if (line.shown)
        fputs("\r\033[K", stderr);
    line.shown = false;
}

/* The levels of syslog(3), as journald and JSON have them. */
enum severity { SEVERITY_ERROR = 3, SEVERITY_WARNING = 4, SEVERITY_INFO = 6, SEVERITY_DEBUG = 7 };

static const char *severity_name(enum severity s)
{
    return s == SEVERITY_ERROR     ? "error"
           : s == SEVERITY_WARNING ? "warning"
           : s == SEVERITY_INFO    ? "info"
                                   : "debug";
}

static enum { LOG_TEXT, LOG_JOURNAL, LOG_JSON } format;

/* Whether standard error leads to the journal: systemd names that stream by device and inode. */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    if (!stream || fstat(2, &st) != 0)
        return false;
    AUTO_CHAR ours = xasprintf("%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    return strcmp(stream, ours) == 0;
}

int ui_set_format(const char *name, struct err *e)
{
    if (strcmp(name, "json") != 0 && strcmp(name, "text") != 0)
        return err_set(e, ERR_USAGE, "--log-format %s: is neither text nor json", name);
    if (*name == 'j')
        format = LOG_JSON;
    return 0;
}

static void add_json(struct buf *out, enum severity severity, const char *text)
{
    char time[40];
    time_format_utc(time, time_now_ns());
    json_t *o = json_pack("{s:s, s:s, s:s, s:o}", "time", time, "level", severity_name(severity), "command",
                          cli.command ? cli.command->name : "", "message", text_json(text));
    AUTO_CHAR dumped = json_dumps(o, JSON_COMPACT);
    AUTO_CHAR shown = json_printable(dumped ? dumped : "{}");
    buf_add_fmt(out, "%s\n", shown);
    json_decref(o);
}

/* The journal takes each line for an entry, so each gets its priority. */
static void add_text(struct buf *out, enum severity severity, const char *before, const char *text)
{
    AUTO_CHAR priority = format == LOG_JOURNAL ? xasprintf("<%d>", (int)severity) : xstrdup("");
    buf_add_fmt(out, "%slifeboat: %s%s%s", priority, cli.command ? cli.command->name : "",
                cli.command ? ": " : "", before);
    while (*text) {
        size_t n = strcspn(text, "\n");
        AUTO_CHAR shown = text_printable(text, n);
        buf_add_fmt(out, "%s\n", shown);
        text += n + (text[n] == '\n');
        if (*text)
            buf_add_fmt(out, "%s    ", priority);
    }
}

static void say(enum severity severity, const char *before, const char *text)
{
    AUTO(buf) out = BUF_NONE;
    if (format == LOG_JSON)
        add_json(&out, severity, text);
    else
        add_text(&out, severity, before, text);
    ui_clear();
    fwrite(out.p, 1, out.n, stderr);
}

void ui_text(const char *text)
{
    say(SEVERITY_ERROR, "", text);
}

static void PRINTF_LIKE(2, 0) say_formatted(enum severity severity, const char *fmt, va_list ap)
{
    char text[1200];
    vsnprintf(text, sizeof text, fmt, ap);
    say(severity, "", text);
}

void ui_say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say_formatted(SEVERITY_WARNING, fmt, ap);
    va_end(ap);
}

void ui_note(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say_formatted(SEVERITY_INFO, fmt, ap);
    va_end(ap);
}

static void listen(void *ctx, enum log_level level, const char *text)
{
    (void)ctx;
    if (level == LOG_WARN)
        say(SEVERITY_WARNING, "warning: ", text);
    else if (cli.verbose)
        say(level == LOG_INFO ? SEVERITY_INFO : SEVERITY_DEBUG, "", text);
}

void ui_start(void)
{
    if (is_journal())
        format = LOG_JOURNAL;
    log_listen(listen, NULL);
}

/* ---- progress ---- */
static void amount(char out[32], const struct run_progress *p, uint64_t n)
{
    if (p->counts)
        snprintf(out, 32, "%llu", (unsigned long long)n);
    else
        size_format(out, n);
}

static void format_progress(char *out, size_t size, const struct run_progress *p, uint64_t now)
{
    char done[32], total[32] = "", rate[32], left[32] = "";
    double seconds = (double)(now - line.started_ns) / 1e9;
    double per_second = seconds > 0 ? (double)(p->done - MIN(line.started_at, p->done)) / seconds : 0;
    amount(done, p, p->done);
    amount(rate, p, (uint64_t)per_second);
    if (p->total)
        amount(total, p, p->total);
    if (p->total > p->done && per_second > 0 && seconds > 1)
        duration_format(left, (uint64_t)((double)(p->total - p->done) / per_second * 1e9));
    snprintf(out, size, "%s  %s%s%s  %s/s%s%s", p->what, done,
             !*total     ? ""
             : p->counts ? " of "
                         : " of about ",
             total, rate, *left ? "  still " : "", left);
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
    if (line.drawn_ns && now - line.drawn_ns < (line.on_terminal ? PROGRESS_EVERY_NS : STATUS_EVERY_NS))
        return;
    line.drawn_ns = now;
    format_progress(text, sizeof text, p, now);
    service_status(text);
    if (!line.on_terminal)
        return;
    ioctl(2, TIOCGWINSZ, &size);
    fprintf(stderr, "\r%.*s\033[K", size.ws_col > 1 ? size.ws_col - 1 : 79, text);
    line.shown = true;
}

run_progress_fn *ui_progress(void)
{
    line.on_terminal = !cli.json && !cli.quiet && format != LOG_JSON && isatty(2);
    return line.on_terminal || service_is_there() ? draw : NULL;
}

/* Standard output. Names come from repositories and file systems: nothing is printed as it is. */
#include "cmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void print_text(const char *s)
{
    AUTO_CHAR shown = text_printable(s, strlen(s));
    fputs(shown, stdout);
}

void print_lines(const char *before, const struct strings *s)
{
    for (size_t i = 0; i < s->n; i++) {
        fputs(before, stdout);
        print_text(s->v[i]);
        putchar('\n');
    }
}

void print_json_part(json_t *o)
{
    AUTO_CHAR text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
    if (!text)
        die(OUT_OF_MEMORY);
    AUTO_CHAR shown = json_printable(text);
    fputs(shown, stdout);
    json_decref(o);
}

void print_json(json_t *o)
{
    print_json_part(o);
    putchar('\n');
}

json_t *text_json(const char *s)
{
    if (utf8_is_valid(s, strlen(s)))
        return json_string(s);
    AUTO_CHAR shown = text_printable(s, strlen(s));
    return json_string(shown);
}

json_t *list_json(const struct strings *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(list, text_json(s->v[i]));
    return list;
}

json_t *time_json(int64_t ns)
{
    char text[40];
    time_format_utc(text, ns);
    return json_string(text);
}

json_t *maybe_time_json(int64_t ns)
{
    return ns ? time_json(ns) : json_null();
}

json_t *proof_json(const struct proof *p)
{
    if (p->state == PROOF_NONE)
        return json_null();
    return json_pack("{s:b, s:b, s:o, s:f, s:f}", "proven", p->state == PROOF_HOLDS, "read_only",
                     p->read_only, "time", time_json(p->time_ns), "seconds", p->seconds, "restore_seconds",
                     p->restore_seconds);
}

void short_id(char out[9], const struct sha *id)
{
    hex_encode(out, BYTES(id->b, 4));
}

static void mode_text(char out[11], mode_t mode)
{
    static const char bits[] = "rwxrwxrwx";
    out[0] = S_ISDIR(mode)    ? 'd'
             : S_ISLNK(mode)  ? 'l'
             : S_ISFIFO(mode) ? 'p'
             : S_ISCHR(mode)  ? 'c'
             : S_ISBLK(mode)  ? 'b'
                              : '-';
    for (int i = 0; i < 9; i++)
        out[1 + i] = mode & (0400u >> i) ? bits[i] : '-';
    if (mode & S_ISUID)
        out[3] = mode & S_IXUSR ? 's' : 'S';
    if (mode & S_ISGID)
        out[6] = mode & S_IXGRP ? 's' : 'S';
    if (mode & S_ISVTX)
        out[9] = mode & S_IXOTH ? 't' : 'T';
    out[10] = 0;
}

static const char *type_text(mode_t mode)
{
    return S_ISDIR(mode)    ? "dir"
           : S_ISLNK(mode)  ? "symlink"
           : S_ISFIFO(mode) ? "fifo"
           : S_ISCHR(mode)  ? "chr"
           : S_ISBLK(mode)  ? "blk"
                            : "file";
}

static void set_path(json_t *o, const char *key, const char *path)
{
    json_object_set_new(o, key, text_json(path));
    if (utf8_is_valid(path, strlen(path)))
        return;
    AUTO_CHAR name = xasprintf("%s_b64", key);
    AUTO_CHAR b64 = base64_encode(BYTES_STR(path));
    json_object_set_new(o, name, json_string(b64));
}

json_t *entry_json(const struct catalog_entry *e)
{
    char mode[8];
    snprintf(mode, sizeof mode, "%04o", (unsigned)e->mode & 07777);
    json_t *o = json_object();
    set_path(o, "path", e->path);
    json_object_set_new(o, "type", json_string(type_text(e->mode)));
    json_object_set_new(o, "size", json_integer((json_int_t)e->size));
    json_object_set_new(o, "mode", json_string(mode));
    json_object_set_new(o, "uid", json_integer(e->uid));
    json_object_set_new(o, "gid", json_integer(e->gid));
    json_object_set_new(o, "mtime", time_json(e->mtime_ns));
    json_object_set_new(o, "mtime_ns", json_integer(e->mtime_ns));
    if (e->target)
        set_path(o, "target", e->target);
    if (e->link)
        set_path(o, "link", e->link);
    return o;
}

void print_entry(const struct catalog_entry *e)
{
    char mode[11], time[40];
    mode_text(mode, e->mode);
    time_format_local(time, e->mtime_ns);
    printf("%s %5u %5u %12llu  %s  ", mode, e->uid, e->gid, (unsigned long long)e->size, time);
    print_text(e->path);
    if (e->target || e->link) {
        fputs(e->target ? " -> " : " is linked to ", stdout);
        print_text(e->target ? e->target : e->link);
    }
    putchar('\n');
}

const char *print_finish(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return NULL;
    return errno ? strerror(errno) : "could not be written";
}

/* init --compose: a configuration from compose files. Writes it, the files with passwords that it refers to,
 * and nothing else. */
#include "cmd.h"

#include "base/file.h"
#include "compose/compose.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_one(void *ctx, const char *path, struct buf *out, struct err *e)
{
    (void)ctx;
    struct err why = ERR_INIT;
    errno = 0;
    if (file_read_regular(path, COMPOSE_FILE_MOST, out, &why) == 0)
        return 0;
    if (errno == ENOENT)
        return 1;
    *e = why;
    e->kind = ERR_USAGE;
    return -1;
}

static struct compose *load(const struct cli *c, const char *here, struct err *e)
{
    struct compose_input in = {
        .files = c->compose, .env_files = c->env_files, .here = here, .read = read_one};
    for (char **v = environ; *v; v++)
        strings_add(&in.environment, *v);
    struct compose *found = compose_load(&in, e);
    strings_free(&in.environment);
    return found;
}

/* A password file that an earlier try left is fine when it says the same. */
static int write_secret(const struct compose_secret_file *f, struct err *e)
{
    AUTO(buf) there = BUF_NONE;
    struct err ignored = ERR_INIT;
    if (access(f->path, F_OK) != 0)
        return file_write(f->path, buf_bytes(&f->text), 0600, true, e);
    bool same = file_read(f->path, 1u << 20, &there, &ignored) == 0 &&
                bytes_equal(buf_bytes(&there), buf_bytes(&f->text));
    if (there.n)
        explicit_bzero(there.p, there.n);
    return same ? file_check_private(f->path, e)
                : err_set(e, ERR_USAGE, "%s is there already, with something else in it: move it away",
                          f->path);
}

static int write_all(const struct compose_plan *p, const char *path, const char *folder, struct err *e)
{
    if (dir_make(folder, 0700, e))
        return -1;
    for (size_t i = 0; i < p->file_count; i++)
        if (write_secret(&p->files[i], e))
            return -1;
    return file_write(path, buf_bytes(&p->text), 0600, true, e);
}

static void print_plan(const struct compose *c, struct compose_plan *p, const char *path)
{
    for (const char *line = buf_cstr(&p->text); *line; line += strcspn(line, "\n") + 1) {
        AUTO_CHAR one = xstrndup(line, strcspn(line, "\n"));
        print_text(one);
        putchar('\n');
    }
    printf("\nWritten to %s, from %zu files of the project \"%s\".\n", path, c->files.n, c->project);
    for (size_t i = 0; i < p->file_count; i++)
        printf("A password went into %s (mode 0600).\n", p->files[i].path);
    printf("Look it through, then: lifeboat -c %s init\n", path);
}

static void print_plan_json(const struct compose *c, const struct compose_plan *p, const char *path)
{
    json_t *sources = json_array(), *left_out = json_array(), *files = json_array();
    for (size_t i = 0; i < p->source_count; i++)
        json_array_append_new(sources, json_pack("{s:s, s:s, s:b}", "name", p->sources[i].name, "type",
                                                 p->sources[i].type, "active", p->sources[i].active));
    for (size_t i = 0; i < p->left_out_count; i++)
        json_array_append_new(left_out, json_pack("{s:o, s:o}", "what", text_json(p->left_out[i].what), "why",
                                                  text_json(p->left_out[i].why)));
    for (size_t i = 0; i < p->file_count; i++)
        json_array_append_new(files, text_json(p->files[i].path));
    print_json(json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o}", "type", "summary", "configuration",
                         text_json(path), "project", c->project, "sources", sources, "left_out", left_out,
                         "password_files", files, "notes", list_json(&c->notes)));
}

/* What was written must be what lifeboat reads. */
static int check_plan(const struct compose_plan *p, const char *path, struct err *e)
{
    struct err why = ERR_INIT;
    AUTO_PTR(config) c = config_parse(path, buf_bytes(&p->text), &why);
    return c ? 0
             : err_set(e, ERR_FAILED,
                       "the configuration made from this would not be understood, so it was not written: %s",
                       why.text);
}

/* Without "..", where the folder is there already. Caller frees. */
static char *absolute(const char *path, const char *here)
{
    char *whole = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", here, path);
    char *slash = strrchr(whole, '/');
    AUTO_CHAR folder = xstrndup(whole, (size_t)MAX(slash - whole, 1));
    AUTO_CHAR real = realpath(folder, NULL);
    if (!real)
        return whole;
    char *found = xasprintf("%s/%s", strcmp(real, "/") == 0 ? "" : real, slash + 1);
    free(whole);
    return found;
}

static int make(struct cli *c, const char *here, struct err *e)
{
    AUTO_CHAR path = absolute(cli_config_path(c), here);
    AUTO_CHAR folder = xstrndup(path, (size_t)MAX(strrchr(path, '/') - path, 1));
    if (access(path, F_OK) == 0)
        return err_set(e, ERR_USAGE, "%s is there already and is not overwritten: -c FILE names another",
                       path);
    AUTO_PTR(compose) found = load(c, here, e);
    AUTO(compose_plan) plan = {0};
    if (!found || compose_plan(found, folder, &plan, e) || check_plan(&plan, path, e) ||
        write_all(&plan, path, folder, e))
        return -1;
    if (c->json)
        print_plan_json(found, &plan, path);
    else if (!c->quiet)
        print_plan(found, &plan, path);
    for (size_t i = 0; i < found->notes.n && !c->json; i++)
        ui_say("%s", found->notes.v[i]);
    return EXIT_GOOD;
}

int init_compose(struct cli *c, struct err *e)
{
    AUTO_CHAR here =
        get_current_dir_name(); /* as the shell calls it: the project is named after its folder */
    return here ? make(c, here, e) : err_errno(e, ERR_IO, "the working directory");
}

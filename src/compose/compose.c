#include "load.h"

#include <stdlib.h>
#include <string.h>

static int read_variables(struct loading *l)
{
    const struct compose_input *in = l->in;
    AUTO_CHAR usual = xasprintf("%s/.env", l->out->folder);
    struct strings one = {.v = &usual, .n = 1};
    const struct strings *files = in->env_files.n ? &in->env_files : &one;
    for (size_t i = 0; i < files->n; i++) {
        AUTO(buf) text = BUF_NONE;
        const char *path = path_from(l, in->here, files->v[i]);
        int rc = path ? read_whole(l, path, &text) : -1;
        if (rc < 0 || (rc == 0 && environment_read(&l->variables, path, buf_bytes(&text), l->e)))
            return -1;
        if (rc && files != &one)
            return err_set(l->e, ERR_USAGE, "--env-file: there is no %s", path);
    }
    return 0;
}

/* Secrets that are files belong to what the containers need to start. */
static void note_secrets(struct loading *l)
{
    for (size_t i = 0; i < l->out->secret_count; i++) {
        AUTO(buf) text = BUF_NONE;
        const char *file = l->out->secrets[i].file;
        struct err why = ERR_INIT, *saved = l->e;
        l->e = &why;
        if (file && read_whole(l, file, &text) < 0)
            strings_add_fmt(&l->out->notes, "secret %s: %s", l->out->secrets[i].key, why.text);
        l->e = saved;
        if (text.n)
            explicit_bzero(text.p, text.n);
    }
}

static int load(struct loading *l)
{
    const struct compose_input *in = l->in;
    const char *first = path_from(l, in->here, in->files.v[0]), *folder = first ? folder_of(l, first) : NULL;
    if (!folder)
        return -1;
    l->out->folder = xstrdup(folder);
    if (read_variables(l))
        return -1;
    l->variables.notes = &l->out->notes;
    const struct node *whole = NULL;
    for (size_t i = 0; i < in->files.n; i++) {
        const char *path = path_from(l, in->here, in->files.v[i]);
        const struct node *n = path ? read_compose_file(l, path, folder, 0) : NULL;
        if (!n)
            return err_set(l->e, ERR_USAGE, "--compose: there is no %s", in->files.v[i]);
        whole = merge_files(l, whole, n);
        if (!whole)
            return -1;
    }
    if (build_model(l, whole))
        return -1;
    note_secrets(l);
    return 0;
}

struct compose *compose_load(const struct compose_input *in, struct err *e)
{
    AUTO_PTR(compose) c = xcalloc(1, sizeof *c);
    c->arena = arena_new();
    struct loading l = {.in = in, .out = c, .variables.outer = &in->environment, .e = e};
    int rc = load(&l);
    environment_free(&l.variables);
    return rc ? NULL : STEAL(c);
}

const struct compose_volume *compose_find_volume(const struct compose *c, const char *key)
{
    for (size_t i = 0; i < c->volume_count; i++)
        if (strcmp(c->volumes[i].key, key) == 0)
            return &c->volumes[i];
    return NULL;
}

void compose_free(struct compose *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->service_count; i++) {
        free(c->services[i].variables);
        free(c->services[i].mounts);
        strings_free(&c->services[i].profiles);
    }
    free(c->services);
    free(c->volumes);
    free(c->secrets);
    free(c->project);
    free(c->folder);
    strings_free(&c->files);
    strings_free(&c->notes);
    arena_free(c->arena);
    free(c);
}

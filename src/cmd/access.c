#include "cmd.h"

#include "base/log.h"

#include <unistd.h>

struct run_access cli_access(const struct cli *c)
{
    return (struct run_access){.config = c->config,
                               .store_url = c->store,
                               .identity_file = c->identity,
                               .passphrase_file = c->passphrase_file,
                               .mirrors = (c->command->takes & TAKES_MIRRORS) && !c->store};
}

struct run_select cli_select(const struct cli *c)
{
    static char host[256] = "localhost";
    if (!c->config)
        gethostname(host, sizeof host - 1);
    return (struct run_select){.host = c->host,
                               .tag = c->tag,
                               .at = c->at,
                               .this_host = c->config     ? c->config->host
                                            : c->kit.host ? c->kit.host
                                                          : host};
}

int cli_open(struct cli *c, enum run_need need, struct run_repo *r, struct snapshots *all, struct err *e)
{
    const struct run_access access = cli_access(c);
    const struct run_select select = cli_select(c);
    if (run_open(r, &access, need, e) || snapshots_load(r->repo, all, e))
        return -1;
    for (size_t i = 0; i < all->unreadable.n; i++)
        log_warn("%s", all->unreadable.v[i]);
    return run_narrow(all, &select, e);
}

static const struct snapshot *pick_on_mirrors(const struct cli *c, struct run_repo *r, struct snapshots *all,
                                              const struct run_select *select)
{
    struct err ignored = ERR_INIT;
    size_t before = all->n;
    if (snapshots_load_mirrors(r->repo, all, &ignored) || all->n == before ||
        run_narrow(all, select, &ignored))
        return NULL;
    return run_pick(all, c->arguments[0], select, &ignored);
}

int cli_open_content(struct cli *c, struct run_repo *r, struct snapshots *all, const struct snapshot **s,
                     struct err *e)
{
    const struct run_select select = cli_select(c);
    if (cli_open(c, RUN_READ, r, all, e))
        return -1;
    struct err why = ERR_INIT;
    *s = run_pick(all, c->arguments[0], &select, &why);
    if (!*s) /* the first store may have lost it */
        *s = pick_on_mirrors(c, r, all, &select);
    if (*s)
        return repo_load(r->repo, e);
    *e = why;
    return -1;
}

int cli_load_proofs(struct run_repo *r, struct snapshots *all, struct err *e)
{
    AUTO(receipts) receipts = {0};
    if (receipts_load(r->repo, NULL, &receipts, e))
        return -1;
    receipts_apply(&receipts, all);
    return 0;
}

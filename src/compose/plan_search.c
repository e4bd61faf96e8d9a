/* Elasticsearch, OpenSearch: what their data folder holds while they run is no snapshot. They take one
 * themselves, into a folder that path.repo names; where one is mounted there, that is what is backed up. */
#include "plan.h"

#include <string.h>

char *search_hook(const struct compose *c, const struct compose_service *s)
{
    AUTO_CHAR container = container_name(c, s);
    const char *with = service_variable(s, "ELASTIC_PASSWORD") ? " -u \"elastic:$ELASTIC_PASSWORD\"" : "";
    return xasprintf(
        "docker exec -i %s sh -c 'curl -sS%s -X DELETE \"localhost:9200/_snapshot/lifeboat/night\" >/dev/null; curl -fsS%s "
        "-X PUT \"localhost:9200/_snapshot/lifeboat/night?wait_for_completion=true\" | grep -q "
        "\"\\\"state\\\":\\\"SUCCESS\\\"\"'",
        container, with, with);
}

static void add_registration(struct buf *out, const struct compose *c, const struct compose_service *s,
                             const char *folder)
{
    AUTO_CHAR container = container_name(c, s);
    buf_add_fmt(
        out,
        "#     docker exec -i %s curl -fsS -X PUT localhost:9200/_snapshot/lifeboat -H 'Content-Type: "
        "application/json' -d '{\"type\": \"fs\", \"settings\": {\"location\": \"%s\"}}'\n",
        container, folder);
}

void plan_search(struct planning *p, const struct compose_service *s)
{
    struct buf *out = &p->out->text;
    const struct compose_mount *own = search_snapshots(s);
    buf_add_fmt(out, "# Service %s, image %s. Its data lies in:", s->name, s->image);
    for (size_t i = 0; i < s->mount_count; i++)
        if (mount_is_data(s, SERVICE_SEARCH, &s->mounts[i]))
            buf_add_fmt(out, " %s", s->mounts[i].source ? s->mounts[i].source : "(a volume without a name)");
    buf_add_str(out, "\n# A copy of the files of a running node is no snapshot. ");
    if (own) {
        buf_add_fmt(
            out,
            "It takes one itself, into %s, which is backed up\n"
            "# below. Register that once (or leave it out, if the index can be built again from the database):\n",
            own->source);
        add_registration(out, p->c, s, own->target);
        buf_add_str(out, "\n");
        return;
    }
    buf_add_str(
        out,
        "If the index cannot be built again from the\n"
        "# database: mount a second volume into the container, name it in path.repo, register it once\n");
    add_registration(out, p->c, s, "FOLDER");
    AUTO_CHAR hook = search_hook(p->c, s);
    const char *name = plan_source(p, s->name, "volume", false);
    buf_add_fmt(out,
                "# and back that volume up, after a snapshot was taken into it:\n"
                "#[source %s]\n#type = volume\n#docker-volume = %s_SNAPSHOT_VOLUME\n#before = %s\n\n",
                name, p->c->project, hook);
}

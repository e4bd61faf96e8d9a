/* Compose files in the manner of public projects: what is found in them, what is left out, and that hostile
 * ones end in a message. */
#include "compose/compose.h"
#include "config/config.h"
#include "testing.h"

struct file {
    const char *path, *text;
};
/* The files of a test: ended by path NULL. */
static int read_file(void *ctx, const char *path, struct buf *out, struct err *e)
{
    (void)e;
    for (const struct file *f = ctx; f->path; f++)
        if (strcmp(f->path, path) == 0) {
            buf_add_str(out, f->text);
            return 0;
        }
    return 1;
}

/* `names`: the compose files among them, "a.yml b.yml"; "" is compose.yml alone. */
static struct compose *load(const struct file *files, const char *names, const char *variable, struct err *e)
{
    struct compose_input in = {.here = "/srv/app", .read = read_file, .read_ctx = (void *)files};
    for (const char *at = *names ? names : "compose.yml"; *at; at += strspn(at, " ")) {
        AUTO_CHAR one = xstrndup(at, strcspn(at, " "));
        strings_add(&in.files, one);
        at += strlen(one);
    }
    if (variable)
        strings_add(&in.environment, variable);
    *e = (struct err)ERR_INIT;
    struct compose *c = compose_load(&in, e);
    assert_int_equal(!c, err_is_set(e));
    strings_free(&in.files);
    strings_free(&in.environment);
    return c;
}

/* A project's plan, and its sources as "name:type ...", those that are comments in parentheses. */
struct found {
    struct compose *c;
    struct compose_plan plan;
    struct buf sources;
};
static void found_free(struct found *f)
{
    compose_free(f->c);
    compose_plan_free(&f->plan);
    buf_free(&f->sources);
}
AUTO_FOR(found)

static void find(struct found *f, const struct file *files, const char *names, const char *variable)
{
    struct err e;
    *f = (struct found){0};
    f->c = load(files, names, variable, &e);
    if (!f->c)
        fail_msg("%s", e.text);
    assert_ok(compose_plan(f->c, "/etc/lifeboat", &f->plan, &e));
    AUTO_PTR(config) parsed = config_parse("made.conf", buf_bytes(&f->plan.text), &e);
    if (!parsed)
        fail_msg("%s\n%s", e.text, buf_cstr(&f->plan.text));
    size_t active = 0;
    for (size_t i = 0; i < f->plan.source_count; i++) {
        const struct compose_plan_source *s = &f->plan.sources[i];
        buf_add_fmt(&f->sources, s->active ? "%s%s:%s" : "%s(%s:%s)", i ? " " : "", s->name, s->type);
        active += s->active;
    }
    assert_int_equal(parsed->source_count, active);
}

static void find_one(struct found *f, const char *text)
{
    const struct file files[] = {{"/srv/app/compose.yml", text}, {NULL, NULL}};
    find(f, files, "", NULL);
}

static void assert_sources(struct found *f, const char *expected)
{
    assert_string_equal(buf_cstr(&f->sources), expected);
}

static void assert_has(struct found *f, const char *line)
{
    if (!strstr(buf_cstr(&f->plan.text), line))
        fail_msg("\"%s\" is not in\n%s", line, buf_cstr(&f->plan.text));
}

static void assert_lacks(struct found *f, const char *words)
{
    if (strstr(buf_cstr(&f->plan.text), words))
        fail_msg("\"%s\" is in\n%s", words, buf_cstr(&f->plan.text));
}

static void assert_left_out(struct found *f, const char *what, const char *why)
{
    for (size_t i = 0; i < f->plan.left_out_count; i++)
        if (strncmp(f->plan.left_out[i].what, what, strlen(what)) == 0) {
            if (!strstr(f->plan.left_out[i].why, why))
                fail_msg("%s: \"%s\", not \"%s\"", what, f->plan.left_out[i].why, why);
            return;
        }
    fail_msg("%s is not left out:\n%s", what, buf_cstr(&f->plan.text));
}

static void assert_variable(const struct compose_service *s, const char *name, const char *value)
{
    for (size_t i = 0; i < s->variable_count; i++)
        if (strcmp(s->variables[i].name, name) == 0) {
            assert_string_equal(s->variables[i].value, value);
            return;
        }
    fail_msg("%s has no %s", s->name, name);
}

/* ---- projects ---- */
static void test_tutor(void **state)
{
    (void)state;
    AUTO(found) f = {0};
    find_one(
        &f,
        "x-logging: &logging\n  logging: {driver: json-file}\n"
        "x-env: &env\n  POSTGRES_USER: tutor\n  POSTGRES_DB: other\n"
        "services:\n"
        "  postgres:\n    <<: *logging\n    image: postgres:15-alpine\n"
        "    environment:\n      <<: *env\n      POSTGRES_DB: tutor\n      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:-geheim}\n"
        "    volumes:\n      - postgres_data:/var/lib/postgresql/data\n"
        "  backend:\n    <<: [*logging]\n    build: ./backend\n    environment: *env\n"
        "    volumes:\n      - uploads_data:/app/uploads\n      - notebooks_data:/app/notebooks\n"
        "      - ./backend:/app\n      - /app/node_modules\n"
        "  nginx:\n    image: nginx:alpine\n"
        "    volumes:\n      - ./nginx.conf:/etc/nginx/nginx.conf:ro\n      - letsencrypt:/etc/letsencrypt\n"
        "      - nginx_cache:/var/cache/nginx\n      - uploads_data:/srv/uploads:ro\n"
        "volumes:\n  postgres_data:\n  uploads_data:\n  notebooks_data:\n  letsencrypt:\n  nginx_cache:\n");
    assert_sources(&f, "postgres:postgres uploads_data:volume notebooks_data:volume compose-files:command");
    assert_has(&f, "[source postgres]\ntype = postgres\n");
    assert_has(&f, "\ncompose-service = app/postgres\n");
    assert_has(&f, "\ndocker-volume = app_uploads_data\n");
    assert_lacks(&f, "geheim");
    assert_left_out(&f, "app_postgres_data", "the data folder of PostgreSQL");
    assert_left_out(&f, "app_letsencrypt", "certificates");
    assert_left_out(&f, "app_nginx_cache", "a cache");
    assert_left_out(&f, "/srv/app/backend", "code");
    assert_left_out(&f, "/srv/app/nginx.conf", "configuration");
    assert_int_equal(f.plan.left_out_count, 5);
    assert_variable(&f.c->services[0], "POSTGRES_DB", "tutor"); /* its own goes before a merged one */
    assert_variable(&f.c->services[0], "POSTGRES_USER", "tutor");
}

static void test_wordpress(void **state)
{
    (void)state;
    AUTO(found) f = {0};
    find_one(&f, "name: Blog\nservices:\n"
                 "  db:\n    image: mariadb:10.11\n    environment:\n      - MYSQL_ROOT_PASSWORD=wurzel\n"
                 "      - MYSQL_DATABASE=wp\n    volumes: ['db:/var/lib/mysql']\n"
                 "  wordpress:\n    image: wordpress\n    volumes: ['wp:/var/www/html']\n"
                 "  caddy:\n    image: caddy:2\n    volumes:\n      - ./Caddyfile:/etc/caddy/Caddyfile\n"
                 "      - caddy_data:/data\n      - caddy_config:/config\n"
                 "volumes: {db: {}, wp: {}, caddy_data: {}, caddy_config: {}}\n");
    assert_sources(&f, "db:command wp:volume compose-files:command");
    assert_has(&f, "command = docker exec -i blog-db-1 sh -c 'MYSQL_PWD=\"$MYSQL_ROOT_PASSWORD\" ");
    assert_has(&f, "docker-volume = blog_wp\n");
    assert_lacks(&f, "wurzel");
    assert_left_out(&f, "blog_caddy_data", "certificates");
    assert_left_out(&f, "blog_caddy_config", "Caddy");
    assert_left_out(&f, "/srv/app/Caddyfile", "configuration");
}

static void test_photos(void **state)
{
    (void)state;
    const struct file files[] = {
        {"/srv/app/compose.yml",
         "name: immich\nservices:\n"
         "  server:\n    container_name: immich_server\n    image: registry.example.com/immich-app/immich-server:${V:-release}\n"
         "    volumes:\n      - ${UPLOAD_LOCATION}:/usr/src/app/upload\n      - /etc/localtime:/etc/localtime:ro\n"
         "    env_file:\n      - .env\n"
         "  machine-learning:\n    image: registry.example.com/immich-app/immich-machine-learning\n"
         "    volumes:\n      - model-cache:/cache\n"
         "  redis:\n    image: registry.example.com/valkey/valkey:8@sha256:0123\n"
         "  database:\n    container_name: immich_postgres\n"
         "    image: registry.example.com/immich-app/postgres:14-vectorchord0.3.0-pgvectors0.2.0@sha256:0123\n"
         "    environment:\n      POSTGRES_PASSWORD: ${DB_PASSWORD}\n      POSTGRES_USER: ${DB_USERNAME}\n"
         "    volumes:\n      - ${DB_DATA_LOCATION}:/var/lib/postgresql/data\n"
         "volumes:\n  model-cache:\n"},
        {"/srv/app/.env", "# where\nUPLOAD_LOCATION=./library\nDB_DATA_LOCATION='./postgres'\n"
                          "export DB_PASSWORD=\"po$$t\\\"gres\" # x\nDB_USERNAME=postgres\n"},
        {NULL, NULL}};
    AUTO(found) f = {0};
    find(&f, files, "", NULL);
    assert_sources(&f, "database:postgres library:volume compose-files:command");
    assert_has(&f, "\ncontainer = immich_postgres\n");
    assert_has(&f, "\npath = /srv/app/library\n");
    assert_has(&f, "command = tar -C / -cf - 'srv/app/.env' 'srv/app/compose.yml'\n");
    assert_left_out(&f, "service redis", "a cache");
    assert_left_out(&f, "immich_model-cache", "a cache");
    assert_left_out(&f, "/srv/app/postgres", "the data folder of PostgreSQL");
    assert_left_out(&f, "/etc/localtime", "the system");
    assert_variable(&f.c->services[3], "POSTGRES_PASSWORD", "po$t\"gres");
    assert_int_equal(f.c->notes.n, 0);
}

static void test_gitea(void **state)
{
    (void)state;
    AUTO(found) f = {0};
    find_one(&f, "version: '3'\nnetworks:\n  gitea:\n    external: false\nservices:\n"
                 "  server:\n    image: docker.gitea.com/gitea:1.22\n    environment:\n"
                 "      - GITEA__database__PASSWD=gitea\n    volumes:\n      - ./gitea:/data\n"
                 "      - /etc/timezone:/etc/timezone:ro\n"
                 "  db:\n    image: registry.example.com/library/postgres:14\n    environment:\n"
                 "      - POSTGRES_USER=gitea\n      - POSTGRES_PASSWORD=gitea-geheim\n"
                 "    volumes:\n      - ./postgres:/var/lib/postgresql/data\n"
                 "  backup:\n    image: prodrigestivill/postgres-backup-local\n"
                 "    volumes:\n      - /mnt/backups:/backups\n");
    assert_sources(&f, "db:postgres gitea:volume compose-files:command");
    assert_left_out(&f, "/mnt/backups", "backups");
    assert_lacks(&f, "gitea-geheim");
}

static void test_mastodon(void **state)
{
    (void)state;
    AUTO(found) f = {0};
    find_one(&f,
             "services:\n"
             "  db:\n    image: postgres:14-alpine\n    volumes: ['./postgres14:/var/lib/postgresql/data']\n"
             "    environment: ['POSTGRES_HOST_AUTH_METHOD=trust']\n"
             "  redis:\n    image: redis:7-alpine\n    volumes: ['./redis:/data']\n"
             "  es:\n    image: docker.elastic.co/elasticsearch/elasticsearch:7.17.4\n"
             "    volumes: ['./elasticsearch:/usr/share/elasticsearch/data']\n"
             "  web:\n    image: registry.example.com/mastodon/mastodon:v4\n"
             "    volumes: ['./public/system:/mastodon/public/system']\n"
             "  sidekiq:\n    image: registry.example.com/mastodon/mastodon:v4\n"
             "    volumes: ['./public/system:/mastodon/public/system']\n");
    assert_sources(&f, "db:postgres redis:command (es:volume) system:volume compose-files:command");
    assert_has(&f, "\ncommand = docker exec -i app-redis-1 redis-cli --rdb -\n");
    assert_has(&f, "A copy of the files of a running node is no snapshot.");
    assert_has(&f, "path.repo");
    assert_has(&f, " Its data lies in: /srv/app/elasticsearch\n");
    assert_left_out(&f, "/srv/app/elasticsearch", "a running node");
}

/* Elasticsearch snapshots itself into what path.repo names. */
static void test_search_snapshots(void **state)
{
    (void)state;
    AUTO(found) f = {0};
    find_one(&f, "services:\n"
                 "  es:\n    image: elasticsearch:8.15.3\n"
                 "    environment: [path.repo=/snapshots, ELASTIC_PASSWORD=geheim]\n"
                 "    volumes: ['es:/usr/share/elasticsearch/data', 'snaps:/snapshots']\n"
                 "  app:\n    image: app\n    environment: {path.repo: /x}\n    volumes: ['files:/x']\n"
                 "volumes: {es: , snaps: , files: }\n");
    assert_sources(&f, "snaps:volume files:volume compose-files:command");
    assert_has(&f, "It takes one itself, into snaps, which is backed up");
    assert_has(&f, "\"settings\": {\"location\": \"/snapshots\"}");
    assert_has(
        &f, "docker-volume = app_snaps\n"
            "before = docker exec -i app-es-1 sh -c 'curl -sS -u \"elastic:$ELASTIC_PASSWORD\" -X DELETE ");
    assert_has(&f, "wait_for_completion=true\" | grep -q \"\\\"state\\\":\\\"SUCCESS\\\"\"'\n");
    assert_has(&f, "docker-volume = app_files\n\n");
    assert_left_out(&f, "app_es ", "a running node");
    assert_lacks(&f, "geheim");
}

static void test_long_syntax(void **state)
{
    (void)state;
    const struct file files[] = {
        {"/srv/app/compose.yml",
         "services:\n"
         "  postgis:\n    image: postgis/postgis:16-3.4\n    secrets: [pg]\n"
         "    environment:\n      POSTGRES_PASSWORD_FILE: /run/secrets/pg\n"
         "    volumes:\n      - {type: volume, source: pg, target: /var/lib/postgresql/data}\n"
         "  maps:\n    image: example/maps\n    volumes:\n"
         "      - type: bind\n        source: ../tiles\n        target: /tiles\n        bind: {create_host_path: true}\n"
         "      - type: volume\n        source: styles\n        target: /styles\n        read_only: true\n"
         "      - type: tmpfs\n        target: /scratch\n"
         "  editor:\n    image: example/editor\n    volumes:\n      - {type: volume, source: styles, target: /styles}\n"
         "  mysql:\n    image: mysql:8\n    profiles: [legacy]\n"
         "    environment: {MYSQL_ROOT_PASSWORD_FILE: /run/secrets/my}\n    volumes: ['my:/var/lib/mysql', 'import:/in']\n"
         "volumes:\n  pg: {name: production-pg}\n  styles: {external: true}\n  my:\n  import:\n"
         "secrets:\n  pg: {file: ./secrets/pg.txt}\n  my: {environment: MY}\n"},
        {"/srv/app/secrets/pg.txt", "geheim\n"},
        {NULL, NULL}};
    AUTO(found) f = {0};
    find(&f, files, "", NULL);
    assert_sources(&f, "postgis:postgres (mysql:command) tiles:volume styles:volume (import:volume) "
                       "compose-files:command");
    assert_has(&f, "\ndocker-volume = styles\n");
    assert_has(&f, "\npath = /srv/tiles\n");
    assert_has(&f, "#[source mysql]\n#type = command\n");
    assert_has(
        &f,
        "#command = docker exec -i app-mysql-1 sh -c 'MYSQL_PWD=\"$(cat \"$MYSQL_ROOT_PASSWORD_FILE\")\" ");
    assert_has(&f, "It starts with the profile legacy only");
    assert_has(&f, " 'srv/app/secrets/pg.txt'\n");
    assert_lacks(&f, "geheim");
    assert_left_out(&f, "production-pg", "the data folder of PostgreSQL");
    found_free(&f);
    find(&f, files, "", "COMPOSE_PROFILES=x,legacy");
    assert_sources(&f, "postgis:postgres mysql:command tiles:volume styles:volume import:volume "
                       "compose-files:command");
}

/* Mistakes that public files brought to light. */
static void test_kept_when_in_doubt(void **state)
{
    (void)state;
    AUTO(found) f = {0};
    /* a helper that mounts the volumes elsewhere; a finished image's own folders; what is mounted below /tmp
     * on purpose */
    find_one(
        &f,
        "services:\n"
        "  owner:\n    image: ubuntu\n    volumes: ['files:/tmp', 'shared:/var/tmp']\n"
        "  crm:\n    image: example/crm\n    volumes: ['files:/app/files', 'shared:/tmp']\n"
        "  cloud:\n    image: nextcloud\n    volumes: ['./cloud:/var/www/html', './server:/srv', './list:/etc/list']\n"
        "  mail:\n    image: example/mail\n    volumes: ['./accounts:/tmp/mail', './profile:/profile']\n"
        "  site:\n    image: php:8\n    volumes: ['./site:/var/www/html', './server:/srv/x:ro']\n"
        "  own:\n    build: .\n    image: example/own\n    volumes: ['./own:/app', './etc:/etc/own']\n"
        "volumes: {files: , shared: }\n");
    assert_sources(&f, "files:volume cloud:volume server:volume list:volume accounts:volume profile:volume "
                       "compose-files:command");
    assert_left_out(&f, "app_shared", "a cache");
    assert_left_out(&f, "/srv/app/site", "code");
    assert_left_out(&f, "/srv/app/own", "code");
    assert_left_out(&f, "/srv/app/etc", "configuration");
}

static void test_read_only_volumes(void **state)
{
    (void)state;
    AUTO(found) f = {0};
    find_one(
        &f,
        "services:\n"
        "  a:\n    image: example/a\n    volumes: ['reports:/reports:ro', 'theirs:/theirs:ro', './r:/r:ro']\n"
        "volumes:\n  reports:\n  theirs: {external: true}\n");
    assert_sources(&f, "reports:volume compose-files:command");
    assert_left_out(&f, "theirs", "read-only");
    assert_left_out(&f, "/srv/app/r", "read-only");
}

static void test_servers_and_helpers(void **state)
{
    (void)state;
    AUTO(found) f = {0};
    find_one(
        &f,
        "services:\n"
        "  db:\n    build: ./db\n    environment: {PGDATA: /data/pg}\n    volumes: ['pg:/data']\n"
        "  other:\n    image: postgres:16\n    environment: {PGDATA: /store}\n    volumes: ['pg2:/store']\n"
        "  dump:\n    image: postgres:16\n    entrypoint: /dump.sh\n    volumes: ['./out:/out']\n"
        "  migrate:\n    image: postgres:16\n    command: psql -f /x.sql\n"
        "  plain:\n    image: postgres:16\n    command: postgres -c shared_buffers=1GB\n"
        "  holder:\n    image: busybox\n    volumes: ['my:/var/lib/mysql']\n"
        "  my:\n    image: mysql:8\n    volumes: ['my:/var/lib/mysql']\n"
        "  mo:\n    image: mongo\n    entrypoint: [mongod, --port, '27117']\n    volumes: ['mo:/data/db']\n"
        "  re:\n    image: redis\n    command: redis-server --port 6380\n    volumes: ['re:/data']\n"
        "  events:\n    build: ./ch\n    volumes: ['ch:/var/lib/clickhouse']\n"
        "volumes: {pg: , pg2: , my: , mo: , re: , ch: }\n");
    assert_sources(&f,
                   "db:postgres other:postgres plain:postgres my:command mo:command re:command out:volume "
                   "ch:volume compose-files:command");
    assert_left_out(&f, "app_pg ", "the data folder of PostgreSQL");
    assert_left_out(&f, "app_pg2 ", "the data folder of PostgreSQL");
    assert_has(&f, "'mongodump --quiet --archive --port 27117'\n");
    assert_has(&f, "'mongorestore --quiet --archive --drop --port 27117'\n");
    assert_has(&f, "docker exec -i app-re-1 redis-cli -p 6380 --rdb -\n");
    assert_has(&f, "events writes here while it runs");
}

static void test_measurements(void **state)
{
    (void)state;
    AUTO(found) f = {0};
    find_one(&f, "services:\n"
                 "  tsdb:\n    image: timescale/timescaledb-ha:pg16\n"
                 "    volumes: ['ts:/home/postgres/pgdata/data']\n"
                 "  custom:\n    build: ./db\n    volumes: ['own:/var/lib/postgresql/data']\n"
                 "  vectors:\n    image: pgvector/pgvector:pg17\n    volumes: ['vec:/var/lib/postgresql']\n"
                 "  bare:\n    image: pgvector/pgvector:pg17\n"
                 "  exporter:\n    image: prometheuscommunity/postgres-exporter\n"
                 "  grafana:\n    image: grafana/grafana\n    volumes: ['grafana:/var/lib/grafana']\n"
                 "  prometheus:\n    image: prom/prometheus\n    volumes: ['prom:/prometheus']\n"
                 "  chroma:\n    image: chromadb/chroma\n    volumes: ['./chroma:/chroma/chroma']\n"
                 "  share:\n    image: samba\n    volumes: ['nfs:/share', 'disk:/disk']\n"
                 "volumes:\n  ts:\n  own:\n  vec:\n  grafana:\n  prom:\n"
                 "  nfs: {driver_opts: {type: nfs, o: 'addr=10.0.0.1', device: ':/x'}}\n"
                 "  disk: {driver: local, driver_opts: {type: none, o: bind, device: /mnt/disk}}\n");
    assert_sources(
        &f,
        "tsdb:postgres custom:postgres vectors:postgres bare:postgres grafana:volume prom:volume chroma:volume "
        "disk:volume compose-files:command");
    assert_has(&f, "#before = docker stop app-chroma-1\n#after = docker start app-chroma-1\n");
    assert_has(&f, "\npath = /mnt/disk\n");
    assert_left_out(&f, "app_nfs", "nfs");
}

static void test_mongo_and_redis(void **state)
{
    (void)state;
    AUTO(found) f = {0};
    find_one(
        &f,
        "services:\n"
        "  mongo:\n    image: mongo:7\n    volumes: ['mongo:/data/db']\n    environment:\n"
        "      MONGO_INITDB_ROOT_USERNAME: root\n      MONGO_INITDB_ROOT_PASSWORD: geheim1\n"
        "  mongo-express:\n    image: mongo-express\n    environment: {ME_CONFIG_MONGODB_ADMINPASSWORD: geheim1}\n"
        "  plain:\n    image: mongo:4\n    volumes: ['mongo2:/data/db']\n"
        "  cache:\n    image: redis:7\n    command: [redis-server, --requirepass, geheim2]\n    volumes: ['c:/data']\n"
        "  queue:\n    image: redis:7\n    environment: {PW: geheim3}\n"
        "    command: sh -c 'redis-server --requirepass \"$$PW\"'\n    volumes: ['q:/data']\n"
        "  jobs:\n    image: redis:7\n    environment: {PW: geheim4}\n"
        "    command: redis-server --requirepass geheim4\n    volumes: ['j:/data']\n"
        "  locks:\n    image: redis:7\n"
        "    command: sh -c 'redis-server --requirepass \"$$(cat /run/secrets/locks)\"'\n    volumes: ['l:/data']\n"
        "volumes: {mongo: , mongo2: , c: , q: , j: , l: }\n");
    assert_sources(&f, "mongo:command plain:command cache:command queue:command jobs:command locks:command "
                       "compose-files:command");
    assert_has(
        &f,
        "command = docker exec -i app-mongo-1 bash -c 'mongodump --quiet --archive --authenticationDatabase "
        "admin --username \"$MONGO_INITDB_ROOT_USERNAME\" --config <(");
    assert_has(&f,
               "restore-command = docker exec -i app-mongo-1 bash -c 'mongorestore --quiet --archive --drop");
    assert_has(&f, "command = docker exec -i app-plain-1 bash -c 'mongodump --quiet --archive'\n");
    assert_has(&f,
               "REDISCLI_AUTH=\"$(cat '/etc/lifeboat/cache.password')\" docker exec -i -e REDISCLI_AUTH ");
    assert_has(&f, "docker exec -i app-queue-1 sh -c 'REDISCLI_AUTH=\"$PW\" redis-cli --rdb -'\n");
    assert_has(&f, "docker exec -i app-jobs-1 sh -c 'REDISCLI_AUTH=\"$PW\" redis-cli --rdb -'\n");
    assert_has(&f, "sh -c 'REDISCLI_AUTH=\"$(cat /run/secrets/locks)\" redis-cli --rdb -'\n");
    assert_has(&f, "start it with\n# \"appendonly no\" this once");
    assert_lacks(&f, "geheim");
    assert_int_equal(f.plan.file_count, 1);
    assert_string_equal(buf_cstr(&f.plan.files[0].text), "geheim2\n");
}

/* Several files: lists add up, mounts go by target, commands are replaced; include, extends, !reset. */
static void test_several_files(void **state)
{
    (void)state;
    const struct file files[] = {
        {"/srv/app/compose.yml",
         "include: [db/compose.yml]\nservices:\n"
         "  base:\n    image: example/base\n    profiles: [never]\n    volumes: ['shared:/shared']\n"
         "  app:\n    extends: base\n    profiles: !reset []\n    image: example/app\n"
         "    volumes: ['dev:/var/data', './src:/app', 'mail:/mail']\n"
         "  worker:\n    extends: {service: job, file: common/jobs.yml}\n"
         "volumes: {shared: , dev: , live: , mail: , jobs: }\n"},
        {"/srv/app/prod.yml", "services:\n  app:\n    volumes: !override ['live:/var/data', 'mail:/mail']\n"
                              "  db:\n    environment: ['POSTGRES_DB=production']\n    image: postgres:16\n"},
        {"/srv/app/more.yml", "services:\n  app:\n    volumes: ['shared:/var/data']\n"
                              "  worker:\n    volumes: !reset ['jobs:/jobs']\n"},
        {"/srv/app/db/compose.yml", "services:\n  db:\n    image: postgres:13\n    env_file: pg.env\n"
                                    "    environment: {POSTGRES_USER: u}\n"
                                    "    volumes: ['./files:/var/lib/postgresql/data']\n"},
        {"/srv/app/db/pg.env", "POSTGRES_DB=test\nPOSTGRES_PASSWORD=geheim\n"},
        {"/srv/app/common/jobs.yml", "services:\n  job:\n    image: example/job\n"
                                     "    volumes: ['./spool:/spool', 'jobs:/jobs']\n"},
        {NULL, NULL}};
    AUTO(found) f = {0};
    find(&f, files, "compose.yml", NULL);
    assert_sources(&f, "db:postgres shared:volume dev:volume mail:volume spool:volume jobs:volume "
                       "compose-files:command");
    assert_left_out(&f, "/srv/app/db/files", "the data folder of PostgreSQL");
    assert_has(&f, "\npath = /srv/app/common/spool\n");
    found_free(&f);
    find(&f, files, "compose.yml prod.yml", NULL);
    assert_has(&f, "Service db, image postgres:16.");
    assert_has(&f, "[source live]");
    assert_lacks(&f, "[source dev]");
    const struct compose_service *db = &f.c->services[0];
    assert_string_equal(db->name, "db");
    assert_variable(db, "POSTGRES_DB", "production");
    assert_variable(db, "POSTGRES_PASSWORD", "geheim");
    assert_lacks(&f, "/srv/app/src");
    found_free(&f);
    find(&f, files, "compose.yml more.yml", NULL); /* the same target: another volume there */
    assert_lacks(&f, "[source dev]");
    assert_has(&f, "[source mail]");
    assert_lacks(&f, "[source jobs]");
}

/* Also of whole services, and of all of them: what is reset is not looked at. */
static void test_reset_services(void **state)
{
    (void)state;
    const struct file files[] = {
        {"/srv/app/compose.yml", "services:\n  app: {image: example/app, volumes: ['v:/data']}\n"
                                 "  old: {image: example/old, volumes: ['w:/data']}\n"
                                 "volumes: {v: , w: }\n"},
        {"/srv/app/base.yml", "services: {base: {image: example/base, volumes: ['w:/more']}}\n"},
        {"/srv/app/one.yml", "services:\n  app: !override {extends: {service: base, file: base.yml}}\n"
                             "  old: !reset {image: postgres}\n"},
        {"/srv/app/all.yml", "services: !reset {app: {env_file: [{path: x}]}}\n"},
        {"/srv/app/other.yml", "services: !override {only: {image: mongo, volumes: ['v:/data/db']}}\n"},
        {NULL, NULL}};
    AUTO(found) f = {0};
    struct err e;
    find(&f, files, "compose.yml one.yml", NULL);
    assert_sources(&f, "w:volume compose-files:command");
    assert_has(&f, "# app_w (app: /more)");
    found_free(&f);
    find(&f, files, "compose.yml other.yml", NULL);
    assert_sources(&f, "only:command compose-files:command");
    assert_null(load(files, "compose.yml all.yml", NULL, &e));
    assert_text(e, "it has no \"services:\"");
}

/* Of secrets, too: what is gone is not among the files of the set-up. */
static void test_override_secrets(void **state)
{
    (void)state;
    const struct file files[] = {
        {"/srv/app/compose.yml", "services: {app: {image: example/app, volumes: ['v:/data'], secrets: [a]}}\n"
                                 "volumes: {v: }\nsecrets: {a: {file: a.txt}, b: {file: b.txt}}\n"},
        {"/srv/app/more.yml", "secrets: {a: {file: c.txt}}\n"},
        {"/srv/app/other.yml", "secrets: !override {a: {file: c.txt}}\n"},
        {"/srv/app/a.txt", "a"},
        {"/srv/app/b.txt", "b"},
        {"/srv/app/c.txt", "c"},
        {NULL, NULL}};
    AUTO(found) f = {0};
    find(&f, files, "compose.yml more.yml", NULL);
    assert_has(&f, "srv/app/b.txt");
    found_free(&f);
    find(&f, files, "compose.yml other.yml", NULL);
    assert_has(&f, "srv/app/c.txt");
    assert_lacks(&f, "srv/app/b.txt");
}

/* ---- variables ---- */
static char *interpolated(const char *value, const char *variable, struct err *e)
{
    AUTO_CHAR text = xasprintf("services: {a: {image: '%s'}}", value);
    const struct file files[] = {{"/srv/app/compose.yml", text}, {NULL, NULL}};
    AUTO_PTR(compose) c = load(files, "", variable, e);
    return c ? xstrdup(c->services[0].image) : NULL;
}

static void test_variables(void **state)
{
    (void)state;
    static const struct {
        const char *value, *variable, *expected;
    } cases[] = {
        {"${A}", "A=x", "x"},          {"$A-b", "A=x", "x-b"},         {"${A:-d}", "A=", "d"},
        {"${A-d}", "A=", ""},          {"${A-d}", NULL, "d"},          {"${A:-${B:-c}}", NULL, "c"},
        {"${A:-${B:-c}}", "B=x", "x"}, {"$$A", "A=x", "$A"},           {"${A:+y}", "A=x", "y"},
        {"${A:+y}", "A=", ""},         {"${A+y}", "A=", "y"},          {"$", NULL, "$"},
        {"a$1", NULL, "a$1"},          {"${A:?no}", "A=x", "x"},       {"${A:-a:b/c}", NULL, "a:b/c"},
        {"$_x", "_x=y", "y"},          {"${A}${A}", "A=$$B", "$$B$$B"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e;
        AUTO_CHAR got = interpolated(cases[i].value, cases[i].variable, &e);
        if (!got)
            fail_msg("%s: %s", cases[i].value, e.text);
        assert_string_equal(got, cases[i].expected);
    }
    struct err e;
    assert_null(interpolated("${A:?say it}", "A=", &e));
    assert_text(e,
                "/srv/app/compose.yml:1: the variable A is not set: say it; set it in the environment file");
    assert_null(interpolated("${A", NULL, &e));
    assert_text(e, "the \"}\" is missing");
    assert_null(interpolated("${A!b}", NULL, &e));
    assert_text(e, "is no variable");
    const struct file files[] = {{"/srv/app/compose.yml", "services: {a: {image: $NOWHERE}}"}, {NULL, NULL}};
    AUTO_PTR(compose) c = load(files, "", NULL, &e);
    assert_non_null(c);
    assert_int_equal(c->notes.n, 1);
    assert_string_equal(c->notes.v[0], "the variable NOWHERE is not set: taken to be empty");
}

/* ---- what is refused ---- */
static void refuse(const char *text, const char *message)
{
    struct err e;
    const struct file files[] = {{"/srv/app/compose.yml", text}, {NULL, NULL}};
    AUTO_PTR(compose) c = load(files, "", NULL, &e);
    if (c)
        fail_msg("not refused: %.200s", text);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(e, message);
}

static void test_mistakes(void **state)
{
    (void)state;
    refuse("", "/srv/app/compose.yml:1: is no compose file: it has no \"services:\"");
    refuse("a: 1\n", "is no compose file");
    refuse("services:\n  a: [1\n", "is not YAML");
    refuse("services:\n\ta: 1\n",
           "/srv/app/compose.yml:2: is not YAML: found character that cannot start any token");
    refuse("services: {a: {image: x, image: y}}", "the key \"image\" stands twice");
    refuse("services: {a: {image: *x}}", "*x names no anchor");
    refuse("services: &s {a: *s}", "an alias stands inside of what it names");
    refuse("services: {a: {extends: b}, b: {extends: a}}", "goes round in a circle");
    refuse("services: {a: {extends: {service: x, file: no.yml}}}", "there is no /srv/app/no.yml");
    refuse("services: {a: {extends: {service: x, file: compose.yml}}}", "without an end");
    refuse("include: [compose.yml]\nservices: {a: {}}", "without an end");
    refuse("include: [no.yml]\nservices: {a: {}}", "include: there is no /srv/app/no.yml");
    refuse("services: {'a\\nb]': {image: x}}", "is no name for a service");
    refuse("services: {a: {volumes: [{type: bind, source: \"/x\\n[keys]\", target: /y}]}}",
           "control character");
    refuse("services: {a: {env_file: \"x\\ny\"}}", "control character");
    refuse("services: {a: {volumes: ['a b:/x']}}", "neither the name of a volume nor a path");
    refuse("services: {a: {volumes: ['b:/x']}}", "b is not declared below the \"volumes:\"");
    refuse("services: {a: {volumes: x}}", "volumes: is no list");
    refuse("services: [a]", "services: is no map");
    refuse("a: 1\n---\nservices: {}\n", "a second document");
    refuse("services: {a: {<<: 3}}", "<< wants a map");
}

static void repeat(struct buf *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_add_str(out, text);
}

static void test_hostile(void **state)
{
    (void)state;
    AUTO(buf) deep = BUF_NONE;
    repeat(&deep, "[", 100000);
    refuse(buf_cstr(&deep), "nested more than 64 deep");
    AUTO(buf) large = BUF_NONE;
    repeat(&large, "# 0123456789\n", 100000);
    refuse(buf_cstr(&large), "larger than 1 MiB");
    AUTO(buf) many = BUF_NONE;
    buf_add_str(&many, "services: [");
    repeat(&many, "a,", 6000);
    buf_add_str(&many, "]");
    refuse(buf_cstr(&many), "more than 5,000 entries");
    AUTO(buf) nested = BUF_NONE;
    buf_add_str(&nested, "services: {a: {image: '");
    repeat(&nested, "${A:-", 1000);
    repeat(&nested, "}", 1000);
    buf_add_str(&nested, "'}}");
    refuse(buf_cstr(&nested), "nested more than 16 deep");
}

/* What is noted is noted once, and a flood of it is not; variables that grow out of others are bounded. */
static void test_floods(void **state)
{
    (void)state;
    struct err e;
    AUTO(buf) unset = BUF_NONE;
    buf_add_str(&unset, "services: {a: {image: '");
    for (int i = 0; i < 20000; i++)
        buf_add_fmt(&unset, "$u%d", i);
    buf_add_str(&unset, "'}}");
    const struct file one[] = {{"/srv/app/compose.yml", buf_cstr(&unset)}, {NULL, NULL}};
    AUTO_PTR(compose) c = load(one, "", NULL, &e);
    assert_non_null(c);
    assert_int_equal(c->notes.n, 101);
    assert_string_equal(c->notes.v[100], "more variables are not set: taken to be empty");
    AUTO(buf) variables = BUF_NONE;
    buf_add_str(&variables, "A=");
    repeat(&variables, "0123456789", 50000);
    for (int i = 0; i < 40; i++)
        buf_add_fmt(&variables, "\nB%d=$A$A", i);
    const struct file two[] = {{"/srv/app/compose.yml", "services: {a: {image: x}}"},
                               {"/srv/app/.env", buf_cstr(&variables)},
                               {NULL, NULL}};
    assert_null(load(two, "", NULL, &e));
    assert_text(e, "/srv/app/.env: its variables come to more than 16 MiB");
}

/* What costs much for few bytes: an alias of a list of aliases of a large map, merged again and again; many
 * variables used many times; folders without number, all of one name. Each is a little beyond its limit. */
static void test_slow_ones(void **state)
{
    (void)state;
    AUTO(buf) merges = BUF_NONE;
    buf_add_str(&merges, "a: &a {");
    for (int i = 0; i < 999; i++)
        buf_add_fmt(&merges, "k%d: 1, ", i);
    buf_add_str(&merges, "}\nl: &l [");
    repeat(&merges, "*a,", 10);
    buf_add_str(&merges, "]\nx:\n");
    repeat(&merges, "  <<: *l\n", 11);
    buf_add_str(&merges, "services: {a: {image: x}}\n");
    refuse(buf_cstr(&merges), "compose.yml:1: << merges more than 100,000 keys");

    struct err e;
    AUTO(buf) uses = BUF_NONE;
    AUTO(buf) variables = BUF_NONE;
    for (int i = 0; i < 9000; i++)
        buf_add_fmt(&variables, "v%d=\n", i);
    buf_add_str(&uses, "services: {a: {image: '");
    repeat(&uses, "$v1", 3000);
    repeat(&uses, "${v2}", 3000);
    buf_add_str(&uses, "'}}");
    const struct file files[] = {
        {"/srv/app/compose.yml", buf_cstr(&uses)}, {"/srv/app/.env", buf_cstr(&variables)}, {NULL, NULL}};
    assert_null(load(files, "", NULL, &e));
    assert_text(e, "compose.yml:1: too many uses of too many variables");

    AUTO(buf) mounts = BUF_NONE;
    buf_add_str(&mounts, "services: {a: {image: x, volumes: [");
    for (int i = 0; i < 1001; i++)
        buf_add_fmt(&mounts, "/srv/%d/data:/d,", i);
    buf_add_str(&mounts, "]}}");
    refuse(buf_cstr(&mounts), "volumes: there are more than 1000 in all");
    AUTO(buf) services = BUF_NONE;
    buf_add_str(&services, "services: {");
    for (int i = 0; i < 501; i++)
        buf_add_fmt(&services, "s%d: {image: x},", i);
    buf_add_str(&services, "}");
    refuse(buf_cstr(&services), "services: there are more than 500");
}

/* Aliases are shared, so a bomb costs what its text costs; merged ones are copied, and bounded. */
static void test_bombs(void **state)
{
    (void)state;
    AUTO(buf) bomb = BUF_NONE;
    buf_add_str(&bomb, "x0: &x0 {a: lol}\n");
    for (int i = 1; i < 30; i++) {
        buf_add_fmt(&bomb, "x%d: &x%d {", i, i);
        for (int k = 0; k < 9; k++)
            buf_add_fmt(&bomb, "k%d: *x%d,", k, i - 1);
        buf_add_str(&bomb, "}\n");
    }
    buf_add_str(&bomb, "services: {db: {image: postgres, labels: *x29, environment: *x29}}\n");
    AUTO(found) f = {0};
    find_one(&f, buf_cstr(&bomb));
    assert_sources(&f, "db:postgres compose-files:command");
    AUTO(buf) merged = BUF_NONE;
    buf_add_str(&merged, "x: &x {");
    for (int i = 0; i < 900; i++)
        buf_add_fmt(&merged, "k%d: 1,", i);
    buf_add_str(&merged, "}\ny:\n");
    repeat(&merged, " - <<: *x\n", 4900);
    refuse(buf_cstr(&merged), "<< merges more than 100,000 keys");
    AUTO(buf) grown = BUF_NONE;
    buf_add_str(&grown, "services:\n  a:\n    image: x\n    labels:\n");
    for (int i = 0; i < 900; i++)
        buf_add_fmt(&grown, "      l%d: $LONG\n", i);
    AUTO(buf) variable = BUF_NONE;
    buf_add_str(&variable, "LONG=");
    repeat(&variable, "0123456789", 10000);
    struct err e;
    const struct file files[] = {{"/srv/app/compose.yml", buf_cstr(&grown)}, {NULL, NULL}};
    AUTO_PTR(compose) c = load(files, "", buf_cstr(&variable), &e);
    assert_null(c);
    assert_text(e, "holds too much");
}

static void test_nothing(void **state)
{
    (void)state;
    struct err e;
    const struct file files[] = {{"/srv/app/compose.yml", "services: {web: {image: nginx}}"}, {NULL, NULL}};
    AUTO_PTR(compose) c = load(files, "", NULL, &e);
    AUTO(compose_plan) p = {0};
    assert_non_null(c);
    assert_int_equal(compose_plan(c, "/etc/lifeboat", &p, &e), -1);
    assert_text(e, "there is nothing to back up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tutor),
                                       cmocka_unit_test(test_wordpress),
                                       cmocka_unit_test(test_photos),
                                       cmocka_unit_test(test_gitea),
                                       cmocka_unit_test(test_mastodon),
                                       cmocka_unit_test(test_long_syntax),
                                       cmocka_unit_test(test_search_snapshots),
                                       cmocka_unit_test(test_measurements),
                                       cmocka_unit_test(test_mongo_and_redis),
                                       cmocka_unit_test(test_several_files),
                                       cmocka_unit_test(test_reset_services),
                                       cmocka_unit_test(test_override_secrets),
                                       cmocka_unit_test(test_variables),
                                       cmocka_unit_test(test_mistakes),
                                       cmocka_unit_test(test_hostile),
                                       cmocka_unit_test(test_floods),
                                       cmocka_unit_test(test_slow_ones),
                                       cmocka_unit_test(test_bombs),
                                       cmocka_unit_test(test_kept_when_in_doubt),
                                       cmocka_unit_test(test_read_only_volumes),
                                       cmocka_unit_test(test_servers_and_helpers),
                                       cmocka_unit_test(test_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

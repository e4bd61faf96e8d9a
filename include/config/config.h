/* config.h - the configuration file: INI (libinih), every key checked, an unknown one answered with the
 * nearest known. conf/lifeboat.conf documents every key. */
#ifndef LIFEBOAT_CONFIG_CONFIG_H
#define LIFEBOAT_CONFIG_CONFIG_H

#include "base/base.h"

enum source_type { SOURCE_POSTGRES, SOURCE_VOLUME, SOURCE_COMMAND };
const char *source_type_name(enum source_type t);

enum store_kind { STORE_FOLDER, STORE_BUCKET };
enum addressing { ADDRESSING_AUTO, ADDRESSING_PATH, ADDRESSING_VIRTUAL }; /* auto: path, for AWS virtual */
enum signature { SIGNATURE_V4, SIGNATURE_V2 };

struct config_store {
    char *name;
    char *url; /* as written: file:///path, s3://bucket/prefix */
    enum store_kind kind;
    char *path;         /* the folder */
    unsigned min_free;  /* percent, default 2 */
    bool require_mount; /* the folder's file system must not be the root's */
    /* buckets */
    char *bucket, *prefix; /* prefix: "" or without slashes at its ends */
    char *endpoint;        /* https://host[:port]; of AWS when it is not set */
    char *region;          /* default us-east-1 */
    char *credentials;     /* a file; NULL: the environment */
    char *ca_file;         /* NULL: the system's */
    bool insecure;         /* http:// is meant */
    enum addressing addressing;
    enum signature signature;
    uint64_t limit_up, limit_down; /* bytes a second; 0: none */
    unsigned object_lock_days;     /* 0: no Object Lock */
};
/* Fills a store that is described by an URL alone: /path, file:///path or
 * s3://BUCKET/PREFIX?endpoint=https://host&region=R&addressing=path&signature=v2&credentials=FILE&ca-file=FILE
 * with
 * %-escapes in the values. ERR_USAGE: what is wrong. */
int config_store_parse_url(struct config_store *s, const char *url, struct err *e) MUST_CHECK;
/* The same the other way round, without credentials: what a recovery kit holds. Caller frees. */
char *config_store_url(const struct config_store *s);
void config_store_free(struct config_store *s);
AUTO_FOR(config_store)

/* All that PQconninfoParse() says without memory. In a longer text it is a quotation of what it was given. */
#define LIBPQ_OUT_OF_MEMORY "out of memory\n"

struct config_source {
    char *name;
    enum source_type type;
    bool may_be_empty;     /* allow-empty: command: no bytes; postgres: no tables; volume: no entries */
    uint64_t time_limit_s; /* 0: none */
    char *before, *after, *on_failure; /* shell commands, NULL: none */
    uint32_t chunk_mean;               /* bytes, 0: the type's own */
    int compression;                   /* zstd level; 0: the type's own default */
    /* postgres */
    char *connection;         /* libpq keyword string or URI, NULL: libpq's environment */
    char *container;          /* the server runs in this one: address, user ... are asked of the engine */
    char *compose_service;    /* the same, as "PROJECT/SERVICE" */
    struct strings databases; /* empty: the connection's; {"all"}: every database that allows connections */
    struct strings exclude_table_data;
    bool may_shrink; /* allow-shrink: tables gone, or half of the rows, entries or bytes, is no reason */
    struct strings
        shrinking; /* may-shrink: globs of tables that lose rows as they please: queues, sessions */
    bool globals;  /* default yes */
    /* volume */
    char *path;                /* or: */
    char *docker_volume;       /* its name: the engine knows the folder */
    struct strings exclude;    /* globs */
    struct strings may_change; /* globs */
    bool exclude_caches, one_file_system;
    unsigned reread_days; /* 0: never */
    /* command */
    char *command, *restore_command;
    char *drill_command; /* NULL: the restore-command is tried, when it writes below $LIFEBOAT_TARGET */
};

struct config_assert {
    char *source; /* its name; of several databases "name/database" */
    char *sql;    /* its first value must be true */
};
struct config_drill {
    char *scratch;       /* "auto", "private", "image", or a libpq string or URI of a server set aside */
    char *directory;     /* default: "drill" in the state directory */
    uint64_t max_bytes;  /* that a drill may put into scratch at a time; 0: what there is room for */
    char *after_restore; /* shell command, NULL: none */
    struct config_assert *asserts;
    size_t assert_count;
};

/* Whom runs are reported to: report/notify.h. URLs are secrets: in the file itself only when nobody else may
 * read it, else in files of their own. */
struct config_notify {
    char *ping_url;    /* the dead-man's switch: its URL, or /a/file that holds it; NULL: none */
    char *webhook_url; /* where news go, likewise */
    char *template;    /* a file: the JSON that is sent; NULL: our own */
    uint64_t digest_s; /* 0: none is wanted */
    char *ca_file;     /* NULL: the system's */
    bool insecure;     /* http:// is meant */
};
/* ERR_USAGE unless it is an URL that may be sent to. The message does not show it. */
int config_check_web_url(const char *url, bool insecure, struct err *e) MUST_CHECK;

/* How much of a source is kept: policy/retention.h. 0: that rule is not set. */
enum keep_period { KEEP_HOURLY, KEEP_DAILY, KEEP_WEEKLY, KEEP_MONTHLY, KEEP_YEARLY };
#define KEEP_PERIODS 5
struct keep_rules {
    unsigned last;
    uint64_t within_s;
    unsigned periods[KEEP_PERIODS];
    unsigned min; /* of good ones, whatever the rules say; default 3, at least 1 */
};
struct config_retention {
    char *source; /* [retention SOURCE]; NULL: [retention] */
    struct keep_rules keep;
    /* [retention] alone: they count for the whole repository */
    uint64_t undo_window_s; /* default 3 days */
    uint64_t grace_s;       /* default 24 hours, at least GRACE_LEAST_S */
    char *time_zone;        /* whose days are meant, "Europe/Berlin"; NULL: the machine's */
};
/* Collecting garbage without locks is safe while grace/2 + grace/8 + 2 lag < grace, lag being how late a
 * listing may be. Lag is an hour, and a sixteenth of the grace where that is less, so 3/4 of the grace is the
 * most that the left side comes to, and what is left is more than the second by which an age may be wrong:
 * S3's times are whole seconds. */
#define GRACE_LEAST_S 5
static inline int64_t config_lag_ns(const struct config_retention *r)
{
    return MIN((int64_t)r->grace_s * 1000000000 / 16, 3600ll * 1000000000);
}

struct config {
    char *file; /* where it was read from */
    struct config_store *stores;
    size_t store_count;
    struct config_source *sources;
    size_t source_count;
    char *writer_key; /* [keys] */
    char *identity;   /* NULL: write-only host */
    char *state_dir, *cache_dir;
    char *host;                        /* [general]; default: gethostname() */
    unsigned threads;                  /* default: the CPUs we may use, at most 16 */
    int compression;                   /* 0: per type */
    int nice;                          /* 0 to 19, default 0: as started */
    char *before, *after, *on_failure; /* [general]: around each backup; shell commands, NULL: none */
    struct config_drill drill;
    struct config_notify notify;
    char *metrics_file;                  /* [metrics] textfile; NULL: none */
    struct config_retention retention;   /* [retention] */
    struct config_retention *exceptions; /* each [retention SOURCE] */
    size_t exception_count;
};

bool config_is_private(const char *scratch);         /* the same, of the word alone */
bool drill_is_private(const struct config_drill *d); /* scratch is no server of the user's */
bool config_is_container(const char *s,
                         bool slash); /* can be the name of one; with `slash`: PROJECT/SERVICE */

/* Reads and checks the file. Every problem is ERR_USAGE with "FILE:LINE: [section] key: what; what to do". */
struct config *config_load(const char *path, struct err *e) MUST_CHECK;
/* The same from memory, for tests and fuzzing; `name` stands for the path. */
struct config *config_parse(const char *name, struct bytes text, struct err *e) MUST_CHECK;
const struct config_source *config_find_source(const struct config *c, const char *name); /* or NULL */
/* What [retention SOURCE] says, and [retention] where that is silent. The source may be one of another host.
 */
const struct keep_rules *config_keep_rules(const struct config *c, const char *source);
void config_free(struct config *c);
AUTO_PTR_FOR(config)

/* The known word nearest to `word` by edit distance, or NULL when none is near. words is NULL-ended. */
const char *nearest_word(const char *word, const char *const *words);

#endif

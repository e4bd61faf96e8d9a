#include "engine_api.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MOST (16u << 20)
#define TIMEOUT_S   30L

/* Where the engine listens. Caller frees; NULL with *e. */
static char *find_socket(struct err *e)
{
    static const char *const usual[] = {"/run/docker.sock", "/var/run/docker.sock",
                                        "/run/podman/podman.sock"};
    const char *host = getenv("DOCKER_HOST");
    if (host && strncmp(host, "unix://", 7) == 0)
        return xstrdup(host + 7);
    if (host && *host) {
        err_set(e, ERR_USAGE, "DOCKER_HOST is %s: only an engine of this machine can be asked (unix:///PATH)",
                host);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        if (access(usual[i], F_OK) == 0)
            return xstrdup(usual[i]);
    err_set(e, ERR_USAGE,
            "no container engine is here: there is neither /run/docker.sock nor "
            "/run/podman/podman.sock (for another socket set DOCKER_HOST=unix:///PATH)");
    return NULL;
}

static size_t receive(char *data, size_t size, size_t n, void *to)
{
    struct buf *out = to;
    if (out->n + size * n > ANSWER_MOST)
        return 0;
    buf_add(out, BYTES(data, size * n));
    return size * n;
}

static int transfer(CURL *c, const char *socket, const char *url, struct buf *out, long *status,
                    struct err *e)
{
    char why[CURL_ERROR_SIZE] = "";
    long os = 0;
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
    CURLcode rc = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, status);
    curl_easy_getinfo(c, CURLINFO_OS_ERRNO, &os);
    if (rc == CURLE_OK)
        return 0;
    if (os == EACCES)
        return err_set(e, ERR_USAGE,
                       "the container engine: %s: this user may not use it: run lifeboat as root, or put "
                       "the user into the group docker",
                       socket);
    return err_set(e, ERR_NET, "the container engine: %s: %s: is it running (systemctl status docker)?",
                   socket, *why ? why : curl_easy_strerror(rc));
}

int engine_get(const char *path, const char *query, json_t **out, struct err *e)
{
    AUTO(buf) answer = BUF_NONE;
    AUTO_CHAR socket = find_socket(e);
    CURL *c = socket ? curl_easy_init() : NULL;
    long status = 0;
    *out = NULL;
    if (!c)
        return err_set(e, ERR_FAILED, "libcurl: out of memory");
    char *escaped = query ? curl_easy_escape(c, query, 0) : NULL;
    AUTO_CHAR url =
        xasprintf("http://localhost%s%s%s", path, query ? "?filters=" : "", escaped ? escaped : "");
    curl_free(escaped);
    int rc = transfer(c, socket, url, &answer, &status, e);
    curl_easy_cleanup(c);
    if (rc)
        return -1;
    if (status == 404)
        return 1;
    *out = json_loadb((const char *)answer.p, answer.n, 0, NULL);
    if (answer.n)
        explicit_bzero(answer.p, answer.n);
    if (status == 200 && *out)
        return 0;
    json_decref(*out);
    *out = NULL;
    return err_set(e, ERR_FAILED, "the container engine: %s: its answer to %s is not understood (HTTP %ld)",
                   socket, path, status);
}

static bool is_in_path(const char *name)
{
    for (const char *p = getenv("PATH"); p && *p;) {
        size_t n = strcspn(p, ":");
        AUTO_CHAR program = xasprintf("%.*s/%s", (int)n, p, name);
        if (n && access(program, X_OK) == 0)
            return true;
        p += n + (p[n] == ':');
    }
    return false;
}

/* Podman's has "podman" in its name, /run/podman/podman.sock or /run/user/1000/podman/podman.sock. */
int engine_command(char **command, char **variable, struct err *e)
{
    static const char *const names[] = {"docker", "podman"};
    AUTO_CHAR socket = find_socket(e);
    if (!socket)
        return -1;
    size_t first = strstr(socket, "podman") != NULL;
    const char *name = is_in_path(names[first]) ? names[first] : names[1 - first];
    if (!is_in_path(name))
        return 0;
    *command = xstrdup(name);
    *variable =
        xasprintf("%s=unix://%s", strcmp(name, "podman") == 0 ? "CONTAINER_HOST" : "DOCKER_HOST", socket);
    return 0;
}

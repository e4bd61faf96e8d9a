#include "world.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#if FUZZ_MEMORY
#include <sanitizer/msan_interface.h>

/* What jansson writes there counts as written. */
static void *give(size_t n)
{
    void *p = malloc(n);
    if (p)
        __msan_unpoison(p, n);
    return p;
}

__attribute__((constructor)) static void set_up(void)
{
    json_set_alloc_funcs(give, free);
}
#endif

const struct keyring *fuzz_keys(void)
{
    static struct keyring *k;
    struct err e = ERR_INIT;
    AUTO(buf) secrets = BUF_NONE;
    if (k)
        return k;
    buf_add_str(&secrets, "lifeboat keys 1\n");
    buf_add_u32(&secrets, 1);
    buf_add_u32(&secrets, 1);
    memset(buf_reserve(&secrets, 2 * KEY_SIZE), 0x57, 2 * KEY_SIZE);
    secrets.n += 2 * KEY_SIZE;
    k = keyring_unpack_secrets(buf_bytes(&secrets), &e);
    HOLDS(k);
    return k;
}

/* ---- a folder ---- */
static char *folder;

static void remove_folder(void)
{
    struct err e = ERR_INIT;
    (void)!dir_remove(folder, &e);
    free(folder);
}

const char *fuzz_folder(void)
{
    if (!folder) {
        folder = xasprintf("%s/lifeboat-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        HOLDS(mkdtemp(folder));
        atexit(remove_folder);
    }
    return folder;
}

/* ---- a repository ---- */
void fuzz_repo_new(struct fuzz_repo *f)
{
    static struct pool *pool;
    struct err e = ERR_INIT;
    if (!pool)
        pool = pool_new(1);
    f->store = store_mem_new(fuzz_folder());
    const struct repo_options o = {
        .store = f->store, .keys = fuzz_keys(), .pool = pool, .spool_dir = fuzz_folder()};
    HOLDS(repo_create(f->store, o.keys, &e) == 0);
    f->repo = repo_open(&o, &e);
    HOLDS(f->repo);
}

void fuzz_repo_free(struct fuzz_repo *f)
{
    repo_free(f->repo);
    store_free(f->store);
}

/* ---- a network ---- */
#define PEERS 64

static struct bytes answer;
static unsigned left, peer_count;
static int peers[PEERS]; /* open until the end: who is hung up on while it speaks does not listen */

void fuzz_answer(struct bytes data, unsigned most)
{
    answer = data;
    left = MIN(most, PEERS);
}

void fuzz_answer_end(void)
{
    while (peer_count)
        close(peers[--peer_count]);
    left = 0;
}

/* Cuts off what the next connection gets. */
static struct bytes next_part(void)
{
    static const char cut[] = "\n===\n";
    const size_t n = sizeof cut - 1;
    const uint8_t *end = answer.n ? memmem(answer.p, answer.n, cut, n) : NULL;
    struct bytes part = answer;
    if (end) {
        part.n = (size_t)(end - answer.p);
        answer = BYTES(end + n, answer.n - part.n - n);
    }
    return part;
}

/* In place of the C library's: no fuzz target reaches anything outside of its process. */
int connect(int fd, const struct sockaddr *address, socklen_t n)
{
    int pair[2];
    (void)address, (void)n;
    if (!left) {
        errno = ECONNREFUSED;
        return -1;
    }
    left--;
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 && dup2(pair[0], fd) >= 0);
    close(pair[0]);
    struct bytes part = next_part();
    (void)!send(pair[1], part.p, part.n, MSG_DONTWAIT | MSG_NOSIGNAL); /* what does not fit is cut off */
    shutdown(pair[1], SHUT_WR);
    peers[peer_count++] = pair[1];
    return 0;
}

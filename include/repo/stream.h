/* stream.h - streams into and out of a repository: what sources push to and targets pull from.
 *
 * In: a writer (one backup run) has several streams open at once, all driven by one thread; behind it workers
 * hash, compress and seal, and packs go out while the next one fills. Out: a reader fetches each frame once
 * while it is needed, verifies every chunk, and hands the bytes out in order. */
#ifndef LIFEBOAT_REPO_STREAM_H
#define LIFEBOAT_REPO_STREAM_H

#include "base/base.h"
#include "codec/chunker.h"
#include "codec/digest.h"

struct repo;
struct writer;
struct stream;

/* One chunk of a stream: 24 bytes in the format. */
struct ref {
    struct chunk_id id;
    uint32_t length;
};

#define STREAM_ROOTS     32
#define STREAM_NAME_SIZE 96
/* A finished stream, as a snapshot records it. */
struct stream_info {
    char name[STREAM_NAME_SIZE]; /* "data", "catalog", "fingerprint", "globals", ... within its source */
    uint64_t bytes;
    uint64_t chunks;
    uint64_t new_bytes;    /* bytes in chunks that the repository did not have */
    uint64_t stored_bytes; /* what they take after compression, with the lists */
    struct chunk_params params;
    uint32_t frame; /* bytes of a full frame before compression */
    uint32_t depth; /* 0: the roots are the content chunks; n: they are lists n levels deep */
    uint32_t root_count;
    struct ref roots[STREAM_ROOTS];
};

struct stream_options {
    const char *name;
    struct chunk_params params; /* STREAM_DATABASE, STREAM_VOLUME */
    uint32_t frame;             /* bytes, 128 KiB for databases, 512 KiB for volumes */
    int level;                  /* zstd */
};
#define STREAM_FRAME_DATABASE (128u << 10)
#define STREAM_FRAME_VOLUME   (512u << 10)

/* What a source hears of the chunks of its stream, in order, from the thread that drives the stream, some
 * time after the bytes were written. Not 0 with *e fails the stream. */
struct stream_watch {
    int (*refs)(void *ctx, const struct ref *refs, size_t n, struct err *e);
    int (*cut)(void *ctx, uint64_t tag, struct err *e); /* everything before stream_cut(tag) was reported */
    void *ctx;
};

/* Opens a stream in the writer. watch may be NULL (copied). */
struct stream *stream_new(struct writer *w, const struct stream_options *o,
                          const struct stream_watch *watch) MUST_CHECK;
/* Appends bytes (borrowed for the call). */
int stream_write(struct stream *s, struct bytes b, struct err *e) MUST_CHECK;
/* Ends the current chunk here (an empty one is fine). */
int stream_split(struct stream *s, struct err *e) MUST_CHECK;
/* Also reports `tag` to the watch when it is reached. */
int stream_cut(struct stream *s, uint64_t tag, struct err *e) MUST_CHECK;
/* Appends chunks that the repository is believed to have; the stream must stand at a cut. 1: appended (and
 * reported to the watch). 0: at least one is not there any more, nothing was appended. -1: *e. */
int stream_append(struct stream *s, const struct ref *refs, size_t n, struct err *e) MUST_CHECK;
/* The good end: everything is on its way into packs; *out is complete. */
int stream_finish(struct stream *s, struct stream_info *out, struct err *e) MUST_CHECK;
void stream_free(struct stream *s); /* unfinished means abandoned */
AUTO_PTR_FOR(stream)

/* ---- out ---- */
struct stream_reader;
/* Reads bytes [offset, offset + length) of a finished stream; length UINT64_MAX: to the end. Needs the
 * identity (ERR_USAGE without). *info is copied. */
struct stream_reader *stream_reader_new(struct repo *r, const struct stream_info *info, uint64_t offset,
                                        uint64_t length, struct err *e) MUST_CHECK;
/* The next piece, valid until the next call; n = 0 at the end. -1: ERR_DAMAGED names chunk, pack and what to
 * do. Never hands out a byte that was not verified. */
int stream_reader_next(struct stream_reader *s, struct bytes *out, struct err *e) MUST_CHECK;
void stream_reader_free(struct stream_reader *s);
AUTO_PTR_FOR(stream_reader)

/* Walks the content references of a stream in order; needs the writer key only. */
struct ref_walk;
struct ref_walk *ref_walk_new(struct repo *r, const struct stream_info *info) MUST_CHECK;
/* 1: *ref is the next one, 0: the end, -1 with *e. */
int ref_walk_next(struct ref_walk *w, struct ref *ref, struct err *e) MUST_CHECK;
void ref_walk_free(struct ref_walk *w);
AUTO_PTR_FOR(ref_walk)

#endif

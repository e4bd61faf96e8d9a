/* writer.h - behind the streams of one run: frames are compressed and sealed by workers, appended in order to
 * a pack in an unlinked file, full packs are put by an uploader while the next one fills, indexes follow the
 * packs. */
#ifndef LIFEBOAT_REPO_WRITER_H
#define LIFEBOAT_REPO_WRITER_H

#include "repo/internal.h"

/* New chunks on their way into one frame. */
struct frame_builder {
    uint32_t frame; /* in the index; FRAME_NONE: nothing gathered yet */
    struct buf raw, chunks;
};

/* Gathers a chunk that the repository does not have; hands the frame over when it has `target` bytes. */
int writer_gather(struct writer *w, struct frame_builder *b, const struct ref *ref, struct bytes data,
                  uint32_t target, enum slot_kind kind, int level, uint64_t *stored,
                  struct err *e) MUST_CHECK;
/* Hands over what was gathered. *stored is raised by the sealed length when the frame reaches its pack. */
int writer_flush_frame(struct writer *w, struct frame_builder *b, enum slot_kind kind, int level,
                       uint64_t *stored, struct err *e) MUST_CHECK;
/* Waits until every frame that was handed over is in a pack. */
int writer_drain(struct writer *w, struct err *e) MUST_CHECK;
/* Appends what the workers have finished, without waiting. */
int writer_poll(struct writer *w, struct err *e) MUST_CHECK;
/* The owner of `stored` goes away. */
void writer_forget(struct writer *w, const uint64_t *stored);
/* For prune: a writer that moves what is there into new packs. It adds no chunks to the index, whose places
 * stay as they are numbered, and leaves packs alone that no index names. */
struct writer *writer_new_copying(struct repo *r, struct err *e) MUST_CHECK;
/* Appends a frame of another pack as it is, with its slot; chunks: as its table lists them. */
int writer_move_frame(struct writer *w, uint32_t frame, struct bytes chunks, struct bytes sealed,
                      struct err *e) MUST_CHECK;
struct repo *writer_repo(struct writer *w);
void writer_count_new(struct writer *w, uint32_t bytes);
void frame_builder_free(struct frame_builder *b);

#endif

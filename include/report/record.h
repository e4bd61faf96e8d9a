/* record.h - what this host keeps between runs in order to report on them, STATE/report.json: how each
 * command last ended, and which problems stand. A hint: when it is lost, standing problems are told once
 * more. */
#ifndef LIFEBOAT_REPORT_RECORD_H
#define LIFEBOAT_REPORT_RECORD_H

#include "config/config.h"

struct problem {
    char *command; /* that found it */
    char *about;   /* a source or a mirror; "": the run as a whole */
    char *text;
    int64_t since_ns;
    bool told; /* the webhook has taken it */
    bool over;
};
struct ran {
    char *command;
    int64_t time_ns; /* when it ended */
    double seconds;
    int code; /* its exit code */
};
struct record {
    struct problem *problems;
    size_t problem_count;
    struct ran *runs; /* the last one of each command */
    size_t run_count;
    int64_t digest_ns; /* when the last digest was taken; 0: never */
};

/* Waits up to `wait_ms` for another run that has it in hand. An fd, closing it lets go; -1 with *e. */
int record_lock(const char *state_dir, unsigned wait_ms, struct err *e) MUST_CHECK;
/* What is missing is empty, and so is what is not understood, after a warning. */
int record_load(struct record *r, const char *state_dir, struct err *e) MUST_CHECK;
int record_save(const struct record *r, const char *state_dir, struct err *e) MUST_CHECK;

/* A run has looked at `about`: text NULL, all is well with it. The same problem again is the same problem;
 * one that ends before it was told is forgotten. */
void record_observe(struct record *r, const char *command, const char *about, const char *text,
                    int64_t now_ns);
/* Problems of sources and stores that the configuration names no more are over. */
void record_settle(struct record *r, const struct config *c);
void record_ran(struct record *r, const char *command, int64_t now_ns, double seconds, int code);
size_t record_standing(const struct record *r); /* problems that are not over */
/* After the webhook has taken all news. */
void record_told(struct record *r);
void record_free(struct record *r);
AUTO_FOR(record)

#endif

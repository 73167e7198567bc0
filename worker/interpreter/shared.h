/*
 * The memory that the pool and one interpreter share: who runs since when, which execution an
 * interrupt is meant for, and what must outlive a crash (answers not sent yet, output so far). A
 * layout only; worker and interpreter.
 *
 * It saves a frame for each execution, and lets the pool say which execution was running when a
 * process died. The pool makes the memory (a memfd) and hands it over with the first frame; see
 * shared_hello. A script can write here through ctypes: the pool believes nothing it reads (lengths
 * are clamped, answers are parsed like frames).
 */
#ifndef ENGENHO_WORKER_INTERPRETER_SHARED_H
#define ENGENHO_WORKER_INTERPRETER_SHARED_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* In `running`: what is being loaded is the code of the low 32 bits, not an execution. */
#define SHARED_LOADING (UINT64_C(1) << 63)

#define SHARED_ANSWERS_BYTES (256 * 1024)
/*
 * The most that is captured of one execution, whatever Load.output_limit_bytes says: its answer
 * must fit into a frame.
 */
#define SHARED_OUTPUT_BYTES (8 * 1024 * 1024)

/* The descriptors that travel with the first byte of the pool's first frame, in this order. */
enum shared_fd {
    SHARED_FD_MEMORY,  /* this structure */
    SHARED_FD_CAPTURE, /* read end of the pipe that is the interpreter's stdout and stderr */
    SHARED_FD_STACK,   /* where the Python stack goes on SIGUSR1, ended by a NUL byte */
    SHARED_FD_COUNT
};

struct shared {
    /* Written by the interpreter. */
    _Atomic uint64_t running;      /* number of the execution, SHARED_LOADING | code, or 0 */
    _Atomic int64_t since_mono_us; /* of `running`; written before it */
    /* printed by what runs; may pass output_limit, which is then cut */
    _Atomic uint64_t output_bytes;
    _Atomic uint64_t output_limit; /* <= SHARED_OUTPUT_BYTES */
    /* whole answers (field 7 of ToWorker) that may not have been sent */
    _Atomic uint32_t answers_bytes;
    /* not 0: it ends when it has answered what it has; give it nothing more */
    _Atomic uint32_t leaving;
    /* Written by the pool. */
    _Atomic uint64_t interrupt; /* the execution that SIGINT is for */

    _Alignas(4096) uint8_t answers[SHARED_ANSWERS_BYTES];
    uint8_t output[SHARED_OUTPUT_BYTES];
};

static_assert(sizeof(atomic_uint_fast64_t) == 8,
              "atomics are plain words, so that two processes may share them");

#endif

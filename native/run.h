/*
 * A Plan and the loop that runs it: a flat program of system calls with forward jumps only, but that a call may be made
 * again a few times, so that every Plan ends. It knows no policy. The
 * executor (init.c) runs one in the container, the runtime runs its own part through spawn.c.
 */
#ifndef RUN_H
#define RUN_H

#include "arch.h"

enum { CALL = 1, WHEN = 2, UNLESS = 3, FAIL = 4 };
enum { CONSTANT = 0, ADDRESS = 1, LOAD = 2, TEXT = 3 };
enum { INTO_TEXT = 1 };
enum { MAGIC = 0x74726562 /* "bert" */ };
enum { TRIES = 16 /* of a call with an errno that leads back to it */ };

struct header {
	uint32_t magic;
	uint32_t size;       /* of the whole Plan, in bytes */
	uint32_t steps;      /* how many follow this header */
	uint32_t data;       /* offset of the data */
	uint32_t text;       /* offset of the strings */
	uint32_t relocs;     /* offset of the relocations: where in the data lie offsets that become addresses */
	uint32_t nrelocs;
	int32_t report;      /* descriptor that hears of a failure */
	uint32_t notice;     /* data offset of the address of memory that hears of it as well; 0: none */
	uint32_t unused;
};

struct step {
	uint16_t op;
	uint16_t nr;         /* CALL: the system call */
	uint16_t kinds;      /* CALL: two bits for each argument */
	uint16_t to;         /* WHEN, UNLESS: the step to go on with */
	uint32_t store;      /* CALL: data offset for the result; 0: nowhere */
	uint32_t error;      /* FAIL: the errno to report */
	uint64_t arg[6];     /* WHEN, UNLESS: data offset, mask, value */
	struct {
		uint16_t error;  /* an errno that is no failure here; 0: no more of them */
		uint16_t to;     /* the step to go on with then; the step itself: once more */
	} on[4];
};

struct failure {
	uint32_t step;
	uint32_t error;          /* 0: none, the Plan ended */
};

static inline void relocate(struct header *plan)
{
	char *data = (char *)plan + plan->data;
	char *text = (char *)plan + plan->text;
	const uint32_t *relocs = (const uint32_t *)((char *)plan + plan->relocs);

	/* Places are even to 8; the lowest bit tells what the offset there counts from. */
	for (uint32_t i = 0; i < plan->nrelocs; i++)
		*(uint64_t *)(data + (relocs[i] & ~7U)) += (uint64_t)(relocs[i] & INTO_TEXT ? text : data);
}

static inline struct failure run(const struct header *plan)
{
	const struct step *steps = (const struct step *)(plan + 1);
	char *data = (char *)plan + plan->data;
	struct failure failure = { 0, 0 };
	int tries = 0;

	while (failure.step < plan->steps) {
		const struct step *s = &steps[failure.step];
		uint32_t next = failure.step + 1;
		long a[6], result;

		switch (s->op) {
		case CALL:
			for (int n = 0; n < 6; n++) {
				unsigned kind = s->kinds >> (2 * n) & 3;
				if (kind == ADDRESS)
					a[n] = (long)(data + s->arg[n]);
				else if (kind == TEXT)
					a[n] = (long)((char *)plan + plan->text + s->arg[n]);
				else if (kind == LOAD)
					a[n] = *(long *)(data + s->arg[n]);
				else
					a[n] = (long)s->arg[n];
			}
			result = sys(s->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
			if (s->store)
				*(long *)(data + s->store) = result;
			if (result < 0 && result > -4096) {
				failure.error = (uint32_t)-result;
				for (int n = 0; n < 4 && s->on[n].error; n++) {
					if (s->on[n].error == failure.error) {
						next = s->on[n].to;
						if (next != failure.step || ++tries < TRIES)
							failure.error = 0;
						break;
					}
				}
			}
			break;
		case WHEN:
		case UNLESS:
			if (((*(uint64_t *)(data + s->arg[0]) & s->arg[1]) == s->arg[2]) == (s->op == WHEN))
				next = s->to;
			break;
		default:
			failure.error = s->error;
		}
		if (failure.error || next < failure.step || (next == failure.step && s->op != CALL))
			return failure;
		if (next != failure.step)
			tries = 0;
		failure.step = next;
	}
	return failure;
}

#endif

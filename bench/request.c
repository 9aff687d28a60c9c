/*
 * What a client sends.
 *
 * Every request differs, by its client's number and its own, so that a reply which is late by one
 * or somebody else's is noticed.  In raw shape the two numbers lie in the first 16 bytes as they
 * are.  Lines must not hold an LF or CR by accident, so there the numbers are spelt in letters,
 * once for all lines that go out together, and two more letters tell the lines apart.
 *
 * Which requests are marked is drawn by hashing the two numbers: without state, reproducible, and
 * spread over clients as independent draws would be.  A client's first request is never marked,
 * since it belongs to the setting up.
 */
#include "request.h"

#include "servers/contract.h"

#include <string.h>

#define FILLER 'a'
#define LETTERS 14 /* of the numbers; the two of the line come behind them */

size_t request_bytes(const struct request *request)
{
	return (size_t)request->size * request->pipeline;
}

void request_prepare(const struct request *request, char *buffer)
{
	unsigned line;
	size_t i;

	for (i = 0; i < REQUEST_MAX_SIZE; i++) {
		buffer[i] = (char)(FILLER + i % 26);
	}
	for (line = 0; request->lines && line < request->pipeline; line++) {
		char *start = buffer + line * request->size;

		start[LETTERS] = (char)(FILLER + line / 26 % 26);
		start[LETTERS + 1] = (char)(FILLER + line % 26);
		start[request->size - 1] = '\n';
	}
}

static void spell(char *text, unsigned letters, uint64_t number)
{
	while (letters-- > 0) {
		*text++ = (char)(FILLER + (number & 15));
		number >>= 4;
	}
}

void request_compose(const struct request *request, struct request_id id, char *buffer)
{
	char letters[LETTERS];
	unsigned line;

	if (!request->lines) {
		memcpy(buffer, &id.sequence, sizeof(id.sequence));
		memcpy(buffer + 8, &id.client, sizeof(id.client));
	} else {
		spell(letters, 8, id.sequence);
		spell(letters + 8, LETTERS - 8, id.client);
		for (line = 0; line < request->pipeline; line++) {
			memcpy(buffer + line * request->size, letters, LETTERS);
		}
	}
	if (request->mark > 0) {
		buffer[CONTRACT_MARK_AT] = request_marked(request, id) ? CONTRACT_MARK : '.';
	}
}

int request_marked(const struct request *request, struct request_id id)
{
	uint64_t hash = id.sequence * UINT64_C(0x9e3779b97f4a7c15) + id.client;

	if (request->mark == 0 || id.sequence <= 1) {
		return 0;
	}
	/* The finishing steps of splitmix64. */
	hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
	hash ^= hash >> 31;
	return (hash >> 32) * 100 >> 32 < request->mark;
}

/*
 * The histogram of latencies.
 *
 * A value is kept by its highest set bit and the HIST_SUB_BITS bits below it, so that each cell
 * is at most 1/64 of its value wide, from a nanosecond to centuries, in 30 KiB and without
 * allocation or division: exact enough that a percentile is never more than 0.8 % off (the
 * middle of the cell is reported), and cheap enough to add to after every request.  Values
 * below 128 have a cell each.  Sorting all samples would be exact, but its memory grows with the
 * run and pollutes the generator's cache; a sample of them would lose just the slow tail.
 *
 * A histogram belongs to one thread; they are merged when the threads have ended.
 */
#include "hist.h"

static unsigned cell_of(uint64_t value)
{
	unsigned shift;

	if (value < HIST_SUB) {
		return (unsigned)value;
	}
	shift = 63u - (unsigned)__builtin_clzll(value) - HIST_SUB_BITS;
	return shift * HIST_SUB + (unsigned)(value >> shift);
}

static uint64_t middle_of(unsigned cell)
{
	unsigned shift;

	if (cell < 2 * HIST_SUB) {
		return cell;
	}
	shift = cell / HIST_SUB - 1;
	return ((uint64_t)(HIST_SUB + cell % HIST_SUB) << shift) + (UINT64_C(1) << shift) / 2;
}

void hist_add(struct hist *hist, uint64_t value)
{
	hist->cells[cell_of(value)]++;
	hist->count++;
	if (value > hist->max) {
		hist->max = value;
	}
}

void hist_merge(struct hist *into, const struct hist *from)
{
	unsigned cell;

	for (cell = 0; cell < HIST_CELLS; cell++) {
		into->cells[cell] += from->cells[cell];
	}
	into->count += from->count;
	if (from->max > into->max) {
		into->max = from->max;
	}
}

uint64_t hist_quantile(const struct hist *hist, uint64_t ppm)
{
	uint64_t rank = (hist->count * ppm + 999999) / 1000000;
	uint64_t seen = 0;
	unsigned cell;

	for (cell = 0; cell < HIST_CELLS; cell++) {
		seen += hist->cells[cell];
		if (seen >= rank && seen > 0) {
			return middle_of(cell) < hist->max ? middle_of(cell) : hist->max;
		}
	}
	return 0;
}

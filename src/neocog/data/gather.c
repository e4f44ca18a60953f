/* Pictures in memory as a network's input, in one pass over them: those of a batch, each moved,
   turned, and its 256 levels looked up. Compiled where it runs, by gathered.py. */

#include <stdint.h>

enum { LEVELS = 256 };

struct batch {
    int64_t n, channels, high, wide; /* of the pictures */
    int64_t tall, broad;             /* of what is made of them */
    int64_t row, column;             /* where in a picture this begins; may lie outside */
    int32_t reflected, threads;      /* whether outside is what lies inside, mirrored; else black */
    const uint8_t *pixels;           /* (any, channels, high, wide) */
    const int64_t *index;            /* (n,): which pictures */
    const int64_t *down, *right;     /* (n,): how much later each begins; or NULL */
    const uint8_t *turned;           /* (n,): which are turned left to right; or NULL */
    const float *table;              /* (channels, 256) */
    float *values;                   /* (n, channels, tall, broad) */
};

/* The place of `n` that is seen at one that may lie outside of them. */
static inline int64_t seen(int64_t at, int64_t n) {
    return at < 0 ? -at : at >= n ? 2 * (n - 1) - at : at;
}

/* A row that begins at column `left` of `pixels`. */
static inline void look_up_row(const struct batch *b, const uint8_t *restrict pixels,
                               int64_t left, int64_t step, const float *restrict table,
                               float *restrict to) {
    int64_t first = left >= 0 ? 0 : -left < b->broad ? -left : b->broad;
    int64_t last = b->wide - left < b->broad ? b->wide - left : b->broad;
    last = last < first ? first : last;
    for (int64_t x = 0; x < first; x++)
        to[x * step] = table[b->reflected ? pixels[seen(left + x, b->wide)] : 0];
#pragma GCC unroll 8
    for (int64_t x = first; x < last; x++) to[x * step] = table[pixels[left + x]];
    for (int64_t x = last; x < b->broad; x++)
        to[x * step] = table[b->reflected ? pixels[seen(left + x, b->wide)] : 0];
}

void neocog_gather(const struct batch *b) {
#pragma omp parallel for num_threads(b->threads) schedule(static)
    for (int64_t i = 0; i < b->n; i++) {
        int64_t top = b->row + (b->down ? b->down[i] : 0);
        int64_t left = b->column + (b->right ? b->right[i] : 0);
        int turned = b->turned && b->turned[i];
        for (int64_t c = 0; c < b->channels; c++) {
            const float *table = b->table + LEVELS * c;
            const uint8_t *plane = b->pixels + (b->index[i] * b->channels + c) * b->high * b->wide;
            float *to = b->values + (i * b->channels + c) * b->tall * b->broad;
            for (int64_t y = top; y < top + b->tall; y++, to += b->broad) {
                int64_t from = b->reflected ? seen(y, b->high) : y;
                if (from < 0 || from >= b->high)
                    for (int64_t x = 0; x < b->broad; x++) to[x] = table[0];
                else if (turned)
                    look_up_row(b, plane + from * b->wide, left, -1, table, to + b->broad - 1);
                else
                    look_up_row(b, plane + from * b->wide, left, 1, table, to);
            }
        }
    }
}

/* Convolutions of 3x3 by a quarter of the products, and of 5x5 by little more than a third: Winograd's
   F(4x4, 3x3) and F(2x2, 5x5), forwards and backwards.

   A square of 6x6 pixels and a kernel, each as they are seen at 36 points, are multiplied point by point,
   and of the sums over the channels 4x4 outputs are made: 36 products, where 144 are usual. Of a kernel
   of 5x5 it is 2x2 outputs, for which 100 products are usual. The points are pairs of 0, infinity, and
   the roots of 1/2 and of 2 with either sign. With 0, 1 and 2, as they are mostly printed, what is rounded
   off is more than twice as much.

   Maps are float32 or, with HALF, bfloat16, channels last; weights (out, taps, taps, in), and all that is
   computed, are float32. Where there are more tiles than kernels a thread takes so many of them at a time
   that they stay in its core's cache, and all kernels go by; where there are more kernels it takes a strip
   of these, and all tiles go by. So the larger of the two is never in memory as it is seen at the points.
   Compiled where it runs, by native.py. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef LANES
#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
#endif
enum { ROWS = LANES == 16 ? 12 : 6, PAIR = 2 * LANES }; /* sums that are held in registers */
enum { POINTS = 36, SIDE = 6, OUT = 4, TAPS = 5, LINE = 16 }; /* outputs and taps: at most, one way */
/* Tiles at a time: as many as fill most of a core's second cache, but so many that what is read once
   for all of them is worth it: forwards the weights, backwards the sums. */
enum { CACHE = 640 * 1024, FEWEST = 24, FEWEST_BACK = 72, MOST = 96 };
enum { MEMORY = 128 * 1024 * 1024 }; /* bytes of the sums that threads have for themselves */

/* As it lies in memory, and in registers: what is spilled from those is written whole. */
typedef float floats __attribute__((vector_size(4 * LANES), aligned(4)));
typedef float held __attribute__((vector_size(4 * LANES)));

#ifdef HALF
typedef uint16_t number; /* of a map */
typedef uint16_t halves __attribute__((vector_size(2 * LANES), aligned(2)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));

static inline held load(const number *from) {
    return (held)(__builtin_convertvector(*(const halves *)from, words) << 16);
}

/* To the nearest, ties to even; what is no number stays none. */
static inline void store(number *to, held value) {
    words bits = (words)value, none = (words)(value != value);
    words near = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    *(halves *)to = __builtin_convertvector((near & ~none) | (none & 0x7fc0), halves);
}
#else
typedef float number;

static inline held load(const number *from) { return *(const floats *)from; }

static inline void store(number *to, held value) { *(floats *)to = value; }
#endif

static const float ROOT = 1.41421356237309504880f, HALF_ROOT = 0.70710678118654752440f;

/* n maps of high x wide pixels and `in` channels, framed by `pad`, and what is made of them: tall x broad
   pixels, `out` channels; from one pixel to the next it is `x_step` and `y_step` numbers, which is more
   where the channels are some of a map's. Turned, the weights are those of the way back: (in, taps, taps,
   out), the taps in the reverse order. */
typedef struct {
    int64_t n, high, wide, in, tall, broad, out, pad, x_step, y_step;
    int32_t taps, threads, turned;
    const number *x;
    const float *weight, *bias;
    const number *g;
    number *y;
    float *of_weight, *of_bias;
} Convolution;

typedef struct {
    int64_t side, down, across, all, some, blocks; /* outputs, one way; tiles of a map, of all, at a time */
} Tiles;

/* In blocks of which each thread takes as many. `channels`: those of what is kept of a block. */
static Tiles tiles_of(const Convolution *c, int64_t channels, int64_t fewest) {
    Tiles t;
    t.side = SIDE + 1 - c->taps; /* all outputs of which six pixels hold all taps */
    t.down = (c->tall + t.side - 1) / t.side;
    t.across = (c->broad + t.side - 1) / t.side;
    t.all = c->n * t.down * t.across;
    int64_t fit = CACHE / (4 * POINTS * channels);
    int64_t some = fit < fewest ? fewest : fit > MOST ? MOST : fit / ROWS * ROWS;
    t.blocks = (t.all + some * c->threads - 1) / (some * c->threads) * c->threads;
    t.some = (t.all + t.blocks - 1) / t.blocks;
    return t;
}

/* Tiles as they are taken where all of them go by each strip of kernels. */
static Tiles tiles_by(const Convolution *c) {
    Tiles t = tiles_of(c, c->in, MOST);
    t.blocks = (t.all + MOST - 1) / MOST; /* of which no thread has its own */
    t.some = (t.all + t.blocks - 1) / t.blocks;
    return t;
}

/* Whether they are so taken: there are more kernels than tiles, and a strip of them for each thread. */
static int is_few(const Convolution *c, const Tiles *t) {
    return t->all <= c->out && c->out >= PAIR * c->threads;
}

static float *room(int64_t count) { return aligned_alloc(4 * LINE, (count + LINE - 1) / LINE * 4 * LINE); }

static void *zeros(int64_t count) {
    float *made = room(count);
    return made ? memset(made, 0, 4 * count) : 0;
}

/* Numbers from one point to the next: a line more than there are, or for most numbers of channels all
   points would share a few sets of the cache. */
static int64_t apart(int64_t numbers) { return numbers + LINE; }

/* ---- In one dimension: pixels, outputs and kernels, and the points ---- */

/* `outs` and `taps` are 4 and 3, or 2 and 5, and known where these are compiled: only what there is of
   them is computed. */

#define ALONG static inline __attribute__((always_inline)) void

/* Six pixels as seen at the points. */
ALONG seen(const held *d, int step, held *to, int by) {
    held d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    held near = d4 - 2 * d2, odd = HALF_ROOT * d3 - ROOT * d1;
    held far = d4 - 0.5f * d2, far_odd = ROOT * d3 - HALF_ROOT * d1;
    to[0] = d0 - 2.5f * d2 + d4;
    to[by] = near + odd;
    to[2 * by] = near - odd;
    to[3 * by] = far + far_odd;
    to[4 * by] = far - far_odd;
    to[5 * by] = d1 - 2.5f * d3 + d5;
}

/* Of the products at the points, the outputs. */
ALONG made(const held *m, int step, held *to, int by, const int outs) {
    held near = m[step] + m[2 * step], odd = HALF_ROOT * (m[step] - m[2 * step]);
    held far = m[3 * step] + m[4 * step], far_odd = ROOT * (m[3 * step] - m[4 * step]);
    to[0] = m[0] + near + far;
    to[by] = odd + far_odd;
    if (outs == 4) {
        to[2 * by] = 0.5f * near + 2 * far;
        to[3 * by] = 0.5f * odd + 2 * far_odd;
    }
    to[(outs - 1) * by] += m[5 * step];
}

/* And back: of the slopes of outputs, those of the products. */
ALONG made_back(const held *g, int step, held *to, int by, const int outs) {
    held near = g[0], odd = g[step], far = g[0], far_odd = g[step];
    if (outs == 4) {
        near += 0.5f * g[2 * step], odd += 0.5f * g[3 * step];
        far += 2 * g[2 * step], far_odd += 2 * g[3 * step];
    }
    odd *= HALF_ROOT, far_odd *= ROOT;
    to[0] = g[0];
    to[by] = near + odd;
    to[2 * by] = near - odd;
    to[3 * by] = far + far_odd;
    to[4 * by] = far - far_odd;
    to[5 * by] = g[(outs - 1) * step];
}

/* A kernel's taps at the points. */
ALONG kernel(const held *w, int step, held *to, int by, const int taps) {
    held near = w[0] + 0.5f * w[2 * step], odd = HALF_ROOT * w[step];
    held far = w[0] + 2 * w[2 * step], far_odd = ROOT * w[step];
    if (taps == 5) {
        near += 0.25f * w[4 * step], odd += 0.5f * HALF_ROOT * w[3 * step];
        far += 4 * w[4 * step], far_odd += 2 * ROOT * w[3 * step];
    }
    near *= -1 / 1.5f, odd *= -1 / 1.5f, far *= 1 / 6.0f, far_odd *= 1 / 6.0f;
    to[0] = w[0];
    to[by] = near + odd;
    to[2 * by] = near - odd;
    to[3 * by] = far + far_odd;
    to[4 * by] = far - far_odd;
    to[5 * by] = w[(taps - 1) * step];
}

/* And back: of the slopes at the points, those of the taps. */
ALONG kernel_back(const held *u, int step, held *to, int by, const int taps) {
    held near = (u[step] + u[2 * step]) * (-1 / 1.5f), odd = (u[step] - u[2 * step]) * (-1 / 1.5f);
    held far = (u[3 * step] + u[4 * step]) * (1 / 6.0f), far_odd = (u[3 * step] - u[4 * step]) * (1 / 6.0f);
    odd *= HALF_ROOT, far_odd *= ROOT;
    to[0] = u[0] + near + far;
    to[by] = odd + far_odd;
    to[2 * by] = 0.5f * near + 2 * far;
    if (taps == 5) {
        to[3 * by] = 0.5f * odd + 2 * far_odd;
        to[4 * by] = 0.25f * near + 4 * far;
    }
    to[(taps - 1) * by] += u[5 * step];
}

/* ---- Tiles ---- */

typedef struct {
    int64_t i, y, x; /* the map, and where in it the outputs of a tile begin */
} Place;

static Place place_of(const Tiles *t, int64_t tile) {
    int64_t row = tile / t->across;
    return (Place){row / t->down, row % t->down * t->side, tile % t->across * t->side};
}

/* Where the pixels of a square lie that begins at (y, x) of a map; outside of it, where zeros are. */
static void square(const number *map, int64_t high, int64_t wide, int64_t step, int64_t y, int64_t x,
                   int side, const number *nothing, const number **at) {
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            int inside = y + i >= 0 && y + i < high && x + j >= 0 && x + j < wide;
            at[i * side + j] = inside ? map + ((y + i) * wide + x + j) * step : nothing;
        }
}

/* Tiles of x as they are seen at the points: (36, some tiles, in). */
static void see(const Convolution *c, const Tiles *t, int64_t first, int64_t many, const number *nothing,
                float *to) {
    int64_t point = apart(t->some * c->in);
    const number *at[POINTS];
    for (int64_t k = 0; k < many; k++, to += c->in) {
        Place p = place_of(t, first + k);
        const number *map = c->x + p.i * c->high * c->wide * c->x_step;
        square(map, c->high, c->wide, c->x_step, p.y - c->pad, p.x - c->pad, SIDE, nothing, at);
        for (int64_t v = 0; v < c->in; v += LANES) {
            held d[POINTS], half[POINTS], line[SIDE];
            for (int i = 0; i < POINTS; i++) d[i] = load(at[i] + v);
            for (int j = 0; j < SIDE; j++) seen(d + j, SIDE, half + j, SIDE);
            for (int i = 0; i < SIDE; i++) {
                seen(half + i * SIDE, 1, line, 1);
                for (int j = 0; j < SIDE; j++) *(floats *)(to + (i * SIDE + j) * point + v) = line[j];
            }
        }
    }
}

/* Of the sums at the points, (36, some tiles, width), so many channels of the outputs of tiles. */
ALONG make_of(const Convolution *c, const Tiles *t, int64_t first, int64_t many, int64_t begin,
              int64_t width, const float *from, const int outs) {
    int64_t point = apart(t->some * width);
    for (int64_t k = 0; k < many; k++, from += width) {
        Place p = place_of(t, first + k);
        int64_t rows = c->tall - p.y < outs ? c->tall - p.y : outs;
        int64_t columns = c->broad - p.x < outs ? c->broad - p.x : outs;
        number *to = c->y + ((p.i * c->tall + p.y) * c->broad + p.x) * c->y_step + begin;
        for (int64_t v = 0; v < width; v += LANES) {
            held m[POINTS], half[OUT * SIDE], line[OUT];
            held bias = c->bias ? *(const floats *)(c->bias + begin + v) : (held){0};
            for (int i = 0; i < POINTS; i++) m[i] = *(const floats *)(from + i * point + v);
            for (int j = 0; j < SIDE; j++) made(m + j, SIDE, half + j, SIDE, outs);
            for (int i = 0; i < rows; i++) {
                made(half + i * SIDE, 1, line, 1, outs);
                for (int j = 0; j < columns; j++)
                    store(to + (i * c->broad + j) * c->y_step + v, line[j] + bias);
            }
        }
    }
}

static void make(const Convolution *c, const Tiles *t, int64_t first, int64_t many, int64_t begin,
                 int64_t width, const float *from) {
    if (c->taps == 3) make_of(c, t, first, many, begin, width, from, 4);
    else make_of(c, t, first, many, begin, width, from, 2);
}

/* Of the slopes g of tiles those of the sums at the points, (36, some tiles, shared), for the `shared`
   channels from `begin` on; the slopes of the bias are added up. */
ALONG make_back_of(const Convolution *c, const Tiles *t, int64_t first, int64_t many, int64_t begin,
                   int64_t shared, const number *nothing, float *to, float *bias, const int outs) {
    int64_t point = apart(t->some * shared);
    const number *at[OUT * OUT];
    for (int64_t k = 0; k < many; k++, to += shared) {
        Place p = place_of(t, first + k);
        const number *map = c->g + p.i * c->tall * c->broad * c->y_step;
        square(map, c->tall, c->broad, c->y_step, p.y, p.x, outs, nothing, at);
        for (int64_t v = 0; v < shared; v += LANES) {
            held g[OUT * OUT], half[SIDE * OUT], line[SIDE], sum = {0};
            for (int i = 0; i < outs * outs; i++) {
                g[i] = load(at[i] + begin + v);
                sum += g[i];
            }
            *(floats *)(bias + begin + v) += sum;
            for (int j = 0; j < outs; j++) made_back(g + j, outs, half + j, outs, outs);
            for (int i = 0; i < SIDE; i++) {
                made_back(half + i * outs, 1, line, 1, outs);
                for (int j = 0; j < SIDE; j++) *(floats *)(to + (i * SIDE + j) * point + v) = line[j];
            }
        }
    }
}

static void make_back(const Convolution *c, const Tiles *t, int64_t first, int64_t many, int64_t begin,
                      int64_t shared, const number *nothing, float *to, float *bias) {
    if (c->taps == 3) make_back_of(c, t, first, many, begin, shared, nothing, to, bias, 4);
    else make_back_of(c, t, first, many, begin, shared, nothing, to, bias, 2);
}

/* ---- Products ---- */

/* to[i, j] (+)= the sum over s of a[i, s] b[s, j], of up to ROWS rows and two vectors, in registers. */
ALONG product(const float *a, int64_t a_row, int64_t a_step, const float *b, int64_t b_step, int64_t many,
              float *to, int64_t to_row, const int add, const int rows, const int vectors) {
    held sums[ROWS][2];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++)
            sums[i][j] = add ? *(floats *)(to + i * to_row + j * LANES) : (held){0};
    for (int64_t s = 0; s < many; s++, a += a_step, b += b_step) {
        held line[2];
        for (int j = 0; j < vectors; j++) line[j] = *(const floats *)(b + j * LANES);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < vectors; j++) sums[i][j] += a[i * a_row] * line[j];
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) *(floats *)(to + i * to_row + j * LANES) = sums[i][j];
}

/* With their sizes known to the compiler all sums stay in registers. */
typedef void Product(const float *, int64_t, const float *, int64_t, int64_t, float *, int64_t);
#define ONE(NAME, A_ROW, A_STEP, ADD, ROW, VECTORS)                                                    \
    static void NAME##ROW##x##VECTORS(const float *a, int64_t n, const float *b, int64_t step,         \
                                      int64_t many, float *to, int64_t to_row) {                       \
        product(a, A_ROW, A_STEP, b, step, many, to, to_row, ADD, ROW, VECTORS);                       \
    }
#define SIZED(ROW)                                                                                     \
    ONE(forwards, n, 1, 0, ROW, 1)                                                                     \
    ONE(forwards, n, 1, 0, ROW, 2) ONE(backwards, 1, n, 1, ROW, 1) ONE(backwards, 1, n, 1, ROW, 2)
#define BOTH(NAME, ROW) {NAME##ROW##x1, NAME##ROW##x2}
#define SIX(NAME)                                                                                      \
    BOTH(NAME, 1), BOTH(NAME, 2), BOTH(NAME, 3), BOTH(NAME, 4), BOTH(NAME, 5), BOTH(NAME, 6)
SIZED(1) SIZED(2) SIZED(3) SIZED(4) SIZED(5) SIZED(6)
#if LANES == 16
SIZED(7) SIZED(8) SIZED(9) SIZED(10) SIZED(11) SIZED(12)
#define ALL(NAME)                                                                                      \
    {SIX(NAME), BOTH(NAME, 7), BOTH(NAME, 8), BOTH(NAME, 9), BOTH(NAME, 10), BOTH(NAME, 11), BOTH(NAME, 12)}
#else
#define ALL(NAME) {SIX(NAME)}
#endif
static Product *const forwards[ROWS][2] = ALL(forwards), *const backwards[ROWS][2] = ALL(backwards);

/* (many, in) by a strip of the weights at one point, (in, width), give (many, width). */
static void weighted(const float *a, int64_t many, int64_t in, const float *weights, int64_t width,
                     float *to) {
    int64_t parts = (many + ROWS - 1) / ROWS;
    for (int64_t p = 0; p < parts; p++) {
        int64_t i = many * p / parts, until = many * (p + 1) / parts;
        forwards[until - i - 1][width / LANES - 1](a + i * in, in, weights, width, in, to + i * width, width);
    }
}

/* Slopes (many, shared) by what was seen, (many, in), summed over the former: added to (shared, in). */
static void learnt(const float *slopes, int64_t many, int64_t shared, const float *given, int64_t in,
                   float *to) {
    int64_t parts = (shared + ROWS - 1) / ROWS;
    for (int64_t k = 0; k < in; k += PAIR) {
        int vectors = in - k < PAIR ? 1 : 2;
        for (int64_t p = 0; p < parts; p++) {
            int64_t i = shared * p / parts, until = shared * (p + 1) / parts;
            backwards[until - i - 1][vectors - 1](slopes + i, shared, given + k, in, many,
                                                  to + i * in + k, in);
        }
    }
}

/* ---- Kernels ---- */

/* Of the outputs from `strip` on, those that are taken together. */
static int64_t width_of(const Convolution *c, int64_t strip) {
    return c->out - strip < PAIR ? LANES : PAIR;
}

ALONG kernel_seen(const held *w, held *u, const int taps) {
    held half[SIDE * TAPS];
    for (int j = 0; j < taps; j++) kernel(w + j, taps, half + j, taps, taps);
    for (int y = 0; y < SIDE; y++) kernel(half + y * taps, 1, u + y * SIDE, 1, taps);
}

/* The kernels at the points, `point` numbers from one to the next, in the strips that `weighted` reads:
   two vectors of outputs at a time, the weights of a pixel's channels below each other. */
ALONG kernels_of(const Convolution *c, int64_t strip, int64_t i, float *to, int64_t point,
                 const int taps) {
    int64_t width = width_of(c, strip);
    float *at = to + i * width;
    held w[TAPS * TAPS], u[POINTS];
    if (c->turned)
        for (int64_t k = 0; k < LANES; k++)
            for (int64_t o = 0; o < width; o += LANES) {
                const float *from = c->weight + (i + k) * taps * taps * c->out + strip + o;
                for (int t = 0; t < taps * taps; t++)
                    w[taps * taps - 1 - t] = *(const floats *)(from + t * c->out);
                kernel_seen(w, u, taps);
                for (int p = 0; p < POINTS; p++) *(floats *)(at + p * point + k * width + o) = u[p];
            }
    else
        for (int64_t o = 0; o < width; o++) {
            const float *from = c->weight + (strip + o) * taps * taps * c->in + i;
            for (int t = 0; t < taps * taps; t++) w[t] = *(const floats *)(from + t * c->in);
            kernel_seen(w, u, taps);
            for (int p = 0; p < POINTS; p++)
                for (int k = 0; k < LANES; k++) at[p * point + k * width + o] = u[p][k];
        }
}

static void kernels_at(const Convolution *c, int64_t strip, int64_t i, float *to, int64_t point) {
    if (c->taps == 3) kernels_of(c, strip, i, to, point, 3);
    else kernels_of(c, strip, i, to, point, 5);
}

static void kernels(const Convolution *c, float *to) {
#pragma omp parallel for num_threads(c->threads) schedule(static) collapse(2)
    for (int64_t strip = 0; strip < c->out; strip += PAIR)
        for (int64_t i = 0; i < c->in; i += LANES)
            kernels_at(c, strip, i, to + strip * c->in, apart(c->in * c->out));
}

/* Of slopes at the points, (pieces, 36, some outputs, in), those of a vector of the weights of output o;
   `sums` are where the first piece has that output's, and it is `point` numbers to the next point. */
ALONG kernels_back_of(const Convolution *c, const float *sums, int64_t point, int64_t pieces, int64_t o,
                      int64_t i, const int taps) {
    held u[POINTS], half[TAPS * SIDE], line[TAPS];
    for (int p = 0; p < POINTS; p++) {
        const float *from = sums + p * point + i;
        u[p] = *(const floats *)from;
        for (int64_t piece = 1; piece < pieces; piece++)
            u[p] += *(const floats *)(from + piece * POINTS * point);
    }
    for (int x = 0; x < SIDE; x++) kernel_back(u + x, SIDE, half + x, SIDE, taps);
    for (int y = 0; y < taps; y++) {
        kernel_back(half + y * SIDE, 1, line, 1, taps);
        for (int x = 0; x < taps; x++)
            *(floats *)(c->of_weight + ((o * taps + y) * taps + x) * c->in + i) = line[x];
    }
}

static void kernels_back_at(const Convolution *c, const float *sums, int64_t point, int64_t pieces,
                            int64_t o) {
    for (int64_t i = 0; i < c->in; i += LANES)
        if (c->taps == 3) kernels_back_of(c, sums, point, pieces, o, i, 3);
        else kernels_back_of(c, sums, point, pieces, o, i, 5);
}

static void kernels_back(const Convolution *c, const float *sums, int64_t pieces) {
#pragma omp parallel for num_threads(c->threads) schedule(static)
    for (int64_t o = 0; o < c->out; o++)
        kernels_back_at(c, sums + o * c->in, apart(c->in * c->out), pieces, o);
}

/* ---- Whole convolutions: 0, or 1 where there is no memory ---- */

int64_t neocog_winograd_lanes(void) { return LANES; }

/* All tiles as they are seen at the points, block by block: (blocks, 36, some tiles, in). */
static void see_all(const Convolution *c, const Tiles *t, const number *nothing, float *to) {
    int64_t in = apart(t->some * c->in);
#pragma omp parallel for num_threads(c->threads) schedule(static)
    for (int64_t tile = 0; tile < t->all; tile++) {
        int64_t b = tile / t->some;
        see(c, t, tile, 1, nothing, to + b * POINTS * in + tile % t->some * c->in);
    }
}

/* Of block b of those, how many tiles there are. */
static int64_t many_of(const Tiles *t, int64_t b) {
    int64_t left = t->all - b * t->some;
    return left < t->some ? left : t->some;
}

/* As below, strip by strip of the kernels. */
static int winograd_by(const Convolution *c) {
    Tiles t = tiles_by(c);
    int64_t in = apart(t.some * c->in), weight = apart(c->in * PAIR);
    float *given = room(t.blocks * POINTS * in);
    number *nothing = zeros(c->in);
    int none = !given || !nothing, failed = none;
    if (!none) see_all(c, &t, nothing, given);
#pragma omp parallel num_threads(c->threads) reduction(| : failed)
    {
        float *weights = none ? 0 : room(POINTS * weight);
        float *sums = none ? 0 : room(POINTS * apart(t.some * PAIR));
        failed |= !weights || !sums;
#pragma omp for schedule(static)
        for (int64_t o = 0; o < c->out; o += PAIR) {
            if (failed) continue;
            int64_t width = width_of(c, o), out = apart(t.some * width);
            for (int64_t i = 0; i < c->in; i += LANES) kernels_at(c, o, i, weights, weight);
            for (int64_t b = 0; b < t.blocks; b++) {
                for (int p = 0; p < POINTS; p++)
                    weighted(given + (b * POINTS + p) * in, many_of(&t, b), c->in, weights + p * weight,
                             width, sums + p * out);
                make(c, &t, b * t.some, many_of(&t, b), o, width, sums);
            }
        }
        free(weights);
        free(sums);
    }
    free(given);
    free(nothing);
    return failed;
}

/* y of x and the weights; the same whatever the number of threads. */
int neocog_winograd(const Convolution *c) {
    Tiles t = tiles_of(c, c->in, FEWEST);
    if (is_few(c, &t)) return winograd_by(c);
    int64_t weight = apart(c->in * c->out), in = apart(t.some * c->in);
    float *weights = room(POINTS * weight);
    number *nothing = zeros(c->in);
    int none = !weights || !nothing, failed = none;
    if (!none) kernels(c, weights);
#pragma omp parallel num_threads(c->threads) reduction(| : failed)
    {
        float *given = none ? 0 : room(POINTS * in), *sums = none ? 0 : room(POINTS * apart(t.some * PAIR));
        failed |= !given || !sums;
#pragma omp for schedule(static)
        for (int64_t b = 0; b < t.blocks; b++) {
            if (failed) continue;
            int64_t first = t.all * b / t.blocks, many = t.all * (b + 1) / t.blocks - first;
            see(c, &t, first, many, nothing, given);
            for (int64_t o = 0; o < c->out; o += PAIR) {
                int64_t width = width_of(c, o), out = apart(t.some * width);
                for (int p = 0; p < POINTS; p++)
                    weighted(given + p * in, many, c->in, weights + p * weight + o * c->in, width,
                             sums + p * out);
                make(c, &t, first, many, o, width, sums);
            }
        }
        free(given);
        free(sums);
    }
    free(weights);
    free(nothing);
    return failed;
}

/* As below, strip by strip of the kernels; the same whatever the number of threads. */
static int winograd_back_by(const Convolution *c) {
    Tiles t = tiles_by(c);
    int64_t in = apart(t.some * c->in), out = apart(t.some * PAIR), weight = apart(PAIR * c->in);
    float *given = room(t.blocks * POINTS * in);
    number *nothing = zeros(c->in > c->out ? c->in : c->out);
    int none = !given || !nothing, failed = none;
    if (!none) see_all(c, &t, nothing, given);
    memset(c->of_bias, 0, 4 * c->out);
#pragma omp parallel num_threads(c->threads) reduction(| : failed)
    {
        float *slopes = none ? 0 : room(t.blocks * POINTS * out);
        float *sums = none ? 0 : room(POINTS * weight);
        failed |= !slopes || !sums;
#pragma omp for schedule(static)
        for (int64_t o = 0; o < c->out; o += PAIR) {
            if (failed) continue;
            int64_t width = width_of(c, o), point = apart(t.some * width);
            for (int64_t b = 0; b < t.blocks; b++)
                make_back(c, &t, b * t.some, many_of(&t, b), o, width, nothing, slopes + b * POINTS * point,
                          c->of_bias);
            memset(sums, 0, 4 * POINTS * weight);
            for (int p = 0; p < POINTS; p++)
                for (int64_t b = 0; b < t.blocks; b++)
                    learnt(slopes + (b * POINTS + p) * point, many_of(&t, b), width,
                           given + (b * POINTS + p) * in, c->in, sums + p * weight);
            for (int64_t k = 0; k < width; k++) kernels_back_at(c, sums + k * c->in, weight, 1, o + k);
        }
        free(slopes);
        free(sums);
    }
    free(given);
    free(nothing);
    return failed;
}

/* of_weight and of_bias, of x and g. Threads take pieces of the tiles, each with sums of its own; where
   these would be too large, several share a piece, each some of the output channels. */
int neocog_winograd_back(const Convolution *c) {
    Tiles t = tiles_of(c, c->in + c->out, FEWEST_BACK);
    if (is_few(c, &t)) return winograd_back_by(c);
    int64_t weight = apart(c->in * c->out);
    int64_t pieces = MEMORY / (4 * POINTS * weight), vectors = c->out / LANES;
    pieces = pieces < 1 ? 1 : pieces > c->threads ? c->threads : pieces;
    int64_t shares = c->threads / pieces < vectors ? c->threads / pieces : vectors;
    float *sums = zeros(pieces * POINTS * weight), *biases = zeros(pieces * c->out);
    number *nothing = zeros(c->in > c->out ? c->in : c->out);
    int none = !sums || !biases || !nothing, failed = none;
#pragma omp parallel for num_threads(c->threads) schedule(static, 1) reduction(| : failed)
    for (int64_t task = 0; task < pieces * shares; task++) {
        int64_t piece = task / shares, share = task % shares;
        int64_t begin = vectors * share / shares * LANES;
        int64_t shared = vectors * (share + 1) / shares * LANES - begin;
        int64_t in = apart(t.some * c->in), out = apart(t.some * shared);
        float *given = none ? 0 : room(POINTS * in), *slopes = none ? 0 : room(POINTS * out);
        failed |= !given || !slopes;
        for (int64_t b = t.blocks * piece / pieces; b < t.blocks * (piece + 1) / pieces && !failed; b++) {
            int64_t first = t.all * b / t.blocks, many = t.all * (b + 1) / t.blocks - first;
            float *to = sums + piece * POINTS * weight + begin * c->in;
            see(c, &t, first, many, nothing, given);
            make_back(c, &t, first, many, begin, shared, nothing, slopes, biases + piece * c->out);
            for (int p = 0; p < POINTS; p++)
                learnt(slopes + p * out, many, shared, given + p * in, c->in, to + p * weight);
        }
        free(given);
        free(slopes);
    }
    if (!failed) kernels_back(c, sums, pieces);
    for (int64_t o = 0; o < c->out && !failed; o++) {
        c->of_bias[o] = 0;
        for (int64_t piece = 0; piece < pieces; piece++) c->of_bias[o] += biases[piece * c->out + o];
    }
    free(sums);
    free(biases);
    free(nothing);
    return failed;
}

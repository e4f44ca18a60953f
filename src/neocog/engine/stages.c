/* Convolution, ReLU and 2x2 max pooling of small pictures of few channels, forwards and backwards.

   One picture is taken whole, in float32, channels last, framed by its padding, and stays in a core's
   nearest cache. Forwards the four outputs of each window are summed in registers, and only the largest
   is ever written; backwards each window gives its gradient to that one place, a quarter of the work.
   Compiled where it runs, by native.py. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __AVX512F__
enum { LANES = 16, WINDOWS = 7, SUMS = 25 }; /* four sums a window: as many as there are registers */
#else
enum { LANES = 8, WINDOWS = 3, SUMS = 10 };
#endif
enum { DEAD = 4, MOST = 64, MOST_OUT = 64, LINE = 64 };

typedef float floats __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int32_t ints __attribute__((vector_size(4 * LANES), aligned(4)));
typedef uint8_t bytes __attribute__((vector_size(LANES), aligned(1)));

/* n pictures of high x wide pixels and `in` channels; `out` maps of tall x broad are made of them.
   weight is (out, in, kernel_h, kernel_w) with these strides, as is of_weight; place (n, tall, broad,
   out). */
typedef struct {
    int64_t n, high, wide, in, tall, broad, out, kernel_h, kernel_w, pad_h, pad_w;
    int64_t by_out, by_in, by_row, by_column;
    int32_t threads, of_x;
    const float *x, *weight, *bias;
    float *y;
    uint8_t *place;
    const float *g;
    float *given, *of_weight, *of_bias;
} Stage;

typedef struct {
    int64_t row, rows, size; /* floats of a framed row and of all; rows */
    int64_t span, lines;     /* floats of a row that a kernel sees; vectors of them */
} Frame;

static Frame frame_of(const Stage *s) {
    Frame f;
    f.row = (s->wide + 2 * s->pad_w) * s->in;
    f.rows = s->high + 2 * s->pad_h;
    f.size = f.row * f.rows + 2 * LANES; /* a vector may begin at the last number */
    f.span = s->kernel_w * s->in;
    f.lines = (f.span + LANES - 1) / LANES;
    return f;
}

/* The weights of a row of an output channel's kernel: `at` is where one is, `t` its place among the
   numbers that the row sees. */
#define FOR_ROW(s, o, ky)                                                                              \
    for (int64_t kx = 0, t = 0, begin = (o) * s->by_out + (ky) * s->by_row; kx < s->kernel_w; kx++)    \
        for (int64_t c = 0, at = begin + kx * s->by_column; c < s->in; c++, t++, at += s->by_in)

static void put_in_frame(const Stage *s, const Frame *f, int64_t i, float *framed) {
    int64_t row = s->wide * s->in;
    const float *from = s->x + i * s->high * row;
    for (int64_t y = 0; y < s->high; y++)
        memcpy(framed + (y + s->pad_h) * f->row + s->pad_w * s->in, from + y * row, 4 * row);
}

/* `count` windows of a row, for as many output channels as a vector has: the largest of each four, and
   which it was. What is no number is the largest, as torch has it. */
static inline __attribute__((always_inline)) void windows(
    const Frame *f, int64_t kernel_h, int64_t in, const float *from, const float *weight, floats bias,
    floats *most, ints *at, const int count) {
    floats sums[WINDOWS][4];
    for (int i = 0; i < count; i++)
        for (int j = 0; j < 4; j++) sums[i][j] = bias;
    for (int64_t ky = 0; ky < kernel_h; ky++) {
        const float *up = from + ky * f->row, *down = up + f->row;
        for (int64_t t = 0; t < f->span; t++, up++, down++, weight += LANES) {
            floats w = *(const floats *)weight;
            for (int i = 0; i < count; i++) {
                sums[i][0] += w * up[2 * i * in];
                sums[i][1] += w * up[(2 * i + 1) * in];
                sums[i][2] += w * down[2 * i * in];
                sums[i][3] += w * down[(2 * i + 1) * in];
            }
        }
    }
    for (int i = 0; i < count; i++) {
        floats best = sums[i][0];
        ints where = {0};
        for (int j = 1; j < 4; j++) {
            ints more = (sums[i][j] > best) | (sums[i][j] != sums[i][j]);
            best = (floats)(((ints)sums[i][j] & more) | ((ints)best & ~more));
            where = (more & j) | (where & ~more);
        }
        ints dead = best <= 0;
        most[i] = (floats)((ints)best & ~dead);
        at[i] = (dead & DEAD) | (where & ~dead);
    }
}

/* With their number known to the compiler all sums stay in registers. */
typedef void Windows(const Frame *, int64_t, int64_t, const float *, const float *, floats, floats *,
                     ints *);
#define COUNTED(COUNT)                                                                                 \
    static void windows##COUNT(const Frame *f, int64_t kernel_h, int64_t in, const float *from,        \
                               const float *weight, floats bias, floats *most, ints *at) {             \
        windows(f, kernel_h, in, from, weight, bias, most, at, COUNT);                                 \
    }
COUNTED(1) COUNTED(2) COUNTED(3)
#ifdef __AVX512F__
COUNTED(4) COUNTED(5) COUNTED(6) COUNTED(7)
static Windows *const counted[] = {windows1, windows2, windows3, windows4, windows5, windows6, windows7};
#else
static Windows *const counted[] = {windows1, windows2, windows3};
#endif

/* A picture's outputs, and where they were: rows of windows in parts that are even. Whole vectors are
   written, whose ends the next pixel writes over. */
static void picture(const Stage *s, const Frame *f, const float *framed, const float *weights,
                    const float *biases, float *y, uint8_t *place) {
    int64_t parts = (s->broad + WINDOWS - 1) / WINDOWS, taps = s->kernel_h * f->span;
    int64_t blocks = (s->out + LANES - 1) / LANES;
    floats most[MOST_OUT / LANES][WINDOWS];
    ints at[MOST_OUT / LANES][WINDOWS];
    for (int64_t r = 0; r < s->tall; r++)
        for (int64_t p = 0; p < parts; p++) {
            int64_t q = s->broad * p / parts, until = s->broad * (p + 1) / parts;
            const float *from = framed + 2 * r * f->row + 2 * q * s->in;
            for (int64_t b = 0; b < blocks; b++)
                counted[until - q - 1](f, s->kernel_h, s->in, from, weights + b * taps * LANES,
                                       *(const floats *)(biases + b * LANES), most[b], at[b]);
            for (int k = 0; q + k < until; k++, y += s->out, place += s->out)
                for (int64_t b = 0; b < blocks; b++) {
                    *(floats *)(y + b * LANES) = most[b][k];
                    *(bytes *)(place + b * LANES) = __builtin_convertvector(at[b][k], bytes);
                }
        }
}

/* Room for so many numbers, all zero, beginning where a line of the cache does; or none. */
static float *room(int64_t count) {
    int64_t size = (4 * count + LINE - 1) / LINE * LINE;
    float *made = aligned_alloc(LINE, size);
    return made ? memset(made, 0, size) : 0;
}

/* 0, or 1 where there is no memory. */
int neocog_stage(const Stage *s) {
    Frame f = frame_of(s);
    int failed = 0;
    int64_t blocks = (s->out + LANES - 1) / LANES, taps = s->kernel_h * f.span;
    int64_t size = s->tall * s->broad * s->out;
    float *weights = room(blocks * taps * LANES), *biases = room(blocks * LANES);
    int none = !weights || !biases;
    for (int64_t o = 0; o < s->out && !none; o++) { /* (blocks, taps, LANES) */
        if (s->bias) biases[o] = s->bias[o];
        float *to = weights + o / LANES * taps * LANES + o % LANES;
        for (int64_t ky = 0; ky < s->kernel_h; ky++)
            FOR_ROW(s, o, ky) to[(ky * f.span + t) * LANES] = s->weight[at];
    }
#pragma omp parallel num_threads(s->threads) reduction(| : failed)
    {
        float *framed = room(f.size), *y = room(size + LANES);
        uint8_t *place = malloc(size + LANES);
        failed = none || !framed || !y || !place;
#pragma omp for schedule(static)
        for (int64_t i = 0; i < s->n; i++) {
            if (failed) continue;
            put_in_frame(s, &f, i, framed);
            picture(s, &f, framed, weights, biases, y, place);
            memcpy(s->y + i * size, y, 4 * size);
            memcpy(s->place + i * size, place, size);
        }
        free(framed);
        free(y);
        free(place);
    }
    free(weights);
    free(biases);
    return failed;
}

/* Backwards the sums of some rows of a kernel at a time stay in registers: so many as fit, whose number
   the compiler knows. */
#define BY_ROWS(ADD, lines, kernel_h, ...)                                                             \
    for (int64_t ky = 0, rows, most = SUMS / lines; ky < kernel_h; ky += rows) {                       \
        rows = kernel_h - ky < most ? kernel_h - ky : most;                                            \
        if (rows >= 5 && SUMS >= 5 * lines)                                                            \
            rows = 5, ADD(ky, 5, lines, __VA_ARGS__);                                                  \
        else if (rows >= 3 && SUMS >= 3 * lines)                                                       \
            rows = 3, ADD(ky, 3, lines, __VA_ARGS__);                                                  \
        else if (rows >= 2 && SUMS >= 2 * lines)                                                       \
            rows = 2, ADD(ky, 2, lines, __VA_ARGS__);                                                  \
        else                                                                                           \
            rows = 1, ADD(ky, 1, lines, __VA_ARGS__);                                                  \
    }
#define BY_LINES(ADD, lines, kernel_h, ...)                                                            \
    switch (lines) {                                                                                   \
    case 1: BY_ROWS(ADD, 1, kernel_h, __VA_ARGS__) break;                                              \
    case 2: BY_ROWS(ADD, 2, kernel_h, __VA_ARGS__) break;                                              \
    case 3: BY_ROWS(ADD, 3, kernel_h, __VA_ARGS__) break;                                              \
    case 4: BY_ROWS(ADD, 4, kernel_h, __VA_ARGS__) break;                                              \
    case 5: BY_ROWS(ADD, 5, kernel_h, __VA_ARGS__) break;                                              \
    default:                                                                                           \
        for (int64_t ky = 0; ky < kernel_h; ky++) ADD(ky, 1, lines, __VA_ARGS__);                      \
    }

/* The slopes of some rows of a kernel's weights, by so many windows. */
static inline __attribute__((always_inline)) void add_weights(
    int64_t ky, const int rows, int64_t lines, const Frame *f, const float *framed,
    const int32_t *begins, const float *alive, int64_t many, float *slopes) {
    floats sums[MOST], *to = (floats *)slopes + ky * lines;
    for (int64_t t = 0; t < rows * lines; t++) sums[t] = (floats){0};
    for (int64_t k = 0; k < many; k++) {
        const float *from = framed + begins[k] + ky * f->row;
        for (int64_t y = 0; y < rows; y++)
            for (int64_t v = 0; v < lines; v++)
                sums[y * lines + v] += alive[k] * *(const floats *)(from + y * f->row + v * LANES);
    }
    for (int64_t t = 0; t < rows * lines; t++) to[t] += sums[t];
}

/* What a picture adds to the slopes of the weights and the bias of an output channel: by those of its
   windows that are alive. */
static void back_channel(const Stage *s, const Frame *f, int64_t i, int64_t o, const float *framed,
                         int32_t *begins, float *alive, float *slopes, float *bias) {
    float total = 0;
    int64_t place = i * s->tall * s->broad * s->out + o, many = 0;
    int32_t shifts[5] = {0, s->in, f->row, f->row + s->in, 0};
    for (int64_t r = 0; r < s->tall; r++) {
        int32_t begin = 2 * r * f->row;
        for (int64_t q = 0; q < s->broad; q++, place += s->out, begin += 2 * s->in) {
            int at = s->place[place];
            begins[many] = begin + shifts[at];
            alive[many] = s->g[place];
            many += at != DEAD;
            total += at == DEAD ? 0 : s->g[place];
        }
    }
    *bias += total;
    BY_LINES(add_weights, f->lines, s->kernel_h, f, framed, begins, alive, many, slopes)
}

/* Some rows of what a window gives to the pixels under it, by so many channels. */
static inline __attribute__((always_inline)) void add_inputs(
    int64_t ky, const int rows, int64_t lines, const Frame *f, int64_t kernel_h, const float *weights,
    const int32_t *which, int64_t many, const float *g, float *given) {
    floats sums[MOST];
    for (int64_t t = 0; t < rows * lines; t++) sums[t] = (floats){0};
    for (int64_t k = 0; k < many; k++) {
        const floats *taps = (const floats *)(weights + (which[k] * kernel_h + ky) * lines * LANES);
        float one = g[which[k] >> 1];
        for (int64_t t = 0; t < rows * lines; t++) sums[t] += one * taps[t];
    }
    for (int64_t y = 0; y < rows; y++)
        for (int64_t v = 0; v < lines; v++)
            *(floats *)(given + (ky + y) * f->row + v * LANES) += sums[y * lines + v];
}

/* The slopes of a picture, in its frame. Those of all channels of one window are summed first, of which
   some have it in the upper row and some in the lower: `weights` is (out, 2, kernel_h, lines) vectors,
   the second of the two a pixel further to the right. */
static void back_window(const Stage *s, const Frame *f, int64_t place, int64_t lines,
                        const float *weights, float *given) {
    int32_t which[3][MOST_OUT], many[3] = {0};
    for (int64_t o = 0; o < s->out; o++) {
        int at = s->place[place + o], lower = at >> 1; /* 2: dead */
        which[lower][many[lower]++] = 2 * o + (at & 1);
    }
    for (int lower = 0; lower < 2; lower++, given += f->row) {
        if (!many[lower]) continue;
        BY_LINES(add_inputs, lines, s->kernel_h, f, s->kernel_h, weights, which[lower], many[lower],
                 s->g + place, given)
    }
}

static void back_inputs(const Stage *s, const Frame *f, int64_t i, int64_t lines,
                        const float *weights, float *given) {
    int64_t place = i * s->tall * s->broad * s->out;
    for (int64_t r = 0; r < s->tall; r++)
        for (int64_t q = 0; q < s->broad; q++, place += s->out) {
            float *to = given + 2 * r * f->row + 2 * q * s->in;
            back_window(s, f, place, lines, weights, to);
        }
}

int neocog_stage_back(const Stage *s) {
    Frame f = frame_of(s);
    int failed = 0;
    int64_t size = s->kernel_h * f.lines * LANES, all = s->out * size;
    int64_t lines = (f.span + s->in + LANES - 1) / LANES, twice = s->kernel_h * lines * LANES;
    /* the weights in whole vectors, filled up with zeros; and every thread's own sums */
    int64_t own = (all + s->out + LANES - 1) / LANES * LANES, windows = s->tall * s->broad;
    float *weights = room(2 * s->out * twice), *sums = room(s->threads * own);
    if (!weights || !sums) failed = 1;
    if (!failed) {
        for (int64_t o = 0; o < 2 * s->out; o++)
            for (int64_t ky = 0; ky < s->kernel_h; ky++) {
                float *to = weights + o * twice + ky * lines * LANES + (o & 1) * s->in;
                FOR_ROW(s, o >> 1, ky) to[t] = s->weight[at];
            }
        int64_t share = (s->n + s->threads - 1) / s->threads;
#pragma omp parallel for num_threads(s->threads) schedule(static, 1) reduction(| : failed)
        for (int64_t part = 0; part < s->threads; part++) {
            float *framed = room(f.size), *given = s->of_x ? room(f.size) : 0;
            float *slopes = sums + part * own, *alive = room(windows + 1);
            int32_t *begins = malloc(4 * (windows + 1));
            int64_t until = (part + 1) * share < s->n ? (part + 1) * share : s->n;
            if (!framed || !alive || !begins || (s->of_x && !given)) failed = 1;
            for (int64_t i = part * share; i < until && !failed; i++) {
                put_in_frame(s, &f, i, framed);
                for (int64_t o = 0; o < s->out; o++)
                    back_channel(s, &f, i, o, framed, begins, alive, slopes + o * size, slopes + all + o);
                if (!given) continue;
                memset(given, 0, f.size * sizeof(float));
                back_inputs(s, &f, i, lines, weights, given);
                int64_t row = s->wide * s->in;
                const float *from = given + s->pad_h * f.row + s->pad_w * s->in;
                for (int64_t y = 0; y < s->high; y++)
                    memcpy(s->given + (i * s->high + y) * row, from + y * f.row, 4 * row);
            }
            free(framed);
            free(given);
            free(alive);
            free(begins);
        }
        for (int64_t o = 0; o < s->out && !failed; o++)
            for (int64_t part = 0; part < s->threads; part++) {
                const float *slopes = sums + part * own;
                for (int64_t ky = 0; ky < s->kernel_h; ky++)
                    FOR_ROW(s, o, ky) {
                        float more = slopes[o * size + ky * f.lines * LANES + t];
                        s->of_weight[at] = part ? s->of_weight[at] + more : more;
                    }
                s->of_bias[o] = (part ? s->of_bias[o] : 0) + slopes[all + o];
            }
    }
    free(weights);
    free(sums);
    return failed;
}

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

/* The largest of four, or zero where none is above it, and which it was. What is no number is the
   largest, as torch has it. */
static inline __attribute__((always_inline)) floats largest(const floats four[4], ints *at) {
    floats best = four[0];
    ints where = {0};
    for (int j = 1; j < 4; j++) {
        ints more = (four[j] > best) | (four[j] != four[j]);
        best = (floats)(((ints)four[j] & more) | ((ints)best & ~more));
        where = (more & j) | (where & ~more);
    }
    ints dead = best <= 0;
    *at = (dead & DEAD) | (where & ~dead);
    return (floats)((ints)best & ~dead);
}

/* `count` windows of a row, for as many output channels as a vector has. */
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
static void *room(int64_t count) {
    int64_t size = (4 * count + LINE - 1) / LINE * LINE;
    void *made = aligned_alloc(LINE, size);
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

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512VL__)
/* In bfloat16 by a matrix unit (AMX): products of tiles of up to 16 rows, summed in float32. For up to 8
   channels, of which a row of a kernel reads no more than 32 numbers. Each tile is loaded from where its
   numbers lie: a row of one may begin within that of another. What is no number may reach a neighbour, for
   rows of kernels are filled up with weights of zero. */
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROWS = 16, DEEP = 32, BLOCK = ROWS * DEEP, AT_ONCE = 6 };

typedef uint16_t half;

/* Whether the system lets this process use its tiles, which it is to be asked. */
int neocog_tiles(void) {
    enum { ASK = 0x1023, TILES = 18 };
    return !syscall(SYS_arch_prctl, ASK, TILES);
}

/* What was written is read by the instructions that follow, of which compilers do not know it. */
#define SEEN(FROM) __asm__ volatile("" : : "r"(FROM) : "memory");

/* Tiles 0 to 5 are sums (rows, columns), 6 is (rows, 2 x pairs), 7 (pairs, columns, 2). */
static void set_tiles(int rows, int pairs, int columns) {
    struct { uint8_t palette, none[15]; uint16_t bytes[16]; uint8_t rows[16]; } set = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        set.rows[i] = i == 7 ? pairs : rows;
        set.bytes[i] = i == 6 ? 4 * pairs : 4 * columns;
    }
    SEEN(&set)
    _tile_loadconfig(&set);
}

/* Up to AT_ONCE tiles of sums, of as many products each: those of the tiles that begin `shifts` behind
   where `from` says, whose rows are `by` numbers apart, and of those that lie one behind the other
   `with`. `more`: they are added to what there is. */
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define BEGIN(I)                                                                                       \
    if (many > I) {                                                                                    \
        if (more) _tile_loadd(I, to[I], 4 * to_by);                                                    \
        else _tile_zero(I);                                                                            \
    }
#define MULTIPLY(I)                                                                                    \
    if (many > I) {                                                                                    \
        _tile_loadd(6, from[I] + shifts[k], 2 * by);                                                   \
        _tile_dpbf16ps(I, 6, 7);                                                                       \
    }
#define END(I)                                                                                         \
    if (many > I) _tile_stored(I, to[I], 4 * to_by);
static inline void products(int64_t many, const half *const *from, int64_t by, const int64_t *shifts,
                            int64_t count, const half *with, float *const *to, int64_t to_by, int more) {
    SEEN(from)
    EACH(BEGIN)
    for (int64_t k = 0; k < count; k++) {
        _tile_loadd(7, with + k * BLOCK, 2 * DEEP);
        EACH(MULTIPLY)
    }
    EACH(END)
}

static inline __mmask16 first(int64_t count) { return count < LANES ? (1 << count) - 1 : -1; }

static inline int64_t parts_of(int64_t all, int64_t most) { return (all + most - 1) / most; }

/* Numbers in bfloat16. */
static void halve(const float *from, int64_t count, half *to) {
    for (int64_t i = 0; i < count; i += LANES) {
        __mmask16 here = first(count - i);
        _mm256_mask_storeu_epi16(to + i, here,
                                 (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(here, from + i)));
    }
}

static inline half halved(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return x != x ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

/* A picture's outputs, and where they were. As many rows of windows at a time as fill the tiles of sums;
   the last tile of a row begins earlier where it would reach beyond it. */
static void picture_by_tiles(const Stage *s, const Frame *f, int64_t n, const half *framed,
                             const half *weights, const int64_t *shifts, const float *biases,
                             float *sums) {
    int64_t wide = 2 * s->broad, parts = parts_of(wide, ROWS), across = parts_of(wide, parts);
    int64_t band = parts < AT_ONCE / 2 ? AT_ONCE / 2 / parts : 1;
    for (int64_t r = 0; r < s->tall; r += band) {
        int64_t rows = s->tall - r < band ? s->tall - r : band, all = 2 * rows * parts;
        const half *with = weights;
        for (int64_t o = 0; o < s->out; o += LANES, with += s->kernel_h * BLOCK) {
            const half *from[AT_ONCE];
            float *to[AT_ONCE];
            for (int64_t t = 0, many; t < all; t += many) {
                many = all - t < AT_ONCE ? all - t : AT_ONCE;
                for (int64_t i = 0; i < many; i++) {
                    int64_t down = (t + i) / parts, begin = (t + i) % parts * across;
                    begin = begin < wide - across ? begin : wide - across;
                    from[i] = framed + (2 * r + down) * f->row + begin * s->in;
                    to[i] = sums + (down * wide + begin) * LANES;
                }
                products(many, from, s->in, shifts, s->kernel_h, with, to, LANES, 0);
            }
            __mmask16 here = first(s->out - o);
            const floats *four = (const floats *)sums, bias = *(const floats *)(biases + o);
            int64_t at = ((n * s->tall + r) * s->broad) * s->out + o;
            for (int64_t i = 0; i < rows; i++, four += wide)
                for (int64_t q = 0; q < s->broad; q++, four += 2, at += s->out) {
                    floats all_four[4] = {four[0] + bias, four[1] + bias, four[wide] + bias,
                                          four[wide + 1] + bias};
                    ints where;
                    _mm512_mask_storeu_ps(s->y + at, here, (__m512)largest(all_four, &where));
                    _mm512_mask_cvtepi32_storeu_epi8(s->place + at, here, (__m512i)where);
                }
        }
    }
}

int neocog_stage_by_tiles(const Stage *s) {
    Frame f = frame_of(s);
    int64_t blocks = parts_of(s->out, LANES), size = s->kernel_h * BLOCK;
    int64_t across = parts_of(2 * s->broad, parts_of(2 * s->broad, ROWS));
    half *weights = room(blocks * size / 2);
    float *biases = room(blocks * LANES);
    int64_t *shifts = malloc(8 * s->kernel_h);
    int failed = !weights || !biases || !shifts;
    for (int64_t o = 0; o < s->out && !failed; o++) { /* (blocks, kernel_h, DEEP / 2, LANES, 2) */
        if (s->bias) biases[o] = s->bias[o];
        for (int64_t ky = 0; ky < s->kernel_h; ky++) {
            half *to = weights + o / LANES * size + ky * BLOCK + o % LANES * 2;
            shifts[ky] = ky * f.row;
            FOR_ROW(s, o, ky) to[t / 2 * DEEP + t % 2] = halved(s->weight[at]);
        }
    }
    int lacking = failed; /* a thread's own `failed` begins at 0 */
#pragma omp parallel num_threads(s->threads) reduction(| : failed)
    {
        half *framed = room(f.size / 2 + DEEP);
        float *sums = room(AT_ONCE * 2 * s->broad * LANES);
        int none = lacking || !framed || !sums;
        failed |= none;
        if (!none) set_tiles(across, parts_of(f.span, 2), LANES);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < s->n; i++) {
            if (none) continue;
            int64_t row = s->wide * s->in;
            for (int64_t y = 0; y < s->high; y++)
                halve(s->x + (i * s->high + y) * row, row,
                      framed + (y + s->pad_h) * f.row + s->pad_w * s->in);
            picture_by_tiles(s, &f, i, framed, weights, shifts, biases, sums);
        }
        if (!none) _tile_release();
        free(framed);
        free(sums);
    }
    free(weights);
    free(biases);
    free(shifts);
    return failed;
}

/* How what is needed backwards lies. Of two pixels side by side each is one of a pair. */
typedef struct {
    int64_t pairs, rows;  /* of a framed row, an even number of pixels; rows */
    int64_t flat;         /* numbers of one channel's framed picture, and as many more as are read */
    int64_t taps, of, by; /* of a kernel, so many at a time: rows of a tile, `by` numbers apart */
    int64_t before, all;  /* pairs of zeros before a picture's slopes; with them and what follows */
    int64_t apart;        /* pairs that a row of a kernel reaches over */
} Back;

static Back back_of(const Stage *s) {
    Back b;
    b.pairs = parts_of(s->wide + 2 * s->pad_w, 2);
    b.rows = s->high + 2 * s->pad_h;
    b.apart = s->kernel_w / 2 + 1;
    b.before = (s->kernel_h - 1) * b.pairs + b.apart - 1;
    b.all = b.before + parts_of(b.rows * b.pairs, ROWS) * ROWS;
    b.flat = parts_of(b.rows * b.pairs * 2 + s->kernel_w + DEEP, DEEP) * DEEP;
    int one = s->in == 1;
    b.taps = one ? s->kernel_h : s->kernel_h * s->kernel_w;
    b.of = one ? s->kernel_w : s->in;
    b.by = one ? 1 : b.flat;
    return b;
}

/* A picture in planes, framed: eight pixels at a time. */
static void put_in_planes(const Stage *s, const Back *b, int64_t i, half *line, half *planes) {
    enum { EIGHT = 8 };
    const float *from = s->x + i * s->high * s->wide * s->in;
    for (int64_t y = 0; y < s->high; y++, from += s->wide * s->in) {
        half *to = planes + (y + s->pad_h) * b->pairs * 2 + s->pad_w;
        halve(from, s->wide * s->in, s->in == 1 ? to : line);
        for (int64_t x = 0; x < s->wide && s->in > 1; x += EIGHT) {
            __mmask8 here = first(s->wide - x);
            const half *at = line + x * s->in;
            __m512i some = _mm512_loadu_si512(at), more = _mm512_loadu_si512(at + DEEP);
            __m128i begin = _mm_setr_epi16(0, s->in, 2 * s->in, 3 * s->in, 4 * s->in, 5 * s->in, 6 * s->in,
                                           7 * s->in);
            for (int64_t c = 0; c < s->in; c++) {
                __m512i which = _mm512_castsi128_si512(_mm_add_epi16(begin, _mm_set1_epi16(c)));
                __m512i made = _mm512_permutex2var_epi16(some, which, more);
                _mm_mask_storeu_epi16(to + c * b->flat + x, here, _mm512_castsi512_si128(made));
            }
        }
    }
}

/* A picture's slopes as they were before pooling: (blocks, pairs, LANES, 2), as many zeros before and
   after as are read. */
static void put_slopes(const Stage *s, const Back *b, int64_t i, half *slopes, float *bias) {
    for (int64_t o = 0; o < s->out; o += LANES, slopes += b->all * DEEP, bias += LANES) {
        __mmask16 here = first(s->out - o);
        int64_t from = i * s->tall * s->broad * s->out + o;
        floats total = {0}; /* of a picture first: long sums of one sign lose their last bits */
        for (int64_t r = 0; r < s->tall; r++)
            for (int64_t q = 0; q < s->broad; q++, from += s->out) {
                half *to = slopes + (b->before + 2 * r * b->pairs + q) * DEEP;
                ints at = (ints)_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(here, s->place + from));
                floats g = (floats)_mm512_maskz_loadu_ps(here, s->g + from);
                ints bits = (ints)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)g));
                total += (floats)((ints)g & (at != DEAD));
                for (int lower = 0; lower < 2; lower++, to += b->pairs * DEEP)
                    *(ints *)to = (bits & (at == 2 * lower)) | ((bits << 16) & (at == 2 * lower + 1));
            }
        *(floats *)bias += total;
    }
}

int neocog_stage_back_by_tiles(const Stage *s) {
    Back b = back_of(s);
    int64_t blocks = parts_of(s->out, LANES), tile = b.of * LANES;
    int64_t own = blocks * (b.taps * tile + LANES), kernels = s->kernel_h * b.apart;
    int64_t deep = parts_of(2 * s->tall * b.pairs, ROWS), many = parts_of(b.rows * b.pairs, ROWS);
    float *sums = room(s->threads * own);
    half *weights = room(blocks * kernels * BLOCK / 2);
    int64_t *along = malloc(8 * deep), *around = malloc(8 * kernels);
    int failed = !sums || !weights || !along || !around;
    if (!failed) {
        for (int64_t k = 0; k < deep; k++) along[k] = k * DEEP;
        for (int64_t ky = 0; ky < s->kernel_h; ky++)
            for (int64_t j = 0; j < b.apart; j++)
                around[ky * b.apart + j] = (j - ky * b.pairs - b.apart + 1) * DEEP;
        /* what the right or the left of a pair of slopes gives to the right or the left of pixels */
        for (int64_t o = 0; o < s->out && s->of_x; o++)
            for (int64_t k = 0; k < kernels; k++)
                for (int64_t e = 0; e < 4; e++) {
                    int64_t side = e & 1, pixel = e >> 1, ky = k / b.apart, j = k % b.apart;
                    int64_t kx = pixel - side + 2 * (b.apart - 1 - j);
                    if (kx < 0 || kx >= s->kernel_w) continue;
                    const float *from = s->weight + o * s->by_out + ky * s->by_row + kx * s->by_column;
                    half *to = weights + (o / LANES * kernels + k) * BLOCK + o % LANES * DEEP + side;
                    for (int64_t c = 0; c < s->in; c++)
                        to[(pixel * s->in + c) * 2] = halved(from[c * s->by_in]);
                }
        int64_t share = parts_of(s->n, s->threads), row = s->wide * s->in;
#pragma omp parallel for num_threads(s->threads) schedule(static, 1) reduction(| : failed)
        for (int64_t part = 0; part < s->threads; part++) {
            int64_t until = (part + 1) * share < s->n ? (part + 1) * share : s->n;
            float *mine = sums + part * own, *bias = mine + blocks * b.taps * tile;
            float *given = s->of_x ? room(many * ROWS * 2 * s->in) : 0;
            half *planes = room(s->in * b.flat / 2), *line = room(row / 2 + 2 * DEEP);
            half *slopes = room(blocks * b.all * DEEP / 2);
            if (!planes || !line || !slopes || (s->of_x && !given)) failed = 1;
            for (int64_t i = part * share; i < until && !failed; i++) {
                const half *from[AT_ONCE];
                float *to[AT_ONCE];
                put_in_planes(s, &b, i, line, planes);
                put_slopes(s, &b, i, slopes, bias);
                set_tiles(b.of, DEEP / 2, LANES);
                for (int64_t block = 0; block < blocks; block++)
                    for (int64_t t = 0, some; t < b.taps; t += some) {
                        some = b.taps - t < AT_ONCE ? b.taps - t : AT_ONCE;
                        for (int64_t j = 0; j < some; j++) {
                            int64_t tap = t + j, wide = s->in == 1 ? 1 : s->kernel_w;
                            from[j] = planes + tap / wide * b.pairs * 2 + tap % wide;
                            to[j] = mine + (block * b.taps + tap) * tile;
                        }
                        products(some, from, b.by, along, deep,
                                 slopes + (block * b.all + b.before) * DEEP, to, LANES, 1);
                    }
                if (!given) continue;
                set_tiles(ROWS, DEEP / 2, 2 * s->in);
                for (int64_t t = 0, some; t < many; t += some) {
                    some = many - t < AT_ONCE ? many - t : AT_ONCE;
                    for (int64_t block = 0; block < blocks; block++) {
                        for (int64_t j = 0; j < some; j++) {
                            from[j] = slopes + (block * b.all + b.before + (t + j) * ROWS) * DEEP;
                            to[j] = given + (t + j) * ROWS * 2 * s->in;
                        }
                        products(some, from, DEEP, around, kernels, weights + block * kernels * BLOCK, to,
                                 2 * s->in, block > 0);
                    }
                }
                for (int64_t y = 0; y < s->high; y++)
                    memcpy(s->given + (i * s->high + y) * row,
                           given + ((y + s->pad_h) * b.pairs * 2 + s->pad_w) * s->in, 4 * row);
            }
            _tile_release();
            free(given);
            free(planes);
            free(line);
            free(slopes);
        }
        for (int64_t o = 0; o < s->out && !failed; o++) {
            int64_t place = o / LANES * b.taps * tile + o % LANES;
            for (int64_t part = 0; part < s->threads; part++) {
                const float *mine = sums + part * own;
                for (int64_t ky = 0; ky < s->kernel_h; ky++)
                    FOR_ROW(s, o, ky) {
                        float more = mine[place + (ky * s->kernel_w * s->in + t) * LANES];
                        s->of_weight[at] = part ? s->of_weight[at] + more : more;
                    }
                float more = mine[blocks * b.taps * tile + o];
                s->of_bias[o] = part ? s->of_bias[o] + more : more;
            }
        }
    }
    free(sums);
    free(weights);
    free(along);
    free(around);
    return failed;
}
#else
int neocog_tiles(void) { return 0; }
#endif

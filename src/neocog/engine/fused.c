/* Batch norm with what follows it, pooling, and SGD, in as few passes over memory as there can be.

   Maps are channels last, bfloat16 or, with FULL, float32: `rows` pixels of `channels` numbers, where
   there is a norm a multiple of 16. Of float32 there are norms alone. Sums are float32 within blocks
   of rows and float64 over them. Compiled where it runs, by native.py. */

#include <stdint.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#ifdef FULL
typedef float real;
#else
typedef uint16_t real;
#endif

#if defined FULL && !defined __AVX512F__
enum { WIDTH = 8 };
#else
enum { WIDTH = 16 };
#endif
#ifdef FULL
/* VECTORS of channels are summed together, of ROWS at most: more would round what bfloat16 has not */
enum { VECTORS = 64 / WIDTH, ROWS = 64 };
#else
enum { VECTORS = 1, ROWS = 8192 };
#endif
enum { BLOCK = 16384 / sizeof(real) }; /* numbers, that a core's nearest cache holds */
enum { NOTHING, RELU, TABLE, SIX }; /* of float32 there is no table, of bfloat16 no SIX */

typedef float floats __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef uint32_t words __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef int32_t ints __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef uint16_t halves __attribute__((vector_size(2 * WIDTH), aligned(2)));
typedef uint8_t bytes __attribute__((vector_size(WIDTH), aligned(1)));

static inline floats pick(ints where, floats yes, floats no) {
    return (floats)(((ints)yes & where) | ((ints)no & ~where));
}

static inline floats widen(halves h) { return (floats)(__builtin_convertvector(h, words) << 16); }

/* To the nearest, ties to even; what is no number stays none. */
static inline halves rounded(floats value) {
    words bits = (words)value;
    words near = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    words none = (words)(value != value);
    return __builtin_convertvector((near & ~none) | (none & 0x7fc0), halves);
}

#ifdef FULL
static inline floats load(const real *from) { return *(const floats *)from; }

static inline void store(real *to, floats value) { *(floats *)to = value; }
#else
static inline floats load(const real *from) { return widen(*(const halves *)from); }

static inline void store(real *to, floats value) { *(halves *)to = rounded(value); }
#endif

#ifndef FULL
/* The first `many` of the numbers there, and nothing behind them. */
static inline halves some(const uint16_t *from, int64_t many) {
#if defined __AVX512BW__ && defined __AVX512VL__
    return (halves)_mm256_maskz_loadu_epi16((__mmask16)(0xffff >> (WIDTH - many)), from);
#else
    halves found = {0};
    for (int64_t i = 0; i < many; i++) found[i] = from[i];
    return found;
#endif
}

static inline ints some_bytes(const uint8_t *from, int64_t many) {
#if defined __AVX512BW__ && defined __AVX512VL__
    bytes found = (bytes)_mm_maskz_loadu_epi8((__mmask16)(0xffff >> (WIDTH - many)), from);
#else
    bytes found = {0};
    for (int64_t i = 0; i < many; i++) found[i] = from[i];
#endif
    return __builtin_convertvector(found, ints);
}

static inline void store_bytes(uint8_t *to, ints value, int64_t many) {
    bytes each = __builtin_convertvector(value, bytes);
#if defined __AVX512BW__ && defined __AVX512VL__
    _mm_mask_storeu_epi8(to, (__mmask16)(0xffff >> (WIDTH - many)), (__m128i)each);
#else
    for (int64_t i = 0; i < many; i++) to[i] = each[i];
#endif
}

static inline void store_some(uint16_t *to, halves value, int64_t many) {
#if defined __AVX512BW__ && defined __AVX512VL__
    _mm256_mask_storeu_epi16(to, (__mmask16)(0xffff >> (WIDTH - many)), (__m256i)value);
#else
    for (int64_t i = 0; i < many; i++) to[i] = value[i];
#endif
}

#endif

static inline floats all(float value) { return value - (floats){0}; }

/* Of an activation what torch answers to each of the 65,536 bfloat16 numbers. */
static inline floats looked_up(const float *table, floats z) {
    ints which = __builtin_convertvector(rounded(z), ints);
#ifdef __AVX512F__
    return (floats)_mm512_i32gather_ps((__m512i)which, table, 4);
#else
    floats found;
    for (int i = 0; i < WIDTH; i++) found[i] = table[which[i]];
    return found;
#endif
}

typedef struct {
    int64_t rows, channels;
    int32_t threads, act;
    const real *x;                       /* what the norm is given */
    const real *more;                    /* what is added to what it makes, or null */
    const float *scale, *shift, *table;  /* y = act(x scale + shift + more); of act, or its slope */
    real *y;                             /* going back it is read, where there is more */
    const real *g;                       /* the gradient of y */
    const float *mean, *slant, *level;   /* given = (g before act) scale + (x - mean) slant + level */
    real *given, *given_more;            /* the latter may be null */
    double *sums;                        /* `threads` times 2 x channels, zero; the first has all */
} Pass;

#define INLINE static inline __attribute__((always_inline))
#define FROM(vector, c) (*(const floats *)((vector) + (c)))
#ifdef FULL
#define OTHER SIX
#else
#define OTHER TABLE
#endif
#define FOR_EACH(act, run)               \
    if (act == RELU) run(RELU);          \
    else if (act == OTHER) run(OTHER);   \
    else run(NOTHING)

INLINE floats active(const Pass *p, floats z, int act) {
    /* so that what is no number stays none */
    if (act == RELU || act == SIX) z = pick(z < 0.0f, all(0.0f), z);
    if (act == SIX) return pick(z > 6.0f, all(6.0f), z);
    return act == TABLE ? looked_up(p->table, z) : z;
}

/* The gradient before `act`: by y where something was added, else by what x gives anew. */
INLINE floats before(const Pass *p, int64_t at, floats x, floats scale, floats shift, int act) {
    floats slope = load(p->g + at);
    if (act == NOTHING) return slope;
    floats z = p->more ? load(p->y + at) : x * scale + shift;
    if (act == TABLE) return slope * looked_up(p->table, z);
    return pick(act == SIX ? (z > 0.0f) & (z < 6.0f) : z > 0.0f, slope, all(0.0f));
}

typedef struct {
    int64_t first, end; /* rows */
} Part;

/* Of the rows those of the thread, in blocks that its nearest cache holds. */
INLINE Part block_of(const Pass *p, int thread, int64_t number) {
    int64_t size = p->channels < BLOCK ? BLOCK / p->channels : 1;
    size = size < ROWS ? size : ROWS;
    int64_t first = p->rows * thread / p->threads + number * size;
    int64_t last = p->rows * (thread + 1) / p->threads;
    return (Part){first, first + size < last ? first + size : last};
}

static void total(const Pass *p) {
    for (int t = 1; t < p->threads; t++)
        for (int64_t c = 0; c < 2 * p->channels; c++) p->sums[c] += p->sums[t * 2 * p->channels + c];
}

/* Of a block's rows, for `many` vectors of channels from `c` on: so many sums do not wait for each
   other. */
INLINE void block_sums(const Pass *p, Part b, int64_t c, int many, double *sums) {
    floats first[VECTORS], sum[VECTORS], square[VECTORS];
    for (int v = 0; v < many; v++) {
        first[v] = load(p->x + b.first * p->channels + c + v * WIDTH);
        sum[v] = square[v] = all(0.0f);
    }
    for (int64_t r = b.first; r < b.end; r++) {
        const real *x = p->x + r * p->channels + c;
        for (int v = 0; v < many; v++) {
            __builtin_prefetch(x + v * WIDTH + BLOCK); /* steps this long are not foreseen */
            floats off = load(x + v * WIDTH) - first[v];
            sum[v] += off;
            square[v] += off * off;
        }
    }
    double rows = b.end - b.first;
    for (int v = 0; v < many; v++)
        for (int i = 0; i < WIDTH; i++) {
            double shift = first[v][i], part = sum[v][i], *at = sums + c + v * WIDTH + i;
            at[0] += part + rows * shift;
            at[p->channels] += square[v][i] + 2 * shift * part + rows * shift * shift;
        }
}

/* Sums of a channel, and of its squares: of what is left of a block's first row, which is exact. */
void neocog_sums(const Pass *p) {
#pragma omp parallel for num_threads(p->threads) schedule(static, 1)
    for (int t = 0; t < p->threads; t++) {
        double *sums = p->sums + t * 2 * p->channels;
        Part b;
        for (int64_t number = 0; b = block_of(p, t, number), b.first < b.end; number++) {
            int64_t c = 0, several = VECTORS * WIDTH;
            for (; c + several <= p->channels; c += several) block_sums(p, b, c, VECTORS, sums);
            for (; c < p->channels; c += WIDTH) block_sums(p, b, c, 1, sums);
        }
    }
    total(p);
}

INLINE void apply(const Pass *p, int act) {
    int64_t channels = p->channels;
#pragma omp parallel for num_threads(p->threads) schedule(static)
    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t c = 0; c < channels; c += WIDTH) {
            floats z = load(p->x + r * channels + c) * FROM(p->scale, c) + FROM(p->shift, c);
            if (p->more) z += load(p->more + r * channels + c);
            store(p->y + r * channels + c, active(p, z, act));
        }
}

void neocog_apply(const Pass *p) {
#define RUN(act) apply(p, act)
    FOR_EACH(p->act, RUN);
#undef RUN
}

INLINE void block_back(const Pass *p, Part b, int64_t c, int many, int act, double *sums) {
    floats sum[VECTORS], product[VECTORS];
    for (int v = 0; v < many; v++) sum[v] = product[v] = all(0.0f);
    for (int64_t r = b.first; r < b.end; r++)
        for (int v = 0; v < many; v++) {
            int64_t channel = c + v * WIDTH, at = r * p->channels + channel;
            __builtin_prefetch(p->x + at + BLOCK);
            __builtin_prefetch(p->g + at + BLOCK);
            if (p->more) __builtin_prefetch(p->y + at + BLOCK);
            floats x = load(p->x + at), scale = FROM(p->scale, channel);
            floats slope = before(p, at, x, scale, FROM(p->shift, channel), act);
            sum[v] += slope;
            product[v] += slope * (x - FROM(p->mean, channel));
        }
    for (int v = 0; v < many; v++)
        for (int i = 0; i < WIDTH; i++) {
            sums[c + v * WIDTH + i] += sum[v][i];
            sums[p->channels + c + v * WIDTH + i] += product[v][i];
        }
}

INLINE void back_sums(const Pass *p, int act) {
#pragma omp parallel for num_threads(p->threads) schedule(static, 1)
    for (int t = 0; t < p->threads; t++) {
        double *sums = p->sums + t * 2 * p->channels;
        Part b;
        for (int64_t number = 0; b = block_of(p, t, number), b.first < b.end; number++) {
            int64_t c = 0, several = VECTORS * WIDTH;
            for (; c + several <= p->channels; c += several)
                block_back(p, b, c, VECTORS, act, sums);
            for (; c < p->channels; c += WIDTH) block_back(p, b, c, 1, act, sums);
        }
    }
    total(p);
}

/* Sums of the gradient before `act`, and of it times (x - mean). */
void neocog_back_sums(const Pass *p) {
#define RUN(act) back_sums(p, act)
    FOR_EACH(p->act, RUN);
#undef RUN
}

INLINE void back(const Pass *p, int act) {
    int64_t channels = p->channels;
#pragma omp parallel for num_threads(p->threads) schedule(static)
    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t c = 0; c < channels; c += WIDTH) {
            int64_t at = r * channels + c;
            floats scale = FROM(p->scale, c), x = load(p->x + at);
            floats slope = before(p, at, x, scale, FROM(p->shift, c), act);
            if (p->given_more) store(p->given_more + at, slope);
            floats off = x - FROM(p->mean, c);
            store(p->given + at, slope * scale + (off * FROM(p->slant, c) + FROM(p->level, c)));
        }
}

/* The gradients of x and, where it is asked for, of what was added. */
void neocog_back(const Pass *p) {
#define RUN(act) back(p, act)
    FOR_EACH(p->act, RUN);
#undef RUN
}

#ifndef FULL
/* Windows of `size` by `size` numbers, every `step` of them, from `pad` before the first. */
typedef struct {
    int64_t n, h, w, channels, high, wide; /* of what is given, and of what is made */
    int32_t size, step, pad, threads;
    const uint16_t *x;
    uint16_t *y;
    uint8_t *place; /* size * row + column of the largest in its window, the first of equals */
    const uint16_t *g;
    uint16_t *given;
} Windows;

typedef struct {
    int64_t first, end;
} Span;

/* Of `size` numbers from `from` on those that are among `many`. */
INLINE Span within(int64_t from, int64_t size, int64_t many) {
    return (Span){from < 0 ? 0 : from, from + size < many ? from + size : many};
}

/* Of one window the largest of `many` channels, up to 16. */
INLINE void largest(const Windows *p, const uint16_t *picture, int64_t top, int64_t left, int64_t c,
                    int64_t many, int64_t size, int64_t to) {
    Span rows = within(top, size, p->h), columns = within(left, size, p->w);
    const uint16_t *first = picture + (rows.first * p->w + columns.first) * p->channels + c;
    floats most = widen(some(first, many));
    ints which = (ints){0} + (int32_t)((rows.first - top) * size + columns.first - left);
    for (int64_t r = rows.first; r < rows.end; r++)
        for (int64_t k = columns.first; k < columns.end; k++) {
            floats next = widen(some(picture + (r * p->w + k) * p->channels + c, many));
            ints more = (next > most) | (next != next);
            most = pick(more, next, most);
            which = (which & ~more) | (more & (int32_t)((r - top) * size + k - left));
        }
    store_some(p->y + to + c, __builtin_convertvector((words)most >> 16, halves), many);
    store_bytes(p->place + to + c, which, many);
}

INLINE void pool(const Windows *p, int64_t size, int64_t step) {
    int64_t channels = p->channels, even = channels / WIDTH * WIDTH;
#pragma omp parallel for num_threads(p->threads) schedule(static)
    for (int64_t line = 0; line < p->n * p->high; line++) {
        const uint16_t *picture = p->x + line / p->high * p->h * p->w * channels;
        int64_t top = line % p->high * step - p->pad;
        for (int64_t column = 0; column < p->wide; column++) {
            int64_t left = column * step - p->pad, to = (line * p->wide + column) * channels;
            for (int64_t c = 0; c < even; c += WIDTH)
                largest(p, picture, top, left, c, WIDTH, size, to);
            if (even < channels) largest(p, picture, top, left, even, channels - even, size, to);
        }
    }
}

void neocog_pool(const Windows *p) {
    if (p->size == 2 && p->step == 2) pool(p, 2, 2);
    else if (p->size == 3 && p->step == 2) pool(p, 3, 2);
    else pool(p, p->size, p->step);
}

/* Which windows see a row or column. */
INLINE Span seeing(int64_t at, int64_t size, int64_t step, int64_t pad, int64_t many) {
    int64_t last = (at + pad) / step, first = at + pad < size ? 0 : (at + pad - size) / step + 1;
    return (Span){first, last + 1 < many ? last + 1 : many};
}

/* Of one number's `many` channels, up to 16, the gradients of the windows that took it. */
INLINE void taken(const Windows *p, int64_t picture, int64_t row, int64_t column, Span down,
                  Span across, int64_t c, int64_t many, int64_t size, int64_t step, int64_t to) {
    floats sum = {0};
    for (int64_t i = down.first; i < down.end; i++)
        for (int64_t j = across.first; j < across.end; j++) {
            int64_t from = picture + (i * p->wide + j) * p->channels + c;
            int64_t here = (row + p->pad - i * step) * size + column + p->pad - j * step;
            ints mine = some_bytes(p->place + from, many) == (int32_t)here;
            sum += pick(mine, widen(some(p->g + from, many)), all(0.0f));
        }
    store_some(p->given + to + c, rounded(sum), many);
}

INLINE void pool_back(const Windows *p, int64_t size, int64_t step) {
    int64_t channels = p->channels, even = channels / WIDTH * WIDTH;
#pragma omp parallel for num_threads(p->threads) schedule(static)
    for (int64_t line = 0; line < p->n * p->h; line++) {
        int64_t row = line % p->h, picture = line / p->h * p->high * p->wide * channels;
        Span down = seeing(row, size, step, p->pad, p->high);
        for (int64_t column = 0; column < p->w; column++) {
            Span across = seeing(column, size, step, p->pad, p->wide);
            int64_t to = (line * p->w + column) * channels, rest = channels - even;
            for (int64_t c = 0; c < even; c += WIDTH)
                taken(p, picture, row, column, down, across, c, WIDTH, size, step, to);
            if (rest) taken(p, picture, row, column, down, across, even, rest, size, step, to);
        }
    }
}

/* To `many` channels of the numbers of one window, up to 16: its gradient, or nothing. */
INLINE void shared(const Windows *p, int64_t from, int64_t to, int64_t many, int64_t size) {
    ints place = some_bytes(p->place + from, many);
    words slope = __builtin_convertvector(some(p->g + from, many), words);
    for (int64_t r = 0; r < size; r++)
        for (int64_t k = 0; k < size; k++) {
            words given = slope & (words)(place == (int32_t)(r * size + k));
            uint16_t *at = p->given + to + (r * p->w + k) * p->channels;
            store_some(at, __builtin_convertvector(given, halves), many);
        }
}

/* The same of windows that share no number. What is in none is zero already. */
INLINE void pool_back_apart(const Windows *p, int64_t size) {
    int64_t channels = p->channels, even = channels / WIDTH * WIDTH;
#pragma omp parallel for num_threads(p->threads) schedule(static)
    for (int64_t line = 0; line < p->n * p->high; line++) {
        int64_t top = (line / p->high * p->h + line % p->high * size) * p->w;
        for (int64_t column = 0; column < p->wide; column++) {
            int64_t from = (line * p->wide + column) * channels, to = (top + column * size) * channels;
            for (int64_t c = 0; c < even; c += WIDTH) shared(p, from + c, to + c, WIDTH, size);
            if (even < channels) shared(p, from + even, to + even, channels - even, size);
        }
    }
}

/* To each number the gradients of the windows that took it. */
void neocog_pool_back(const Windows *p) {
    if (p->size == 2 && p->step == 2 && !p->pad) pool_back_apart(p, 2);
    else if (p->size == p->step && !p->pad) pool_back_apart(p, p->size);
    else if (p->size == 3 && p->step == 2) pool_back(p, 3, 2);
    else pool_back(p, p->size, p->step);
}

/* Weights with a gradient in bfloat16: `many`, a multiple of 16. */
typedef struct {
    int64_t many;
    int32_t threads, first, nesterov; /* first: there is nothing in `buffer` yet */
    float rate, momentum, decay;
    float *weight, *buffer; /* the latter null without momentum */
    const uint16_t *slope;
    uint16_t *half; /* the weights, rounded */
} Update;

void neocog_update(const Update *p) {
    floats rate = all(p->rate), momentum = all(p->momentum), decay = all(p->decay);
#pragma omp parallel for num_threads(p->threads) schedule(static)
    for (int64_t i = 0; i < p->many; i += WIDTH) {
        floats weight = FROM(p->weight, i), step = load(p->slope + i) + weight * decay;
        if (p->buffer) {
            floats kept = p->first ? step : FROM(p->buffer, i) * momentum + step;
            *(floats *)(p->buffer + i) = kept;
            step = p->nesterov ? step + kept * momentum : kept;
        }
        weight -= step * rate;
        *(floats *)(p->weight + i) = weight;
        store(p->half + i, weight);
    }
}

/* Sums of squares of `many` numbers, a multiple of 16: of each thread's part. */
void neocog_squares(int64_t many, int32_t threads, const uint16_t *x, double *sums) {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        int64_t at = many / WIDTH * t / threads * WIDTH, end = many / WIDTH * (t + 1) / threads * WIDTH;
        double total = 0;
        while (at < end) {
            int64_t stop = at + BLOCK < end ? at + BLOCK : end;
            floats sum = {0};
            for (; at < stop; at += WIDTH) {
                floats value = load(x + at);
                sum += value * value;
            }
            for (int i = 0; i < WIDTH; i++) total += sum[i];
        }
        sums[t] = total;
    }
}
#endif

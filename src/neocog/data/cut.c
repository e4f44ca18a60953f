/* Pieces of pictures brought to one size, as torch does uint8 pictures of three channels that lie
   last: a pass along the rows and one across them, each rounded to uint8, by weights of 16 bits.
   The weights are those of a triangle, as wide as the step where a side shrinks. Compiled where it
   runs, by cutting.py. */

#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 3, SPARE = 64 }; /* SPARE: bytes that may be read or written behind a row */

/* Of each output along a side: the first input it is made of, how many, and their weights, an even
   number of them, those to spare being 0. */
typedef struct {
    int64_t most;
    int precision;
    int32_t *first, *count;
    int16_t *weights;
    double *exact;
} Side;

static void free_side(Side *side) {
    free(side->first);
    free(side->count);
    free(side->weights);
    free(side->exact);
}

static int64_t taps(int64_t from, int64_t to) {
    double scale = (double)from / (double)to, support = scale > 1 ? scale : 1;
    int64_t whole = (int64_t)support;
    int64_t most = 2 * (whole + (support > (double)whole)) + 1;
    return most + most % 2;
}

static int make_side(Side *side, int64_t from, int64_t to) {
    double scale = (double)from / (double)to, support = scale >= 1 ? scale : 1;
    double steep = scale >= 1 ? 1 / scale : 1, largest = 0;
    int64_t most = side->most = taps(from, to);
    side->first = malloc(to * sizeof *side->first);
    side->count = malloc(to * sizeof *side->count);
    side->weights = calloc(to * most, sizeof *side->weights);
    side->exact = malloc(to * most * sizeof *side->exact);
    if (!side->first || !side->count || !side->weights || !side->exact) return 1;
    for (int64_t i = 0; i < to; i++) {
        double centre = scale * (i + 0.5), total = 0, *weight = side->exact + i * most;
        int64_t first = (int64_t)(centre - support + 0.5), last = (int64_t)(centre + support + 0.5);
        if (first < 0) first = 0;
        if (last > from) last = from;
        int64_t count = last - first < most ? last - first : most;
        for (int64_t j = 0; j < count; j++) {
            double x = (j + first - centre + 0.5) * steep;
            if (x < 0) x = -x;
            weight[j] = x < 1 ? 1 - x : 0;
            total += weight[j];
        }
        for (int64_t j = 0; j < count; j++) {
            if (total != 0) weight[j] /= total;
            if (weight[j] > largest) largest = weight[j];
        }
        side->first[i] = (int32_t)first;
        side->count[i] = (int32_t)count;
    }
    /* as many bits as leave the largest weight in 16 */
    int bits = 0;
    while (bits < 22 && (int)(0.5 + largest * (1 << (bits + 1))) < 1 << 15) bits++;
    side->precision = bits;
    for (int64_t i = 0; i < to; i++)
        for (int64_t j = 0; j < side->count[i]; j++)
            side->weights[i * most + j] = (int16_t)(0.5 + side->exact[i * most + j] * (1 << bits));
    return 0;
}

/* The most pairs of inputs that an output is made of. */
static int64_t most_pairs(const Side *side, int64_t to) {
    int64_t pairs = 0;
    for (int64_t i = 0; i < to; i++)
        if ((side->count[i] + 1) / 2 > pairs) pairs = (side->count[i] + 1) / 2;
    return pairs;
}

/* A row, with SPARE bytes and a side's inputs behind it, to `to` pixels, and up to SPARE bytes
   behind those. Each output is made of as many pairs, those to spare by weights of 0: of a number
   that is known when this is compiled no branch is guessed wrongly. */
static inline __attribute__((always_inline)) void along_by(int64_t pairs, const Side *side,
                                                           const uint8_t *row, int64_t to,
                                                           uint8_t *made) {
    /* two pixels (r g b r g b) as pairs of 16 bits, one for each channel */
    const __m128i lanes =
        _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    const __m128i half = _mm_set1_epi32(1 << (side->precision - 1));
    const __m128i shift = _mm_cvtsi32_si128(side->precision);
    const int16_t *weights = side->weights;
    for (int64_t i = 0; i < to; i++, weights += side->most) {
        const uint8_t *from = row + CHANNELS * side->first[i];
        __m128i sum = half;
        for (int64_t j = 0; j < pairs; j++, from += 2 * CHANNELS) {
            int32_t both;
            memcpy(&both, weights + 2 * j, sizeof both);
            __m128i two = _mm_shuffle_epi8(_mm_loadl_epi64((const __m128i *)from), lanes);
            sum = _mm_add_epi32(sum, _mm_madd_epi16(two, _mm_set1_epi32(both)));
        }
        sum = _mm_sra_epi32(sum, shift);
        sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);
        int32_t pixel = _mm_cvtsi128_si32(sum);
        memcpy(made + CHANNELS * i, &pixel, sizeof pixel);
    }
}

static void along(int64_t pairs, const Side *side, const uint8_t *row, int64_t to, uint8_t *made) {
    switch (pairs) {
    case 1: along_by(1, side, row, to, made); break;
    case 2: along_by(2, side, row, to, made); break;
    case 3: along_by(3, side, row, to, made); break;
    case 4: along_by(4, side, row, to, made); break;
    default: along_by(pairs, side, row, to, made);
    }
}

#ifdef __AVX512VBMI__
/* The same for many rows: of sixteen values at a time it is found out once which bytes they are
   made of, and with which weights. */
typedef struct {
    int64_t blocks, pairs;
    int64_t *base;
    __m512i *bytes, *weights;
} Plan;

static void free_plan(Plan *plan) {
    free(plan->base);
    free(plan->bytes);
    free(plan->weights);
}

/* 1 where there is no memory, or where sixteen values are made of more than 64 bytes. */
static int make_plan(Plan *plan, const Side *side, int64_t to) {
    int64_t length = CHANNELS * to, blocks = plan->blocks = (length + 15) / 16;
    int64_t pairs = most_pairs(side, to);
    if (pairs > 11) return 1; /* 6 bytes each */
    plan->pairs = pairs;
    size_t room = blocks * pairs * sizeof(__m512i);
    plan->base = malloc(blocks * sizeof *plan->base);
    plan->bytes = aligned_alloc(64, room);
    plan->weights = aligned_alloc(64, room);
    if (!plan->base || !plan->bytes || !plan->weights) return 1;
    uint8_t *bytes = (uint8_t *)plan->bytes;
    int16_t *weights = (int16_t *)plan->weights;
    memset(bytes, 0, room);
    memset(weights, 0, room);
    for (int64_t block = 0; block < blocks; block++) {
        int64_t base = plan->base[block] = CHANNELS * side->first[16 * block / CHANNELS];
        for (int64_t lane = 0; lane < 16 && 16 * block + lane < length; lane++) {
            int64_t i = (16 * block + lane) / CHANNELS, channel = (16 * block + lane) % CHANNELS;
            int64_t place = CHANNELS * side->first[i] + channel - base;
            for (int64_t j = 0; j < side->count[i]; j++, place += CHANNELS) {
                if (place > 63) return 1;
                int64_t at = 32 * (block * pairs + j / 2) + 2 * lane + j % 2;
                bytes[2 * at] = (uint8_t)place;
                weights[at] = side->weights[i * side->most + j];
            }
        }
    }
    return 0;
}

static void along_as_planned(const Plan *plan, int precision, const uint8_t *row, uint8_t *made) {
    const __m512i half = _mm512_set1_epi32(1 << (precision - 1));
    const __m128i shift = _mm_cvtsi32_si128(precision);
    const __m512i *bytes = plan->bytes, *weights = plan->weights;
    for (int64_t block = 0; block < plan->blocks; block++, made += 16) {
        __m512i from = _mm512_loadu_si512(row + plan->base[block]), sum = half;
        for (int64_t j = 0; j < plan->pairs; j++) {
            /* each pair is of 16 bits, the upper byte of which stays empty */
            __m512i two = _mm512_maskz_permutexvar_epi8(0x5555555555555555, *bytes++, from);
            sum = _mm512_add_epi32(sum, _mm512_madd_epi16(two, *weights++));
        }
        sum = _mm512_sra_epi32(sum, shift);
        _mm_storeu_si128((__m128i *)made, _mm512_cvtusepi32_epi8(sum));
    }
}
#endif

/* One output row from rows that lie `stride` bytes apart, each with SPARE bytes behind it, as what
   is made has to have. */
static void across(const Side *side, int64_t i, const uint8_t *rows, int64_t stride, int64_t length,
                   uint8_t *made) {
    const int16_t *weights = side->weights + i * side->most;
    const __m256i half = _mm256_set1_epi32(1 << (side->precision - 1));
    const __m128i shift = _mm_cvtsi32_si128(side->precision);
    int64_t count = side->count[i];
    rows += side->first[i] * stride;
    for (int64_t x = 0; x < length; x += 16) {
        const uint8_t *from = rows + x;
        __m256i low = half, high = half;
        for (int64_t j = 0; j < count; j += 2, from += 2 * stride) {
            /* of an odd count the last weight is 0, and there may be no such row */
            const uint8_t *next = j + 1 < count ? from + stride : from;
            __m256i one = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)from));
            __m256i two = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)next));
            int32_t both;
            memcpy(&both, weights + j, sizeof both);
            __m256i pair = _mm256_set1_epi32(both);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(one, two), pair));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(one, two), pair));
        }
        low = _mm256_packs_epi32(_mm256_sra_epi32(low, shift), _mm256_sra_epi32(high, shift));
        __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
        _mm_storeu_si128((__m128i *)(made + x), bytes);
    }
}

/* The rows of a box, each brought to `width` pixels, `pitch` bytes apart. */
static int all_along(const uint8_t *from, int64_t stride, int64_t high, int64_t wide, int64_t width,
                     uint8_t *made, int64_t pitch) {
    if (wide == width) {
        for (int64_t y = 0; y < high; y++)
            memcpy(made + y * pitch, from + y * stride, CHANNELS * wide);
        return 0;
    }
    Side side = {0};
    uint8_t *row = calloc(CHANNELS * (wide + taps(wide, width)) + SPARE, 1);
    int failed = !row || make_side(&side, wide, width), planned = 0;
#ifdef __AVX512VBMI__
    Plan plan = {0};
    planned = !failed && !make_plan(&plan, &side, width);
#endif
    int64_t pairs = failed ? 0 : most_pairs(&side, width);
    for (int64_t y = 0; !failed && y < high; y++, from += stride, made += pitch) {
        memcpy(row, from, CHANNELS * wide);
#ifdef __AVX512VBMI__
        if (planned) {
            along_as_planned(&plan, side.precision, row, made);
            continue;
        }
#endif
        along(pairs, &side, row, width, made);
    }
#ifdef __AVX512VBMI__
    free_plan(&plan);
#endif
    (void)planned;
    free_side(&side);
    free(row);
    return failed;
}

static int cut_one(const uint8_t *picture, int64_t stride, const int64_t *box, int64_t height,
                   int64_t width, uint8_t *made) {
    int64_t high = box[2], wide = box[3], length = CHANNELS * width, pitch = length + SPARE;
    const uint8_t *from = picture + box[0] * stride + CHANNELS * box[1];
    Side side = {0};
    uint8_t *between = malloc(high * pitch);
    uint8_t *row = malloc(pitch);
    int failed = !between || !row || (high != height && make_side(&side, high, height)) ||
                 all_along(from, stride, high, wide, width, between, pitch);
    for (int64_t y = 0; !failed && y < height; y++, made += length) {
        if (high != height) across(&side, y, between, pitch, length, row);
        memcpy(made, high == height ? between + y * pitch : row, length);
    }
    free_side(&side);
    free(between);
    free(row);
    return failed;
}

/* Of `n` pictures, whose rows are `strides` bytes apart, the `boxes` (top, left, height, width) as
   (n, height, width, 3). Gives how many were done: fewer where there is no memory. */
int64_t cut(int64_t n, const uint8_t *const *pictures, const int64_t *strides,
            const int64_t *boxes, int64_t height, int64_t width, uint8_t *made) {
    for (int64_t i = 0; i < n; i++)
        if (cut_one(pictures[i], strides[i], boxes + 4 * i, height, width,
                    made + i * CHANNELS * height * width))
            return i;
    return n;
}

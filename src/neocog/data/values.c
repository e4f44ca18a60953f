/* Pixels to a network's input values: each of the 256 has been looked up beforehand. Compiled where
   it runs, by values.py. */

#include <stdint.h>

enum { LEVELS = 256 };

/* `n` pictures (height, width, channels), and of each whether it is turned left to right; `table`
   is (channels, 256). */
void as_values(int64_t n, int64_t height, int64_t width, int64_t channels, const uint8_t *pixels,
               const uint8_t *turned, const float *table, float *values) {
    int64_t row = width * channels;
    for (int64_t i = 0; i < n * height; i++, pixels += row, values += row) {
        int64_t step = turned[i / height] ? -channels : channels;
        const uint8_t *from = step < 0 ? pixels + row - channels : pixels;
        float *to = values;
        if (channels == 3) {
            for (int64_t x = 0; x < width; x++, from += step, to += 3) {
                to[0] = table[from[0]];
                to[1] = table[LEVELS + from[1]];
                to[2] = table[2 * LEVELS + from[2]];
            }
        } else {
            for (int64_t x = 0; x < width; x++, from += step, to += channels)
                for (int64_t c = 0; c < channels; c++) to[c] = table[LEVELS * c + from[c]];
        }
    }
}

/* Memory at any address for the lanes of a machine, and fma by the C library. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* out[i] = width bytes at address[i], zero-extended, where on[i] */
void gather(size_t n, const uint64_t *address, const uint8_t *on, int width, uint64_t *out) {
  for (size_t i = 0; i < n; i++)
    if (on[i]) {
      uint64_t value = 0;
      memcpy(&value, (const void *)(uintptr_t)address[i], width);
      out[i] = value;
    }
}

void scatter(size_t n, const uint64_t *address, const uint8_t *on, int width, const uint64_t *in) {
  for (size_t i = 0; i < n; i++)
    if (on[i]) memcpy((void *)(uintptr_t)address[i], &in[i], width);
}

/* *address[i] += in[i] in 64 bits, out[i] what was there before, lane after lane */
void add(size_t n, const uint64_t *address, const uint8_t *on, const uint64_t *in, uint64_t *out) {
  for (size_t i = 0; i < n; i++)
    if (on[i]) {
      uint64_t *place = (uint64_t *)(uintptr_t)address[i];
      out[i] = *place;
      *place += in[i];
    }
}

void fused(size_t n, const float *a, const float *b, const float *c, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = fmaf(a[i], b[i], c[i]);
}

void fused_double(size_t n, const double *a, const double *b, const double *c, double *out) {
  for (size_t i = 0; i < n; i++) out[i] = fma(a[i], b[i], c[i]);
}

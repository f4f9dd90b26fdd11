// The loss by a dense sort, in C: softmax, LSD radix sort in three passes of 11 bits over (key, pixel), weights, gradient.
#include <math.h>
#include <stdint.h>
#include "peer.h"

static long P, C;
static float *logits, *probs, *weights, *grad;
static int32_t *labels;
static uint64_t *a, *b;

static peer_call setup(const char *kernel, int is64, long n, long cols) {
  (void)kernel, (void)is64, (void)n, (void)cols;
  return NULL;
}

// exp for x <= 0, which the compiler turns into vector code.
static inline float exp_(float x) {
  x = x < -87 ? -87 : x;
  float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f, r = (x - n * 0.693359375f) + n * 2.12194440e-4f, p = 1.3888889e-3f;
  p = p * r + 8.3333333e-3f, p = p * r + 4.1666668e-2f, p = p * r + 1.6666667e-1f, p = p * r + 0.5f, p = p * r + 1, p = p * r + 1;
  union { int32_t i; float f; } s = {((int32_t)n + 127) << 23};
  return p * s.f;
}

enum { BLOCK = 1024 };

static void softmax(void) {
  static float m[BLOCK], s[BLOCK];
  for (long i = 0; i < P; i += BLOCK) {
    long n = P - i < BLOCK ? P - i : BLOCK;
    for (long j = 0; j < n; j++) m[j] = logits[i + j], s[j] = 0;
    for (long c = 1; c < C; c++)
      for (long j = 0; j < n; j++) m[j] = logits[c * P + i + j] > m[j] ? logits[c * P + i + j] : m[j];
    for (long c = 0; c < C; c++) {
      const float *x = logits + c * P + i;
      float *p = probs + c * P + i;
      for (long j = 0; j < n; j++) p[j] = exp_(x[j] - m[j]), s[j] += p[j];
    }
    for (long j = 0; j < n; j++) s[j] = 1 / s[j];
    for (long c = 0; c < C; c++)
      for (long j = 0; j < n; j++) probs[c * P + i + j] *= s[j];
  }
}

static void gradient(float scale) {
  static float d[BLOCK];
  for (long i = 0; i < P; i += BLOCK) {
    long n = P - i < BLOCK ? P - i : BLOCK;
    memset(d, 0, sizeof d);
    for (long c = 0; c < C; c++)
      for (long j = 0; j < n; j++) d[j] += probs[c * P + i + j] * weights[c * P + i + j];
    for (long c = 0; c < C; c++) {
      const float *p = probs + c * P + i, *w = weights + c * P + i;
      float *g = grad + c * P + i;
      for (long j = 0; j < n; j++) g[j] = p[j] * (w[j] - d[j]) * scale;
    }
  }
}

static void offsets(uint32_t *counts, int n) {
  uint32_t sum = 0;
  for (int i = 0; i < n; i++) {
    uint32_t c = counts[i];
    counts[i] = sum, sum += c;
  }
}

static double class_loss(long c, int *present) {
  static uint32_t h0[2048], h1[2048], h2[1024];
  memset(h0, 0, sizeof h0), memset(h1, 0, sizeof h1), memset(h2, 0, sizeof h2);
  const float *p = probs + c * P;
  float *w = weights + c * P;
  long foreground = 0;
  for (long i = 0; i < P; i++) {
    uint32_t fg = labels[i] == c, k;
    float e = fg ? 1 - p[i] : p[i];
    memcpy(&k, &e, 4);
    k = ~(k << 1 | fg);
    foreground += fg;
    a[i] = (uint64_t)k << 32 | (uint64_t)i;
    h0[k & 2047]++, h1[k >> 11 & 2047]++, h2[k >> 22]++;
  }
  if (!foreground) {
    memset(w, 0, P * 4);
    return 0;
  }
  ++*present;
  offsets(h0, 2048), offsets(h1, 2048), offsets(h2, 1024);
  for (long i = 0; i < P; i++) b[h0[a[i] >> 32 & 2047]++] = a[i];
  for (long i = 0; i < P; i++) a[h1[b[i] >> 43 & 2047]++] = b[i];
  for (long i = 0; i < P; i++) b[h2[a[i] >> 54]++] = a[i];
  double sum = 0, tp = 0, fp = 0, G = foreground;
  for (long i = 0; i < P; i++) {
    uint32_t id = (uint32_t)b[i], k = ~(uint32_t)(b[i] >> 32), bits = k >> 1;
    float e;
    memcpy(&e, &bits, 4);
    double v;
    if (k & 1) v = 1 / (G + fp), w[id] = (float)-v, tp++;
    else v = (G - tp) / ((G + fp) * (G + fp + 1)), w[id] = (float)v, fp++;
    sum += e * v;
  }
  return sum;
}

static int run(void) {
  int present = 0;
  double sum = 0;
  softmax();
  for (long c = 0; c < C; c++) sum += class_loss(c, &present);
  peer_loss = sum / present;
  return present;
}
static void forward_call(void) { run(); }
static void backward_call(void) { gradient(1.0f / run()); }

static void load(const char *folder, const char *name, void *x, size_t bytes) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "rb");
  if (!f || fread(x, 1, bytes, f) != bytes) exit(1);
  fclose(f);
}

static int setup_loss(long pixels, long classes, const char *folder, peer_call *forward, peer_call *backward) {
  P = pixels, C = classes;
  void *old[] = {logits, probs, weights, grad, labels, a, b};
  for (int i = 0; i < 7; i++) peer_free(old[i]);
  size_t size = P * C * 4;
  logits = peer_alloc(size), probs = peer_alloc(size), weights = peer_alloc(size), grad = peer_alloc(size);
  labels = peer_alloc(P * 4), a = peer_alloc(P * 8), b = peer_alloc(P * 8);
  load(folder, "logits.f32", logits, size);
  load(folder, "labels.i32", labels, P * 4);
  *forward = forward_call, *backward = backward_call;
  return 1;
}

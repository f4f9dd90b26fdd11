// The talk with bench (external.go says what is said), for C and C++.
// A program defines setup, which prepares a case and returns the function to time, or NULL if it does not have it.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void (*peer_call)(void);
static peer_call setup(const char *kernel, int is64, long n, long cols);
static volatile double peer_loss;  // of the last call, if it was a loss
static int setup_loss(long pixels, long classes, const char *folder, peer_call *forward, peer_call *backward);

static double peer_now(void) {
  static clockid_t id;
  if (!id) id = getenv("LANEWISE_BENCH_CLOCK") ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
  struct timespec t;
  clock_gettime(id, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

// 64-byte aligned, and no two at the same place of a page.
static void *peer_alloc(size_t bytes) {
  static int skew;
  skew = (skew + 21) % 64;
  char *p = (char *)aligned_alloc(4096, (bytes + 2 * 4096) & ~(size_t)4095);
  if (!p) exit(1);
  memset(p, 0, bytes + 4096);
  return p + 64 * skew;
}

static void peer_free(void *p) {
  if (p) free((void *)((size_t)p & ~(size_t)4095));
}

// About normal: the sum of four uniform values.
static void peer_random(void *x, int is64, long n, double scale) {
  static unsigned long long s = 88172645463325252ull;
  for (long i = 0; i < n; i++) {
    double v = -2;
    for (int k = 0; k < 4; k++) {
      s ^= s << 13, s ^= s >> 7, s ^= s << 17;
      v += (s >> 11) * 0x1p-53;
    }
    v *= 1.7320508 * scale;
    if (is64) ((double *)x)[i] = v;
    else ((float *)x)[i] = (float)v;
  }
}

int main(void) {
  static char line[4096], kernel[64], type[16], folder[4000];
  peer_call call = NULL, forward = NULL;
  long n, cols;
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "case %63s %15s %ld %ld", kernel, type, &n, &cols) == 4) {
      call = setup(kernel, !strcmp(type, "float64"), n, cols);
      puts(call ? "ok" : "no");
    } else if (sscanf(line, "loss %ld %ld %3999s", &n, &cols, folder) == 3) {
      puts(setup_loss(n, cols, folder, &forward, &call) ? "ok" : "no");
    } else if (sscanf(line, "run %ld", &n) == 1 || sscanf(line, "forward %ld", &n) == 1) {
      peer_call f = line[0] == 'r' ? call : forward;
      for (long i = 0; i < n / 8; i++) f();  // wakes up
      double start = peer_now();
      for (long i = 0; i < n; i++) f();
      printf("%.0f %.9g\n", peer_now() - start, peer_loss);
    } else {
      puts(strcmp(line, "hello\n") ? "no" : "ok");
    }
    fflush(stdout);
  }
  return 0;
}

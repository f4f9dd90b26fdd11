// OpenBLAS: Dot and DotRows.
#include <cblas.h>
#include "peer.h"

static long rows, columns;
static void *m, *x, *y;
static volatile double sink;

static void dot32(void) { sink = cblas_sdot((int)columns, (float *)m, 1, (float *)x, 1); }
static void dot64(void) { sink = cblas_ddot((int)columns, (double *)m, 1, (double *)x, 1); }
static void gemv32(void) {
  cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)rows, (int)columns, 1, (float *)m, (int)columns, (float *)x, 1, 0, (float *)y, 1);
}
static void gemv64(void) {
  cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)rows, (int)columns, 1, (double *)m, (int)columns, (double *)x, 1, 0, (double *)y, 1);
}

static peer_call setup(const char *kernel, int is64, long n, long cols) {
  int dot = !strcmp(kernel, "Dot");
  if (!dot && strcmp(kernel, "DotRows")) return NULL;
  columns = dot ? n : cols;
  rows = n / columns;
  peer_free(m), peer_free(x), peer_free(y);
  int size = is64 ? 8 : 4;
  m = peer_alloc(n * size), x = peer_alloc(columns * size), y = peer_alloc(rows * size);
  peer_random(m, is64, n, 1), peer_random(x, is64, columns, 1);
  return dot ? is64 ? dot64 : dot32 : is64 ? gemv64 : gemv32;
}

static int setup_loss(long pixels, long classes, const char *folder, peer_call *forward, peer_call *backward) {
  (void)pixels, (void)classes, (void)folder, (void)forward, (void)backward;
  return 0;
}

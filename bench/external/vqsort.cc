// Highway's vqsort: SortDescending without the permutation, which it does not have; not stable either.
#include <hwy/contrib/sort/vqsort.h>
#include "peer.h"

static hwy::Sorter sorter;
static long count;
static void *source, *keys;

template <typename T>
static void sort() {
  memcpy(keys, source, count * sizeof(T));
  sorter((T *)keys, (size_t)count, hwy::SortDescending());
}

static peer_call setup(const char *kernel, int is64, long n, long) {
  if (strcmp(kernel, "SortDescending")) return NULL;
  count = n;
  peer_free(source), peer_free(keys);
  int size = is64 ? 8 : 4;
  source = peer_alloc(n * size), keys = peer_alloc(n * size);
  peer_random(source, is64, n, 1);
  return is64 ? sort<double> : sort<float>;
}

static int setup_loss(long, long, const char *, peer_call *, peer_call *) { return 0; }

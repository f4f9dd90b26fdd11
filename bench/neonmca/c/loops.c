// The kernels as plain loops, for clang. T is float or double.

typedef int int32;
typedef long i64;

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define K(name) CAT(name, SUFFIX)

#ifdef DOUBLE
#define T double
#define SUFFIX F64
#define INT i64
#define FMA __builtin_fma
#define FABS __builtin_fabs
static inline T exp_(T x) {
	T k = FMA(x, 0x1.71547652b82fep0, 0x1.8p52), n = k - 0x1.8p52;
	T r = FMA(n, -0x1.a39ef35793c76p-33, FMA(n, -0x1.62e42feep-1, x));
	T p = FMA(0x1.af633a92c2458p-26, r, 0x1.28b41da12708bp-22);
	p = FMA(p, r, 0x1.71ddf6ab977fbp-19);
	p = FMA(p, r, 0x1.a01993a5e7f04p-16);
	p = FMA(p, r, 0x1.a01a01b00f205p-13);
	p = FMA(p, r, 0x1.6c16c18606b59p-10);
	p = FMA(p, r, 0x1.111111110f7fdp-7);
	p = FMA(p, r, 0x1.55555555503cfp-5);
	p = FMA(p, r, 0x1.5555555555558p-3);
	p = FMA(p, r, 0x1.0000000000009p-1);
	p = FMA(p, r, 1);
	p = FMA(p, r, 1);
	INT bits;
	__builtin_memcpy(&bits, &k, 8);
	bits = (INT)((unsigned long)bits << 52) + 0x3ff0000000000000;
	T s;
	__builtin_memcpy(&s, &bits, 8);
	return x < -0x1.6232bdd7abcd2p9 ? 0 : p * s;
}
#else
#define T float
#define SUFFIX F32
#define INT int32
#define FMA __builtin_fmaf
#define FABS __builtin_fabsf
static inline T exp_(T x) {
	T k = FMA(x, 0x1.715476p0f, 0x1.8p23f), n = k - 0x1.8p23f;
	T r = FMA(n, -0x1.7f7dp-20f, FMA(n, -0x1.62e4p-1f, x));
	T p = FMA(0x1.6ac74ap-10f, r, 0x1.123dep-7f);
	p = FMA(p, r, 0x1.555858p-5f);
	p = FMA(p, r, 0x1.55548cp-3f);
	p = FMA(p, r, 0x1.fffffcp-2f);
	p = FMA(p, r, 1);
	p = FMA(p, r, 1);
	INT bits;
	__builtin_memcpy(&bits, &k, 4);
	bits = (INT)((unsigned)bits << 23) + 0x3f800000;
	T s;
	__builtin_memcpy(&s, &bits, 4);
	return x < -0x1.5d589ep6f ? 0 : p * s;
}
#endif

#define LOOP for (i64 i = 0; i < n; i++)
typedef const T *restrict in;
typedef T *restrict out;

T K(dot)(in a, in b, i64 n) {
	T s = 0;
	LOOP s += a[i] * b[i];
	return s;
}

T K(sum)(in x, i64 n) {
	T s = 0;
	LOOP s += x[i];
	return s;
}

T K(largest)(in x, i64 n) {
	T m = x[0];
	LOOP m = x[i] > m ? x[i] : m;
	return m;
}

T K(expSum)(out dst, in src, i64 n, T max) {
	T s = 0;
	LOOP {
		T e = exp_(src[i] - max);
		dst[i] = e;
		s += e;
	}
	return s;
}

T K(sumExp)(in src, i64 n, T max) {
	T s = 0;
	LOOP s += exp_(src[i] - max);
	return s;
}

// what softmaxPlanes does to a plane where there are many: the sums of each lane are in memory
void K(softmaxPlanes)(out dst, in src, in max, out lane, i64 n) {
	LOOP {
		T e = exp_(src[i] - max[i]);
		dst[i] = e;
		lane[i] += e;
	}
}

void K(scale)(out dst, in src, i64 n, T factor) { LOOP dst[i] = src[i] * factor; }

void K(subtract)(out dst, in src, i64 n, T max, T log) { LOOP dst[i] = (src[i] - max) - log; }

void K(softmaxGrad)(out dx, in y, in dy, i64 n, T dot) { LOOP dx[i] = y[i] * (dy[i] - dot); }

void K(logSoftmaxGrad)(out dx, in y, in dy, i64 n, T sum) {
	LOOP dx[i] = dy[i] - exp_(y[i] > 0 ? 0 : y[i]) * sum;
}

double K(cumSum)(out dst, in src, i64 n, double carry) {
	LOOP {
		carry += src[i];
		dst[i] = carry;
	}
	return carry;
}

void K(classErrors)(out dst, in probs, const int32 *restrict labels, i64 n, int32 class) {
	LOOP dst[i] = FABS((labels[i] == class ? 1 : 0) - probs[i]);
}

// one row of a plane more, as argMaxPlanes does for every plane
void K(argMaxPlanes)(out best, INT *restrict index, in x, i64 n, INT plane) {
	LOOP {
		T b = best[i];
		INT j = index[i];
		best[i] = x[i] > b ? x[i] : b;
		index[i] = x[i] > b ? plane : j;
	}
}

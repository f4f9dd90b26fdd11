//go:build !purego

#include "textflag.h"

// func hasXGETBV1() bool
TEXT ·hasXGETBV1(SB), NOSPLIT, $0-1
	MOVL $0xd, AX
	MOVL $1, CX
	CPUID
	SHRL $2, AX
	ANDL $1, AX
	MOVB AX, ret+0(FP)
	RET

// func inUse() uint64
TEXT ·inUse(SB), NOSPLIT, $0-8
	MOVL $1, CX
	XGETBV
	SHLQ $32, DX
	ORQ DX, AX
	MOVQ AX, ret+0(FP)
	RET

// func soil()
TEXT ·soil(SB), NOSPLIT, $0-0
	VPCMPEQB X0, X0, X0
	VINSERTF128 $1, X0, Y0, Y0
	RET

// func clean()
TEXT ·clean(SB), NOSPLIT, $0-0
	VZEROUPPER
	RET

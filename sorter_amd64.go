//go:build !purego

package lanewise

var sortAVX512 = sortKernels{
	count32: sortCount32AVX2,
	count64: sortCount64AVX2,
	split32: sortSplit32AVX2,
	split64: sortSplit64AVX2,
	pack64:  sortPack64AVX2,
	part:    sortPartAVX512,
	unpack:  sortUnpackAVX2,
}

var sortAVX2 = sortKernels{
	count32: sortCount32AVX2,
	count64: sortCount64AVX2,
	split32: sortSplit32AVX2,
	split64: sortSplit64AVX2,
	pack64:  sortPack64AVX2,
	part:    sortPartAVX2,
	unpack:  sortUnpackAVX2,
}

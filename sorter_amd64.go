//go:build !purego

package lanewise

var sortAVX512 = sortKernels{
	count:  sortCountAVX2,
	split:  sortSplitAVX2,
	part:   sortPartAVX512,
	unpack: sortUnpackAVX2,
}

var sortAVX2 = sortKernels{
	count:  sortCountAVX2,
	split:  sortSplitAVX2,
	part:   sortPartAVX2,
	unpack: sortUnpackAVX2,
}

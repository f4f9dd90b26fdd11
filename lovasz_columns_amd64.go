//go:build !purego

package lanewise

var sparseAVX512 = sparseKernels{
	split:  [4]func(_ *[maxParts][]uint32, _, _ *[maxParts]uint32, _ []float32){columnsSplit1AVX512, columnsSplit2AVX512, columnsSplit4AVX512, columnsSplit8AVX512},
	expand: [4]func(_, _, _ []float32, _, _ *[maxParts]uint32, _ float32){columnsExpand1AVX512, columnsExpand2AVX512, columnsExpand4AVX512, columnsExpand8AVX512},
	lookUp: columnsLookUpAVX512,
}

var sparseAVX2 = sparseKernels{
	split:  [4]func(_ *[maxParts][]uint32, _, _ *[maxParts]uint32, _ []float32){columnsSplit1AVX2, columnsSplit2AVX2, columnsSplit4AVX2, columnsSplit8AVX2},
	expand: [4]func(_, _, _ []float32, _, _ *[maxParts]uint32, _ float32){columnsExpand1AVX2, columnsExpand2AVX2, columnsExpand4AVX2, columnsExpand8AVX2},
	lookUp: columnsLookUpAVX2,
}

var columnsAVX512 = columnKernels{
	count:  columnsCountAVX2,
	place:  columnsPlaceAVX512,
	rank:   columnsRankAVX512,
	gather: columnsGatherAVX512,
}

var columnsAVX2 = columnKernels{
	count:  columnsCountAVX2,
	place:  columnsPlaceAVX2,
	rank:   columnsRankAVX2,
	gather: columnsGatherAVX2,
}

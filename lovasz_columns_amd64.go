//go:build !purego

package lanewise

var columnsAVX512 = columnKernels{
	part:     75_000,
	extremes: columnsExtremesAVX512,
	split:    [4]func(*[maxParts][]uint32, *[maxParts]int, *[maxParts]uint32, []float32, []int32, int32){columnsSplit1AVX512, columnsSplit2AVX512, columnsSplit4AVX512, columnsSplit8AVX512},
	count:    columnsCountAVX2,
	place:    columnsPlaceAVX512,
	rank:     columnsRankAVX512,
	gather:   columnsGatherAVX512,
	expand:   [4]func(*[maxParts][]uint32, *[maxParts]int, *[maxParts]uint32, []float32) int64{columnsExpand1AVX512, columnsExpand2AVX512, columnsExpand4AVX512, columnsExpand8AVX512},
}

var columnsAVX2 = columnKernels{
	part:     150_000, // splitting costs more
	extremes: columnsExtremesAVX2,
	split:    [4]func(*[maxParts][]uint32, *[maxParts]int, *[maxParts]uint32, []float32, []int32, int32){columnsSplit1AVX2, columnsSplit2AVX2, columnsSplit4AVX2, columnsSplit8AVX2},
	count:    columnsCountAVX2,
	place:    columnsPlaceAVX2,
	rank:     columnsRankAVX2,
	gather:   columnsGatherAVX2,
	expand:   [4]func(*[maxParts][]uint32, *[maxParts]int, *[maxParts]uint32, []float32) int64{columnsExpand1AVX2, columnsExpand2AVX2, columnsExpand4AVX2, columnsExpand8AVX2},
}

//go:build !purego

package lanewise

var columnsAVX512 = columnKernels{
	extremes: columnsExtremesAVX512,
	split:    [4]func(*[maxParts][]uint32, *[maxParts]int, *[maxParts]uint32, []float32, []int32, int32){columnsSplit1AVX512, columnsSplit2AVX512, columnsSplit4AVX512, columnsSplit8AVX512},
	count:    columnsCountAVX512,
	place:    columnsPlaceAVX512,
	rank:     columnsRankAVX512,
	gather:   columnsGatherAVX512,
	expand:   [4]func(*[maxParts][]uint32, *[maxParts]int, *[maxParts]uint32, []float32) int64{columnsExpand1AVX512, columnsExpand2AVX512, columnsExpand4AVX512, columnsExpand8AVX512},
}

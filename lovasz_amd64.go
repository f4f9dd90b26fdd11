//go:build !purego

package lanewise

var sparseAVX512 = sparseKernels{
	split:  [4]func(_ *[maxParts][]uint32, _, _ *[maxParts]uint32, _ []float32){lossSplit1AVX512, lossSplit2AVX512, lossSplit4AVX512, lossSplit8AVX512},
	expand: [4]func(_, _, _ []float32, _, _ *[maxParts]uint32, _ float32){lossExpand1AVX512, lossExpand2AVX512, lossExpand4AVX512, lossExpand8AVX512},
	tally:  lossTallyAVX2,
	lookUp: lossLookUpAVX512,
}

var sparseAVX2 = sparseKernels{
	split:  [4]func(_ *[maxParts][]uint32, _, _ *[maxParts]uint32, _ []float32){lossSplit1AVX2, lossSplit2AVX2, lossSplit4AVX2, lossSplit8AVX2},
	expand: [4]func(_, _, _ []float32, _, _ *[maxParts]uint32, _ float32){lossExpand1AVX2, lossExpand2AVX2, lossExpand4AVX2, lossExpand8AVX2},
	tally:  lossTallyAVX2,
	lookUp: lossLookUpAVX2,
}

var columnsAVX512 = columnKernels{
	count:  lossCountAVX2,
	place:  lossPlaceAVX512,
	rank:   lossRankAVX512,
	gather: lossGatherAVX512,
}

var columnsAVX2 = columnKernels{
	count:  lossCountAVX2,
	place:  lossPlaceAVX2,
	rank:   lossRankAVX2,
	gather: lossGatherAVX2,
}

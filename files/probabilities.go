package files

import (
	"slices"

	"github.com/lanewise/lanewise"
)

// LooksLikeProbabilities reports whether the values are all in [0, 1] and, but for one class and for masks, those of each pixel sum to 1,
// to float16: a softmax of them would be a number too, and a wrong one. Void pixels are left out, whatever they hold; nothing is no
// probability.
func LooksLikeProbabilities(x []float32, labels, void []int32, s Shape) bool {
	seen := false
	for image := range s.Images {
		for pixel := range s.Pixels {
			p := image*s.Pixels + pixel
			if !s.Masks && slices.Contains(void, labels[p]) {
				continue
			}
			sum := float32(0)
			for k := range s.Classes {
				at := p*s.Classes + k
				if s.Layout == lanewise.ClassMajor {
					at = (image*s.Classes+k)*s.Pixels + pixel
				}
				v := x[at]
				if !(v >= 0 && v <= 1+1e-6) {
					return false
				}
				sum += v
			}
			if s.Classes > 1 && !s.Masks && !(sum > 1-2e-3 && sum < 1+2e-3) {
				return false
			}
			seen = true
		}
	}
	return seen
}

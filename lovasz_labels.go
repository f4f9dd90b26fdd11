package lanewise

// What a label stands for, where it is not a class.
const (
	background     int32 = -1 - iota // of the one class of a binary mask
	voidBackground                   // void, and background for every class
	dropped                          // void, takes no part
	unknown                          // an error

	kinds = 4 // that are no class
)

// A labelMap says what labels stand for.
type labelMap struct {
	classes int
	of      []int32         // the labels from firstLabel on, and then one for all that are not here
	other   map[int32]int32 // void labels that are not in of
}

// firstLabel is the first one in a labelMap's table: void labels are often −1 or −100.
const firstLabel = -128

func newLabelMap(cfg LovaszConfig) labelMap {
	classes := cfg.Classes
	m := labelMap{classes: classes, of: make([]int32, max(classes, 256)-firstLabel+1), other: map[int32]int32{}}
	for i := range m.of {
		switch label := i + firstLabel; {
		case classes == 1 && (label == 0 || label == 1):
			m.of[i] = [2]int32{background, 0}[label]
		case label >= 0 && label < classes:
			m.of[i] = int32(label)
		default:
			m.of[i] = unknown
		}
	}
	void := voidTarget(cfg)
	for _, label := range cfg.VoidLabels {
		if i := int(label) - firstLabel; i >= 0 && i < len(m.of)-1 {
			m.of[i] = void
		} else {
			m.other[label] = void
		}
	}
	return m
}

// voidTarget is what void labels stand for.
func voidTarget(cfg LovaszConfig) int32 {
	if cfg.Void == AsBackground {
		return voidBackground
	}
	return dropped
}

// targets writes what labels stand for.
func (m *labelMap) targets(isa ISA, targets, labels []int32) {
	lossTargets(isa, targets, labels, m.of, uint32(len(m.of)-1))
	if len(m.other) == 0 {
		return
	}
	for i, target := range targets {
		if target == unknown {
			if void, ok := m.other[labels[i]]; ok {
				targets[i] = void
			}
		}
	}
}

func (m *labelMap) errorAt(pixel int, label int32) error {
	if m.classes == 1 {
		return pixelErrorf(ErrLabel, pixel, -1, "label %d at pixel %d is neither 0 nor 1, and not in VoidLabels", label, pixel)
	}
	return pixelErrorf(ErrLabel, pixel, -1, "label %d at pixel %d is outside [0, %d) and not in VoidLabels", label, pixel, m.classes)
}

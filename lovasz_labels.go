package lanewise

// What a label stands for, where it is not a class.
const (
	background     int32 = -1 - iota // of the one class of a binary mask
	voidBackground                   // void, and background for every class
	dropped                          // void, takes no part
	unknown                          // an error
)

// A labelMap says what labels stand for.
type labelMap struct {
	classes int
	of      []int32         // the labels from 0 on
	other   map[int32]int32 // void labels that are not in of
}

func newLabelMap(cfg LovaszConfig) labelMap {
	classes := cfg.Classes
	m := labelMap{classes: classes, of: make([]int32, max(classes, 256)), other: map[int32]int32{}}
	for i := range m.of {
		switch {
		case classes == 1 && i < 2:
			m.of[i] = [2]int32{background, 0}[i]
		case i < classes:
			m.of[i] = int32(i)
		default:
			m.of[i] = unknown
		}
	}
	void := voidTarget(cfg)
	for _, label := range cfg.VoidLabels {
		if label >= 0 && int(label) < len(m.of) {
			m.of[label] = void
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

func (m *labelMap) target(label int32) int32 {
	if uint(label) < uint(len(m.of)) {
		return m.of[label]
	}
	if void, ok := m.other[label]; ok {
		return void
	}
	return unknown
}

func (m *labelMap) errorAt(pixel int, label int32) error {
	if m.classes == 1 {
		return pixelErrorf(ErrLabel, pixel, -1, "label %d at pixel %d is neither 0 nor 1, and not in VoidLabels", label, pixel)
	}
	return pixelErrorf(ErrLabel, pixel, -1, "label %d at pixel %d is outside [0, %d) and not in VoidLabels", label, pixel, m.classes)
}

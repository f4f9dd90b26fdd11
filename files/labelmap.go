package files

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A LabelMap says what class ids a file's values stand for. Values that it does not name stay what they are; colours all have to be named.
type LabelMap struct {
	ids     map[int32]int32
	colours map[int32]int32 // by 0xRRGGBB

	Shift int32   // added to what the map made of a label
	Keep  []int32 // labels that Shift leaves alone: the void ones
}

// labelMapJSON is a LabelMap on its way to other machines.
type labelMapJSON struct {
	IDs, Colours map[int32]int32
	Shift        int32
	Keep         []int32
}

// MarshalJSON writes the map, to be read by UnmarshalJSON on another machine.
func (m *LabelMap) MarshalJSON() ([]byte, error) {
	return json.Marshal(labelMapJSON{m.ids, m.colours, m.Shift, m.Keep})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *LabelMap) UnmarshalJSON(b []byte) error {
	var read labelMapJSON
	if err := json.Unmarshal(b, &read); err != nil {
		return err
	}
	*m = LabelMap{read.IDs, read.Colours, read.Shift, read.Keep}
	return nil
}

var mapItem = regexp.MustCompile(`^\s*(-?\d+)(?:\s*-\s*(-?\d+))?\s*=\s*(-?\d+)(?:\s*-\s*(-?\d+))?\s*$`)

const mapForms = "want pairs as in 255=1, ranges as in 1-150=0-149 or 20-33=255, or a file of them"

// ParseLabelMap reads pairs and ranges, as in "255=1" or "0=255,1-150=0-149", or the file of that name: lines "7 = 0" (or "7: 0"), the
// learning_map of SemanticKITTI's .yaml, or JSON, {"7": 0, …}. JSON may also name colours, for RGB masks: {"128,64,128": 0, …},
// {"#804080": 0, …}, {"0": [128, 64, 128], …}, {"road": [128, 64, 128], …} or [[128, 64, 128], …] in the order of the class ids.
func ParseLabelMap(text string) (*LabelMap, error) {
	m := &LabelMap{ids: map[int32]int32{}, colours: map[int32]int32{}}
	if !strings.Contains(text, "=") || isFile(text) {
		content, err := os.ReadFile(text)
		if err != nil {
			return nil, fmt.Errorf("%w (%s)", unwrapPath(err, text), mapForms)
		}
		if err := m.read(content); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		return m, nil
	}
	for _, item := range strings.Split(text, ",") {
		if err := m.item(item); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// item adds a pair or a range.
func (m *LabelMap) item(item string) error {
	part := mapItem.FindStringSubmatch(item)
	if part == nil {
		return fmt.Errorf("%q is no pair of labels: %s", strings.TrimSpace(item), mapForms)
	}
	var n [4]int64
	for i := range n {
		text := part[i+1]
		if text == "" {
			text = part[i] // a range of one
		}
		v, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return fmt.Errorf("%q: %s does not fit in int32", item, text)
		}
		n[i] = v
	}
	from, to := n[1]-n[0], n[3]-n[2]
	switch {
	case from < 0 || to < 0 || to > 0 && to != from:
		return fmt.Errorf("%q: the ranges differ in length", item)
	case from >= 1<<16:
		return fmt.Errorf("%q: ranges have at most 65536 labels", item)
	}
	for i := range from + 1 {
		if err := put(m.ids, int32(n[0]+i), int32(n[2]+min(i, to)), "label %d"); err != nil {
			return err
		}
	}
	return nil
}

func put(table map[int32]int32, from, to int32, what string) error {
	if old, ok := table[from]; ok && old != to {
		return fmt.Errorf(what+" stands for both %d and %d", from, old, to)
	}
	table[from] = to
	return nil
}

var (
	mapLine   = regexp.MustCompile(`^\s*"?(-?\d+)"?\s*[:=,\t ]\s*"?(-?\d+)"?\s*,?\s*$`)
	mapColour = regexp.MustCompile(`^\s*[(\[]?\s*(\d+)\s*[, ]\s*(\d+)\s*[, ]\s*(\d+)\s*[)\]]?\s*$`)
)

// read reads a file's content.
func (m *LabelMap) read(content []byte) error {
	if trimmed := bytes.TrimSpace(content); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		return m.readJSON(trimmed)
	}
	lines := strings.Split(string(content), "\n")
	if start := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "learning_map:") }); start >= 0 {
		lines = lines[start+1:]
		if end := slices.IndexFunc(lines, func(line string) bool { return line != "" && !strings.ContainsAny(line[:1], " \t#\r") }); end >= 0 {
			lines = lines[:end]
		}
	}
	for i, line := range lines {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		if part := mapLine.FindStringSubmatch(strings.TrimRight(line, "\r")); part != nil {
			line = part[1] + "=" + part[2]
		}
		if err := m.item(line); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if len(m.ids) == 0 {
		return errors.New("it names no labels: want lines as in 255 = 1, or JSON")
	}
	return nil
}

func (m *LabelMap) readJSON(content []byte) error {
	bad := func() error {
		return errors.New(`the JSON is no map of labels: want {"7": 0, …}, or of colours {"128,64,128": 0, …} or [[128, 64, 128], …]`)
	}
	d := json.NewDecoder(bytes.NewReader(content))
	if content[0] == '[' {
		var list []json.RawMessage
		if d.Decode(&list) != nil {
			return bad()
		}
		for i, raw := range list {
			colour, id := []int32(nil), int32(i)
			if json.Unmarshal(raw, &colour) != nil {
				var class struct {
					ID, TrainID                *int32
					Color, Colour, RGB, Colors []int32
				}
				if json.Unmarshal(raw, &class) != nil {
					return bad()
				}
				colour = slices.Concat(class.Color, class.Colour, class.RGB)
				for _, own := range []*int32{class.ID, class.TrainID} {
					if own != nil {
						id = *own
					}
				}
			}
			if err := m.colour(colour, id); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := d.Token(); err != nil {
		return bad()
	}
	for i := int32(0); d.More(); i++ {
		key, err := d.Token()
		if err != nil {
			return bad()
		}
		name := key.(string) // of an object's key
		var raw json.RawMessage
		if d.Decode(&raw) != nil {
			return bad()
		}
		var id int32
		var colour []int32
		number, notNumber := strconv.ParseInt(name, 10, 32)
		switch {
		case json.Unmarshal(raw, &colour) == nil && colour != nil:
			if notNumber == nil {
				i = int32(number)
			}
			err = m.colour(colour, i)
		case json.Unmarshal(raw, &id) != nil:
			return bad()
		case notNumber == nil:
			err = put(m.ids, int32(number), id, "label %d")
		default:
			err = m.colour(parseColour(name), id)
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return bad()
	}
	return nil
}

// parseColour reads "128,64,128" or "#804080"; nil if it is neither.
func parseColour(text string) (colour []int32) {
	if hex, ok := strings.CutPrefix(text, "#"); ok && len(hex) == 6 {
		if v, err := strconv.ParseUint(hex, 16, 32); err == nil {
			return []int32{int32(v >> 16), int32(v >> 8 & 255), int32(v & 255)}
		}
		return nil
	}
	part := mapColour.FindStringSubmatch(text)
	for _, p := range part[min(1, len(part)):] {
		v, err := strconv.ParseInt(p, 10, 32)
		if err != nil {
			return nil
		}
		colour = append(colour, int32(v))
	}
	return colour
}

func (m *LabelMap) colour(colour []int32, id int32) error {
	if len(colour) != 3 || slices.ContainsFunc(colour, func(c int32) bool { return c < 0 || c > 255 }) {
		return fmt.Errorf("%v is no colour: want three numbers from 0 to 255", colour)
	}
	return put(m.colours, colour[0]<<16|colour[1]<<8|colour[2], id, "colour %#06x")
}

// Apply makes class ids of what a file holds, in place. A nil map does nothing, but that colours have no classes.
func (m *LabelMap) Apply(a *Array, data []int32) error {
	if m == nil {
		m = &LabelMap{}
	}
	table := m.ids
	switch {
	case a.Colours && len(m.colours) == 0:
		return fmt.Errorf("%s: the PNG file is RGB: a mask is paletted or gray, its values class ids; what the colours stand for says "+
			"-labels-map "+
			`COLOURS.json, as in {"128,64,128": 0, "0,0,0": 255}`, a.Path)
	case a.Colours:
		table = m.colours
	case len(m.colours) > 0:
		return fmt.Errorf("%s: the map is of colours, and this file has class ids (%s)", a.Path, a.Dtype)
	case len(table) == 0 && m.Shift == 0:
		return nil
	}
	last, becomes := int32(0), int32(0)
	for i, v := range data {
		if i == 0 || v != last {
			to, ok := table[v]
			if !ok {
				if a.Colours {
					return fmt.Errorf("%s: the colour %d,%d,%d (#%06x) at pixel %d is not in the map", a.Path, v>>16, v>>8&255, v&255, v, i)
				}
				to = v
			}
			if m.Shift != 0 && !slices.Contains(m.Keep, to) {
				shifted := int64(to) + int64(m.Shift)
				if int64(int32(shifted)) != shifted {
					return fmt.Errorf("%s: label %d at pixel %d, shifted by %d, does not fit in int32", a.Path, to, i, m.Shift)
				}
				to = int32(shifted)
			}
			last, becomes = v, to
		}
		data[i] = becomes
	}
	return nil
}

// MapLabels applies several maps in turn, and then adds shift to all labels but the void ones. Without maps it only refuses colours.
func MapLabels(a *Array, data []int32, maps []*LabelMap, shift int32, void []int32) ([]int32, error) {
	if shift != 0 || len(maps) == 0 {
		maps = append(slices.Clone(maps), &LabelMap{Shift: shift, Keep: void})
	}
	made := &Array{Path: a.Path, Dtype: a.Dtype, Colours: a.Colours}
	for _, m := range maps {
		if err := m.Apply(made, data); err != nil {
			return nil, err
		}
		made.Colours = false
	}
	return data, nil
}

// OutOfRange says what to do about labels that are no classes, from the values that there are, in ascending order and as they are counted:
// after the map, none of them void. masks says that each value is of a class by itself, so 0 or 1.
func OutOfRange(values []int32, classes int, masks bool) string {
	binary := masks || classes == 1
	most := int32(classes - 1)
	if binary {
		most = 1
	}
	bad := slices.DeleteFunc(slices.Clone(values), func(v int32) bool { return v >= 0 && v <= most })
	good := slices.DeleteFunc(slices.Clone(values), func(v int32) bool { return v < 0 || v > most })
	if len(bad) == 0 {
		return ""
	}
	last := bad[len(bad)-1]
	void := fmt.Sprintf("if %s no class: -void %s", isAre(bad), join(bad))
	switch {
	case most == 1 && len(bad) == 1 && last > 1 && !slices.Contains(good, 1):
		// The usual mask of two values. To drop its pixels would leave no foreground.
		if slices.Contains(good, 0) || last != 255 {
			return fmt.Sprintf("%d stands for the foreground: -labels-map %d=1", last, last)
		}
		return fmt.Sprintf("if %d is the foreground: -labels-map %d=1; %s", last, last, void)
	case !binary && len(bad) == 1 && last == int32(classes) && !slices.Contains(good, 0):
		var pairs []string
		for k := range classes {
			pairs = append(pairs, fmt.Sprintf("%d=%d", k+1, k))
		}
		if classes > 4 {
			pairs = []string{fmt.Sprintf("1-%d=0-%d", classes, classes-1)}
		}
		return fmt.Sprintf("labels run from %d to %d: -labels-map %s or -label-shift -1", good1(values), classes, strings.Join(pairs, ","))
	case !binary && len(bad) == 1 && last == int32(classes):
		return fmt.Sprintf("labels run from 0 to %d, and there are %s: if 0 is no class, -labels-map 0=%d,1-%d=0-%d -void %d; if %d is none, "+
			"-void %d",
			classes, plural(classes, "class"), voidFor(classes), classes, classes-1, voidFor(classes), classes, classes)
	case !binary && len(bad) == 2 && bad[0] == int32(classes) && last == 255 && !slices.Contains(good, 0):
		return fmt.Sprintf("labels run from %d to %d, and 255: -label-shift -1 -void 255", good1(values), classes)
	case len(bad) > 3:
		return fmt.Sprintf("labels are %s: what they stand for says -labels-map, as in -labels-map %d=0,…", join(values), values[0])
	case len(bad) > 1 && len(good) == 0 && len(bad) <= int(most)+1 && bad[0] >= 0 && (binary || last != 255):
		var pairs []string
		for k, v := range bad {
			pairs = append(pairs, fmt.Sprintf("%d=%d", v, k))
		}
		return fmt.Sprintf("labels are %s: what they stand for says -labels-map, as in -labels-map %s", join(values), strings.Join(pairs, ","))
	case len(bad) > 1 && slices.ContainsFunc(bad, func(v int32) bool { return v != 255 && v >= 0 }):
		return fmt.Sprintf("labels are %s: what they stand for says -labels-map, as in -labels-map %s=…; %s", join(values),
			strings.Join(strings.Split(join(bad), ","), "=…,"), void)
	}
	return void
}

func good1(values []int32) int32 { return values[0] }

func voidFor(classes int) int { return max(255, classes) }

func isAre(list []int32) string {
	if len(list) == 1 {
		return "it is"
	}
	return "they are"
}

func join(list []int32) string {
	text := ""
	for i, v := range list {
		if i == 12 {
			return text + ",…"
		}
		if i > 0 {
			text += ","
		}
		text += strconv.Itoa(int(v))
	}
	return text
}

// Values returns the different values in ascending order.
func Values(lists ...[]int32) []int32 {
	seen := map[int32]bool{}
	for _, list := range lists {
		for i, v := range list {
			if i == 0 || v != list[i-1] {
				seen[v] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

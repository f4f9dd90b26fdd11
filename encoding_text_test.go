package lanewise

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

var (
	_ encoding.TextMarshaler   = (*Confusion)(nil)
	_ encoding.TextUnmarshaler = (*Confusion)(nil)
	_ encoding.TextMarshaler   = (*LovaszCounts)(nil)
	_ encoding.TextUnmarshaler = (*LovaszCounts)(nil)
)

func TestEnumNames(t *testing.T) {
	for _, test := range []struct {
		values []fmt.Stringer
		want   string
	}{
		{[]fmt.Stringer{PixelMajor, ClassMajor, Layout(2)}, "PixelMajor ClassMajor Layout(2)"},
		{[]fmt.Stringer{SoftmaxActivation, SigmoidActivation, NoActivation, Activation(3)}, "SoftmaxActivation SigmoidActivation NoActivation Activation(3)"},
		{[]fmt.Stringer{PresentClasses, AllClasses, Average(255)}, "PresentClasses AllClasses Average(255)"},
		{[]fmt.Stringer{DropPixels, AsBackground, VoidPolicy(2)}, "DropPixels AsBackground VoidPolicy(2)"},
		{[]fmt.Stringer{Exact, Binned, Method(9)}, "Exact Binned Method(9)"},
	} {
		var got []string
		for _, v := range test.values {
			got = append(got, v.String())
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("got %v, want %s", got, test.want)
		}
	}
}

// A result with a class that took no part goes into JSON and comes back, inside of other values too, in slices of its own.
func TestResultJSON(t *testing.T) {
	l, err := NewLovasz(LovaszConfig{Classes: 3, VoidLabels: []int32{255}, PerImage: true})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Forward([]float32{2, 0, -1, 0, 1, 0}, []int32{0, 255}, 2)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{"value": r, "pointer": &r})
	if err != nil {
		t.Fatal(err)
	}
	if text := string(b); !strings.Contains(text, `,null,null]`) || !strings.Contains(text, `"PerImage":[0.`) ||
		strings.Contains(text, "NaN") {
		t.Errorf("%s", text)
	}
	own := r.PerClass[0]
	back := map[string]*LovaszResult{"value": {PerClass: r.PerClass, Gap: 7}}
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	for name, got := range back {
		if got.Loss != r.Loss || got.Lovasz != r.Lovasz || got.CrossEntropy != r.CrossEntropy || got.Gap != r.Gap ||
			!slices.EqualFunc(got.PerClass, r.PerClass, sameFloat) || !slices.EqualFunc(got.PerImage, r.PerImage, sameFloat) {
			t.Errorf("%s: %+v, want %+v", name, got, r)
		}
		got.PerClass[0] = 9
	}
	if len(back) != 2 || r.PerClass[0] != own {
		t.Errorf("%d results; the slice of the first is %v", len(back), r.PerClass)
	}
	var empty LovaszResult
	if err := json.Unmarshal([]byte(`{"Loss":null}`), &empty); err != nil || !math.IsNaN(empty.Loss) || empty.PerClass != nil ||
		empty.PerImage != nil {
		t.Errorf("%+v, %v", empty, err)
	}
	if err := json.Unmarshal([]byte(`{"PerClass":["x"]}`), &empty); err == nil {
		t.Error("a word was taken for a number")
	}
}

// Counts go into JSON as the text of their bytes, and come back.
func TestCountsJSON(t *testing.T) {
	type both struct {
		Loss *LovaszCounts
		IoU  *Confusion
	}
	sum := both{mustCounts(t, LovaszConfig{Classes: 3, VoidLabels: []int32{255}}), confusionOf(t, 3, []int32{0, 1, 2, 0},
		[]int32{0, 1, 1, 255})}
	if err := sum.Loss.Add([]float32{2, 0, -1, 0, 1, 0}, []int32{0, 2}, 1); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(sum)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"IoU":"TFdDAQMBAAAAAQEAAACEA3qx"`; !strings.Contains(string(b), want) {
		t.Errorf("%s, want %s", b, want)
	}
	var back both
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stateOf(t, back.Loss), stateOf(t, sum.Loss)) || !bytes.Equal(stateOf(t, back.IoU), stateOf(t, sum.IoU)) {
		t.Error("other counts came back")
	}
	for _, text := range []string{"", "TFdD", "TFdDAQMBAAAAAQEAAACEA3qy", "TFdDAQMBAAAAAQEAAACEA3q", "TFdDAQMB!"} {
		if err := back.IoU.UnmarshalText([]byte(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("Confusion %q: %v", text, err)
		}
		if err := back.Loss.UnmarshalText([]byte(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("LovaszCounts %q: %v", text, err)
		}
	}
	if !bytes.Equal(stateOf(t, back.IoU), stateOf(t, sum.IoU)) {
		t.Error("an error changed the counts")
	}
	for _, zero := range []any{&Confusion{}, &LovaszCounts{}} {
		if b, err := json.Marshal(zero); !errors.Is(err, ErrConfig) {
			t.Errorf("%T: %s, %v", zero, b, err)
		}
	}
}

// encoding/json does not see the methods of what has no address, and writes {}. Nothing in a type can change that while it must not be
// copied: so go vet is to report the copy, by the methods of a lock.
func TestMarshalTextOfCopies(t *testing.T) {
	type pair struct {
		Confusion Confusion
		Counts    LovaszCounts
	}
	var p pair
	copyTo(t, &p.Confusion, NewConfusion(2))
	copyTo(t, &p.Counts, mustCounts(t, LovaszConfig{Classes: 2}))
	b, err := json.Marshal(&p)
	if err != nil {
		t.Fatal(err)
	}
	var back pair
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if back.Confusion.classes != 2 || back.Counts.plan == nil {
		t.Errorf("%s does not bring back what was in it", b)
	}
	b, err = json.Marshal(reflect.ValueOf(&p).Elem().Interface()) // a copy that go vet does not see
	if want := `{"Confusion":{},"Counts":{}}`; string(b) != want || err != nil {
		t.Errorf("a copy is %s (%v), the documentation says %s", b, err, want)
	}
	for _, v := range []any{&p.Confusion, &p.Counts} {
		if !hasLock(reflect.TypeOf(v).Elem()) {
			t.Errorf("%T has nothing that go vet takes for a lock", v)
		}
	}
}

// copyTo copies by way of the text.
func copyTo(t *testing.T, to encoding.TextUnmarshaler, from encoding.TextMarshaler) {
	t.Helper()
	text, err := from.MarshalText()
	if err == nil {
		err = to.UnmarshalText(text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hasLock says whether a struct has a field that go vet's copylocks knows by its methods.
func hasLock(s reflect.Type) bool {
	for i := range s.NumField() {
		f := s.Field(i).Type
		if reflect.PointerTo(f).Implements(reflect.TypeFor[sync.Locker]()) || f.Kind() == reflect.Struct && hasLock(f) {
			return true
		}
	}
	return false
}

package lanewise

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
)

// String returns the constant's name.
func (l Layout) String() string { return enumName("Layout", l, "PixelMajor", "ClassMajor") }

// String returns the constant's name.
func (a Activation) String() string {
	return enumName("Activation", a, "SoftmaxActivation", "SigmoidActivation", "NoActivation")
}

// String returns the constant's name.
func (a Average) String() string { return enumName("Average", a, "PresentClasses", "AllClasses") }

// String returns the constant's name.
func (p VoidPolicy) String() string { return enumName("VoidPolicy", p, "DropPixels", "AsBackground") }

// String returns the constant's name.
func (m Method) String() string { return enumName("Method", m, "Exact", "Binned") }

// enumName returns the name of a value, or the type with its number where it has none.
func enumName[E ~uint8](kind string, value E, names ...string) string {
	if int(value) < len(names) {
		return names[value]
	}
	return kind + "(" + strconv.Itoa(int(value)) + ")"
}

// A nullable is a float64 that is null in JSON where it is NaN.
type nullable float64

func (x nullable) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(x)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(x))
}

func (x *nullable) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*x = nullable(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(x))
}

// resultJSON is a LovaszResult as JSON has it.
type resultJSON struct {
	Loss, Lovasz, CrossEntropy, Gap nullable
	PerClass, PerImage              []nullable
}

// MarshalJSON writes the fields under their names, and null for NaN, which JSON does not have.
func (r LovaszResult) MarshalJSON() ([]byte, error) {
	return json.Marshal(resultJSON{nullable(r.Loss), nullable(r.Lovasz), nullable(r.CrossEntropy), nullable(r.Gap),
		convertFloats[nullable](r.PerClass), convertFloats[nullable](r.PerImage)})
}

// UnmarshalJSON reads what MarshalJSON wrote: null is NaN. Fields that are missing become 0, and the slices are new ones.
func (r *LovaszResult) UnmarshalJSON(b []byte) error {
	var read resultJSON
	if err := json.Unmarshal(b, &read); err != nil {
		return err
	}
	*r = LovaszResult{
		Loss: float64(read.Loss), Lovasz: float64(read.Lovasz), CrossEntropy: float64(read.CrossEntropy), Gap: float64(read.Gap),
		PerClass: convertFloats[float64](read.PerClass), PerImage: convertFloats[float64](read.PerImage),
	}
	return nil
}

// convertFloats copies a list; nil stays nil.
func convertFloats[To, From ~float64](list []From) []To {
	if list == nil {
		return nil
	}
	out := make([]To, len(list))
	for i, v := range list {
		out[i] = To(v)
	}
	return out
}

// MarshalText returns the bytes of MarshalBinary in base64, so that encoding/json keeps the counts.
//
// encoding/json finds a method of *LovaszCounts only where it has an address: give json.Marshal a pointer to a struct that holds one, or
// let the field be a pointer. A struct passed by value is a copy, in whose place it writes {} without an error; go vet reports that copy.
func (c *LovaszCounts) MarshalText() ([]byte, error) { return toBase64(c.MarshalBinary()) }

// UnmarshalText replaces the state by one that MarshalText wrote; the errors are those of UnmarshalBinary.
func (c *LovaszCounts) UnmarshalText(text []byte) error { return fromBase64(text, c.UnmarshalBinary) }

// MarshalText returns the bytes of MarshalBinary in base64, so that encoding/json keeps the counts.
//
// encoding/json finds a method of *Confusion only where it has an address: give json.Marshal a pointer to a struct that holds one, or let
// the field be a pointer. A struct passed by value is a copy, in whose place it writes {} without an error; go vet reports that copy.
func (c *Confusion) MarshalText() ([]byte, error) { return toBase64(c.MarshalBinary()) }

// UnmarshalText replaces the counts by those that MarshalText wrote; the errors are those of UnmarshalBinary.
func (c *Confusion) UnmarshalText(text []byte) error { return fromBase64(text, c.UnmarshalBinary) }

func toBase64(b []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

func fromBase64(text []byte, unmarshal func([]byte) error) error {
	b, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return errorf(ErrFormat, "not base64: %v", err)
	}
	return unmarshal(b)
}

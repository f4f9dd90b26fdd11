package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"unsafe"

	"github.com/lanewise/lanewise"
)

// A requestError is a request that the package should not have made.
type requestError struct{ text string }

func (e requestError) Error() string { return "worker: " + e.text }

func requestErrorf(format string, args ...any) error {
	return requestError{fmt.Sprintf(format, args...)}
}

// A request is the header of one.
//
// Its tensors lie in a segment one after the other from the beginning: logits (the predictions of a confusion), as 4-byte numbers, then
// labels, as int32, or with Masks as bytes. A gradient takes the place of the logits.
type request struct {
	Op string // map, unmap, loss, counts or confusion

	Segment int
	Size    int64  // of map: bytes
	Name    string // of map: where there are no descriptors to send, the name of the memory

	Config   json.RawMessage // a lanewise.LovaszConfig; of counts: without one it is the first state's
	Logits   int64           // how many
	Labels   int64           // how many, or how many masks
	Masks    bool
	Images   int
	Gradient bool
	Hinge    bool // of loss
	Each     bool // of loss: every image by itself; the reply is their losses, and the gradient that of their sum

	States []int64 // lengths of the parts of the payload: encoded counts or confusions, which are added up
	Add    bool    // of counts and confusion: the pixels of the segment too
	State  bool    // of counts: reply with the state too

	Classes int // of confusion; 0 takes those of the first state
}

// A server has the memory and what is kept from call to call.
type server struct {
	segments map[int][]byte
	kept     []*loss // the one used last comes last
	header   []byte  // the last one, and what it says: calls repeat
	request  request
}

// A loss is kept as long as its configuration is in use: it has its scratch.
type loss struct {
	config string
	*lanewise.Lovasz
	cfg lanewise.LovaszConfig
}

const maxKept = 8

func newServer() *server {
	return &server{segments: map[int][]byte{}}
}

// answer appends the payload of the reply to a request.
func (s *server) answer(reply, header, payload []byte) ([]byte, error) {
	defer stdin.closeDescriptors()
	r := &s.request
	if !bytes.Equal(header, s.header) {
		s.header, *r = s.header[:0], request{}
		if err := decode(header, r); err != nil {
			return nil, err
		}
		s.header = append(s.header, header...)
	}
	switch r.Op {
	case "map":
		return reply, s.mapSegment(r)
	case "unmap":
		return reply, s.unmapSegment(r)
	case "loss":
		return s.loss(reply, r)
	case "counts":
		return s.counts(reply, r, payload)
	case "confusion":
		return s.confusion(reply, r, payload)
	}
	return nil, requestErrorf("unknown operation %q", r.Op)
}

func decode(data []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return requestErrorf("%v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return requestErrorf("more than one value in %q", data)
	}
	return nil
}

func (s *server) mapSegment(r *request) error {
	if _, ok := s.segments[r.Segment]; ok || r.Size < 1 || r.Size > math.MaxInt {
		return requestErrorf("cannot map segment %d of %d bytes", r.Segment, r.Size)
	}
	memory, err := stdin.mapMemory(r.Name, int(r.Size))
	if err != nil {
		return requestErrorf("segment %d of %d bytes: %v", r.Segment, r.Size, err)
	}
	s.segments[r.Segment] = memory
	return nil
}

func (s *server) unmapSegment(r *request) error {
	memory, ok := s.segments[r.Segment]
	if !ok {
		return requestErrorf("no segment %d", r.Segment)
	}
	delete(s.segments, r.Segment)
	return unmapMemory(memory)
}

// tensors are a request's.
type tensors struct {
	logits []float32
	labels []int32
	masks  []uint8
}

func (s *server) tensors(r *request) (t tensors, err error) {
	memory, ok := s.segments[r.Segment]
	if !ok {
		return t, requestErrorf("no segment %d", r.Segment)
	}
	each := int64(4)
	if r.Masks {
		each = 1
	}
	size := int64(len(memory))
	if r.Logits < 0 || r.Labels < 0 || r.Logits > size/4 || r.Labels > (size-4*r.Logits)/each {
		return t, requestErrorf("%d logits and %d labels in a segment of %d bytes", r.Logits, r.Labels, size)
	}
	t.logits = numbers[float32](memory, r.Logits)
	if r.Masks {
		t.masks = memory[4*r.Logits:][:r.Labels:r.Labels]
	} else {
		t.labels = numbers[int32](memory[4*r.Logits:], r.Labels)
	}
	return t, nil
}

// numbers returns the first n numbers of memory, which is aligned.
func numbers[T float32 | int32](memory []byte, n int64) []T {
	if n == 0 {
		return []T{} // not nil: it may be the gradient of nothing
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(memory))), n)
}

// keep returns the loss of a configuration.
func (s *server) keep(config []byte) (*loss, error) {
	for i := len(s.kept) - 1; i >= 0; i-- {
		if l := s.kept[i]; l.config == string(config) {
			s.kept = append(slices.Delete(s.kept, i, i+1), l)
			return l, nil
		}
	}
	l := &loss{config: string(config)}
	if err := decode(config, &l.cfg); err != nil {
		return nil, err
	}
	var err error
	if l.Lovasz, err = lanewise.NewLovasz(l.cfg); err != nil {
		return nil, err
	}
	if len(s.kept) == maxKept {
		s.kept = slices.Delete(s.kept, 0, 1)
	}
	s.kept = append(s.kept, l)
	return l, nil
}

func (s *server) loss(reply []byte, r *request) ([]byte, error) {
	l, err := s.keep(r.Config)
	if err != nil {
		return nil, err
	}
	t, err := s.tensors(r)
	if err != nil {
		return nil, err
	}
	if !r.Each {
		result, err := l.run(r, t, r.Images)
		if err != nil {
			return nil, err
		}
		return appendResult(reply, result), nil
	}
	if r.Images < 1 || r.Logits%int64(r.Images) != 0 || r.Labels%int64(r.Images) != 0 {
		return nil, requestErrorf("%d images of %d logits and %d labels", r.Images, r.Logits, r.Labels)
	}
	for i := range r.Images {
		result, err := l.run(r, tensors{part(t.logits, i, r.Images), part(t.labels, i, r.Images), part(t.masks, i, r.Images)}, 1)
		if err != nil {
			return nil, fmt.Errorf("image %d: %w", i, err)
		}
		reply = appendFloats(reply, result.Loss)
	}
	return reply, nil
}

// part returns the i-th of n equal parts.
func part[T any](s []T, i, n int) []T {
	size := len(s) / n
	return s[i*size : (i+1)*size]
}

func (l *loss) run(r *request, t tensors, images int) (lanewise.LovaszResult, error) {
	switch {
	case r.Masks && r.Hinge:
		return lanewise.LovaszResult{}, requestErrorf("the hinge takes no masks")
	case r.Masks && r.Gradient:
		return l.BackwardMasks(t.logits, t.logits, t.masks, images)
	case r.Masks:
		return l.ForwardMasks(t.logits, t.masks, images)
	case r.Hinge && r.Gradient:
		return l.Hinge(t.logits, t.logits, t.labels, images)
	case r.Hinge:
		return l.Hinge(nil, t.logits, t.labels, images)
	case r.Gradient:
		return l.Backward(t.logits, t.logits, t.labels, images)
	}
	return l.Forward(t.logits, t.labels, images)
}

// A state is counts that add up and have bytes: lanewise.LovaszCounts and lanewise.Confusion.
type state[T any] interface {
	*T
	UnmarshalBinary([]byte) error
	Merge(*T) error
}

// merge adds the states of a payload to sum, which may be nil: then the first one is what others are added to.
func merge[T any, S state[T]](sum S, r *request, payload []byte) (S, error) {
	for _, length := range r.States {
		if length < 0 || length > int64(len(payload)) {
			return nil, requestErrorf("states of %v bytes in another payload", r.States)
		}
		next := S(new(T))
		if err := next.UnmarshalBinary(payload[:length]); err != nil {
			return nil, err
		}
		payload = payload[length:]
		if sum == nil {
			sum = next
		} else if err := sum.Merge(next); err != nil {
			return nil, err
		}
	}
	if len(payload) > 0 {
		return nil, requestErrorf("%d bytes behind states of %v", len(payload), r.States)
	}
	if sum == nil {
		return nil, requestErrorf("no state")
	}
	return sum, nil
}

// counts adds up states and pixels, and replies with the number of classes, the result and, if asked, the state. A gradient is the pixels'
// share.
func (s *server) counts(reply []byte, r *request, payload []byte) ([]byte, error) {
	var sum *lanewise.LovaszCounts
	if len(r.Config) > 0 {
		var cfg lanewise.LovaszConfig
		if err := decode(r.Config, &cfg); err != nil {
			return nil, err
		}
		var err error
		if sum, err = lanewise.NewLovaszCounts(cfg); err != nil {
			return nil, err
		}
	}
	sum, err := merge(sum, r, payload)
	if err != nil {
		return nil, err
	}
	if r.Add || r.Gradient {
		t, err := s.tensors(r)
		if err != nil {
			return nil, err
		}
		if r.Add {
			if r.Masks {
				err = sum.AddMasks(t.logits, t.masks, r.Images)
			} else {
				err = sum.Add(t.logits, t.labels, r.Images)
			}
		}
		if err == nil && r.Gradient {
			if r.Masks {
				err = sum.BackwardMasks(t.logits, t.logits, t.masks, r.Images)
			} else {
				err = sum.Backward(t.logits, t.logits, t.labels, r.Images)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	result := sum.Result()
	reply = binary.LittleEndian.AppendUint64(reply, uint64(len(result.PerClass)))
	reply = appendResult(reply, result)
	if r.State {
		return sum.AppendBinary(reply)
	}
	return reply, nil
}

const maxConfusion = 1 << 14 // classes: the matrix is 2 GB

// confusion adds up states and pixels, and replies with the number of classes, the matrix and the state.
func (s *server) confusion(reply []byte, r *request, payload []byte) ([]byte, error) {
	var sum *lanewise.Confusion
	if r.Classes != 0 {
		if r.Classes < 0 || r.Classes > maxConfusion {
			return nil, fmt.Errorf("lanewise: %d classes, want 1 to %d", r.Classes, maxConfusion)
		}
		sum = lanewise.NewConfusion(r.Classes)
	}
	sum, err := merge(sum, r, payload)
	if err != nil {
		return nil, err
	}
	if r.Add {
		t, err := s.tensors(r)
		if err != nil {
			return nil, err
		}
		predicted := unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(t.logits))), len(t.logits))
		if err := sum.Add(predicted, t.labels); err != nil {
			return nil, err
		}
	}
	classes := len(sum.IoU())
	reply = binary.LittleEndian.AppendUint64(reply, uint64(classes))
	for label := range classes {
		for predicted := range classes {
			reply = binary.LittleEndian.AppendUint64(reply, uint64(sum.At(label, predicted)))
		}
	}
	return sum.AppendBinary(reply)
}

func appendResult(b []byte, r lanewise.LovaszResult) []byte {
	b = appendFloats(b, r.Loss, r.Lovasz, r.CrossEntropy, r.Gap)
	b = appendFloats(b, r.PerClass...)
	return appendFloats(b, r.PerImage...)
}

func appendFloats(b []byte, values ...float64) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

package lanewise

import (
	"encoding/binary"
	"math"
	"math/bits"
	"reflect"
	"slices"
	"unsafe"
)

// LovaszCounts is the state of the binned loss over any pixels anywhere: for every class how many pixels' errors fall into each bin, as
// integers, so that Add in any split and Merge in any order, on any machine, give the same bits. It takes 0.5 MB a class, 0.7 where
// there was a gradient, and is not safe for concurrent use: a method called while another goroutine is in one panics.
//
// A zero LovaszCounts has no configuration: UnmarshalBinary gives it one, all else answers ErrConfig.
type LovaszCounts struct {
	inUse
	plan  *plan
	call  call
	sum   lossSum
	state []classCounts
	used  []usedBin
	kept  uint64 // pixels counted; with masks, looked at
}

// classCounts are what is counted of a class.
type classCounts struct {
	bins               bins // nil: nothing
	pixels, foreground int64
	weighed            bool // the call's table of it has the weights of these pixels
}

// grow makes room for more pixels.
func (c *classCounts) grow(pixels, foreground int64) {
	if c.bins == nil {
		c.bins = make(bins, binCount)
	}
	c.pixels, c.foreground, c.weighed = c.pixels+pixels, c.foreground+foreground, false
}

// NewLovaszCounts returns an empty state for cfg. Method Binned is implied; PerImage and CrossEntropy are ErrConfig.
func NewLovaszCounts(cfg LovaszConfig) (*LovaszCounts, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.PerImage {
		return nil, errorf(ErrConfig, "PerImage is true, want false: LovaszCounts is one loss over all pixels")
	}
	if cfg.CrossEntropy > 0 {
		return nil, errorf(ErrConfig, "CrossEntropy is %v, want 0: LovaszCounts has none", cfg.CrossEntropy)
	}
	cfg.Method = Binned
	c := &LovaszCounts{plan: newPlan(cfg.clone()), state: make([]classCounts, cfg.Classes)}
	c.call.maxWorkers = cfg.workers()
	return c, nil
}

// Add counts the pixels of logits [images, pixels, classes] and labels [images, pixels]. The errors are those of Lovasz.Forward; then
// nothing is counted.
func (c *LovaszCounts) Add(logits []float32, labels []int32, images int) error {
	return c.add(input{logits: logits, labels: labels, images: images})
}

// AddMasks is Add for classes that may overlap, with the masks of Lovasz.ForwardMasks.
func (c *LovaszCounts) AddMasks(logits []float32, masks []uint8, images int) error {
	return c.add(input{logits: logits, masks: masks, masked: true, images: images})
}

func (c *LovaszCounts) add(a input) error {
	c.enter("LovaszCounts")
	defer c.leave()
	defer c.call.close()
	if err := c.load(a); err != nil {
		return err
	}
	pixels := uint64(len(c.call.target)) / uint64(len(c.state)/c.call.width)
	if !a.masked {
		pixels = uint64(c.call.groups[0].keptN)
	}
	if err := c.room(pixels); err != nil {
		return err
	}
	c.call.each(c.call.shareOut(), func(pass *call, w *worker, k int) {
		if c.counts(k) {
			w.count(pass, k, 0, pass.groups[k/pass.width].blocks)
			c.take(k, w)
		}
	})
	c.call.each(len(c.call.shared)*c.call.ranges, func(pass *call, _ *worker, task int) {
		s, r := &pass.shared[task/pass.ranges], task%pass.ranges
		if from, to := pass.blocksOf(s, r); c.counts(s.task) {
			s.workers[r].count(pass, s.task, from, to)
		}
	})
	c.call.each(len(c.call.shared), func(pass *call, _ *worker, i int) {
		if s := &pass.shared[i]; c.counts(s.task) {
			c.take(s.task, s.workers...)
		}
	})
	c.kept += pixels
	return nil
}

// counts says whether a class has pixels to count.
func (c *LovaszCounts) counts(k int) bool {
	return c.plan.averaged[k] && c.call.groups[k/c.call.width].keptN > 0
}

// take adds the pixels of a class, which these workers have counted.
func (c *LovaszCounts) take(k int, workers ...*worker) {
	class := &c.state[k]
	class.grow(int64(c.call.groups[k/c.call.width].keptN), c.call.classes[k].foreground.Load())
	for _, w := range workers {
		w.binned.moveTo(class.bins)
	}
}

// count counts some blocks' errors of a class.
func (w *worker) count(c *call, k, from, to int) {
	w.binned.use(c, w)
	w.binned.begin(stats{top: oneBits}, c.classPlane(k))
	c.show(k, from, to, w.binned.add)
}

// load finds the errors of the arguments' pixels.
func (c *LovaszCounts) load(a input) error {
	if c.plan == nil {
		return errNoConfig()
	}
	if err := c.call.open(c.plan, a); err != nil {
		return err
	}
	return c.call.load(0, c.call.images)
}

// maxCounted is how many pixels a state counts: the sums of the bins stay far from overflow.
const maxCounted = 1 << 48

// room says whether so many pixels more can be counted.
func (c *LovaszCounts) room(pixels uint64) error {
	if pixels > maxCounted-c.kept {
		return errorf(ErrShape, "%d pixels and %d more are over 2⁴⁸", c.kept, pixels)
	}
	return nil
}

// Merge adds the pixels that other has counted. The error is ErrConfig where the configurations differ in more than Workers and Layout, and
// ErrShape where the pixels would be more than 2⁴⁸.
func (c *LovaszCounts) Merge(other *LovaszCounts) error {
	c.enter("LovaszCounts")
	defer c.leave()
	if other != nil && other != c {
		other.enter("LovaszCounts")
		defer other.leave()
	}
	if c.plan == nil || other == nil || other.plan == nil {
		return errNoConfig()
	}
	if !slices.Equal(c.plan.cfg.key(), other.plan.cfg.key()) {
		return configErrorf("the LovaszCounts to merge", &c.plan.cfg, &other.plan.cfg)
	}
	if err := c.room(other.kept); err != nil {
		return err
	}
	for k := range other.state {
		if more := &other.state[k]; more.bins != nil {
			c.state[k].grow(more.pixels, more.foreground)
			c.state[k].bins.merge(more.bins)
		}
	}
	c.kept += other.kept
	return nil
}

// Result returns the loss of all pixels counted: the bits of Lovasz.Forward over them with Method Binned, in whatever order and wherever
// they were counted. PerClass is valid until the next call of a method.
func (c *LovaszCounts) Result() LovaszResult {
	c.enter("LovaszCounts")
	defer c.leave()
	if c.plan == nil {
		return LovaszResult{}
	}
	c.call.plan = c.plan
	c.average()
	for k := range c.state {
		if class := &c.call.classes[k]; class.takesPart {
			c.used = c.state[k].bins.used(c.used[:0])
			class.loss, class.gap = weighBins(c.used, c.state[k].foreground, 0, nil)
		}
	}
	c.sum.begin(c.plan)
	c.sum.account(&c.call)
	return c.sum.result(c.plan, 1)
}

// average makes the classes, and what the one unit averages, those of all pixels counted. Their losses are still to be found.
func (c *LovaszCounts) average() {
	pass := &c.call
	pass.units, pass.classes, pass.took = resize(pass.units, 1), resize(pass.classes, len(c.state)), 1
	clear(pass.units)
	clear(pass.classes)
	u := &pass.units[0]
	for k := range c.state {
		class, counted := &pass.classes[k], &c.state[k]
		class.takesPart = c.plan.averaged[k] && counted.pixels > 0 && (counted.foreground > 0 || c.plan.absentToo)
		if class.takesPart {
			u.weight += c.plan.weights[k]
		}
	}
	u.takesPart = u.weight > 0
}

// Backward writes to grad these pixels' share of the gradient of Result: the pixels are among those counted, and all their shares together
// are the gradient of the one loss. grad has the length of logits and may be the same slice. The errors are those of Lovasz.Backward.
func (c *LovaszCounts) Backward(grad, logits []float32, labels []int32, images int) error {
	return c.backward(input{grad: grad, logits: logits, labels: labels, images: images})
}

// BackwardMasks is Backward for pixels that AddMasks counted.
func (c *LovaszCounts) BackwardMasks(grad, logits []float32, masks []uint8, images int) error {
	return c.backward(input{grad: grad, logits: logits, masks: masks, masked: true, images: images})
}

func (c *LovaszCounts) backward(a input) error {
	c.enter("LovaszCounts")
	defer c.leave()
	defer c.call.close()
	if c.plan == nil {
		return errNoConfig()
	}
	if err := checkGradient(a.grad, a.logits, "logits"); err != nil {
		return err
	}
	if c.call.tables == nil {
		c.call.tables = make([][]float32, len(c.state))
	}
	if err := c.load(a); err != nil {
		return err
	}
	c.average()
	c.call.each(len(c.state), func(pass *call, w *worker, k int) {
		if pass.classes[k].takesPart {
			pass.found[k] = spread{kind: byBin}
			c.state[k].weigh(&w.binned, &pass.tables[k])
		}
	})
	c.call.each(len(c.call.blocks), (*call).gradient)
	return nil
}

// weigh fills a table with the weights of all bins, unless it has them: they are found once for all calls of Backward.
func (c *classCounts) weigh(w *binnedWeigher, table *[]float32) {
	if c.weighed {
		return
	}
	*table = resize(*table, 2*binCount)
	clear(*table)
	w.used = c.bins.used(w.used[:0])
	weighBins(w.used, c.foreground, 0, *table)
	c.weighed = true
}

// Reset forgets all pixels.
func (c *LovaszCounts) Reset() {
	c.enter("LovaszCounts")
	defer c.leave()
	c.kept = 0
	clear(c.state)
}

func errNoConfig() error {
	return errorf(ErrConfig, "the LovaszCounts has no configuration: it comes from NewLovaszCounts or UnmarshalBinary")
}

// What AppendBinary writes: a magic with its version, the configuration, the number of pixels, and in bits the bins of each class that the
// average knows (encoding.go says how numbers are written).
const countsMagic = "LWL\x02"

// key is the configuration in bytes, equal for configurations that count alike.
func (cfg *LovaszConfig) key() []byte {
	b := binary.AppendUvarint(nil, uint64(cfg.Classes))
	b = append(b, byte(cfg.Activation), byte(cfg.Average), byte(cfg.Void))
	b = appendSet(b, cfg.OnlyClasses)
	b = appendSet(b, cfg.SkipClasses)
	b = appendSet(b, cfg.VoidLabels)
	b = binary.AppendUvarint(b, uint64(len(cfg.Weights)))
	for _, w := range cfg.Weights {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(w))
	}
	return b
}

// configErrorf is the error of another configuration: it names the first field in which the keys differ.
func configErrorf(of string, want, got *LovaszConfig) error {
	x, y := reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem()
	for i := range x.NumField() {
		changed := *want
		reflect.ValueOf(&changed).Elem().Field(i).Set(x.Field(i))
		if !slices.Equal(changed.key(), want.key()) {
			return errorf(ErrConfig, "%s of %s is %v, want %v", x.Type().Field(i).Name, of, x.Field(i), y.Field(i))
		}
	}
	return errorf(ErrConfig, "the configuration of %s is another one", of)
}

// decodeConfig reads what key wrote.
func decodeConfig(d *decoder) LovaszConfig {
	cfg := LovaszConfig{Classes: int(d.uint(maxClasses))}
	cfg.Activation, cfg.Average, cfg.Void = Activation(d.byte()), Average(d.byte()), VoidPolicy(d.byte())
	cfg.OnlyClasses = decodeSet[int](d)
	cfg.SkipClasses = decodeSet[int](d)
	cfg.VoidLabels = decodeSet[int32](d)
	for range d.length(4) {
		cfg.Weights = append(cfg.Weights, math.Float32frombits(d.uint32()))
	}
	return cfg
}

// AppendBinary appends the state, and the configuration but for Workers and Layout, to b. The state takes some 20 bits for each bin that
// has pixels, of background and of foreground: 19 classes of 2¹⁹ pixels some 0.3 MB where the network knows nothing, and 0.8 to 0.9 MB
// where it is sure of most pixels.
func (c *LovaszCounts) AppendBinary(b []byte) ([]byte, error) {
	c.enter("LovaszCounts")
	defer c.leave()
	if c.plan == nil {
		return b, errNoConfig()
	}
	start := len(b)
	b = append(b, countsMagic...)
	b = append(b, c.plan.cfg.key()...)
	w := bitWriter{to: binary.AppendUvarint(b, c.kept)}
	for k := range c.state {
		if c.plan.averaged[k] {
			c.state[k].bins.append(&w)
		}
	}
	return appendChecksum(w.end(), start), nil
}

// MarshalBinary returns what AppendBinary appends.
func (c *LovaszCounts) MarshalBinary() ([]byte, error) { return c.AppendBinary(nil) }

// unknownMemory is what UnmarshalBinary allocates in any case for a configuration that comes with the bytes: a few bytes that claim to
// be counts of very many classes must not take a service down.
const unknownMemory = 1 << 30

// memory is how many bytes the bins of all classes take.
func (c *LovaszCounts) memory() uint64 {
	classes := uint64(0)
	for _, averaged := range c.plan.averaged {
		if averaged {
			classes++
		}
	}
	return classes * binCount * uint64(unsafe.Sizeof(bin{}))
}

// UnmarshalBinary replaces the state by one that AppendBinary wrote. A zero LovaszCounts takes over its configuration, unless that has more
// than 2,000 classes and less than 64 bytes for each; for another one the error is ErrConfig if it differs. Bytes that are truncated,
// corrupt or something else are ErrFormat. After an error the state is what it was.
func (c *LovaszCounts) UnmarshalBinary(data []byte) error {
	c.enter("LovaszCounts")
	defer c.leave()
	d := newDecoder(data, countsMagic)
	cfg := decodeConfig(d)
	if d.err != nil {
		return d.err
	}
	if c.plan != nil {
		if !slices.Equal(cfg.key(), c.plan.cfg.key()) {
			return configErrorf("the encoded LovaszCounts", &c.plan.cfg, &cfg)
		}
		cfg = c.plan.cfg
	}
	read, err := NewLovaszCounts(cfg)
	if err != nil {
		return errorf(ErrFormat, "encoded LovaszCounts: %v", err)
	}
	read.kept = d.uint(maxCounted)
	if c.plan == nil && read.kept > 0 && read.memory() > max(unknownMemory, 8192*uint64(len(data))) {
		return errorf(ErrFormat, "the state takes %d MB, far more than its bytes: decode it into a NewLovaszCounts of its configuration",
			read.memory()>>20)
	}
	for k := range read.state {
		if read.plan.averaged[k] {
			read.state[k] = decodeBins(d, read.kept, cfg.Activation == SoftmaxActivation)
		}
	}
	if err := d.end(); err != nil {
		return err
	}
	c.plan, c.call, c.sum, c.state, c.kept = read.plan, call{team: team{maxWorkers: cfg.workers()}}, lossSum{}, read.state, read.kept
	return nil
}

// append appends the bins with pixels, first of background, then of foreground. A bin is how many empty ones are before it, its pixels but
// one, and how far the sum of their rests is from the middle, 2¹³ a pixel, with signs in turn: 0, −1, 1, −2. At the end is how many empty
// ones follow. Neighbours are of similar size, so the order for the pixels is that of the bin before; and as rests are nearly uniform,
// their sum is off by about 2¹² times the root of the pixels.
func (b bins) append(w *bitWriter) {
	for f := range 2 {
		at, order := 0, 0
		for i := range b {
			n := b[i].count[f]
			if n == 0 {
				continue
			}
			w.golomb(uint64(i-at), 0)
			w.golomb(n-1, order)
			off := int64(b[i].rest[f] - n<<(restBits-1))
			w.golomb(uint64(off<<1^off>>63), restOrder(n))
			at, order = i+1, bits.Len64(n)-1
		}
		w.golomb(uint64(binCount-at), 0)
	}
}

// restOrder is the order of the code for how far the rests of n pixels are from the middle.
func restOrder(n uint64) int { return restBits - 1 + (bits.Len64(n)-1)/2 }

// decodeBins reads the bins of a class, of so many pixels, or where masks may have dropped some, at most so many.
func decodeBins(d *decoder, pixels uint64, exactly bool) (c classCounts) {
	left := pixels
	for f := range 2 {
		at, order := 0, 0
		for {
			at += int(d.golomb(0, uint64(binCount-at)))
			if d.err != nil || at == binCount {
				break
			}
			n := d.golomb(order, left) + 1
			off := d.golomb(restOrder(n), math.MaxInt64)
			rest := n<<(restBits-1) + (off>>1 ^ -(off & 1))
			if d.err != nil || n > left || rest > n*(1<<restBits-1) || at == binCount-1 && rest > 0 {
				d.fail("a bin holds more than its pixels can")
				break
			}
			c.grow(int64(n), int64(n)*int64(f))
			c.bins[at].count[f], c.bins[at].rest[f] = n, rest
			left -= n
			at, order = at+1, bits.Len64(n)-1
		}
	}
	if left > 0 && exactly {
		d.fail("the bins hold %d pixels of %d", pixels-left, pixels)
	}
	return c
}

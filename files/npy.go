package files

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxHeader bounds the text of a header, as NumPy does.
const maxHeader = 10_000

// errHeader is what is wrong with a header that NumPy would not read.
func errHeader(format string, args ...any) error {
	return fmt.Errorf("not a valid .npy header: "+format, args...)
}

// openNPY reads and checks the header of a .npy file of the given size.
func openNPY(r io.Reader, size int64) (*Array, error) {
	begin := make([]byte, 12) // magic, version and the length of the text: 2 bytes of it in version 1, 4 later
	if _, err := io.ReadFull(r, begin[:10]); err != nil || string(begin[:6]) != npyMagic {
		return nil, headerError(err)
	}
	length, version := 10, begin[6]
	text := int64(binary.LittleEndian.Uint16(begin[8:10]))
	switch {
	case begin[7] != 0 || version < 1 || version > 3:
		return nil, fmt.Errorf("version %d.%d of the .npy format is not known", version, begin[7])
	case version > 1:
		length = 12
		if _, err := io.ReadFull(r, begin[10:]); err != nil {
			return nil, headerError(err)
		}
		text = int64(binary.LittleEndian.Uint32(begin[8:12]))
	}
	if text > maxHeader {
		return nil, errHeader("it claims %d bytes, more than the %d that NumPy reads", text, maxHeader)
	}
	header := make([]byte, text)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, headerError(err)
	}
	d, shape, fortran, err := parseHeader(string(header), version)
	if err != nil {
		return nil, err
	}
	a, err := newDense(d, shape, size-int64(length)-text)
	if err != nil {
		return nil, err
	}
	a.fortran, a.payload = fortran, r
	return &Array{Dtype: d.String(), Shape: shape, elements: a}, nil
}

// headerError is what is wrong where a header cannot be read whole.
func headerError(err error) error {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		return errHeader("the file ends within it")
	}
	return err
}

// parseHeader reads the header's text: a Python dictionary of the keys descr, fortran_order and shape, in any order.
func parseHeader(text string, version byte) (d dtype, shape []int, fortran bool, err error) {
	if version == 3 && !utf8.ValidString(text) {
		return d, nil, false, errHeader("it is not UTF-8")
	}
	p := &literals{text: text, long: version < 3}
	value, err := p.whole()
	if err != nil {
		return d, nil, false, err
	}
	dict, ok := value.(map[string]any)
	if !ok {
		return d, nil, false, errHeader("it is not a dictionary")
	}
	descr, hasDescr := dict["descr"]
	order, hasOrder := dict["fortran_order"]
	tuple, hasShape := dict["shape"]
	if len(dict) != 3 || !hasDescr || !hasOrder || !hasShape {
		return d, nil, false, errHeader("want the keys descr, fortran_order and shape")
	}
	fortran, ok = order.(bool)
	if !ok {
		return d, nil, false, errHeader("fortran_order is neither True nor False")
	}
	axes, ok := tuple.(pyTuple)
	if !ok {
		return d, nil, false, errHeader("shape is not a tuple of integers")
	}
	shape = []int{}
	for _, axis := range axes {
		n, ok := axis.(int64)
		if !ok || n > math.MaxInt || n < math.MinInt {
			return d, nil, false, errHeader("shape is not a tuple of integers")
		}
		shape = append(shape, int(n))
	}
	name, ok := descr.(string)
	if !ok {
		return d, nil, false, fmt.Errorf("records of several fields cannot be read: want float16, float32 or float64, integers or bool")
	}
	d, err = parseDtype(name)
	return d, shape, fortran, err
}

// dtypeNames are NumPy's names and one-letter codes, beside its type strings.
var dtypeNames = map[string]string{
	"bool": "b1", "?": "b1", "float16": "f2", "half": "f2", "e": "f2", "float32": "f4", "single": "f4", "f": "f4", "float64": "f8",
	"double": "f8",
	"d":      "f8", "float": "f8", "int8": "i1", "b": "i1", "byte": "i1", "int16": "i2", "h": "i2", "short": "i2", "int32": "i4", "i": "i4",
	"intc":  "i4",
	"int64": "i8", "q": "i8", "longlong": "i8", "uint8": "u1", "B": "u1", "ubyte": "u1", "uint16": "u2", "H": "u2", "ushort": "u2",
	"uint32": "u4",
	"I":      "u4", "uintc": "u4", "uint64": "u8", "Q": "u8", "ulonglong": "u8",
}

// parseDtype reads a descr: <f4. Without a byte order it is this machine's, as for NumPy.
func parseDtype(descr string) (dtype, error) {
	var d dtype
	d.big = !littleEndian
	s := descr
	if s != "" && strings.Contains("<>|=", s[:1]) {
		switch s[0] {
		case '<':
			d.big = false
		case '>':
			d.big = true
		}
		s = s[1:]
	}
	if known, ok := dtypeNames[s]; ok && (len(s) == 1 || s == descr) {
		s = known
	}
	if len(s) == 2 {
		d.kind, d.size = s[0], int(s[1]-'0')
	}
	if d.String() == "" {
		return dtype{}, fmt.Errorf("dtype %q cannot be read: want float16, float32 or float64, integers or bool", descr)
	}
	if d.size == 1 {
		d.big = false
	}
	return d, nil
}

// literals reads Python's literals, as far as a header may have them.
type literals struct {
	text  string
	at    int
	long  bool // 4L is an integer, as Python 2 wrote it
	depth int
}

type (
	pyTuple []any
	pyList  []any
)

var errLiteral = errors.New("") // replaced by whole

func (p *literals) whole() (any, error) {
	v, err := p.value()
	if p.space(); err != nil || p.at < len(p.text) {
		return nil, errHeader("it is not a Python literal (at byte %d)", p.at)
	}
	return v, nil
}

func (p *literals) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r\f", p.text[p.at]) >= 0 {
		p.at++
	}
}

// next skips white space, and takes c if it is there.
func (p *literals) next(c byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *literals) value() (any, error) {
	if p.depth++; p.depth > 50 {
		return nil, errLiteral
	}
	defer func() { p.depth-- }()
	p.space()
	rest := p.text[p.at:]
	switch {
	case p.next('{'):
		return p.dict()
	case p.next('('):
		items, comma, err := p.items(')')
		if err == nil && len(items) == 1 && !comma {
			return items[0], nil // brackets, not a tuple
		}
		return pyTuple(items), err
	case p.next('['):
		items, _, err := p.items(']')
		return pyList(items), err
	case strings.HasPrefix(rest, "True"):
		return true, p.word(4)
	case strings.HasPrefix(rest, "False"):
		return false, p.word(5)
	case strings.HasPrefix(rest, "None"):
		return nil, p.word(4)
	case strings.HasPrefix(rest, "u'"), strings.HasPrefix(rest, `u"`), strings.HasPrefix(rest, "U'"), strings.HasPrefix(rest, `U"`):
		p.at++
		return p.quoted()
	case strings.HasPrefix(rest, "'"), strings.HasPrefix(rest, `"`):
		return p.quoted()
	}
	return p.integer()
}

// word takes n letters, behind which none may follow.
func (p *literals) word(n int) error {
	p.at += n
	if p.at < len(p.text) {
		if c := p.text[p.at]; c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0x80 {
			return errLiteral
		}
	}
	return nil
}

func (p *literals) quoted() (any, error) {
	quote := p.text[p.at]
	end := strings.IndexByte(p.text[p.at+1:], quote)
	if end < 0 {
		return nil, errLiteral
	}
	s := p.text[p.at+1 : p.at+1+end]
	p.at += end + 2
	if strings.ContainsAny(s, "\\\n") || end == 0 && p.at < len(p.text) && p.text[p.at] == quote { // escapes and ''' are in no header
		return nil, errLiteral
	}
	return s, nil
}

func (p *literals) integer() (any, error) {
	start := p.at
	for p.at < len(p.text) {
		c := p.text[p.at]
		if !(c >= '0' && c <= '9' || c == '_' || (c == '-' || c == '+') && p.at == start || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			break
		}
		p.at++
	}
	s := p.text[start:p.at]
	if p.long {
		s = strings.TrimSuffix(s, "L")
	}
	digits := strings.TrimLeft(s, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] <= '9' && strings.Trim(digits, "0_") != "" { // 010 is Go's octal, and no Python
		return nil, errLiteral
	}
	v, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		return nil, errLiteral
	}
	return v, nil
}

// items reads up to the closing bracket.
func (p *literals) items(end byte) (items []any, comma bool, err error) {
	for !p.next(end) {
		if len(items) > 0 && !comma {
			return nil, false, errLiteral
		}
		v, err := p.value()
		if err != nil {
			return nil, false, err
		}
		items = append(items, v)
		comma = p.next(',')
	}
	return items, comma, nil
}

func (p *literals) dict() (any, error) {
	dict, comma := map[string]any{}, true
	for !p.next('}') {
		if !comma {
			return nil, errLiteral
		}
		key, err := p.value()
		name, ok := key.(string)
		if err != nil || !ok || !p.next(':') {
			return nil, errLiteral
		}
		if dict[name], err = p.value(); err != nil {
			return nil, err
		}
		comma = p.next(',')
	}
	return dict, nil
}

package files

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// What an unpickler makes of a pickle. Nothing in it is called: what is not known becomes an opaque value, which nobody can read a tensor
// from.
type (
	pickleDict struct {
		keys   []any
		values []any
	}
	pickleList  struct{ items []any }
	pickleTuple []any
	pickleClass struct{ module, name string }
	opaque      struct{ class string }
	storageRef  struct { // of a persistent id
		kind  string // HalfStorage, …
		key   string
		count int64
	}
	pickleTensor struct {
		storage       *storageRef
		offset        int64
		size, strides []int64
	}
	pickleMark struct{}
)

// maxPickled bounds how many values a pickle pushes, so the memory that it takes.
const maxPickled = 1 << 20

// An unpickler runs the opcodes of one pickle.
type unpickler struct {
	data   []byte
	at     int
	stack  []any
	memo   map[uint64]any
	pushes int
}

var errTooMany = fmt.Errorf("it holds more than %d values", maxPickled)

var errPickle = errors.New("it is cut off, or not a pickle of tensors")

// unpickle reads one pickle at the beginning of data, and returns how long it is.
func unpickle(data []byte) (v any, length int, err error) {
	u := &unpickler{data: data, memo: map[uint64]any{}}
	v, err = u.run()
	return v, u.at, err
}

func (u *unpickler) push(v any) error {
	if u.pushes++; u.pushes > maxPickled {
		return errTooMany
	}
	u.stack = append(u.stack, v)
	return nil
}

func (u *unpickler) pop() (any, error) {
	if len(u.stack) == 0 {
		return nil, errPickle
	}
	v := u.stack[len(u.stack)-1]
	u.stack = u.stack[:len(u.stack)-1]
	if _, mark := v.(pickleMark); mark {
		return nil, errPickle
	}
	return v, nil
}

// take takes the last n values.
func (u *unpickler) take(n int) ([]any, error) {
	items := make([]any, n)
	for i := range items {
		v, err := u.pop()
		if err != nil {
			return nil, err
		}
		items[n-1-i] = v
	}
	return items, nil
}

// popMark takes everything above the last mark.
func (u *unpickler) popMark() ([]any, error) {
	for i := len(u.stack) - 1; i >= 0; i-- {
		if _, mark := u.stack[i].(pickleMark); mark {
			items := append([]any(nil), u.stack[i+1:]...)
			u.stack = u.stack[:i]
			return items, nil
		}
	}
	return nil, errPickle
}

func (u *unpickler) top() (any, error) {
	if len(u.stack) == 0 {
		return nil, errPickle
	}
	return u.stack[len(u.stack)-1], nil
}

// bytes takes n bytes.
func (u *unpickler) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(u.data)-u.at) {
		return nil, errPickle
	}
	b := u.data[u.at : u.at+int(n)]
	u.at += int(n)
	return b, nil
}

func (u *unpickler) line() (string, error) {
	for i := u.at; i < len(u.data); i++ {
		if u.data[i] == '\n' {
			s := string(u.data[u.at:i])
			u.at = i + 1
			return s, nil
		}
	}
	return "", errPickle
}

// uint takes a little-endian number of n bytes.
func (u *unpickler) uint(n uint64) (uint64, error) {
	b, err := u.bytes(n)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

// sized takes as many bytes as a number of n bytes says.
func (u *unpickler) sized(n uint64) ([]byte, error) {
	length, err := u.uint(n)
	if err != nil {
		return nil, err
	}
	return u.bytes(length)
}

func (u *unpickler) run() (any, error) {
	for {
		op, err := u.bytes(1)
		if err != nil {
			return nil, err
		}
		if op[0] == '.' {
			return u.pop()
		}
		if err := u.do(op[0]); err != nil {
			return nil, err
		}
	}
}

// do runs one opcode; they are those of Python's pickletools.
func (u *unpickler) do(op byte) error {
	text := func(b []byte, err error) error {
		if err != nil {
			return err
		}
		return u.push(string(b))
	}
	number := func(n uint64, signed bool) error {
		v, err := u.uint(n)
		if err != nil {
			return err
		}
		if signed {
			return u.push(int64(v<<(64-8*n)) >> (64 - 8*n))
		}
		return u.push(int64(v))
	}
	switch op {
	case 0x80: // PROTO
		_, err := u.bytes(1)
		return err
	case 0x95: // FRAME
		_, err := u.bytes(8)
		return err
	case '(':
		return u.push(pickleMark{})
	case '0': // POP
		if len(u.stack) == 0 {
			return errPickle
		}
		u.stack = u.stack[:len(u.stack)-1]
		return nil
	case '1': // POP_MARK
		_, err := u.popMark()
		return err
	case '2': // DUP
		v, err := u.top()
		if err != nil {
			return err
		}
		return u.push(v)
	case 'N':
		return u.push(nil)
	case 0x88, 0x89:
		return u.push(op == 0x88)
	case 'K':
		return number(1, false)
	case 'M':
		return number(2, false)
	case 'J':
		return number(4, true)
	case 0x8a, 0x8b: // LONG1, LONG4
		b, err := u.sized(map[byte]uint64{0x8a: 1, 0x8b: 4}[op])
		if err != nil {
			return err
		}
		if len(b) > 8 {
			return u.push(&opaque{"int"})
		}
		u.at -= len(b)
		if len(b) == 0 {
			return u.push(int64(0))
		}
		return number(uint64(len(b)), true)
	case 'I', 'L': // as text
		s, err := u.line()
		if err != nil {
			return err
		}
		if s == "00" || s == "01" {
			return u.push(s == "01")
		}
		v, err := strconv.ParseInt(strings.TrimSuffix(s, "L"), 10, 64)
		if err != nil {
			return u.push(&opaque{"int"})
		}
		return u.push(v)
	case 'F':
		s, err := u.line()
		if err != nil {
			return err
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return errPickle
		}
		return u.push(v)
	case 'G':
		b, err := u.bytes(8)
		if err != nil {
			return err
		}
		return u.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case 'X', 'T', 'B':
		return text(u.sized(4))
	case 0x8c, 'U', 'C':
		return text(u.sized(1))
	case 0x8d, 0x8e, 0x96: // …8
		return text(u.sized(8))
	case 'S', 'V':
		s, err := u.line()
		if err != nil {
			return err
		}
		return u.push(strings.Trim(s, `'"`))
	case '}':
		return u.push(&pickleDict{})
	case ']', 0x8f: // EMPTY_SET
		return u.push(&pickleList{})
	case ')':
		return u.push(pickleTuple{})
	case 't', 'l', 'd', 0x91: // TUPLE, LIST, DICT, FROZENSET
		items, err := u.popMark()
		if err != nil {
			return err
		}
		switch op {
		case 't':
			return u.push(pickleTuple(items))
		case 'd':
			d := &pickleDict{}
			if err := d.set(items); err != nil {
				return err
			}
			return u.push(d)
		}
		return u.push(&pickleList{items})
	case 0x85, 0x86, 0x87: // TUPLE1, 2, 3
		items, err := u.take(int(op) - 0x84)
		if err != nil {
			return err
		}
		return u.push(pickleTuple(items))
	case 'a': // APPEND
		return u.add(u.take(1))
	case 'e', 0x90: // APPENDS, ADDITEMS
		return u.add(u.popMark())
	case 's': // SETITEM
		return u.set(u.take(2))
	case 'u': // SETITEMS
		return u.set(u.popMark())
	case 'p', 'q', 'r', 0x94: // PUT, BINPUT, LONG_BINPUT, MEMOIZE
		key, err := u.memoKey(op)
		if err != nil {
			return err
		}
		v, err := u.top()
		if err != nil {
			return err
		}
		u.memo[key] = v
		return nil
	case 'g', 'h', 'j': // GET, BINGET, LONG_BINGET
		key, err := u.memoKey(op)
		if err != nil {
			return err
		}
		v, ok := u.memo[key]
		if !ok {
			return errPickle
		}
		return u.push(v)
	case 'c': // GLOBAL
		module, err := u.line()
		if err != nil {
			return err
		}
		name, err := u.line()
		if err != nil {
			return err
		}
		return u.push(pickleClass{module, name})
	case 0x93: // STACK_GLOBAL
		name, err := u.pop()
		if err != nil {
			return err
		}
		module, err := u.pop()
		if err != nil {
			return err
		}
		m, okM := module.(string)
		n, okN := name.(string)
		if !okM || !okN {
			return errPickle
		}
		return u.push(pickleClass{m, n})
	case 'Q': // BINPERSID
		id, err := u.pop()
		if err != nil {
			return err
		}
		return u.push(persistent(id))
	case 'R', 0x81: // REDUCE, NEWOBJ
		args, err := u.pop()
		if err != nil {
			return err
		}
		class, err := u.pop()
		if err != nil {
			return err
		}
		v, err := u.construct(class, args)
		if err != nil {
			return err
		}
		return u.push(v)
	case 0x92: // NEWOBJ_EX
		if _, err := u.pop(); err != nil {
			return err
		}
		return u.do(0x81)
	case 'b': // BUILD: attributes, which nobody asks for
		_, err := u.pop()
		return err
	case 'o', 'i': // OBJ, INST
		items, err := u.popMark()
		if err != nil {
			return err
		}
		if op == 'i' {
			for range 2 {
				if _, err := u.line(); err != nil {
					return err
				}
			}
		} else if len(items) == 0 {
			return errPickle
		}
		return u.push(&opaque{"object"})
	case 0x97, 0x98: // NEXT_BUFFER, READONLY_BUFFER
		return errPickle
	}
	return errPickle
}

// memoKey takes a memo's key, in the form of the opcode.
func (u *unpickler) memoKey(op byte) (uint64, error) {
	switch op {
	case 'p', 'g':
		s, err := u.line()
		if err != nil {
			return 0, err
		}
		v, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return 0, errPickle
		}
		return v, nil
	case 'q', 'h':
		return u.uint(1)
	case 0x94:
		return uint64(len(u.memo)), nil
	}
	return u.uint(4)
}

// add appends items to the list that is on top.
func (u *unpickler) add(items []any, err error) error {
	if err != nil {
		return err
	}
	target, err := u.top()
	if err != nil {
		return err
	}
	switch target := target.(type) {
	case *pickleList:
		target.items = append(target.items, items...)
	case *opaque:
	default:
		return errPickle
	}
	return nil
}

// set sets keys and values, in turn, of the dictionary that is on top.
func (u *unpickler) set(items []any, err error) error {
	if err != nil {
		return err
	}
	target, err := u.top()
	if err != nil {
		return err
	}
	switch target := target.(type) {
	case *pickleDict:
		return target.set(items)
	case *opaque:
		return nil
	}
	return errPickle
}

func (d *pickleDict) set(items []any) error {
	if len(items)%2 != 0 {
		return errPickle
	}
	for i := 0; i < len(items); i += 2 {
		d.keys, d.values = append(d.keys, items[i]), append(d.values, items[i+1])
	}
	return nil
}

// persistent reads what torch.save has for a storage: ('storage', class, key, location, elements), and a view of it.
func persistent(id any) any {
	t, ok := id.(pickleTuple)
	if !ok || len(t) < 5 || t[0] != "storage" {
		return &opaque{"persistent id"}
	}
	class, okClass := t[1].(pickleClass)
	key, okKey := t[2].(string)
	count, okCount := t[4].(int64)
	if !okClass || !okKey || !okCount || len(t) > 5 && t[5] != nil { // a view of a storage is of older versions than the format
		return &opaque{"storage"}
	}
	return &storageRef{class.name, key, count}
}

// construct stands in for a call.
func (u *unpickler) construct(callee, args any) (any, error) {
	class, ok := callee.(pickleClass)
	if !ok {
		return &opaque{"object"}, nil
	}
	list, _ := args.(pickleTuple)
	for _, arg := range list { // what is copied counts as if it were pushed
		switch arg := arg.(type) {
		case *pickleList:
			u.pushes += 4 * len(arg.items)
		case pickleTuple:
			u.pushes += 4 * len(arg)
		}
	}
	if u.pushes > maxPickled {
		return nil, errTooMany
	}
	at := func(i int) any {
		if i < len(list) {
			return list[i]
		}
		return nil
	}
	switch class.module + "." + class.name {
	case "collections.OrderedDict", "collections.defaultdict", "builtins.dict", "__builtin__.dict":
		d := &pickleDict{}
		for _, arg := range list { // a list of pairs
			if pairs, ok := arg.(*pickleList); ok {
				for _, pair := range pairs.items {
					if kv, ok := pair.(pickleTuple); ok && len(kv) == 2 {
						d.keys, d.values = append(d.keys, kv[0]), append(d.values, kv[1])
					} else if kv, ok := pair.(*pickleList); ok && len(kv.items) == 2 {
						d.keys, d.values = append(d.keys, kv.items[0]), append(d.values, kv.items[1])
					}
				}
			}
		}
		return d, nil
	case "torch.Size":
		if t, ok := at(0).(pickleTuple); ok {
			return t, nil
		}
	case "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v3":
		storage, ok := at(0).(*storageRef)
		offset, okOffset := at(1).(int64)
		size, okSize := integersOf(at(2))
		strides, okStrides := integersOf(at(3))
		if class.name == "_rebuild_tensor_v3" && ok { // bytes, and their type is an argument
			kind, _ := at(6).(pickleClass)
			storage = &storageRef{kind.name, storage.key, storage.count / int64(max(1, storageDtypes[kind.name].size))}
		}
		if ok && okOffset && okSize && okStrides {
			return &pickleTensor{storage, offset, size, strides}, nil
		}
	case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
		if t, ok := at(0).(*pickleTensor); ok {
			return t, nil
		}
	case "torch._tensor._rebuild_from_type_v2": // (function, type, arguments, state) of a subclass
		if _, ok := at(0).(pickleClass); ok {
			return u.construct(at(0), at(2))
		}
	}
	return &opaque{class.module + "." + class.name}, nil
}

func integersOf(v any) ([]int64, bool) {
	t, ok := v.(pickleTuple)
	list := []int64{}
	for _, item := range t {
		n, integer := item.(int64)
		if !integer {
			return nil, false
		}
		list = append(list, n)
	}
	return list, ok
}

package emit

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"
)

// example is a file with every instruction, and parameters of every kind.
func example() *File {
	f := NewFile("arm64")
	fn := f.Func("every", "func(dst []float32, few int32, x float64, src []int32, n int, y float32) (first float32, second int)",
		"every has all instructions.")
	p, q, r := fn.GP(), fn.GP(), fn.GP()
	fn.MOVD(fn.Base("dst"), p)
	fn.MOVD(fn.Len("src"), q)
	fn.MOVW(fn.Param("few"), r)
	fn.ADD(r, q, q)
	fn.MOVD(fn.Param("n"), r)
	fn.ADD(r, q, q)
	fn.MOVD(fn.Base("src"), r)
	fn.ADD(Imm(8), r, r)
	var v []Vec
	for i := range 32 {
		v = append(v, fn.Vec())
		fn.FMOVQ(fn.Constant(uint64(i), 1), v[i])
	}
	fn.FMOVD(fn.Param("x"), v[0])
	fn.FMOVS(fn.Param("y"), v[1])
	slot := fn.GP()
	fn.MOVD(fn.Local("slot", 32), slot)
	fn.FSTPQ(v[2], v[3], At(slot, 0))
	fn.FLDPQ(At(slot, 0), v[4], v[31])
	fn.FMOVQ(v[5], At(slot, 16))

	for _, as := range []Arrangement{S4, D2} {
		for _, three := range []func(m, n, d Arranged){
			fn.VADD, fn.VCMEQ, fn.VZIP1, fn.VZIP2, fn.VUZP1, fn.VTRN1, fn.VTRN2, fn.VFMLA, fn.VFADD, fn.VFSUB, fn.VFMUL,
			fn.VFDIV, fn.VFMAX, fn.VFMIN, fn.VFADDP, fn.VFMAXP, fn.VFCMEQ, fn.VFCMGE, fn.VFCMGT, fn.VSUB, fn.VUZP2, fn.VCMGT,
			fn.VCMHI, fn.VUSHL,
		} {
			three(v[0].As(as), v[31].As(as), v[7].As(as))
			three(v[30].As(as), v[9].As(as), v[31].As(as))
		}
		fn.VFABS(v[31].As(as), v[0].As(as))
		fn.VFABS(v[1].As(as), v[30].As(as))
		fn.VSHL(23, v[3].As(as), v[4].As(as))
		fn.VUSHR(3, v[3].As(as), v[4].As(as))
		fn.VDUPGP(q, v[6].As(as))
	}
	for _, three := range []func(m, n, d Arranged){fn.VAND, fn.VORR, fn.VEOR, fn.VBIT, fn.VBIF, fn.VBIC} {
		three(v[1].B16(), v[31].B16(), v[17].B16())
	}
	for _, as := range []Arrangement{H8, S4} {
		for _, three := range []func(m, n, d Arranged){fn.VUMAXP, fn.VUMINP, fn.VUMAX, fn.VUMIN, fn.VADD, fn.VSUB} {
			three(v[1].As(as), v[2].As(as), v[3].As(as))
		}
	}
	fn.VDUP(v[8].H(7), v[9].H8())
	fn.VEXT(8, v[1].B16(), v[2].B16(), v[3].B16())
	fn.VMOV(v[1].B16(), v[3].B16())
	fn.VMOVI(0, v[3].B16())
	fn.VDUP(v[8].S(3), v[9].S4())
	fn.VDUP(v[8].D(1), v[10].D2())
	fn.VMOVGP(v[9].S(2), q)
	fn.VLD1(At(p, 0), v[9].S(3))
	fn.VST1(v[9].D(1), At(p, 0))
	for i := range 4 {
		fn.VFMLAElement(v[31].S(i), v[8+i].S4(), v[9].S4())
	}
	for i := range 2 {
		fn.VFMLAElement(v[30].D(i), v[8+i].D2(), v[9].D2())
	}
	fn.VFCVTL(v[1].S2(), v[2].D2())
	fn.VFCVTL2(v[1].S4(), v[30].D2())
	fn.VFCVTN(v[1].D2(), v[2].S2())
	fn.VFCVTN2(v[30].D2(), v[2].S4())
	fn.VSXTL(v[31].S2(), v[2].D2())
	fn.VSXTL2(v[31].S4(), v[12].D2())
	fn.VXTN(v[31].D2(), v[13].S2())
	fn.VSXTLB(v[31].B8(), v[14].H8())
	fn.VSXTLH(v[30].H4(), v[15].S4())
	fn.VSXTLH2(v[29].H8(), v[16].S4())
	fn.VSCVTF(v[28].D2(), v[17].D2())
	for _, three := range []func(m, n, d Arranged){fn.VCMEQB, fn.VADDB, fn.VSUBB} {
		three(v[1].B16(), v[31].B16(), v[18].B16())
	}
	fn.VFCVTLH(v[31].H4(), v[14].S4())
	fn.VFCVTLH2(v[30].H8(), v[14].S4())
	fn.VFCVTNH(v[31].S4(), v[14].H4())
	fn.VFCVTNH2(v[30].S4(), v[14].H8())
	fn.VUXTL(v[31].H4(), v[14].S4())
	fn.VUXTL2(v[30].H8(), v[14].S4())
	fn.VXTNH(v[31].S4(), v[14].H4())
	fn.VXTNH2(v[30].S4(), v[14].H8())
	fn.VSMULL(v[1].B8(), v[31].B8(), v[15].H8())
	fn.VSMULL2(v[1].B16(), v[31].B16(), v[15].H8())
	fn.VSADALP(v[31].H8(), v[15].S4())
	fn.VADDP(v[1].S4(), v[31].S4(), v[15].S4())
	fn.MOVH(At(p, 2), q)
	fn.MOVH(q, At(p, 2))
	fn.MOVB(At(p, 1), q)
	for i := range v { // nothing may go as unused
		fn.FMOVQ(v[i], At(p, 16*i))
	}

	a, done := fn.GP(), fn.NewLabel("done")
	fn.MOVD(Imm(1<<40), a)
	for _, op := range []func(b Operand, a, d GP){fn.ADD, fn.SUB, fn.ADDS, fn.SUBS, fn.AND} {
		op(q, a, a)
		op(Imm(16), a, a)
	}
	fn.ADD(Shifted{q, 3}, a, a)
	fn.MOVD(Indexed(p, q, 8), a)
	fn.MOVWU(Indexed(p, q, 4), a)
	fn.MOVHU(Indexed(p, q, 2), a)
	fn.MOVD(a, Indexed(p, q, 8))
	fn.MOVW(a, Indexed(p, q, 4))
	fn.MOVH(a, Indexed(p, q, 2))
	fn.MOVH(a, At(p, 2))
	fn.MOVB(a, At(p, 1))
	fn.LSL(3, a, a)
	fn.LSR(2, a, a)
	fn.UDIV(q, a, a)
	fn.CMP(ZR, a)
	fn.CMP(Imm(3), a)
	fn.CSEL("LT", q, a, a)
	fn.FCMPS(v[1], v[2])
	fn.FCMPD(v[1], v[2])
	fn.PRFM(At(p, 64))
	for _, branch := range []func(Label){fn.BEQ, fn.BNE, fn.BLT, fn.BLE, fn.BGT, fn.BGE, fn.BVC} {
		branch(done)
	}
	fn.CBZ(a, done)
	fn.CBNZ(a, done)
	fn.TBZ(3, a, done)
	fn.MOVD(a, fn.Param("second"))
	fn.FMOVS(v[1], fn.Param("first"))
	fn.MOVW(a, At(p, 0))
	fn.MOVBU(At(p, 1), a)
	fn.MOVB(a, At(p, 2))
	fn.FCVTZSD(v[3], a)
	fn.MOVB(a, At(p, 3))
	fn.B(done)
	fn.Label(done)
	fn.RET()
	return f
}

var word = regexp.MustCompile(`WORD\s+\$(0x[0-9a-f]{8})(?: // (.*))?`)

// checkWords disassembles every WORD and compares it with its comment.
func checkWords(t *testing.T, code string) {
	lines := 0
	for line := range strings.Lines(code) {
		m := word.FindStringSubmatch(line)
		if m == nil {
			if strings.Contains(line, "WORD") {
				t.Errorf("%s: no WORD that can be read", line)
			}
			continue
		}
		lines++
		bits, err := strconv.ParseUint(m[1], 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		i, err := arm64asm.Decode(binary.LittleEndian.AppendUint32(nil, uint32(bits)))
		if err != nil {
			t.Errorf("%s %s: %v", m[1], m[2], err)
		} else if got := arm64asm.GNUSyntax(i); got != m[2] {
			t.Errorf("%s is %q, its comment says %q", m[1], got, m[2])
		}
	}
	if lines == 0 {
		t.Error("no WORD")
	}
	t.Logf("%d WORDs", lines)
}

func TestWords(t *testing.T) {
	asm, _, err := example().Generate()
	if err != nil {
		t.Fatal(err)
	}
	checkWords(t, string(asm))
}

// TestAssembles: Go takes every instruction, and finds the arguments where they are said to be.
func TestAssembles(t *testing.T) {
	asm, stubs, err := example().Generate()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example\n\ngo 1.24\n", "example_arm64.s": string(asm),
		"example_arm64.go": string(stubs)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{"build", "vet"} {
		c := exec.Command("go", command, ".")
		c.Dir = dir
		c.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "GOWORK=off", "GOFLAGS=")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", command, err, out)
		}
	}
}

// TestAllocation runs random programs with as many registers as they like and with those that allocation gave them: what they compute is
// the same.
func TestAllocation(t *testing.T) {
	for seed := range uint64(300) {
		f := NewFile("arm64")
		fn := f.Func("random", "func() int", "random is random.")
		random := rand.New(rand.NewPCG(seed, 5))
		var live []GP
		any := func() GP { return live[random.IntN(len(live))] }
		fresh := func() GP {
			g := fn.GP()
			live = append(live, g)
			if len(live) > 15 {
				live = live[1:]
			}
			return g
		}
		fn.MOVD(Imm(seed), fresh())
		for range 5 {
			count, loop, skip := fn.GP(), fn.NewLabel("loop"), fn.NewLabel("skip")
			fn.MOVD(Imm(3), count)
			fn.Label(loop)
			for range 8 {
				a, b := any(), any()
				switch random.IntN(4) {
				case 0:
					fn.MOVD(a, fresh())
				case 1:
					fn.ADD(b, a, fresh())
				case 2:
					fn.SUB(Imm(random.IntN(100)), a, a)
				case 3:
					fn.Interleave(func() { fn.ADD(b, a, a) }, func() { fn.SUB(Imm(1), b, b) })
				}
			}
			fn.CBZ(any(), skip)
			fn.ADD(any(), any(), any())
			fn.Label(skip)
			fn.SUBS(Imm(1), count, count)
			fn.CBNZ(count, loop)
		}
		fn.MOVD(any(), fn.Param("ret"))
		fn.RET()
		want := interpret(fn, func(r register) int { return int(r) })
		numbers, err := fn.finish()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got := interpret(fn, numbers); got != want {
			t.Fatalf("seed %d: %d with its registers, %d before", seed, got, want)
		}
	}
}

// interpret runs MOVD, ADD, SUB and CBZ, and returns the result.
func interpret(f *Func, numbers numbering) (result int64) {
	at := map[Label]int{}
	for i, inst := range f.insts {
		if inst.label != "" {
			at[inst.label] = i
		}
	}
	file := map[int]int64{}
	value := func(o Operand) int64 {
		if i, ok := o.(Imm); ok {
			return int64(i)
		}
		return file[numbers(o.(GP).r)]
	}
	for i := 0; ; i++ {
		inst := f.insts[i]
		switch inst.mnemonic {
		case "MOVD":
			if to, ok := inst.args[1].(GP); ok {
				file[numbers(to.r)] = value(inst.args[0])
			} else {
				result = value(inst.args[0])
			}
		case "ADD":
			file[numbers(inst.args[2].(GP).r)] = value(inst.args[1]) + value(inst.args[0])
		case "SUB", "SUBS":
			file[numbers(inst.args[2].(GP).r)] = value(inst.args[1]) - value(inst.args[0])
		case "CBZ", "CBNZ":
			if (value(inst.args[0]) == 0) == (inst.mnemonic == "CBZ") {
				i = at[inst.target]
			}
		case "RET":
			return result
		}
	}
}

func TestInterleave(t *testing.T) {
	fn := NewFile("arm64").Func("f", "func()", "f")
	a, b := fn.GP(), fn.GP()
	order := func() string {
		var s []string
		for _, i := range fn.insts {
			s = append(s, fmt.Sprint(i.args[0]))
		}
		fn.insts = nil
		return strings.Join(s, " ")
	}
	twice := func(r GP, x, y Imm) func() { return func() { fn.ADD(x, r, r); fn.ADD(y, r, r) } }
	fn.Interleave(twice(a, 1, 2), twice(b, 3, 4))
	if got := order(); got != "1 3 2 4" {
		t.Errorf("independent code: %s", got)
	}
	fn.Interleave(twice(a, 1, 2), func() { fn.ADD(Imm(3), a, b); fn.ADD(Imm(4), b, b) })
	if got := order(); got != "1 2 3 4" {
		t.Errorf("code that depends on what goes before: %s", got)
	}
	fn.Interleave(func() { fn.ADD(Imm(1), b, a); fn.ADD(Imm(2), b, a) }, twice(b, 3, 4))
	if got := order(); got != "1 2 3 4" {
		t.Errorf("code that writes what goes before reads: %s", got)
	}
}

// TestErrors: what would not work is refused.
func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		want  string
		write func(f *Func)
	}{
		"registers": {"no register is left", func(f *Func) {
			var v []Vec
			for range 33 {
				v = append(v, f.Vec())
				f.VMOVI(0, v[len(v)-1].B16())
			}
			for i := range v {
				f.FMOVS(v[i], f.Param("x"))
			}
			f.RET()
		}},
		"unwritten": {"reads a register that may not have been written", func(f *Func) { f.FMOVS(f.Vec(), f.Param("x")); f.RET() }},
		"unwritten lanes": {"reads a register that may not have been written", func(f *Func) {
			v, w := f.Vec(), f.Vec()
			f.VMOVI(0, w.B16())
			f.VFMLA(w.S4(), w.S4(), v.S4())
			f.FMOVS(v, f.Param("x"))
			f.RET()
		}},
		"written on one way only": {"reads a register that may not have been written", func(f *Func) {
			g, v := f.GP(), f.Vec()
			f.MOVD(Imm(0), g)
			f.CBZ(g, "over")
			f.VMOVI(0, v.B16())
			f.Label("over")
			f.FMOVS(v, f.Param("x"))
			f.RET()
		}},
		"label":         {"no label there", func(f *Func) { f.B("there") }},
		"labels":        {"the label here is there twice", func(f *Func) { f.Label("here"); f.Label("here"); f.B("here") }},
		"end":           {"control runs off the end", func(f *Func) { f.BEQ("here"); f.Label("here") }},
		"arrangement":   {"VADD of", func(f *Func) { v := f.Vec(); f.VADD(v.S4(), v.D2(), v.S4()) }},
		"no such bytes": {"fadd of", func(f *Func) { v := f.Vec(); f.VFADD(v.B16(), v.B16(), v.B16()) }},
		"element":       {"an element of another size", func(f *Func) { v := f.Vec(); f.VFMLAElement(v.D(0), v.S4(), v.S4()) }},
		"parameter":     {"no parameter y", func(f *Func) { f.Param("y") }},
		"slice":         {"x is a float32", func(f *Func) { f.Base("x") }},
		"offset":        {"an offset where", func(f *Func) { f.VLD1(At(f.GP(), 4), f.Vec().S(0)) }},
	} {
		t.Run(name, func(t *testing.T) {
			f := NewFile("arm64")
			var failure string
			func() {
				defer func() {
					if r := recover(); r != nil {
						failure = fmt.Sprint(r)
					}
				}()
				c.write(f.Func("bad", "func(x float32)", "bad is bad."))
				if _, _, err := f.Generate(); err != nil {
					failure = err.Error()
				}
			}()
			if !strings.HasPrefix(failure, "bad: ") || !strings.Contains(failure, c.want) {
				t.Errorf("%q, want %q", failure, "bad: … "+c.want)
			}
		})
	}
}

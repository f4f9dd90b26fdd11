package amd64

import (
	"errors"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/asm/machine"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/reg"
)

// TestCheck: what check is there to find is found.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, want string
		isa        *ISA
		body       func(m mach)
	}{
		{"nothing wrong", "", AVX2, func(m mach) { m.VADDPS(reg.Y1, reg.Y2, reg.Y3); m.VZEROUPPER(); m.RET() }},
		{"upper halves left dirty", "without VZEROUPPER", AVX2, func(m mach) { m.VADDPS(reg.Y1, reg.Y2, reg.Y3); m.RET() }},
		{"one way out left dirty", "without VZEROUPPER", AVX2, func(m mach) {
			m.TESTQ(reg.RAX, reg.RAX)
			m.JE(LabelRef("out"))
			m.VZEROUPPER()
			m.RET()
			m.Label("out")
			m.RET()
		}},
		{"legacy SSE", "ADDPS is legacy SSE", AVX512, func(m mach) { m.ADDPS(reg.X1, reg.X2); m.VZEROUPPER(); m.RET() }},
		{"a register of AVX-512", "that AVX2 lacks", AVX2, func(m mach) { m.VMOVUPS(reg.Y3, reg.Y17); m.VZEROUPPER(); m.RET() }},
		{"an instruction of AVX-512", "needs AVX512F", AVX2, func(m mach) { m.VPXORD(reg.Z1, reg.Z2, reg.Z3); m.VZEROUPPER(); m.RET() }},
		{"an instruction that dispatch does not ask for", "needs BMI2", AVX512, func(m mach) { m.BZHIQ(reg.RAX, reg.RCX, reg.RDX); m.VZEROUPPER(); m.RET() }},
		{"compress into zeros", "", AVX512, func(m mach) {
			m.VPXORD(reg.Z1, reg.Z1, reg.Z1)
			m.VPCOMPRESSD_Z(reg.Z2, reg.K1, reg.Z1)
			m.VZEROUPPER()
			m.RET()
		}},
		{"expand into what was there", "", AVX512, func(m mach) { m.VPEXPANDD(reg.Z2, reg.K1, reg.Z1); m.VZEROUPPER(); m.RET() }},
		{"compress that waits", "VPCOMPRESSD.Z without VPXORD", AVX512, func(m mach) {
			m.VPXORD(reg.Z2, reg.Z2, reg.Z2)
			m.VPCOMPRESSD_Z(reg.Z2, reg.K1, reg.Z1)
			m.VZEROUPPER()
			m.RET()
		}},
		{"expand that waits", "VEXPANDPS.Z without VPXORD", AVX512, func(m mach) { m.VEXPANDPS_Z(reg.Z2, reg.K1, reg.Z1); m.VZEROUPPER(); m.RET() }},
		{"expand that waits where it is jumped to", "VPEXPANDQ.Z without VPXORD", AVX512, func(m mach) {
			m.VPXORD(reg.Z1, reg.Z1, reg.Z1)
			m.Label("loop")
			m.VPEXPANDQ_Z(reg.Z2, reg.K1, reg.Z1)
			m.JMP(LabelRef("loop"))
			m.VZEROUPPER()
			m.RET()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(begin(c.isa, machine.F32, 0, machine.Function{Name: "f", Signature: "func(x []float32)", Doc: "is a test."}, nil))
			c.body(m)
			file, err := m.Result()
			if err != nil {
				t.Fatal(err)
			}
			if err := pass.FunctionPass(pass.RequiredISAExtensions).Execute(file); err != nil {
				t.Fatal(err)
			}
			err = check(file.Functions()[0], c.isa)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("check says %v, want %q", err, c.want)
			}
		})
	}
}

// TestOutOfRegisters: 17 vectors do not fit into the 16 registers of AVX2, and do into those of AVX-512.
func TestOutOfRegisters(t *testing.T) {
	f := machine.Function{Name: "f", Signature: "func(x float32) float32", Doc: "is a test."}
	kernel := func(c *Code) {
		m := c.Machine()
		v := make([]machine.V, 17)
		for i := range v {
			v[i] = m.Arg("x")
		}
		for _, x := range v[1:] {
			m.Add(v[0], v[0], x)
		}
		m.Return(v[0])
		c.End()
	}
	if _, err := compile(AVX2, machine.F32, f, nil, kernel); !errors.Is(err, errRegisters) {
		t.Errorf("AVX2: %v, want %v", err, errRegisters)
	}
	if _, err := compile(AVX512, machine.F32, f, nil, kernel); err != nil {
		t.Errorf("AVX-512: %v", err)
	}
}

// TestFolded: every register is folded into a lane of its own.
func TestFolded(t *testing.T) {
	for _, isa := range []*ISA{AVX2, AVX512} {
		for _, typ := range []machine.Type{machine.F32, machine.F64} {
			m := newMachine(begin(isa, typ, 0, machine.Function{Name: "f", Signature: "func()"}, nil))
			seen := map[int]bool{}
			for r, l := range m.folded(m.lanes()) {
				if l < 0 || l >= m.lanes() || seen[l] {
					t.Errorf("%s, %d lanes: register %d is folded into lane %d", isa.Name, m.lanes(), r, l)
				}
				seen[l] = true
			}
		}
	}
}

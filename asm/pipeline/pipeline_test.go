package pipeline_test

import (
	"strings"
	"testing"

	"github.com/lanewise/lanewise/asm/amd64"
	"github.com/lanewise/lanewise/asm/kernels"
	"github.com/lanewise/lanewise/asm/library"
	"github.com/lanewise/lanewise/asm/machine"
	"github.com/lanewise/lanewise/asm/pipeline"
	"github.com/mmcloughlin/avo/reg"
)

// TestForbidden: what an ISA does not have, put into any function of it, fails generation.
func TestForbidden(t *testing.T) {
	all := library.Kernels()
	if len(all) == 0 {
		t.Fatal("no kernels")
	}
	tried := 0
	bzhi := func(c *amd64.Code) {
		c.XORL(reg.EAX, reg.EAX)
		c.BZHIQ(reg.RAX, reg.RAX, reg.RAX)
	}
	for _, kernel := range all {
		for _, c := range []struct {
			want   string
			code   func(on *pipeline.On) *pipeline.Code
			mutate func(c *amd64.Code)
		}{
			{"needs BMI2", func(on *pipeline.On) *pipeline.Code { return &on.AVX2 }, bzhi},
			{"needs BMI2", func(on *pipeline.On) *pipeline.Code { return &on.AVX512 }, bzhi},
			{"AVX2 lacks", func(on *pipeline.On) *pipeline.Code { return &on.AVX2 }, func(c *amd64.Code) { c.VPXORD(reg.Y17, reg.Y17, reg.Y17) }},
			{"legacy SSE", func(on *pipeline.On) *pipeline.Code { return &on.AVX2 }, func(c *amd64.Code) { c.XORPS(reg.X1, reg.X1) }},
			{"without VZEROUPPER", func(on *pipeline.On) *pipeline.Code { return &on.AVX512 }, func(c *amd64.Code) { c.RET() }},
		} {
			k := kernel
			code := c.code(&k.On)
			if !code.Own() {
				continue
			}
			tried++
			*code = code.Before(c.mutate)
			if _, err := pipeline.Generate([]pipeline.Kernel{k}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want an error with %q", k.Name, err, c.want)
			}
		}
	}
	if tried < 3*len(all) {
		t.Errorf("only %d mutations of %d kernels", tried, len(all))
	}
}

// TestIncomplete: a list that leaves something out fails generation.
func TestIncomplete(t *testing.T) {
	for _, c := range []struct {
		want   string
		mutate func(k *pipeline.Kernel)
	}{
		{"says nothing of AVX2", func(k *pipeline.Kernel) { k.On.AVX2 = pipeline.Code{} }},
		{"says nothing of AVX512", func(k *pipeline.Kernel) { k.On.AVX512 = pipeline.Code{} }},
		{"says nothing of NEON", func(k *pipeline.Kernel) { k.On.NEON = pipeline.Code{} }},
		{"has no function that AVX2 could use", func(k *pipeline.Kernel) { k.On.AVX2 = pipeline.Of("NEON") }},
		{"no signature", func(k *pipeline.Kernel) { k.Signature = "" }},
		{"no parameter z", func(k *pipeline.Kernel) { k.Beyond = map[string]pipeline.Beyond{"z": {Read: 1}} }},
	} {
		k := kernels.All[0]
		c.mutate(&k)
		if _, err := pipeline.Generate([]pipeline.Kernel{k}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want an error with %q", err, c.want)
		}
	}
	if _, err := pipeline.Generate([]pipeline.Kernel{kernels.All[0], kernels.All[0]}); err == nil {
		t.Error("one kernel twice is no error")
	}
}

// TestOperand: what may be memory of the caller's cannot be written.
func TestOperand(t *testing.T) {
	for name, write := range map[string]func(m machine.Machine, x machine.V){
		"Add": func(m machine.Machine, x machine.V) { m.Add(x, x, m.Const(1)) },
		"Mul": func(m machine.Machine, x machine.V) { m.Mul(x, x, m.Const(1)) },
		"Set": func(m machine.Machine, x machine.V) { m.Set(x, m.New()) },
	} {
		k := pipeline.Kernel{Name: "f", Signature: "func(x []T)", Doc: "is a test.", On: pipeline.Everywhere(func(m machine.Machine) {
			m.Each(func(j int, x []machine.V) machine.V {
				write(m, x[0])
				return machine.None
			}, machine.Operand("x"))
		})}
		err := func() (err any) {
			defer func() {
				if p := recover(); p != nil {
					err = p
				}
			}()
			_, e := pipeline.Generate([]pipeline.Kernel{k})
			if e != nil {
				err = e
			}
			return err
		}()
		if err == nil {
			t.Errorf("%s writes to an operand", name)
		}
	}
}

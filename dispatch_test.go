package lanewise

import (
	"bytes"
	"errors"
	"fmt"
	"golang.org/x/sys/cpu"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

func TestISAString(t *testing.T) {
	for isa, want := range map[ISA]string{Generic: "generic", AVX2: "avx2", AVX512: "avx512", NEON: "neon", 200: "ISA(200)"} {
		if got := isa.String(); got != want {
			t.Errorf("ISA(%d).String() = %q, want %q", uint8(isa), got, want)
		}
	}
}

func TestUseISA(t *testing.T) {
	before := ActiveISA()
	defer UseISA(before)
	available := AvailableISAs()
	if len(available) == 0 || available[len(available)-1] != Generic {
		t.Fatalf("AvailableISAs() = %v, want generic at the end", available)
	}
	if slices.Contains(available[:len(available)-1], Generic) {
		t.Fatalf("AvailableISAs() = %v", available)
	}
	for _, isa := range []ISA{Generic, AVX2, AVX512, NEON, 200} {
		active := ActiveISA()
		err := UseISA(isa)
		if slices.Contains(available, isa) {
			if err != nil || ActiveISA() != isa {
				t.Errorf("UseISA(%v): %v, then %v is active", isa, err, ActiveISA())
			}
			continue
		}
		if !errors.Is(err, ErrISA) || !strings.HasPrefix(err.Error(), "lanewise: ") || !strings.Contains(err.Error(), isa.String()) {
			t.Errorf("UseISA(%v) = %v, want ErrISA with its name", isa, err)
		}
		if ActiveISA() != active {
			t.Errorf("a failed UseISA(%v) changed the ISA to %v", isa, ActiveISA())
		}
	}
	available[0] = 200 // the slice is the caller's
	if slices.Contains(AvailableISAs(), 200) {
		t.Error("AvailableISAs returns a slice that is shared")
	}
}

// isaReport is the variable that makes TestISAReport print what a process picked.
const isaReport = "LANEWISE_ISA_REPORT"

// TestISAReport is the other process of TestEnvironment and TestHiddenFeatures.
func TestISAReport(t *testing.T) {
	if os.Getenv(isaReport) == "" {
		t.Skip("not asked for")
	}
	fmt.Printf("picked %v of %v\n", ActiveISA(), AvailableISAs())
}

// pick starts this test binary with an environment and returns what it picked and wrote to stderr.
func pick(t *testing.T, environment ...string) (picked, stderr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Skip("no way to start another process: ", err)
	}
	c := exec.Command(self, "-test.run=^TestISAReport$")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "LANEWISE_ISA=") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(append(c.Env, isaReport+"=1"), environment...)
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	if err := c.Run(); err != nil {
		if exit := new(exec.ExitError); !errors.As(err, &exit) { // as where an emulator runs this one
			t.Skip("no way to start another process: ", err)
		}
		t.Fatalf("%v: %v\n%s%s", environment, err, &out, &errOut)
	}
	picked, _, ok := strings.Cut(out.String(), "\n")
	if !ok || !strings.HasPrefix(picked, "picked ") {
		t.Fatalf("%v: printed %q", environment, &out)
	}
	return picked, errOut.String()
}

// TestEnvironment: LANEWISE_ISA picks; what it cannot pick is reported once, and does not stop the process.
func TestEnvironment(t *testing.T) {
	available := AvailableISAs()
	for _, value := range []string{"", "generic", "avx2", "avx512", "neon", "AVX2", "sse", "avx2,generic"} {
		want, report := available[0], value != ""
		for _, isa := range available {
			if isa.String() == value {
				want, report = isa, false
			}
		}
		picked, stderr := pick(t, "LANEWISE_ISA="+value)
		if picked != fmt.Sprintf("picked %v of %v", want, available) {
			t.Errorf("LANEWISE_ISA=%s: %s, want %v of %v", value, picked, want, available)
		}
		lines := 0
		for line := range strings.Lines(stderr) {
			if strings.Contains(line, "lanewise") {
				lines++
				if !strings.Contains(line, "LANEWISE_ISA="+value) || !strings.Contains(line, want.String()) {
					t.Errorf("LANEWISE_ISA=%s: stderr says %q, want the value and the ISA in use", value, line)
				}
			}
		}
		if lines != b2i(report) {
			t.Errorf("LANEWISE_ISA=%s: %d lines on stderr, want %d: %q", value, lines, b2i(report), stderr)
		}
	}
}

// TestHiddenFeatures: a feature that GODEBUG switches off takes the ISAs with it that ask for it.
func TestHiddenFeatures(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("an amd64 matter")
	}
	hidden := append([]string{"all", "avx512vbmi", "bmi2"}, features[AVX512]...)
	if len(features[AVX2]) == 0 || len(hidden) <= 3+len(features[AVX2]) {
		t.Fatalf("features: %v", features)
	}
	for _, hidden := range hidden {
		var want []ISA
		for _, isa := range AvailableISAs() {
			if isa == Generic || hidden != "all" && !slices.Contains(features[isa], hidden) {
				want = append(want, isa)
			}
		}
		setting := "cpu." + hidden + "=off"
		if before := os.Getenv("GODEBUG"); before != "" {
			setting = before + "," + setting
		}
		if picked, _ := pick(t, "GODEBUG="+setting); picked != fmt.Sprintf("picked %v of %v", want[0], want) {
			t.Errorf("GODEBUG=%s: %s, want %v of %v", setting, picked, want[0], want)
		}
	}
}

// TestDetection: the ISAs are those that the CPU has every feature of, each asked for by itself.
func TestDetection(t *testing.T) {
	x := &cpu.X86
	avx2 := x.HasAVX2 && x.HasFMA && x.HasF16C && x.HasPOPCNT
	avx512 := avx2 && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512CD && x.HasAVX512DQ && x.HasAVX512VL
	assembly := !hasTag("purego")
	var want []ISA
	for _, isa := range []ISA{AVX512, AVX2} {
		if has := map[ISA]bool{AVX512: avx512, AVX2: avx2}; assembly && has[isa] {
			want = append(want, isa)
		}
	}
	if assembly && runtime.GOARCH == "arm64" && cpu.ARM64.HasASIMD {
		want = append(want, NEON)
	}
	if want = append(want, Generic); !slices.Equal(AvailableISAs(), want) {
		t.Errorf("AvailableISAs() = %v, want %v", AvailableISAs(), want)
	}
}

// hasTag says whether this test was built with a build tag.
func hasTag(tag string) bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			return slices.Contains(strings.Split(s.Value, ","), tag)
		}
	}
	return false
}

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanewise/lanewise"
)

// npy returns a .npy file.
func npy(typ, shape string, elements any) []byte {
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", typ, shape)
	for (10+len(header)+1)%64 != 0 {
		header += " "
	}
	header += "\n"
	var b bytes.Buffer
	b.WriteString("\x93NUMPY\x01\x00")
	binary.Write(&b, binary.LittleEndian, uint16(len(header)))
	b.WriteString(header)
	binary.Write(&b, binary.LittleEndian, elements)
	return b.Bytes()
}

// logits are those of an image whose pixel i is of the class (i + shift) mod classes.
func logits(classes, pixels, shift int) []float32 {
	x := make([]float32, classes*pixels)
	for i := range pixels {
		x[(i+shift)%classes*pixels+i] = 3
	}
	return x
}

func post(t *testing.T, h http.Handler, path, accept string, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("POST", path, body)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func testServer() *server {
	s := newServer(1 << 20)
	s.index = newIndex([]float32{1, 0, 0, 3, -2, 0, 4, 4}, 4, 2)
	return s
}

func TestMask(t *testing.T) {
	s := testServer()
	body := npy("<f4", "(5, 4, 3)", logits(5, 12, 2))
	w := post(t, s, "/mask", "image/png", bytes.NewReader(body))
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/png" {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	img, err := png.Decode(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := img.(*image.Paletted)
	if !ok || p.Bounds() != image.Rect(0, 0, 3, 4) {
		t.Fatalf("%T of %v", img, img.Bounds())
	}
	for i, class := range p.Pix {
		if int(class) != (i+2)%5 {
			t.Errorf("pixel %d has the class %d", i, class)
		}
	}

	halves := make([]uint16, 60)
	lanewise.ToFloat16(halves, logits(5, 12, 2))
	for _, body := range [][]byte{body, npy("<f2", "(1, 5, 4, 3)", halves)} {
		w = post(t, s, "/mask", "application/json", bytes.NewReader(body))
		var answer struct {
			Height, Width int
			Classes       []classShare
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
			t.Fatalf("status %d: %v", w.Code, err)
		}
		confidence := math.Exp(3) / (math.Exp(3) + 4)
		for i, c := range answer.Classes {
			pixels := []int{2, 2, 3, 3, 2}[i]
			if c.Class != i || c.Pixels != pixels || c.Share != float64(pixels)/12 || math.Abs(c.Confidence-confidence) > 1e-6 {
				t.Errorf("class %d: %+v, want %d pixels, confidence %v", i, c, pixels, confidence)
			}
		}
		if answer.Height != 4 || answer.Width != 3 || len(answer.Classes) != 5 {
			t.Errorf("%+v", answer)
		}
	}
}

func TestSearch(t *testing.T) {
	s := testServer()
	for _, c := range []struct {
		parameters string
		want       []neighbour
	}{
		{"?k=2", []neighbour{{1, 1}, {3, float32(math.Sqrt(0.5))}}},
		{"?k=3&metric=dot", []neighbour{{3, 8}, {1, 6}, {0, 0}}},
		{"?metric=cosine", []neighbour{{1, 1}, {3, float32(math.Sqrt(0.5))}, {0, 0}, {2, 0}}},
	} {
		array := string(npy("<f4", "(2,)", []float32{0, 2}))
		for typ, body := range map[string]string{"": array, "application/json": `{"query": [0, 2]}`, "application/x-www-form-urlencoded": array} {
			r := httptest.NewRequest("POST", "/search"+c.parameters, strings.NewReader(body))
			r.Header.Set("Content-Type", typ) // curl --data-binary says the last one unless it is told otherwise
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			var answer struct{ Neighbours []neighbour }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 || len(answer.Neighbours) != len(c.want) {
				t.Fatalf("%s: status %d, %s", c.parameters, w.Code, w.Body)
			}
			for i, n := range answer.Neighbours {
				if n.Index != c.want[i].Index || math.Abs(float64(n.Score-c.want[i].Score)) > 1e-6 {
					t.Errorf("%s: neighbour %d is %+v, want %+v", c.parameters, i, n, c.want[i])
				}
			}
		}
	}
}

// TestBadRequests: each is answered with its status and a reason, and costs no memory for what it only claims to hold.
func TestBadRequests(t *testing.T) {
	s := testServer()
	whole := npy("<f4", "(5, 4, 3)", logits(5, 12, 0))
	nan := logits(5, 12, 0)
	nan[17] = float32(math.NaN())
	for name, c := range map[string]struct {
		path, typ string
		body      []byte
		status    int
		want      string
	}{
		"nothing":             {"/mask", "", nil, 400, "ends within the header"},
		"text":                {"/mask", "", []byte("some logits, honestly"), 400, "no .npy"},
		"half a header":       {"/mask", "", whole[:40], 400, "ends within the header"},
		"truncated":           {"/mask", "", whole[:len(whole)-1], 400, "ends after 239 of 240 bytes"},
		"too much":            {"/mask", "", append(bytes.Clone(whole), 0), 400, "more behind"},
		"no header":           {"/mask", "", append([]byte("\x93NUMPY\x01\x00\x0a\x00"), "0123456789"...), 400, "not one"},
		"version":             {"/mask", "", append([]byte("\x93NUMPY\x09\x00\x0a\x00"), "0123456789"...), 400, "version 9"},
		"long header":         {"/mask", "", append([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"), whole...), 400, "header of"},
		"float64":             {"/mask", "", npy("<f8", "(2, 1, 1)", []float64{1, 2}), 415, "<f8"},
		"big-endian":          {"/mask", "", npy(">f4", "(2, 1, 1)", []float32{1, 2}), 415, ">f4"},
		"fortran":             {"/mask", "", bytes.Replace(whole, []byte("False"), []byte("True "), 1), 415, "Fortran"},
		"2⁶⁰ elements":        {"/mask", "", npy("<f4", "(1152921504606846976,)", []float32{1}), 413, "larger than"},
		"2⁶⁰ in three":        {"/mask", "", npy("<f4", "(1048576, 1048576, 1048576)", []float32{1}), 413, "larger than"},
		"2⁶⁴ elements":        {"/mask", "", npy("<f4", "(18446744073709551616,)", []float32{1}), 400, "shape"},
		"a little too large":  {"/mask", "", npy("<f4", "(1, 1, 262145)", []float32{1}), 413, "larger than"},
		"negative":            {"/mask", "", npy("<f4", "(-1, 1, 1)", []float32{1}), 400, "shape"},
		"two axes":            {"/mask", "", npy("<f4", "(2, 2)", []float32{1, 2, 3, 4}), 422, "want [classes, height, width]"},
		"a batch":             {"/mask", "", npy("<f4", "(2, 2, 1, 1)", []float32{1, 2, 3, 4}), 422, "want [classes, height, width]"},
		"no pixel":            {"/mask", "", npy("<f4", "(2, 0, 1)", []float32{}), 422, "at least one pixel"},
		"no class":            {"/mask", "", npy("<f4", "(0, 2, 1)", []float32{}), 422, "1 to 256 classes"},
		"257 classes":         {"/mask", "", npy("<f4", "(257, 1, 1)", make([]float32, 257)), 422, "1 to 256 classes"},
		"NaN":                 {"/mask", "", npy("<f4", "(5, 4, 3)", nan), 422, "row 1, column 2"},
		"k = 0":               {"/search?k=0", "", npy("<f4", "(2,)", []float32{1, 2}), 400, `k is "0"`},
		"k = ten":             {"/search?k=ten", "", npy("<f4", "(2,)", []float32{1, 2}), 400, `k is "ten"`},
		"metric":              {"/search?metric=l3", "", npy("<f4", "(2,)", []float32{1, 2}), 400, "l3"},
		"three elements":      {"/search", "", npy("<f4", "(3,)", []float32{1, 2, 3}), 422, "has 3 elements, the embeddings 2"},
		"zeros":               {"/search", "", npy("<f4", "(2,)", []float32{0, 0}), 422, "norm 0"},
		"NaN query":           {"/search?metric=dot", "", npy("<f4", "(2,)", []float32{float32(math.NaN()), 0}), 422, "norm NaN"},
		"too large a product": {"/search?metric=dot", "", npy("<f4", "(2,)", []float32{3e38, 0}), 422, "+Inf"},
		"no JSON":             {"/search", "application/json", []byte(`{"query": [1, 2`), 400, "query"},
		"other JSON":          {"/search", "application/json", []byte(`{"q": [1, 2]}`), 400, "query"},
		"JSON and more":       {"/search", "application/json", []byte(`{"query": [1, 2]} []`), 400, "more behind"},
		"long JSON":           {"/search", "application/json", []byte(`{"query": [` + strings.Repeat("1, ", 1<<20) + `1]}`), 413, "larger than"},
		"elsewhere":           {"/masks", "", whole, 404, "/masks"},
	} {
		r := httptest.NewRequest("POST", c.path, bytes.NewReader(c.body))
		r.Header.Set("Content-Type", c.typ)
		w := httptest.NewRecorder()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s.ServeHTTP(w, r)
		runtime.ReadMemStats(&after)
		var answer struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Errorf("%s: %s is no JSON: %v", name, w.Body, err)
		}
		if w.Code != c.status || !strings.Contains(answer.Error, c.want) {
			t.Errorf("%s: status %d, %q; want %d, %s", name, w.Code, answer.Error, c.status, c.want)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 32<<20 {
			t.Errorf("%s: allocated %d bytes", name, allocated)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/mask", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" || !json.Valid(w.Body.Bytes()) {
		t.Errorf("GET: status %d, %s", w.Code, w.Body)
	}
	if w := post(t, newServer(1<<20), "/search", "", bytes.NewReader(nil)); w.Code != 404 {
		t.Errorf("search without embeddings: status %d", w.Code)
	}
}

// start runs a server and returns its address, and what ends it and returns what run did.
func start(t *testing.T, s *server) (url string, stop func() error) {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Skip("no network: ", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx, listener) }()
	return "http://" + listener.Addr().String(), func() error {
		cancel()
		return <-ended
	}
}

// TestParallel sends 64 requests side by side, good ones of many sizes and bad ones: each gets its own answer.
func TestParallel(t *testing.T) {
	url, stop := start(t, testServer())
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			classes, side := 2+i%19, 8+i
			body := npy("<f4", fmt.Sprintf("(%d, %d, %d)", classes, side, side), logits(classes, side*side, i))
			bad := i%8 == 5
			if bad {
				body = body[:len(body)-4]
			}
			for range 4 {
				r, err := http.Post(url+"/mask", "application/octet-stream", bytes.NewReader(body))
				if err != nil {
					t.Errorf("request %d: %v", i, err)
					return
				}
				answer, err := io.ReadAll(r.Body)
				r.Body.Close()
				if bad {
					if r.StatusCode != 400 || !json.Valid(answer) || err != nil {
						t.Errorf("request %d: status %d, %s, %v", i, r.StatusCode, answer, err)
					}
					continue
				}
				img, err := png.Decode(bytes.NewReader(answer))
				if err != nil || r.StatusCode != 200 {
					t.Errorf("request %d: status %d, %v", i, r.StatusCode, err)
					return
				}
				for j, class := range img.(*image.Paletted).Pix {
					if int(class) != (j+i)%classes {
						t.Errorf("request %d: pixel %d has the class %d", i, j, class)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestShutdown: a request that has begun is answered, later ones are not taken.
func TestShutdown(t *testing.T) {
	s := testServer()
	url, stop := start(t, s)
	body, more := io.Pipe()
	type answer struct {
		status int
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		r, err := http.Post(url+"/mask", "application/octet-stream", body)
		if err != nil {
			answered <- answer{0, err}
			return
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		answered <- answer{r.StatusCode, nil}
	}()
	whole := npy("<f4", "(5, 4, 3)", logits(5, 12, 0))
	if _, err := more.Write(whole[:100]); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); len(s.turns) == 0; time.Sleep(time.Millisecond) { // it has not come in yet
		if time.Since(begun) > 10*time.Second {
			t.Fatal("the request does not begin")
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	refused := false
	for range 100 { // until the listener is closed
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), time.Second)
		if refused = err != nil; refused {
			break
		}
		c.Close()
		time.Sleep(20 * time.Millisecond)
	}
	if !refused {
		t.Error("a connection was taken after the end")
	}
	if _, err := more.Write(whole[100:]); err != nil {
		t.Fatal(err)
	}
	more.Close()
	if a := <-answered; a.err != nil || a.status != 200 {
		t.Errorf("the request that had begun: %+v", a)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestAllocations: the kernels' part of a request allocates nothing once its memory is there.
func TestAllocations(t *testing.T) {
	s := testServer()
	var w work
	x, query := logits(19, 100, 3), []float32{1, 2}
	if allocs := testing.AllocsPerRun(10, func() {
		w.classify(x, 19)
		w.nearest(s.index, query, 3, true)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestReadIndex(t *testing.T) {
	name := filepath.Join(t.TempDir(), "embeddings.npy")
	write := func(b []byte) {
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(npy("<f4", "(3, 2)", []float32{3, 4, 0, 0, 0, 2}))
	x, err := readIndex(name)
	if err != nil {
		t.Fatal(err)
	}
	if x.rows != 3 || x.cols != 2 || x.scale[0] != 0.2 || x.scale[1] != 0 || x.scale[2] != 0.5 {
		t.Errorf("%+v", x)
	}
	write(npy("<f4", "(6,)", make([]float32, 6)))
	if _, err := readIndex(name); err == nil || !strings.Contains(err.Error(), "[6]") {
		t.Errorf("a vector: %v", err)
	}
	if _, err := readIndex(name + "x"); err == nil {
		t.Error("a file that is not there was read")
	}
}

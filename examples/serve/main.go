// Command serve is a small service on top of package lanewise: class masks from a segmentation network's logits, and the nearest
// embeddings.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	address := flag.String("addr", "localhost:8080", "where to listen")
	embeddings := flag.String("embeddings", "", "a .npy of [rows, cols], float32 or float16, for /search")
	limit := flag.Int64("limit", 64, "the largest body, in MB")
	flag.Parse()
	if flag.NArg() > 0 || *limit < 1 || *limit > 1<<10 {
		flag.Usage()
		os.Exit(2)
	}
	s := newServer(*limit << 20)
	if *embeddings != "" {
		var err error
		if s.index, err = readIndex(*embeddings); err != nil {
			log.Fatal("serve: ", err)
		}
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal("serve: ", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.Printf("serve: on http://%s", listener.Addr())
	if err := s.run(ctx, listener); err != nil {
		log.Fatal("serve: ", err)
	}
}

// A server answers requests. What they need is kept for the next ones.
type server struct {
	limit int64         // of a body, in bytes
	index *index        // nil: no search
	turns chan struct{} // as many requests are worked on as there is room for here: memory is bounded, and they do not slow each other down
	kept  sync.Pool     // of *work
}

// A work is the memory of one request.
type work struct {
	reader
	classes  []int32
	pixels   []uint8
	products []float32
	scores   []float32
	found    []int32
}

func newServer(limit int64) *server {
	return &server{limit: limit, turns: make(chan struct{}, 2*runtime.GOMAXPROCS(0)), kept: sync.Pool{New: func() any { return new(work) }}}
}

// work waits for a turn. The caller calls done afterwards.
func (s *server) work(r *http.Request) (w *work, done func(), err error) {
	select {
	case s.turns <- struct{}{}:
	case <-r.Context().Done():
		return nil, nil, failure(http.StatusServiceUnavailable, "the request was given up")
	}
	w = s.kept.Get().(*work)
	return w, func() {
		s.kept.Put(w)
		<-s.turns
	}, nil
}

// ServeHTTP answers every request with what it asks for, or with an error as JSON.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handle := map[string]func(http.ResponseWriter, *http.Request) error{"/mask": s.mask, "/search": s.search}[r.URL.Path]
	var err error
	switch {
	case handle == nil:
		err = failure(http.StatusNotFound, "there is no %s: want /mask or /search", r.URL.Path)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		err = failure(http.StatusMethodNotAllowed, "%s takes POST", r.URL.Path)
	default:
		r.Body = http.MaxBytesReader(w, r.Body, s.limit+1<<13) // the header of a .npy is beside its elements
		err = handle(w, r)
	}
	if err == nil {
		return
	}
	var status *statusError
	if !errors.As(err, &status) { // the client went away
		log.Printf("serve: %s: %v", r.URL.Path, err)
		return
	}
	respond(w, status.status, map[string]string{"error": status.message})
}

// respond writes v as JSON.
func respond(w http.ResponseWriter, status int, v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // people read "<f4"
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("a response that is no JSON: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err := w.Write(text.Bytes())
	return err
}

// run serves until ctx ends, and then answers the requests that have begun.
func (s *server) run(ctx context.Context, listener net.Listener) error {
	h := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 16}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return h.Shutdown(ctx)
}

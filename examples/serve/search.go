package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"os"
	"strconv"

	"github.com/lanewise/lanewise"
)

// An index is a matrix of embeddings, a row each.
type index struct {
	m          []float32 // [rows, cols]
	rows, cols int
	scale      []float32 // 1 over the norm of each row, 0 for rows of zeros
}

// readIndex reads a .npy of [rows, cols].
func readIndex(name string) (*index, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b reader
	a, err := b.read(f, math.MaxInt/4)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(a.shape) != 2 || a.shape[0] < 1 || a.shape[1] < 1 {
		return nil, fmt.Errorf("%s: the embeddings have the shape %v, want [rows, cols]", name, a.shape)
	}
	return newIndex(a.data, a.shape[0], a.shape[1]), nil
}

func newIndex(m []float32, rows, cols int) *index {
	x := &index{m, rows, cols, make([]float32, rows)}
	for r := range x.scale {
		if norm := lanewise.Norm(m[r*cols : (r+1)*cols]); norm > 0 {
			x.scale[r] = 1 / norm
		}
	}
	return x
}

// A neighbour is a row and how near it is: its dot product or cosine with the query.
type neighbour struct {
	Index int32   `json:"index"`
	Score float32 `json:"score"`
}

const maxNeighbours = 1000

// search answers a query, a .npy of [cols] or JSON {"query": [...]}, with the nearest rows.
func (s *server) search(w http.ResponseWriter, r *http.Request) error {
	if s.index == nil {
		return failure(http.StatusNotFound, "the service was started without embeddings")
	}
	parameters := r.URL.Query() // FormValue would read the body where curl calls it a form
	k, err := number(parameters.Get("k"), 10)
	if err != nil || k < 1 || k > maxNeighbours {
		return failure(http.StatusBadRequest, "k is %q, want 1 to %d", parameters.Get("k"), maxNeighbours)
	}
	metric := parameters.Get("metric")
	if metric != "" && metric != "dot" && metric != "cosine" {
		return failure(http.StatusBadRequest, "the metric is %q, want dot or cosine", metric)
	}
	work, done, err := s.work(r)
	if err != nil {
		return err
	}
	defer done()
	query, err := work.query(r, s.limit)
	if err != nil {
		return err
	}
	if len(query) != s.index.cols {
		return failure(http.StatusUnprocessableEntity, "the query has %d elements, the embeddings %d", len(query), s.index.cols)
	}
	if norm := lanewise.Norm(query); norm-norm != 0 || norm == 0 && metric != "dot" {
		return failure(http.StatusUnprocessableEntity, "the query has the norm %v", norm)
	}
	work.nearest(s.index, query, min(k, s.index.rows), metric != "dot")
	neighbours := make([]neighbour, len(work.scores))
	for i, score := range work.scores {
		if score-score != 0 {
			return failure(http.StatusUnprocessableEntity, "the product with row %d is %v", work.found[i], score)
		}
		neighbours[i] = neighbour{work.found[i], score}
	}
	return respond(w, http.StatusOK, map[string]any{"neighbours": neighbours})
}

// nearest writes the k best rows to work.found and work.scores, by the cosine or by the dot product.
func (work *work) nearest(x *index, query []float32, k int, cosine bool) {
	work.products = resize(work.products, x.rows)
	work.scores, work.found = resize(work.scores, k), resize(work.found, k)
	if cosine {
		lanewise.Normalize(query, query)
	}
	lanewise.DotRows(work.products, x.m, query)
	if cosine {
		for i, s := range x.scale {
			work.products[i] *= s
		}
	}
	lanewise.TopK(work.scores, work.found, work.products)
}

// query reads the query of a request.
func (work *work) query(r *http.Request, most int64) ([]float32, error) {
	if typ, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); typ != "application/json" {
		a, err := work.read(r.Body, most)
		if err != nil {
			return nil, err
		}
		if len(a.shape) == 2 && a.shape[0] == 1 || len(a.shape) == 1 {
			return a.data, nil
		}
		return nil, failure(http.StatusUnprocessableEntity, "the query has the shape %v, want [cols]", a.shape)
	}
	var body struct{ Query []float32 }
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		return nil, unreadable(err, "the body is not {\"query\": [...]}: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, failure(http.StatusBadRequest, "there is more behind the query")
	}
	return body.Query, nil
}

// number is the number that text is, or otherwise the default.
func number(text string, otherwise int) (int, error) {
	if text == "" {
		return otherwise, nil
	}
	return strconv.Atoi(text)
}

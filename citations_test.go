package lanewise

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	cited    = regexp.MustCompile(`[\w.*/-]*\w\.(?:md|go|s|sh|svg)\b`)
	link     = regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
	fenced   = regexp.MustCompile("(?ms)^```.*?^```")
	comments = regexp.MustCompile(`(?m)//.*$`)
)

// Comments and documents name files; here each has to be one of the repository. A name may begin at the root, at the file that cites it, or
// within a path, as kernels.go in bench/README.md. A link of a document has to lead somewhere from where it stands.
func TestCitations(t *testing.T) {
	if _, err := os.Stat("go.work"); err != nil {
		t.Skip("not in a clone: the root module alone does not have all files")
	}
	files := map[string]bool{}
	repository := os.DirFS(".")
	err := fs.WalkDir(repository, ".", func(file string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules") {
			return fs.SkipDir
		}
		files[file] = err == nil && !entry.IsDir()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// isThere tells whether a file has this path, or ends in it; a pattern needs one file.
	isThere := func(name string) bool {
		name = strings.TrimLeft(path.Clean(name), "./")
		for file := range files {
			for rest := file; rest != ""; _, rest, _ = strings.Cut(rest, "/") {
				if ok, _ := path.Match(name, rest); ok {
					return true
				}
			}
		}
		return false
	}
	checked := 0
	for file, isFile := range files {
		if !isFile {
			continue
		}
		var prose string
		switch path.Ext(file) {
		case ".go":
			prose = strings.Join(comments.FindAllString(read(t, repository, file), -1), "\n")
		case ".md":
			prose = fenced.ReplaceAllString(read(t, repository, file), "")
			for _, m := range link.FindAllStringSubmatch(prose, -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				if _, ok := files[path.Join(path.Dir(file), m[1])]; !ok {
					t.Errorf("%s has a link to %s, which is not there", file, m[1])
				}
			}
		default:
			continue
		}
		prose = regexp.MustCompile(`\w+://[^\s)]+`).ReplaceAllString(prose, "") // files elsewhere
		for _, name := range cited.FindAllString(prose, -1) {
			checked++
			if file == "docs/adding-a-kernel.md" && strings.Contains(path.Base(name), "abs") {
				continue // it has its reader write these
			}
			if !isThere(name) {
				t.Errorf("%s cites %s, which is not there", file, name)
			}
		}
	}
	if checked < 50 {
		t.Errorf("found %d citations, which is too few to be all", checked)
	}
}

func read(t *testing.T, files fs.FS, name string) string {
	t.Helper()
	text, err := fs.ReadFile(files, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every exported function has an example, whose output is compared.
func TestExamples(t *testing.T) {
	set := token.NewFileSet()
	var files []*ast.File
	names, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "example_") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	p, err := doc.NewFromFiles(set, files, "github.com/lanewise/lanewise")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Funcs) < 40 {
		t.Fatalf("%d functions: they are not found", len(p.Funcs))
	}
	for _, f := range p.Funcs {
		if !slices.ContainsFunc(f.Examples, func(e *doc.Example) bool { return e.Output != "" }) {
			t.Errorf("%s has no example with an output", f.Name)
		}
	}
}

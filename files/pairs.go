package files

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// A Pair is the files of one image, or of one batch of images.
type Pair struct {
	Name   string // the path below the folder, or from the first wildcard on, without the extension
	Logits string
	Labels string
}

// A Set is many files: those of a folder, or those that a pattern matches. Paths have slashes.
type Set struct {
	Spec  string // the folder, or the pattern
	Dir   bool
	Role  Role
	Raw   bool // raw float32 can be read too
	Files []string
}

// IsSet reports whether a path of this machine stands for many files: a folder, or a pattern. Where only a [ makes it one, which names of
// files have too, it has to fit a file.
func IsSet(path string) bool {
	info, err := os.Stat(path)
	if err == nil {
		return info.IsDir()
	}
	if strings.ContainsAny(path, "*?") {
		return true
	}
	fits, err := filepath.Glob(path)
	return IsPattern(path) && err == nil && len(fits) > 0
}

// IsPattern reports whether a path has wildcards: * and ? match within a folder, ** across folders, [a-z] one character.
func IsPattern(path string) bool { return strings.ContainsAny(path, "*?[") }

// List finds the files of a folder of this machine, in all folders below it, or those that a pattern matches.
func List(spec string, role Role, raw bool) (*Set, error) {
	s := &Set{Spec: path.Clean(filepath.ToSlash(spec)), Role: role, Raw: raw}
	info, err := os.Stat(spec)
	if s.Dir = err == nil && info.IsDir(); s.Dir {
		if err := refuseZarr(spec, role); err != nil {
			return nil, err
		}
	}
	if s.Dir || strings.Contains(s.Spec, "**") {
		root := spec
		var fits *regexp.Regexp
		if !s.Dir {
			root = fixed(s.Spec)
			if root == "" {
				root = "."
			}
			if fits, err = compile(s.Spec); err != nil {
				return nil, err
			}
		}
		err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && name != root && strings.HasPrefix(entry.Name(), "."):
				return filepath.SkipDir
			case entry.IsDir():
				return nil
			}
			if entry.Type()&fs.ModeSymlink != 0 { // to a file, not to a folder, which may be one above
				if info, err := os.Stat(name); err != nil || info.IsDir() {
					return nil
				}
			}
			if slashed := filepath.ToSlash(name); fits == nil || fits.MatchString(slashed) {
				s.Files = append(s.Files, slashed)
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return s, nil
	}
	paths, err := filepath.Glob(spec)
	if err != nil {
		return nil, fmt.Errorf("%s: not a valid pattern: %w", spec, err)
	}
	for _, name := range paths {
		if info, err := os.Stat(name); err == nil && !info.IsDir() {
			s.Files = append(s.Files, filepath.ToSlash(name))
		}
	}
	return s, nil
}

// fixed is the folder of a pattern that has no wildcard, with its slash.
func fixed(pattern string) string {
	i := strings.IndexAny(pattern, "*?[")
	if i < 0 {
		return pattern
	}
	return pattern[:strings.LastIndexByte(pattern[:i], '/')+1]
}

// compile makes an expression of a pattern, with a group for every wildcard.
func compile(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString("^")
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case strings.HasPrefix(pattern[i:], "**/"):
			b.WriteString("((?:.*/)?)")
			i += 2
		case strings.HasPrefix(pattern[i:], "**"):
			b.WriteString("(.*)")
			i++
		case c == '*':
			b.WriteString("([^/]*)")
		case c == '?':
			b.WriteString("([^/])")
		case c == '\\' && i+1 < len(pattern) && filepath.Separator == '/':
			i++
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		case c == '[':
			end := strings.IndexByte(pattern[i+1:], ']')
			if end < 1 {
				return nil, fmt.Errorf("%s: not a valid pattern: [ without its ]", pattern)
			}
			set := pattern[i+1 : i+1+end]
			if set[0] == '!' {
				set = "^" + set[1:]
			}
			b.WriteString("([" + strings.ReplaceAll(set, `[`, `\[`) + "])")
			i += end + 1
		default:
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	r, err := regexp.Compile(b.String() + "$")
	if err != nil {
		return nil, fmt.Errorf("%s: not a valid pattern", pattern)
	}
	return r, nil
}

// extension is the ending of a file's name that says what it is.
func extension(name string) string {
	if ext := path.Ext(name); strings.ToLower(ext) != ".gz" {
		return ext
	}
	if n := len(name) - len(".nii.gz"); n >= 0 && strings.ToLower(name[n:]) == ".nii.gz" {
		return name[n:]
	}
	return path.Ext(name)
}

// Endings of files that can be read.
var readable = map[Role][]string{
	Logits: {".npy", ".npz", ".safetensors", ".pt", ".pth"},
	Labels: {".png", ".npy", ".npz", ".safetensors", ".pt", ".pth", ".label", ".nii", ".nii.gz"},
}

// Endings of files that lie beside those of data.
var noArrays = []string{".txt", ".json", ".md", ".db", ".pkl"}

// Endings of names that data sets are known by. They fall away where that makes names fit; of several files of labels that then have one
// name the first of these is taken.
var knownEndings = []string{
	"_gtfine_labeltrainids", "_gtcoarse_labeltrainids", "_labeltrainids", "_gtfine_labelids", "_gtcoarse_labelids", "_labelids", "_train_id",
	"_gtfine", "_gtcoarse", "_leftimg8bit", "_segmentation", "_groundtruth", "_softmax", "_logits", "_labels", "_label", "_masks", "_mask",
	"_probs", "_prob", "_pred", "_seg", "_gt", "_0000",
}

// Files of data sets that are no class ids.
var notLabels = []string{"_gtfine_color", "_gtfine_instanceids", "_gtfine_instancetrainids", "_gtcoarse_color", "_gtcoarse_instanceids"}

// Folders that say what is in them, which fall away where that makes names fit.
var knownFolders = []string{"logits", "predictions", "labels", "masks", "gtfine", "gtcoarse", "leftimg8bit", "segmentationclass",
	"annotations"}

// A candidate is a file of a set, and what it is matched by.
type candidate struct {
	path, name, key string
	taken           bool
}

// candidates names the files of a set. Those that are not to be read are strangers.
func (s *Set) candidates() (list []*candidate, strangers []string, err error) {
	prefix := s.Spec
	var fits *regexp.Regexp
	ending := ""
	if s.Dir {
		if prefix != "" && !strings.HasSuffix(prefix, "/") {
			prefix += "/"
		}
		prefix = strings.TrimPrefix(path.Clean(prefix)+"/", "./")
	} else {
		prefix = fixed(s.Spec)
		if fits, err = compile(s.Spec); err != nil {
			return nil, nil, err
		}
		ending = path.Ext(s.Spec[strings.LastIndexAny(s.Spec, "*?]")+1:]) // the pattern's own
	}
	for _, file := range s.Files {
		base := path.Base(file)
		kind := strings.ToLower(extension(base))
		raw := s.Raw && s.Role == Logits && !slices.Contains(noArrays, kind) && !slices.Contains([]string{".png", ".nii", ".nii.gz"}, kind)
		lower := strings.ToLower(strings.TrimSuffix(base, extension(base)))
		foreign := s.Role == Labels && slices.ContainsFunc(notLabels, func(e string) bool { return strings.HasSuffix(lower, e) })
		if ending == "" && (strings.HasPrefix(base, ".") || foreign || !raw && !slices.Contains(readable[s.Role], kind)) {
			strangers = append(strangers, file)
			continue
		}
		c := &candidate{path: file, name: strings.TrimPrefix(path.Clean(file), prefix)}
		if c.name == "" { // a pattern without wildcards
			c.name = base
		}
		c.name = strings.TrimSuffix(c.name, extension(c.name))
		c.key = c.name
		if !s.Dir {
			if c.key, err = captures(fits, s.Spec, file); err != nil {
				return nil, nil, err
			}
			if ending == "" {
				c.key = strings.TrimSuffix(c.key, extension(c.key))
			}
		}
		c.name, c.key = norm.NFC.String(c.name), norm.NFC.String(c.key)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *candidate) int { return Natural(a.name, b.name) })
	if len(list) > 0 {
		return list, strangers, nil
	}
	want := strings.Join(readable[s.Role], ", ")
	switch {
	case len(strangers) > 0 && s.Dir:
		err = fmt.Errorf("%s: no file of %s among its %s%s", s.Spec, s.Role, plural(len(strangers), "file"), s.why(strangers))
	case len(strangers) > 0:
		err = fmt.Errorf("%s: no file of %s among %s that fit%s", s.Spec, s.Role, plural(len(strangers), "file"), s.why(strangers))
	case s.Dir:
		err = fmt.Errorf("%s: neither the folder nor one below it holds a file: want %s", s.Spec, want)
	case !IsPattern(s.Spec):
		err = fmt.Errorf("%s: no such file", s.Spec)
	default:
		err = fmt.Errorf("%s: no file fits this pattern%s", s.Spec, nearby(s.Spec))
	}
	return nil, strangers, err
}

// why says of the first stranger that is a file of data, or of the first one, why it cannot be read.
func (s *Set) why(strangers []string) string {
	such := strangers[0]
	for _, name := range strangers {
		if !strings.HasPrefix(path.Base(name), ".") && !slices.Contains(noArrays, strings.ToLower(path.Ext(name))) {
			such = name
			break
		}
	}
	text := fmt.Sprintf(", such as %s: want %s", path.Base(such), strings.Join(readable[s.Role], ", "))
	if info, err := os.Stat(such); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return text
	}
	a, err := Open(such, s.Role, Options{})
	if err != nil {
		return ": " + err.Error()
	}
	a.Close()
	return text
}

// nearby says what is in the folder where a pattern looked for files.
func nearby(pattern string) string {
	folder := fixed(pattern)
	if strings.Contains(folder, "://") {
		return ""
	}
	entries, err := os.ReadDir(cmp.Or(folder, "."))
	if err != nil {
		return fmt.Sprintf(": there is no folder %s", cmp.Or(folder, "."))
	}
	if len(entries) == 0 {
		return fmt.Sprintf(": %s is empty", cmp.Or(folder, "the folder"))
	}
	return fmt.Sprintf(": %s holds %s, such as %s", cmp.Or(folder, "the folder"), plural(len(entries), "file"), entries[0].Name())
}

// captures joins what the wildcards of a pattern matched.
func captures(fits *regexp.Regexp, pattern, file string) (string, error) {
	at := fits.FindStringSubmatchIndex(file)
	if at == nil {
		return "", fmt.Errorf("%s does not fit %s", file, pattern) // it was listed by another rule
	}
	key := ""
	if len(at) == 2 {
		return key, nil // a file's own name: there is no other one
	}
	for i, end := 2, at[2]; i < len(at); i += 2 {
		if between := file[end:at[i]]; strings.Contains(between, "/") {
			key += "/"
		} else if between != "" && key != "" && !strings.HasSuffix(key, "/") {
			key += "…" // so that a1 and b are not a and 1b
		}
		key += file[at[i]:at[i+1]]
		end = at[i+1]
	}
	return strings.ReplaceAll(key, "//", "/"), nil
}

// Natural orders names as people number them: 2 before 10.
func Natural(a, b string) int {
	for x, y := a, b; ; {
		i, j := digits(x), digits(y)
		if i > 0 && j > 0 {
			m, n := strings.TrimLeft(x[:i], "0"), strings.TrimLeft(y[:j], "0")
			if c := cmp.Or(cmp.Compare(len(m), len(n)), cmp.Compare(m, n)); c != 0 {
				return c
			}
			x, y = x[i:], y[j:]
			continue
		}
		if x == "" || y == "" || x[0] != y[0] {
			return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
		}
		x, y = x[1:], y[1:]
	}
}

// digits is how many digits a string begins with.
func digits(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}

// PairOptions narrow down which files are compared.
type PairOptions struct {
	Only []string // nil, or the names of the images, as in VOC's lists
	Skip bool     // pass over files that have no partner, which are an error otherwise
}

// Match finds which files belong together: those of one name, that is the path below their folders, or what the wildcards of their patterns
// match, without the extension, in Unicode's form NFC. Where names differ, endings and folders that data sets are known by fall away, and
// at last the folders. The notes are for the user. Pairs are in the natural order of their names.
func Match(logits, labels *Set, o PairOptions) (pairs []Pair, notes []string, err error) {
	x, strangersX, err := logits.candidates()
	if err != nil {
		return nil, nil, err
	}
	y, strangersY, err := labels.candidates()
	if err != nil {
		return nil, nil, err
	}
	if note := strangerNote(strangersX, strangersY); note != "" {
		notes = append(notes, note)
	}
	if o.Only != nil {
		if x, y, err = only(x, y, o.Only, logits.Spec); err != nil {
			return nil, nil, err
		}
	}
	chosen := map[string]string{} // of several files of labels with one name
	levels := []func(string) string{
		func(key string) string { return key },
		withoutEnding,
		withoutFolders,
		func(key string) string { return path.Base(withoutEnding(key)) },
	}
	for level, simplify := range levels {
		byKeyX, byKeyY := group(x, simplify), group(y, simplify)
		for _, key := range slices.Sorted(maps.Keys(byKeyX)) {
			here, there := byKeyX[key], byKeyY[key]
			if len(there) == 0 {
				continue
			}
			if len(here) > 1 || len(there) > 1 {
				if level == 3 && (len(here) > 1 || slices.ContainsFunc(there,
					func(c *candidate) bool { return path.Dir(c.path) != path.Dir(there[0].path) })) {
					continue // of the same name in other folders
				}
				if len(here) == 1 && level > 0 {
					if best, other := prefer(there); best != nil {
						chosen[best.path] = other
						for _, c := range there {
							c.taken = true
						}
						there = []*candidate{best}
					}
				}
				if len(here) > 1 {
					return nil, nil, twoOfOneName(here)
				} else if len(there) > 1 {
					return nil, nil, twoOfOneName(there)
				}
			}
			here[0].taken, there[0].taken = true, true
			pairs = append(pairs, Pair{here[0].name, here[0].path, there[0].path})
		}
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return Natural(a.Name, b.Name) })
	what := "logits"
	if logits.Role == Labels {
		what = "predictions"
	}
	leftX, leftY := left(x), left(y)
	switch {
	case len(pairs) == 0:
		nearest, err := noPartner(x[0], logits.Spec, "labels", labels.Spec, y, len(leftX))
		return nil, nil, fmt.Errorf("%w; whatever the names, patterns pair what their wildcards match%s", err, patternsFor(x[0], nearest))
	case o.Skip || len(leftX)+len(leftY) == 0:
	case len(leftX) > 0:
		_, err := noPartner(leftX[0], logits.Spec, "labels", labels.Spec, either(leftY, y), len(leftX))
		return nil, nil, fmt.Errorf("%w; -unpaired skip passes such files over", err)
	default:
		_, err := noPartner(leftY[0], labels.Spec, what, logits.Spec, either(leftX, x), len(leftY))
		return nil, nil, fmt.Errorf("%w; -unpaired skip passes such files over", err)
	}
	if n := len(leftX) + len(leftY); n > 0 {
		notes = append(notes, fmt.Sprintf("passed over: %s without a partner", plural(n, "file")))
	}
	if len(chosen) > 0 {
		best := slices.Sorted(maps.Keys(chosen))[0]
		other := path.Base(chosen[best])
		ending := other[len(withoutEnding(strings.TrimSuffix(other, extension(other)))):]
		notes = append(notes, fmt.Sprintf("%s is taken, not %s, and so for %s (the pattern '%s' takes the others)", best, other,
			plural(len(chosen), "image"),
			labels.below(ending)))
	}
	return pairs, notes, nil
}

// below is a pattern for those files of a set whose names have an ending.
func (s *Set) below(ending string) string {
	if !s.Dir {
		return "**/*" + ending
	}
	return path.Join(s.Spec, "**/*"+ending)
}

func either(a, b []*candidate) []*candidate {
	if len(a) > 0 {
		return a
	}
	return b
}

// group returns the candidates that have no partner yet, by their simplified keys.
func group(list []*candidate, simplify func(string) string) map[string][]*candidate {
	byKey := map[string][]*candidate{}
	for _, c := range list {
		if !c.taken {
			key := simplify(c.key)
			byKey[key] = append(byKey[key], c)
		}
	}
	return byKey
}

func left(list []*candidate) (rest []*candidate) {
	for _, c := range list {
		if !c.taken {
			rest = append(rest, c)
		}
	}
	return rest
}

// withoutEnding takes the endings that data sets are known by off the last part of a key.
func withoutEnding(key string) string {
	for {
		ending := endingOf(key)
		if ending < 0 {
			return key
		}
		key = key[:len(key)-len(knownEndings[ending])]
	}
}

// endingOf returns which of the known endings a key has; -1 for none, and where nothing would be left.
func endingOf(key string) int {
	lower := strings.ToLower(key)
	return slices.IndexFunc(knownEndings, func(e string) bool {
		return len(lower) == len(key) && len(path.Base(key)) > len(e) && strings.HasSuffix(lower, e)
	})
}

func withoutFolders(key string) string {
	parts := strings.Split(withoutEnding(key), "/")
	last := len(parts) - 1
	return strings.Join(append(slices.DeleteFunc(slices.Clone(parts[:last]), func(part string) bool {
		return slices.Contains(knownFolders, strings.ToLower(part))
	}), parts[last]), "/")
}

// prefer returns the one of several files whose ending is known to be meant, and another one.
func prefer(list []*candidate) (best *candidate, other string) {
	slices.SortStableFunc(list, func(a, b *candidate) int { return cmp.Compare(uint(endingOf(a.key)), uint(endingOf(b.key))) })
	if endingOf(list[0].key) < 0 || endingOf(list[0].key) == endingOf(list[1].key) || !strings.Contains(strings.ToLower(list[0].key),
		"trainid") {
		return nil, ""
	}
	return list[0], list[1].path
}

func twoOfOneName(list []*candidate) error {
	ending := extension(list[0].path)
	if ending == extension(list[1].path) {
		return fmt.Errorf("%s and %s have one name: a pattern says which is meant", list[0].path, list[1].path)
	}
	pattern := path.Dir(list[0].path) + "/*" + ending
	if folders := path.Dir(list[0].name); folders != "." { // in all of them
		pattern = strings.TrimSuffix(path.Dir(list[0].path), folders) + "**/*" + ending
	}
	return fmt.Errorf("%s and %s have one name: a pattern says which is meant, such as '%s'", list[0].path, list[1].path, pattern)
}

// patternsFor are patterns by which two files are a pair, where the name of one is in that of the other: 7.npy, img_7.png.
func patternsFor(c, other *candidate) string {
	if c == nil || other == nil {
		return ""
	}
	pattern := func(c *candidate, base string) string {
		folder := strings.TrimSuffix(c.path, c.name+extension(c.path))
		if strings.Contains(c.name, "/") {
			folder += "**/"
		}
		return folder + base + extension(c.path)
	}
	name := path.Base(c.name)
	before, after, ok := strings.Cut(path.Base(other.name), name)
	if !ok || strings.Contains(after, name) || path.Dir(c.name) != path.Dir(other.name) {
		return ""
	}
	return fmt.Sprintf(", as in '%s' and '%s'", pattern(c, "*"), pattern(other, before+"*"+after))
}

// noPartner says what was looked for, and what comes nearest, which it returns too.
func noPartner(c *candidate, own, what, where string, others []*candidate, how int) (nearest *candidate, _ error) {
	best := 1 << 30
	for _, other := range others[:min(len(others), 5000)] {
		if d := distance(withoutFolders(c.key), withoutFolders(other.key), best); d < best {
			best, nearest = d, other
		}
	}
	text := fmt.Sprintf("%s has no %s: nothing in %s is called %s", c.path, what, where, withoutEnding(c.key))
	if nearest != nil {
		text += fmt.Sprintf("; nearest is %s", nearest.path)
	}
	if how > 1 {
		text += fmt.Sprintf(" (so for %d files of %s)", how, own)
	}
	return nearest, errors.New(text)
}

// distance is how many letters differ (Levenshtein), as far as that is less than most.
func distance(a, b string, most int) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 200 || len(y) > 200 || len(x)-len(y) > most || len(y)-len(x) > most {
		return most
	}
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		diagonal := row[0]
		row[0] = i + 1
		for j := range y {
			change := diagonal
			if x[i] != y[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(y)]
}

// only keeps the candidates of these names.
func only(x, y []*candidate, names []string, where string) (_, _ []*candidate, err error) {
	wanted := map[string]bool{} // whether it was seen
	for _, name := range names {
		wanted[norm.NFC.String(strings.TrimSuffix(name, extension(name)))] = false
		wanted[norm.NFC.String(name)] = false
	}
	keep := func(list []*candidate, mark bool) []*candidate {
		var kept []*candidate
		for _, c := range list {
			for _, name := range []string{c.key, withoutEnding(c.key), withoutFolders(c.key), path.Base(c.key), path.Base(withoutEnding(c.key))} {
				if _, ok := wanted[name]; ok {
					wanted[name] = wanted[name] || mark
					kept = append(kept, c)
					break
				}
			}
		}
		return kept
	}
	x, y = keep(x, true), keep(y, false)
	for _, name := range names {
		if !wanted[norm.NFC.String(name)] && !wanted[norm.NFC.String(strings.TrimSuffix(name, extension(name)))] {
			return nil, nil, fmt.Errorf("%s: nothing is called %s, which the list names", where, name)
		}
	}
	if len(x) == 0 || len(y) == 0 {
		return nil, nil, fmt.Errorf("%s: no file is in the list", where)
	}
	return x, y, nil
}

func strangerNote(x, y []string) string {
	all := append(slices.Clone(x), y...)
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	all = slices.Compact(all)
	names := all[0]
	for _, name := range all[1:min(3, len(all))] {
		names += ", " + path.Base(name)
	}
	if len(all) > 3 {
		names += ", …"
	}
	return fmt.Sprintf("passed over: %s of other kinds (%s)", plural(len(all), "file"), names)
}

// Ordered returns the files of one set in the natural order of their names, which are as those of a Pair: the images of a stack.
func Ordered(s *Set) (names, paths, notes []string, err error) {
	list, strangers, err := s.candidates()
	if err != nil {
		return nil, nil, nil, err
	}
	if note := strangerNote(strangers, nil); note != "" {
		notes = append(notes, note)
	}
	for i, c := range list {
		if i > 0 && list[i-1].name == c.name {
			return nil, nil, nil, twoOfOneName(list[i-1 : i+1])
		}
		names, paths = append(names, c.name), append(paths, c.path)
	}
	return names, paths, notes, nil
}

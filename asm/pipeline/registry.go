package pipeline

import (
	"fmt"
	"go/format"
	"maps"
	"slices"
	"strings"
)

// registry returns what the tests know of the kernels: their arguments, how they and their definitions are called with them, and which
// function serves each ISA.
func registry(kernels []Kernel) ([]byte, error) {
	var s, entries strings.Builder
	s.WriteString(header + "package lanewise\n\n")
	s.WriteString("// registry has every kernel, once for each element type.\nvar registry = []entry{\n")
	for i := range kernels {
		k := &kernels[i]
		p, err := k.parse()
		if err != nil {
			return nil, err
		}
		args, parameters, receiver := k.Name+"Args", "", k.Name+"Args"
		if k.typed() {
			parameters, receiver = "[T Float]", args+"[T]"
		}
		var beyond []string
		for _, name := range slices.Sorted(maps.Keys(k.Beyond)) {
			beyond = append(beyond, fmt.Sprintf("%q: {%d, %d}", name, k.Beyond[name].Read, k.Beyond[name].Write))
		}
		for _, t := range k.types() {
			instance := args
			if k.typed() {
				instance += "[" + goType(t) + "]"
			}
			var serves []string
			for _, isa := range isas {
				by, err := k.serving(isa)
				if err != nil {
					return nil, err
				}
				if by == "Generic" {
					serves = append(serves, fmt.Sprintf("%s: %q", isa.name, k.Name+by))
				} else {
					serves = append(serves, fmt.Sprintf("%s: %q", isa.name, k.Name+k.suffix(t)+by))
				}
			}
			fmt.Fprintf(&s, "{name: %q, element: %q, new: func() arguments { return new(%s) },\nserves: map[ISA]string{%s}", k.Name, k.suffix(t),
				instance,
				strings.Join(serves, ", "))
			if names := p.resultNames(); names != "" {
				fmt.Fprintf(&s, ", results: []string{%s}", names)
			}
			if beyond != nil {
				fmt.Fprintf(&s, ",\nbeyond: map[string]beyond{%s}", strings.Join(beyond, ", "))
			}
			s.WriteString("},\n")
		}
		fmt.Fprintf(&entries, "\n// %s are the arguments of %s, and what it returns.\ntype %s%s struct {\n", args, k.Name, args, parameters)
		var visits, fields, results []string
		for _, q := range slices.Concat(p.params, p.named) {
			fmt.Fprintf(&entries, "%s %s\n", q.name, q.typ)
			visits = append(visits, fmt.Sprintf("f(%q, &a.%s)", q.name, q.name))
		}
		for _, q := range p.params {
			fields = append(fields, "a."+q.name)
		}
		for _, q := range p.named {
			results = append(results, "a."+q.name)
		}
		assign := strings.Join(results, ", ")
		if assign != "" {
			assign += " = "
		}
		given := strings.Join(fields, ", ")
		fmt.Fprintf(&entries, "}\n\nfunc (a *%s) call(isa ISA) { %s%s(isa, %s) }\nfunc (a *%s) define() { %s%sGeneric(%s) }\n", receiver, assign,
			k.Name, given,
			receiver, assign, k.Name, given)
		fmt.Fprintf(&entries, "func (a *%s) clone() arguments { b := *a; return &b }\nfunc (a *%s) each(f func(name string, p any)) {\n%s\n}\n",
			receiver, receiver,
			strings.Join(visits, "\n"))
	}
	s.WriteString("}\n\n// features are what each ISA asks the CPU for, by the names that GODEBUG knows them by.\nvar features = " +
		"map[ISA][]string{\n")
	for _, isa := range isas {
		var names []string
		for _, f := range isa.features {
			names = append(names, fmt.Sprintf("%q", f.Setting))
		}
		fmt.Fprintf(&s, "%s: {%s},\n", isa.name, strings.Join(names, ", "))
	}
	s.WriteString("}\n" + entries.String())
	return format.Source([]byte(s.String()))
}

func (p *parsed) resultNames() string {
	var names []string
	for _, q := range p.named {
		names = append(names, fmt.Sprintf("%q", q.name))
	}
	return strings.Join(names, ", ")
}

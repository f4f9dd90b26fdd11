package lanewise

// An entry is a kernel for one element type, as the generator knows it. go generate writes the registry of them, and the type that holds a
// kernel's arguments.
type entry struct {
	name, element string
	new           func() arguments
	serves        map[ISA]string    // the function that is to run
	results       []string          // names
	beyond        map[string]beyond // by slice
}

func (e *entry) String() string { return e.name + e.element }

// beyond is how many elements behind its end a function may read and write.
type beyond struct{ read, write int }

// arguments are those of a kernel, and its results.
type arguments interface {
	call(isa ISA) // the kernel
	define()      // its definition
	clone() arguments
	each(f func(name string, p any)) // p points to an argument or a result
}

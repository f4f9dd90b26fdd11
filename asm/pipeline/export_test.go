package pipeline

import "github.com/lanewise/lanewise/asm/amd64"

// Before is a code that begins with more.
func (c Code) Before(more func(*amd64.Code)) Code {
	write := c.amd64
	c.amd64 = func(c *amd64.Code) {
		more(c)
		write(c)
	}
	return c
}

// Own says whether an ISA has a function of its own.
func (c Code) Own() bool { return c.amd64 != nil || c.arm64 != nil }

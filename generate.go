package lanewise

//go:generate go run ./asm .

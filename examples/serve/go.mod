module github.com/lanewise/lanewise/examples/serve

go 1.26.0

require github.com/lanewise/lanewise v0.1.0

require golang.org/x/sys v0.50.0 // indirect

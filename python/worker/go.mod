module github.com/lanewise/lanewise/python/worker

go 1.26.0

require (
	github.com/lanewise/lanewise v0.1.0
	golang.org/x/sys v0.50.0
)

module github.com/lanewise/lanewise/files

go 1.26.0

require (
	github.com/lanewise/lanewise v0.1.0
	golang.org/x/text v0.42.0
)

require golang.org/x/sys v0.50.0 // indirect

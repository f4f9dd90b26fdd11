module github.com/lanewise/lanewise/examples/landcover

go 1.26.0

require github.com/lanewise/lanewise v0.0.0

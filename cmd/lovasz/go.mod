module github.com/lanewise/lanewise/cmd/lovasz

go 1.26.0

require github.com/lanewise/lanewise v0.0.0

package main

import "github.com/weaviate/weaviate/adapters/repos/db/vector/hnsw/distancer/asm"

var weaviateDot = asm.Dot_Neon

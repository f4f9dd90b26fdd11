package main

import "github.com/weaviate/weaviate/adapters/repos/db/vector/hnsw/distancer/asm"

var weaviateDot, weaviateL2 = asm.Dot_Neon, asm.L2_Neon

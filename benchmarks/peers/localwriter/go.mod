module lading.dev/benchmarks/localwriter

go 1.24

// The products of avx512/matmul.cpp with vpmaddubsw and vpmaddwd in place of vpdpbusd.
#define QUERN_NO_VNNI
#include "kernels/avx512/matmul.cpp"

// Stands before the compiler's header of this name where a CPU without AVX-512 is to run the avx512
// kernels: SIMDe's functions behind the names of the intrinsics. Needs AVX2 and FMA, in whose
// multiply-adds the emulated ones end: they round once.
#pragma once

#include_next <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

// SIMDe has the function without the alias.
#undef _mm512_shuffle_f32x4
#define _mm512_shuffle_f32x4(a, b, imm) simde_mm512_shuffle_f32x4(a, b, imm)

// There is no register for Vec::load_once to keep a value in.
#define asm(...) static_cast<void>(0)

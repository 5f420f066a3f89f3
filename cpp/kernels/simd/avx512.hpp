// The vector vocabulary over AVX-512 F and DQ; simd/scalar.hpp says what each member means.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

struct Vec {
  static constexpr std::size_t width = 16;
  static constexpr bool fused = true;
  __m512 v;

  static Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Vec broadcast(float x) { return {_mm512_set1_ps(x)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }

  friend Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }

  static Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  // vminps and vmaxps return their second operand when either is NaN.
  static Vec min(Vec bound, Vec x) { return {_mm512_min_ps(bound.v, x.v)}; }
  static Vec max(Vec bound, Vec x) { return {_mm512_max_ps(bound.v, x.v)}; }
  static Vec abs(Vec x) { return {_mm512_andnot_ps(_mm512_set1_ps(-0.0F), x.v)}; }
  static Vec where_ge(Vec a, Vec b, Vec yes, Vec no) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ), no.v, yes.v)};
  }
  static Vec keep(const std::uint32_t* mask, Vec x) {
    const __m512i bits = _mm512_loadu_si512(mask);
    return {_mm512_and_ps(_mm512_castsi512_ps(bits), x.v)};
  }
};

}  // namespace

// The vector vocabulary over AVX2 and FMA; simd/scalar.hpp says what each member means.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

struct Vec {
  static constexpr std::size_t width = 8;
  static constexpr bool fused = true;
  __m256 v;

  static Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static Vec broadcast(float x) { return {_mm256_set1_ps(x)}; }
  void store(float* p) const { _mm256_storeu_ps(p, v); }

  friend Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }

  static Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  // vminps and vmaxps return their second operand when either is NaN.
  static Vec min(Vec bound, Vec x) { return {_mm256_min_ps(bound.v, x.v)}; }
  static Vec max(Vec bound, Vec x) { return {_mm256_max_ps(bound.v, x.v)}; }
  static Vec abs(Vec x) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0F), x.v)}; }
  static Vec where_ge(Vec a, Vec b, Vec yes, Vec no) {
    return {_mm256_blendv_ps(no.v, yes.v, _mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ))};
  }
  static Vec keep(const std::uint32_t* mask, Vec x) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask));
    return {_mm256_and_ps(_mm256_castsi256_ps(bits), x.v)};
  }
};

}  // namespace

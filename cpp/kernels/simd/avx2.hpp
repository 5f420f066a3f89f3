// The vector vocabulary over AVX2 and FMA; simd/scalar.hpp says what each member means.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

struct Vec {
  static constexpr std::size_t width = 8;
  static constexpr bool fused = true;
  static constexpr bool broadcast_operands = false;
  __m256 v;

  static Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static Vec broadcast(float x) { return {_mm256_set1_ps(x)}; }
  static Vec load_once(const float* p) {
    __m256 v = _mm256_loadu_ps(p);
    asm("" : "+x"(v));
    return {v};
  }
  static Vec broadcast_once(float x) {
    __m256 v = _mm256_set1_ps(x);
    asm("" : "+x"(v));
    return {v};
  }
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
  static Vec power_of_two(Vec x) {
    const __m256i power = _mm256_slli_epi32(_mm256_castps_si256(x.v), 23);
    return {_mm256_castsi256_ps(_mm256_add_epi32(power, _mm256_set1_epi32(0x3f800000)))};
  }
  static Vec keep(const std::uint32_t* mask, Vec x) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask));
    return {_mm256_and_ps(_mm256_castsi256_ps(bits), x.v)};
  }

  static void interleave(Vec (&x)[4]) {
    transpose(x);
    const __m256 v0 = x[0].v, v1 = x[1].v, v2 = x[2].v, v3 = x[3].v;
    x[0].v = _mm256_permute2f128_ps(v0, v1, 0x20);
    x[1].v = _mm256_permute2f128_ps(v2, v3, 0x20);
    x[2].v = _mm256_permute2f128_ps(v0, v1, 0x31);
    x[3].v = _mm256_permute2f128_ps(v2, v3, 0x31);
  }
  static void deinterleave(Vec (&x)[4]) {
    const __m256 v0 = x[0].v, v1 = x[1].v, v2 = x[2].v, v3 = x[3].v;
    x[0].v = _mm256_permute2f128_ps(v0, v2, 0x20);
    x[1].v = _mm256_permute2f128_ps(v0, v2, 0x31);
    x[2].v = _mm256_permute2f128_ps(v1, v3, 0x20);
    x[3].v = _mm256_permute2f128_ps(v1, v3, 0x31);
    transpose(x);
  }
  static void interleave(Vec (&x)[2]) {
    const __m256 low = _mm256_unpacklo_ps(x[0].v, x[1].v);
    const __m256 high = _mm256_unpackhi_ps(x[0].v, x[1].v);
    x[0].v = _mm256_permute2f128_ps(low, high, 0x20);
    x[1].v = _mm256_permute2f128_ps(low, high, 0x31);
  }
  static void deinterleave(Vec (&x)[2]) {
    const __m256 low = _mm256_permute2f128_ps(x[0].v, x[1].v, 0x20);
    const __m256 high = _mm256_permute2f128_ps(x[0].v, x[1].v, 0x31);
    x[0].v = _mm256_shuffle_ps(low, high, 0x88);
    x[1].v = _mm256_shuffle_ps(low, high, 0xdd);
  }

 private:
  // Of the 4 by 4 blocks that the 128-bit lanes make.
  static void transpose(Vec (&x)[4]) {
    const __m256d t0 = _mm256_castps_pd(_mm256_unpacklo_ps(x[0].v, x[1].v));
    const __m256d t1 = _mm256_castps_pd(_mm256_unpackhi_ps(x[0].v, x[1].v));
    const __m256d t2 = _mm256_castps_pd(_mm256_unpacklo_ps(x[2].v, x[3].v));
    const __m256d t3 = _mm256_castps_pd(_mm256_unpackhi_ps(x[2].v, x[3].v));
    x[0].v = _mm256_castpd_ps(_mm256_unpacklo_pd(t0, t2));
    x[1].v = _mm256_castpd_ps(_mm256_unpackhi_pd(t0, t2));
    x[2].v = _mm256_castpd_ps(_mm256_unpacklo_pd(t1, t3));
    x[3].v = _mm256_castpd_ps(_mm256_unpackhi_pd(t1, t3));
  }
};

}  // namespace

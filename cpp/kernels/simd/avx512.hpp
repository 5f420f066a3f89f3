// The vector vocabulary over AVX-512 F and DQ; simd/scalar.hpp says what each member means.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

struct Vec {
  static constexpr std::size_t width = 16;
  static constexpr bool fused = true;
  static constexpr bool broadcast_operands = true;
  __m512 v;

  static Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Vec broadcast(float x) { return {_mm512_set1_ps(x)}; }
  static Vec load_once(const float* p) {
    __m512 v = _mm512_loadu_ps(p);
    asm("" : "+v"(v));
    return {v};
  }
  static Vec broadcast_once(float x) { return {_mm512_set1_ps(x)}; }
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
  static Vec power_of_two(Vec x) {
    const __m512i power = _mm512_slli_epi32(_mm512_castps_si512(x.v), 23);
    return {_mm512_castsi512_ps(_mm512_add_epi32(power, _mm512_set1_epi32(0x3f800000)))};
  }
  static Vec keep(const std::uint32_t* mask, Vec x) {
    const __m512i bits = _mm512_loadu_si512(mask);
    return {_mm512_and_ps(_mm512_castsi512_ps(bits), x.v)};
  }

  static void interleave(Vec (&x)[4]) {
    transpose(x);
    transpose_lanes(x);
  }
  static void deinterleave(Vec (&x)[4]) {
    transpose_lanes(x);
    transpose(x);
  }
  static void interleave(Vec (&x)[2]) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high =
        _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const __m512 v0 = x[0].v, v1 = x[1].v;
    x[0].v = _mm512_permutex2var_ps(v0, low, v1);
    x[1].v = _mm512_permutex2var_ps(v0, high, v1);
  }
  static void deinterleave(Vec (&x)[2]) {
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd =
        _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    const __m512 v0 = x[0].v, v1 = x[1].v;
    x[0].v = _mm512_permutex2var_ps(v0, even, v1);
    x[1].v = _mm512_permutex2var_ps(v0, odd, v1);
  }

 private:
  // Of the 4 by 4 blocks that the 128-bit lanes make.
  static void transpose(Vec (&x)[4]) {
    const __m512d t0 = _mm512_castps_pd(_mm512_unpacklo_ps(x[0].v, x[1].v));
    const __m512d t1 = _mm512_castps_pd(_mm512_unpackhi_ps(x[0].v, x[1].v));
    const __m512d t2 = _mm512_castps_pd(_mm512_unpacklo_ps(x[2].v, x[3].v));
    const __m512d t3 = _mm512_castps_pd(_mm512_unpackhi_ps(x[2].v, x[3].v));
    x[0].v = _mm512_castpd_ps(_mm512_unpacklo_pd(t0, t2));
    x[1].v = _mm512_castpd_ps(_mm512_unpackhi_pd(t0, t2));
    x[2].v = _mm512_castpd_ps(_mm512_unpacklo_pd(t1, t3));
    x[3].v = _mm512_castpd_ps(_mm512_unpackhi_pd(t1, t3));
  }
  // Lane k of x[i] changes places with lane i of x[k].
  static void transpose_lanes(Vec (&x)[4]) {
    const __m512 t0 = _mm512_shuffle_f32x4(x[0].v, x[1].v, 0x44);
    const __m512 t1 = _mm512_shuffle_f32x4(x[2].v, x[3].v, 0x44);
    const __m512 t2 = _mm512_shuffle_f32x4(x[0].v, x[1].v, 0xee);
    const __m512 t3 = _mm512_shuffle_f32x4(x[2].v, x[3].v, 0xee);
    x[0].v = _mm512_shuffle_f32x4(t0, t1, 0x88);
    x[1].v = _mm512_shuffle_f32x4(t0, t1, 0xdd);
    x[2].v = _mm512_shuffle_f32x4(t2, t3, 0x88);
    x[3].v = _mm512_shuffle_f32x4(t2, t3, 0xdd);
  }
};

}  // namespace

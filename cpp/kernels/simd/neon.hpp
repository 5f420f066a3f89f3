// The vector vocabulary over AArch64 NEON; simd/scalar.hpp says what each member means.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace {

struct Vec {
  static constexpr std::size_t width = 4;
  static constexpr bool fused = true;
  static constexpr bool broadcast_operands = false;
  float32x4_t v;

  static Vec load(const float* p) { return {vld1q_f32(p)}; }
  static Vec broadcast(float x) { return {vdupq_n_f32(x)}; }
  static Vec load_once(const float* p) {
    float32x4_t v = vld1q_f32(p);
    asm("" : "+w"(v));
    return {v};
  }
  static Vec broadcast_once(float x) {
    float32x4_t v = vdupq_n_f32(x);
    asm("" : "+w"(v));
    return {v};
  }
  void store(float* p) const { vst1q_f32(p, v); }

  friend Vec operator+(Vec a, Vec b) { return {vaddq_f32(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {vsubq_f32(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {vmulq_f32(a.v, b.v)}; }
  friend Vec operator/(Vec a, Vec b) { return {vdivq_f32(a.v, b.v)}; }

  static Vec fma(Vec a, Vec b, Vec c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
  // FMIN and FMAX return NaN when either operand is NaN.
  static Vec min(Vec bound, Vec x) { return {vminq_f32(bound.v, x.v)}; }
  static Vec max(Vec bound, Vec x) { return {vmaxq_f32(bound.v, x.v)}; }
  static Vec abs(Vec x) { return {vabsq_f32(x.v)}; }
  static Vec where_ge(Vec a, Vec b, Vec yes, Vec no) {
    return {vbslq_f32(vcgeq_f32(a.v, b.v), yes.v, no.v)};
  }
  static Vec power_of_two(Vec x) {
    const uint32x4_t power = vshlq_n_u32(vreinterpretq_u32_f32(x.v), 23);
    return {vreinterpretq_f32_u32(vaddq_u32(power, vdupq_n_u32(0x3f800000U)))};
  }
  static Vec keep(const std::uint32_t* mask, Vec x) {
    return {vreinterpretq_f32_u32(vandq_u32(vld1q_u32(mask), vreinterpretq_u32_f32(x.v)))};
  }

  static void interleave(Vec (&x)[4]) {
    const float32x4_t t0 = vzip1q_f32(x[0].v, x[2].v), t1 = vzip2q_f32(x[0].v, x[2].v);
    const float32x4_t t2 = vzip1q_f32(x[1].v, x[3].v), t3 = vzip2q_f32(x[1].v, x[3].v);
    x[0].v = vzip1q_f32(t0, t2);
    x[1].v = vzip2q_f32(t0, t2);
    x[2].v = vzip1q_f32(t1, t3);
    x[3].v = vzip2q_f32(t1, t3);
  }
  static void deinterleave(Vec (&x)[4]) { interleave(x); }  // a transposition
  static void interleave(Vec (&x)[2]) {
    const float32x4_t v0 = x[0].v, v1 = x[1].v;
    x[0].v = vzip1q_f32(v0, v1);
    x[1].v = vzip2q_f32(v0, v1);
  }
  static void deinterleave(Vec (&x)[2]) {
    const float32x4_t v0 = x[0].v, v1 = x[1].v;
    x[0].v = vuzp1q_f32(v0, v1);
    x[1].v = vuzp2q_f32(v0, v1);
  }
};

}  // namespace

// The vector vocabulary with one lane: plain C++, for any CPU. simd/*.hpp all define
// `Vec` with the same members; each is included by exactly one file in isa/, and the
// unnamed namespace keeps every instantiation over it local to that file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

struct Vec {
  static constexpr std::size_t width = 1;
  static constexpr bool fused = false;  // whether fma() rounds once
  // Whether a factor of fma() may be a broadcast in memory at no cost, beside 24 accumulators.
  static constexpr bool broadcast_operands = false;
  float v;

  static Vec load(const float* p) { return {*p}; }
  // A load that the compiler cannot repeat at every use: the value stays in a register.
  static Vec load_once(const float* p) { return {*p}; }
  static Vec broadcast(float x) { return {x}; }
  // A constant that the compiler cannot load again for every use.
  static Vec broadcast_once(float x) { return {x}; }
  void store(float* p) const { *p = v; }

  friend Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
  friend Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
  friend Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
  friend Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }

  // a * b + c; rounds once where the instruction set has a fused form, twice here.
  static Vec fma(Vec a, Vec b, Vec c) { return {a.v * b.v + c.v}; }
  // The smaller and the larger; a NaN in `x` comes through.
  static Vec min(Vec bound, Vec x) { return {bound.v < x.v ? bound.v : x.v}; }
  static Vec max(Vec bound, Vec x) { return {bound.v > x.v ? bound.v : x.v}; }
  static Vec abs(Vec x) { return {x.v < 0.0F ? -x.v : x.v}; }
  // a >= b ? yes : no, lane by lane; NaN compares false.
  static Vec where_ge(Vec a, Vec b, Vec yes, Vec no) { return {a.v >= b.v ? yes.v : no.v}; }
  // 2^n of the n that the last bits of x hold, of a float 1.5 * 2^23 + n.
  static Vec power_of_two(Vec x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x.v, sizeof bits);
    bits = (bits << 23) + 0x3f800000U;
    std::memcpy(&x.v, &bits, sizeof bits);
    return x;
  }
  // x where the mask is all ones, +0 where it is zero.
  static Vec keep(const std::uint32_t* mask, Vec x) { return {*mask != 0 ? x.v : 0.0F}; }

  // N vectors v[0], v[1], ...: from lanes of their own to alternating ones, so that storing them
  // one after another gives v[0][0], v[1][0], ..., v[0][1], v[1][1], ...; and back. N is 2 or 4.
  template <std::size_t N>
  static void interleave(Vec (&)[N]) {}
  template <std::size_t N>
  static void deinterleave(Vec (&)[N]) {}
};

}  // namespace

// The fused kernel against the formula in double, over geometries, instruction sets and threads.
#include <cmath>

#include "check.hpp"
#include "kernels/dispatch.hpp"
#include "layers/conv_lstm_2d.hpp"

namespace cn::test {
namespace {

struct Weights {
  std::vector<float> kernel, recurrent, bias;
};

double hard_sigmoid(double x) { return std::fmin(1.0, std::fmax(0.0, 0.2 * x + 0.5)); }

// One step, straight from the formula. h and c are (filters, rows, cols).
void reference_step(const ConvLstm2dOptions& o, const Weights& w, const std::vector<float>& x,
                    const Shape& map, std::vector<double>& h, std::vector<double>& c) {
  const std::size_t rows = map[1], cols = map[2], kh = o.kernel_size.rows, kw = o.kernel_size.cols;
  const std::size_t per_group = o.filters / o.groups;
  const auto pad = [&](std::size_t length, std::size_t k, std::size_t d, std::size_t s) {
    return static_cast<std::ptrdiff_t>(window(length, (k - 1) * d + 1, s, o.same).before);
  };
  const std::ptrdiff_t top = pad(o.input[1], kh, o.dilation_rate.rows, o.strides.rows);
  const std::ptrdiff_t left = pad(o.input[2], kw, o.dilation_rate.cols, o.strides.cols);
  const auto at = [](const auto& plane, std::size_t p, std::ptrdiff_t y, std::ptrdiff_t xx,
                     std::size_t height, std::size_t width) -> double {
    if (y < 0 || xx < 0 || y >= static_cast<std::ptrdiff_t>(height) ||
        xx >= static_cast<std::ptrdiff_t>(width)) {
      return 0.0;
    }
    return static_cast<double>(
        plane[(p * height + static_cast<std::size_t>(y)) * width + static_cast<std::size_t>(xx)]);
  };
  const std::vector<double> h_before = h;
  for (std::size_t f = 0; f < o.filters; ++f) {
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t q = 0; q < cols; ++q) {
        double z[4];
        for (std::size_t g = 0; g < 4; ++g) {
          const std::size_t out = g * o.filters + f;
          double sum = static_cast<double>(w.bias[out]);
          for (std::size_t ky = 0; ky < kh; ++ky) {
            for (std::size_t kx = 0; kx < kw; ++kx) {
              const auto y =
                  static_cast<std::ptrdiff_t>(r * o.strides.rows + ky * o.dilation_rate.rows) - top;
              const auto xx =
                  static_cast<std::ptrdiff_t>(q * o.strides.cols + kx * o.dilation_rate.cols) -
                  left;
              for (std::size_t ch = 0; ch < o.input[0]; ++ch) {
                sum +=
                    static_cast<double>(w.kernel[((out * o.input[0] + ch) * kh + ky) * kw + kx]) *
                    at(x, ch, y, xx, o.input[1], o.input[2]);
              }
              const auto hy =
                  static_cast<std::ptrdiff_t>(r + ky) - static_cast<std::ptrdiff_t>((kh - 1) / 2);
              const auto hx =
                  static_cast<std::ptrdiff_t>(q + kx) - static_cast<std::ptrdiff_t>((kw - 1) / 2);
              for (std::size_t k = 0; k < per_group; ++k) {
                sum +=
                    static_cast<double>(w.recurrent[((out * per_group + k) * kh + ky) * kw + kx]) *
                    at(h_before, f / per_group * per_group + k, hy, hx, rows, cols);
              }
            }
          }
          z[g] = sum;
        }
        const std::size_t i = (f * rows + r) * cols + q;
        c[i] = hard_sigmoid(z[1]) * c[i] + hard_sigmoid(z[0]) * std::tanh(z[2]);
        h[i] = hard_sigmoid(z[3]) * std::tanh(c[i]);
      }
    }
  }
}

void check_algorithm(const ConvLstm2dOptions& o, unsigned seed) {
  const std::size_t taps = o.kernel_size.rows * o.kernel_size.cols;
  Weights w;
  // Gate sums of size one, as in trained networks.
  const float scale = 1.0F / std::sqrt(static_cast<float>((o.input[0] + o.group_filters()) * taps));
  w.kernel = random_floats(4 * o.filters * o.input[0] * taps, seed, scale);
  w.recurrent = random_floats(4 * o.filters * o.group_filters() * taps, seed + 1, scale);
  w.bias = random_floats(4 * o.filters, seed + 2, 0.3F);
  for (const std::string& isa : available_isas()) {
    const ConvLstm2d layer(o, select_kernels(isa),
                           {w.kernel.data(), w.recurrent.data(), w.bias.data()});
    const Shape map = layer.state_parts()[0].shape;
    for (const int threads : {1, 3}) {
      Buffer scratch(3 * layer.scratch_floats());
      const Exec exec{&select_kernels(isa), threads, scratch.data(), layer.scratch_floats()};
      State state{Buffer(layer.state_floats()), 0};
      std::vector<double> h(element_count(map)), c(h.size());
      std::vector<float> out(h.size()), c_out(h.size());
      for (unsigned t = 0; t < 4; ++t) {
        const std::vector<float> x =
            random_floats(o.input[0] * o.input[1] * o.input[2], seed + 10 + t);
        const float* in = x.data();
        float* to = out.data();
        layer.run(exec, &in, &to, state);
        reference_step(o, w, x, map, h, c);
        for (std::size_t i = 0; i < h.size(); ++i) {
          CN_CHECK(std::abs(static_cast<double>(out[i]) - h[i]) < 3e-6);
        }
      }
      layer.export_state(state, 1, c_out.data());
      for (std::size_t i = 0; i < c.size(); ++i) {
        CN_CHECK(std::abs(static_cast<double>(c_out[i]) - c[i]) < 1e-5);
      }
    }
  }
}

void check_geometry(ConvLstm2dOptions o, unsigned seed) {
  check_algorithm(o, seed);
  o.allow_winograd = false;
  check_algorithm(o, seed);
}

ConvLstm2dOptions options(Size3 input, std::size_t filters, Size2 kernel) {
  ConvLstm2dOptions o;
  o.input = input;
  o.filters = filters;
  o.kernel_size = kernel;
  o.recurrent_activation.kind = Activation::Kind::hard_sigmoid;
  o.recurrent_activation.p[0] = 0.2F;
  o.recurrent_activation.p[1] = 0.5F;
  o.activation.kind = Activation::Kind::tanh;
  return o;
}

void check_geometries() {
  ConvLstm2dOptions o = options({3, 11, 17}, 5, {3, 3});
  o.same = true;
  check_geometry(o, 1);
  o.same = false;
  check_geometry(o, 2);
  check_geometry(options({3, 30, 33}, 9, {3, 3}), 10);
  o = options({5, 37, 64}, 6, {3, 3});
  o.same = true;
  o.groups = 3;
  check_geometry(o, 11);
  o.same = false;
  o = options({3, 11, 17}, 5, {3, 3});
  o.strides = {2, 3};
  check_geometry(o, 3);
  o.same = true;
  check_geometry(o, 4);
  o = options({2, 9, 40}, 4, {2, 5});
  o.same = true;
  o.groups = 2;
  check_geometry(o, 5);
  o = options({1, 13, 14}, 3, {3, 2});
  o.dilation_rate = {2, 3};
  check_geometry(o, 6);
  o.same = true;
  check_geometry(o, 7);
  check_geometry(options({4, 1, 1}, 7, {1, 1}), 8);
  for (const std::size_t cols : {20U, 21U, 61U}) {
    o = options({3, 19, cols}, 3, {5, 5});
    check_geometry(o, 12);
    o.same = true;
    check_geometry(o, 13);
  }
  o.filters = 8;
  o.groups = 4;
  check_geometry(o, 14);
  o = options({1, 1, 97}, 2, {1, 7});
  o.same = true;
  check_geometry(o, 9);
}

void check_refusals() {
  const float none = 0.0F;
  const ConvLstmWeights weights{&none, &none, &none};
  ConvLstm2dOptions o = options({1, 2, 2}, 1, {3, 3});
  CN_CHECK_THROWS(UnsupportedError,
                  ConvLstm2d(o, select_kernels(""), weights));  // 'valid', too small
  o = options({1, 2, 2}, 3, {1, 1});
  o.groups = 2;
  CN_CHECK_THROWS(UnsupportedError, ConvLstm2d(o, select_kernels(""), weights));
  o.groups = 0;
  CN_CHECK_THROWS(UnsupportedError, ConvLstm2d(o, select_kernels(""), weights));
  CN_CHECK_THROWS(InputError, select_kernels("no such table"));
}

}  // namespace
}  // namespace cn::test

int main() {
  cn::test::check_geometries();
  cn::test::check_refusals();
  return cn::test::report();
}

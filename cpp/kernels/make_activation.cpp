#include "kernels/make_activation.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace cn {
namespace {

// log(1 + exp(x)) without overflow.
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

// The rarer activations, in double: rounding to float is their only error. Formulas are
// those of keras.activations.
double elu(double x, const float* p) { return x > 0 ? x : p[0] * std::expm1(x); }

double selu(double x, const float*) {
  // Klambauer et al. 2017, "Self-Normalizing Neural Networks".
  constexpr double kAlpha = 1.6732632423543772848170429916717;
  constexpr double kScale = 1.0507009873554804934193349852946;
  return kScale * (x > 0 ? x : kAlpha * std::expm1(x));
}

double celu(double x, const float* p) {
  return std::max(x, 0.0) + std::min(0.0, p[0] * std::expm1(x / p[0]));
}

double exponential(double x, const float*) { return std::exp(x); }

double gelu(double x, const float*) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }

double gelu_tanh(double x, const float*) {
  constexpr double kRootTwoOverPi = 0.79788456080286535587989211986876;
  return 0.5 * x * (1.0 + std::tanh(kRootTwoOverPi * (x + 0.044715 * x * x * x)));
}

double softplus_of(double x, const float*) { return softplus(x); }

double log_sigmoid(double x, const float*) { return -softplus(-x); }

double mish(double x, const float*) { return x * std::tanh(softplus(x)); }

double hard_tanh(double x, const float*) { return std::clamp(x, -1.0, 1.0); }

double hard_shrink(double x, const float* p) { return std::abs(x) > p[0] ? x : 0.0; }

double soft_shrink(double x, const float* p) {
  return std::copysign(std::max(std::abs(x) - p[0], 0.0), x);
}

double tanh_shrink(double x, const float*) { return x - std::tanh(x); }

double squareplus(double x, const float* p) { return 0.5 * (x + std::sqrt(x * x + p[0])); }

double sparse_plus(double x, const float*) {
  if (x <= -1.0) return 0.0;
  return x >= 1.0 ? x : 0.25 * (x + 1.0) * (x + 1.0);
}

double sparse_sigmoid(double x, const float*) { return std::clamp(0.5 * (x + 1.0), 0.0, 1.0); }

double threshold(double x, const float* p) { return x > p[0] ? x : p[1]; }

template <double (*F)(double, const float*)>
float narrow(float x, const float* p) {
  return static_cast<float>(F(static_cast<double>(x), p));
}

using Kind = Activation::Kind;

struct Entry {
  const char* name;
  Kind kind;
  std::size_t parameters;
  float (*scalar)(float, const float*);
};

constexpr Entry kEntries[] = {
    {"linear", Kind::linear, 0, nullptr},
    {"relu", Kind::leaky_relu, 3, nullptr},
    {"hard_sigmoid", Kind::hard_sigmoid, 2, nullptr},
    {"hard_silu", Kind::hard_silu, 2, nullptr},
    {"sigmoid", Kind::sigmoid, 0, nullptr},
    {"tanh", Kind::tanh, 0, nullptr},
    {"silu", Kind::silu, 0, nullptr},
    {"softsign", Kind::softsign, 0, nullptr},
    {"elu", Kind::scalar, 1, narrow<elu>},
    {"selu", Kind::scalar, 0, narrow<selu>},
    {"celu", Kind::scalar, 1, narrow<celu>},
    {"exponential", Kind::scalar, 0, narrow<exponential>},
    {"gelu", Kind::scalar, 0, narrow<gelu>},
    {"gelu_tanh", Kind::scalar, 0, narrow<gelu_tanh>},
    {"softplus", Kind::scalar, 0, narrow<softplus_of>},
    {"log_sigmoid", Kind::scalar, 0, narrow<log_sigmoid>},
    {"mish", Kind::scalar, 0, narrow<mish>},
    {"hard_tanh", Kind::scalar, 0, narrow<hard_tanh>},
    {"hard_shrink", Kind::scalar, 1, narrow<hard_shrink>},
    {"soft_shrink", Kind::scalar, 1, narrow<soft_shrink>},
    {"tanh_shrink", Kind::scalar, 0, narrow<tanh_shrink>},
    {"squareplus", Kind::scalar, 1, narrow<squareplus>},
    {"sparse_plus", Kind::scalar, 0, narrow<sparse_plus>},
    {"sparse_sigmoid", Kind::scalar, 0, narrow<sparse_sigmoid>},
    {"threshold", Kind::scalar, 2, narrow<threshold>},
};

}  // namespace

Activation make_activation(const std::string& name, const std::vector<double>& parameters) {
  for (const Entry& entry : kEntries) {
    if (name != entry.name) continue;
    if (parameters.size() != entry.parameters) {
      throw UnsupportedError("activation '" + name + "': expected " +
                             std::to_string(entry.parameters) + " parameter(s), found " +
                             std::to_string(parameters.size()));
    }
    Activation activation;
    activation.kind = entry.kind;
    activation.scalar = entry.scalar;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      activation.p[i] = static_cast<float>(parameters[i]);
    }
    const bool plain_relu = name == "relu" && activation.p[0] == 0.0F &&
                            std::isinf(activation.p[1]) && activation.p[2] == 0.0F;
    if (plain_relu) activation.kind = Kind::relu;
    return activation;
  }
  throw UnsupportedError("activation '" + name +
                         "': expected an elementwise one of activations.py");
}

}  // namespace cn

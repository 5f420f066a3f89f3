// The module convlstm_native._core: a table of contents. Users see the classes of
// convlstm_native, never these.
#include <algorithm>
#include <chrono>

#include "base/parallel.hpp"
#include "bindings/bindings.hpp"
#include "bindings/errors.hpp"
#include "kernels/dispatch.hpp"

namespace cn {
namespace {

// Multiply-adds a second, in GFLOP/s, of `threads` threads at work in registers alone for about
// a fifth of a second; the best of a few tries.
double fma_peak(const std::string& isa, int threads) {
  const KernelTable& kernels = select_kernels(isa);
  constexpr std::size_t kRounds = 1 << 22;
  double best = 0.0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    const auto start = std::chrono::steady_clock::now();
    const auto parts = static_cast<std::size_t>(threads);
    parallel_for(threads, parts, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        float sink = 0.0F;
        kernels.fma_burst(kRounds, &sink);
        // Keeps the compiler from dropping the burst.
        volatile float used = sink;
        static_cast<void>(used);
      }
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    float sink = 0.0F;
    const double a_round = kernels.fma_burst(1, &sink);
    best = std::max(best, a_round * kRounds * threads / seconds.count() / 1e9);
  }
  return best;
}

}  // namespace
}  // namespace cn

PYBIND11_MODULE(_core, module) {
  using namespace cn;
  module.doc() = "The C++ engine of convlstm_native.";
  register_errors();
  register_network(module);
  register_stream(module);
  module.def("available_isas", &available_isas);
  module.def("has_threads", &has_threads);
  module.def("fma_peak", &fma_peak, py::arg("isa"), py::arg("threads"),
             py::call_guard<py::gil_scoped_release>());
}

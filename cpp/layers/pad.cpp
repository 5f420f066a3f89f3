#include "layers/pad.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {

Pad::Pad(const Shape& input, const std::vector<std::ptrdiff_t>& before,
         const std::vector<std::ptrdiff_t>& after, float value)
    : value_(value) {
  constexpr auto kLargest = static_cast<std::ptrdiff_t>(kLargestLength);
  if (before.size() != input.size() || after.size() != input.size()) {
    throw UnsupportedError("pad: expected places before and after each axis");
  }
  for (std::size_t i = 0; i < input.size(); ++i) {
    const bool small = std::max(std::abs(before[i]), std::abs(after[i])) <= kLargest;
    const auto length = static_cast<std::ptrdiff_t>(input[i]);
    const std::ptrdiff_t zero = 0;
    const std::ptrdiff_t kept =
        small ? length + std::min(before[i], zero) + std::min(after[i], zero) : 0;
    const std::ptrdiff_t output = small ? length + before[i] + after[i] : 0;
    if (kept < 1 || output > kLargest) {
      throw UnsupportedError("pad: axis of length " + std::to_string(input[i]) +
                             ": expected at least 1 place to be left");
    }
    output_.push_back(static_cast<std::size_t>(output));
    if (!axes_.empty() && before[i] == 0 && after[i] == 0) {
      Axis& merged = axes_.back();
      merged.input = checked_mul(merged.input, input[i]);
      merged.output = checked_mul(merged.output, input[i]);
      merged.before *= length;
    } else {
      axes_.push_back({input[i], output_.back(), before[i]});
    }
  }
  if (axes_.empty()) axes_.push_back({1, 1, 0});
}

// Where the input has output row number `row`; null beyond its ends.
const float* Pad::row_of(const float* x, std::size_t row) const {
  std::size_t stride = axes_.back().input;
  for (std::size_t i = axes_.size() - 1; i-- > 0;) {
    const Axis& axis = axes_[i];
    const auto place = static_cast<std::ptrdiff_t>(row % axis.output) - axis.before;
    if (place < 0 || place >= static_cast<std::ptrdiff_t>(axis.input)) return nullptr;
    x += static_cast<std::size_t>(place) * stride;
    stride *= axis.input;
    row /= axis.output;
  }
  return x;
}

void Pad::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const Axis& last = axes_.back();
  const std::size_t rows = element_count(output_) / last.output;
  // Of a row that has input: places in front of it, and what of it is kept.
  const auto lead = static_cast<std::size_t>(std::max<std::ptrdiff_t>(last.before, 0));
  const auto skipped = static_cast<std::size_t>(std::max<std::ptrdiff_t>(-last.before, 0));
  const std::size_t kept = std::min(last.input - skipped, last.output - lead);
  const int threads = threads_for(exec, static_cast<double>(rows * last.output));
  parallel_for(threads, rows, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      float* to = out[0] + row * last.output;
      const float* from = row_of(in[0], row);
      if (from == nullptr) {
        std::fill_n(to, last.output, value_);
        continue;
      }
      std::fill_n(to, lead, value_);
      std::copy_n(from + skipped, kept, to + lead);
      std::fill_n(to + lead + kept, last.output - lead - kept, value_);
    }
  });
}

}  // namespace cn

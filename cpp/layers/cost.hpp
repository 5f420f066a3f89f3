// What layers go by when there are two ways to compute, or many threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iomanip>
#include <sstream>
#include <string>

#include "base/buffer.hpp"

namespace cn {

// A cost in multiply-adds, for people.
inline std::string millions(double operations) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(operations < 10e6 ? 3 : 1) << operations / 1e6
       << " Mops a frame";
  return text.str();
}

// Splits the work on a frame: `chunks` of the map, and runs of filters that read the same. Small
// maps have few chunks, so that the filters are split too, down to `least` at a time.
struct FilterSplit {
  std::size_t step;  // filters of a task
  std::size_t runs;  // tasks of a chunk
};
inline FilterSplit split_filters(std::size_t filters, std::size_t chunks, std::size_t least,
                                 int threads) {
  const std::size_t wanted = 4 * static_cast<std::size_t>(threads);
  const std::size_t split = std::min((wanted + chunks - 1) / chunks, (filters - 1) / least + 1);
  const std::size_t step = round_up((filters + split - 1) / split, least);
  return {step, (filters + step - 1) / step};
}

}  // namespace cn

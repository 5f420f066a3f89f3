#include "base/buffer.hpp"

#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace cn {
namespace {

constexpr std::size_t kPage = std::size_t{2} << 20;

std::align_val_t alignment_of(std::size_t bytes) {
  return std::align_val_t{bytes < kPage / 2 ? kAlignment : kPage};
}

}  // namespace

void* take_memory(std::size_t bytes) {
  if (bytes < kPage / 2) return ::operator new(bytes, alignment_of(bytes));
  const std::size_t whole = round_up(bytes, kPage);
  void* memory = ::operator new(whole, alignment_of(bytes));
#ifdef MADV_HUGEPAGE
  madvise(memory, whole, MADV_HUGEPAGE);  // a refusal changes nothing but the speed
#endif
  return memory;
}

void give_back(void* memory, std::size_t bytes) noexcept {
  ::operator delete(memory, alignment_of(bytes));
}

}  // namespace cn

#include "base/buffer.hpp"

#include <cstdint>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace cn {
namespace {

#ifdef __linux__
constexpr std::size_t kPage = std::size_t{2} << 20;

bool has_pages(std::size_t bytes) { return bytes >= kPage / 2; }

// From the system and not from the heap, whose memory may lie on small pages already.
void* new_pages(std::size_t bytes) {
  const std::size_t size = round_up(bytes, kPage), most = size + kPage;
  void* found = mmap(nullptr, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (found == MAP_FAILED) throw std::bad_alloc();
  auto* start = static_cast<std::byte*>(found);
  const std::size_t before = (kPage - reinterpret_cast<std::uintptr_t>(start) % kPage) % kPage;
  std::byte* memory = start + before;
  if (before != 0) munmap(start, before);
  munmap(memory + size, kPage - before);
  madvise(memory, size, MADV_HUGEPAGE);  // a refusal changes nothing but the speed
  return memory;
}
#endif

}  // namespace

void* take_memory(std::size_t bytes) {
#ifdef __linux__
  if (has_pages(bytes)) return new_pages(bytes);
#endif
  return ::operator new(bytes, std::align_val_t{kAlignment});
}

void give_back(void* memory, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef __linux__
  if (has_pages(bytes)) {
    munmap(memory, round_up(bytes, kPage));
    return;
  }
#endif
  ::operator delete(memory, std::align_val_t{kAlignment});
}

}  // namespace cn

// Replaces what C++ code takes memory with, to count how often. For one file of a program.
#pragma once

#include <atomic>
#include <cstdlib>
#include <new>

namespace cn::test {

// Of all threads, since the program began.
inline std::atomic<std::size_t> allocations{0};

inline void* counted(std::size_t bytes) noexcept {
  ++allocations;
  return std::malloc(bytes == 0 ? 1 : bytes);
}

inline void* counted(std::size_t bytes, std::align_val_t alignment) noexcept {
  ++allocations;
  const auto step = static_cast<std::size_t>(alignment);
  // std::aligned_alloc wants a multiple of the alignment.
  return std::aligned_alloc(step, (bytes + step) / step * step);
}

inline void* or_throw(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace cn::test

void* operator new(std::size_t n) { return cn::test::or_throw(cn::test::counted(n)); }
void* operator new[](std::size_t n) { return cn::test::or_throw(cn::test::counted(n)); }
void* operator new(std::size_t n, std::align_val_t a) {
  return cn::test::or_throw(cn::test::counted(n, a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
  return cn::test::or_throw(cn::test::counted(n, a));
}
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return cn::test::counted(n); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return cn::test::counted(n); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return cn::test::counted(n, a);
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return cn::test::counted(n, a);
}

void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }

// Eigen takes its temporaries from malloc. The library of GNU lets a program replace that too, and
// keeps the original under another name.
#ifdef __GLIBC__
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* malloc(std::size_t bytes) {
  ++cn::test::allocations;
  return __libc_malloc(bytes);
}
}
#endif

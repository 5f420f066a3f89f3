// What the C++ tests need of a test framework: a check that counts, random numbers, and an exit
// code. The numbers themselves are checked from Python; these programs exist to run the engine
// under sanitizers.
#pragma once

#include <cstdio>
#include <random>
#include <vector>

namespace cn::test {

inline int failures = 0;

#define CN_CHECK(condition)                                                        \
  do {                                                                             \
    if (!(condition)) {                                                            \
      ++cn::test::failures;                                                        \
      std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                              \
  } while (false)

// The condition must throw an Error.
#define CN_CHECK_THROWS(Error, expression) \
  do {                                     \
    bool thrown = false;                   \
    try {                                  \
      expression;                          \
    } catch (const Error&) {               \
      thrown = true;                       \
    }                                      \
    CN_CHECK(thrown);                      \
  } while (false)

inline int report() {
  if (failures != 0) std::fprintf(stderr, "%d check(s) failed\n", failures);
  return failures == 0 ? 0 : 1;
}

// `count` numbers, normal with deviation `scale`.
inline std::vector<float> random_floats(std::size_t count, unsigned seed, float scale = 1.0F) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> floats(count);
  for (float& f : floats) f = normal(engine);
  return floats;
}

}  // namespace cn::test

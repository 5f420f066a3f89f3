#include "network/feed.hpp"

#include <algorithm>

namespace cn {

std::int64_t Feed::ticks(std::int64_t frames, bool ended) const {
  switch (kind) {
    case Kind::window: {
      // Before the end the places behind it are not known to be empty, but frames that will be
      // left out must be waited for.
      const std::int64_t behind = ended ? window.after : std::min<std::int64_t>(window.after, 0);
      const std::int64_t reach = (window.size - 1) * window.dilation + 1;
      const std::int64_t room = frames + window.before + behind - reach;
      return room < 0 ? 0 : room / window.stride + 1;
    }
    case Kind::repeat:
      return frames * times;
    case Kind::reversed:
      return ended ? frames : 0;
    case Kind::slices:
      return ended ? times : 0;
  }
  return 0;
}

std::int64_t Feed::frames_for(std::int64_t ticks) const {
  if (kind == Kind::repeat) return (ticks + times - 1) / times;
  const std::int64_t reach = (window.size - 1) * window.dilation + 1;
  const std::int64_t left_out = std::max<std::int64_t>(-window.after, 0);
  return std::max<std::int64_t>((ticks - 1) * window.stride + reach - window.before + left_out, 1);
}

std::int64_t Feed::oldest(std::int64_t tick) const {
  switch (kind) {
    case Kind::window:
      return std::max<std::int64_t>(tick * window.stride - window.before, 0);
    case Kind::repeat:
      return tick / times;
    case Kind::reversed:
    case Kind::slices:
      return 0;
  }
  return 0;
}

bool Feed::same(const Feed& other) const {
  const TimeWindow &a = window, &b = other.window;
  return from == other.from && kind == other.kind && times == other.times && zeros == other.zeros &&
         a.size == b.size && a.stride == b.stride && a.dilation == b.dilation &&
         a.before == b.before && a.after == b.after && !(a.fill < b.fill) && !(a.fill > b.fill);
}

bool Feed::plain() const {
  return kind == Kind::window && window.size == 1 && window.stride == 1 && window.before == 0 &&
         window.after == 0;
}

}  // namespace cn

#include "write_guard.h"

#include <algorithm>
#include <cstring>

namespace tlora {
namespace {

bool overlaps(const ByteRange& a, const ByteRange& b) { return a.data < b.data + b.bytes && b.data < a.data + a.bytes; }

}  // namespace

void WriteGuard::before(const std::vector<ByteRange>& written, const std::vector<ByteRange>& read) {
  for (const ByteRange& w : written) {
    const bool inPlace = std::any_of(read.begin(), read.end(), [&](const ByteRange& r) { return overlaps(w, r); });
    if (!inPlace) memset(w.data, 0xff, w.bytes);  // a NaN in every float type
  }
  copies_.clear();
  for (const ByteRange& s : spaces_) copies_.emplace_back(s.data, s.data + s.bytes);
}

std::string WriteGuard::after(const std::vector<ByteRange>& written) const {
  for (size_t i = 0; i < spaces_.size(); i++) {
    const ByteRange& s = spaces_[i];
    if (s.bytes == 0 || memcmp(s.data, copies_[i].data(), s.bytes) == 0) continue;
    for (size_t at = 0; at < s.bytes; at++) {
      if (s.data[at] == copies_[i][at]) continue;
      const ByteRange here{s.name, s.data + at, 1};
      const auto allowed = std::find_if(written.begin(), written.end(), [&](const ByteRange& w) { return overlaps(w, here); });
      if (allowed == written.end()) return "wrote outside its outputs and scratch: byte " + std::to_string(at) + " of " + s.name;
      at = static_cast<size_t>(allowed->data + allowed->bytes - s.data) - 1;
    }
  }
  return "";
}

}  // namespace tlora

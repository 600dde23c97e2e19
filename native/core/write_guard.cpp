#include "write_guard.h"

#include <algorithm>

namespace tlora {
namespace {

bool overlaps(const ByteRange& a, const ByteRange& b) { return a.data < b.data + b.bytes && b.data < a.data + a.bytes; }

}  // namespace

std::vector<char> WriteGuard::copy(const ByteRange& space) const {
  std::vector<char> bytes(space.bytes);
  device_.read(bytes.data(), space.data, space.bytes);
  return bytes;
}

void WriteGuard::before(const std::vector<ByteRange>& written, const std::vector<ByteRange>& read) {
  for (const ByteRange& w : written) {
    const bool inPlace = std::any_of(read.begin(), read.end(), [&](const ByteRange& r) { return overlaps(w, r); });
    const std::vector<char> nan(inPlace ? 0 : w.bytes, static_cast<char>(0xff));  // a NaN in every float type
    device_.write(w.data, nan.data(), nan.size());
  }
  copies_.clear();
  for (const ByteRange& s : spaces_) copies_.push_back(copy(s));
}

std::string WriteGuard::after(const std::vector<ByteRange>& written) const {
  for (size_t i = 0; i < spaces_.size(); i++) {
    const ByteRange& s = spaces_[i];
    const std::vector<char> now = copy(s);
    if (now == copies_[i]) continue;
    for (size_t at = 0; at < s.bytes; at++) {
      if (now[at] == copies_[i][at]) continue;
      const ByteRange here{s.name, s.data + at, 1};
      const auto allowed = std::find_if(written.begin(), written.end(), [&](const ByteRange& w) { return overlaps(w, here); });
      if (allowed == written.end()) return "wrote outside its outputs and scratch: byte " + std::to_string(at) + " of " + s.name;
      at = static_cast<size_t>(allowed->data + allowed->bytes - s.data) - 1;
    }
  }
  return "";
}

}  // namespace tlora

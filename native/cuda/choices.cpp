#include "choices.h"

#include <cstdio>

namespace tlora::cuda {
namespace {

constexpr int kFormat = 1;

// Keys and algorithms are made of printable ASCII without quotes; a device's name might not be.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c >= ' ' && c <= '~' ? c : '?';
  }
  return out + '"';
}

// Reads what json() writes: an object of whole numbers, texts and objects of texts.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool take(char c) {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) at_++;
    if (at_ == text_.size() || text_[at_] != c) return false;
    at_++;
    return true;
  }

  bool string(std::string& out) {
    out.clear();
    if (!take('"')) return false;
    for (; at_ < text_.size() && text_[at_] != '"'; at_++) {
      if (text_[at_] == '\\' && ++at_ == text_.size()) return false;
      out += text_[at_];
    }
    return at_++ < text_.size();
  }

  bool number(int& out) {
    take(' ');
    out = 0;
    const size_t begin = at_;
    for (; at_ < text_.size() && at_ < begin + 6 && text_[at_] >= '0' && text_[at_] <= '9'; at_++) out = 10 * out + (text_[at_] - '0');
    return at_ > begin;
  }

  // Calls member(key) behind each colon of an object; false: not an object, or a member was not taken.
  template <class Member>
  bool object(Member member) {
    if (!take('{')) return false;
    if (take('}')) return true;
    std::string key;
    do {
      if (!string(key) || !take(':') || !member(key)) return false;
    } while (take(','));
    return take('}');
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

struct ChoiceFile {
  int format = 0;
  ChoiceOrigin origin;
  std::map<std::string, Choice> choices;

  bool read(Reader& in) {
    const auto texts = [&](std::string Choice::*part) {
      return in.object([&](const std::string& shape) { return in.string(choices[shape].*part); });
    };
    return in.object([&](const std::string& key) {
      if (key == "format") return in.number(format);
      if (key == "device") return in.string(origin.device);
      if (key == "cublasLt") return in.string(origin.cublasLt);
      if (key == "cudnn") return in.string(origin.cudnn);
      if (key == "choices") return texts(&Choice::algorithm);
      return key == "times" && texts(&Choice::times);
    });
  }
};

}  // namespace

std::string Choices::json() const {
  std::string out = "{\n  \"format\": " + std::to_string(kFormat) + ",\n  \"device\": " + quoted(origin_.device);
  out += ",\n  \"cublasLt\": " + quoted(origin_.cublasLt) + ",\n  \"cudnn\": " + quoted(origin_.cudnn);
  const auto append = [&](const char* name, std::string Choice::*part) {
    out += std::string(",\n  \"") + name + "\": {";
    const char* separator = "\n";
    for (const auto& [shape, choice] : known_) {
      if ((choice.*part).empty()) continue;
      out += separator + std::string("    ") + quoted(shape) + ": " + quoted(choice.*part);
      separator = ",\n";
    }
    out += "\n  }";
  };
  append("choices", &Choice::algorithm);
  append("times", &Choice::times);
  return out + "\n}\n";
}

bool Choices::read(std::string_view json, bool suggestions, Reason& reason) {
  ChoiceFile file;
  Reader in(json);
  if (!file.read(in) || file.format != kFormat) {
    snprintf(reason.text, sizeof reason.text, "this is not a file of algorithm choices of format %d", kFormat);
    return false;
  }
  const auto same = [&](const char* what, const std::string& theirs, const std::string& ours) {
    if (theirs == ours) return true;
    snprintf(reason.text, sizeof reason.text, "the algorithm choices were made with %s %s, this is %s", what, theirs.c_str(), ours.c_str());
    return false;
  };
  if (!same("the device", file.origin.device, origin_.device) || !same("cuBLASLt", file.origin.cublasLt, origin_.cublasLt) ||
      !same("cuDNN", file.origin.cudnn, origin_.cudnn)) {
    return false;
  }
  for (auto& [shape, choice] : file.choices) {
    if (!choice.algorithm.empty()) (suggestions ? suggested_ : known_)[shape] = std::move(choice);
  }
  return true;
}

}  // namespace tlora::cuda

#include "shape_rule.h"

#include <cctype>
#include <cmath>
#include <optional>
#include <vector>

namespace tlora {
namespace {

using Texts = std::vector<std::string>;

// Parts between separators, without the spaces around them.
Texts split(const std::string& text, char separator) {
  Texts parts;
  size_t from = 0;
  for (size_t i = 0; i <= text.size(); i++) {
    if (i < text.size() && text[i] != separator) continue;
    size_t begin = from, end = i;
    while (begin < end && text[begin] == ' ') begin++;
    while (end > begin && text[end - 1] == ' ') end--;
    if (begin < end || separator != ' ') parts.push_back(text.substr(begin, end - begin));
    from = i + 1;
  }
  return parts;
}

std::string sizesText(const Tensor& t) {
  std::string text = "[";
  for (int i = 0; i < t.rank; i++) {
    if (i > 0) text += ',';
    text += std::to_string(t.dims[i]);
  }
  text += ']';
  return text;
}

// What letters, and the star, stand for.
struct Sizes {
  const Call& call;
  std::optional<int64_t> letters[26];
  std::optional<std::vector<int64_t>> star;

  // nullopt: a letter is not known. -1 and less: an attribute is not a size.
  std::optional<int64_t> value(const std::string& expression) const {
    int64_t sum = 0, sign = 1;
    for (size_t i = 0; i < expression.size();) {
      const char c = expression[i];
      if (c == '+' || c == '-') {
        sign = c == '+' ? 1 : -1;
        i++;
        continue;
      }
      const std::optional<int64_t> one = term(expression, i);
      if (!one) return std::nullopt;
      int64_t signedOne = 0;
      if (__builtin_mul_overflow(sign, *one, &signedOne) || __builtin_add_overflow(sum, signedOne, &sum)) return kNoSize;
    }
    return sum;
  }

 private:
  std::optional<int64_t> term(const std::string& text, size_t& i) const {
    int64_t product = 1;
    while (i < text.size() && text[i] != '+' && text[i] != '-') {
      const bool rounded = text[i] == '^';
      if (rounded) i++;
      const std::optional<int64_t> one = factor(text, i);
      if (!one) return std::nullopt;
      if (__builtin_mul_overflow(product, rounded ? (*one + 7) / 8 * 8 : *one, &product)) return kNoSize;
    }
    return product;
  }

  std::optional<int64_t> factor(const std::string& text, size_t& i) const {
    if (text[i] == '@') {
      const int which = text[i + 1] - '0';
      i += 2;
      const double attr = which < call.attrs ? call.attr[which] : -1;
      return attr >= 0 && attr <= 0x1p47 && attr == std::floor(attr) ? static_cast<int64_t>(attr) : kNoSize;
    }
    if (!isdigit(static_cast<unsigned char>(text[i]))) return letters[text[i++] - 'a'];
    int64_t number = 0;
    while (i < text.size() && isdigit(static_cast<unsigned char>(text[i]))) number = 10 * number + (text[i++] - '0');
    return number;
  }

  static constexpr int64_t kNoSize = -(int64_t{1} << 47);
};

bool isLetter(const std::string& token) { return token.size() == 1 && token[0] >= 'a' && token[0] <= 'z'; }

// The index of the tensor's first size that a token stands for; the star takes what the others leave. false: there are too few or too many.
bool align(const Texts& tokens, const Tensor& t, std::vector<int>& first, int& starred) {
  int single = 0;
  bool star = false;
  for (const std::string& token : tokens) (token == "*" ? star = true : (single++, true));
  starred = t.rank - single;
  if (star ? starred < 0 : starred != 0) return false;
  int at = 0;
  for (const std::string& token : tokens) {
    first.push_back(at);
    at += token == "*" ? starred : 1;
  }
  return true;
}

// Gives letters and star their values where they stand alone and have none yet, or (`check`) compares. false: not so.
bool fit(const std::string& pattern, const Tensor& t, Sizes& sizes, bool check) {
  const Texts tokens = split(pattern, ' ');
  std::vector<int> first;
  int starred = 0;
  if (!align(tokens, t, first, starred)) return false;
  for (size_t i = 0; i < tokens.size(); i++) {
    const int64_t* size = t.dims + first[i];
    if (tokens[i] == "*") {
      std::vector<int64_t> run(size, size + starred);
      if (!sizes.star) sizes.star = std::move(run);
      else if (check && *sizes.star != run) return false;
    } else if (!check) {
      if (isLetter(tokens[i]) && !sizes.letters[tokens[i][0] - 'a']) sizes.letters[tokens[i][0] - 'a'] = *size;
    } else {
      const std::optional<int64_t> expected = sizes.value(tokens[i]);
      if (expected && *expected != *size) return false;
    }
  }
  return true;
}

bool holds(const std::string& condition, const Sizes& sizes) {
  const size_t least = condition.find("<="), divides = condition.find('%');
  const size_t at = least != std::string::npos ? least : divides;
  const std::optional<int64_t> a = sizes.value(condition.substr(0, at));
  const std::optional<int64_t> b = sizes.value(condition.substr(at + (at == least ? 2 : 1)));
  if (!a || !b) return true;
  return at == least ? *a >= 0 && *a <= *b : *a >= 0 && *b > 0 && *a % *b == 0;
}

// Tensors of a list: those that come once, and those in brackets.
struct Patterns {
  Texts once, repeated;
  explicit Patterns(const std::string& list) {
    const size_t bracket = list.find('(');
    const std::string head = list.substr(0, bracket);
    if (!head.empty()) once = split(head, ',');
    if (bracket != std::string::npos) repeated = split(list.substr(bracket + 1, list.size() - bracket - 2), ',');
  }
};

struct Listed {
  const char* what;
  const Tensor* tensors;
  size_t count;
  Patterns patterns;
};

// The tensors that come once (round -1), or a round of those in brackets; letters that these bind hold for their round.
std::string roundMisfit(const std::vector<Listed>& lists, const Texts& conditions, int round, Sizes& sizes) {
  for (const bool check : {false, true}) {
    for (const Listed& list : lists) {
      const Texts& patterns = round < 0 ? list.patterns.once : list.patterns.repeated;
      const size_t begin = round < 0 ? 0 : list.patterns.once.size() + static_cast<size_t>(round) * patterns.size();
      for (size_t i = 0; i < patterns.size() && begin + i < list.count; i++) {
        const Tensor& t = list.tensors[begin + i];
        if (!t.present() || fit(patterns[i], t, sizes, check)) continue;
        return std::string(list.what) + " " + std::to_string(begin + i) + ": sizes " + sizesText(t);
      }
    }
  }
  for (const std::string& condition : conditions) {
    if (!holds(condition, sizes)) return "sizes and attributes against " + condition;
  }
  return "";
}

std::string oneMisfit(const std::string& rule, const Call& call) {
  const Texts parts = split(rule, ';');
  const std::vector<Listed> lists = {{"input", call.in, static_cast<size_t>(call.inputs), Patterns(parts[0])},
                                     {"output", call.out, static_cast<size_t>(call.outputs), Patterns(parts[1])}};
  const Texts conditions = parts.size() > 2 ? split(parts[2], ',') : Texts{};
  Sizes sizes{call, {}, {}};
  std::string why = roundMisfit(lists, conditions, -1, sizes);
  const Patterns& inputs = lists[0].patterns;
  const size_t rounds = inputs.repeated.empty() ? 0 : (lists[0].count - inputs.once.size()) / inputs.repeated.size();
  for (size_t round = 0; round < rounds && why.empty(); round++) {
    Sizes own = sizes;
    why = roundMisfit(lists, conditions, static_cast<int>(round), own);
  }
  return why;
}

}  // namespace

std::string shapeMisfit(const char* rule, const Call& call) {
  std::string why;
  for (const std::string& one : split(rule, '|')) {
    why = oneMisfit(one, call);
    if (why.empty()) return "";
  }
  return why + " do not fit " + rule;
}

}  // namespace tlora

#include "statements.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace tlora::ptx {

namespace {

bool isWord(char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%'; }

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Text module() {
    Text out;
    while (skip(), at_ < text_.size()) {
      const std::string word = directive();
      if (word == "version" || word == "target" || word == "address_size" || word == "file") {
        toEndOfLine();
      } else if (word == "visible" || word == "weak") {
        continue;
      } else if (word == "extern") {
        external_ = true;
      } else if (word == "entry" || word == "func") {
        Function f = function(word == "entry");
        if (!f.body.empty()) out.functions[f.name] = std::move(f);
      } else if (word == "global" || word == "const" || word == "shared") {
        out.variables.push_back(storage(word));
      } else {
        fail("a directive ." + word + " is not known to the machine");
      }
    }
    return out;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("PTX line " + std::to_string(line_) + ": " + what);
  }

  void skip() {
    while (at_ < text_.size()) {
      if (text_[at_] == '\n') line_++, at_++;
      else if (isspace(static_cast<unsigned char>(text_[at_]))) at_++;
      else if (text_.substr(at_, 2) == "//") toEndOfLine();
      else if (text_.substr(at_, 2) == "/*") {
        while (at_ < text_.size() && text_.substr(at_, 2) != "*/") line_ += text_[at_++] == '\n';
        at_ += 2;
      } else break;
    }
  }
  void toEndOfLine() {
    while (at_ < text_.size() && text_[at_] != '\n') at_++;
  }
  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    at_++;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(std::string("expected '") + c + "' before '" + std::string(text_.substr(at_, 20)) + "'");
  }
  char peek() {
    skip();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  std::string word() {
    skip();
    const size_t from = at_;
    while (at_ < text_.size() && isWord(text_[at_])) at_++;
    if (from == at_) fail("expected a word before '" + std::string(text_.substr(at_, 20)) + "'");
    return std::string(text_.substr(from, at_ - from));
  }
  std::string directive() {
    expect('.');
    return word();
  }
  // Of a float, 0f3F800000 or 0d3FF0000000000000, its bits.
  uint64_t integer() {
    const std::string digits = word();
    const bool bits = digits[0] == '0' && (digits.size() == 10 || digits.size() == 18) && strchr("fFdD", digits[1]);
    char* end = nullptr;
    const uint64_t value = bits ? strtoull(digits.c_str() + 2, &end, 16) : strtoull(digits.c_str(), &end, 0);
    if (*end != '\0' && strcmp(end, "U") != 0) fail("expected a number, got '" + digits + "'");
    return value;
  }

  // ".align 8 .b8 name[40] = {1, 2}" without the space's own word and without what ends it.
  Variable variable() {
    Variable v{"", "", 0, 0};
    for (;;) {
      const std::string what = directive();
      if (what == "align") v.align = integer();
      else if (what == "ptr" || what == "global" || what == "shared" || what == "const" || what == "local") continue;
      else v.type = what;
      if (peek() != '.') break;
    }
    v.name = word();
    v.bytes = typeBytes(v.type);
    if (!v.bytes) fail("a type ." + v.type + " is not known to the machine");
    v.align = std::max(v.align, v.bytes);
    while (take('[')) {
      v.bytes *= peek() == ']' ? 0 : integer();
      expect(']');
    }
    return v;
  }

  Statement storage(const std::string& space) {
    Statement s;
    s.kind = Statement::storage;
    s.line = line_;
    s.space = space;
    const Variable v = variable();
    s.names = {{v.name, -1}};
    s.type = v.type;
    s.bytes = v.bytes;
    s.align = v.align;
    s.external = external_;
    external_ = false;
    if (take('=')) {
      const bool braces = take('{');
      do {
        const uint64_t value = integer();
        const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
        s.data.insert(s.data.end(), bytes, bytes + typeBytes(v.type));
      } while (braces && take(','));
      if (braces) expect('}');
    }
    expect(';');
    return s;
  }

  std::vector<Variable> parameters() {
    std::vector<Variable> out;
    expect('(');
    if (take(')')) return out;
    do {
      if (directive() != "param") fail("expected .param");
      out.push_back(variable());
    } while (take(','));
    expect(')');
    return out;
  }

  Function function(bool entry) {
    Function f;
    f.entry = entry;
    if (peek() == '(') f.results = parameters();
    f.name = word();
    if (peek() == '(') f.parameters = parameters();
    while (peek() == '.') {
      const std::string what = directive();
      unsigned sizes[3] = {1, 1, 1};
      for (int i = 0; i < 3; i++) {
        if (isdigit(static_cast<unsigned char>(peek()))) sizes[i] = unsigned(integer());
        if (!take(',')) break;
      }
      if (what == "maxntid") f.maxThreads = sizes[0] * sizes[1] * sizes[2];
      if (what == "reqntid") std::copy(sizes, sizes + 3, f.required);
    }
    if (take(';')) return f;
    expect('{');
    for (int depth = 1; depth > 0;) {
      Statement s;
      s.line = (skip(), line_);
      if (take('}')) {
        if (--depth > 0) s.kind = Statement::close, f.body.push_back(s);
      } else if (take('{')) {
        depth++;
        s.kind = Statement::open;
        f.body.push_back(s);
      } else if (peek() == '.') {
        inner(s, f.body);
      } else {
        f.body.push_back(instruction(s));
      }
    }
    return f;
  }

  void inner(Statement& s, std::vector<Statement>& body) {
    const std::string what = directive();
    if (what == "loc") return toEndOfLine();
    if (what == "pragma") {
      while (!take(';')) at_++;
      return;
    }
    if (what != "reg") return body.push_back(storage(what));
    s.kind = Statement::registers;
    s.type = directive();
    do {
      const std::string name = word();
      int count = -1;
      if (take('<')) count = int(integer()), expect('>');
      s.names.emplace_back(name, count);
    } while (take(','));
    expect(';');
    body.push_back(s);
  }

  Statement instruction(Statement& s) {
    if (take('@')) {
      s.guardNot = take('!');
      s.guard = word();
    }
    s.text = word();
    if (take(':')) {
      s.kind = Statement::label;
      return s;
    }
    while (at_ < text_.size() && text_[at_] == '.') s.mods.push_back(directive());
    if (take(';')) return s;
    do s.operands.push_back(operand());
    while (take(','));
    expect(';');
    return s;
  }

  Token several(Token::Kind kind, char end) {
    Token t;
    t.kind = kind;
    if (take(end)) return t;
    do t.parts.push_back(operand());
    while (take(','));
    expect(end);
    return t;
  }

  int64_t offset() {
    if (take('+')) {
      const bool minus = take('-');
      return minus ? -int64_t(integer()) : int64_t(integer());
    }
    return 0;
  }

  Token operand() {
    if (take('{')) return several(Token::vector, '}');
    if (take('(')) return several(Token::list, ')');
    Token t;
    if (take('!')) {
      t.kind = Token::negated;
      t.parts.push_back(operand());
      return t;
    }
    if (take('[')) {
      t.kind = Token::address;
      Token base;
      base.text = word();
      if (isdigit(static_cast<unsigned char>(base.text[0]))) base.kind = Token::number;
      t.parts.push_back(base);
      t.offset = offset();
      expect(']');
      return t;
    }
    const bool minus = take('-');
    t.text = word();
    if (isdigit(static_cast<unsigned char>(t.text[0]))) {
      t.kind = Token::number;
      if (minus) t.text = std::string("-").append(t.text);
      return t;
    }
    while (at_ < text_.size() && text_[at_] == '.') t.text += "." + directive();  // %tid.x
    if (take('|')) {
      Token pair;
      pair.kind = Token::pair;
      pair.parts = {t, operand()};
      return pair;
    }
    t.offset = offset();
    return t;
  }

  std::string_view text_;
  size_t at_ = 0;
  uint32_t line_ = 1;
  bool external_ = false;
};

}  // namespace

size_t typeBytes(std::string_view type) {
  if (type.empty()) return 0;
  const std::string_view digits = type.substr(type.find_first_of("0123456789") == std::string_view::npos ? 0 : type.find_first_of("0123456789"));
  if (digits == "8") return 1;
  if (digits == "16") return 2;
  if (digits == "32" || digits == "16x2") return 4;
  return digits == "64" ? 8 : 0;
}

Text readText(std::string_view text) { return Reader(text).module(); }

}  // namespace tlora::ptx

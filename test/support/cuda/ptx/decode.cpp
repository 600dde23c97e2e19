#include "decode.h"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace tlora::ptx {

size_t bytesOf(Type type) {
  switch (type) {
    case Type::pred: return 0;
    case Type::b8: case Type::u8: case Type::s8: return 1;
    case Type::b16: case Type::u16: case Type::s16: case Type::f16: case Type::bf16: return 2;
    case Type::b32: case Type::u32: case Type::s32: case Type::f32: return 4;
    default: return 8;
  }
}

Width widthOf(Type type) {
  switch (bytesOf(type)) {
    case 0: return Width::pred;
    case 1: case 2: return Width::b16;
    case 4: return Width::b32;
    default: return Width::b64;
  }
}

bool isFloat(Type type) { return type >= Type::f16; }
bool isSigned(Type type) { return type >= Type::s8 && type <= Type::s64; }

bool Decoder::mod(std::string_view word) {
  const auto found = std::find(mods_.begin(), mods_.end(), word);
  if (found == mods_.end()) return false;
  mods_.erase(found);
  return true;
}

Type Decoder::type() {
  static const std::map<std::string_view, Type> types = {
      {"pred", Type::pred}, {"b8", Type::b8},   {"b16", Type::b16}, {"b32", Type::b32}, {"b64", Type::b64}, {"u8", Type::u8},
      {"u16", Type::u16},   {"u32", Type::u32}, {"u64", Type::u64}, {"s8", Type::s8},   {"s16", Type::s16}, {"s32", Type::s32},
      {"s64", Type::s64},   {"f16", Type::f16}, {"bf16", Type::bf16}, {"f32", Type::f32}, {"f64", Type::f64}};
  if (mods_.empty()) unknown();
  const auto found = types.find(mods_.back());
  if (found == types.end()) unknown();
  mods_.pop_back();
  return found->second;
}

void Decoder::unknown(const std::string& why) const {
  throw std::runtime_error("PTX line " + std::to_string(statement_.line) + ": the machine does not know '" + kernel_.textOf(statement_.line) + "'" +
                           (why.empty() ? "" : ": " + why));
}

const Token& Decoder::peek() const {
  if (!more()) unknown("operands are missing");
  return statement_.operands[next_];
}

const Token& Decoder::take() {
  const Token& token = peek();
  next_++;
  return token;
}

void Decoder::append(Place place, bool result) {
  if (result && in.results != in.operands) unknown("results after sources");
  kernel_.operands.push_back(place);
  in.operands++;
  in.results += result;
}

Width Decoder::place(const Token& token, Type type, bool result, bool exact) {
  Width width = widthOf(type);
  const Place at = names_.value(token, type, width);
  if (result && (at & kConstant)) unknown("a result that is not a register");
  if (exact ? width != widthOf(type) : width < widthOf(type)) unknown("the register of '" + token.text + "' has another width");
  append(at, result);
  return width;
}

bool Decoder::resultAndPredicate(Type type) {
  if (peek().kind != Token::pair) {
    result(type);
    return false;
  }
  const Token& pair = take();
  place(pair.parts[0], type, true, true);
  place(pair.parts[1], Type::pred, true, true);
  return true;
}

unsigned Decoder::several(Type type, bool results, bool exact, Width* width) {
  const Token& token = take();
  const std::vector<Token> one = {token};
  const std::vector<Token>& all = token.kind == Token::vector ? token.parts : one;
  Width first = Width::pred;
  for (size_t i = 0; i < all.size(); i++) {
    const Width w = place(all[i], type, results, exact);
    if (i == 0) first = w;
    if (w != first) unknown("registers of several widths");
  }
  if (width) *width = first;
  return unsigned(all.size());
}

Width Decoder::address() {
  const Token& token = take();
  if (token.kind != Token::address) unknown("an address is expected");
  in.immediate = token.offset;
  Width width = Width::b64;
  append(names_.value(token.parts[0], Type::b64, width), false);
  if (width != Width::b32 && width != Width::b64) unknown("a register that holds no address");
  return width;
}

int64_t Decoder::literal() {
  const Token& token = take();
  if (token.kind != Token::number) unknown("a literal is expected");
  return strtoll(token.text.c_str(), nullptr, 0);
}

bool Decoder::takeSlot(Width width, Place& place) {
  const Token& token = peek();
  if (token.kind != Token::address || !names_.slot(token.parts[0].text, token.offset, width, place)) return false;
  next_++;
  return true;
}

void Decoder::finish() {
  if (!mods_.empty()) unknown("." + mods_.front());
  if (more()) unknown("further operands");
}

}  // namespace tlora::ptx

#include "assemble.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "decode.h"

namespace tlora::ptx {

namespace {

constexpr size_t roundUp(size_t value, size_t to) { return (value + to - 1) / to * to; }

struct Symbol {
  enum Kind { reg, shared, dynamicShared, global, local, parameter, slot } kind;
  uint32_t id = 0;     // of a register or a slot
  uint64_t address = 0;
};

Width registerWidth(const std::string& type) {
  if (type == "pred") return Width::pred;
  switch (typeBytes(type)) {
    case 1: case 2: return Width::b16;
    case 4: return Width::b32;
    case 8: return Width::b64;
    default: throw std::runtime_error("registers of type ." + type + " are not known to the machine");
  }
}

class Assembler : public Names {
 public:
  Assembler(const Text& text, std::map<std::string, std::vector<char>>& variables, Kernel& kernel)
      : text_(text), variables_(variables), kernel_(kernel) {}

  void run(const Function& entry) {
    kernel_.maxThreads = entry.maxThreads;
    std::copy(entry.required, entry.required + 3, kernel_.requiredThreads);
    scopes_ = {moduleScope(), {}};
    for (const Variable& p : entry.parameters) {
      const size_t offset = roundUp(kernel_.parameterBytes, p.align);
      kernel_.parameters.push_back({p.name, offset, p.bytes});
      kernel_.parameterBytes = offset + p.bytes;
      scopes_.back()[p.name] = {Symbol::parameter, 0, offset};
    }
    body(entry);
    emitExit();
    for (Instruction& in : kernel_.code) {
      if (in.flow != Flow::branch) continue;
      const auto found = labels_.find(targets_[in.target]);
      if (found == labels_.end()) throw std::runtime_error("no label " + targets_[in.target]);
      in.target = found->second;
    }
    placeDynamicShared();
    allocateRegisters(kernel_, widths_, registerNames_);
    for (Instruction& in : kernel_.code) in.at = kernel_.operands.data() + in.first;
  }

  Place value(const Token& token, Type type, Width& width) override {
    if (token.kind == Token::number) {
      width = widthOf(type);
      return constant(literal(token.text, type), width);
    }
    if (token.kind != Token::name) throw std::runtime_error("an operand of an unknown form");
    if (token.text[0] == '%' && special(token.text, width)) return specialPlace_;
    const Symbol& symbol = find(token.text);
    if (symbol.kind == Symbol::reg) {
      width = widths_[symbol.id];
      return symbol.id;
    }
    if (symbol.kind == Symbol::slot) throw std::runtime_error("the address of a call's parameter");
    width = widthOf(type);
    const Place at = constant(symbol.address + uint64_t(token.offset), width, symbol.kind == Symbol::dynamicShared);
    return at;
  }

  Place constant(uint64_t bits, Width width) override { return constant(bits, width, false); }

  bool slot(const std::string& symbol, int64_t offset, Width width, Place& place) override {
    const Symbol* found = lookup(symbol);
    if (!found || found->kind != Symbol::slot) return false;
    const auto [at, fresh] = slots_.try_emplace({found->id, offset}, uint32_t(widths_.size()));
    if (fresh) newRegister(symbol, width);
    if (widths_[at->second] != width) throw std::runtime_error("a call's parameter is written and read with different widths");
    place = at->second;
    return true;
  }

 private:
  using Scope = std::map<std::string, Symbol>;

  Scope moduleScope() {
    Scope scope;
    for (const Statement& s : text_.variables) scope[s.names[0].first] = {Symbol::global, 0, 0};
    return scope;
  }

  const Symbol* lookup(const std::string& name) {
    for (size_t i = scopes_.size(); i-- > 0;) {
      const auto found = scopes_[i].find(name);
      if (found != scopes_[i].end()) return &found->second;
    }
    return nullptr;
  }

  const Symbol& find(const std::string& name) {
    const Symbol* symbol = lookup(name);
    if (!symbol) throw std::runtime_error("PTX line " + std::to_string(line_) + ": '" + name + "' is not declared");
    const auto variable = std::find_if(text_.variables.begin(), text_.variables.end(), [&](const Statement& s) { return s.names[0].first == name; });
    // A module's variables lie where they are first named: shared ones are the kernel's only then.
    if (variable != text_.variables.end() && symbol == &scopes_[0][name] && symbol->address == 0) scopes_[0][name] = stored(*variable);
    return *symbol;
  }

  Symbol stored(const Statement& s) {
    if (s.space == "shared" && s.external) {
      kernel_.dynamicShared = true;
      kernel_.dynamicAlign = std::max(kernel_.dynamicAlign, s.align);
      return {Symbol::dynamicShared, 0, kReservedShared};
    }
    if (s.space == "shared") {
      const size_t offset = roundUp(kReservedShared + kernel_.staticShared, s.align);
      kernel_.staticShared = offset + s.bytes - kReservedShared;
      return {Symbol::shared, 0, offset};
    }
    if (s.space == "local") {
      const size_t offset = roundUp(kernel_.localBytes, s.align);
      kernel_.localBytes = offset + s.bytes;
      return {Symbol::local, 0, offset};
    }
    if (s.space == "param") {
      return {Symbol::slot, nextSlot_++, 0};
    }
    if (s.space == "global" || s.space == "const") {
      std::vector<char>& bytes = variables_[s.names[0].first];
      if (bytes.empty()) {
        bytes.assign(std::max<size_t>(s.bytes, 1), 0);
        memcpy(bytes.data(), s.data.data(), std::min(s.data.size(), s.bytes));
      }
      return {Symbol::global, 0, reinterpret_cast<uint64_t>(bytes.data())};
    }
    throw std::runtime_error("PTX line " + std::to_string(s.line) + ": space ." + s.space + " is not known to the machine");
  }

  void newRegister(const std::string& name, Width width) {
    widths_.push_back(width);
    registerNames_.push_back(name);
  }

  void declare(const Statement& s) {
    const Width width = registerWidth(s.type);
    for (const auto& [name, count] : s.names) {
      for (int i = 0; i < std::abs(count); i++) {
        const std::string full = count < 0 ? name : name + std::to_string(i);
        scopes_.back()[full] = {Symbol::reg, uint32_t(widths_.size()), 0};
        newRegister(full, width);
      }
    }
  }

  void body(const Function& f) {
    const std::string instance = std::to_string(instances_++) + ":";
    const std::string outer = instance_;
    instance_ = instance;
    const size_t depth = scopes_.size();
    for (const Statement& s : f.body) {
      line_ = s.line;
      switch (s.kind) {
        case Statement::open: scopes_.emplace_back(); break;
        case Statement::close: scopes_.pop_back(); break;
        case Statement::registers: declare(s); break;
        case Statement::storage: scopes_.back()[s.names[0].first] = stored(s); break;
        case Statement::label: labels_[instance_ + s.text] = uint32_t(kernel_.code.size()); break;
        case Statement::instruction: instruction(s); break;
      }
    }
    scopes_.resize(depth);
    labels_[instance_ + "end"] = uint32_t(kernel_.code.size());
    instance_ = outer;
  }

  // A function's text takes the place of its call: parameters and results are registers that both know.
  void call(const Statement& s) {
    std::vector<Token> lists[2];
    std::string name;
    for (const Token& t : s.operands) {
      if (t.kind == Token::list) lists[name.empty() ? 0 : 1] = t.parts;
      else name = t.text;
    }
    const auto found = text_.functions.find(name);
    if (found == text_.functions.end()) throw std::runtime_error("PTX line " + std::to_string(s.line) + ": no function " + name);
    const Function& f = found->second;
    if (lists[0].size() != f.results.size() || lists[1].size() != f.parameters.size() || !s.guard.empty()) {
      throw std::runtime_error("PTX line " + std::to_string(s.line) + ": a call of an unknown form");
    }
    Scope inner;
    for (size_t i = 0; i < lists[0].size(); i++) inner[f.results[i].name] = find(lists[0][i].text);
    for (size_t i = 0; i < lists[1].size(); i++) inner[f.parameters[i].name] = find(lists[1][i].text);
    std::vector<Scope> outer = {scopes_[0], std::move(inner)};
    std::swap(outer, scopes_);
    if (++calls_ > 64) throw std::runtime_error("functions call each other");
    body(f);
    calls_--;
    outer[0] = scopes_[0];
    std::swap(outer, scopes_);
  }

  Instruction& add(const Statement* s) {
    Instruction& in = kernel_.code.emplace_back();
    in.line = line_;
    in.first = uint32_t(kernel_.operands.size());
    if (s && !s->guard.empty()) {
      const Symbol& guard = find(s->guard);
      if (guard.kind != Symbol::reg || widths_[guard.id] != Width::pred) throw std::runtime_error("a guard that is no predicate");
      in.guard = guard.id;
      in.guardNot = s->guardNot;
    }
    return in;
  }

  void branch(Instruction& in, const std::string& label) {
    in.flow = Flow::branch;
    in.target = uint32_t(targets_.size());
    targets_.push_back(label);
  }

  void emitExit() { add(nullptr).flow = Flow::exit; }

  void instruction(const Statement& s) {
    if (s.text == "call") return call(s);
    Instruction& in = add(&s);
    if (s.text == "bra" && s.operands.size() == 1) return branch(in, instance_ + s.operands[0].text);
    if (s.text == "ret" && calls_ > 0) return branch(in, instance_ + "end");
    if (s.text == "ret" || s.text == "exit") {
      in.flow = Flow::exit;
      return;
    }
    Decoder d(s, *this, kernel_, in);
    try {
      if (!decodeArithmetic(s.text, d) && !decodeFloat(s.text, d) && !decodeConversion(s.text, d) && !decodeMemory(s.text, d) && !decodeWarp(s.text, d)) d.unknown();
    } catch (const std::runtime_error& error) {
      if (strncmp(error.what(), "PTX line", 8) == 0) throw;
      d.unknown(error.what());
    }
    d.finish();
  }

  static uint64_t literal(const std::string& text, Type type) {
    const bool single = text.size() == 10 && text[0] == '0' && (text[1] == 'f' || text[1] == 'F');
    const bool twice = text.size() == 18 && text[0] == '0' && (text[1] == 'd' || text[1] == 'D');
    if (single || twice) {
      const uint64_t bits = strtoull(text.c_str() + 2, nullptr, 16);
      if ((single && type != Type::f32 && type != Type::b32) || (twice && type != Type::f64 && type != Type::b64)) {
        throw std::runtime_error("a literal of another type");
      }
      return bits;
    }
    if (type >= Type::f16) throw std::runtime_error("an integer where a float is expected");
    const uint64_t value = text[0] == '-' ? uint64_t(strtoll(text.c_str(), nullptr, 0)) : strtoull(text.c_str(), nullptr, 0);
    return type == Type::pred && value ? kEveryLane : value;
  }

  bool special(const std::string& name, Width& width) {
    static const std::map<std::string, Special> all = {
        {"%tid.x", Special::tidX},       {"%tid.y", Special::tidY},       {"%tid.z", Special::tidZ},       {"%ntid.x", Special::ntidX},
        {"%ntid.y", Special::ntidY},     {"%ntid.z", Special::ntidZ},     {"%ctaid.x", Special::ctaidX},   {"%ctaid.y", Special::ctaidY},
        {"%ctaid.z", Special::ctaidZ},   {"%nctaid.x", Special::nctaidX}, {"%nctaid.y", Special::nctaidY}, {"%nctaid.z", Special::nctaidZ},
        {"%laneid", Special::laneid},    {"%warpid", Special::warpid}};
    const auto found = all.find(name);
    if (found == all.end()) return false;
    width = Width::b32;
    for (const auto& [which, place] : kernel_.specials) {
      if (which == found->second) {
        specialPlace_ = place;
        return true;
      }
    }
    // They are registers that live through the whole kernel.
    specialPlace_ = uint32_t(widths_.size());
    newRegister(name, Width::b32);
    kernel_.specials.emplace_back(found->second, specialPlace_);
    return true;
  }

  Place constant(uint64_t bits, Width width, bool dynamic) {
    if (width == Width::b16) bits &= 0xffff;
    if (width == Width::b32) bits &= 0xffffffffu;
    const auto [found, fresh] = constants_.try_emplace({bits, width, dynamic}, Place(kernel_.constants.size()));
    if (fresh) {
      const size_t at = kernel_.constants.size();
      kernel_.constants.resize(at + roundUp(slotBytes(width), 64));
      fill(at, bits, width);
      if (dynamic) dynamic_.push_back({at, bits, width});
    }
    return found->second | kConstant;
  }

  void fill(size_t at, uint64_t bits, Width width) {
    char* to = kernel_.constants.data() + at;
    if (width == Width::pred) {
      const uint32_t mask = uint32_t(bits);
      memcpy(to, &mask, 4);
    }
    const size_t bytes = width == Width::pred ? 0 : slotBytes(width) / kLanes;
    for (size_t i = 0; bytes && i < kLanes; i++) memcpy(to + i * bytes, &bits, bytes);
  }

  // Dynamic shared memory comes after the static.
  void placeDynamicShared() {
    kernel_.staticShared = roundUp(kernel_.staticShared, kernel_.dynamicShared ? kernel_.dynamicAlign : 1);
    for (const auto& [at, bits, width] : dynamic_) fill(at, bits + kernel_.staticShared, width);
  }

  struct Dynamic {
    size_t at;
    uint64_t bits;
    Width width;
  };

  const Text& text_;
  std::map<std::string, std::vector<char>>& variables_;
  Kernel& kernel_;
  std::vector<Scope> scopes_;
  std::vector<Width> widths_;
  std::vector<std::string> registerNames_;
  std::map<std::string, uint32_t> labels_;
  std::vector<std::string> targets_;
  std::map<std::pair<uint32_t, int64_t>, uint32_t> slots_;
  std::map<std::tuple<uint64_t, Width, bool>, Place> constants_;
  std::vector<Dynamic> dynamic_;
  Place specialPlace_ = 0;
  uint32_t nextSlot_ = 0, line_ = 0;
  int instances_ = 0, calls_ = 0;
  std::string instance_;
};

}  // namespace

Module::Module(std::string text) : source_(std::make_shared<const std::string>(std::move(text))), text_(readText(*source_)) {}

const Kernel& Module::kernel(const std::string& name) {
  const auto known = kernels_.find(name);
  if (known != kernels_.end()) return *known->second;
  const auto found = text_.functions.find(name);
  if (found == text_.functions.end() || !found->second.entry) throw std::runtime_error("the module has no kernel " + name);
  auto kernel = std::make_unique<Kernel>();
  kernel->name = readableName(name);
  kernel->text = source_;
  try {
    Assembler(text_, variables_, *kernel).run(found->second);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error("kernel " + kernel->name + ": " + error.what());
  }
  return *(kernels_[name] = std::move(kernel));
}

const std::vector<char>* Module::variable(const std::string& name) const {
  const auto found = variables_.find(name);
  return found == variables_.end() ? nullptr : &found->second;
}

int Module::target() const {
  constexpr std::string_view word = ".target sm_";
  const size_t at = source_->find(word);
  return at == std::string::npos ? 0 : atoi(source_->c_str() + at + word.size());
}

bool Module::holds(const char* address, size_t bytes) const {
  for (const auto& [name, data] : variables_) {
    if (address >= data.data() && address + bytes <= data.data() + data.size()) return true;
  }
  return false;
}

}  // namespace tlora::ptx

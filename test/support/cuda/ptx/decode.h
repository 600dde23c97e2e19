// From one statement to one instruction: what the files of instructions (arithmetic.cpp, floats.cpp, conversions.cpp, memory.cpp,
// warps.cpp) decode with.
#pragma once
#include <string>
#include <string_view>

#include "program.h"
#include "statements.h"

namespace tlora::ptx {

enum class Type : uint8_t { pred, b8, b16, b32, b64, u8, u16, u32, u64, s8, s16, s32, s64, f16, bf16, f32, f64 };
size_t bytesOf(Type type);
Width widthOf(Type type);  // of a register that holds it: 16 bits for a byte
bool isFloat(Type type);
bool isSigned(Type type);

// Names to places; the assembler's half.
class Names {
 public:
  virtual ~Names() = default;
  // A register, or a literal or symbol as a constant of `type`. `width` gets the register's or constant's.
  virtual Place value(const Token& token, Type type, Width& width) = 0;
  virtual Place constant(uint64_t bits, Width width) = 0;
  // The place of a call's parameter: a register of `width` for its bytes from `offset` on; false: `symbol` is not one.
  virtual bool slot(const std::string& symbol, int64_t offset, Width width, Place& place) = 0;
};

class Decoder {
 public:
  Decoder(const Statement& statement, Names& names, Kernel& kernel, Instruction& in)
      : in(in), statement_(statement), names_(names), kernel_(kernel), mods_(statement.mods) {}

  Instruction& in;

  // Takes a word of the opcode if it is there.
  bool mod(std::string_view word);
  // Takes the last word of the opcode, a type.
  Type type();
  [[noreturn]] void unknown(const std::string& why = "") const;
  const Statement& statement() const { return statement_; }

  // The next operand; results first.
  const Token& peek() const;
  bool more() const { return next_ < statement_.operands.size(); }
  void result(Type type) { place(take(), type, true, true); }
  void source(Type type) { place(take(), type, false, true); }
  // Registers may be wider than the type. Gives the register's width.
  Width wideResult(Type type) { return place(take(), type, true, false); }
  Width wideSource(Type type) { return place(take(), type, false, false); }
  // "d|p": a second result, a predicate, or none (at[1] is then the same as at[0] and `immediate` says so).
  bool resultAndPredicate(Type type);
  // {a, b, ...} or one; gives how many. The width is the same for all.
  unsigned several(Type type, bool results, bool exact, Width* width = nullptr);
  // [base + offset]; the offset goes to `immediate`. Gives the base's width.
  Width address();
  // A literal that is no operand of the instruction as it runs.
  int64_t literal();
  // If the next operand is [symbol] of a call's parameter: takes it and gives its register.
  bool takeSlot(Width width, Place& place);
  void append(Place place, bool result);
  const Token& take();
  void finish();

 private:
  Width place(const Token& token, Type type, bool result, bool exact);

  const Statement& statement_;
  Names& names_;
  Kernel& kernel_;
  std::vector<std::string> mods_;
  size_t next_ = 0;
};

// Sets `run` (or `flow`) and the operands; false: not one of its instructions.
bool decodeArithmetic(const std::string& name, Decoder& d);
bool decodeFloat(const std::string& name, Decoder& d);
bool decodeConversion(const std::string& name, Decoder& d);
bool decodeMemory(const std::string& name, Decoder& d);
bool decodeWarp(const std::string& name, Decoder& d);

// Gives registers their slots, and says which may be read before they are written.
void allocateRegisters(Kernel& kernel, const std::vector<Width>& widths, const std::vector<std::string>& names);

}  // namespace tlora::ptx

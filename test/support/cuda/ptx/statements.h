// PTX text as statements: directives, labels and instructions with their operands, names still unresolved (PTX ISA, "Syntax").
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tlora::ptx {

struct Token {
  enum Kind { name, number, address, vector, pair, negated, list } kind = name;
  std::string text;          // of a name, or of a number
  std::vector<Token> parts;  // of a vector, a pair "d|p" or a list; the base of an address; what is negated
  int64_t offset = 0;        // of an address, or of a name "symbol+4"
};

struct Statement {
  enum Kind { instruction, label, open, close, registers, storage } kind = instruction;
  uint32_t line = 0;
  std::string text;                // label, or an instruction's first word: "fma"
  std::vector<std::string> mods;   // an instruction's other words: "rn", "f32"
  std::vector<Token> operands;
  std::string guard;               // predicate's name, or empty
  bool guardNot = false;
  // registers, storage
  std::string space, type;         // "shared", "b8"
  std::vector<std::pair<std::string, int>> names;  // and how many: -1 plain, n for name<n>
  size_t bytes = 0, align = 1;
  bool external = false;           // its size is the launch's
  std::vector<uint8_t> data;       // initial bytes of a variable
};

struct Variable {
  std::string name, type;
  size_t bytes, align;
};

struct Function {
  std::string name;
  bool entry = false;
  std::vector<Variable> results, parameters;
  std::vector<Statement> body;
  unsigned maxThreads = 1024, required[3] = {0, 0, 0};
};

struct Text {
  std::map<std::string, Function> functions;
  std::vector<Statement> variables;  // of the module
};

// Throws std::runtime_error with the line.
Text readText(std::string_view text);

size_t typeBytes(std::string_view type);

}  // namespace tlora::ptx

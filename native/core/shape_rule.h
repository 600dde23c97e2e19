// The sizes of an op's tensors, as ops.def states them in a small language, held against those of a call.
#pragma once
#include <string>

#include "kernel.h"

namespace tlora {

// Empty, or what does not fit: "input 1: sizes [5,21] do not fit * k, o k, o; * o". A rule is "inputs; outputs" or "inputs; outputs; conditions";
// of rules with a | between them one must hold.
//   tensors   with commas between them, absent ones left out of account; those in brackets at the end come as often as in the signature
//   a size    an expression, a letter for each size of its own; * stands for any number of sizes, everywhere the same
//   expression  sums and differences of whole numbers, letters, @0 (an attribute), products (2a, @0a) and ^r (r rounded up to a multiple of 8)
//   conditions  a<=b, a%b (b divides a); those with a letter that no tensor gives hold
std::string shapeMisfit(const char* rule, const Call& call);

}  // namespace tlora

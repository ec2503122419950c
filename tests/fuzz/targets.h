// What is fuzzed. Each takes any bytes and returns; what must not be stops the program.
#pragma once
#include <cstddef>
#include <span>

namespace warren::fuzz {

using Bytes = std::span<const std::byte>;

void attach(Bytes bytes);   // a file, opened by name as every kind of object and used
void codec(Bytes bytes);    // an encoded value of many types
void inspect(Bytes bytes);  // a file, shown by ipc-inspect
void pipe(Bytes bytes);     // words written into a pipe in use
void queue(Bytes bytes);    // words written into a queue in use
void recover(Bytes bytes);  // words written into lanes, locks and values in use
void planted(Bytes bytes);  // has a fault that the fuzzer must find: the control

}  // namespace warren::fuzz

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/pickle/reader.h"

namespace diffprob::data {

struct Pickle::Arena {
  std::string source;
  std::deque<PickleValue> nodes;  // never moves a node
  const PickleValue* root = nullptr;
  std::size_t consumed = 0;
};

/// The stack machine of read_pickle: one opcode after the other, nodes in one arena (cycles through
/// the memo then cost nothing).
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, const PickleGlobals& allowed,
                const std::string& source, const PickleLimits& limits, PickleUnknown unknown);
  [[nodiscard]] Pickle run();

 private:
  [[noreturn]] void fail(const std::string& message) const;
  void start();

  // Input.
  [[nodiscard]] std::size_t left() const noexcept { return bytes_.size() - at_; }
  [[nodiscard]] std::string_view take(std::uint64_t length);
  [[nodiscard]] std::uint64_t take_unsigned(std::size_t width);
  [[nodiscard]] std::string_view take_line();
  /// A line of any length, as protocol 0 writes texts.
  [[nodiscard]] std::string_view take_text_line();
  [[nodiscard]] std::uint64_t take_memo_line();

  // Nodes and stack.
  PickleValue& make(PickleKind kind);
  void push(PickleValue& value) { stack_.push_back(&value); }
  [[nodiscard]] PickleValue& pop();
  [[nodiscard]] PickleValue& top() const;
  /// What lies above the last mark; the mark and the values leave the stack.
  [[nodiscard]] std::vector<const PickleValue*> pop_mark();
  /// Lowest stack position that may be popped.
  [[nodiscard]] std::size_t floor() const noexcept { return marks_.empty() ? 0 : marks_.back(); }
  void count_references(std::size_t count);

  // Opcodes; each returns false when the opcode is not of its group.
  void execute(unsigned char opcode);
  bool scalar(unsigned char opcode);
  bool text(unsigned char opcode);
  bool container(unsigned char opcode);
  bool object(unsigned char opcode);
  bool unknown_object(unsigned char opcode);
  bool memory(unsigned char opcode);

  void push_bool(bool value);
  void push_int(std::int64_t value);
  void push_long(std::uint64_t length);
  void push_float();
  void push_int_line();
  void push_float_line();
  void push_text(PickleKind kind, std::uint64_t length);
  void push_text_line(PickleKind kind, std::optional<std::string> text);
  void push_tuple(std::vector<const PickleValue*> items);
  void push_small_tuple(std::size_t size);
  void push_dict_of_mark();
  void push_global(std::string_view module, std::string_view name);
  void push_stack_global();
  void push_call();
  void push_call_with_keywords();
  /// Pushes a value of which only the name of its class is kept.
  void push_opaque(std::string_view name);
  [[nodiscard]] bool keeps_unknown() const noexcept { return unknown_ == PickleUnknown::kOpaque; }
  void push_persistent_id();
  void append(std::vector<const PickleValue*> items);
  void set_items(std::vector<const PickleValue*> items);
  void build();
  void remember(std::uint64_t key);
  void recall(std::uint64_t key);
  void discard_top();
  void frame();

  std::span<const std::byte> bytes_;
  const PickleGlobals& allowed_;
  PickleLimits limits_;
  PickleUnknown unknown_;
  Pickle pickle_;
  std::size_t at_ = 0;
  std::size_t opcode_at_ = 0;
  std::size_t references_ = 0;
  std::vector<PickleValue*> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, PickleValue*> memo_;
};

}  // namespace diffprob::data

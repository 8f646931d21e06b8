#include "data/pickle/machine.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "data/error.h"
#include "data/files/text_lines.h"
#include "data/pickle/opcodes.h"

namespace diffprob::data {
namespace {

constexpr std::size_t kLongestName = 256;

}  // namespace

PickleMachine::PickleMachine(std::span<const std::byte> bytes, const PickleGlobals& allowed,
                             const std::string& source, const PickleLimits& limits,
                             PickleUnknown unknown)
    : bytes_(bytes), allowed_(allowed), limits_(limits), unknown_(unknown) {
  pickle_.arena_->source = source;
}

void PickleMachine::fail(const std::string& message) const {
  throw DataError(pickle_.arena_->source + ", pickle offset " + std::to_string(opcode_at_) + ": " +
                  message);
}

Pickle PickleMachine::run() {
  start();
  while (true) {
    opcode_at_ = at_;
    const auto opcode = static_cast<unsigned char>(take(1)[0]);
    if (opcode == kStop) break;
    execute(opcode);
  }
  PickleValue& root = pop();
  if (!stack_.empty() || !marks_.empty()) fail("values are left on the stack at STOP");
  pickle_.arena_->root = &root;
  pickle_.arena_->consumed = at_;
  return std::move(pickle_);
}

/// Protocols 0 and 1 have no opcode that names them; what we read then begins as a tuple or a list.
void PickleMachine::start() {
  const auto first = bytes_.empty() ? 0u : std::to_integer<unsigned>(bytes_[0]);
  if (first == kMark || first == kEmptyList) return;
  if (first != kProto || bytes_.size() < 2)
    fail("not a pickle of protocol 0 to 5 (no PROTO opcode, tuple or list at its start)");
  const auto protocol = std::to_integer<unsigned>(bytes_[1]);
  if (protocol < 2 || protocol > 5)
    fail("pickle protocol " + std::to_string(protocol) + ", expected 0 to 5");
  at_ = 2;
}

// --- input

std::string_view PickleMachine::take(std::uint64_t length) {
  if (length > left())
    fail(std::to_string(length) + " bytes expected, only " + std::to_string(left()) + " are left");
  const auto* start = reinterpret_cast<const char*>(bytes_.data()) + at_;
  at_ += static_cast<std::size_t>(length);
  return {start, static_cast<std::size_t>(length)};
}

std::uint64_t PickleMachine::take_unsigned(std::size_t width) {
  std::uint64_t value = 0;
  int shift = 0;
  for (const char c : take(width)) {
    value |= std::uint64_t{static_cast<unsigned char>(c)} << shift;
    shift += 8;
  }
  return value;
}

std::string_view PickleMachine::take_line() {
  const std::string_view ahead(reinterpret_cast<const char*>(bytes_.data()) + at_,
                               std::min(left(), kLongestName + 1));
  const auto end = ahead.find('\n');
  if (end == std::string_view::npos)
    fail("an unterminated name, or one longer than " + std::to_string(kLongestName) + " bytes");
  return take(end + 1).substr(0, end);
}

std::string_view PickleMachine::take_text_line() {
  const std::string_view ahead(reinterpret_cast<const char*>(bytes_.data()) + at_, left());
  const auto end = ahead.find('\n');
  if (end == std::string_view::npos) fail("an unterminated line");
  return take(end + 1).substr(0, end);
}

std::uint64_t PickleMachine::take_memo_line() {
  std::int64_t key = -1;
  const auto line = take_line();
  if (!parse_number(trim(line), key) || key < 0)
    fail("memo entry '" + printable(line) + "', expected a whole number");
  return static_cast<std::uint64_t>(key);
}

// --- nodes and stack

PickleValue& PickleMachine::make(PickleKind kind) {
  auto& arena = *pickle_.arena_;
  if (arena.nodes.size() >= limits_.nodes)
    fail("more than " + std::to_string(limits_.nodes) + " values");
  auto& value = arena.nodes.emplace_back();
  value.kind = kind;
  value.offset = opcode_at_;
  value.source = &arena.source;
  return value;
}

PickleValue& PickleMachine::pop() {
  if (stack_.size() <= floor()) fail("stack underflow");
  PickleValue& value = *stack_.back();
  stack_.pop_back();
  return value;
}

PickleValue& PickleMachine::top() const {
  if (stack_.size() <= floor()) fail("stack underflow");
  return *stack_.back();
}

std::vector<const PickleValue*> PickleMachine::pop_mark() {
  if (marks_.empty()) fail("no mark on the stack");
  const auto start = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<const PickleValue*> items(start, stack_.end());
  stack_.erase(start, stack_.end());
  marks_.pop_back();
  return items;
}

void PickleMachine::count_references(std::size_t count) {
  references_ += count;
  if (references_ > limits_.references)
    fail("more than " + std::to_string(limits_.references) + " references");
}

// --- what opcodes do

void PickleMachine::push_bool(bool value) {
  auto& node = make(PickleKind::kBool);
  node.integer = value ? 1 : 0;
  push(node);
}

void PickleMachine::push_int(std::int64_t value) {
  auto& node = make(PickleKind::kInt);
  node.integer = value;
  push(node);
}

void PickleMachine::push_long(std::uint64_t length) {
  if (length > 8 && keeps_unknown()) {
    static_cast<void>(take(length));
    return push_opaque("int");
  }
  if (length > 8) fail("an int of " + std::to_string(length) + " bytes, expected at most 8");
  std::uint64_t value = take_unsigned(static_cast<std::size_t>(length));
  const auto bits = static_cast<unsigned>(length) * 8;
  if (bits > 0 && bits < 64 && (value >> (bits - 1)) != 0)
    value |= ~std::uint64_t{0} << bits;  // two's complement
  push_int(static_cast<std::int64_t>(value));
}

void PickleMachine::push_float() {
  std::uint64_t bits = 0;
  for (const char c : take(8))
    bits = bits << 8 | static_cast<unsigned char>(c);  // the one big-endian field of the format
  auto& node = make(PickleKind::kFloat);
  node.real = std::bit_cast<double>(bits);
  push(node);
}

/// "01" and "00" are how protocol 0 writes True and False; a trailing L is that of a long.
void PickleMachine::push_int_line() {
  auto line = trim(take_line());
  if (line == "01" || line == "00") return push_bool(line == "01");
  if (line.ends_with('L')) line.remove_suffix(1);
  std::int64_t value = 0;
  if (!parse_number(line, value)) fail("'" + printable(line) + "', expected an int of 64 bits");
  push_int(value);
}

void PickleMachine::push_float_line() {
  const auto line = trim(take_line());
  double value = 0;
  if (!parse_number(line, value)) fail("'" + printable(line) + "', expected a float");
  auto& node = make(PickleKind::kFloat);
  node.real = value;
  push(node);
}

void PickleMachine::push_text_line(PickleKind kind, std::optional<std::string> text) {
  if (!text.has_value()) fail("a text that is not quoted or escaped as Python writes it");
  auto& node = make(kind);
  node.text = *std::move(text);
  push(node);
}

void PickleMachine::push_text(PickleKind kind, std::uint64_t length) {
  const auto content = take(length);
  auto& node = make(kind);
  node.text = content;
  push(node);
}

void PickleMachine::push_tuple(std::vector<const PickleValue*> items) {
  count_references(items.size());
  auto& node = make(PickleKind::kTuple);
  node.items = std::move(items);
  push(node);
}

void PickleMachine::push_small_tuple(std::size_t size) {
  std::vector<const PickleValue*> items(size);
  for (std::size_t i = size; i-- > 0;) items[i] = &pop();
  push_tuple(std::move(items));
}

void PickleMachine::push_dict_of_mark() {
  auto items = pop_mark();
  push(make(PickleKind::kDict));
  set_items(std::move(items));
}

void PickleMachine::push_global(std::string_view module, std::string_view name) {
  if (module.size() > kLongestName || name.size() > kLongestName)
    fail("global " + printable(module, 100) + "." + printable(name, 100) + " is not allowed");
  std::string full(module);
  full.append(".").append(name);
  if (!allowed_.contains(full)) {
    if (keeps_unknown()) return push_opaque(full);
    fail("global " + printable(full, 100) + " is not allowed");
  }
  auto& node = make(PickleKind::kGlobal);
  node.text = std::move(full);
  push(node);
}

void PickleMachine::push_stack_global() {
  const PickleValue& name = pop();
  const PickleValue& module = pop();
  if (!name.is(PickleKind::kString) || !module.is(PickleKind::kString))
    fail("STACK_GLOBAL needs two str");
  push_global(module.text, name.text);
}

void PickleMachine::push_call() {
  const PickleValue& arguments = pop();
  const PickleValue& callable = pop();
  const bool known = callable.is(PickleKind::kGlobal) && arguments.is(PickleKind::kTuple);
  if (!known && keeps_unknown()) return push_opaque(callable.text);
  if (!callable.is(PickleKind::kGlobal))
    fail(std::string("a call of a ") + name_of(callable.kind) + ", a global was expected");
  if (!arguments.is(PickleKind::kTuple))
    fail(std::string("call arguments are a ") + name_of(arguments.kind) + ", not a tuple");
  auto& node = make(PickleKind::kObject);
  node.callable = &callable;
  node.arguments = &arguments;
  push(node);
}

void PickleMachine::push_call_with_keywords() {
  static_cast<void>(pop());
  static_cast<void>(pop());
  push_opaque(pop().text);
}

void PickleMachine::push_opaque(std::string_view name) {
  auto& node = make(PickleKind::kOpaque);
  node.text = name.substr(0, kLongestName);
  push(node);
}

void PickleMachine::push_persistent_id() {
  const PickleValue& id = pop();
  auto& node = make(PickleKind::kPersistentId);
  node.arguments = &id;
  push(node);
}

void PickleMachine::append(std::vector<const PickleValue*> items) {
  PickleValue& list = top();
  if (list.is(PickleKind::kOpaque) || (keeps_unknown() && list.is(PickleKind::kObject))) return;
  if (!list.is(PickleKind::kList)) fail(std::string("items appended to a ") + name_of(list.kind));
  count_references(items.size());
  list.items.insert(list.items.end(), items.begin(), items.end());
}

void PickleMachine::set_items(std::vector<const PickleValue*> items) {
  PickleValue& target = top();
  if (target.is(PickleKind::kOpaque)) return;
  if (!target.is(PickleKind::kDict) && !target.is(PickleKind::kObject))
    fail(std::string("items set in a ") + name_of(target.kind));
  if (items.size() % 2 != 0) fail("a key without a value");
  count_references(items.size());
  target.items.insert(target.items.end(), items.begin(), items.end());
}

void PickleMachine::build() {
  const PickleValue& state = pop();
  PickleValue& target = top();
  if (!target.is(PickleKind::kObject) && !target.is(PickleKind::kOpaque))
    fail(std::string("BUILD on a ") + name_of(target.kind));
  if (target.state != nullptr) fail("BUILD twice on one object");
  target.state = &state;
}

void PickleMachine::remember(std::uint64_t key) {
  count_references(1);
  memo_[key] = &top();
}

void PickleMachine::recall(std::uint64_t key) {
  const auto found = memo_.find(key);
  if (found == memo_.end()) fail("memo entry " + std::to_string(key) + " does not exist");
  push(*found->second);
}

void PickleMachine::discard_top() {
  if (!marks_.empty() && marks_.back() == stack_.size()) {
    marks_.pop_back();  // as in CPython: POP also takes a mark
    return;
  }
  static_cast<void>(pop());
}

void PickleMachine::frame() {
  const std::uint64_t length = take_unsigned(8);
  if (length > left())
    fail("a frame of " + std::to_string(length) + " bytes, " + std::to_string(left()) +
         " are left");
}

}  // namespace diffprob::data

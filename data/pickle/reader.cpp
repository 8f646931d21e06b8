#include "data/pickle/reader.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "data/error.h"
#include "data/pickle/machine.h"

namespace diffprob::data {

const char* name_of(PickleKind kind) noexcept {
  switch (kind) {
    case PickleKind::kNone:
      return "None";
    case PickleKind::kBool:
      return "bool";
    case PickleKind::kInt:
      return "int";
    case PickleKind::kFloat:
      return "float";
    case PickleKind::kBytes:
      return "bytes";
    case PickleKind::kString:
      return "str";
    case PickleKind::kList:
      return "list";
    case PickleKind::kTuple:
      return "tuple";
    case PickleKind::kDict:
      return "dict";
    case PickleKind::kGlobal:
      return "global";
    case PickleKind::kObject:
      return "object";
    case PickleKind::kPersistentId:
      return "persistent id";
    case PickleKind::kOpaque:
      return "value of an unknown class";
  }
  return "unknown";
}

namespace {

void expect(const PickleValue& value, bool ok, const char* expected) {
  if (ok) return;
  std::string found = name_of(value.kind);
  if (value.is(PickleKind::kGlobal)) found += " " + value.text;
  if (value.is(PickleKind::kObject)) found += " of " + value.callable->text;
  if (value.is(PickleKind::kOpaque) && !value.text.empty()) found += " (" + value.text + ")";
  value.fail(std::string("expected ") + expected + ", found " + found);
}

}  // namespace

void PickleValue::fail(const std::string& message) const {
  throw DataError(*source + ", pickle offset " + std::to_string(offset) + ": " + message);
}

bool PickleValue::is_call(std::string_view global) const noexcept {
  return is(PickleKind::kObject) && callable->text == global;
}

bool PickleValue::is_global(std::string_view global) const noexcept {
  return is(PickleKind::kGlobal) && text == global;
}

bool PickleValue::as_bool() const {
  expect(*this, is(PickleKind::kBool), "bool");
  return integer != 0;
}

std::int64_t PickleValue::as_int() const {
  expect(*this, is(PickleKind::kInt), "int");
  return integer;
}

double PickleValue::as_float() const {
  expect(*this, is(PickleKind::kFloat), "float");
  return real;
}

const std::string& PickleValue::as_text() const {
  expect(*this, is(PickleKind::kString) || is(PickleKind::kBytes), "str or bytes");
  return text;
}

const std::vector<const PickleValue*>& PickleValue::as_list() const {
  expect(*this, is(PickleKind::kList), "list");
  return items;
}

const std::vector<const PickleValue*>& PickleValue::as_sequence() const {
  expect(*this, is(PickleKind::kList) || is(PickleKind::kTuple), "list or tuple");
  return items;
}

const std::vector<const PickleValue*>& PickleValue::as_tuple() const {
  expect(*this, is(PickleKind::kTuple), "tuple");
  return items;
}

const std::vector<const PickleValue*>& PickleValue::as_tuple(std::size_t size) const {
  if (as_tuple().size() != size)
    fail("expected a tuple of " + std::to_string(size) + ", found one of " +
         std::to_string(items.size()));
  return items;
}

Pickle::Pickle() : arena_(std::make_unique<Arena>()) {}
Pickle::Pickle(Pickle&&) noexcept = default;
Pickle& Pickle::operator=(Pickle&&) noexcept = default;
Pickle::~Pickle() = default;
const PickleValue& Pickle::root() const noexcept {
  return *arena_->root;
}
std::size_t Pickle::consumed() const noexcept {
  return arena_->consumed;
}
std::vector<const PickleValue*> Pickle::persistent_ids() const {
  std::vector<const PickleValue*> found;
  for (const PickleValue& node : arena_->nodes) {
    if (node.is(PickleKind::kPersistentId)) found.push_back(&node);
  }
  return found;
}

Pickle read_pickle(std::span<const std::byte> bytes, const PickleGlobals& allowed,
                   const std::string& source, const PickleLimits& limits, PickleUnknown unknown) {
  return PickleMachine(bytes, allowed, source, limits, unknown).run();
}

}  // namespace diffprob::data

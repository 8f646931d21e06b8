#include "data/pickle/opcodes.h"

#include <string>
#include <utility>

#include "data/pickle/machine.h"
#include "data/pickle/text_forms.h"

// Which opcode does what: PickleMachine's dispatch, group by group.
namespace diffprob::data {
namespace {

std::string hex_of(unsigned char byte) {
  constexpr const char* kDigits = "0123456789abcdef";
  return {'0', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
}

}  // namespace

void PickleMachine::execute(unsigned char opcode) {
  if (scalar(opcode) || text(opcode) || container(opcode) || object(opcode) || memory(opcode))
    return;
  if (keeps_unknown() && unknown_object(opcode)) return;
  fail("opcode " + hex_of(opcode) + " is not one of the supported ones");
}

bool PickleMachine::scalar(unsigned char opcode) {
  switch (opcode) {
    case kInt:
    case kLong:
      push_int_line();
      return true;
    case kFloat:
      push_float_line();
      return true;
    case kNone:
      push(make(PickleKind::kNone));
      return true;
    case kNewTrue:
      push_bool(true);
      return true;
    case kNewFalse:
      push_bool(false);
      return true;
    case kBinInt:
      push_int(static_cast<std::int32_t>(take_unsigned(4)));
      return true;
    case kBinInt1:
      push_int(static_cast<std::int64_t>(take_unsigned(1)));
      return true;
    case kBinInt2:
      push_int(static_cast<std::int64_t>(take_unsigned(2)));
      return true;
    case kLong1:
      push_long(take_unsigned(1));
      return true;
    case kLong4:
      push_long(take_unsigned(4));
      return true;
    case kBinFloat:
      push_float();
      return true;
    default:
      return false;
  }
}

bool PickleMachine::text(unsigned char opcode) {
  switch (opcode) {
    case kString:
      push_text_line(PickleKind::kBytes, unquoted_string(take_text_line()));
      return true;
    case kUnicode:
      push_text_line(PickleKind::kString, unescaped_unicode(take_text_line()));
      return true;
    case kShortBinString:
    case kShortBinBytes:
      push_text(PickleKind::kBytes, take_unsigned(1));
      return true;
    case kBinString:  // signed in the format; a negative length is above what is left
    case kBinBytes:
      push_text(PickleKind::kBytes, take_unsigned(4));
      return true;
    case kBinBytes8:
    case kByteArray8:
      push_text(PickleKind::kBytes, take_unsigned(8));
      return true;
    case kShortBinUnicode:
      push_text(PickleKind::kString, take_unsigned(1));
      return true;
    case kBinUnicode:
      push_text(PickleKind::kString, take_unsigned(4));
      return true;
    case kBinUnicode8:
      push_text(PickleKind::kString, take_unsigned(8));
      return true;
    default:
      return false;
  }
}

bool PickleMachine::container(unsigned char opcode) {
  switch (opcode) {
    case kMark:
      marks_.push_back(stack_.size());
      return true;
    case kEmptyTuple:
      push(make(PickleKind::kTuple));
      return true;
    case kTuple:
      push_tuple(pop_mark());
      return true;
    case kTuple1:
      push_small_tuple(1);
      return true;
    case kTuple2:
      push_small_tuple(2);
      return true;
    case kTuple3:
      push_small_tuple(3);
      return true;
    case kEmptyList:
      push(make(PickleKind::kList));
      return true;
    case kList: {
      auto items = pop_mark();
      push(make(PickleKind::kList));
      append(std::move(items));
      return true;
    }
    case kAppend:
      append({&pop()});
      return true;
    case kAppends:
      append(pop_mark());
      return true;
    case kEmptyDict:
      push(make(PickleKind::kDict));
      return true;
    case kDict:
      push_dict_of_mark();
      return true;
    case kSetItem: {
      PickleValue& value = pop();
      PickleValue& key = pop();
      set_items({&key, &value});
      return true;
    }
    case kSetItems:
      set_items(pop_mark());
      return true;
    default:
      return false;
  }
}

bool PickleMachine::object(unsigned char opcode) {
  switch (opcode) {
    case kGlobal: {
      const auto module = take_line();
      push_global(module, take_line());
      return true;
    }
    case kStackGlobal:
      push_stack_global();
      return true;
    case kReduce:
    case kNewObj:
      push_call();
      return true;
    case kBuild:
      build();
      return true;
    case kBinPersId:
      push_persistent_id();
      return true;
    default:
      return false;
  }
}

/// Sets and calls with keywords, which no value that we look at needs.
bool PickleMachine::unknown_object(unsigned char opcode) {
  switch (opcode) {
    case kEmptySet:
      push_opaque("set");
      return true;
    case kAddItems:
      append(pop_mark());
      return true;
    case kFrozenSet:
      static_cast<void>(pop_mark());
      push_opaque("frozenset");
      return true;
    case kNewObjEx:
      push_call_with_keywords();
      return true;
    default:
      return false;
  }
}

bool PickleMachine::memory(unsigned char opcode) {
  switch (opcode) {
    case kPut:
      remember(take_memo_line());
      return true;
    case kGet:
      recall(take_memo_line());
      return true;
    case kBinPut:
      remember(take_unsigned(1));
      return true;
    case kLongBinPut:
      remember(take_unsigned(4));
      return true;
    case kMemoize:
      remember(memo_.size());
      return true;
    case kBinGet:
      recall(take_unsigned(1));
      return true;
    case kLongBinGet:
      recall(take_unsigned(4));
      return true;
    case kPop:
      discard_top();
      return true;
    case kPopMark:
      static_cast<void>(pop_mark());
      return true;
    case kDup:
      push(top());
      return true;
    case kFrame:
      frame();
      return true;
    default:
      return false;
  }
}

}  // namespace diffprob::data

#include "data/pickle/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using test::error_of;
using test::number;
using ::testing::AllOf;
using ::testing::HasSubstr;
using std::string_literals::operator""s;

const PickleGlobals kGlobals = {"collections.OrderedDict", "a.f"};

Pickle parse(const std::string& text, const PickleLimits& limits = {}) {
  return read_pickle(std::as_bytes(std::span(text)), kGlobals, "test.pkl", limits);
}

std::string parse_error(const std::string& text) {
  return error_of([&] { static_cast<void>(parse(text)); });
}

TEST(PickleReader, Scalars) {
  const auto pickle = parse(
      "\x80\x02("
      "N\x88\x89K\xffM\x01\x02J\xff\xff\xff\xff\x8a\x00\x8a\x01\xff\x8a\x02\x00\x01\x8a\x08\x01\x02"
      "\x03\x04\x05\x06\x07\x08"
      "\x8b\x02\x00\x00\x00\x34\x12G\x3f\xf8\x00\x00\x00\x00\x00\x00t."s);
  const auto& items = pickle.root().as_tuple(12);
  EXPECT_TRUE(items[0]->is(PickleKind::kNone));
  EXPECT_TRUE(items[1]->as_bool());
  EXPECT_FALSE(items[2]->as_bool());
  EXPECT_EQ(items[3]->as_int(), 255);
  EXPECT_EQ(items[4]->as_int(), 513);
  EXPECT_EQ(items[5]->as_int(), -1);
  EXPECT_EQ(items[6]->as_int(), 0);
  EXPECT_EQ(items[7]->as_int(), -1);
  EXPECT_EQ(items[8]->as_int(), 256);
  EXPECT_EQ(items[9]->as_int(), 0x0807060504030201);
  EXPECT_EQ(items[10]->as_int(), 0x1234);
  EXPECT_EQ(items[11]->as_float(), 1.5);
}

TEST(PickleReader, Texts) {
  const auto pickle =
      parse("\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00(U\x01"s + "aT\x02\x00\x00\x00"s + "bb"s +
            "C\x01" + "cB" + number(2, 4) + "dd\x8e" + number(1, 8) + "e\x96" + number(1, 8) +
            "f\x8c\x01gX" + number(2, 4) + "\xc3\xa9\x8d" + number(1, 8) + "it.");
  const auto& items = pickle.root().as_tuple(9);
  const std::string expected[] = {"a", "bb", "c", "dd", "e", "f", "g", "\xc3\xa9", "i"};
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(items[i]->as_text(), expected[i]);
    EXPECT_EQ(items[i]->kind, i < 6 ? PickleKind::kBytes : PickleKind::kString);
  }
}

/// As Python 2's pickle.dump(value, file) writes it.
TEST(PickleReader, Protocol0) {
  const auto pickle = parse(
      "(lp0\nI7\naI01\naI00\naL-12L\naF1.5\naS'a\\x00\\n\\'\\\\\\101\"'\np1\naS\"it's\"\n"
      "aVx\\u00ff\\U0001F600\xe9\naNag1\na.");
  const auto& items = pickle.root().as_list();
  ASSERT_EQ(items.size(), 10u);
  EXPECT_EQ(items[0]->as_int(), 7);
  EXPECT_TRUE(items[1]->as_bool());
  EXPECT_FALSE(items[2]->as_bool());
  EXPECT_EQ(items[3]->as_int(), -12);
  EXPECT_EQ(items[4]->as_float(), 1.5);
  EXPECT_EQ(items[5]->as_text(), "a\0\n'\\A\""s);
  EXPECT_EQ(items[6]->as_text(), "it's");
  EXPECT_EQ(items[7]->as_text(), "x\xc3\xbf\xf0\x9f\x98\x80\xc3\xa9");
  EXPECT_EQ(items[9], items[5]);
  for (const auto* bad :
       {"(S'a\nt.", "(S'\\q'\nt.", "(S'\\x4'\nt.", "(Ix\nt.", "(I1", "(F1,5\nt.", "(Va\\u12\nt.",
        "(V\\U00110000\nt.", "(NpX\nt.", "(g1\nt.", "(Sabc\nt.", "(L18446744073709551616L\nt."})
    EXPECT_THAT(parse_error(bad), HasSubstr("test.pkl, pickle offset")) << bad;
}

TEST(PickleReader, ContainersMemoAndObjects) {
  // {"k": [1], then (memo) the same list appended to itself}; OrderedDict with state; persistent id
  const auto pickle = parse(
      "\x80\x02(]q\x00(K\x01h\x00"
      "e"
      "ccollections\nOrderedDict\nq\x01)R(X\x01\x00\x00\x00kK\x05u}b"
      "(K\x01K\x02tQ"
      "}K\x03K\x04s"
      "t."s);
  const auto& items = pickle.root().as_tuple(4);
  const auto& list = items[0]->as_list();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[1], items[0]);
  ASSERT_TRUE(items[1]->is_call("collections.OrderedDict"));
  ASSERT_EQ(items[1]->items.size(), 2u);
  EXPECT_EQ(items[1]->items[0]->as_text(), "k");
  EXPECT_EQ(items[1]->items[1]->as_int(), 5);
  ASSERT_NE(items[1]->state, nullptr);
  EXPECT_TRUE(items[1]->state->items.empty());
  ASSERT_TRUE(items[2]->is(PickleKind::kPersistentId));
  EXPECT_EQ(items[2]->arguments->as_tuple(2)[1]->as_int(), 2);
  EXPECT_EQ(items[3]->items[1]->as_int(), 4);
  EXPECT_EQ(pickle.consumed(), pickle.root().offset + 2);
}

TEST(PickleReader, AccessOfAnotherKindIsAnError) {
  const auto pickle = parse(
      "\x80\x02(K\x01"
      "ca\nf\nt.");
  EXPECT_THAT(error_of([&] { static_cast<void>(pickle.root().as_list()); }),
              HasSubstr("expected list, found tuple"));
  EXPECT_THAT(error_of([&] { static_cast<void>(pickle.root().as_tuple(3)); }),
              HasSubstr("tuple of 3, found one of 2"));
  EXPECT_THAT(error_of([&] { static_cast<void>(pickle.root().items[0]->as_text()); }),
              AllOf(HasSubstr("test.pkl, pickle offset 3"), HasSubstr("found int")));
  EXPECT_THAT(error_of([&] { static_cast<void>(pickle.root().items[1]->as_int()); }),
              HasSubstr("found global a.f"));
}

TEST(PickleReader, ForbiddenGlobalsAreNamed) {
  EXPECT_THAT(parse_error("\x80\x02"
                          "cos\nsystem\nU\x02id\x85R."),
              AllOf(HasSubstr("os.system"), HasSubstr("offset 2"), HasSubstr("not allowed")));
  EXPECT_THAT(parse_error("\x80\x02"
                          "cposix\nsystem\nU\x02id\x85R."),
              HasSubstr("posix.system"));
  EXPECT_THAT(parse_error("\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."),
              AllOf(HasSubstr("posix.system"), HasSubstr("offset 17")));
  EXPECT_THAT(parse_error("\x80\x04\x8c\x02os\x8c\x06system\x93."), HasSubstr("os.system"));
  EXPECT_THAT(parse_error("\x80\x02"
                          "cbuiltins\neval\n."),
              HasSubstr("builtins.eval"));
  EXPECT_THAT(parse_error("\x80\x02"
                          "c\x01\x02\n\xff\n."),
              HasSubstr("??.?"));
  EXPECT_THAT(parse_error("\x80\x02"
                          "c" +
                          std::string(5000, 'x') + "\ny\n."),
              HasSubstr("256"));
  EXPECT_THAT(
      parse_error("\x80\x04X" + number(5000, 4) + std::string(5000, 'x') + "\x8c\x01y\x93."),
      HasSubstr("not allowed"));
}

TEST(PickleReader, UnknownOpcodesAreErrors) {
  const std::string known =
      "(.012FGIJKLMNQRSTUVXabcdeghjlpqrstuBC)]}"
      "\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x93\x94\x95\x96";
  int refused = 0;
  for (int opcode = 0; opcode < 256; ++opcode) {
    if (known.find(static_cast<char>(opcode)) != std::string::npos) continue;
    EXPECT_THAT(parse_error("\x80\x02"s + static_cast<char>(opcode) + "."),
                AllOf(HasSubstr("offset 2"), HasSubstr("opcode 0x")))
        << opcode;
    ++refused;
  }
  EXPECT_EQ(refused, 256 - static_cast<int>(known.size()));
}

TEST(PickleReader, LengthsAreCheckedBeforeMemoryIsTaken) {
  for (const auto& head :
       {"B" + number(0xFFFFFFFF, 4), "T" + number(0x80000000, 4), "X" + number(0x7FFFFFFF, 4),
        "\x8e" + number(~0ull, 8), "\x96" + number(1ull << 62, 8), "\x8d" + number(1ull << 40, 8),
        "U\xff"s, "\x95" + number(~0ull, 8)})
    EXPECT_THAT(parse_error("\x80\x04" + head + "abc."),
                AllOf(HasSubstr("offset 2"), HasSubstr("left")))
        << head;
  EXPECT_THAT(parse_error("\x80\x02\x8b" + number(0xFFFFFFFF, 4) + "."), HasSubstr("at most 8"));
  EXPECT_THAT(parse_error("\x80\x02\x8a\x09" + std::string(9, '\1') + "."), HasSubstr("at most 8"));
}

TEST(PickleReader, BrokenStackIsAnError) {
  for (const auto& body : {"0"s,
                           "2"s,
                           "\x85"s,
                           "K\x01\x86"s,
                           "t"s,
                           "e"s,
                           "]e"s,
                           "a"s,
                           "]a"s,
                           "s"s,
                           "}K\x01s"s,
                           "}(K\x01u"s,
                           "](K\x01K\x02u"s,
                           "K\x01K\x02"
                           "a"s,
                           "R"s,
                           "K\x01)R"s,
                           "ca\nf\nK\x01R"s,
                           "b"s,
                           "}}b"s,
                           "ca\nf\n)R}b}b"s,
                           "Q"s,
                           "h\x05"s,
                           "j\x05\0\0\0"s,
                           "q\x01"s,
                           "\x94"s,
                           "1"s,
                           "K\x01(0(K\x02"s,
                           "K\x01K\x02"s,
                           "("s,
                           ""s,
                           "\x93"s,
                           "K\x01K\x02\x93"s,
                           "K\x01(\x86"s})
    EXPECT_THAT(parse_error("\x80\x04" + body + "."), HasSubstr("test.pkl, pickle offset"))
        << ::testing::PrintToString(body);
}

TEST(PickleReader, OtherProtocolsAreErrors) {
  EXPECT_THAT(parse_error(""), HasSubstr("protocol 0 to 5"));
  EXPECT_THAT(parse_error("I1\n."), HasSubstr("protocol 0 to 5"));
  EXPECT_THAT(parse_error("\x80\x01N."), HasSubstr("protocol 1"));
  EXPECT_THAT(parse_error("\x80\x06N."), HasSubstr("protocol 6"));
}

TEST(PickleReader, NumbersOfValuesAreBounded) {
  const PickleLimits limits{100, 50};
  EXPECT_THAT(error_of([&] {
                static_cast<void>(parse("\x80\x02(" + std::string(101, 'N') + "t.", limits));
              }),
              HasSubstr("100 values"));
  EXPECT_THAT(error_of([&] {
                static_cast<void>(parse("\x80\x02(" + std::string(60, 'N') + "t.", limits));
              }),
              HasSubstr("50 references"));
  EXPECT_EQ(parse("\x80\x02(" + std::string(50, 'N') + "t.", limits).root().items.size(), 50u);
}

TEST(PickleReader, DepthCostsNothing) {  // a million lists in each other: no recursion, in reading
                                         // or in destruction
  const int depth = 1'000'000;
  const auto pickle =
      parse("\x80\x02" + std::string(depth, ']') + std::string(depth - 1, 'a') + ".");
  const PickleValue* value = &pickle.root();
  int found = 1;
  for (; !value->as_list().empty(); value = value->as_list()[0]) ++found;
  EXPECT_EQ(found, depth);
}

Pickle parse_opaque(const std::string& text) {
  return read_pickle(std::as_bytes(std::span(text)), kGlobals, "test.pkl", {},
                     PickleUnknown::kOpaque);
}

TEST(PickleReader, UnknownGlobalsMayBecomeOpaqueValues) {
  // [os.system, os.system(None), that with a state and items, a.f(), a call of a call]
  const auto pickle = parse_opaque(
      "\x80\x02(cos\nsystem\ncos\nsystem\nN\x85Rcos\nsystem\n)\x81}bK\x01K\x02sca\nf\n)R"
      "ca\nf\n)R)Rt."s);
  const auto& items = pickle.root().as_tuple(5);
  for (const std::size_t i : {0, 1, 2}) {
    EXPECT_TRUE(items[i]->is(PickleKind::kOpaque)) << i;
    EXPECT_EQ(items[i]->text, "os.system") << i;
    EXPECT_TRUE(items[i]->items.empty()) << i;
    EXPECT_FALSE(items[i]->is_call("os.system")) << i;
    EXPECT_FALSE(items[i]->is_global("os.system")) << i;
  }
  EXPECT_NE(items[2]->state, nullptr);
  EXPECT_TRUE(items[3]->is_call("a.f"));
  EXPECT_TRUE(items[4]->is(PickleKind::kOpaque));
  EXPECT_THAT(error_of([&] { (void)items[0]->as_int(); }), HasSubstr("(os.system)"));
}

TEST(PickleReader, SetsAndLongIntsMayBecomeOpaqueValues) {
  const auto pickle = parse_opaque("\x80\x04(\x8f(K\x01K\x02\x90(K\x01\x91\x8a\x09" +
                                   std::string(9, '\1') + "ca\nf\n)}\x92]Nat.");
  const auto& items = pickle.root().as_tuple(5);
  for (const std::size_t i : {0, 1, 2, 3}) EXPECT_TRUE(items[i]->is(PickleKind::kOpaque)) << i;
  EXPECT_EQ(items[4]->as_list().size(), 1u);
}

TEST(PickleReader, OpaqueValuesDoNotHideDamage) {
  for (const auto& text :
       {"\x80\x02cos\nsystem\nNR"s, "\x80\x02}K\x01a."s, "\x80\x02NNb."s, "\x80\x02\x92."s,
        "\x80\x02\x90."s, "\x80\x02\x8a\x20z."s, "\x80\x02]K\x01(K\x02s."s})
    EXPECT_THROW((void)parse_opaque(text), DataError) << text;
}

}  // namespace
}  // namespace diffprob::data

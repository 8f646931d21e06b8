#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace diffprob::data {

enum class PickleKind : std::uint8_t {
  kNone,
  kBool,
  kInt,
  kFloat,
  kBytes,   ///< bytes, bytearray and Python 2 str
  kString,  ///< str, UTF-8 as in the file
  kList,
  kTuple,
  kDict,
  kGlobal,        ///< a name; nothing is imported or called
  kObject,        ///< what REDUCE or NEWOBJ would have made
  kPersistentId,  ///< BINPERSID
  kOpaque,        ///< a value that PickleUnknown::kOpaque let pass; nothing of it is known
};

[[nodiscard]] const char* name_of(PickleKind kind) noexcept;

/// A node of the value graph. Nodes live as long as the Pickle that holds them. The graph may share
/// nodes and may hold cycles: walk it by the structure you expect, never blindly. The as_ members
/// throw DataError that names source, offset, expected and found kind.
struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  std::size_t offset = 0;               ///< of the opcode that made it
  const std::string* source = nullptr;  ///< for messages
  std::int64_t integer = 0;             ///< bool (0, 1) and int
  double real = 0.0;                    ///< float
  /// Content of a bytes or str; "module.name" of a global; of an opaque value, the name of the
  /// global that it is or was made by.
  std::string text;
  /// Elements of a list or tuple; of a dict or object (SETITEMS): key, value, key, value ...
  std::vector<const PickleValue*> items;
  const PickleValue* callable = nullptr;   ///< object: always a global
  const PickleValue* arguments = nullptr;  ///< object: always a tuple; persistent id: the id
  const PickleValue* state = nullptr;      ///< object, opaque: argument of BUILD, or nullptr

  [[nodiscard]] bool is(PickleKind other) const noexcept { return kind == other; }
  /// Object made by calling the global of that name ("collections.OrderedDict").
  [[nodiscard]] bool is_call(std::string_view global) const noexcept;
  [[nodiscard]] bool is_global(std::string_view global) const noexcept;

  [[nodiscard]] bool as_bool() const;
  [[nodiscard]] std::int64_t as_int() const;
  [[nodiscard]] double as_float() const;
  /// str or bytes.
  [[nodiscard]] const std::string& as_text() const;
  [[nodiscard]] const std::vector<const PickleValue*>& as_list() const;
  /// List or tuple.
  [[nodiscard]] const std::vector<const PickleValue*>& as_sequence() const;
  /// Any length.
  [[nodiscard]] const std::vector<const PickleValue*>& as_tuple() const;
  /// Exactly `size` elements.
  [[nodiscard]] const std::vector<const PickleValue*>& as_tuple(std::size_t size) const;
  /// Throws DataError "<source>, pickle offset N: <message>".
  [[noreturn]] void fail(const std::string& message) const;
};

struct PickleLimits {
  std::size_t nodes = std::size_t{1} << 22;       ///< a node takes some 150 bytes
  std::size_t references = std::size_t{1} << 23;  ///< memo and container slots, 8 bytes each
};

/// Owner of the nodes.
class Pickle {
 public:
  Pickle(Pickle&&) noexcept;
  Pickle& operator=(Pickle&&) noexcept;
  ~Pickle();
  [[nodiscard]] const PickleValue& root() const noexcept;
  /// Bytes up to and with STOP.
  [[nodiscard]] std::size_t consumed() const noexcept;
  /// All persistent ids, in the order in which they appear.
  [[nodiscard]] std::vector<const PickleValue*> persistent_ids() const;

 private:
  friend class PickleMachine;
  struct Arena;
  Pickle();
  std::unique_ptr<Arena> arena_;
};

/// Names as "module.name".
using PickleGlobals = std::set<std::string, std::less<>>;

/// What becomes of a global outside the allow-list, of what is made by calling it, of sets and of
/// ints of more than 64 bits.
enum class PickleUnknown : std::uint8_t {
  kRefuse,  ///< The pickle is refused.
  kOpaque,  ///< They become opaque values. What is put into such a value is dropped.
};

/// Reads a pickle of protocol 0 to 5. It is data only: no opcode runs anything, and every length is
/// checked against the bytes that are left before memory is taken. No recursion. `source` is the
/// name used in messages. Throws DataError (source, offset, what).
[[nodiscard]] Pickle read_pickle(std::span<const std::byte> bytes, const PickleGlobals& allowed,
                                 const std::string& source, const PickleLimits& limits = {},
                                 PickleUnknown unknown = PickleUnknown::kRefuse);

}  // namespace diffprob::data

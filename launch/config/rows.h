#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "launch/config/fields.h"
#include "launch/config/words.h"

namespace diffprob::launch {

/// Upper bound of counts that have none.
inline constexpr double kMany = 1e15;

/// Any text, or one of `choices`.
[[nodiscard]] inline Field text(std::string key, std::string* target, std::string help,
                                std::vector<std::string> choices = {}) {
  return {std::move(key), target, std::move(help), 0, 0, std::move(choices)};
}
/// A file or folder, or a list of them.
template <class Paths>
[[nodiscard]] Field path(std::string key, Paths* target, std::string help) {
  return {std::move(key), target, std::move(help), 0, 0, {}, true};
}

/// A value that the configuration names by one of these words.
template <class E>
[[nodiscard]] Field one_of(std::string key, E* target, std::string help,
                           std::vector<Word<E>> words) {
  std::vector<std::string> choices = choices_of(words);
  EnumTarget named;
  named.word = [target, words] { return word_of(words, *target); };
  named.set = [target, words = std::move(words)](const std::string& word) {
    set_by_word(words, word, *target);
  };
  return {std::move(key), std::move(named), std::move(help), 0, 0, std::move(choices)};
}
/// A list of values that the configuration names by these words.
template <class E>
[[nodiscard]] Field list_of(std::string key, std::vector<E>* target, std::string help,
                            std::vector<Word<E>> words) {
  std::vector<std::string> choices = choices_of(words);
  EnumListTarget named;
  named.words = [target, words] {
    std::vector<std::string> list;
    for (const E& value : *target) list.push_back(word_of(words, value));
    return list;
  };
  named.set = [target, words = std::move(words)](const std::vector<std::string>& list) {
    target->clear();
    for (const std::string& word : list) set_by_word(words, word, target->emplace_back());
  };
  return {std::move(key), std::move(named), std::move(help), 0, 0, std::move(choices)};
}

/// A number in [low, high].
[[nodiscard]] inline Field number(std::string key, int* target, double low, double high,
                                  std::string help) {
  return {std::move(key), target, std::move(help), low, high, {}};
}
[[nodiscard]] inline Field number(std::string key, std::int64_t* target, double low, double high,
                                  std::string help) {
  return {std::move(key), target, std::move(help), low, high, {}};
}
[[nodiscard]] inline Field number(std::string key, double* target, double low, double high,
                                  std::string help) {
  return {std::move(key), target, std::move(help), low, high, {}};
}
[[nodiscard]] inline Field flag(std::string key, bool* target, std::string help) {
  return {std::move(key), target, std::move(help), 0, 0, {}};
}

/// A list of texts.
[[nodiscard]] inline Field list(std::string key, std::vector<std::string>* target,
                                std::string help) {
  return {std::move(key), target, std::move(help), 0, 0, {}};
}
/// A list of numbers in [low, high].
template <class T>
[[nodiscard]] Field list(std::string key, std::vector<T>* target, double low, double high,
                         std::string help) {
  return {std::move(key), target, std::move(help), low, high, {}};
}

/// Words of values that their module names: `names` has all of them, `value_of` reads one.
template <class ValueOf>
[[nodiscard]] auto words(const std::vector<std::string>& names, const ValueOf& value_of) {
  std::vector<Word<decltype(value_of(names.front()))>> all;
  for (const std::string& name : names) all.push_back({name, value_of(name)});
  return all;
}

}  // namespace diffprob::launch

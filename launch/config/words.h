#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace diffprob::launch {

/// A word of the configuration and the value that it stands for.
template <class E>
struct Word {
  std::string word;
  E value;
};

template <class E>
[[nodiscard]] std::vector<std::string> choices_of(const std::vector<Word<E>>& words) {
  std::vector<std::string> choices;
  for (const auto& [word, value] : words) choices.push_back(word);
  return choices;
}

/// Returns the word of a value, or "" for a value that has none.
template <class E>
[[nodiscard]] std::string word_of(const std::vector<Word<E>>& words, const E& value) {
  const auto found =
      std::find_if(words.begin(), words.end(), [&](const Word<E>& w) { return w.value == value; });
  return found == words.end() ? std::string() : found->word;
}

/// Sets `target` to the value of `word`, or leaves it alone when `words` does not have that word.
template <class E>
void set_by_word(const std::vector<Word<E>>& words, const std::string& word, E& target) {
  const auto found =
      std::find_if(words.begin(), words.end(), [&](const Word<E>& w) { return w.word == word; });
  if (found != words.end()) target = found->value;
}

}  // namespace diffprob::launch

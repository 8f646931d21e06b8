#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace diffprob::eval {

/// Text for HTML and XML: & < > " ' become entities; bytes that are not UTF-8 and characters that
/// XML forbids become U+FFFD.
[[nodiscard]] std::string escape_html(std::string_view text);

/// Writes HTML or SVG that is also well-formed XML: every element is closed, every text and
/// attribute escaped. Nothing reaches the document unescaped but style sheets of the program
/// itself.
class HtmlWriter {
 public:
  using Attributes = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  HtmlWriter& open(std::string_view name, Attributes attributes = {});
  /// Throws std::logic_error unless `name` is the innermost open element.
  HtmlWriter& close(std::string_view name);
  HtmlWriter& text(std::string_view text);
  /// An element with nothing but text in it.
  HtmlWriter& element(std::string_view name, std::string_view text, Attributes attributes = {});
  /// An element without content (<meta/>, <path/>).
  HtmlWriter& empty(std::string_view name, Attributes attributes = {});
  /// <style>; throws std::logic_error when `css` has a character that would have to be escaped.
  HtmlWriter& style(std::string_view css);
  /// A new id for aria attributes and links: "id1", "id2", ...
  [[nodiscard]] std::string next_id();
  [[nodiscard]] std::size_t size() const noexcept { return out_.size(); }
  /// The document; throws std::logic_error while an element is open.
  [[nodiscard]] std::string take();

 private:
  void start(std::string_view name, Attributes attributes);

  std::string out_;
  std::vector<std::string> open_;
  std::int64_t ids_ = 0;
};

}  // namespace diffprob::eval

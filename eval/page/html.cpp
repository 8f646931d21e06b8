#include "eval/page/html.h"

#include <cstddef>
#include <stdexcept>

namespace diffprob::eval {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

/// Length of the character at the front when it is well-formed UTF-8 that XML allows, else 0.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned lead = byte(0);
  if (lead < 0x80)
    return lead >= 0x20 && lead != 0x7F ? 1
                                        : (lead == '\t' || lead == '\n' || lead == '\r' ? 1 : 0);
  if (lead >= 0xC2 && lead <= 0xDF) return follows(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (!follows(1) || !follows(2)) return 0;
    const unsigned code = (lead & 0x0FU) << 12U | (byte(1) & 0x3FU) << 6U | (byte(2) & 0x3FU);
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code >= 0x800 && !surrogate && code < 0xFFFE ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    const unsigned code = (lead & 0x07U) << 18U | (byte(1) & 0x3FU) << 12U |
                          (byte(2) & 0x3FU) << 6U | (byte(3) & 0x3FU);
    return code >= 0x10000 && code <= 0x10FFFF ? 4 : 0;
  }
  return 0;
}

std::string_view entity(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    if (length == 0) {
      out += kReplacement;
    } else if (const auto name = entity(text[0]); !name.empty()) {
      out += name;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

void HtmlWriter::start(std::string_view name, Attributes attributes) {
  out_ += '<';
  out_ += name;
  for (const auto& [key, value] : attributes) {
    out_ += ' ';
    out_ += key;
    out_ += "=\"";
    out_ += escape_html(value);
    out_ += '"';
  }
}

HtmlWriter& HtmlWriter::open(std::string_view name, Attributes attributes) {
  start(name, attributes);
  out_ += '>';
  open_.emplace_back(name);
  return *this;
}

HtmlWriter& HtmlWriter::close(std::string_view name) {
  if (open_.empty() || open_.back() != name) {
    throw std::logic_error("html: </" + std::string(name) + "> closes " +
                           (open_.empty() ? "nothing" : "<" + open_.back() + ">"));
  }
  open_.pop_back();
  out_ += "</";
  out_ += name;
  out_ += ">\n";
  return *this;
}

HtmlWriter& HtmlWriter::text(std::string_view text) {
  out_ += escape_html(text);
  return *this;
}

HtmlWriter& HtmlWriter::element(std::string_view name, std::string_view content,
                                Attributes attributes) {
  return open(name, attributes).text(content).close(name);
}

HtmlWriter& HtmlWriter::empty(std::string_view name, Attributes attributes) {
  start(name, attributes);
  out_ += "/>";
  return *this;
}

HtmlWriter& HtmlWriter::style(std::string_view css) {
  if (css.find_first_of("<&") != std::string_view::npos)
    throw std::logic_error("html: a style sheet with < or &");
  out_ += "<style>";
  out_ += css;
  out_ += "</style>\n";
  return *this;
}

std::string HtmlWriter::next_id() {
  return "id" + std::to_string(++ids_);
}

std::string HtmlWriter::take() {
  if (!open_.empty()) throw std::logic_error("html: <" + open_.back() + "> is still open");
  return std::exchange(out_, {});
}

}  // namespace diffprob::eval

#include "eval/page/html.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace diffprob::eval {
namespace {

TEST(Html, EscapesWhatHtmlGivesAMeaning) {
  EXPECT_EQ(escape_html("<b a=\"1\" c='2'>&amp;</b>"),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;&lt;/b&gt;");
  EXPECT_EQ(escape_html("plain \t\n text"), "plain \t\n text");
}

TEST(Html, KeepsUtf8AndReplacesWhatIsNone) {
  const std::string bad = "\xEF\xBF\xBD";

  EXPECT_EQ(escape_html("\u00e9\u20ac\U0001F600"), "\u00e9\u20ac\U0001F600");
  EXPECT_EQ(escape_html("a\xFF"
                        "b"),
            "a" + bad + "b");
  EXPECT_EQ(escape_html("\xC0\xAF"), bad + bad);            // overlong slash
  EXPECT_EQ(escape_html("\xED\xA0\x80"), bad + bad + bad);  // surrogate
  EXPECT_EQ(escape_html("\xE2\x82"), bad + bad);            // cut short
  EXPECT_EQ(escape_html("\xF4\x90\x80\x80"), bad + bad + bad + bad);
  EXPECT_EQ(escape_html(std::string("\0\x01\x7F", 3)),
            bad + bad + bad);                               // XML forbids control characters
  EXPECT_EQ(escape_html("\xEF\xBF\xBF"), bad + bad + bad);  // U+FFFF
}

TEST(Html, ElementsAreClosedAndAttributesEscaped) {
  HtmlWriter html;
  html.open("p", {{"title", "a\"b"}}).text("x < y").empty("br").element("b", "&").close("p");

  EXPECT_EQ(html.take(), "<p title=\"a&quot;b\">x &lt; y<br/><b>&amp;</b>\n</p>\n");
}

TEST(Html, RefusesWhatWouldNotBeWellFormed) {
  HtmlWriter html;
  EXPECT_THROW(html.close("p"), std::logic_error);
  html.open("div").open("p");
  EXPECT_THROW(html.close("div"), std::logic_error);
  EXPECT_THROW((void)html.take(), std::logic_error);
  EXPECT_THROW(html.style("</style><b>"), std::logic_error);
  html.close("p").close("div");
  EXPECT_NO_THROW((void)html.take());
}

TEST(Html, IdsAreNew) {
  HtmlWriter html;
  EXPECT_NE(html.next_id(), html.next_id());
}

}  // namespace
}  // namespace diffprob::eval

#include "launch/cli/manual/man_page.h"

#include <fmt/format.h>

#include <sstream>

#include "launch/cli/commands.h"
#include "launch/config/fields.h"

namespace diffprob::launch {
namespace {

/// Text as troff takes it: no line is a request, hyphens can be copied.
std::string escaped(const std::string& text) {
  std::string result;
  bool at_start = true;
  for (const char c : text) {
    if (at_start && (c == '.' || c == '\'')) result += "\\&";
    at_start = c == '\n';
    if (c == '\\')
      result += "\\e";
    else if (c == '-')
      result += "\\-";
    else
      result += c;
  }
  return result;
}

/// As it stands, from the left edge, because help texts have lines of 80 columns.
std::string verbatim(const std::string& text) {
  return ".in 0\n.nf\n" + escaped(text) + (text.ends_with('\n') ? "" : "\n") + ".fi\n.in\n";
}

std::string commands_page() {
  std::string page = ".SH COMMANDS\n";
  for (const Command& command : commands())
    page += ".SS diffprob " + command.name + "\n" + verbatim(help_text(command.name));
  return page;
}

std::string keys_page() {
  Config config;
  std::string page =
      ".SH CONFIGURATION\n"
      "Keys of a configuration file in YAML; on the command line \\-\\-section.key=value.\n";
  for (const Field& field : config_fields(config)) {
    page += ".TP\n.B " + escaped(field.key) + "\n" +
            escaped("Default " + value_text(field) + "; " + range_text(field) + ".") + "\n.br\n" +
            escaped(field.help) + "\n";
  }
  return page;
}

}  // namespace

std::string man_page() {
  return fmt::format(".TH DIFFPROB 1 \"\" \"diffprob {}\" \"User Commands\"\n.ad l\n",
                     DIFFPROB_VERSION) +
         ".SH NAME\n"
         "diffprob \\- trains, scores, prunes and verifies face\\-recognition models on many GPUs\n"
         ".SH SYNOPSIS\n"
         ".B diffprob\n"
         ".I COMMAND\n"
         "[\\fICONFIG\\fR] [\\fB\\-\\-section.key=\\fIvalue\\fR ...]\n"
         ".SH DESCRIPTION\n" +
         verbatim(help_text("")) + commands_page() + keys_page();
}

}  // namespace diffprob::launch

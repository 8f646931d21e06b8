#include "launch/plan/needs_text.h"

#include <fmt/format.h>

#include <cmath>

namespace diffprob::launch {
namespace {

constexpr double kScoreBytes = 44;  // a sample, in scores.h5

std::string bytes_text(double bytes) {
  return bytes >= kBytesPerGibibyte ? fmt::format("{:.1f} GiB", bytes / kBytesPerGibibyte)
                                    : fmt::format("{:.0f} MiB", bytes / kBytesPerMebibyte);
}

std::string row(const std::string& name, const std::string& value) {
  return fmt::format("  {:<24}{}\n", name, value);
}

/// One column where the precision is known, two for auto.
std::string memory_rows(const Config& config, const Needs& needs) {
  using Part = double Needs::Memory::*;
  const Precision precision = config.train.precision;
  const bool full = precision != Precision::kFp16 && precision != Precision::kBf16;
  const bool half = precision != Precision::kFp32 && precision != Precision::kTf32;
  const auto line = [&](const std::string& name, double in_full, double in_half) {
    std::string text = fmt::format("    {:<22}", name);
    if (full) text += fmt::format("{:>10}", bytes_text(in_full));
    if (half) text += fmt::format("{:>10}", bytes_text(in_half));
    return text + "\n";
  };
  std::string text = fmt::format("  {:<24}{:>10}{:>10}\n", "memory of a rank",
                                 full ? "fp32" : "16 bit", full && half ? "16 bit" : "");
  for (const auto& [name, part] : {std::pair<const char*, Part>("network", &Needs::Memory::network),
                                   {"head", &Needs::Memory::head},
                                   {"activations", &Needs::Memory::activations},
                                   {"resident images", &Needs::Memory::images}}) {
    if (needs.fp32.*part > 0) text += line(name, needs.fp32.*part, needs.fp16.*part);
  }
  return text + line("sum", needs.fp32.sum(), needs.fp16.sum());
}

std::string steps_text(const std::string& command, const Config& config, const Needs& needs) {
  const std::int64_t all = needs.steps_per_epoch * config.train.epochs;
  std::string text =
      fmt::format("{} an epoch, {} in {} epochs", needs.steps_per_epoch, all, config.train.epochs);
  if (command == "train") return text;
  text += " on all images; with half of the images half as many";
  return text;
}

}  // namespace

std::string needs_text(const std::string& command, const Config& config, const Needs& needs,
                       const DataSize& data, int ranks) {
  std::string text = fmt::format("\nNeeds of {} on {} rank{}, estimated:\n", command, ranks,
                                 ranks == 1 ? "" : "s");
  text += row("network", fmt::format("{}, {:.1f} M parameters", config.model.network.name,
                                     static_cast<double>(needs.parameters) / 1e6));
  text += row("images of a step",
              fmt::format("{}, {} at a time on a rank", config.train.batch_size, needs.rows));
  const bool knows = data.images > 0;
  text += row("training set", knows ? fmt::format("{} images, {} identities, {} of them on a rank",
                                                  data.images, data.identities, needs.classes)
                                    : "not known: without data.train, or data.expected_images and "
                                      "data.expected_identities, its part is not counted below");
  text += memory_rows(config, needs);
  if (needs.decoded_cache > 0)
    text += row("decoded images", bytes_text(needs.decoded_cache) + " of host memory a rank");
  text += row("checkpoints",
              fmt::format("{} each, at most {} at a time: {}{}", bytes_text(needs.checkpoint),
                          needs.checkpoints,
                          bytes_text(needs.checkpoint * static_cast<double>(needs.checkpoints)),
                          command == "train" ? "" : ", for each training"));
  if (command != "train" && knows)
    text += row("scores", bytes_text(kScoreBytes * static_cast<double>(data.images)));
  if (knows) text += row("steps", steps_text(command, config, needs));
  if (ranks > 1)
    text += row("sent a step and rank",
                fmt::format("{} by the head, {} of gradients", bytes_text(needs.head_traffic),
                            bytes_text(needs.gradient_traffic)));
  return text +
         "  Not counted: programs and libraries (on a GPU about 1 GiB), workspaces of cuDNN, and "
         "what "
         "an allocator keeps (a fifth more on an H100).\n";
}

}  // namespace diffprob::launch

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace diffprob::launch {

/// A network that load_network() reads: a checkpoint folder or a .pth.
struct NetworkFile {
  std::string path;
  std::string name;                  ///< last part of the path
  std::optional<std::int64_t> step;  ///< number in the name of a network of a folder
};

struct NetworkList {
  bool is_folder = false;  ///< a folder of networks, even if it holds only one
  std::vector<NetworkFile> networks;
};

/// Returns the networks that `path` stands for. A file and a checkpoint folder are one network. Of
/// a folder, all its checkpoints step_*, those in its subfolder checkpoints/ (the output folder of
/// a training), or its files N*.pth, by rising number. Where files are named N*backbone*.pth, as
/// the paper's code writes them, the others (heads) are skipped. Throws data::DataError when there
/// is nothing of all that.
[[nodiscard]] NetworkList list_networks(const std::string& path);

/// Throws data::DataError, or what read_manifest() throws, unless the weights that load_network()
/// reads from a checkpoint folder are those that its manifest names. Does nothing for a .pth.
void check_network_digest(const std::string& path);

}  // namespace diffprob::launch

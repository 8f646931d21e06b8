#pragma once

#include <filesystem>
#include <string_view>

namespace diffprob::dist {

/// Where write_operations() puts its file, for the whole process. The folder must exist. Unset: the
/// newest operations go to the log.
void set_dump_folder(std::filesystem::path folder);

/// Writes the last 256 operations of every communicator of this process to
/// <folder>/operations.rank00003.txt, atomically, columns split by tabs. Written at most once a
/// second: one failure is reported by many peers. Never throws; what fails is logged. Returns the
/// path, or "" when there is no folder or nothing could be written.
std::filesystem::path write_operations(std::string_view reason) noexcept;

}  // namespace diffprob::dist

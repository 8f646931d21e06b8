#pragma once

#include <string>

namespace diffprob::launch {

/// Removes from a folder (not from those in it) what killed jobs were writing: files named as
/// AtomicFile names them until they are whole, NAME.tmp.NUMBERS. Nobody else may be writing there.
/// What cannot be removed stays.
void remove_leftovers(const std::string& folder);

}  // namespace diffprob::launch
